"""The API: properties of users read and set by programs, each by the token of an operator."""

import hashlib
import json
import logging
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask

from admin import access
from core import cli, definitions, properties
from core.catalogue import Writer
from core.clock import HeldClock
from core.models import Operator, Origin, PropertyChange, User, UserState
from core.settings import SHIPPED
from fake_channel import says
from panel import Browser, Desk, employ
from plugins.api import limits, tokens
from plugins.api.models import Token
from plugins.api.operations import OPERATIONS
from plugins.api.tokens import Scope
from programs import PEOPLE, Program, define, known_user, problem

PLUGINS = ("fake_channel", *SHIPPED)


@pytest.fixture
def asha(app: Flask) -> User:
    """A user who wrote once."""
    return known_user()


@pytest.fixture
def maya(app: Flask) -> Operator:
    """An admin, who may everything."""
    return employ("admin")


@pytest.fixture
def crm(app: Flask, maya: Operator) -> Program:
    """A program that may everything that the API can."""
    return Program(app, maya)


# ── Values ────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_set_is_what_is_read_with_who_set_it(
    asha: User, crm: Program, clock: HeldClock
) -> None:  # P6
    define()
    answer = crm.set(asha, city="Delhi")
    assert (answer.status_code, answer.json["changed"]) == (200, ["city"])
    [city] = answer.json["properties"]
    assert city == crm.one(asha, "city")
    assert (city["state"], city["value"], city["held"], city["locked"]) == ("set", "Delhi", True, False)
    assert city["changed"] == {
        "at": clock.now().isoformat().replace("+00:00", "Z"),
        "by": {"origin": "api", "name": "CRM"},
        "message": None,
    }
    change = PropertyChange.get_by_id(city["version"])
    assert change.operator_id == crm.token.operator_id


def test_every_active_property_is_listed_and_a_locked_one_says_why(asha: User, crm: Program) -> None:
    define("plan", editable_by=("agent",))
    define("old")
    definitions.archive("old")
    found = {one["key"]: one for one in crm.get(f"/users/{asha.key}/properties").json["properties"]}
    assert {"name", "email", "labels", "last_seen", "plan"} <= found.keys()
    assert "old" not in found
    assert found["messages_received"]["value"] == 1
    assert found["messages_received"]["reason"] == "Parley computes this property, so nobody can edit it."
    assert found["plan"]["reason"] == "Only agents may edit this."


def test_all_or_nothing_is_set_and_each_refusal_names_its_key(asha: User, crm: Program) -> None:  # P5
    define()
    define("age", type="integer")
    answer = problem(crm.set(asha, city="Delhi", age="forty-two", nobody=1, last_seen="now"), 422)
    said = {error["key"]: error["detail"] for error in answer["errors"]}
    assert said.keys() == {"age", "nobody", "last_seen"}
    assert said["age"].startswith("`age` takes a whole number")
    assert said["nobody"] == "There is no property `nobody`. Define it first."
    assert "forty-two" not in json.dumps(answer)
    assert crm.one(asha, "city")["state"] == "unset"


@pytest.mark.parametrize(
    ("word", "state"), [(None, "unset"), ("", "unset"), ("UNSET", "unset"), ("SKIPPED", "skipped")]
)
def test_words_take_a_value_away(asha: User, crm: Program, word: Any, state: str) -> None:
    define()
    crm.set(asha, city="Delhi")
    assert crm.set(asha, city=word).json["properties"][0]["state"] == state


def test_the_same_again_changes_nothing_more(asha: User, crm: Program) -> None:
    define()
    first = crm.set(asha, city="Delhi").json
    again = crm.set(asha, city="Delhi").json
    assert again == {**first, "changed": []}
    assert PropertyChange.select().where(PropertyChange.actor == "CRM").count() == 1


