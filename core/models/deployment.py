"""Deployments: a channel put somewhere, and the templates its provider keeps for it."""

from peewee import BigAutoField, BigIntegerField, BooleanField, ForeignKeyField, JSONField, TextField

from core import clock
from core.db import MomentField
from core.models.base import Table, public_key


class Deployment(Table):
    """A channel put somewhere.

    `account` is what the provider's events name, so that one callback URL can serve many; `key` stands in the
    webhook's URL; `config` holds its secrets encrypted. A paused deployment (`paused_reason`) receives, and
    does not send.
    """

    id = BigAutoField()
    key = TextField(unique=True, default=lambda: public_key(20))
    channel = TextField()
    account = TextField()
    label = TextField()
    place = TextField()
    config = JSONField(default=dict)
    enabled = BooleanField(default=True)
    paused_reason = TextField(null=True)
    idle_seconds = BigIntegerField(default=24 * 3600)
    created = MomentField(default=clock.now)
    changed = MomentField(default=clock.now)


class Template(Table):
    """A template as the provider last described it; only status `approved` may be sent."""

    id = BigAutoField()
    deployment = ForeignKeyField(Deployment, backref="templates")
    deployment_id: int
    name = TextField()
    language = TextField()
    category = TextField()
    status = TextField()
    header = TextField(default="")
    body = TextField()
    footer = TextField(default="")
    buttons = JSONField(default=list)
    parameters = JSONField(default=list)
    synced = MomentField(default=clock.now)
