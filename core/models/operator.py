"""Operators: everyone on staff who logs in."""

from enum import StrEnum

from peewee import BigAutoField, BigIntegerField, BooleanField, JSONField, TextField

from core import clock
from core.db import MomentField
from core.models.base import Table


class Role(StrEnum):
    """What an operator is there for; one operator may have several."""

    ADMIN = "admin"
    BUILDER = "builder"
    AGENT = "agent"
    AUDITOR = "auditor"


class Operator(Table):
    """Someone on staff. `login_epoch` ends all their logins when it moves.

    A `demo` login works from this machine only.
    """

    id = BigAutoField()
    email = TextField(unique=True)
    name = TextField()
    password_hash = TextField()
    roles = JSONField(default=list)
    active = BooleanField(default=True)
    login_epoch = BigIntegerField(default=1)
    demo = BooleanField(default=False)
    created = MomentField(default=clock.now)
    last_login = MomentField(null=True)