def test_who_was_quicker_is_told_with_what_stands(asha: User, crm: Program) -> None:  # P7
    define()
    seen = crm.set(asha, city="Delhi").json["properties"][0]["version"]
    agent = Writer(Origin.OPERATOR, "Theo", groups=frozenset({"agent"}))
    properties.write(asha.id, {"city": "Pune"}, agent)
    answer = problem(crm.set(asha, seen={"city": seen}, city="Goa"), 409)
    [error] = answer["errors"]
    assert (error["key"], error["now"]["value"], error["now"]["changed"]["by"]["name"]) == (
        "city",
        "Pune",
        "Theo",
    )
    assert crm.one(asha, "city")["value"] == "Pune"
    assert crm.set(asha, seen={"city": error["now"]["version"]}, city="Goa").status_code == 200


def test_what_is_not_taken_for_another_reason_is_no_conflict(asha: User, crm: Program) -> None:
    define()
    define("age", type="integer")
    crm.set(asha, city="Delhi")
    answer = problem(crm.set(asha, seen={"city": 0}, city="Goa", age="x"), 422)
    assert {error["key"]: error.get("conflict", False) for error in answer["errors"]} == {
        "city": True,
        "age": False,
    }


def test_a_version_of_a_key_that_is_not_set_is_refused(asha: User, crm: Program) -> None:
    define()
    assert "`seen` has keys" in problem(crm.set(asha, seen={"town": 1}, city="Goa"), 422)["detail"]


def test_what_a_program_set_no_bot_changes(asha: User, crm: Program) -> None:  # P6
    define()
    crm.set(asha, city="Delhi")
    bot = Writer(Origin.BOT, "Order bot", groups=frozenset({"bot"}))
    properties.write(asha.id, {"city": "Pune"}, bot, whole=False)
    assert crm.one(asha, "city")["value"] == "Delhi"


def test_only_what_is_open_to_the_api_can_be_set(asha: User, crm: Program) -> None:
    define(editable_by=PEOPLE)
    [error] = problem(crm.set(asha, city="Delhi"), 422)["errors"]
    assert error["detail"] == "`city` is locked. Only admins, builders and agents may edit this."


def test_a_history_is_read_page_by_page_while_it_grows(asha: User, crm: Program) -> None:
    define()
    for city in ("Agra", "Delhi", "Goa", "Pune", "Surat"):
        crm.set(asha, city=city)
    path, cities, before = f"/users/{asha.key}/properties/city/history", [], None
    while True:
        page = crm.get(path, limit=2, **({"before": before} if before else {})).json
        cities += [one["after"]["value"] for one in page["changes"]]
        crm.set(asha, city=f"later {len(cities)}")
        if (before := page["next"]) is None:
            break
    assert cities == ["Surat", "Pune", "Goa", "Delhi", "Agra"]
    assert page["changes"][-1]["before"] == {"state": "unset", "value": None, "masked": False}


def test_a_session_property_is_that_of_the_newest_session(
    asha: User, crm: Program, clock: HeldClock
) -> None:  # P1
    define("mood", scope="session")
    crm.set(asha, mood="glad")
    assert crm.one(asha, "mood")["value"] == "glad"
    clock.advance(days=2)
    says(User.get_by_id(asha.id).last_identity.deployment)
    assert (crm.one(asha, "mood")["state"], crm.one(asha, "mood")["version"]) == ("unset", 0)


@pytest.mark.parametrize("key", ["nobody", "%00", "..", "a" * 5000, "%F0%9F%98%80", "' OR 1=1 --"])
def test_a_user_or_property_that_is_not_there_is_not_found(asha: User, crm: Program, key: str) -> None:
    problem(crm.get(f"/users/{key}/properties"), 404)
    problem(crm.get(f"/users/{asha.key}/properties/{key}/history"), 404)
    problem(crm.send("PATCH", f"/properties/{key}", {"label": "x"}), 404)


def test_a_user_who_is_gone_is_not_found(asha: User, crm: Program) -> None:
    User.update(state=UserState.ERASED).where(User.id == asha.id).execute()
    problem(crm.get(f"/users/{asha.key}/properties"), 404)
    problem(crm.set(asha, name="Bo"), 404)


