"""Where providers call: what is refused leaves a note, and what is verified is never lost."""

import http.client
import json
import logging
import threading
from datetime import timedelta

import pytest
from peewee import OperationalError
from werkzeug.serving import make_server

from core import webhooks
from core.db import database
from core.models import (
    Deployment,
    Event,
    Identity,
    Job,
    LogState,
    Message,
    User,
    WebhookLog,
    WebhookLogIdentity,
    WebhookRefusal,
)
from fake_channel import (
    SECRET,
    SIGNATURE,
    Fake,
    at_once,
    deploy,
    post,
    signature,
    signed,
    written,
)

PLUGINS = ("fake_channel",)


@pytest.fixture
def shop(app):
    return deploy()


def stored():
    """Return how many rows there are of everything that a webhook can make."""
    return [model.select().count() for model in (WebhookLog, User, Identity, Message, Event, Job)]


def notes():
    return [(note.reason, note.count) for note in WebhookRefusal.select().order_by(WebhookRefusal.id)]


NOTHING = [0] * 6


# ── Refused: nothing is stored but a note


def test_an_unknown_deployment_is_404(client, shop):
    answer = client.post("/webhooks/nobody", **signed(b"{}"))
    assert (answer.status_code, answer.text) == (404, "No deployment is called so.\n")
    assert (stored(), notes()) == (NOTHING, [("No deployment is called so.", 1)])
    assert WebhookRefusal.get().deployment_id is None


@pytest.mark.parametrize("key", ["%00", "a%00b", "%ED%A0%80", "%F0%9F%98%80", "x" * 3000])
def test_a_key_that_no_database_takes_is_404(client, shop, key):
    assert client.post(f"/webhooks/{key}", **signed(b"{}")).status_code == 404


def test_a_deployment_that_is_switched_off_is_404(client, shop):
    Deployment.update(enabled=False).execute()
    assert post(client, shop, written()).status_code == 404
    assert stored() == NOTHING


@pytest.mark.parametrize(
    "headers", [{}, {SIGNATURE: ""}, {SIGNATURE: "0" * 64}, {SIGNATURE: "ü"}, {SIGNATURE: "x" * 9000}]
)
def test_a_wrong_signature_is_403(client, shop, headers):
    answer = client.post(
        f"/webhooks/{shop.key}", data=b"{}", content_type="application/json", headers=headers
    )
    assert (answer.status_code, answer.text) == (403, "Not verified: the signature does not fit\n")
    assert (stored(), notes()) == (NOTHING, [("Not verified: the signature does not fit", 1)])
    assert WebhookRefusal.get().deployment_id == shop.id


def test_a_signature_of_other_bytes_is_403(client, shop):
    body = json.dumps({"events": [written()]}).encode()
    request = {**signed(body), "data": body + b" "}
    assert client.post(f"/webhooks/{shop.key}", **request).status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
def test_another_method_is_405(client, shop, method):
    answer = client.open(f"/webhooks/{shop.key}", method=method, **signed(b"{}"))
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert stored() == NOTHING


def test_a_get_that_is_no_handshake_is_refused(client, shop):
    assert client.get(f"/webhooks/{shop.key}").status_code == 403
    assert stored() == NOTHING


def test_a_handshake_is_answered_and_not_logged(client, shop):
    answer = client.get(f"/webhooks/{shop.key}?token={SECRET}&challenge=4711")
    assert (answer.status_code, answer.text) == (200, "4711")
    assert answer.content_type == "text/plain; charset=utf-8"
    assert (stored(), notes()) == (NOTHING, [])
    assert client.get(f"/webhooks/{shop.key}?token=other&challenge=4711").status_code == 403


