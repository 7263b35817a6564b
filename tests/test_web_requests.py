"""What the widget's API refuses: junk, too much, and other sites; and what it serves to all."""

import json
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from channels.web.config import WebConfig
from channels.web.limits import source
from core.models import (
    Deployment,
    Message,
    User,
)
from visitors import EVERY_CALL, LIMIT, Visitor, deploy

PLUGINS = ("channels.web",)


@pytest.fixture
def widget(app: Flask) -> Deployment:
    """A widget on a shop's page."""
    return deploy("shop", origins=["https://shop.example.com"])


@pytest.fixture
def visitor(app: Flask, widget: Deployment) -> Visitor:
    """A visitor who has a token and has not written."""
    return Visitor(app, widget).arrive()


# Junk

GOOD = {"client_id": "5a6b6a3e-1f5f-4a7e-9d3f-2a60b1f6c0de", "text": "hello"}


WRONG_SHAPES: list[tuple[Any, str]] = [
    ({**GOOD, "client_id": "1"}, "client_id"),
    ({"text": "no id"}, "client_id"),
    ({**GOOD, "text": 5}, "text"),
    ({**GOOD, "text": None}, "text"),
    ({**GOOD, "text": ""}, "text"),
    ({**GOOD, "text": " \n\t"}, "text"),
    ({**GOOD, "text": "x" * 4097}, "text"),
    ({**GOOD, "text": "nul \0"}, "text"),
    ({**GOOD, "text": "half \ud800"}, "text"),
    ({**GOOD, "page": "https://shop.example.com"}, "page"),
    ({**GOOD, "page": {"url": 5}}, "page.url"),
    ({**GOOD, "page": {"title": "x" * 301}}, "page.title"),
    ({**GOOD, "page": {"title": "nul \0"}}, "page.title"),
    ({**GOOD, "language": "x" * 61}, "language"),
    ({**GOOD, "timezone": []}, "timezone"),
    ({**GOOD, "screen": "big"}, "screen"),
    ({**GOOD, "consent": "yes"}, "consent"),
    ({**GOOD, "picked": {"message": "1", "index": -1}}, "picked.index"),
    ({**GOOD, "picked": {"message": "1; DROP TABLE", "index": 0}}, "picked.message"),
    ({**GOOD, "picked": []}, "picked"),
    ([], "body"),
    ("text", "body"),
    (None, "body"),
    (5, "body"),
]
UNREADABLE = [
    (b"{", "application/json", 400),
    (b"", "application/json", 400),
    (b"\xff\xfe\x00", "application/json", 400),
    (b'{"text": NaN}', "application/json", 400),
    (b"[" * 30_000, "application/json", 400),
    (b'{"a":' * 9_000 + b"1" + b"}" * 9_000, "application/json", 400),
    (b'{"text": "' + b"x" * 1_000_000 + b'"}', "application/json", 413),
    (json.dumps(GOOD).encode(), "text/plain", 415),
    (json.dumps(GOOD).encode(), "application/x-www-form-urlencoded", 415),
    (b"client_id=1&text=hi", "multipart/form-data; boundary=x", 415),
]


def send_raw(visitor: Visitor, data: bytes | str, content_type: str = "application/json") -> TestResponse:
    """Send a body as it is."""
    visitor_token = {"Authorization": f"Bearer {visitor.token}"}
    path = f"{visitor.base}/messages"
    return visitor.http.post(path, data=data, content_type=content_type, headers=visitor_token)


def test_a_body_of_the_wrong_shape_names_the_field_and_stores_nothing(app: Flask) -> None:
    visitor = Visitor(app, deploy("patient", limit_visitor=1000)).arrive()
    for body, field in WRONG_SHAPES:
        answer = send_raw(visitor, json.dumps(body))
        assert (answer.status_code, answer.json.get("field")) == (422, field), body
        assert answer.content_type == "application/problem+json"
        assert not any(word in answer.text for word in ("DROP TABLE", "Writing", "pattern", "bytes"))
    assert Message.select().count() == User.select().count() == 0


def test_a_body_that_cannot_be_read_is_refused_and_stores_nothing(app: Flask) -> None:
    visitor = Visitor(app, deploy("patient", limit_visitor=1000)).arrive()
    for data, content_type, status in UNREADABLE:
        answer = send_raw(visitor, data, content_type)
        assert answer.status_code == status, data[:40]
        assert answer.json["detail"]
    assert Message.select().count() == User.select().count() == 0


def test_a_query_that_is_no_number_is_refused(visitor: Visitor) -> None:
    for query in ("before=x", "after=-1", "after=1.5", "limit=many", "after=" + "9" * 40, "before=٣"):
        assert visitor.call("GET", f"messages?{query}").status_code == 422, query


def test_a_cursor_from_the_future_is_taken_for_now(visitor: Visitor) -> None:
    visitor.write("hello")
    assert visitor.read("?after=999999999")["messages"] == []


def test_a_message_of_the_full_length_fits(visitor: Visitor) -> None:
    text = "😀" * 4096
    assert visitor.write(text).status_code == 200
    assert visitor.texts == [text]


