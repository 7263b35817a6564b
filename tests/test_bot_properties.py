"""Bots and properties: what a bot says of a user in its answer, and what it is told with the question."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core import Profile, definitions, properties, proposals, values
from core.catalogue import Writer
from core.clock import HeldClock
from core.definitions import Draft
from core.deployments import add_deployment
from core.models import Deployment, Event, Job, Message, Origin, PropertyChange, Scope, Session, Source, User
from core.worker import Worker
from played_bot import PlayedBot, said, set_bot, write
from plugins.bots import rasa, turn
from plugins.bots.properties import MOST_TOLD

DOCUMENT = (Path(__file__).parent.parent / "docs" / "bots.md").read_text()
QUESTION, *ANSWERS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)]
PERSON = Writer(Origin.OPERATOR, "Maya", groups=frozenset({"agent"}))


@pytest.fixture
def deployment(app: Flask, bot: PlayedBot) -> Deployment:
    """A web deployment with a bot, and properties that it may set."""
    made = add_deployment("web", "shop.example.com", "Online shop", "shop.example.com", {})
    set_bot(made, bot.url, "--name", "Order bot")
    for draft in (
        define("city"),
        define("nps", type="integer", options={"min": 0, "max": 10}),
        define("preferred_wood", type="choice", options={"choices": ["oak", "walnut"]}),
        define("birthday", type="date", personal=True),
        define("plan", editable_by=("admin", "builder"), source=Source.CUSTOM),
        define("topic", scope=Scope.SESSION),
    ):
        definitions.create(draft)
    return made


def define(key: str, **more: Any) -> Draft:
    given = {"source": Source.BOT, "editable_by": ("agent", "bot"), **more}
    return Draft(key=key, label=key.replace("_", " ").capitalize(), **given)


def sends(bot: PlayedBot, **given: Any) -> None:
    """Let the bot's next answers carry these properties."""
    bot.answer = [{"text": "Noted.", "metadata": {"properties": given}}]


def shown(key: str) -> Any:
    """Return the value of a property of the one user: `None` unset, `"SKIPPED"` skipped."""
    session = Session.find(newest=True, user=User.get().id)
    found = {**values.values(User.get().id), **values.session_values(session)}[key]
    return "SKIPPED" if found.is_skipped else found.value


# ── The answer ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_value_is_written_with_its_source_and_the_message_that_caused_it(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:  # P6
    sends(bot, city="Delhi")
    message = write(deployment, "Do you deliver to Delhi?")
    worker.run_until_idle()
    assert shown("city") == "Delhi"
    (change,) = PropertyChange.select().where(PropertyChange.origin == Origin.BOT)
    assert (change.actor, change.message_id, change.before, change.after) == (
        "Order bot",
        message.id,
        {},
        {"value": "Delhi"},
    )
    assert said() == [
        ("properties_changed", "Order bot changed City.", "received"),
        ("text", "Noted.", "sent"),
    ]
    assert Event.select().where(Event.kind == "properties_changed").count() == 1


