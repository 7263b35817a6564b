"""What takes longer than a request: index a property's column, move its values there, purge it, count it.

Each works in small steps with a commit after each, and may run again after a crash.
"""

import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from core import catalogue as catalogues
from core import clock, columns
from core.catalogue import Definition, catalogue
from core.columns import encoded, placeholder
from core.db import database, is_sqlite, run
from core.definitions import INDEX, MOVE, PURGE
from core.models import (
    Job,
    Property,
    PropertyChange,
    PropertyColumn,
    PropertySkipped,
    Scope,
    Session,
    User,
    enqueue,
)

COUNT = "properties.count"
COUNTED_EVERY = timedelta(minutes=5)
_STEP = 500


def index(job: Job) -> None:
    """Make or drop the index of a column (the job `properties.index`)."""
    if job.payload.get("drop"):
        columns.unindex(job.payload["column"])
    else:
        columns.index(job.payload["column"])


def move(job: Job) -> None:
    """Move values from JSON into the property's own column, then let it be filtered (`properties.move`)."""
    definition = catalogue(fresh=True).by_id.get(job.payload["property"])
    column = job.payload["column"]
    if definition is None or definition.column != column:
        return
    last = 0
    while users := _with_json(definition.id, last):
        for user_id in users:
            if not _move(user_id, definition):
                return
        last = users[-1]
    if definition.type.indexed:
        columns.index(column)
    with database.atomic():
        catalogues.hold_for_change()
        Property.update(filterable=True).where(Property.id == definition.id).execute()
        catalogues.changed()


def purge(job: Job) -> None:
    """Delete what a purged property held, then the rest of it (the job `properties.purge`)."""
    property_id = job.payload["property"]
    row = Property.get_or_none(Property.id == property_id)
    if row is None:
        return
    if row.storage_column:
        columns.unindex(row.storage_column)  # whoever has the column next may want none
        _empty(row.storage_column)
    last = 0
    while users := _with_json(property_id, last):
        for user_id in users:
            _drop_json(user_id, property_id)
        last = users[-1]
    if row.owner:
        _drop_of_sessions(row.owner)
    while _delete_history(property_id):
        pass
    PropertySkipped.remove(PropertySkipped.property == property_id)
    with database.atomic():
        catalogues.hold_for_change()
        if row.storage_column:
            column_id = int(row.storage_column.removeprefix("p_"))
            PropertyColumn.update(property=None, freed=clock.now()).where(
                PropertyColumn.id == column_id
            ).execute()
        Property.remove(Property.id == property_id)
        catalogues.changed()


def count_soon() -> None:
    """Have the users with a value counted, unless that was done in the last five minutes."""
    counted = [one.counted for one in catalogue().active]
    if any(at is None or at < clock.now() - COUNTED_EVERY for at in counted):
        enqueue(COUNT, {}, request_key=COUNT)


def count(job: Job) -> None:
    """Count how many users have a value of each property (the job `properties.count`)."""
    for definition in catalogue(fresh=True).active:
        filled = _filled(definition)
        Property.update(filled=filled, counted=clock.now()).where(Property.id == definition.id).execute()
    with database.atomic():
        catalogues.changed()


def held(definition: Definition) -> tuple[int | None, int]:
    """Return what a purge would delete: the values of how many users (None: of sessions), and changes."""
    [(changes,)] = run("SELECT COUNT(*) FROM property_change WHERE property_id = ?", definition.id)
    return _filled(definition), int(changes)


KINDS: Mapping[str, Callable[[Job], None]] = {INDEX: index, MOVE: move, PURGE: purge, COUNT: count}


def _filled(definition: Definition) -> int | None:
    if definition.scope == Scope.SESSION:
        return None
    column = definition.column
    if column:
        [(number,)] = run(f'SELECT COUNT(*) FROM "user" WHERE "{column}" IS NOT NULL')  # noqa: S608
        return int(number)
    if definition.is_locked:
        return None
    [(number,)] = run('SELECT COUNT(*) FROM "user" WHERE properties LIKE ?', _like(definition.id))
    return int(number)


def _like(property_id: int) -> str:
    """Match the JSON of users with this property: its ids are numbers in quotes before a colon.

    A value that looks the same is found as well, and looked at again by whoever asks.
    """
    return f'%"{property_id}":%'


def _with_json(property_id: int, after: int) -> list[int]:
    """Return the next users in order whose JSON has this property."""
    sql = 'SELECT id FROM "user" WHERE id > ? AND properties LIKE ? ORDER BY id LIMIT ?'
    return [user_id for (user_id,) in run(sql, after, _like(property_id), _STEP)]


def _locked_json(user_id: int) -> dict[str, Any]:
    User.find(id=user_id, locked=True)
    [(kept,)] = run('SELECT properties FROM "user" WHERE id = ?', user_id)
    return json.loads(kept) if kept else {}


def _write_json(user_id: int, others: Mapping[str, Any]) -> None:
    text = json.dumps(others, ensure_ascii=False, separators=(",", ":")) if others else None
    run('UPDATE "user" SET properties = ? WHERE id = ?', text, user_id)


def _move(user_id: int, definition: Definition) -> bool:
    """Move one user's value; returns False when the property has that column no more.

    Each user is locked alone: who locks several waits for those who lock them in another order.
    """
    with database.atomic():
        others = _locked_json(user_id)
        now = catalogues.hold().by_id.get(definition.id)
        if now is None or now.column != definition.column:
            return False
        value = others.pop(str(definition.id), None)
        if value is not None:
            column, storage = definition.column, definition.type.storage
            run(
                f'UPDATE "user" SET "{column}" = {placeholder(storage)} '  # noqa: S608
                f'WHERE id = ? AND "{column}" IS NULL',
                encoded(value, storage),
                user_id,
            )
            _write_json(user_id, others)
    return True


def _drop_json(user_id: int, property_id: int) -> None:
    with database.atomic():
        others = _locked_json(user_id)
        if others.pop(str(property_id), None) is not None:
            _write_json(user_id, others)


def _drop_of_sessions(key: str) -> None:
    """Take a purged property out of the sessions, which keep values by key."""
    last = 0
    sql = "SELECT id, user_id FROM session WHERE id > ? AND properties LIKE ? ORDER BY id LIMIT ?"
    while found := run(sql, last, f'%"{key}":%', _STEP):
        for session_id, user_id in found:
            with database.atomic():
                User.find(id=user_id, locked=True)
                session = Session.get_by_id(session_id)
                kept = dict(session.properties or {})
                if kept.pop(key, None) is not None:
                    Session.change(session_id, properties=kept or None)
        last = found[-1][0]


def _empty(column: str) -> None:
    """Empty a column, a few users at a time; whom somebody has locked is passed over until they are free."""
    some = f'SELECT id FROM "user" WHERE "{column}" IS NOT NULL ORDER BY id LIMIT {_STEP}'  # noqa: S608
    free = some if is_sqlite() else f"{some} FOR NO KEY UPDATE SKIP LOCKED"
    while run(some):
        if not run(f'UPDATE "user" SET "{column}" = NULL WHERE id IN ({free}) RETURNING id'):  # noqa: S608
            time.sleep(0.05)


def _delete_history(property_id: int) -> bool:
    """Delete some changes; returns whether there may be more."""
    sql = "SELECT id FROM property_change WHERE property_id = ? ORDER BY id LIMIT ?"
    ids = [one for (one,) in run(sql, property_id, _STEP)]
    return bool(ids) and PropertyChange.remove(PropertyChange.id.in_(ids)) == _STEP