# ── Who may what ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_never_sees_what_its_owner_may_not(app: Flask, asha: User) -> None:
    define("plan")
    for role, sees in (("admin", True), ("agent", True), ("builder", False), ("auditor", False)):
        program = Program(app, employ(role), Scope.USERS_READ)
        email = program.one(asha, "email")
        assert (email["state"], email["value"]) == ("set", "asha@example.com" if sees else None), role
        assert email["masked"] is not sees
        history = program.get(f"/users/{asha.key}/properties/email/history")
        assert ("asha@example.com" in history.text) is sees, role
        assert program.one(asha, "plan")["masked"] is False


def test_who_may_not_see_a_value_sets_it_neither(app: Flask, asha: User) -> None:
    builder = Program(app, employ("builder"), Scope.USERS_READ, Scope.PROPERTIES_WRITE)
    [error] = problem(builder.set(asha, seen={"email": 0}, email="b@example.com"), 422)["errors"]
    assert error["detail"] == "`email` is locked. Your role does not see this value, so it cannot edit it."
    assert "now" not in error


def test_a_token_does_what_its_scopes_say(app: Flask, asha: User, maya: Operator) -> None:
    define()
    calls = {
        Scope.USERS_READ: ("GET", f"/users/{asha.key}/properties", None),
        Scope.PROPERTIES_WRITE: ("PATCH", f"/users/{asha.key}/properties", {"properties": {"city": "Goa"}}),
        Scope.PROPERTIES_DEFINE: ("POST", "/properties", {"key": "town", "label": "Town"}),
    }
    for scope in Scope:
        program = Program(app, maya, scope)
        for wanted, (method, path, body) in calls.items():
            answer = program.send(method, path, body) if body else program.get(path)
            if wanted == scope:
                assert answer.status_code in (200, 201)
            else:
                assert f"`{wanted}`" in problem(answer, 403)["detail"]
                assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


def test_a_token_follows_the_role_of_now(app: Flask, asha: User, maya: Operator, crm: Program) -> None:
    def become(*roles: str) -> None:
        Operator.update(roles=list(roles)).where(Operator.id == maya.id).execute()

    become("auditor")
    assert crm.one(asha, "email")["masked"] is True
    assert problem(crm.set(asha, language="en"), 403)["detail"].startswith("The owner of this token edits no")
    problem(crm.send("POST", "/properties", {"key": "city", "label": "City"}), 403)
    become()
    problem(crm.get(f"/users/{asha.key}/properties"), 404)
    problem(crm.get("/properties"), 403)


def test_the_login_of_an_operator_opens_nothing_here(app: Flask, asha: User, maya: Operator) -> None:
    desk = Desk(app, maya)
    answer = desk.get(f"/api/v1/users/{asha.key}/properties")
    problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="parley"'
    builder = Program(app, employ("builder"))
    desk.http.environ_base["HTTP_AUTHORIZATION"] = builder.headers["Authorization"]
    found = desk.get(f"/api/v1/users/{asha.key}/properties").json["properties"]
    assert next(one for one in found if one["key"] == "email")["masked"] is True


def test_every_route_of_the_api_says_what_scope_it_needs(app: Flask) -> None:
    routes = {rule.endpoint for rule in app.url_map.iter_rules() if rule.endpoint.startswith("api.")}
    assert routes == OPERATIONS.keys()
    for endpoint in routes:
        assert getattr(access.decision_on(app, endpoint), "reason", "").startswith("The token")


# ── Tokens ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_dies_with_its_time_its_owner_and_its_end(
    app: Flask, maya: Operator, crm: Program, clock: HeldClock
) -> None:
    other = Program(app, maya)
    tokens.revoke(other.token.key)
    assert problem(other.get("/properties"), 401)["detail"] == "This token was revoked."
    Operator.update(active=False).where(Operator.id == maya.id).execute()
    assert "owner of this token may not sign in" in problem(crm.get("/properties"), 401)["detail"]
    Operator.update(active=True).where(Operator.id == maya.id).execute()
    clock.advance(days=30, seconds=-1)
    assert crm.get("/properties").status_code == 200
    clock.advance(seconds=1)
    answer = crm.get("/properties")
    assert problem(answer, 401)["detail"] == "This token has expired. Ask an admin for another."
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer x",
        "Basic {text}",
        "Bearer {text}x",
        "Bearer parley_{key}_",
        "{text}",
        "Bearer \xff",
    ],
)
def test_what_is_no_token_opens_nothing(app: Flask, crm: Program, header: str) -> None:
    given = header.format(text=crm.text, key=crm.token.key)
    problem(crm.http.get("/api/v1/properties", headers={"Authorization": given}), 401)