def test_head_and_options_do_no_harm(client, shop):
    head = client.head(f"/webhooks/{shop.key}")
    assert (head.status_code, head.data) == (403, b"")
    options = client.options(f"/webhooks/{shop.key}")
    assert options.status_code == 200
    assert {"GET", "POST"} <= {name.strip() for name in options.headers["Allow"].split(",")}
    assert stored() == NOTHING


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_another_content_type_is_415(client, shop, kind):
    answer = client.post(f"/webhooks/{shop.key}", **{**signed(b"{}"), "content_type": kind})
    assert (answer.status_code, answer.text) == (415, "The body must be application/json.\n")
    assert (stored(), notes()) == (NOTHING, [("The body must be application/json.", 1)])


def test_a_content_type_may_name_its_charset(client, shop):
    request = {**signed(b'{"events": []}'), "content_type": "Application/JSON; charset=utf-8"}
    assert client.post(f"/webhooks/{shop.key}", **request).status_code == 200


def test_a_body_of_just_the_cap_is_taken_and_one_byte_more_is_413(client, shop, settings):
    body = b'{"events": []}'.ljust(settings.max_body)
    assert client.post(f"/webhooks/{shop.key}", **signed(body)).status_code == 200
    answer = client.post(f"/webhooks/{shop.key}", **signed(body + b" "))
    assert (answer.status_code, answer.text) == (413, "The body is larger than 3,000,000 bytes.\n")
    assert stored() == [1, *NOTHING[1:]]


def test_refusals_are_counted_in_few_rows(client, shop, clock):
    clock.set(clock.now().replace(second=0, microsecond=0))
    for number in range(30):
        client.post("/webhooks/nobody", data=str(number))
        client.post(f"/webhooks/{shop.key}", **{**signed(b"{}"), "headers": {SIGNATURE: str(number)}})
        clock.advance(seconds=1)
    assert notes() == [("No deployment is called so.", 30), ("Not verified: the signature does not fit", 30)]
    clock.advance(minutes=1)
    client.post("/webhooks/nobody")
    assert len(notes()) == 3


def test_reasons_without_end_are_ten_notes_a_minute(client, shop, clock, monkeypatch):
    reasons = iter(range(100))

    def refuse(self, webhook):
        raise webhooks.VerificationError(f"reason {next(reasons)} \x00")

    monkeypatch.setattr(Fake, "verify", refuse)
    for _ in range(15):
        assert client.post(f"/webhooks/{shop.key}", **signed(b"{}")).status_code == 403
    assert len(notes()) == 10


def test_a_deployment_that_cannot_be_served_asks_for_another_try(client, shop, clock):
    Deployment.update(channel="pigeon", changed=clock.now() + timedelta(1)).execute()
    answer = post(client, shop, written())
    assert answer.status_code == 503
    assert "again later" in answer.text
    assert stored() == NOTHING


# ── Taken: 200, whatever it says

DEEP = b'{"events": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
JUNK = {
    "nothing": b"",
    "no JSON": b"{",
    "not UTF-8": b'{"events": ["\xff\xfe"]}',
    "NUL": b"\x00",
    "deep": DEEP,
    "another form": b"[]",
    "no events": b'{"events": 7}',
    "an unknown event": b'{"events": [{"type": "Odd"}]}',
    "a surrogate": b'{"events": [{"type": "\\ud800"}]}',
    "a number too long": b'{"events": [' + b"9" * 5000 + b"]}",
}


@pytest.mark.parametrize("body", JUNK.values(), ids=JUNK)
def test_signed_junk_is_200_logged_and_marked(client, shop, body):
    answer = client.post(f"/webhooks/{shop.key}", **signed(body))
    assert (answer.status_code, answer.data) == (200, b"")
    entry = WebhookLog.get()
    assert (bytes(entry.body), entry.state) == (body, LogState.FAILED)
    assert entry.error.startswith("It could not be read: ")
    assert stored() == [1, *NOTHING[1:]]


@pytest.mark.parametrize("text", ["\\u0000", "\\ud83d", "\\udc00x", "\\ud83d\\ude00"])
def test_escaped_oddities_are_stored_and_stay_raw_in_the_log(client, shop, text):
    body = json.dumps({"events": [written(text="here", payload={"here": "here"})]}).replace("here", text)
    assert client.post(f"/webhooks/{shop.key}", **signed(body.encode())).status_code == 200
    assert (WebhookLog.get().state, Message.select().count()) == (LogState.PROCESSED, 1)
    assert bytes(WebhookLog.get().body) == body.encode()


