"""Users: the people who write."""

from enum import StrEnum
from typing import Any

from peewee import BigAutoField, BigIntegerField, DeferredForeignKey, ForeignKeyField, TextField

from core import clock
from core.db import MomentField
from core.models.base import Table, public_key
from core.models.operator import Operator


class Handler(StrEnum):
    """Who answers the user now, on every channel."""

    BOT = "bot"
    WAITING = "waiting"
    AGENT = "agent"


class UserState(StrEnum):
    """Whether this is a person of its own."""

    ACTIVE = "active"
    MERGED = "merged"
    ERASED = "erased"


class User(Table):
    """A person who writes to a bot.

    Never `save()` one: that writes every field, and reverts what another process wrote meanwhile. Write
    columns by UPDATE. `name_key` is the name in lower case, for search and order, and is kept by core.search.
    `last_seen` moves only on the user's own act; `agent_active` is when the agent who has the chat last
    claimed or wrote.
    """

    id = BigAutoField()
    key = TextField(unique=True, default=public_key)
    name = TextField(null=True)
    name_key = TextField(null=True)
    email = TextField(null=True)
    phone = TextField(null=True)
    gender = TextField(null=True)
    language = TextField(null=True)
    country = TextField(null=True)
    timezone = TextField(null=True)
    state = TextField(default=UserState.ACTIVE)
    created = MomentField(default=clock.now)
    first_seen = MomentField(null=True)
    last_seen = MomentField(null=True)
    last_identity = DeferredForeignKey("Identity", null=True, backref="+")
    last_identity_id: int | None
    last_message_at = MomentField(null=True)
    last_message_author = TextField(null=True)
    last_message_name = TextField(null=True)
    last_message_text = TextField(null=True)
    handler = TextField(default=Handler.BOT)
    handler_since = MomentField(default=clock.now)
    agent = ForeignKeyField(Operator, null=True, backref="+")
    agent_id: int | None
    agent_active = MomentField(null=True)
    claimed_from = TextField(null=True)
    received_count = BigIntegerField(default=0)
    sent_count = BigIntegerField(default=0)
    session_count = BigIntegerField(default=0)
    event_seq = BigIntegerField(default=0)

    def save(self, *args: Any, **kwargs: Any) -> int:
        """Insert a new user; refuse to overwrite one that exists."""
        if not kwargs.get("force_insert"):
            raise TypeError(
                "A User is never saved: that would revert what another process wrote. Use User.update(...)."
            )
        return int(super().save(*args, **kwargs))