def test_another_secret_for_the_same_key_opens_nothing(app: Flask, maya: Operator, crm: Program) -> None:
    secret = Program(app, maya).text.rpartition(f"{tokens.PREFIX}")[2].partition("_")[2]
    crm.headers = {"Authorization": f"Bearer parley_{crm.token.key}_{secret}"}
    problem(crm.get("/properties"), 401)


def test_a_token_stands_neither_in_the_database_nor_in_the_log(
    app: Flask, crm: Program, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    crm.get("/properties")
    secret = crm.text.partition(f"{crm.token.key}_")[2]
    kept = str(Token.select().where(Token.id == crm.token.id).dicts().get())
    assert crm.token.key in kept
    for form in (secret, hashlib.sha256(secret.encode()).hexdigest()):
        assert form not in kept + caplog.text


def test_the_last_use_is_noted_once_a_minute(crm: Program, clock: HeldClock) -> None:
    def used() -> Any:
        return Token.get_by_id(crm.token.id).last_used

    assert used() is None
    crm.get("/properties")
    first = used()
    assert first == clock.now()
    clock.advance(seconds=59)
    crm.get("/properties")
    assert used() == first
    clock.advance(seconds=1)
    crm.get("/properties")
    assert used() == clock.now()


def test_a_demo_login_lends_its_token_to_this_machine_only(app: Flask) -> None:
    program = Program(app, employ("admin", demo=True))
    assert program.get("/properties").status_code == 200
    program.http.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    problem(program.get("/properties"), 401)


def parley(*arguments: str) -> tuple[int, str]:
    """Run the `parley` command."""
    result = CliRunner().invoke(cli.parley, arguments)
    return result.exit_code, result.output


def test_a_token_is_made_listed_and_ended_at_the_command_line(
    app: Flask, maya: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_PLUGINS", ",".join(SHIPPED))
    code, said = parley("token", "add", maya.email, "--name", "CRM sync", "--scope", "users:read")
    text = said.splitlines()[-1]
    assert (
        code,
        Browser(app).get("/api/v1/properties", headers={"Authorization": f"Bearer {text}"}).status,
    ) == (
        0,
        "200 OK",
    )
    code, said = parley("token", "list", "--json")
    [row] = json.loads(said)
    assert (row["name"], row["scopes"], row["state"]) == ("CRM sync", "users:read", "works")
    assert text not in said
    assert parley("token", "revoke", row["key"]) == (0, f"CRM sync ({row['key']}) does not work any more.\n")
    assert json.loads(parley("token", "list", "--json")[1])[0]["state"] == "revoked"
    assert parley("token", "revoke", row["key"])[0] == 1


@pytest.mark.parametrize(
    ("role", "scope", "more", "sentence"),
    [
        ("auditor", "properties:write", [], "do not cover `properties:write`"),
        ("agent", "properties:define", [], "do not cover `properties:define`"),
        ("admin", "users:read", ["--days", "0"], "good for 1 to 730 days"),
        ("admin", "users:read", ["--name", " "], "has 1 to 60 characters"),
    ],
)
def test_a_token_that_could_do_nothing_is_not_made(
    app: Flask, monkeypatch: pytest.MonkeyPatch, role: str, scope: str, more: list[str], sentence: str
) -> None:
    monkeypatch.setenv("PARLEY_PLUGINS", ",".join(SHIPPED))
    code, said = parley("token", "add", employ(role).email, "--name", "X", "--scope", scope, *more)
    assert code == 1
    assert sentence in said
    assert Token.select().count() == 0


def test_a_token_has_so_many_requests_a_minute(
    app: Flask, maya: Operator, crm: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EACH_MINUTE", 3)
    answers = [crm.get("/properties") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    problem(answers[-1], 429)
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert Program(app, maya).get("/properties").status_code == 200
