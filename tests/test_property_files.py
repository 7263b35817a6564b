"""Definitions as a file: what is written is read again, and a plan says what a file would change (P4)."""

import json
import time
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import definitions, property_files
from core.catalogue import catalogue
from core.definitions import BadDefinition, Draft
from core.property_files import Plan, PlanRefused
from core.property_texts import LARGEST, Unreadable, read
from core.worker import Worker

PLUGINS = ("channels.web",)


def planned(found: Any) -> Plan:
    return property_files.plan(read(found if isinstance(found, str) else json.dumps(found)))


def conflicts(plan: Plan) -> dict[str, str]:
    return {one.key: one.sentence for one in plan.conflicts}


def differences(plan: Plan) -> dict[str, tuple[str, str]]:
    return {
        f"{change.key}.{one.field}": (one.before, one.after)
        for change in plan.changed
        for one in change.differences
    }


# ── Round trip ────────────────────────────────────────────────────────────────────────────────────

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=30).filter(
    lambda text: bool(text.strip())
)
WORDS = st.sampled_from(["no", "true", "null", "~", "1e5", "12:30", "0x1f", "010", "- a", "a: b", "#", "<<"])
CHOICES = st.lists(WORDS | TEXT, min_size=1, max_size=4, unique_by=lambda text: " ".join(text.split()))
LIMITS = st.fixed_dictionaries({}, optional={"min": st.integers(-9, 0), "max": st.integers(1, 99)})
TYPES = st.one_of(
    st.tuples(st.just("text"), st.just({}), st.none() | WORDS),
    st.tuples(st.just("integer"), LIMITS, st.none() | st.just(0)),
    st.tuples(st.just("boolean"), st.just({}), st.none() | st.booleans()),
    st.tuples(st.just("date"), st.just({}), st.none() | st.dates().map(str)),
    st.tuples(st.just("choice"), st.builds(lambda found: {"choices": found}, CHOICES), st.none()),
    st.tuples(st.just("object"), st.just({}), st.none() | st.just({"a": [1, "no", None]})),
)


@st.composite
def drafts(draw: Any) -> list[dict[str, Any]]:
    keys = draw(st.lists(st.from_regex(r"[a-z][a-z0-9_]{2,6}", fullmatch=True), max_size=4, unique=True))
    found = []
    for key in keys:
        type_, options, default = draw(TYPES)
        found.append(
            {
                "key": f"x_{key}",
                "label": draw(TEXT),
                "help": draw(WORDS | TEXT),
                "group": draw(WORDS | TEXT),
                "type": type_,
                "options": options,
                "default": default,
                "scope": draw(st.sampled_from(["user", "session"])),
                "source": draw(st.sampled_from(["bot", "custom"])),
                "editable_by": draw(st.lists(st.sampled_from(["admin", "agent", "bot", "api"]), unique=True)),
                "personal": draw(st.booleans()),
                "pinned": draw(st.booleans()),
                "filterable": False,
            }
        )
    return found


@pytest.mark.parametrize("as_yaml", [False, True], ids=["json", "yaml"])
def test_what_is_exported_changes_nothing_and_makes_the_same_anew(
    app: Flask, worker: Worker, as_yaml: bool
) -> None:
    before = property_files.export(as_yaml=as_yaml)
    assert planned(before).is_empty

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(drafts())
    def trip(wanted: list[dict[str, Any]]) -> None:
        try:
            definitions.apply([Draft(**one) for one in wanted])
        except BadDefinition:
            return  # a choice or a key that cannot be is for other tests
        text = property_files.export(as_yaml=as_yaml)
        assert planned(text).is_empty
        assert set(planned(text).same) >= {one["key"] for one in wanted}
        for one in wanted:
            definitions.archive(one["key"])
            definitions.purge(one["key"])
        worker.run_until_idle()  # a session's key is free when its values are gone
        anew = planned(text)
        assert {one.key for one in anew.created} == {one["key"] for one in wanted}
        property_files.apply(anew)
        assert property_files.export(as_yaml=as_yaml) == text
        for one in wanted:
            definitions.archive(one["key"])
            definitions.purge(one["key"])
        worker.run_until_idle()

    trip()


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\u2029", "\ufeff", "\x1c"])
def test_a_rare_line_break_comes_back_out_of_yaml(app: Flask, mark: str) -> None:
    definitions.create(Draft(key="odd", label="Odd", help=f"one{mark}two", filterable=False))
    assert planned(property_files.export(as_yaml=True)).is_empty


