"""Messages: everything in a conversation, including what happened between the words."""

from peewee import BigAutoField, ForeignKeyField, JSONField, TextField

from core import clock
from core.channel import Delivery
from core.db import MomentField
from core.models.base import Table
from core.models.deployment import Deployment
from core.models.identity import Identity
from core.models.operator import Operator
from core.models.session import Session
from core.models.user import User


class Message(Table):
    """One entry of a conversation; the stream is ordered by (`at`, `id`).

    `at` is the provider's time, never later than the receipt. Entries of the author `system` are events shown
    inline (handed over, session closed...). `provider_id` is unique with its deployment, `request_key` makes
    a repeated request of ours harmless. `attempted` is set while a delivery is under way: found set by the
    next attempt, it means that a worker died in between.
    """

    id = BigAutoField()
    user = ForeignKeyField(User, backref="messages")
    user_id: int
    identity = ForeignKeyField(Identity, backref="+")
    identity_id: int
    session = ForeignKeyField(Session, null=True, backref="messages")
    session_id: int | None
    deployment = ForeignKeyField(Deployment, backref="+")
    deployment_id: int
    at = MomentField(default=clock.now)
    author = TextField()
    author_name = TextField(null=True)
    operator = ForeignKeyField(Operator, null=True, backref="+")
    operator_id: int | None
    kind = TextField()
    text = TextField(default="")
    payload = JSONField(default=dict)
    reply_to = TextField(null=True)
    provider_id = TextField(null=True)
    request_key = TextField(null=True, unique=True)
    state = TextField(default=Delivery.RECEIVED)
    error = TextField(null=True)
    attempted = MomentField(null=True)
    sent = MomentField(null=True)
    delivered = MomentField(null=True)
    read = MomentField(null=True)
    failed = MomentField(null=True)


class HeldStatus(Table):
    """A status that came before its message: held until the message is known."""

    id = BigAutoField()
    deployment = ForeignKeyField(Deployment, backref="+")
    deployment_id: int
    provider_id = TextField()
    received = MomentField(default=clock.now)
    status = JSONField()
