"""The webhook log: verified bodies as they came, and notes about what was refused."""

from enum import StrEnum

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    CompositeKey,
    ForeignKeyField,
    JSONField,
    TextField,
)

from core import clock
from core.db import MomentField
from core.models.base import Table
from core.models.deployment import Deployment
from core.models.identity import Identity


class LogState(StrEnum):
    """What became of a logged body."""

    RECEIVED = "received"
    PROCESSED = "processed"
    FAILED = "failed"


class WebhookLog(Table):
    """A verified request, without its signature. `notes` lists what it said that belongs to no user."""

    id = BigAutoField()
    deployment = ForeignKeyField(Deployment, backref="+")
    deployment_id: int
    received = MomentField(default=clock.now)
    method = TextField()
    headers = JSONField(default=dict)
    query = JSONField(default=dict)
    body = BlobField()
    state = TextField(default=LogState.RECEIVED)
    error = TextField(null=True)
    notes = JSONField(default=list)


class WebhookLogIdentity(Table):
    """Which identities a logged body speaks of, so that it can be erased with them."""

    log = ForeignKeyField(WebhookLog, backref="identities")
    log_id: int
    identity = ForeignKeyField(Identity, backref="+")
    identity_id: int

    class Meta:
        primary_key = CompositeKey("log", "identity")


class WebhookRefusal(Table):
    """A rate-limited note: how often requests were refused in a minute, and why.

    Their bodies are not kept.
    """

    id = BigAutoField()
    deployment = ForeignKeyField(Deployment, null=True, backref="+")
    deployment_id: int | None
    at = MomentField(default=clock.now)
    reason = TextField()
    count = BigIntegerField(default=1)