def test_a_built_in_property_is_exported_once_it_differs(app: Flask) -> None:
    assert json.loads(property_files.export())["properties"] == []
    gender = definitions.draft_of(definitions.known("gender"))
    definitions.edit("gender", gender.model_copy(update={"label": "Pronouns"}))
    text = property_files.export()
    assert [one["key"] for one in json.loads(text)["properties"]] == ["gender"]
    definitions.edit("gender", gender)
    assert differences(planned(text)) == {"gender.label": ("Gender", "Pronouns")}


# ── The plan ──────────────────────────────────────────────────────────────────────────────────────


def test_a_plan_says_what_would_be_created_changed_in_conflict_and_left(app: Flask) -> None:
    definitions.apply(
        [
            Draft(key="age", label="Age", type="integer", options={"max": 99}),
            Draft(key="city", label="City"),
            Draft(key="old", label="Old"),
            Draft(key="topic", label="Topic", scope="session"),
        ]
    )
    definitions.archive("old")
    number = catalogue(fresh=True).number
    plan = planned(
        [
            {"key": "plan", "type": "choice", "choices": ["free", "pro"]},
            {"key": "age", "label": "Age in years", "options": {"max": 120}, "personal": True},
            {"key": "city"},
            {"key": "country"},
            {"key": "web_page"},
            {"key": "old"},
            {"key": "topic", "scope": "user"},
            {"key": "No Key", "type": "text"},
            {"key": "mood", "type": "feeling"},
            {"key": "far", "type": "integer", "options": {"min": 5, "max": 1}},
            {"key": "twice"},
            {"key": "twice"},
            {"key": "label_less", "label": 5},
        ]
    )
    assert [(one.key, one.label, one.type) for one in plan.created] == [("plan", "Plan", "choice")]
    assert differences(plan) == {
        "age.label": ("Age", "Age in years"),
        "age.options.max": ("99", "120"),
        "age.personal": ("no", "yes"),
    }
    assert plan.same == ("city",)
    said = conflicts(plan)
    assert said["country"] == (
        "`country` is the key of the property “Country”, which is Parley’s own and locked."
    )
    assert "Restore that first" in said["old"]
    assert "The scope stays" in said["topic"]
    assert "A key is made of" in said["No Key"]
    assert "There is no type “feeling”" in said["mood"]
    assert "smallest value is larger" in said["far"]
    assert said["twice"] == "`twice` stands in the file twice."
    assert "label cannot be read" in said["label_less"]
    assert catalogue(fresh=True).number == number


@pytest.mark.parametrize(
    ("type_", "options", "sentence"),
    [
        ("choice", {"choices": [{"label": "Oak"}]}, "`wood`: `value` is needed."),
        ("choice", {"choices": "oak"}, "`wood`: `choices` takes a list."),
        ("integer", {"min": "few"}, "`wood`: `min` takes a whole number."),
        ("integer", {"least": 1}, "`wood`: `least` is no option of this type."),
        ("text", {"max_length": 0}, "`wood`: `max_length` has to be greater than or equal to 1."),
    ],
)
def test_an_option_that_is_wrong_is_named(app: Flask, type_: str, options: Any, sentence: str) -> None:
    plan = planned({"properties": [{"key": "wood", "label": "Wood", "type": type_, "options": options}]})
    assert conflicts(plan) == {"wood": sentence}


def test_another_type_is_a_conflict_that_says_to_convert(app: Flask) -> None:
    definitions.create(Draft(key="age", label="Age"))
    said = conflicts(planned([{"key": "age", "type": "integer"}]))
    assert said == {"age": "`age`: The type is “Text”. Convert the property to give it another."}


