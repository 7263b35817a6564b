"""Identities: one user on one deployment, and the aliases by which it is known there."""

from peewee import BigAutoField, ForeignKeyField, JSONField, TextField

from core import clock
from core.db import MomentField
from core.models.base import Table, public_key
from core.models.deployment import Deployment
from core.models.user import User


class Identity(Table):
    """One user on one deployment. The window belongs here: `last_inbound` never moves backwards."""

    id = BigAutoField()
    key = TextField(unique=True, default=lambda: public_key(16))
    user = ForeignKeyField(User, backref="identities")
    user_id: int
    deployment = ForeignKeyField(Deployment, backref="+")
    deployment_id: int
    profile_name = TextField(null=True)
    created = MomentField(default=clock.now)
    last_inbound = MomentField(null=True)
    window_closed_at = MomentField(null=True)
    opted_out_at = MomentField(null=True)
    blocked_at = MomentField(null=True)
    unreachable = TextField(null=True)
    first_footprint = JSONField(default=dict)
    last_footprint = JSONField(default=dict)
    first_touch = MomentField(null=True)
    last_touch = MomentField(null=True)


class IdentityAlias(Table):
    """A name of an identity on its deployment; unique while valid."""

    id = BigAutoField()
    deployment = ForeignKeyField(Deployment, backref="+")
    deployment_id: int
    kind = TextField()
    value = TextField()
    identity = ForeignKeyField(Identity, backref="aliases")
    identity_id: int
    valid_from = MomentField(default=clock.now)
    valid_until = MomentField(null=True)
