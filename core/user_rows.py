"""The rows of the list: users, the identity that they used last, and the properties that were asked for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peewee import JOIN, Cast, Column

from core.catalogue import Definition
from core.columns import decoded
from core.db import MomentField, database, is_sqlite
from core.models import Identity, Operator, User
from core.property_type import Storage

_COLUMNS = (
    User.id,
    User.key,
    User.name,
    User.email,
    User.phone,
    User.language,
    User.country,
    User.created,
    User.last_seen,
    User.last_message_at,
    User.last_message_author,
    User.last_message_name,
    User.last_message_text,
    User.handler,
    Operator.name.alias("agent_name"),
    Identity.deployment.alias("deployment_id"),
    Identity.profile_name,
    Identity.last_inbound,
    Identity.window_closed_at,
    Identity.opted_out_at,
    Identity.blocked_at,
    Identity.unreachable,
)


_NAMES = tuple(getattr(column, "_alias", None) or column.name for column in _COLUMNS)
_MOMENTS = {
    name: column.python_value
    for name, column in zip(_NAMES, _COLUMNS, strict=True)
    if isinstance(column, MomentField)
}


def value_in(row: Mapping[str, Any], one: Definition) -> Any:
    """Return the value of a property in a row that was asked for it, in normal form; None where unset."""
    if one.column:
        return decoded(row[one.column], one.type.storage)
    return one.kept((json.loads(row["properties"]) if row["properties"] else {}).get(str(one.id)))


@dataclass(frozen=True)
class Columns:
    """The names of a row's columns, and what they have beyond _COLUMNS."""

    names: tuple[str, ...] = _NAMES
    more: tuple[Any, ...] = ()


NO_MORE = Columns()


def columns_for(properties: Sequence[Definition]) -> Columns:
    """Return the columns that properties add to a row; JSON comes as text, which a memory can have as key."""
    found: dict[str, Any] = {}
    for one in properties:
        name = one.column or "properties"
        if name not in _NAMES:
            column = Column(User._meta.table, name)
            is_text = is_sqlite() or one.column is None or one.type.storage != Storage.JSON
            found[name] = column if is_text else Cast(column, "TEXT")
    return Columns((*_NAMES, *found), tuple(column.alias(name) for name, column in found.items()))


def select(shown: Columns = NO_MORE) -> Any:
    """Return the SELECT of rows; the caller adds which."""
    return (
        User.select(*_COLUMNS, *shown.more)
        .join(Identity, JOIN.LEFT_OUTER, on=(User.last_identity == Identity.id))
        .switch(User)
        .join(Operator, JOIN.LEFT_OUTER, on=(User.agent == Operator.id))
    )


def fetch(names: Sequence[str], sql: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    """Run what `select` makes; done here, as the ORM takes longer over a page than the database does."""
    rows = [dict(zip(names, row, strict=True)) for row in database.execute_sql(sql, values).fetchall()]
    for row in rows:
        for name, read in _MOMENTS.items():
            if (value := row[name]) is not None:
                row[name] = read(value)
    return rows
