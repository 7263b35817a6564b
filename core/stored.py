"""Walk in steps through the values of one property, wherever they are kept, and clear them away."""

import json
import time
from collections.abc import Callable
from typing import Any

from core import columns
from core.catalogue import Definition
from core.db import database, is_sqlite, run
from core.models import Session, User
from core.values import packed, pattern_of

STEP = 200


def give_back(column: str, property_id: int) -> None:
    """Empty a property's column, and let another property have it; it may have been given back before."""
    if not columns.belongs(column, property_id):
        return
    columns.unindex(column)  # whoever has the column next may want none
    _empty(column)
    columns.free(column)


def users_with_json(property_id: int, after: int) -> list[int]:
    """Return the next users in order whose JSON has this property; now and then one with another as well."""
    sql = 'SELECT id FROM "user" WHERE id > ? AND properties LIKE ? ORDER BY id LIMIT ?'
    return [one for (one,) in run(sql, after, pattern_of(property_id), STEP)]


def sessions_with(key: str, after: int) -> list[int]:
    """Return the next sessions in order that have this property; now and then one with another as well."""
    sql = "SELECT id FROM session WHERE id > ? AND properties LIKE ? ORDER BY id LIMIT ?"
    return [one for (one,) in run(sql, after, pattern_of(key), STEP)]


def each(next_: Callable[[int], list[int]], work: Callable[[int], None], *, alone: bool = False) -> None:
    """Do `work` for one after another, some in a transaction; each `alone` where users are not in order."""
    last = 0
    while ids := next_(last):
        for some in [[one] for one in ids] if alone else [ids]:
            with database.atomic():
                for one in some:
                    work(one)
        last = ids[-1]


def locked_json(user_id: int) -> dict[str, Any]:
    """Lock a user, and return the values in their JSON, each under the id of its property."""
    User.find(id=user_id, locked=True)
    [(kept,)] = run('SELECT properties FROM "user" WHERE id = ?', user_id)
    return json.loads(kept) if kept else {}


def write_json(user_id: int, property_id: int, value: Any) -> None:
    """Lock a user, and put a value into their JSON; None takes it out."""
    values = locked_json(user_id)
    before = packed(values)
    if value is None:
        values.pop(str(property_id), None)
    else:
        values[str(property_id)] = value
    if (text := packed(values)) != before:
        run('UPDATE "user" SET properties = ? WHERE id = ?', text, user_id)


def rewrite_user(user_id: int, definition: Definition) -> None:
    """Bring a user's value in JSON to the form of its type, or take it away where a column has it."""
    value = locked_json(user_id).get(str(definition.id))
    write_json(user_id, definition.id, None if definition.column else definition.kept(value))


def rewrite_session(session_id: int, definition: Definition) -> None:
    """Bring a session’s value to the form of its type."""
    kept = _locked_session(session_id)
    stored = kept.get(definition.key) or {}
    if stored.get("value") is not None:
        kept[definition.key] = {**stored, "value": definition.kept(stored["value"])}
        Session.change(session_id, properties=kept)


def drop_from_session(session_id: int, key: str) -> None:
    """Take a property out of what a session keeps."""
    kept = _locked_session(session_id)
    if kept.pop(key, None) is not None:
        Session.change(session_id, properties=kept or None)


def _locked_session(session_id: int) -> dict[str, Any]:
    """Lock the user of a session, and return what the session keeps."""
    found = Session.find(id=session_id)
    if found is None:
        return {}
    User.find(id=found.user_id, locked=True)
    found = Session.find(id=session_id)
    return {**((found and found.properties) or {})}


def _empty(column: str) -> None:
    """Empty a column, a few users at a time; whom somebody has locked is passed over until they are free."""
    some = f'SELECT id FROM "user" WHERE "{column}" IS NOT NULL ORDER BY id LIMIT {STEP}'  # noqa: S608
    free = some if is_sqlite() else f"{some} FOR NO KEY UPDATE SKIP LOCKED"
    while run(some):
        if not run(f'UPDATE "user" SET "{column}" = NULL WHERE id IN ({free}) RETURNING id'):  # noqa: S608
            time.sleep(0.05)
