"""What every table can do: find, add and change a row, by SQL that is generated once."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from peewee import BigIntegerField, BooleanField, IntegrityError, JSONField, TextField

from core import clock
from core.db import MomentField, database, run
from core.models import Deployment, Event, Identity, IdentityAlias, LogState, Message, User, WebhookLog
from fake_channel import deploy, message_of, says, user_of

PLUGINS = ("fake_channel",)


def stored(row):
    """Return a row as the database has it, read by a query."""
    return type(row).get_by_id(row.id).__data__


def test_what_is_added_is_what_is_stored_with_the_defaults_of_its_fields(app):
    shop = deploy()
    entry = WebhookLog.add(deployment=shop, method="POST", body=b"\x00{}", headers={"a": ["b", None]})
    kept = {**stored(entry), "body": bytes(stored(entry)["body"])}
    assert kept == {**entry.__data__, "body": b"\x00{}", "error": None}
    assert (entry.state, entry.notes, entry.error) == (LogState.RECEIVED, [], None)
    assert entry.deployment == shop
    assert entry.received <= clock.now()


def test_adding_is_creating(app):
    shop = deploy()
    same = {"name": "Asha", "key": "asha", "created": clock.now(), "handler_since": clock.now()}
    created = stored(User.create(**{**same, "key": "other"}))
    assert stored(User.add(**same)) == {**created, "id": created["id"] + 1, "key": "asha"}
    assert Identity.add(user=User.get(), deployment=shop).key != Identity.add(user=1, deployment=shop).key


def test_json_of_a_row_that_is_added_or_changed_is_json(app):
    event = Event.add(
        user=user_of(says(deploy())).id, seq=9, kind="tried", reference={"deep": [1, {"a": None}]}
    )
    assert stored(event)["reference"] == {"deep": [1, {"a": None}]}
    Event.change(event.id, reference={"now": "Ω"})
    assert stored(event)["reference"] == {"now": "Ω"}
    assert Event.select().where(Event.reference["now"] == "Ω").count() == 1


def test_a_change_writes_what_it_names_and_counts_and_nothing_else(app):
    maya, other = User.add(name="Maya", email="m@example.com"), User.add(name="Theo", email="t@example.com")
    before, beside = stored(maya), stored(other)
    for number, email in enumerate(["x@example.com", None, "y@example.com"], 1):
        User.change(maya.id, "sent_count", "received_count", email=email)
        counted = {"sent_count": number, "received_count": number}
        assert stored(maya) == {**before, **counted, "email": email}
    assert stored(other) == beside


def test_a_moment_is_found_and_changed_as_the_moment_it_is(app):
    maya, at = User.add(name="Maya"), clock.now() - timedelta(days=3)
    User.change(maya.id, last_seen=at)
    found = User.find(last_seen=at)
    assert found is not None
    assert (found.id, found.last_seen) == (maya.id, at)


def test_none_is_found_where_nothing_is_stored(app):
    identity = Identity.get_by_id(says(deploy()).identity_id)
    [alias] = IdentityAlias.select()
    assert IdentityAlias.find(identity=identity.id, valid_until=None) == alias
    IdentityAlias.change(alias.id, valid_until=clock.now())
    assert IdentityAlias.find(identity=identity.id, valid_until=None) is None
    assert IdentityAlias.find(identity=identity.id) == alias


def test_a_row_that_is_found_is_the_row_that_a_query_reads(app):
    arrived = says(deploy(), text="Where is it?")
    for row in (message_of(arrived), user_of(arrived), Deployment.get()):
        found = type(row).find(id=row.id)
        assert found is not None
        assert found.__data__ == row.__data__
        assert found.dirty_fields == []
    assert Message.find(id=0) is None


def test_of_several_the_newest_is_found(app):
    first, second = User.add(name="Maya"), User.add(name="Maya")
    assert User.find(name="Maya", newest=True) == second != first


def test_what_is_unique_is_refused_as_by_a_query(app):
    User.add(key="once")
    with pytest.raises(IntegrityError), database.atomic():
        User.add(key="once")
    assert User.select().count() == 1


def test_a_column_that_is_not_there_is_an_error(app):
    with pytest.raises(KeyError):
        User.find(nickname="Maya")
    with pytest.raises(ValueError, match="nickname"):
        User.change(1, nickname="Maya")


def test_sql_for_both_engines_binds_its_values(app):
    assert run('SELECT name FROM "user" WHERE name = ?', "'; --") == []
    User.add(name="'; --")
    assert run('SELECT name FROM "user" WHERE name = ?', "'; --") == [("'; --",)]
    assert run('UPDATE "user" SET name = ?', "Maya") == []


ODD = st.sampled_from(["", "a", "%s", "?", "{}", "null", "'; --", "é陈", '"', "\\"])
VALUES = {
    TextField: ODD,
    BigIntegerField: st.integers(-(2**40), 2**40),
    BooleanField: st.booleans(),
    JSONField: st.dictionaries(ODD, st.none() | ODD | st.lists(st.integers() | ODD, max_size=2), max_size=2),
    MomentField: st.integers(0, 999_999).map(lambda us: clock.now().replace(microsecond=us)),
}


def columns(model):
    """Return the columns that can hold anything of their type."""
    return [field for field in model._meta.sorted_fields if type(field) in VALUES and not field.unique]


def some_of(model, data):
    """Draw values for some columns, in any order; None too, where a column may be empty."""
    chosen = data.draw(st.lists(st.sampled_from(columns(model)), unique=True, max_size=6))
    return {
        field.name: data.draw(VALUES[type(field)] | st.none() if field.null else VALUES[type(field)])
        for field in chosen
    }


@effort(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_columns_are_named_each_gets_its_own_value(app, data):
    """In any order, with and without values: SQL of one shape is never used for another."""
    shop = Deployment.get_or_none() or deploy()
    model = data.draw(st.sampled_from([User, Identity]))
    first = some_of(model, data)
    row = model.add(**first) if model is User else model.add(user=User.add(), deployment=shop, **first)
    expected = {**stored(row), **first}
    assert stored(row) == expected
    news = some_of(model, data)
    counters = [field.name for field in columns(model) if type(field) is BigIntegerField]
    counters = [name for name in counters if name not in news and data.draw(st.booleans())]
    if news or counters:
        model.change(row.id, *counters, **news)
    expected |= {**news, **{name: expected[name] + 1 for name in counters}}
    assert stored(row) == expected
    sought = [name for name in some_of(model, data) if type(model._meta.fields[name]) is not JSONField]
    found = model.find(id=row.id, **{name: expected[name] for name in sought})
    assert found is not None
    assert found.__data__ == expected
