"""What takes longer than a request: index a property's column, move its values there, purge it, count it.

Each works in small steps with a commit after each, and may run again after a crash.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta

from core import catalogue as catalogues
from core import clock, columns
from core.catalogue import Definition, catalogue
from core.columns import encoded, placeholder
from core.db import database, run
from core.definitions import INDEX, MOVE, PURGE
from core.models import (
    Job,
    Property,
    PropertyChange,
    PropertySkipped,
    Scope,
    enqueue,
)
from core.stored import (
    STEP,
    drop_from_session,
    each,
    give_back,
    locked_json,
    sessions_with,
    users_with_json,
    write_json,
)
from core.values import pattern_of

COUNT = "properties.count"
COUNTED_EVERY = timedelta(minutes=5)


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
    while users := users_with_json(definition.id, last):
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
        give_back(row.storage_column, property_id)
    each(
        lambda last: users_with_json(property_id, last),
        lambda one: write_json(one, property_id, None),
        alone=True,
    )
    if key := row.owner:  # of a session's property
        each(lambda last: sessions_with(key, last), lambda one: drop_from_session(one, key), alone=True)
    while _delete_history(property_id):
        pass
    PropertySkipped.remove(PropertySkipped.property == property_id)
    with database.atomic():
        catalogues.hold_for_change()
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
    [(number,)] = run('SELECT COUNT(*) FROM "user" WHERE properties LIKE ?', pattern_of(definition.id))
    return int(number)


def _move(user_id: int, definition: Definition) -> bool:
    """Move one user's value; returns False when the property has that column no more.

    Each user is locked alone: who locks several waits for those who lock them in another order.
    """
    with database.atomic():
        value = locked_json(user_id).get(str(definition.id))
        now = catalogues.hold().by_id.get(definition.id)
        if now is None or now.column != definition.column:
            return False
        if value is not None:
            column, storage = definition.column, definition.type.storage
            run(
                f'UPDATE "user" SET "{column}" = {placeholder(storage)} '  # noqa: S608
                f'WHERE id = ? AND "{column}" IS NULL',
                encoded(value, storage),
                user_id,
            )
            write_json(user_id, definition.id, None)
    return True


def _delete_history(property_id: int) -> bool:
    """Delete some changes; returns whether there may be more."""
    sql = "SELECT id FROM property_change WHERE property_id = ? ORDER BY id LIMIT ?"
    ids = [one for (one,) in run(sql, property_id, STEP)]
    return bool(ids) and PropertyChange.remove(PropertyChange.id.in_(ids)) == STEP
