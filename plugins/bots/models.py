"""Which bot answers on which deployment."""

from peewee import BigAutoField, ForeignKeyField, TextField

from core import clock
from core.db import MomentField
from core.models import Deployment
from core.models.base import Table


class Bot(Table):
    """A bot that is called over HTTP for the users of one deployment; its token is stored encrypted."""

    id = BigAutoField()
    deployment = ForeignKeyField(Deployment, backref="+", unique=True)
    name = TextField()
    url = TextField()
    token = TextField(null=True)
    changed = MomentField(default=clock.now)

    class Meta:
        table_name = "bots_bot"
