"""Signing in: who may, how often one may try, and what ends it."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner
from flask import Flask
from werkzeug.test import TestResponse

from admin import access, logins, passwords
from admin.commands import operator as operator_group
from admin.headers import POLICY
from admin.logins import Attempt, Login
from conftest import close, settings_for
from core.app import create_app
from core.clock import HeldClock
from core.models import Operator
from fake_channel import at_once
from panel import PASSWORD, PLUGINS, Desk, attributes, employ, with_password, words

WRONG = "The email or the password is not right."
TOO_MANY = "Too many tries to sign in."


@pytest.fixture
def maya(app: Flask) -> Operator:
    """An agent with a password."""
    return with_password(employ("agent", email="maya@example.com"))


@pytest.fixture(autouse=True)
def cheap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash fast, except where a test is about how the hash is made."""
    passwords._nobodys.cache_clear()
    if "real_hash" not in request.fixturenames:
        monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def real_hash() -> None:
    """Hash as Parley does."""


def sign_in(
    desk: Desk,
    email: str = "maya@example.com",
    password: str = PASSWORD,
    ip: str = "198.51.100.7",
    **form: str,
) -> TestResponse:
    """Fill in the login form and send it."""
    data = {"csrf_token": desk.token, "email": email, "password": password, **form}
    return desk.http.post(
        "/login", data=data, environ_base={"REMOTE_ADDR": ip}, headers={"Accept": "text/html"}
    )


# Signing in and out


def test_email_and_password_open_the_panel(app: Flask, maya: Operator) -> None:
    desk = Desk(app, None)
    answer = sign_in(desk, email="  Maya@Example.com ")
    assert (answer.status_code, answer.location) == (302, "/")
    assert desk.get("/audience/").status_code == 200
    assert Operator.get_by_id(maya.id).last_login is not None


def test_the_login_leads_back_to_the_page_that_was_asked_for(app: Flask, maya: Operator) -> None:
    desk = Desk(app, None)
    asked = desk.get("/audience/?search=asha")
    assert asked.location == "/login?next=/audience/?search%3Dasha"
    form = desk.get(asked.location)
    assert sign_in(desk, next=attributes(form, "value")[1]).location == "/audience/?search=asha"


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\tevil",
        "audience",
        "http:///x",
        "/a\r\nb",
    ],
)
def test_a_login_never_leads_elsewhere(app: Flask, maya: Operator, wanted: str) -> None:
    assert sign_in(Desk(app, None), next=wanted).location == "/"


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("maya@example.com", "wrong"),
        ("nobody@example.com", PASSWORD),
        ("", ""),
        ("maya@example.com", ""),
        ("maya\x00@example.com", PASSWORD),
        ("maya@example.com", "x" * 100_000),
    ],
)
def test_whatever_is_wrong_the_answer_is_the_same(
    app: Flask, maya: Operator, email: str, password: str
) -> None:
    answer = sign_in(Desk(app, None), email, password)
    assert answer.status_code == 401
    assert WRONG in words(answer)
    assert Login.select().count() == 0


def test_an_unknown_account_takes_as_long_as_a_wrong_password(
    real_hash: None, app: Flask, maya: Operator
) -> None:
    passwords.is_right("warm", None)

    def seconds(email: str) -> float:
        begun = time.perf_counter()
        sign_in(Desk(app, None), email, "wrong password")
        return time.perf_counter() - begun

    pairs = [(seconds("maya@example.com"), seconds("nobody@example.com")) for _ in range(5)]
    known, unknown = (min(times) for times in zip(*pairs, strict=True))
    assert 0.5 < unknown / known < 2


def test_an_operator_who_is_not_active_may_not_sign_in(app: Flask, maya: Operator) -> None:
    Operator.update(active=False).where(Operator.id == maya.id).execute()
    assert sign_in(Desk(app, None)).status_code == 401


def test_signing_out_ends_the_login_also_for_a_copy_of_the_cookie(app: Flask, maya: Operator) -> None:
    desk = Desk(app, maya)
    copied = desk.http.get_cookie("parley")
    assert desk.get("/audience/").status_code == 200
    answer = desk.post("/logout")
    assert answer.location == "/login"
    thief = Desk(app, None)
    thief.http.set_cookie("parley", copied.value)
    assert thief.get("/audience/").status_code == 302
    assert "You are signed out." in words(desk.get("/login"))


def test_what_stood_in_the_cookie_before_the_login_is_gone(app: Flask, maya: Operator) -> None:
    desk = Desk(app, None)
    with desk.http.session_transaction() as cookie:
        cookie["planted"] = "by somebody else"
    sign_in(desk)
    with desk.http.session_transaction() as cookie:
        assert "planted" not in cookie
        assert cookie.get("csrf_token") is None


