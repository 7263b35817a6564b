"""What every table can do: find, add and change a row, by SQL that is generated once."""

from datetime import timedelta

import pytest
from peewee import IntegrityError

from core import clock
from core.db import database, run
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
