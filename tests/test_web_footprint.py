"""What is kept of where a visitor came from, and what is not."""

import json

import pytest
from flask import Flask

from channels.web.footprint import known_zone, language_of, of_page, without_secrets
from core.clock import HeldClock
from core.models import (
    Deployment,
    Identity,
    Session,
)
from visitors import CHROME, Visitor, deploy

PLUGINS = ("channels.web",)


@pytest.fixture
def widget(app: Flask) -> Deployment:
    """A widget on a shop's page."""
    return deploy("shop", origins=["https://shop.example.com"])


@pytest.fixture
def visitor(app: Flask, widget: Deployment) -> Visitor:
    """A visitor who has a token and has not written."""
    return Visitor(app, widget).arrive()


# Footprint and consent

PAGE = {
    "url": "https://shop.example.com/desks?size=140&email=a%40b.example&token=t0p#reviews",
    "title": "Walnut desk 140",
    "referrer": "https://shop.example.com/",
    "landing": "https://shop.example.com/?utm_source=news&utm_campaign=autumn&gclid=G1&password=x",
    "landing_referrer": "https://search.example/?q=desk",
}


def test_without_consent_the_page_is_kept_and_the_device_is_not(visitor: Visitor) -> None:
    visitor.write(page=PAGE, screen="412x915", consent=None, language="en-GB", timezone="Europe/London")
    assert Identity.get().first_footprint == {
        "page": "https://shop.example.com/desks?size=140",
        "title": "Walnut desk 140",
        "referrer": "https://shop.example.com/",
        "landing": "https://shop.example.com/?utm_source=news&utm_campaign=autumn&gclid=G1",
        "landing_referrer": "https://search.example/?q=desk",
        "utm_source": "news",
        "utm_campaign": "autumn",
        "gclid": "G1",
        "language": "en-GB",
        "timezone": "Europe/London",
    }


def test_device_data_is_kept_with_consent_only(app: Flask) -> None:
    device = {
        "device": "Google Pixel 8",
        "system": "Android 14",
        "browser": "Chrome Mobile 131",
        "screen": "412x915",
        "ip": "203.0.113.7",
    }
    cases = [
        ("ask", True, device),
        ("ask", False, {}),
        ("ask", None, {}),
        ("given", None, device),
        ("never", True, {}),
    ]
    for number, (configured, answered, kept) in enumerate(cases):
        visitor = Visitor(app, deploy(f"place {number}", consent=configured)).arrive()
        visitor.write(screen="412x915", consent=answered)
        identity = Identity.select().order_by(Identity.id.desc()).get()
        assert identity.last_footprint == kept, (configured, answered)
        assert CHROME not in json.dumps(Session.get(Session.identity == identity).footprint)


def test_consent_is_taken_back_and_given_later(visitor: Visitor) -> None:
    visitor.write(page=PAGE, consent=True)
    assert "ip" in Session.get().footprint
    assert visitor.call("POST", "consent", {"device": False}).status_code == 204
    identity = Identity.get()
    for footprint in (identity.first_footprint, identity.last_footprint, Session.get().footprint):
        assert "ip" not in footprint
        assert footprint["title"] == "Walnut desk 140"
    visitor.call("POST", "consent", {"device": True, "screen": "412x915"})
    assert Identity.get().last_footprint["browser"] == "Chrome Mobile 131"
    rows = dict(visitor.call("GET", "stored").json["rows"])
    assert (rows["Page title"], rows["IP address"]) == ("Walnut desk 140", "203.0.113.7")


def test_the_first_touch_stays_and_the_last_one_moves(clock: HeldClock, visitor: Visitor) -> None:
    visitor.write(page=PAGE)
    clock.advance(minutes=5)
    visitor.write(page={"url": "https://shop.example.com/checkout"})
    identity = Identity.get()
    assert identity.first_footprint["title"] == "Walnut desk 140"
    assert identity.last_footprint == {"page": "https://shop.example.com/checkout"}


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://a.example/x?size=1&token=abc#top", "https://a.example/x?size=1"),
        ("https://a.example/?Email=me@b.example&API_KEY=1&sessionid=2&pass=3", "https://a.example/"),
        ("https://user:secret@a.example:8443/x", "https://a.example:8443/x"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
        ("javascript:alert(1)", ""),
        ("file:///etc/passwd", ""),
        ("https://[broken", ""),
        ("https://a.example:99999/", ""),
        ("not a url", ""),
        ("", ""),
        ("https://a.example/?" + "&".join(f"p{n}=1" for n in range(300)), "https://a.example/"),
    ],
)
def test_secrets_are_cut_from_addresses(url: str, kept: str) -> None:
    assert without_secrets(url) == kept


def test_an_address_is_cut_at_two_kilobytes() -> None:
    assert len(without_secrets("https://a.example/" + "x" * 5000)) == 2048


def test_the_pages_own_tags_win_over_those_of_the_landing_page() -> None:
    page = {**PAGE, "url": "https://shop.example.com/?utm_source=mail"}
    found = of_page(page, "", "")
    assert (found["utm_source"], found["utm_campaign"]) == ("mail", "autumn")


@pytest.mark.parametrize(
    ("given", "language"), [("pt-BR", "pt"), ("EN", "en"), ("zh-Hant-TW", "zh"), ("x", ""), ("", "")]
)
def test_the_language_is_that_of_the_tag(given: str, language: str) -> None:
    assert language_of(given) == language


@pytest.mark.parametrize(
    ("given", "zone"),
    [
        ("Europe/London", "Europe/London"),
        ("America", ""),
        ("Mars/Olympus", ""),
        ("../../etc/passwd", ""),
        ("", ""),
    ],
)
def test_a_time_zone_is_one_that_exists(given: str, zone: str) -> None:
    assert known_zone(given) == zone