def test_a_login_key_that_somebody_made_up_opens_nothing(app: Flask, maya: Operator) -> None:
    desk = Desk(app, None)
    with desk.http.session_transaction() as cookie:
        cookie["_user_id"] = "1"
    assert desk.get("/audience/").status_code == 302


# What ends a login


def test_ending_all_logins_ends_them_at_once(app: Flask, maya: Operator) -> None:
    desks = [Desk(app, maya), Desk(app, maya)]
    logins.end_all(maya)
    assert [desk.get("/audience/").status_code for desk in desks] == [302, 302]


def test_a_login_of_an_earlier_epoch_is_over(app: Flask, maya: Operator) -> None:
    desk = Desk(app, maya)
    Operator.update(login_epoch=Operator.login_epoch + 1).where(Operator.id == maya.id).execute()
    assert desk.get("/audience/").status_code == 302


def test_deactivation_ends_a_login_at_once(app: Flask, maya: Operator) -> None:
    desk = Desk(app, maya)
    Operator.update(active=False).where(Operator.id == maya.id).execute()
    assert desk.parts("/audience/rows").status_code == 401


def test_a_login_ends_after_two_idle_hours(app: Flask, maya: Operator, clock: HeldClock) -> None:
    desk = Desk(app, maya, awake=False)
    clock.advance(hours=1, minutes=59)
    assert desk.get("/audience/").status_code == 200
    clock.advance(hours=1, minutes=59, seconds=59)
    assert desk.get("/audience/").status_code == 200
    clock.advance(hours=2)
    assert desk.get("/audience/").status_code == 302


def test_a_page_that_refreshes_itself_keeps_nobody_signed_in(
    app: Flask, maya: Operator, clock: HeldClock
) -> None:
    desk = Desk(app, maya, awake=False)
    for _ in range(3):
        clock.advance(minutes=45)
        last = desk.parts("/audience/rows")
    assert last.status_code == 401


def test_a_login_ends_after_twelve_hours_whatever_one_does(
    app: Flask, maya: Operator, clock: HeldClock
) -> None:
    desk = Desk(app, maya, awake=False)
    for _ in range(11):
        clock.advance(hours=1)
        assert desk.get("/audience/").status_code == 200
    clock.advance(hours=1)
    assert desk.get("/audience/").status_code == 302
    logins.begin(maya)
    assert Login.select().count() == 1  # what ended by time is cleared away


def test_a_login_is_written_once_a_minute_at_most(app: Flask, maya: Operator, clock: HeldClock) -> None:
    desk = Desk(app, maya, awake=False)
    begun = Login.get().seen
    clock.advance(seconds=59)
    desk.get("/audience/")
    assert Login.get().seen == begun
    clock.advance(seconds=1)
    desk.get("/audience/")
    assert Login.get().seen == begun + timedelta(minutes=1)


# How often one may try


def test_after_ten_wrong_passwords_strangers_must_wait(app: Flask, maya: Operator, clock: HeldClock) -> None:
    for number in range(10):
        assert sign_in(Desk(app, None), password="wrong", ip=f"198.51.100.{number}").status_code == 401
    answer = sign_in(Desk(app, None), ip="198.51.100.99")
    assert answer.status_code == 429
    assert TOO_MANY in words(answer)
    clock.advance(minutes=15, seconds=1)
    assert sign_in(Desk(app, None), ip="198.51.100.99").status_code == 302


def test_nobody_can_lock_another_out_of_a_browser_they_use(app: Flask, maya: Operator) -> None:
    known = Desk(app, None)
    assert sign_in(known).status_code == 302
    known.post("/logout")
    for _ in range(20):
        sign_in(Desk(app, None), password="wrong")  # from the same address, too
    assert sign_in(Desk(app, None)).status_code == 429
    assert sign_in(_with_token(known)).status_code == 302


def test_a_known_browser_is_counted_too(app: Flask, maya: Operator) -> None:
    known = Desk(app, None)
    sign_in(known)
    known.post("/logout")
    statuses = [sign_in(_with_token(known), password="wrong").status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]


def test_a_known_browser_is_known_for_its_own_account_only(app: Flask, maya: Operator) -> None:
    with_password(employ("agent", name="Leo Brandt", email="leo@example.com"))
    known = Desk(app, None)
    sign_in(known)
    known.post("/logout")
    for _ in range(10):
        sign_in(_with_token(known), "leo@example.com", "wrong")
    assert sign_in(_with_token(known), "leo@example.com").status_code == 429


def test_one_address_may_try_thirty_times_whatever_the_account(app: Flask, maya: Operator) -> None:
    for number in range(30):
        assert sign_in(Desk(app, None), f"a{number}@example.com", "guess").status_code == 401
    assert sign_in(Desk(app, None), "another@example.com", "guess").status_code == 429
    assert sign_in(Desk(app, None), ip="192.0.2.1").status_code == 302


