"""A property gets another type with all its values, while others write them; or nothing is changed (P4)."""

import threading
import time
from typing import Any

import pytest
from flask import Flask

from core import conversion, definitions, properties, values
from core.catalogue import Definition, Writer, catalogue
from core.clock import HeldClock
from core.db import database, run
from core.definitions import BadDefinition, Draft
from core.models import Job, Origin, Property, PropertyChange, PropertyColumn, Session, User
from core.worker import Worker
from test_usage import in_session

PLUGINS = ("channels.web",)
ADMIN = Writer(Origin.OPERATOR, "Maya Okonkwo", groups=frozenset({"admin"}))


def people(number: int) -> list[int]:
    return [int(User.add(name=f"User {one}").id) for one in range(number)]


def define(type_: str = "text", **more: Any) -> Definition:
    return definitions.create(Draft(key="age", label="Age", type=type_, **more))


def value(user_id: int) -> Any:
    catalogue(fresh=True)
    return values.values(user_id)["age"].value


def write(user_id: int, given: Any) -> None:
    properties.write(user_id, {"age": given}, ADMIN)


@pytest.fixture
def done(worker: Worker, clock: HeldClock) -> Any:
    """Let a worker do all that a conversion asks for, the clearing away after it as well."""

    def finish() -> Definition:
        worker.run_until_idle()
        clock.advance(seconds=60)
        worker.run_until_idle()
        assert not Job.select().where(Job.kind.startswith("properties.")).exists()
        return catalogue(fresh=True).by_key["age"]

    return finish


def columns_of(definition: Definition) -> list[str]:
    found = PropertyColumn.select().where(PropertyColumn.property == definition.id)
    return [f"p_{one.id}" for one in found]


CASES = [
    ("text", True, "integer", {}, "42", 42),
    ("text", False, "integer", {}, "42", 42),
    ("text", True, "object", {}, '{"a": 1}', {"a": 1}),
    ("text", False, "object", {}, '{"a": 1}', {"a": 1}),
    ("object", False, "location", {}, {"lat": 1.5, "lon": 2.5}, None),
    ("integer", True, "decimal", {}, 7, 7.0),
    ("text", True, "choice", {"choices": ["free", "pro"]}, "PRO", "pro"),
    ("choice", True, "choices", {"choices": ["free", "pro"]}, "pro", ["pro"]),
]


@pytest.mark.parametrize(
    ("before", "filterable", "after", "options", "given", "expected"), CASES, ids=lambda one: str(one)[:12]
)
def test_every_value_is_brought_along_wherever_it_is_kept(
    app: Flask,
    done: Any,
    before: str,
    filterable: bool,
    after: str,
    options: dict[str, Any],
    given: Any,
    expected: Any,
) -> None:
    first = {"choices": ["free", "pro"]} if before == "choice" else {}
    made = define(before, filterable=filterable, options=first)
    done()
    one, nobody, other = people(3)
    for user_id in (one, other):
        write(user_id, given)
    conversion.convert("age", after, options)
    assert catalogue(fresh=True).by_key["age"].is_converting
    found = done()
    assert (found.id, found.type.name, found.conversion) == (made.id, after, None)
    expected = expected if expected is not None else found.type.parse(given)
    assert (value(one), value(nobody), value(other)) == (expected, None, expected)
    assert columns_of(found) == ([found.column] if found.column else [])
    kept = run('SELECT properties FROM "user" WHERE id = ?', one)[0][0]
    assert (kept is None) == bool(found.column)
    [change] = properties.history(one, found)
    assert change.after == {"value": made.type.parse(given)}  # as it was written
    assert found.former(expected) is None
    assert (found.former(change.after["value"]) is None) == (change.after["value"] == expected)
    write(one, "")
    assert value(one) is None
    assert value(other) == expected


def test_values_of_sessions_are_brought_along(app: Flask, done: Any) -> None:
    define(scope="session")
    [user_id] = people(1)
    session = in_session(user_id)
    write(user_id, "42")
    conversion.convert("age", "integer")
    found = done()
    assert (found.type.name, found.conversion) == ("integer", None)
    assert Session.get_by_id(session.id).properties == {"age": {"value": 42}}


def test_what_stays_in_json_is_read_by_the_new_type_before_it_is_rewritten(
    app: Flask, worker: Worker, clock: HeldClock
) -> None:
    define(filterable=False)
    definitions.apply(edits={"age": definitions.draft_of(definitions.known("age"))})
    [user_id] = people(1)
    write(user_id, "yes")
    draft = conversion.draft_for(definitions.known("age"), "boolean", {})
    assert not draft.filterable
    conversion.convert("age", "boolean")
    worker.run_until_idle()
    assert catalogue(fresh=True).by_key["age"].conversion["state"] == "settling"  # type: ignore[index]
    assert value(user_id) is True
    assert '"yes"' in run('SELECT properties FROM "user" WHERE id = ?', user_id)[0][0]


def test_one_value_that_does_not_fit_leaves_everything_as_it_is(app: Flask, done: Any) -> None:
    made = define()
    first, second = people(2)
    write(first, "42")
    write(second, "forty-two")
    conversion.convert("age", "integer")
    found = done()
    assert (found.type.name, found.column, found.is_converting) == ("text", made.column, False)
    assert conversion.said(found) == (
        "1 user has a value that “Whole number” does not take: "
        f"{User.get_by_id(second).key}. Nothing was changed."
    )
    assert (value(first), value(second)) == ("42", "forty-two")
    assert columns_of(found) == [found.column]
    write(second, "43")
    conversion.convert("age", "integer")
    assert done().type.name == "integer"
    assert value(second) == 43


