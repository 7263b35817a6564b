"""The demo workspace: what is loaded is what core would have written, and nothing leaves this machine."""

import json
import os
import random
import re
import shutil
import signal
import stat
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pytest
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner
from flask import Flask
from peewee import fn
from playwright.sync_api import Browser, Page, expect

from admin import passwords
from conftest import close, settings_for
from core import (
    Alias,
    Author,
    Outbound,
    ReachKind,
    Received,
    clock,
    conversation,
    definitions,
    properties,
    property_jobs,
    proposals,
    search,
    values,
)
from core.app import create_app
from core.catalogue import Writer, catalogue
from core.channel import AuthorKind, Delivery
from core.cli import parley as command
from core.clock import HeldClock
from core.db import database
from core.deployments import add_deployment
from core.gate import gate
from core.inbound import accept
from core.models import (
    Deployment,
    Event,
    Identity,
    IdentityAlias,
    Job,
    Message,
    Operator,
    Origin,
    PropertyChange,
    PropertyOffer,
    Role,
    Session,
    Template,
    User,
)
from core.outbound import send
from core.worker import Worker
from plugins.demo import bot, workspace
from plugins.demo.cast import COUNT, drafts
from plugins.demo.draft import Draft, Sets
from plugins.demo.people import people
from plugins.demo.phrases import LANGUAGES, TEXTS
from plugins.demo.properties import PINNED, PROPERTIES
from plugins.demo.store import SAID
from plugins.demo.whatsapp_provider.examine import TEMPLATES
from running import Running, wait_for
from servers import drop_postgres, postgres_url


def load(url: str) -> None:
    """Fill an empty database with the demo; the tests work on copies of it."""
    with TemporaryDirectory() as folder:
        app = create_app(settings_for(url, Path(folder), demo=True))
        with app.app_context(), database.connection_context():
            workspace.load()
        close(app)


@pytest.fixture(scope="session")
def loaded_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded database with the demo, to be copied."""
    path = tmp_path_factory.mktemp("demo") / "parley.db"
    load(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def demo(request: pytest.FixtureRequest, tmp_path: Path, clock: HeldClock) -> Iterator[Flask]:
    """An app with the demo, and the clock held at the moment at which that was loaded."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("loaded_sqlite"), tmp_path / "parley.db")
        url = f"sqlite:///{tmp_path}/parley.db"
    else:
        url = postgres_url(load)
    app = create_app(settings_for(url, tmp_path, demo=True))
    with app.app_context(), database.connection_context():
        workspace.password()
        clock.set(datetime.fromisoformat(workspace.read_setting(workspace.LOADED)))
        yield app
    close(app)
    if request.param == "postgresql":
        drop_postgres(url)


# ── What is loaded ────────────────────────────────────────────────────────────────────────────────


def test_counters_and_last_messages_are_what_the_messages_say(demo: Flask) -> None:
    assert User.select().count() == COUNT
    for user in User.select():
        messages = list(Message.select().where(Message.user == user).order_by(Message.at, Message.id))
        counted = [one for one in messages if counts(one)]
        wrote = [one for one in counted if one.author == "user"]
        assert user.received_count == len(wrote)
        assert user.sent_count == len(counted) - len(wrote)
        assert user.session_count == Session.select().where(Session.user == user).count()
        assert (user.last_message_at, user.last_message_author) == (counted[-1].at, counted[-1].author)
        assert user.last_seen == max((one.at for one in wrote), default=None)
        assert user.first_seen == min((one.at for one in wrote), default=None)
        assert user.event_seq == Event.select().where(Event.user == user).count()
        for session in Session.select().where(Session.user == user):
            inside = [one for one in counted if one.session_id == session.id]
            assert session.message_count == len(inside) > 0
            assert session.opened == inside[0].at
            assert session.last_message == inside[-1].at
        for identity in Identity.select().where(Identity.user == user):
            own = [one.at for one in wrote if one.identity_id == identity.id]
            assert identity.last_inbound == max(own, default=None)


