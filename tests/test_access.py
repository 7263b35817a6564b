"""Roles and masks: every role on every route, and what of a person each role can find anywhere in a page."""

import pytest
from flask import Flask

from admin import access
from core import Alias, AliasesChanged, Profile, inbound
from core.channel import Received
from core.clock import HeldClock
from core.models import User, UserState
from core.settings import SHIPPED
from fake_channel import deploy, says, user_of
from panel import EVERY_ROLE, Desk, employ, words
from visitors import deploy as put_widget

PLUGINS = ("fake_channel", *SHIPPED, "plugins.demo")

READS = {"admin", "builder", "agent", "auditor"}
CHATS = {"admin", "agent"}
EDITS = {"admin", "builder", "agent"}
DEFINES = {"admin", "builder"}
PURGES = {"admin"}
TABLE = {
    "admin.index": READS,
    "panel.logout": READS,
    "audience.index_view": READS,
    "audience.rows": READS,
    "audience.live_list": READS,
    "audience.choose_columns": READS,
    "audience.other_columns": READS,
    "audience.filter_area": READS,
    "audience.change_filter": READS,
    "audience.filter_counts": READS,
    "audience.profile": READS,
    "audience.parts": READS,
    "audience.stream": READS,
    "audience.live_profile": READS,
    "audience.properties": READS,
    "audience.property_row": READS,
    "audience.save_property": EDITS,
    "audience.release_property": EDITS,
    "audience.restore_property": EDITS,
    "audience.start_chat": CHATS,
    "audience.send": CHATS,
    "audience.send_template": CHATS,
    "audience.release": CHATS,
    "audience.placeholders": CHATS,
    "audience.preview": CHATS,
    "audience.templates": CHATS,
    "definitions.index": DEFINES,
    "definitions.new": DEFINES,
    "definitions.definition": DEFINES,
    "definitions.pin": DEFINES,
    "definitions.move": DEFINES,
    "definitions.personal": DEFINES,
    "definitions.archive": DEFINES,
    "definitions.restore": DEFINES,
    "definitions.purge": PURGES,
    "definitions.convert": DEFINES,
    "definitions.forget": DEFINES,
    "definitions.refuse": DEFINES,
    "definitions.reconsider": DEFINES,
    "definitions.import_file": DEFINES,
    "definitions.export_file": DEFINES,
}
"""PRODUCT.md's roles, for every page of the panel that wants a login."""

PERSON = Profile(name="Asha Raghunathan", phone="+919876543210", email="asha.rg@example.com")
SECRETS = (
    "Raghunathan",
    "9876543210",
    "98765 43210",
    "asha.rg",
    "visitor-alias-of-asha",
    "order=4711",
    "203.0.113.77",
    "click-7f3a",
    "5550142",
    "known-before-as",
)
"""What only those who see personal data in clear may find, in whatever form it is written."""


@pytest.fixture
def asha(app: Flask, clock: HeldClock) -> User:
    """A user of whom much is known, on a channel with footprints."""
    widget = put_widget("shop")
    footprint = {
        "page": "https://shop.example.com/desks?order=4711",
        "ip": "203.0.113.77",
        "gclid": "click-7f3a9b2c",
    }
    card = {
        "name": "Uncle",
        "phones": [{"number": "+1 555 5550142"}],
        "emails": ["known-before-as@example.com"],
    }
    aliases = (Alias("visitor", "visitor-alias-of-asha"),)
    message = {"at": clock.now(), "aliases": aliases, "profile": PERSON, "footprint": footprint}
    accepted = inbound.accept(widget, Received(id="1", text="hello", **message), clock.now())
    contacts = {"kind": "contacts", "payload": {"contacts": [card]}}
    inbound.accept(widget, Received(id="2", text="Uncle", **message, **contacts), clock.now())
    unknown = {"kind": "unknown", "payload": {"raw": {"from": "5550142"}}}
    inbound.accept(widget, Received(id="3", text="?", **message, **unknown), clock.now())
    changed = AliasesChanged(
        id="4", at=clock.now(), before=aliases, after=aliases, text="This user was known-before-as 5550142."
    )
    inbound.accept(widget, changed, clock.now())
    return user_of(accepted)


def test_every_route_has_a_decision(app: Flask) -> None:
    undecided = [
        str(rule) for rule in app.url_map.iter_rules() if access.decision_on(app, rule.endpoint) is None
    ]
    assert undecided == []


def test_the_table_names_every_route_that_wants_a_login(app: Flask) -> None:
    wanting = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if not getattr(access.decision_on(app, rule.endpoint), "is_public", False)
    }
    assert wanting == set(TABLE)


def test_a_route_without_a_decision_is_refused_to_everybody(app: Flask) -> None:
    app.add_url_rule("/undecided", "undecided", lambda: "secret")
    for desk in (Desk(app, None), Desk(app, employ("admin"))):
        answer = desk.get("/undecided")
        assert answer.status_code == 403
        assert "Nobody decided who may use this page" in words(answer)