def test_a_failed_copy_into_json_leaves_no_trace(app: Flask, done: Any) -> None:
    define()
    first, second = people(2)
    write(first, '{"a": 1}')
    write(second, "no object")
    conversion.convert("age", "object")
    assert done().conversion["state"] == "failed"
    assert run('SELECT COUNT(*) FROM "user" WHERE properties IS NOT NULL') == [(0,)]
    conversion.forget("age")
    assert catalogue(fresh=True).by_key["age"].conversion is None
    write(first, "")
    assert value(first) is None


def test_a_value_that_is_mended_meanwhile_does_not_stop_it(
    app: Flask, done: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    define()
    [user_id] = people(1)
    write(user_id, "forty-two")
    everything = conversion._Copying.everything

    def and_mend(copying: Any) -> None:
        everything(copying)
        write(user_id, "42")

    monkeypatch.setattr(conversion._Copying, "everything", and_mend)
    conversion.convert("age", "integer")
    assert done().type.name == "integer"
    assert value(user_id) == 42


@pytest.mark.parametrize(
    ("key", "type_", "options", "field", "sentence"),
    [
        ("age", "text", {}, "type", "has this type"),
        ("age", "mood", {}, "type", "There is no type"),
        ("age", "integer", {"min": 5, "max": 1}, "options", "smallest value is larger"),
        ("name", "integer", {}, "type", "belongs to Parley"),
        ("country", "integer", {}, "type", "belongs to Parley"),
        ("begun", "integer", {}, "default", "The default takes a whole number"),
        ("topic", "integer", {}, "type", "hand values on"),
        ("last_topic", "integer", {}, "type", "hand values on"),
        ("old", "integer", {}, "type", "is archived"),
    ],
)
def test_what_cannot_be_converted_is_said_at_once(
    app: Flask, key: str, type_: str, options: dict[str, Any], field: str, sentence: str
) -> None:
    define()
    definitions.apply(
        [
            Draft(key="begun", label="Begun", default="never"),
            Draft(key="last_topic", label="Last topic"),
            Draft(key="topic", label="Topic", scope="session", promotes_to="last_topic"),
            Draft(key="old", label="Old"),
        ]
    )
    definitions.archive("old")
    with pytest.raises(BadDefinition) as caught:
        conversion.convert(key, type_, options)
    assert sentence in caught.value.problems[field]
    assert not Job.select().where(Job.kind == conversion.CONVERT).exists()


def test_nothing_else_is_changed_of_it_meanwhile(app: Flask, worker: Worker) -> None:
    made = define()
    conversion.convert("age", "integer")
    assert conversion.said(definitions.known("age")) == "Being converted to “Whole number”."
    with pytest.raises(BadDefinition, match="is being converted"):
        definitions.edit("age", definitions.draft_of(made).model_copy(update={"label": "Years"}))
    with pytest.raises(BadDefinition, match="are being moved already"):
        conversion.convert("age", "decimal")


def test_a_property_that_is_purged_meanwhile_is_gone(app: Flask, worker: Worker, clock: HeldClock) -> None:
    define()
    [user_id] = people(1)
    write(user_id, "42")
    conversion.convert("age", "integer")
    definitions.archive("age")
    definitions.purge("age")
    for _ in range(8):
        worker.run_until_idle()
        clock.advance(seconds=600)
    assert not Property.select().where(Property.key.startswith("~")).exists()
    assert not PropertyColumn.select().where(PropertyColumn.property.is_null(False)).exists()


@pytest.mark.filterwarnings("default::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("after", ["integer", "object"])
def test_four_writers_lose_nothing_while_the_type_changes(app: Flask, worker: Worker, after: str) -> None:
    """Each writer counts up; `object` takes a number in JSON as text, and so both types take the count."""
    define(default="7")
    hot, *users = people(13)
    stop, failures = threading.Event(), []
    counts = dict.fromkeys(users, 0)
    new: list[int] = []

    def said(number: int) -> str:
        return f'{{"n": {number}}}' if after == "object" else str(number)

    def work(own: list[int]) -> None:
        with app.app_context(), database.connection_context():
            try:
                while not stop.is_set():
                    for user_id in own:
                        counts[user_id] += 1
                        write(user_id, said(counts[user_id]))
                        write(hot, said(counts[user_id]))
                    with database.atomic():
                        made = User.add(name="New")
                        if after == "integer":
                            properties.begin(made.id, {}, ADMIN, made.created)
                    new.append(int(made.id))
                    time.sleep(0.002)
            except Exception as error:
                failures.append(error)

    if after == "object":
        definitions.edit(
            "age", definitions.draft_of(definitions.known("age")).model_copy(update={"default": None})
        )
    # Each writes users of its own, and all of them the one who is hot.
    threads = [threading.Thread(target=work, args=(users[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    conversion.convert("age", after)
    worker.run_until_idle()
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    found = catalogue(fresh=True).by_key["age"]
    assert found.type.name == after
    expected = {"object": lambda n: {"n": n}, "integer": lambda n: n}[after]
    assert {one: value(one) for one in users} == {one: expected(count) for one, count in counts.items()}
    if after == "integer":
        assert {value(one) for one in new} == {7}
    written = PropertyChange.select().where(PropertyChange.property == found.id, PropertyChange.user != hot)
    assert written.count() == sum(counts.values())
    last = properties.history(hot, found, 1)[0].after["value"]
    assert value(hot) == found.type.parse(last)