def counts(message: Message) -> bool:
    """Say whether a message is an act of writing."""
    not_written = message.author == "system" or message.kind in ("edited", "deleted")
    return not (not_written or message.state == Delivery.NOT_SENT)


COMPARED = {
    User: ("received_count", "sent_count", "session_count", "first_seen", "last_seen", "last_message_at",
           "last_message_author", "last_message_name", "last_message_text"),
    Session: ("number", "opened", "last_inbound", "last_message", "expires", "handlers", "message_count",
              "footprint", "closed", "properties"),
    Message: ("at", "author", "author_name", "kind", "text", "payload", "reply_to", "state", "error"),
    PropertyChange: ("property", "before", "after", "origin", "actor", "operator", "at", "holds"),
    PropertyOffer: ("proposal", "value", "at"),
}  # fmt: skip


def test_it_is_what_core_would_have_written_message_by_message(demo: Flask, clock: HeldClock) -> None:
    agents = [one for one in Operator.select().order_by(Operator.id) if Role.AGENT in one.roles]
    told = list(drafts(agents, clock.now()))
    overruled = [draft for draft in told[20:] if is_overruled(draft)]
    for draft in [*told[:20], *told[20::60], *overruled[:3]]:
        loaded = by_alias(draft)
        again = tell(draft, loaded, clock)
        for table, columns in COMPARED.items():
            assert rows_of(table, loaded, columns) == rows_of(table, again, columns)
        assert place_of_last_identity(loaded) == place_of_last_identity(again)
        assert values.values(loaded.id) == values.values(again.id)
        assert texts_of_causes(loaded) == texts_of_causes(again)
        assert labels_of_entries(loaded) == labels_of_entries(again)


def is_overruled(draft: Draft) -> bool:
    """Say whether the bot would set what a person has set before."""
    held: set[str] = set()
    for one in sorted(draft.placed, key=lambda placed: placed.entry.at):
        if one.sets and one.sets.by.origin.is_person:
            held |= one.sets.given.keys()
        elif one.sets and held & one.sets.given.keys():
            return True
    return False


def by_alias(draft: Draft) -> User:
    alias = IdentityAlias.get(IdentityAlias.value == draft.identities[0].aliases[0].value)
    return User.get_by_id(alias.identity.user_id)


def tell(draft: Draft, like: User, clock: HeldClock) -> User:
    """Write the person's conversation once more, by core's own functions, as somebody else's."""
    keys = workspace.read_setting(workspace.DEPLOYMENTS)
    first = min(one.entry.at for one in draft.placed)
    said = {key: getattr(like, key) for key in SAID if getattr(like, key)}
    person = User.create(handler_since=clock.now(), **said)
    known = {}
    for one in draft.identities:
        where = Deployment.get(Deployment.key == keys[one.deployment])
        known[id(one)] = Identity.create(user=person, deployment=where)
    placed = sorted(draft.placed, key=lambda one: one.entry.at)
    came_by = known[id(placed[0].identity)].deployment.label
    properties.begin(person.id, said, Writer(Origin.CHANNEL, came_by), first)
    written: dict[str | None, int] = {}
    for each in placed:
        clock.set(each.entry.at)
        with database.atomic():
            user = conversation.lock_user(person.id)
            identity = Identity.get_by_id(known[id(each.identity)].id)
            if each.sets is None:
                entry = replace(each.entry, provider_id=None)
                written[each.entry.provider_id] = conversation.append(user, identity, entry, "told").id
            else:
                set_again(person.id, each.sets, written)
    return User.get_by_id(person.id)


def set_again(user_id: int, sets: Sets, written: dict[str | None, int]) -> None:
    cause = written[sets.cause] if sets.cause else None
    done = properties.write(user_id, sets.given, sets.by, message_id=cause, whole=False, quiet=sets.quiet)
    assert done.refused == ()
    assert proposals.offer(user_id, {key: sets.given[key] for key in done.unknown}, sets.by, cause) == []


