"""Events: what happened to a user, written in the transaction that caused it."""

from typing import Any

from peewee import BigAutoField, BigIntegerField, BooleanField, ForeignKeyField, JSONField, TextField

from core import clock
from core.db import MomentField, database, is_sqlite, run
from core.models.base import Table
from core.models.user import User

CHANNEL = "parley_events"
_COUNT = 'UPDATE "user" SET event_seq = event_seq + 1 WHERE id = ? RETURNING key, event_seq'


class Event(Table):
    """Something that happened to a user: handed to subscribers at least once, to open pages by `seq`.

    Each user's `seq` has no gaps.
    """

    id = BigAutoField()
    user = ForeignKeyField(User, backref="events")
    user_id: int
    seq = BigIntegerField()
    kind = TextField()
    reference = JSONField(default=dict)
    at = MomentField(default=clock.now)
    handed_on = BooleanField(default=False)


def record(user_id: int, kind: str, **reference: Any) -> int:
    """Write an event of `user_id` and return its sequence number.

    Call it inside the transaction that causes it: the number is taken under the user's row lock, so there are
    no gaps.
    """
    [(key, seq)] = run(_COUNT, user_id)
    Event.add(user=user_id, seq=seq, kind=kind, reference=reference)
    if not is_sqlite():
        database.execute_sql("SELECT pg_notify(%s, %s)", (CHANNEL, f"{key} {seq} {kind}"))
    return int(seq)
