"""Jobs: work that a worker does after the request is over."""

from datetime import datetime
from typing import Any

from peewee import BigAutoField, BigIntegerField, JSONField, TextField

from core import clock
from core.db import MomentField, database, is_sqlite
from core.models.base import Table

CHANNEL = "parley_jobs"


class Job(Table):
    """A piece of work. Jobs of one `lane` run one at a time, in the order of their ids.

    A finished job is deleted.
    """

    id = BigAutoField()
    kind = TextField()
    request_key = TextField(null=True, unique=True)
    lane = TextField(null=True)
    payload = JSONField(default=dict)
    due = MomentField(default=clock.now)
    attempts = BigIntegerField(default=0)
    leased_by = TextField(null=True)
    leased_until = MomentField(null=True)
    failed = MomentField(null=True)
    error = TextField(null=True)
    created = MomentField(default=clock.now)


def enqueue(
    kind: str,
    payload: dict[str, Any],
    *,
    lane: str | None = None,
    request_key: str | None = None,
    due: datetime | None = None,
) -> None:
    """Queue a job in the running transaction. With a `request_key`, asking twice queues it once."""
    insert = Job.insert(
        kind=kind,
        payload=payload,
        lane=lane,
        request_key=request_key,
        due=due or clock.now(),
        created=clock.now(),
    )
    (insert.on_conflict_ignore() if request_key else insert).execute()
    if not is_sqlite():
        database.execute_sql("SELECT pg_notify(%s, '')", (CHANNEL,))
