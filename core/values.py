"""What a property is for somebody: read from where it is kept, computed, or stored.

A user's values stand in columns of their own and, where no condition asks for them, in one JSON text; a
session's with the session. Nothing is decided here: `core.properties.write` does that.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core import search
from core.catalogue import Definition, catalogue
from core.columns import decoded, encoded, placeholder
from core.db import run
from core.models import Identity, PropertySkipped, Session, Source, User
from core.phones import country_of

_SEARCHED = frozenset({"name", "email", "phone"})


@dataclass(frozen=True, eq=False)
class Value:
    """What a property is for somebody: unset, skipped, or set to a value in normal form."""

    value: Any = None
    is_skipped: bool = False

    def __eq__(self, other: object) -> bool:
        """Say whether both are the same in JSON, where 1, 1.0 and true are three values."""
        return isinstance(other, Value) and self._exact() == other._exact()

    def __hash__(self) -> int:
        """Agree with `==`."""
        return hash(self._exact())

    def _exact(self) -> tuple[bool, str]:
        return self.is_skipped, json.dumps(self.value, sort_keys=True)

    @property
    def is_set(self) -> bool:
        """Say whether there is a value."""
        return self.value is not None

    def stored(self) -> dict[str, Any]:
        """Return the form in which the history and sessions keep it: `{}` is unset."""
        if self.is_skipped:
            return {"skipped": True}
        return {} if self.value is None else {"value": self.value}

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "Value":
        """Return what `stored` keeps."""
        stored = stored or {}
        return cls(stored.get("value"), bool(stored.get("skipped")))


UNSET, SKIPPED = Value(), Value(is_skipped=True)


def values(user_id: int) -> dict[str, Value]:
    """Return every stored property of a user, in one row and what was skipped; archived ones too."""
    now = catalogue()
    found = read(user_id, now.stored)
    for (property_id,) in run("SELECT property_id FROM property_skipped WHERE user_id = ?", user_id):
        definition = now.by_id.get(property_id)
        if definition is not None and not found[definition.key].is_set:
            found[definition.key] = SKIPPED
    return found


def session_values(session: Session | None) -> dict[str, Value]:
    """Return the session properties of `session`, by key."""
    stored = (session.properties if session else None) or {}
    return {one.key: session_value(stored, one) for one in catalogue().of_sessions}


def session_value(stored: Mapping[str, Any], definition: Definition) -> Value:
    """Return a session property out of what a session keeps."""
    found = Value.of(stored.get(definition.key))
    return Value(definition.kept(found.value)) if found.is_set else found


def computed(user: User, identities: Sequence[Identity], now: datetime) -> dict[str, Value]:
    """Return what Parley computes of a user at `now`, and what channels said at the last touch of each.

    `identities` are the user's, with their deployments.
    """
    found: dict[str, Value] = {}
    touched = [one for one in identities if one.last_touch is not None]
    touched.sort(key=lambda one: one.last_touch, reverse=True)
    for one in catalogue().of_users:
        known = one.declared
        if known is None or not one.is_locked:
            continue
        if one.source == Source.SYSTEM and known.read is not None:
            found[one.key] = Value(_normal(known.read(user, now)))
        elif known.footprint is not None:
            said: Mapping[str, Any] = next(
                (last.last_footprint for last in touched if last.deployment.channel == one.owner), {}
            )
            text = said.get(known.footprint)
            found[one.key] = Value(_said(text))
    return found


def everything(
    user: User, identities: Sequence[Identity], session: Session | None, now: datetime
) -> dict[str, Value]:
    """Return every property of a user and of `session` by key, stored ones and computed ones."""
    return {**values(user.id), **session_values(session), **computed(user, identities, now)}


def _said(by_channel: Any) -> str | None:
    """Return as text what a channel said of a touch."""
    if by_channel in (None, "", [], {}):
        return None
    return by_channel if isinstance(by_channel, str) else json.dumps(by_channel, ensure_ascii=False)


def _normal(value: Any) -> Any:
    if value == "":
        return None
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def read(user_id: int, definitions: Sequence[Definition]) -> dict[str, Value]:
    """Return the stored values of these user properties: from their columns, else from JSON."""
    in_columns = [one for one in definitions if one.column]
    names = ", ".join(f'"{one.column}"' for one in in_columns)
    sql = f'SELECT properties{", " + names if names else ""} FROM "user" WHERE id = ?'  # noqa: S608
    found = run(sql, user_id)
    if not found:
        return {one.key: UNSET for one in definitions}
    kept, *rest = found[0]
    others: Mapping[str, Any] = json.loads(kept) if kept else {}
    stored = {one.key: Value(one.kept(others.get(str(one.id)))) for one in definitions}
    for one, value in zip(in_columns, rest, strict=True):
        if value is not None:
            stored[one.key] = Value(decoded(value, one.type.storage))
    return stored


def packed(others: Mapping[str, Any]) -> str | None:
    """Return the values that stand in JSON as its text, in which `pattern_of` finds them."""
    return json.dumps(others, ensure_ascii=False, separators=(",", ":")) if others else None


def pattern_of(name: int | str) -> str:
    """Return what the JSON with a property is like: a user's has its id, a session's its key.

    A value that looks the same is found as well, so look again.
    """
    return f'%"{name}":%'


def store(user_id: int, news: Mapping[Definition, Value]) -> None:
    """Write values where they are kept; one that has moved into a column leaves the JSON."""
    [(kept,)] = run('SELECT properties FROM "user" WHERE id = ?', user_id)
    others: dict[str, Any] = json.loads(kept) if kept else {}
    sets: list[str] = []
    bound: list[Any] = []
    for one, value in news.items():
        others.pop(str(one.id), None)
        if one.column:
            sets.append(f'"{one.column}" = {placeholder(one.type.storage)}')
            bound.append(encoded(value.value, one.type.storage))
        elif value.is_set:
            others[str(one.id)] = value.value
        if one.column == "phone":
            sets.append("country = ?")
            bound.append(country_of(value.value))
        PropertySkipped.remove(PropertySkipped.user == user_id, PropertySkipped.property == one.id)
        if value.is_skipped:
            PropertySkipped.insert(user=user_id, property=one.id).execute()
    text = packed(others)
    if text != kept:
        sets.append("properties = ?")
        bound.append(text)
    if sets:
        run(f'UPDATE "user" SET {", ".join(sets)} WHERE id = ?', *bound, user_id)  # noqa: S608
    if any(one.column in _SEARCHED for one in news):
        search.index(user_id)