@pytest.mark.parametrize("role", [*EVERY_ROLE, "none", "anonymous"])
def test_each_role_on_each_route(app: Flask, asha: User, role: str) -> None:
    operator = None if role == "anonymous" else employ(*([role] if role != "none" else []))
    for rule in app.url_map.iter_rules():
        if rule.endpoint not in TABLE:
            continue
        desk = Desk(app, operator)
        path = str(rule).replace("<key>", asha.key)
        posts = "POST" in (rule.methods or ())
        answer = desk.post(path) if posts else desk.get(path)
        answer.close()
        if role == "anonymous":
            assert answer.status_code == 401 if posts else "/login?next=" in answer.location or path == "/"
        elif rule.endpoint in ("admin.index", "panel.logout"):
            assert answer.status_code == 302  # any operator, even one without a role
        elif role in TABLE[rule.endpoint]:
            assert answer.status_code in (200, 302, 303, 404, 409, 422), (rule.endpoint, answer.status_code)
        else:
            assert answer.status_code == 403, rule.endpoint


def test_roles_combine() -> None:
    both = access.permissions(_with_roles("builder", "agent"))
    assert both == access.ROLES["builder"] | access.ROLES["agent"]
    assert access.permissions(_with_roles("admin")) == frozenset(access.May)


def test_roles_that_do_not_exist_and_inactive_operators_may_nothing() -> None:
    assert access.permissions(_with_roles("wizard")) == frozenset()
    inactive = _with_roles("admin")
    inactive.active = False
    assert access.permissions(inactive) == frozenset()
    assert access.permissions(None) == frozenset()


def test_nothing_tells_a_builder_or_an_auditor_who_it_is(app: Flask, asha: User) -> None:
    pages = (
        "/audience/",
        "/audience/rows",
        f"/audience/{asha.key}",
        f"/audience/{asha.key}/parts",
        f"/audience/{asha.key}/stream",
    )
    for role in ("builder", "auditor"):
        desk = Desk(app, employ(role))
        for page in pages:
            text = desk.get(page).text
            assert "Asha R." in text
            assert [secret for secret in SECRETS if secret in text] == [], page


def test_nothing_that_was_drawn_for_one_role_is_shown_to_another(app: Flask, asha: User) -> None:
    agent, builder = Desk(app, employ("agent")), Desk(app, employ("builder"))
    for _ in range(2):
        assert "Raghunathan" in agent.get("/audience/rows").text
        assert "Raghunathan" not in builder.get("/audience/rows").text


def test_an_agent_sees_it_all(app: Flask, asha: User) -> None:
    text = Desk(app, employ("agent")).get(f"/audience/{asha.key}").text
    written_otherwise = {"9876543210"}
    assert [secret for secret in SECRETS if secret not in text and secret not in written_otherwise] == []


@pytest.mark.parametrize(
    ("query", "clear", "masked"),
    [
        ("asha r", 1, 1),
        ("raghunathan", 1, 0),
        ("ra", 0, 0),
        ("9876543210", 1, 0),
        ("543210", 1, 0),
        ("asha.rg@", 1, 0),
        ("visitor-alias", 1, 0),
    ],
)
def test_nobody_finds_by_what_they_may_not_read(
    app: Flask, asha: User, query: str, clear: int, masked: int
) -> None:
    for role, found in (("agent", clear), ("builder", masked), ("auditor", masked)):
        page = Desk(app, employ(role)).get("/audience/rows", query_string={"search": query})
        assert page.text.count("<tr data-key=") == found, role
        assert f'data-count="{found} user' in page.text


def test_nobody_sorts_by_what_they_may_not_read(app: Flask, asha: User, clock: HeldClock) -> None:
    clock.advance(minutes=1)
    says(deploy(), "b", profile=Profile(name="Asha Banerjee"))
    path = "/audience/rows?sort=name&desc=0"
    assert _names(Desk(app, employ("agent")).get(path).text) == ["Asha Banerjee", "Asha Raghunathan"]
    clock.advance(minutes=1)
    says(deploy(account="two"), "c", profile=Profile(name="Asha Zaman"))
    builder = Desk(app, employ("builder")).get(path).text
    assert _names(builder) == ["Asha Z.", "Asha B.", "Asha R."]  # newest first
    assert "sort=name" not in builder


def test_a_user_who_is_gone_is_not_found(app: Flask, asha: User) -> None:
    desk = Desk(app, employ("agent"))
    User.update(state=UserState.ERASED).where(User.id == asha.id).execute()
    for path in (f"/audience/{asha.key}", "/audience/nobody", "/audience/%00", "/audience/%ED%A0%80"):
        assert desk.get(path).status_code == 404
    assert desk.post(f"/audience/{asha.key}/start-chat").status_code == 404


def test_what_is_shown_follows_the_role_of_now(app: Flask, asha: User) -> None:
    maya = employ("agent")
    desk = Desk(app, maya)
    assert "Raghunathan" in desk.get("/audience/").text
    type(maya).update(roles=["auditor"]).where(type(maya).id == maya.id).execute()
    assert "Raghunathan" not in desk.get("/audience/").text


def _names(text: str) -> list[str]:
    return [piece.split("</bdi>")[0].rpartition("<bdi>")[2] for piece in text.split('class="au-user__n"')[1:]]


def _with_roles(*roles: str) -> access.Operator:
    return access.Operator(email="x@example.com", name="X", roles=list(roles), active=True)