def test_text_is_stored_as_it_was_written(visitor: Visitor) -> None:
    text = "<script>alert(1)</script> \u202e rtl \u2028 ﷽ 👩‍👩‍👧 {{name}} %s"
    visitor.write(text)
    assert visitor.texts == [text]


def test_a_wrong_method_is_refused(visitor: Visitor) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        assert visitor.call(method, "end").status_code == 405


# Limits


def test_one_address_can_write_only_so_much(app: Flask, widget: Deployment, visitor: Visitor) -> None:
    statuses = [visitor.write("again").status_code for _ in range(LIMIT + 5)]
    assert statuses.count(200) == LIMIT
    refused = visitor.write("again")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert Message.select().count() == LIMIT
    other = Visitor(app, widget, ip="203.0.113.8").arrive()
    assert other.write("I am somebody else").status_code == 200


def test_a_deployment_takes_only_so_much_from_all(app: Flask) -> None:
    place = deploy("small", limit_all=3)
    statuses = [Visitor(app, place, ip=f"203.0.113.{n}").arrive().write().status_code for n in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert Visitor(app, deploy("next door")).arrive().write().status_code == 200


def test_one_address_gets_only_so_many_tokens(app: Flask, widget: Deployment) -> None:
    visitor = Visitor(app, widget)
    statuses = [visitor.call("POST", "token", {}).status_code for _ in range(65)]
    assert (statuses.count(200), statuses.count(429)) == (60, 5)


def test_a_household_of_ipv6_is_one_address() -> None:
    assert source("2001:db8:1:2::1") == source("2001:db8:1:2:ffff::9") != source("2001:db8:1:3::1")
    assert source("203.0.113.7") == "203.0.113.7"
    assert source("") == ""


# Origins


def test_a_listed_site_may_read_the_answer(visitor: Visitor) -> None:
    answer = visitor.call("GET", "settings", Origin="https://shop.example.com")
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example.com"
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_another_site_is_refused(visitor: Visitor) -> None:
    for origin in ("https://evil.example", "null", "https://shop.example.com.evil.example"):
        for method, path, body in [*EVERY_CALL, ("GET", "settings", None), ("POST", "token", {})]:
            answer = visitor.call(method, path, body, Origin=origin)
            assert (answer.status_code, answer.json["code"]) == (403, "origin"), path
            assert "Access-Control-Allow-Origin" not in answer.headers
    assert Message.select().count() == 0


def test_this_servers_own_page_may_always(visitor: Visitor) -> None:
    for origin in ("http://localhost", "http://127.0.0.1:8000"):  # the request's host; the public URL
        assert visitor.call("GET", "settings", Origin=origin).status_code == 200


def test_a_preflight_is_answered_without_a_token(app: Flask, widget: Deployment) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    answer = Visitor(app, widget).call("OPTIONS", "messages", Origin="https://shop.example.com", **asked)
    assert answer.status_code == 200
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    refused = Visitor(app, widget).call("OPTIONS", "messages", Origin="https://evil.example", **asked)
    assert "Access-Control-Allow-Origin" not in refused.headers


def test_a_problem_can_be_read_by_the_page(visitor: Visitor) -> None:
    shop = "https://shop.example.com"
    answer = visitor.call("POST", "messages", {"client_id": "1"}, Origin=shop)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (422, shop)


# Files and settings


def test_the_files_are_served_to_any_page_and_checked_for_freshness(app: Flask, widget: Deployment) -> None:
    visitor = Visitor(app, widget)
    for name in ("widget.js", "view.js", "widget.css"):
        answer = visitor.call("GET", name, Origin="https://anywhere.example")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cache-Control"] == "no-cache"
        again = visitor.call("GET", name, **{"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304
    assert visitor.call("GET", "routes.py").status_code == 404
    assert visitor.call("GET", "../routes.py").status_code == 404


def test_an_unknown_or_switched_off_widget_is_not_there(
    app: Flask, widget: Deployment, visitor: Visitor
) -> None:
    Deployment.update(enabled=False).where(Deployment.id == widget.id).execute()
    assert visitor.call("GET", "widget.js").status_code == 404
    assert visitor.write().status_code == 404
    assert app.test_client().get("/web/nowhere/settings").json["code"] == "no_chat"
    assert Message.select().count() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("accent", "red; } * { display: none"),
        ("privacy_url", "javascript:alert(1)"),
        ("origins", ["shop.example.com"]),
        ("origins", ["https://shop.example.com/path"]),
        ("consent", "maybe"),
        ("topics", ["x"] * 7),
        ("name", " "),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        WebConfig.model_validate({field: value})


def test_settings_can_be_given_one_a_line(app: Flask) -> None:
    place = deploy("lines", topics="Delivery\n Returns \n\n", origins="https://A.example\nhttps://b.example/")
    answer = Visitor(app, place).call("GET", "settings", Origin="https://a.example")
    assert answer.json["topics"] == ["Delivery", "Returns"]
