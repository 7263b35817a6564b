"""Sessions: stretches of interaction of a user on a deployment."""

from peewee import BigAutoField, BigIntegerField, ForeignKeyField, JSONField, TextField

from core.db import ExactJSONField, MomentField
from core.models.base import Table
from core.models.deployment import Deployment
from core.models.identity import Identity
from core.models.user import User


class Session(Table):
    """One stretch of interaction: opened by a message, over when it `expires` or is `closed`.

    Numbered per user. `properties` holds the values of its session properties, by key, as
    `core.properties.Value` writes them.
    """

    id = BigAutoField()
    user = ForeignKeyField(User, backref="sessions")
    user_id: int
    identity = ForeignKeyField(Identity, backref="+")
    identity_id: int
    deployment = ForeignKeyField(Deployment, backref="+")
    deployment_id: int
    number = BigIntegerField()
    opened = MomentField()
    last_inbound = MomentField(null=True)
    last_message = MomentField()
    expires = MomentField()
    closed = MomentField(null=True)
    closed_why = TextField(null=True)
    handlers = JSONField(default=list)
    message_count = BigIntegerField(default=0)
    footprint = JSONField(default=dict)
    properties = ExactJSONField(null=True)