def test_the_addresses_of_one_ipv6_customer_are_one(app: Flask, maya: Operator) -> None:
    for number in range(30):
        sign_in(Desk(app, None), f"a{number}@example.com", "guess", ip=f"2001:db8:1:2::{number:x}")
    assert sign_in(Desk(app, None), "b@example.com", "guess", ip="2001:db8:1:2:ffff::1").status_code == 429
    assert sign_in(Desk(app, None), "b@example.com", "guess", ip="2001:db8:1:3::1").status_code == 401


def test_tries_made_at_once_are_all_counted(app: Flask, maya: Operator) -> None:
    desks = [Desk(app, None) for _ in range(15)]
    answers = at_once(app, *(lambda desk=desk: sign_in(desk, password="wrong").status_code for desk in desks))
    assert sorted(answers) == [401] * 10 + [429] * 5


def test_a_good_login_is_not_counted_as_a_try(app: Flask, maya: Operator) -> None:
    for _ in range(12):
        assert sign_in(Desk(app, None)).status_code == 302
    assert Attempt.select().count() == 0


def test_what_was_typed_as_email_is_not_kept(app: Flask) -> None:
    sign_in(Desk(app, None), "my secret password", "x")
    assert not [row for row in Attempt.select() if "secret" in row.key]


# Passwords


def test_a_hash_of_other_parameters_is_made_anew(real_hash: None, app: Flask, maya: Operator) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    Operator.update(password_hash=weak).where(Operator.id == maya.id).execute()
    assert sign_in(Desk(app, None)).status_code == 302
    stored = Operator.get_by_id(maya.id).password_hash
    assert stored != weak
    assert not passwords.is_outdated(stored)


def test_a_hash_that_cannot_be_read_opens_nothing(app: Flask, maya: Operator) -> None:
    Operator.update(password_hash="").where(Operator.id == maya.id).execute()
    assert sign_in(Desk(app, None), password="").status_code == 401
    assert sign_in(Desk(app, None)).status_code == 401


# Demo logins


@pytest.fixture
def demo(app: Flask) -> Operator:
    """A demo login."""
    return with_password(employ("admin", email="demo@example.com", demo=True))


@pytest.mark.parametrize(
    ("ip", "header", "status"),
    [
        ("127.0.0.1", {}, 302),
        ("127.8.8.8", {}, 302),
        ("::1", {}, 302),
        ("198.51.100.7", {}, 401),
        ("10.0.0.1", {}, 401),
        ("198.51.100.7", {"X-Forwarded-For": "127.0.0.1"}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "198.51.100.7"}, 401),
        ("127.0.0.1", {"Forwarded": "for=198.51.100.7"}, 401),
    ],
)
def test_a_demo_login_works_on_this_machine_only(
    app: Flask, demo: Operator, ip: str, header: dict[str, str], status: int
) -> None:
    desk = Desk(app, None)
    form = {"csrf_token": desk.token, "email": demo.email, "password": PASSWORD}
    answer = desk.http.post("/login", data=form, environ_base={"REMOTE_ADDR": ip}, headers=header)
    assert answer.status_code == status
    if status == 401:
        assert WRONG in words(answer)


def test_a_demo_cookie_is_worth_nothing_elsewhere(app: Flask, demo: Operator) -> None:
    desk = Desk(app, demo)
    assert desk.get("/audience/", environ_base={"REMOTE_ADDR": "127.0.0.1"}).status_code == 200
    assert desk.get("/audience/", environ_base={"REMOTE_ADDR": "198.51.100.7"}).status_code == 302


