"""Stored views: a filter under a key, so that its values need not stand in a URL (A9)."""

from peewee import BigAutoField, TextField

from core import clock
from core.db import ExactJSONField, MomentField
from core.models.base import Table


class StoredView(Table):
    """A filter as `core.filters` writes it; the same filter is stored once."""

    id = BigAutoField()
    key = TextField(unique=True)
    filter = ExactJSONField()
    created = MomentField(default=clock.now)
    used = MomentField(default=clock.now)

    class Meta:
        table_name = "stored_view"