def rows_of(table: Any, user: User, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    owner = table.id if table is User else table.user
    by_time = {Message: "id", PropertyChange: "id", PropertyOffer: "proposal"}
    order = (table.at, getattr(table, by_time[table])) if table in by_time else (table.id,)
    found = table.select().where(owner == user.id).order_by(*order)
    return [tuple(comparable(getattr(row, name)) for name in columns) for row in found]


def comparable(value: Any) -> Any:
    """Leave out the ids of changes, which are others."""
    return (
        {**value, "changes": len(value["changes"])}
        if isinstance(value, dict) and "changes" in value
        else value
    )


def texts_of_causes(user: User) -> list[tuple[str, Any, str | None]]:
    """Return what changed, and the text of the message that caused it."""
    changes = PropertyChange.select().where(PropertyChange.user == user.id)
    found = changes.order_by(PropertyChange.at, PropertyChange.id)
    return [(one.property.key, one.after, one.message and one.message.text) for one in found]


def labels_of_entries(user: User) -> list[list[str]]:
    """Return the keys of the changes that each entry of the conversation leads to."""
    entries = Message.select().where(Message.user == user.id, Message.kind == properties.CHANGED)
    return [
        [PropertyChange.get_by_id(one).property.key for one in entry.payload["changes"]]
        for entry in entries.order_by(Message.at, Message.id)
    ]


def place_of_last_identity(user: User) -> int:
    own = [one.id for one in Identity.select().where(Identity.user == user).order_by(Identity.id)]
    return own.index(user.last_identity_id)


def test_the_properties_of_the_design_are_there_and_filled_unevenly(demo: Flask) -> None:
    now = catalogue(fresh=True)
    assert [one.key for one in now.active if one.pinned is not None] == list(PINNED)
    assert {one.key for one in PROPERTIES} <= now.by_key.keys()
    filled = {
        one.key: sum(values.values(user_id)[one.key].is_set for (user_id,) in User.select(User.id).tuples())
        for one in (now.by_key[key] for key in (*PINNED, "labels", "cart_json"))
    }
    assert filled["plan"] > 250 > filled["city"] > 60
    assert all(5 < number < COUNT for number in filled.values()), filled
    assert Session.select().where(Session.properties.is_null(False)).count() > 200
    origins = {origin for (origin,) in PropertyChange.select(PropertyChange.origin).distinct().tuples()}
    assert {Origin.BOT, Origin.OPERATOR, Origin.API, Origin.IMPORT, Origin.CHANNEL} == origins
    assert [one.key for one in proposals.proposals()] == ["assembly_wanted", "delivery_slot"]
    assert not PropertyChange.select().where(PropertyChange.at > clock.now()).exists()


def test_the_same_people_come_again(demo: Flask, clock: HeldClock) -> None:
    agents = [one for one in Operator.select().order_by(Operator.id) if Role.AGENT in one.roles]
    one, other = (
        [placed.entry for draft in drafts(agents, clock.now()) for placed in draft.placed] for _ in range(2)
    )
    assert one == other
    assert len(one) > 2000


def test_there_is_something_of_everything(demo: Flask) -> None:
    def distinct(column: Any) -> set[Any]:
        return {value for (value,) in column.model.select(column).distinct().tuples()}

    assert {"bot", "waiting", "agent"} <= distinct(User.handler)
    assert {"read", "failed", "not_sent", "unconfirmed", "received"} <= distinct(Message.state)
    kinds = {"text", "image", "voice", "location", "contacts", "picked", "reaction", "order", "template"}
    assert kinds | {
        "edited",
        "deleted",
        "unknown",
        "claimed",
        "released",
        "paused",
        "bot_failed",
    } <= distinct(Message.kind)
    assert distinct(User.language) == set(LANGUAGES)
    whatsapp = [one.id for one in Deployment.select().where(Deployment.channel == "whatsapp")]
    assert len(whatsapp) == 2
    now, day = clock.now(), timedelta(hours=24)
    windows = [
        at
        for (at,) in Identity.select(Identity.last_inbound).where(Identity.deployment.in_(whatsapp)).tuples()
        if at
    ]
    left = [at + day - now for at in windows]
    assert sum(one > timedelta(hours=2) for one in left) > 20
    assert sum(timedelta(0) < one < timedelta(hours=2) for one in left) > 3
    assert sum(one < timedelta(0) for one in left) > 50
    assert User.select().where(User.last_seen.is_null()).count() == 1
    assert Identity.select().where(Identity.opted_out_at.is_null(False)).count() == 1
    two = Identity.select(Identity.user).group_by(Identity.user).having(fn.COUNT(Identity.id) == 2)
    assert two.count() > 10


def test_nothing_is_said_to_have_happened_in_the_future(demo: Flask) -> None:
    now = clock.now()
    assert not Message.select().where(Message.at > now).exists()
    assert not User.select().where(User.last_seen > now).exists()


def test_nothing_happens_by_itself_because_of_it(demo: Flask) -> None:
    assert not Job.select().where(Job.kind.not_in([definitions.INDEX, property_jobs.COUNT])).exists()
    assert not Event.select().where(~Event.handed_on).exists()


def test_people_are_found_by_search(demo: Flask) -> None:
    found = User.get(
        User.name == User.select(User.name).where(User.language == "ar", User.name.is_null(False)).scalar()
    )
    hits = User.select().where(search.matching(found.name, personal=True))
    assert found.id in [one.id for one in hits]


def test_templates_are_those_of_the_provider(demo: Flask) -> None:
    for deployment in Deployment.select().where(Deployment.channel == "whatsapp"):
        assert Template.select().where(Template.deployment == deployment).count() == len(TEMPLATES)


def test_it_is_loaded_within_seconds(tmp_path: Path) -> None:
    began = time.process_time()
    load(f"sqlite:///{tmp_path}/parley.db")
    assert time.process_time() - began < 6


def test_a_database_that_holds_anything_is_left_alone(app: Flask) -> None:
    add_deployment("web", "real", "Real", "real", {})
    with pytest.raises(click.ClickException, match="made-up people do not mix with real ones"):
        workspace.load()
    assert not User.select().exists()
    assert not Operator.select().exists()


def test_loading_twice_changes_nothing(demo: Flask) -> None:
    before = User.select().count()
    result = CliRunner().invoke(command, ["demo", "load"])
    assert result.exit_code == 0, result.output
    assert "loaded already" in result.output
    assert User.select().count() == before


# ── Logins and the way out ────────────────────────────────────────────────────────────────────────


def test_logins_are_demo_logins_with_a_password_of_this_installation(demo: Flask, tmp_path: Path) -> None:
    file = tmp_path / "demo-password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret = file.read_text().strip()
    roles = {role for one in Operator.select() for role in one.roles}
    assert roles == set(Role)
    assert all(one.demo and passwords.is_right(secret, one.password_hash) for one in Operator.select())
    file.unlink()
    other = workspace.password()
    assert other != secret
    assert passwords.is_right(other, Operator.get().password_hash)


def test_nothing_leaves_this_machine(demo: Flask) -> None:
    identity = Identity.select().join(Deployment).where(Deployment.label == "Support line").get()
    agent = Author(AuthorKind.AGENT, "Maya", 1)
    ours = gate(identity, Outbound(text="hi"), agent, clock.now())
    assert "demo workspace" not in ours.sentence
    deployment = identity.deployment
    Deployment.update(config={**deployment.config, "base_url": "https://graph.facebook.com"}).execute()
    identity = Identity.get_by_id(identity.id)
    refused = gate(identity, Outbound(text="hi"), agent, clock.now())
    assert refused.kind is ReachKind.UNREACHABLE
    assert "would write to real people" in refused.sentence
    sent = send(identity.id, Outbound(text="hi"), Author(AuthorKind.BOT, "Order bot"))
    assert sent.message is not None
    assert sent.message.state == Delivery.NOT_SENT


def test_the_shop_loads_nothing_from_elsewhere(demo: Flask) -> None:
    client = demo.test_client()
    page = client.get("/demo/shop")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert f"/web/{workspace.shop_key()}/widget.js" in page.text
    assert not re.search(r'(src|href)="(https?:)?//', page.text)
    assert " style=" not in page.text
    for path in set(re.findall(r'(?:src|href)="(/demo/[^"]+)"', page.text)):
        with client.get(path) as file:
            assert file.status_code == 200


# ── People and phrases ────────────────────────────────────────────────────────────────────────────


def test_addresses_and_numbers_are_nobodys_and_unique() -> None:
    everyone = list(people(random.Random(1), COUNT))
    assert len({one.phone for one in everyone}) == len({one.email for one in everyone}) == COUNT
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+\d*@example\.(com|org|net)", one.email) for one in everyone)


def test_every_language_has_every_phrase_with_the_same_blanks() -> None:
    def blanks(text: str) -> set[str]:
        return set(re.findall(r"{(\w+)}", text))

    for language, phrases in TEXTS.items():
        for key, text in TEXTS["en"].items():
            missing = blanks(phrases[key]) ^ blanks(text)
            assert not missing, f"{language} {key}: {missing}"


# ── The bot ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "meaning"),
    [
        ("u_order", "order"),
        ("u_hours", "hours"),
        ("u_assembly", "assembly"),
        ("u_return", "return"),
        ("u_person", "person"),
        ("u_thanks", "thanks"),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_bot_understands_what_people_of_the_demo_say(language: str, key: str, meaning: str) -> None:
    assert bot.meant(TEXTS[language][key]) == meaning


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_bot_answers_in_the_language_it_is_asked_in(language: str) -> None:
    question = {"sender": "x", "message": TEXTS[language]["u_order"], "metadata": {"language": language}}
    (answer,) = bot.Bot("http://shop/").answer(question)
    expected = re.sub(r"\\{\w+\\}", ".+", re.escape(TEXTS[language]["b_order"]))
    assert re.fullmatch(expected, answer["text"])


def test_the_bot_says_when_it_does_not_know_and_offers_a_person() -> None:
    played = bot.Bot("http://shop/")
    first = played.answer({"sender": "x", "message": "qwerty"})
    assert first[0]["text"] == TEXTS["en"]["b_hello"]
    second = played.answer({"sender": "x", "message": "qwerty"})
    assert second[0]["text"] == TEXTS["en"]["b_person"]
    assert [one["payload"] for one in second[0]["buttons"]] == ["/order", "/assembly", "/person"]


def learned(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the properties that go with an answer."""
    return answers[-1].get("metadata", {}).get("properties", {})


@pytest.mark.parametrize(
    ("text", "properties_"),
    [
        ("Deliver to Delhi", {"city": "Delhi", "topic": "order"}),
        ("Do you have the desk in stock?", {"topic": "stock"}),
        ("Can someone assemble it in the morning?",
         {"topic": "assembly", "assembly_wanted": True, "delivery_slot": "morning"}),
        ("配送は大阪です", {"city": "大阪", "topic": "order"}),
        ("Hello", {}),
    ],
)  # fmt: skip
def test_the_bot_says_what_it_learned(text: str, properties_: dict[str, Any]) -> None:
    assert learned(bot.Bot("http://shop/").answer({"sender": "x", "message": text})) == properties_


def test_the_bot_uses_what_is_known() -> None:
    question = {
        "sender": "x",
        "message": "Do you have the desk in stock?",
        "metadata": {"properties": {"city": "Noida"}},
    }
    assert "Noida" in bot.Bot("http://shop/").answer(question)[-1]["text"]


@pytest.mark.parametrize(
    ("reply", "grade", "text"),
    [("9", 9, "b_thanks"), (" 10 ", 10, "b_thanks"), ("-", "SKIPPED", "b_thanks"),
     ("11", "SKIPPED", "b_person"), ("When is the showroom open?", "SKIPPED", "b_hours")],
)  # fmt: skip
def test_the_bot_asks_for_a_grade_once_and_takes_what_else_is_said_as_skipped(
    reply: str, grade: Any, text: str
) -> None:
    played = bot.Bot("http://shop/")
    assert played.answer({"sender": "x", "message": "thank you"})[-1]["text"] == TEXTS["en"]["b_nps"]
    answers = played.answer({"sender": "x", "message": reply})
    assert learned(answers)["nps"] == grade
    assert answers[-1]["text"] == TEXTS["en"][text]
    again = {"sender": "x", "message": "thank you", "metadata": {"properties": {"nps": grade}}}
    assert len(played.answer(again)) == 1


def test_what_the_bot_learns_is_in_the_profile(demo: Flask, bot_url: str) -> None:
    """Must-show 2, without a browser: every value that the bot sends is one that its property takes."""
    shop = Deployment.get(Deployment.label == "Online shop")
    result = CliRunner().invoke(command, ["bot", "set", shop.key, "--url", bot_url + bot.PATH])
    assert result.exit_code == 0, result.output
    work = Worker(demo)
    texts = ("Deliver to Delhi", "Assemble it in the evening", "Thank you", "8")
    for number, text in enumerate(texts):
        event = Received(
            id=f"bot-{number}", aliases=(Alias("visitor", "curious"),), text=text, at=clock.now()
        )
        accepted = accept(shop, event, clock.now())
        work.run_until_idle()
    user_id = Message.get_by_id(accepted.message_id).user_id
    found = values.values(user_id)
    assert (found["city"].value, found["nps"].value) == ("Delhi", 8)
    assert Session.get(Session.user == user_id).properties == {"topic": {"value": "assembly"}}
    assert not Message.select().where(Message.kind == "bot_property_refused").exists()
    offers = PropertyOffer.select().where(PropertyOffer.user == user_id)
    assert {one.proposal.key: one.value for one in offers} == {
        "assembly_wanted": True,
        "delivery_slot": "evening",
    }


@pytest.fixture
def bot_url() -> Iterator[str]:
    server = bot.Server(0, bot.Bot("http://shop/"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (bot.PATH, b'{"sender": "x", "message": "hi"}', 200),
        (bot.PATH, b'{"sender": 1, "message": null, "metadata": 7}', 200),
        (bot.PATH, b"not JSON", 400),
        (bot.PATH, b"[1]", 400),
        ("/elsewhere", b"{}", 404),
    ],
)
def test_the_bot_speaks_rasas_dialect_and_bears_junk(
    bot_url: str, path: str, body: bytes, status: int
) -> None:
    try:
        with urllib.request.urlopen(urllib.request.Request(bot_url + path, body), timeout=10) as response:
            found, answer = response.status, json.load(response)
            assert all({"recipient_id", "text"} <= one.keys() for one in answer)
    except urllib.error.HTTPError as error:
        found = error.code
        error.close()
    assert found == status


# ── All of it together ────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """`parley run --demo`, on a new embedded database."""
    folder = tmp_path_factory.mktemp("demo")
    running = Running(folder, "--demo", variables={"PARLEY_DATABASE_URL": f"sqlite:///{folder}/parley.db"})
    yield running, folder
    running.stop(signal.SIGKILL)


def sign_in(browser: Browser, run: tuple[Running, Path], email: str) -> Page:
    running, folder = run
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{running.url}/login")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill((folder / "demo-password").read_text().strip())
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/audience/"))
    return page


def test_a_visitor_and_an_agent_talk_in_two_browsers(run: tuple[Running, Path], browser: Browser) -> None:
    """Must-show 2: from the widget to the audience list, Start Chat, and back to the bot."""
    running, _ = run
    visitor = browser.new_page(viewport={"width": 1280, "height": 800})
    visitor.goto(f"{running.url}/demo/shop")
    agent = sign_in(browser, run, "maya@example.com")
    expect(agent.get_by_label("Notices").get_by_role("link")).to_have_attribute("href", "/demo/shop")

    chat = visitor.locator("parley-chat")
    chat.get_by_role("button", name=re.compile("chat", re.IGNORECASE)).first.click()
    chat.get_by_text("Start a conversation").click()
    write(visitor, "Do you have the walnut desk in stock?")
    log = chat.get_by_role("log")
    expect(log).to_contain_text("The Walnut desk 140 is in stock", timeout=10_000)

    row = agent.locator("tr", has_text="Visitor").first
    expect(row).to_contain_text("Walnut desk 140", timeout=10_000)
    row.get_by_role("link").first.click()
    expect(agent.locator("body")).to_contain_text("/demo/shop")

    agent.get_by_role("button", name="Start Chat").click()
    box = agent.get_by_role("textbox", name=re.compile("message", re.IGNORECASE))
    box.fill("Hi, I am Maya. Where should the desk go?")
    box.press("Enter")
    expect(log).to_contain_text("Hi, I am Maya. Where should the desk go?", timeout=10_000)

    write(visitor, "To Delhi. Where is my order?")
    expect(agent.locator("body")).to_contain_text("To Delhi. Where is my order?", timeout=10_000)

    agent.get_by_role("button", name="Assign to bot").first.click()
    confirm = agent.get_by_role("dialog").get_by_role("button", name=re.compile("Assign to bot"))
    if confirm.count():
        confirm.click()
    expect(agent.get_by_role("button", name="Start Chat")).to_be_visible(timeout=10_000)
    expect(log).not_to_contain_text("is packed and leaves")  # the bot was silent while Maya had the chat
    write(visitor, "When is the showroom open?")
    expect(log).to_contain_text("The showroom is open Monday to Saturday", timeout=10_000)

    top = agent.get_by_role("region", name="Top properties")
    expect(top).not_to_contain_text("Delhi")
    write(visitor, "Deliver to Delhi")
    expect(top).to_contain_text("Delhi", timeout=10_000)
    expect(agent.get_by_role("region", name="This session")).to_contain_text("Order")
    expect(agent.locator("body")).to_contain_text(re.compile(r"Order bot changed .*City"))
    visitor.close()
    agent.close()


def write(visitor: Page, text: str) -> None:
    box = visitor.locator("parley-chat").get_by_role("textbox")
    box.fill(text)
    box.press("Enter")


def test_whatsapp_is_played_and_tells_how_far_a_message_came(
    run: tuple[Running, Path], browser: Browser
) -> None:
    agent = sign_in(browser, run, "theo@example.com")
    agent.locator("tr", has_text=re.compile(r"Open · \d+h")).filter(has_text="Bot").first.get_by_role(
        "link"
    ).first.click()
    agent.get_by_role("button", name="Start Chat").click()
    box = agent.get_by_role("textbox", name=re.compile("message", re.IGNORECASE))
    box.fill("Your desk is on its way.")
    box.press("Enter")
    message = agent.locator("article", has_text="Your desk is on its way.")
    expect(message).to_contain_text(re.compile(r"Read"), timeout=15_000)
    agent.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_on_the_shop(
    run: tuple[Running, Path], browser: Browser, theme: str, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=theme)
    complaints: list[str] = []
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    page.goto(f"{run[0].url}/demo/shop")
    expect(page.locator("parley-chat").get_by_role("button").first).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    page.close()


def test_a_later_start_keeps_what_is_there(run: tuple[Running, Path], tmp_path: Path) -> None:
    running, folder = run
    assert running.url
    secret = (folder / "demo-password").read_text().strip()
    assert secret in running.log
    running.stop()
    database_url = f"sqlite:///{folder}/parley.db"
    again = Running(folder, "--demo", variables={"PARLEY_DATABASE_URL": database_url})
    try:
        assert again.url
        wait_for(lambda: secret in again.log or None, 10, lambda: again.log)
        assert again.pids().keys() == {"web", "worker", "whatsapp", "bot", "serving"}
    finally:
        again.stop()
    assert os.stat(folder / "parley.db").st_size > 1_000_000