@pytest.fixture
def behind_proxy(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """An app that trusts one proxy."""
    app = create_app(settings_for(database_url, tmp_path, plugins=PLUGINS, trusted_proxies=1))
    with app.app_context():
        yield app
    close(app)


def test_behind_a_trusted_proxy_the_address_is_the_one_that_it_names(behind_proxy: Flask) -> None:
    with_password(employ("admin", email="demo@example.com", demo=True))
    desk = Desk(behind_proxy, None)
    form = {"csrf_token": desk.token, "email": "demo@example.com", "password": PASSWORD}
    for forwarded, status in (("198.51.100.7", 401), ("127.0.0.1", 302)):
        answer = desk.http.post("/login", data=form, headers={"X-Forwarded-For": forwarded})
        assert answer.status_code == status


# Forms and headers


def test_every_post_needs_the_token(app: Flask, maya: Operator) -> None:
    desk = Desk(app, maya)
    for rule in app.url_map.iter_rules():
        decision = access.decision_on(app, rule.endpoint)
        if "POST" not in (rule.methods or ()) or (rule.endpoint.split(".")[0] not in ("audience", "panel")):
            continue
        answer = desk.http.post(str(rule).replace("<key>", "anybody"), headers={"Accept": "text/html"})
        assert answer.status_code == 400, (rule.endpoint, decision)
        assert "The form was too old" in words(answer)


def test_providers_post_without_a_token(app: Flask) -> None:
    assert Desk(app, None).http.post("/webhooks/unknown", json={}).status_code == 404


def test_pages_load_nothing_from_elsewhere_and_run_nothing_inline(app: Flask, maya: Operator) -> None:
    for path in ("/login", "/audience/", "/no-such-page", "/static/panel/shell.js"):
        with Desk(app, maya).get(path) as answer:
            headers = answer.headers
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY


def test_pages_of_the_panel_are_not_kept_by_browsers(app: Flask, maya: Operator) -> None:
    assert Desk(app, maya).get("/audience/").headers["Cache-Control"] == "no-store"


def test_an_error_is_a_page_without_a_traceback(
    app: Flask, maya: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("admin.views.audience.audience.page", lambda *_, **__: 1 / 0)
    page = Desk(app, maya).get("/audience/")
    assert page.status_code == 500
    assert "ZeroDivisionError" not in page.text
    assert "Reference" in words(page)
    data = Desk(app, maya).parts("/audience/rows")
    assert data.json["error"] == 500
    assert data.json["reference"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("POST", "/audience/", 405), ("GET", "/audience/?older=x", 400)],
)
def test_what_cannot_be_served_says_what_to_do(
    app: Flask, maya: Operator, method: str, path: str, status: int
) -> None:
    desk = Desk(app, maya)
    page = desk.get(path) if method == "GET" else desk.post(path)
    assert page.status_code == status
    assert "Back to the audience" in words(page)


# parley operator


def run(*arguments: str, typed: str = "") -> tuple[int, str]:
    """Run a command of `parley operator`."""
    result = CliRunner().invoke(operator_group, arguments, input=typed)
    return result.exit_code, result.output


def test_an_operator_is_added_with_a_typed_password(app: Flask) -> None:
    arguments = ("add", "New@Example.com", "--name", "New Person", "--role", "agent", "--role", "builder")
    assert run(*arguments, typed=f"{PASSWORD}\n{PASSWORD}\n")[0] == 0
    added = Operator.get(Operator.email == "new@example.com")
    assert added.roles == ["agent", "builder"]
    assert sign_in(Desk(app, None), "new@example.com").status_code == 302


def test_an_operator_is_added_with_a_password_from_standard_input(app: Flask) -> None:
    code, said = run(
        "add", "n@example.com", "--name", "N", "--role", "auditor", "--password-stdin", typed=PASSWORD
    )
    assert (code, PASSWORD in said) == (0, False)
    assert passwords.is_right(PASSWORD, Operator.get().password_hash)


@pytest.mark.parametrize(
    ("arguments", "typed", "said"),
    [
        (("add", "maya@example.com", "--name", "M", "--role", "agent"), PASSWORD, "is an operator already"),
        (("add", "n@example.com", "--name", "N", "--role", "agent"), "short", "10 are the least"),
        (("add", "nobody", "--name", "N", "--role", "agent"), PASSWORD, "is no email address"),
        (("add", "n@example.com", "--name", "N", "--role", "wizard"), PASSWORD, "wizard"),
        (("password", "x@example.com"), PASSWORD, "There is no operator x@example.com"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_changes(
    app: Flask, maya: Operator, arguments: tuple[str, ...], typed: str, said: str
) -> None:
    code, output = run(*arguments, "--password-stdin", typed=typed)
    assert code != 0
    assert said in output
    assert Operator.select().count() == 1


def test_a_new_password_ends_every_login(app: Flask, maya: Operator) -> None:
    desk = Desk(app, maya)
    assert run("password", "maya@example.com", "--password-stdin", typed="another long password")[0] == 0
    assert desk.get("/audience/").status_code == 302
    assert sign_in(Desk(app, None)).status_code == 401
    assert sign_in(Desk(app, None), password="another long password").status_code == 302


def test_the_list_shows_everyone_who_may_sign_in(app: Flask, maya: Operator) -> None:
    Operator.update(name="[red]Maya[/red]").where(Operator.id == maya.id).execute()
    output = run("list")[1]
    assert "maya@example.com" in output
    assert "agent" in output
    assert "[red]Maya[/red]" in output


def _with_token(desk: Desk) -> Desk:
    """Give a browser that has signed out a token for the next login form."""
    with desk.http.session_transaction() as cookie:
        cookie["csrf_token"] = "the raw token of the tests"
    return desk
