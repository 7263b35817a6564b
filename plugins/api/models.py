"""Tokens: what a program shows to work for an operator."""

from peewee import BigAutoField, ForeignKeyField, JSONField, TextField

from core import clock
from core.db import MomentField
from core.models import Operator
from core.models.base import Table


class Token(Table):
    """A token of one operator, for one program; only a hash of its secret is kept. `key` names it."""

    id = BigAutoField()
    key = TextField(unique=True)
    operator = ForeignKeyField(Operator, backref="+")
    operator_id: int
    name = TextField()
    hash = TextField()
    scopes = JSONField(default=list)
    created = MomentField(default=clock.now)
    expires = MomentField()
    last_used = MomentField(null=True)
    revoked = MomentField(null=True)

    class Meta:
        table_name = "api_token"
