"""Count who has a value with a choice in it, wherever the values of that property are kept."""

from core.catalogue import Definition
from core.db import is_sqlite, run
from core.models import Scope
from core.property_type import Storage
from core.values import pattern_of


def users_of(definition: Definition, choice: str) -> int:
    """Return how many users have the value `choice`, or a list with it; of a session property, how many
    sessions.
    """
    if definition.scope == Scope.SESSION:
        return _in_json("session", choice, definition.key, "value")
    moved = _in_column(definition, choice) if definition.column else 0
    return moved + _in_json("user", choice, str(definition.id))


def _in_column(definition: Definition, choice: str) -> int:
    column = f'"{definition.column}"'
    if definition.type.storage != Storage.JSON:
        return _count(f'SELECT COUNT(*) FROM "user" WHERE {column} = ?', choice)  # noqa: S608
    if is_sqlite():
        has = f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value = ?)"  # noqa: S608
    else:
        has = f"{column} @> to_jsonb(CAST(? AS TEXT))"
    return _count(f'SELECT COUNT(*) FROM "user" WHERE {column} IS NOT NULL AND {has}', choice)  # noqa: S608


def _in_json(table: str, choice: str, *path: str) -> int:
    """Count the rows whose JSON has the choice at `path`, which is a number or a key: nothing to quote."""
    # Few rows have the property at all; the text finds them without reading JSON.
    if is_sqlite():
        where = "$" + "".join(f'."{part}"' for part in path)
        has = f"EXISTS (SELECT 1 FROM json_each(properties, '{where}') WHERE value = ?)"  # noqa: S608
    else:
        where = "".join(f" -> '{part}'" for part in path)
        has = f"CAST(properties AS JSONB){where} @> to_jsonb(CAST(? AS TEXT))"
    sql = f'SELECT COUNT(*) FROM "{table}" WHERE properties LIKE ? AND {has}'  # noqa: S608
    return _count(sql, pattern_of(path[0]), choice)


def _count(sql: str, *values: str) -> int:
    [(number,)] = run(sql, *values)
    return int(number)
