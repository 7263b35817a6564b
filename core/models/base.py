"""What every model shares: the database, public keys, and the fields of the house."""

import secrets as random_source

from peewee import Model

from core.db import database

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no letters that are read for another


def public_key(length: int = 12) -> str:
    """Return a random key to be shown in URLs: unguessable, easy to read aloud."""
    return "".join(random_source.choice(_ALPHABET) for _ in range(length))


class Table(Model):
    """A table of this installation."""

    class Meta:
        database = database
        legacy_table_names = False
