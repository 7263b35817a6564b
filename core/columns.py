"""The real, typed column that a filterable property has in the table of users, added while all are at work.

Measured against JSON and against a table of attributes, it won on size, ingest and nearly every filter. A
column is never dropped: a purge empties it, and the next property of the same SQL type takes it over.
"""

import json
import logging
import random
import time
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime, timedelta
from typing import Any

from peewee import OperationalError

from core import clock
from core.db import database, is_sqlite, run
from core.models import PropertyColumn
from core.property_type import Storage

log = logging.getLogger(__name__)

MOST_COLUMNS = 300
"""PostgreSQL refuses a row of more than 8,160 bytes in line, which 500 short texts reach."""
REST = timedelta(seconds=30)
"""How long an emptied column waits: a process may know its former property for a moment longer."""
_LONGEST_INDEXED = 2_600
"""Bytes: a longer text in an index of PostgreSQL fails every later write of its row."""
_LOCK_TIMEOUT_MS = 300
_MOST_TRIES = 40

_SQLITE = {
    Storage.TEXT: "TEXT",
    Storage.INTEGER: "INTEGER",
    Storage.REAL: "REAL",
    Storage.FLAG: "INTEGER",
    Storage.DATE: "TEXT",
    Storage.MOMENT: "INTEGER",
    Storage.JSON: "TEXT",
}
POSTGRESQL = {
    Storage.TEXT: 'TEXT COLLATE "C"',
    Storage.INTEGER: "BIGINT",
    Storage.REAL: "DOUBLE PRECISION",
    Storage.FLAG: "BOOLEAN",
    Storage.DATE: "DATE",
    Storage.MOMENT: "TIMESTAMPTZ",
    Storage.JSON: "JSONB",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NoColumnLeft(Exception):
    """As many properties can be filtered as this installation allows."""


class TableBusy(Exception):
    """Somebody has been reading the table of users for so long that no column could be added."""


def name_of(column: PropertyColumn) -> str:
    """Return what a column is called in the table of users."""
    return f"p_{column.id}"


def _is(name: str) -> Any:
    return PropertyColumn.id == int(name.removeprefix("p_"))


def belongs(name: str, property_id: int) -> bool:
    """Say whether a column is this property's."""
    return PropertyColumn.select().where(_is(name), PropertyColumn.property == property_id).exists()


def claim(name: str, property_id: int) -> bool:
    """Give a column that was obtained to a property; returns False when another was quicker."""
    free = PropertyColumn.property.is_null()
    return bool(PropertyColumn.update(property=property_id, freed=None).where(_is(name), free).execute())


def free(name: str) -> None:
    """Let another property have an emptied column, after a rest."""
    PropertyColumn.update(property=None, freed=clock.now()).where(_is(name)).execute()


def obtain(storage: Storage, taken: Collection[str] = ()) -> str:
    """Return the name of an empty column of this type that no property has, adding one where none is left.

    Those in `taken` are for others.

    Call it with no transaction open: on PostgreSQL the table is locked for a moment, and whoever waits for it
    must hold nothing. Raises NoColumnLeft, TableBusy.
    """
    return _free(storage, taken) or _patiently(lambda: _add(storage))


def _free(storage: Storage, taken: Collection[str]) -> str | None:
    free = PropertyColumn.select().where(
        PropertyColumn.storage == storage,
        PropertyColumn.property.is_null(),
        PropertyColumn.freed.is_null() | (PropertyColumn.freed < clock.now() - REST),
        PropertyColumn.id.not_in([int(name.removeprefix("p_")) for name in taken]),
    )
    found: PropertyColumn | None = free.order_by(PropertyColumn.id).first()
    return name_of(found) if found is not None else None


def index(name: str) -> None:
    """Index a column for those who have a value; does nothing where that index is there already."""
    if is_sqlite():
        database.execute_sql(
            f'CREATE INDEX IF NOT EXISTS "user_{name}" ON "user" ("{name}") WHERE "{name}" IS NOT NULL'
        )
        return
    long = f'SELECT 1 FROM "user" WHERE "{name}" IS NOT NULL AND octet_length("{name}"::text) > ? LIMIT 1'  # noqa: S608
    if run(long, _LONGEST_INDEXED):
        log.warning("%s is not indexed: it holds texts from before, which are too long for an index", name)
        return
    # One that an earlier try left half built is of no use, and stands in the way.
    unfinished = run(
        "SELECT 1 FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relname = ? "
        "AND NOT i.indisvalid",
        f"user_{name}",
    )
    if unfinished:
        database.execute_sql(f'DROP INDEX CONCURRENTLY IF EXISTS "user_{name}"')
    database.execute_sql(
        f'CREATE INDEX CONCURRENTLY IF NOT EXISTS "user_{name}" ON "user" ("{name}") '
        f'WHERE "{name}" IS NOT NULL'
    )


def unindex(name: str) -> None:
    """Drop the index of a column."""
    how = "" if is_sqlite() else "CONCURRENTLY "
    database.execute_sql(f'DROP INDEX {how}IF EXISTS "user_{name}"')


def encoded(value: Any, storage: Storage) -> Any:
    """Return a value in normal form as its column takes it; None stays None."""
    if value is None:
        return None
    match storage:
        case Storage.JSON:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        case Storage.FLAG:
            return int(value) if is_sqlite() else value
        case Storage.MOMENT:
            at = datetime.fromisoformat(value)
            return (at - _EPOCH) // timedelta(microseconds=1) if is_sqlite() else at
    return value


def decoded(value: Any, storage: Storage) -> Any:
    """Return what a column holds in normal form; None stays None."""
    if value is None:
        return None
    match storage:
        case Storage.JSON:
            return json.loads(value) if is_sqlite() else value
        case Storage.FLAG:
            return bool(value)
        case Storage.DATE:
            return value.isoformat() if isinstance(value, date) else value
        case Storage.MOMENT:
            at = _EPOCH + timedelta(microseconds=value) if isinstance(value, int) else value.astimezone(UTC)
            return at.isoformat()
    return value


def placeholder(storage: Storage) -> str:
    """Return how a bound value of this type stands in SQL."""
    if is_sqlite():
        return "?"
    casts = {Storage.JSON: "CAST(? AS JSONB)", Storage.DATE: "CAST(? AS DATE)"}
    return casts.get(storage, "?")


def _add(storage: Storage) -> str:
    types = _SQLITE if is_sqlite() else POSTGRESQL
    with database.atomic():
        if not is_sqlite():
            database.execute_sql(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
            # One at a time, so that two do not both take the last one.
            database.execute_sql("SELECT pg_advisory_xact_lock(hashtext('parley.columns'))")
        if PropertyColumn.select().count() >= MOST_COLUMNS:
            raise NoColumnLeft
        name = name_of(PropertyColumn.create(storage=storage))
        database.execute_sql(f'ALTER TABLE "user" ADD COLUMN "{name}" {types[storage]}')
    log.info("added the column %s for a property", name)
    return name


def _patiently(work: Callable[[], str]) -> str:
    """Do what needs a lock on the table for a moment: give way at once, and try again."""
    for tried in range(1, _MOST_TRIES + 1):
        try:
            return work()
        except OperationalError as error:
            if database.in_transaction():
                raise
            if tried == _MOST_TRIES:
                raise TableBusy from error
            time.sleep(random.uniform(0.05, 0.3))
    raise AssertionError("unreachable")
