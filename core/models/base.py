"""What every model shares: the database, public keys, and the fields of the house."""

import secrets as random_source
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from peewee import SQL, Field, Function, Model

from core.db import database, is_sqlite, lock_for_update

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no letters that are read for another

_generated: dict[tuple[Any, ...], str] = {}


def public_key(length: int = 12) -> str:
    """Return a random key to be shown in URLs: unguessable, easy to read aloud."""
    return "".join(random_source.choice(ALPHABET) for _ in range(length))


class Table(Model):
    """A table of this installation.

    `find`, `add` and `change` are for the paths that every message takes: their SQL is generated once a
    process for each set of columns, not once a call, which is several times as fast as a query.
    """

    @classmethod
    def find(cls, *, locked: bool = False, newest: bool = False, **values: Any) -> Self | None:
        """Return the row whose columns have `values`, or None; of several, any one, or the `newest` by id.

        `locked` keeps the row from others until the transaction ends.
        """

        def query() -> Any:
            wanted = cls.select().where(*(cls._meta.fields[name] == values[name] for name in values))
            wanted = wanted.order_by(cls._meta.fields["id"].desc()) if newest else wanted
            return lock_for_update(wanted) if locked else wanted

        sql = _once(query, cls, "find", locked, newest, values)
        fields = [cls._meta.fields[name] for name, value in values.items() if value is not None]
        row = database.execute_sql(f"{sql} LIMIT 1", _bound(fields, values)).fetchone()
        if row is None:
            return None
        found = cls(__no_default__=True)
        for field, value in zip(cls._meta.sorted_fields, row, strict=True):
            found.__data__[field.name] = field.python_value(value)
        return found

    @classmethod
    def add(cls, **values: Any) -> Self:
        """Insert a row and return it, with its id and the defaults of its fields."""
        row = cls(**values)
        given = row.__data__
        sql = _once(lambda: cls.insert(given).returning(cls._meta.fields["id"]), cls, "add", given)
        fields = [field for field in cls._meta.sorted_fields if field.name in given]
        [(given["id"],)] = database.execute_sql(sql, _bound(fields, given)).fetchall()
        return row

    @classmethod
    def change(cls, row_id: int, /, *counters: str, **values: Any) -> None:
        """Write `values` into the row `row_id`, and count its `counters` up by one."""

        def query() -> Any:
            counted = {name: cls._meta.fields[name] + SQL("1") for name in counters}
            return cls.update({**values, **counted}).where(cls._meta.fields["id"] == row_id)

        sql = _once(query, cls, "change", counters, values)
        fields = [field for field in cls._meta.sorted_fields if field.name in values]
        database.execute_sql(sql, [*_bound(fields, values), row_id])

    @classmethod
    def remove(cls, *conditions: Any) -> int:
        """Delete the rows that meet every condition, of which there is at least one; returns how many."""
        removal: Any = cls.delete()  # type: ignore[arg-type]  # the stubs want an instance
        return int(removal.where(*conditions).execute())

    class Meta:
        database = database
        legacy_table_names = False


def _once(query: Callable[[], Any], *shape: Any) -> str:
    """Return the SQL of `query`, generated the first time that this shape is asked for.

    Of a dictionary in `shape` it is the names that count, and which of them are None.
    """
    key = (is_sqlite(), *(_names(part) if isinstance(part, dict) else part for part in shape))
    sql = _generated.get(key)
    if sql is None:
        sql, _ = query().sql()
        _generated[key] = sql
    return sql


def _names(values: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple((name, value is None) for name, value in values.items())


def _bound(fields: Iterable[Field], values: Mapping[str, Any]) -> list[Any]:
    """Return values as the SQL takes them."""
    return [_unwrapped(field.db_value(values[field.name])) for field in fields]


def _unwrapped(value: Any) -> Any:
    """Return what stands in json(...), which SQLite wants around JSON and the SQL has already."""
    return (value.arguments or ())[0] if isinstance(value, Function) else value