def test_a_remark_with_odd_characters_is_kept(client, shop):
    event = written(account="x\x00\ud800")
    assert post(client, shop, event).status_code == 200
    entry = WebhookLog.get()
    assert entry.state == LogState.PROCESSED
    assert "the account x\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}, which" in entry.notes[0]


def test_what_a_webhook_said_is_stored_and_its_identities_are_noted(client, shop):
    assert post(client, shop, written("asha"), written("ben"), written("asha")).status_code == 200
    entry = WebhookLog.get()
    assert (entry.state, entry.error, entry.notes) == (LogState.PROCESSED, None, [])
    assert WebhookLogIdentity.select().count() == 2
    assert Message.select().count() == 3


def test_the_log_holds_no_signature_and_no_secret_header(client, shop):
    body = b'{"events": []}'
    headers = {
        SIGNATURE: signature(body).decode(),
        "Authorization": "Bearer hush",
        "Cookie": "hush=1",
        "Proxy-Authorization": "hush",
        "User-Agent": "provider/1",
        "X-Odd": "a\x80b",
    }
    client.post(
        f"/webhooks/{shop.key}?hub=1&a=%00", data=body, content_type="application/json", headers=headers
    )
    entry = WebhookLog.get()
    assert (
        entry.headers.keys() & {SIGNATURE.lower(), "authorization", "cookie", "proxy-authorization"} == set()
    )
    assert "hush" not in json.dumps(entry.headers)
    assert signature(body).decode() not in json.dumps([entry.headers, entry.query])
    assert entry.headers["user-agent"] == "provider/1"
    assert entry.query == {"hub": "1", "a": "\N{REPLACEMENT CHARACTER}"}


def test_the_same_webhook_at_the_same_moment_is_stored_once(app, shop):
    body = json.dumps({"events": [written("asha"), written("ben")]}).encode()
    answers = at_once(
        app, *[lambda: app.test_client().post(f"/webhooks/{shop.key}", **signed(body)).status_code] * 4
    )
    assert answers == [200] * 4
    assert (Message.select().count(), User.select().count(), WebhookLog.select().count()) == (2, 2, 4)
    assert {entry.state for entry in WebhookLog.select()} == {LogState.PROCESSED}


# ── Left behind


def left_behind(shop, *events):
    """Log a webhook as a process does that dies right after."""
    body = json.dumps({"events": events}).encode()
    return WebhookLog.create(deployment=shop, method="POST", body=body)


def test_what_a_process_logged_and_died_over_is_processed_by_the_worker(shop, worker, clock):
    left_behind(shop, written("asha"))
    clock.advance(seconds=30)
    worker.tick()
    assert Message.select().count() == 0
    clock.advance(seconds=1)
    worker.tick()
    assert Message.select().count() == 1
    assert WebhookLog.get().state == LogState.PROCESSED


def test_a_message_that_was_left_behind_keeps_the_time_of_its_receipt(shop, worker, clock):
    at = clock.now()
    left_behind(shop, written(at=(at + timedelta(days=1)).isoformat()))
    clock.advance(hours=5)
    worker.tick()
    assert Message.get().at == at


def test_two_workers_process_what_was_left_behind_once(app, shop, clock):
    left_behind(shop, written("asha"), written("asha"))
    clock.advance(minutes=1)
    results = at_once(app, *[webhooks.process_left_behind] * 3)
    assert not [result for result in results if isinstance(result, Exception)]
    assert Message.select().count() == 2
    assert User.get().received_count == 2


