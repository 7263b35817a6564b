"""What every model shares: the database, public keys, and the fields of the house."""

import secrets as random_source
from typing import Any, Self

from peewee import Model

from core.db import database, is_sqlite, lock_for_update

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no letters that are read for another

_generated: dict[tuple[type[Model], tuple[Any, ...]], str] = {}


def public_key(length: int = 12) -> str:
    """Return a random key to be shown in URLs: unguessable, easy to read aloud."""
    return "".join(random_source.choice(_ALPHABET) for _ in range(length))


class Table(Model):
    """A table of this installation."""

    @classmethod
    def find(cls, *, locked: bool = False, newest: bool = False, **values: Any) -> Self | None:
        """Return the row whose columns have `values`, or None; of several, any one, or the `newest` by id.

        For the paths that every message takes: the SQL is generated once a process, not once a call, which
        is five times as fast as a query. `locked` keeps the row from others until the transaction ends.
        """
        shape = (is_sqlite(), locked, newest, *values)
        fields = [cls._meta.fields[name] for name in values]
        if (sql := _generated.get((cls, shape))) is None:
            query = cls.select().where(*(field == values[field.name] for field in fields))
            if newest:
                query = query.order_by(cls._meta.fields["id"].desc())
            text, _ = (lock_for_update(query) if locked else query).sql()
            sql = _generated[cls, shape] = f"{text} LIMIT 1"
        return next(iter(cls.raw(sql, *(field.db_value(values[field.name]) for field in fields))), None)

    @classmethod
    def remove(cls, *conditions: Any) -> int:
        """Delete the rows that meet every condition, of which there is at least one; returns how many."""
        removal: Any = cls.delete()  # type: ignore[arg-type]  # the stubs want an instance
        return int(removal.where(*conditions).execute())

    class Meta:
        database = database
        legacy_table_names = False