def test_a_turn_that_is_told_of_again_changes_nothing_twice(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:
    bot.answer = [{"metadata": {"properties": {"city": "Delhi", "delivery_slot": "morning"}}}]
    write(deployment)
    worker.run_until_idle()
    before = (said(), PropertyChange.select().count(), proposals.proposals())
    Event.update(handed_on=False).execute()
    worker.run_until_idle()
    assert len(bot.asked) == 1
    assert (said(), PropertyChange.select().count(), proposals.proposals()) == before
    assert not Job.select().exists()


@pytest.mark.parametrize("answer", ANSWERS, ids=["metadata", "custom"])
def test_the_documented_answers_work(
    deployment: Deployment, bot: PlayedBot, worker: Worker, answer: Any
) -> None:
    sends(bot, preferred_wood="oak")
    write(deployment, "oak")
    worker.run_until_idle()
    bot.answer = answer
    write(deployment, "Do you deliver to Delhi?", "2")
    worker.run_until_idle()
    assert (shown("city"), shown("topic"), shown("preferred_wood")) == ("Delhi", "delivery", None)
    assert [text for kind, text, _ in said("bot") if kind == "text"][1:] == [answer[0]["text"]]
    assert not Message.select().where(Message.kind.in_(["bot_extra", "bot_property_refused"])).exists()


def test_the_documented_question_is_what_a_bot_is_asked(
    deployment: Deployment, bot: PlayedBot, worker: Worker, clock: HeldClock
) -> None:
    write(deployment, "Do you deliver to Delhi?", profile=Profile(language="en"))
    by = Writer(Origin.BOT, "Order bot", groups=frozenset({"bot"}))
    properties.write(User.get().id, {"city": "Gurugram", "preferred_wood": "SKIPPED"}, by)
    worker.run_until_idle()
    (asked,) = bot.asked
    documented = json.loads(json.dumps(QUESTION))
    assert asked.keys() == documented.keys()
    assert asked["metadata"].keys() == documented["metadata"].keys()
    told, shown_there = (one["metadata"].pop("properties") for one in (asked, documented))
    assert shown_there.items() <= told.items()
    for one in (asked["metadata"], documented["metadata"]):
        assert len(one.pop("user_key")) == 12
        assert re.fullmatch(r"\d+", one.pop("message_id"))
        one.pop("at")
    assert asked["metadata"] == documented["metadata"]
    assert len(asked["sender"]) == len(documented["sender"])


def test_a_session_property_stays_with_its_session(
    deployment: Deployment, bot: PlayedBot, worker: Worker, clock: HeldClock
) -> None:  # P1
    sends(bot, topic="delivery")
    write(deployment, "one", "1")
    worker.run_until_idle()
    clock.advance(hours=5)
    bot.answer = [{"text": "Hello."}]
    write(deployment, "two", "2")
    worker.run_until_idle()
    first, second = Session.select().order_by(Session.id)
    assert first.properties == {"topic": {"value": "delivery"}}
    assert second.properties is None
    assert "topic" not in bot.asked[1]["metadata"]["properties"]


def test_what_a_person_set_stays_until_it_is_released(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:  # P6
    sends(bot, city="Delhi")
    write(deployment, "one", "1")
    worker.run_until_idle()
    properties.write(User.get().id, {"city": "Noida"}, PERSON)
    write(deployment, "two", "2")
    worker.run_until_idle()
    assert shown("city") == "Noida"
    assert bot.asked[1]["metadata"]["properties"]["city"] == "Noida"
    assert not Message.select().where(Message.kind == "bot_property_refused").exists()
    properties.release(User.get().id, "city", PERSON)
    write(deployment, "three", "3")
    worker.run_until_idle()
    assert shown("city") == "Delhi"


def test_what_is_not_taken_is_one_note_that_names_keys_and_no_value(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:  # P5
    given = {
        "city": "Delhi",
        "nps": 4711,
        "plan": "gold-secret",
        "marketing_consent": "yes-secret",
        "first_seen": "2020-01-01",
        "Not A Key": "secret",
    }
    sends(bot, **given)
    write(deployment)
    worker.run_until_idle()
    assert shown("city") == "Delhi"
    notes = list(Message.select().where(Message.kind == "bot_property_refused"))
    assert [one.payload["keys"] for one in notes] == [
        ["nps", "plan", "first_seen", "Not A Key", "marketing_consent"]
    ]
    assert notes[0].text == (
        "Order bot sent properties that were not taken. `nps` takes a number between 0 and 10. "
        "`plan` is locked. Only admins and builders may edit this. "
        "`first_seen` is locked. Parley computes this property, so nobody can edit it. "
        f"`Not A Key` cannot be a key. {definitions.KEY_RULE} "
        "`marketing_consent` is locked. A bot sets neither consent nor verification."
    )
    assert not re.search("4711|secret|2020", json.dumps(notes[0].payload))
    assert ("text", "Noted.", "sent") in said("bot")
    assert [one.key for one in proposals.proposals()] == []


def test_a_key_that_nobody_defined_is_proposed(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:  # P9
    sends(bot, delivery_slot="morning", gift="SKIPPED")
    message = write(deployment)
    worker.run_until_idle()
    (proposed,) = proposals.proposals()
    assert (proposed.key, proposed.actor, proposed.offers, proposed.examples) == (
        "delivery_slot",
        "Order bot",
        1,
        ["morning"],
    )
    assert said() == [("text", "Noted.", "sent")]
    proposals.adopt(proposals.draft_for(proposed))
    worker.run_until_idle()
    assert shown("delivery_slot") == "morning"
    (change,) = PropertyChange.select().where(PropertyChange.after == {"value": "morning"})
    assert change.message_id == message.id


def test_an_answer_of_nothing_but_properties_is_seen(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:
    bot.answer = [{"custom": {"metadata": {"properties": {"nps": "SKIPPED"}}}}]
    write(deployment)
    worker.run_until_idle()
    assert shown("nps") == "SKIPPED"
    assert ("bot_silent", "Order bot sent properties, and no words.", "received") in said()


def test_properties_are_kept_when_a_person_took_over_meanwhile(
    deployment: Deployment, bot: PlayedBot, worker: Worker, app: Flask
) -> None:  # C1
    sends(bot, city="Delhi")

    def taken_over() -> None:
        with app.app_context():
            User.update(handler="waiting").execute()

    bot.before_answer = taken_over
    write(deployment)
    worker.run_until_idle()
    assert shown("city") == "Delhi"
    assert [state for _, _, state in said("bot")] == ["not_sent"]


def test_a_value_is_kept_with_the_answer_or_not_at_all(
    deployment: Deployment, bot: PlayedBot, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> int:
        raise RuntimeError("the answer could not be put into the conversation")

    monkeypatch.setattr(turn, "_send", breaks)
    sends(bot, city="Delhi", delivery_slot="morning")
    write(deployment)
    worker.run_until_idle()
    assert shown("city") is None
    assert proposals.proposals() == []
    assert not PropertyChange.select().where(PropertyChange.origin == Origin.BOT).exists()


# ── Hostile shapes ────────────────────────────────────────────────────────────────────────────────────────

DEEP: Any = "x"
for _ in range(200):
    DEEP = [DEEP]

TWICE = {"a": {"b": []}}
SHAPES: dict[str, Any] = {
    "metadata is text": {"metadata": "properties"},
    "metadata is a list": {"metadata": [{"properties": {"city": "Delhi"}}]},
    "properties is a list": {"metadata": {"properties": ["city"]}},
    "properties is text": {"metadata": {"properties": "city"}},
    "properties is null": {"metadata": {"properties": None}},
    "custom is a list": {"custom": [1]},
    "custom metadata is text": {"custom": {"metadata": "x"}},
    **{
        name: {"metadata": {"properties": given}}
        for name, given in {
            "deep": {"city": DEEP, "nps": DEEP, "unknown_key": DEEP, "birthday": DEEP},
            "objects": {"city": TWICE, "nps": TWICE, "labels": TWICE, "name": TWICE, "topic": TWICE},
            "numbers": {"nps": 10**400, "city": 1e308, "birthday": -1, "unknown_key": 10**400},
            "not a number": {"nps": float("nan"), "city": float("inf"), "unknown_key": float("nan")},
            "booleans": {"nps": True, "city": False, "birthday": True, "email": True},
            "lone surrogates": {"city": "a\ud800b\x00", "k\ud800": "x", "unknown_key": "\udfff"},
            "odd keys": {"": 1, "select": 1, 'a"b': 1, "x" * 5000: 1, "😀": 1, "\u202eytic": 1},
            "long": {"city": "x" * 400_000, "email": "x" * 90_000, "unknown_key": "x" * 90_000},
        }.items()
    },
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_no_shape_of_properties_breaks_a_turn(
    deployment: Deployment, bot: PlayedBot, worker: Worker, shape: Any
) -> None:
    bot.answer = [{"text": "Hello.", **shape}]
    write(deployment)
    worker.run_until_idle()
    assert ("text", "Hello.", "sent") in said("bot")
    assert not Job.select().exists()
    assert not Message.select().where(Message.kind == "bot_failed").exists()
    for note in Message.select().where(Message.kind == "bot_property_refused"):
        assert len(note.text) < 2_000


def test_many_properties_are_cut_and_the_note_says_so(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:
    sends(bot, **{f"key_{number}": number for number in range(60)}, city="Delhi")
    write(deployment)
    worker.run_until_idle()
    (note,) = Message.select().where(Message.kind == "bot_property_refused")
    assert "Of 61 properties only the first 50 were looked at." in note.text
    assert len(proposals.proposals()) == 50


def test_many_refusals_are_one_short_note(deployment: Deployment, bot: PlayedBot, worker: Worker) -> None:
    sends(bot, **{f"Key {number}": number for number in range(50)})
    write(deployment)
    worker.run_until_idle()
    (note,) = Message.select().where(Message.kind == "bot_property_refused")
    assert note.text.endswith("The same goes for 40 more.")
    assert len(note.payload["keys"]) == 50


@pytest.mark.parametrize(
    ("row", "found", "other"),
    [
        ({"metadata": {"properties": {"a": 1}}}, {"a": 1}, None),
        ({"metadata": {"seen": 1}, "text": "x"}, {}, None),
        ({"custom": {"metadata": {"properties": {"a": 1}}, "card": 5}}, {"a": 1}, {"custom": {"card": 5}}),
        (
            {"custom": {"metadata": {"properties": {"a": 1}, "trace": "t"}}},
            {"a": 1},
            {"custom": {"metadata": {"trace": "t"}}},
        ),
        ({"custom": {"card": 5}}, {}, {"custom": {"card": 5}}),
        (
            {"metadata": {"properties": {"a": 1, "b": 1}}, "custom": {"metadata": {"properties": {"a": 2}}}},
            {"a": 2, "b": 1},
            None,
        ),
    ],
)
def test_properties_are_read_from_both_places_and_the_rest_stays(
    row: dict[str, Any], found: dict[str, Any], other: dict[str, Any] | None
) -> None:
    (answer,) = rasa.read(json.dumps([row]).encode()).answers
    assert (answer.properties, answer.other) == (found, other)


def test_of_two_values_the_later_counts() -> None:
    rows = [{"metadata": {"properties": {"city": city}}} for city in ("Noida", "Delhi")]
    assert rasa.read(json.dumps(rows).encode()).properties == {"city": "Delhi"}


# ── The question ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_bot_is_told_what_it_may_set_and_what_parley_computes(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:
    sends(bot, city="Delhi", birthday="1990-02-03", topic="delivery", preferred_wood="SKIPPED")
    write(deployment, "one", "1")
    worker.run_until_idle()
    admin = Writer(Origin.OPERATOR, "Nora", groups=frozenset({"admin", "agent"}))
    properties.write(User.get().id, {"plan": "pro", "labels": ["VIP"]}, admin)
    write(deployment, "two", "2")
    worker.run_until_idle()
    told = bot.asked[1]["metadata"]["properties"]
    expected = {
        "city": "Delhi",
        "birthday": "1990-02-03",
        "topic": "delivery",
        "preferred_wood": "SKIPPED",
        "messages_received": 2,
    }
    assert expected.items() <= told.items()
    assert not {"plan", "labels", "nps", "web_page"} & told.keys()


def test_a_bot_is_not_told_without_end(deployment: Deployment, bot: PlayedBot, worker: Worker) -> None:
    long = {f"long_{number}": "x" * 5_000 for number in range(5)}
    for key in long:
        definitions.create(define(key, options={"max_length": 5_000}, filterable=False))
    sends(bot, city="Delhi", **long)
    write(deployment, "one", "1")
    worker.run_until_idle()
    definitions.pin(["long_4"])
    write(deployment, "two", "2")
    worker.run_until_idle()
    told = bot.asked[1]["metadata"]["properties"]
    assert "long_4" in told
    assert len([key for key in told if key.startswith("long_")]) == 3
    assert len(json.dumps(told)) < MOST_TOLD + 1_000