def test_one_that_cannot_be_read_keeps_no_other_from_it(shop, worker, clock):
    gone = deploy(account="gone")
    left_behind(gone, written("asha"))
    WebhookLog.create(deployment=shop, method="POST", body=b"{")
    left_behind(shop, written("ben"))
    Deployment.update(channel="pigeon", changed=clock.now() + timedelta(1)).where(
        Deployment.id == gone.id
    ).execute()
    clock.advance(minutes=1)
    worker.tick()
    entries = list(WebhookLog.select().order_by(WebhookLog.id))
    assert [entry.state for entry in entries] == [LogState.FAILED, LogState.FAILED, LogState.PROCESSED]
    assert "No loaded plugin brings the channel `pigeon`" in entries[0].error
    assert [message.author_name or message.author for message in Message.select()] == ["user"]


def test_a_database_that_is_away_while_it_is_read_loses_nothing(client, shop, worker, clock, monkeypatch):
    def away(*given):
        raise OperationalError("the server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(webhooks, "accept_all", away)
        assert post(client, shop, written()).status_code == 200
        clock.advance(minutes=1)
        worker.tick()
    assert WebhookLog.get().state == LogState.RECEIVED
    worker.tick()
    assert WebhookLog.get().state == LogState.PROCESSED
    assert Message.select().count() == 1


def test_a_duty_that_fails_keeps_no_other_from_being_done(shop, worker, clock, monkeypatch, caplog):
    left_behind(shop, written("asha"))
    clock.advance(minutes=1)

    def settle_stragglers():
        raise ZeroDivisionError

    monkeypatch.setattr("core.delivery.settle_stragglers", settle_stragglers)
    worker.tick()
    assert Message.select().count() == 1
    assert "settle_stragglers failed" in caplog.text


# ── Over a real connection


@pytest.fixture
def address(app, shop, caplog):
    """A server on loopback."""
    caplog.set_level(logging.CRITICAL, "werkzeug")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address
    server.shutdown()
    thread.join()
    server.server_close()


def chunks(size, piece=65_536):
    for start in range(0, size, piece):
        yield b" " * min(piece, size - start)


@pytest.mark.parametrize("declared", [True, False], ids=["Content-Length", "chunked"])
def test_a_body_over_the_cap_is_refused_before_it_is_read(address, shop, settings, declared):
    size = settings.max_body + 1
    connection = http.client.HTTPConnection(*address, timeout=20)
    headers = {"Content-Type": "application/json", SIGNATURE: "0"}
    if declared:
        headers["Content-Length"] = str(size)
    status = None
    try:
        connection.request(
            "POST", f"/webhooks/{shop.key}", chunks(size), headers, encode_chunked=not declared
        )
        status = connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        pass  # it was closed before all was sent, which says the same
    finally:
        connection.close()
    assert status in (413, None)
    assert stored() == NOTHING


def test_a_chunked_body_within_the_cap_is_taken(address, shop):
    body = json.dumps({"events": [written()]}).encode()
    connection = http.client.HTTPConnection(*address, timeout=20)
    headers = {"Content-Type": "application/json", SIGNATURE: signature(body).decode()}
    connection.request(
        "POST", f"/webhooks/{shop.key}", iter([body[:9], body[9:]]), headers, encode_chunked=True
    )
    assert connection.getresponse().status == 200
    connection.close()
    assert Message.select().count() == 1


def test_no_answer_shows_a_traceback(app, client, shop, monkeypatch):
    def broken(self, webhook):
        raise ZeroDivisionError("inner workings")

    monkeypatch.setattr(Fake, "verify", broken)
    answer = post(client, shop, written())
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert "inner workings" not in answer.text
    assert stored() == NOTHING


def test_a_request_returns_its_connection(app, shop):
    """Also one that was refused, or failed."""
    key, closed = shop.key, []

    def send():
        client = app.test_client()
        for _ in range(30):  # more than the pool of PostgreSQL holds
            client.post("/webhooks/nobody")
            client.post(f"/webhooks/{key}", **signed(b"{"))
            closed.append(database.is_closed())

    thread = threading.Thread(target=send)
    thread.start()
    thread.join()
    assert closed == [True] * 30