def test_a_file_with_conflicts_is_applied_as_a_whole_or_without_them(app: Flask) -> None:
    plan = planned([{"key": "city"}, {"key": "country"}])
    with pytest.raises(PlanRefused, match="1 of the definitions are in conflict"):
        property_files.apply(plan)
    assert "city" not in catalogue(fresh=True).by_key
    property_files.apply(plan, skip_conflicts=True)
    assert catalogue(fresh=True).by_key["city"].label == "City"


def test_a_plan_is_not_applied_once_it_would_do_something_else(app: Flask) -> None:
    plan = planned([{"key": "city", "label": "Town"}])
    definitions.create(Draft(key="city", label="City"))
    with pytest.raises(PlanRefused, match="changed since this plan was made"):
        property_files.apply(plan)
    assert catalogue(fresh=True).by_key["city"].label == "City"
    anew = planned([{"key": "city", "label": "Town"}])
    definitions.create(Draft(key="other", label="Other"))  # moves the catalogue, and nothing of the plan
    property_files.apply(anew)
    assert catalogue(fresh=True).by_key["city"].label == "Town"


def test_nothing_is_applied_where_the_last_of_a_file_fails(app: Flask, monkeypatch: Any) -> None:
    plan = planned([{"key": "a"}, {"key": "b"}])
    insert = definitions._insert

    def failing(draft: Draft, column: str | None) -> None:
        if draft.key == "b":
            raise RuntimeError("the power went off")
        insert(draft, column)

    monkeypatch.setattr(definitions, "_insert", failing)
    with pytest.raises(RuntimeError):
        property_files.apply(plan)
    assert not {"a", "b"} & catalogue(fresh=True).by_key.keys()


def test_what_is_pinned_comes_in_the_order_of_the_file(app: Flask) -> None:
    found = {"pinned": ["city", "country", "nowhere"], "properties": [{"key": "city"}]}
    plan = planned(found)
    assert plan.pinned == ("city", "country")
    assert plan.remarks == ("`nowhere` is not pinned: there is no such property in use.",)
    property_files.apply(plan)
    assert [one.key for one in catalogue(fresh=True).active if one.pinned] == ["city", "country"]
    assert planned(found).is_empty
    many = planned({"pinned": [one.key for one in catalogue().active], "properties": []})
    assert "At most 30 can be" in conflicts(many)[""]


def test_a_session_property_is_planned_with_what_it_is_promoted_to(app: Flask) -> None:
    plan = planned([{"key": "topic", "scope": "session", "promotes_to": "last_topic"}, {"key": "last_topic"}])
    assert not plan.conflicts
    property_files.apply(plan)
    alone = planned([{"key": "mood", "scope": "session", "promotes_to": "last_mood"}])
    assert "Choose a property of the user" in conflicts(alone)["mood"]


# ── What bots have ────────────────────────────────────────────────────────────────────────────────

RASA = """
version: "3.1"
slots:
  city:
    type: text
    influence_conversation: false
    mappings:
    - type: from_entity
      entity: city
  member: {type: bool, initial_value: no}
  subscribed: {type: bool, initial_value: true}
  budget: {type: float, min_value: 0, max_value: 100.5, initial_value: 12.5}
  topics: {type: list}
  plan:
    type: categorical
    initial_value: no
    values: [no, yes, 12:30, 3]
  cart: {type: any}
  requested_slot: {type: text}
  verified: {type: bool}
  FirstName: {type: text}
  odd: {type: my.slots.Special}
  country: {type: text}
intents: [greet]
"""


