"""Settings that are changed at run time."""

from typing import Any

from peewee import JSONField, TextField

from core.models.base import Table


class Setting(Table):
    """One named value."""

    key = TextField(primary_key=True)
    value = JSONField()


def read_setting(key: str, default: Any = None) -> Any:
    """Return the value stored under `key`, or `default`."""
    row = Setting.find(key=key)
    return default if row is None else row.value


def write_setting(key: str, value: Any) -> None:
    """Store `value` under `key`."""
    Setting.insert(key=key, value=value).on_conflict(
        conflict_target=[Setting.key], update={Setting.value: value}
    ).execute()
