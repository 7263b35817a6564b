"""What every model shares: the database, public keys, and the fields of the house."""

import secrets as random_source
from typing import Any

from peewee import Model

from core.db import database

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no letters that are read for another


def public_key(length: int = 12) -> str:
    """Return a random key to be shown in URLs: unguessable, easy to read aloud."""
    return "".join(random_source.choice(_ALPHABET) for _ in range(length))


class Table(Model):
    """A table of this installation."""

    @classmethod
    def remove(cls, *conditions: Any) -> int:
        """Delete the rows that meet every condition, of which there is at least one; returns how many."""
        removal: Any = cls.delete()  # type: ignore[arg-type]  # the stubs want an instance
        return int(removal.where(*conditions).execute())

    class Meta:
        database = database
        legacy_table_names = False