def test_the_slots_of_a_rasa_domain_become_the_bots_properties(app: Flask) -> None:
    plan = planned(RASA)
    made = {one.key: one for one in plan.created}
    assert {key: one.type for key, one in made.items()} == {
        "city": "text",
        "subscribed": "boolean",
        "budget": "decimal",
        "topics": "choices",
        "plan": "choice",
        "cart": "object",
        "verified": "boolean",
        "member": "boolean",
    }
    assert all(one.source == "bot" for one in made.values())
    assert "bot" in made["city"].editable_by
    assert "bot" not in made["verified"].editable_by
    assert made["budget"].options == {"min": 0, "max": 100.5}
    assert (made["budget"].default, made["subscribed"].default) == (12.5, True)
    assert made["plan"].options == {"choices": ["no", "yes", "12:30", "3"]}
    assert made["plan"].default == "no"
    assert not made["cart"].filterable
    said = conflicts(plan)
    assert said.keys() == {"FirstName", "odd", "country"}
    assert "A key is made of" in said["FirstName"]
    assert "my.slots.Special" in said["odd"]
    property_files.apply(plan, skip_conflicts=True)
    again = planned(RASA)
    assert again.is_empty
    assert set(again.same) == made.keys()


def test_a_bot_s_domain_leaves_what_an_admin_made_of_its_property(app: Flask) -> None:
    property_files.apply(planned(RASA), skip_conflicts=True)
    city = definitions.draft_of(definitions.known("city"))
    definitions.edit("city", city.model_copy(update={"label": "Home town", "personal": True}))
    assert planned(RASA).is_empty


def test_a_bot_s_plain_list_is_read_by_its_own_names(app: Flask) -> None:
    plan = planned(
        [
            {"name": "vip", "type": "bool", "description": "Comes first.", "required": True},
            {"name": "size", "type": "enum", "values": ["S", "M"]},
            {"name": "score", "type": "number"},
        ]
    )
    assert [(one.key, one.type, one.help) for one in plan.created] == [
        ("vip", "boolean", "Comes first."),
        ("size", "choice", ""),
        ("score", "decimal", ""),
    ]
    assert plan.remarks == ("“required” of `vip` was passed over.",)


# ── Hostile files ─────────────────────────────────────────────────────────────────────────────────

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{two}: &{two} [{', '.join([f'*{one}'] * 9)}]\n" for one, two in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty"),
        ("hello", "defines no properties"),
        ("{}", "defines no properties"),
        ("[1]", "Entry 1 of the list is no definition"),
        ('[{"type": "text"}]', "Entry 1 of the list has no `key`"),
        ('[{"key": "a", "default": NaN}]', "NaN is no number"),
        ("[" * 100_000, "nested too deeply"),
        ("- " * 100_000 + "a", "nested too deeply"),
        ("a: b: c", "neither JSON nor YAML at line 1"),
        ("!!python/object/apply:os.system [ls]", "neither JSON nor YAML"),
        (f"{BOMB}slots: {{x: *i}}", "too much by its aliases"),
        ("slots: &s\n  a: *s", "contains itself"),
        ("x" * (LARGEST + 1), "larger than 1 MB"),
        ("[" + '{"key": "a"},' * 2_000 + '{"key": "a"}]', "more than 2,000"),
        ('{"pinned": "a", "properties": []}', "`pinned` has to be a list of keys"),
    ],
    ids=range(15),
)
def test_a_file_that_cannot_be_read_is_refused_at_once(app: Flask, text: str, sentence: str) -> None:
    began = time.monotonic()
    with pytest.raises(Unreadable, match=sentence):
        read(text)
    assert time.monotonic() - began < 5


def test_bytes_that_are_no_text_are_refused(app: Flask) -> None:
    with pytest.raises(Unreadable, match="not text in UTF-8"):
        read(b"\xff\xfe[")
    assert read("\ufeff[]".encode()).entries == []


@pytest.mark.parametrize(
    "key", ["select; drop table", 'a"b', "a" * 200, "😀", "\u202eabc", "\ud800", "", "name\x00", "a\nb"]
)
def test_a_key_that_cannot_be_is_a_conflict(app: Flask, key: str) -> None:
    plan = planned([{"key": key, "type": "text"}])
    assert not plan.created
    assert "A key is made of" in plan.conflicts[0].sentence
    plan.conflicts[0].sentence.encode()


def test_a_field_that_nobody_knows_is_a_conflict_in_parleys_own_file(app: Flask) -> None:
    plan = planned({"properties": [{"key": "a", "colour": "red"}]})
    assert conflicts(plan) == {"a": "`a` has no field “colour”."}
