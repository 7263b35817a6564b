"""Walk in steps through the values of one property, wherever they are kept, and clear them away."""

import json
from collections.abc import Callable
from typing import Any

from core import clock, columns
from core.catalogue import Definition
from core.db import database, run
from core.models import PropertyColumn, Session, User

STEP = 200


def give_back(column: str) -> None:
    """Empty a column, and let another property have it."""
    columns.unindex(column)
    sql = (
        f'UPDATE "user" SET "{column}" = NULL WHERE id IN '  # noqa: S608
        f'(SELECT id FROM "user" WHERE "{column}" IS NOT NULL ORDER BY id LIMIT {STEP}) RETURNING id'
    )
    while run(sql):
        pass
    PropertyColumn.update(property=None, freed=clock.now()).where(
        PropertyColumn.id == id_of(column)
    ).execute()


def id_of(column: str) -> int:
    """Return the id of a column’s row, from its name."""
    return int(column.removeprefix("p_"))


def pattern_of(property_id: int) -> str:
    """Return what the JSON of users with this property is like; now and then of another as well."""
    return f'%"{property_id}":%'


def users_with_json(definition: Definition, after: int) -> list[int]:
    """Return the next users in order whose JSON has this property."""
    sql = 'SELECT id FROM "user" WHERE id > ? AND properties LIKE ? ORDER BY id LIMIT ?'
    return [one for (one,) in run(sql, after, pattern_of(definition.id), STEP)]


def sessions_with(definition: Definition, after: int) -> list[int]:
    """Return the next sessions in order that have this property."""
    sql = "SELECT id FROM session WHERE id > ? AND properties LIKE ? ORDER BY id LIMIT ?"
    return [one for (one,) in run(sql, after, f'%"{definition.key}":%', STEP)]


def each(next_: Callable[[int], list[int]], work: Callable[[int], None], *, alone: bool = False) -> None:
    """Do `work` for one after another, some in a transaction; each `alone` where users are not in order."""
    last = 0
    while ids := next_(last):
        for some in [[one] for one in ids] if alone else [ids]:
            with database.atomic():
                for one in some:
                    work(one)
        last = ids[-1]


def rewrite_user(user_id: int, definition: Definition) -> None:
    """Bring a user's value in JSON to the form of its type, or take it away where a column has it."""
    User.find(id=user_id, locked=True)
    [(kept,)] = run('SELECT properties FROM "user" WHERE id = ?', user_id)
    value = (json.loads(kept) if kept else {}).get(str(definition.id))
    after = None if definition.column else definition.kept(value)
    if after != value or type(after) is not type(value):
        write_json(user_id, definition, after)


def write_json(user_id: int, definition: Definition, value: Any) -> None:
    """Put a value into a user’s JSON; None takes it out."""
    User.find(id=user_id, locked=True)
    [(kept,)] = run('SELECT properties FROM "user" WHERE id = ?', user_id)
    others: dict[str, Any] = json.loads(kept) if kept else {}
    others.pop(str(definition.id), None)
    if value is not None:
        others[str(definition.id)] = value
    text = json.dumps(others, ensure_ascii=False, separators=(",", ":")) if others else None
    run('UPDATE "user" SET properties = ? WHERE id = ?', text, user_id)


def rewrite_session(session_id: int, definition: Definition) -> None:
    """Bring a session’s value to the form of its type."""
    found = Session.find(id=session_id)
    if found is None:
        return
    User.find(id=found.user_id, locked=True)
    found = Session.find(id=session_id)
    kept = {**((found and found.properties) or {})}
    stored = kept.get(definition.key) or {}
    if stored.get("value") is not None:
        kept[definition.key] = {**stored, "value": definition.kept(stored["value"])}
        Session.change(session_id, properties=kept)
