"""The right column: pinned properties in the admin's order, then all of them in groups (U6)."""

from datetime import datetime
from typing import Any

from admin import access, words
from admin.views.reading import Subject
from core.catalogue import Definition, catalogue
from core.values import Value

_MOMENTS = frozenset({"first_seen", "last_seen", "last_message_at", "handler_since", "created"})
"""System properties of which it matters how long ago they are."""


def column(subject: Subject) -> dict[str, Any]:
    """Return what parley/_props.html shows."""
    writer = access.writer()
    rows = {
        one: _shown(one, subject.values[one.key], subject, one.lock(writer)) for one in catalogue().of_users
    }
    groups: dict[str, list[dict[str, Any]]] = {}
    for one, row in rows.items():
        groups.setdefault(one.section, []).append(row)
    return {
        "top": [row for one, row in rows.items() if one.pinned is not None],
        "groups": [
            {"name": name, "open": place == 0, "properties": found}
            for place, (name, found) in enumerate(groups.items())
        ],
        "set": sum(row["value"] is not None for row in rows.values()),
        "total": len(rows),
    }


def _shown(one: Definition, value: Value, subject: Subject, lock: str | None) -> dict[str, Any]:
    masked = not access.sees(one) and value.is_set
    text, title, tags = _in_words(one, value, subject)
    return {
        "key": one.key,
        "label": one.label,
        "value": one.type.masked(value.value) if masked else text,
        "masked": masked,
        "tags": () if masked else tags,
        "title": None if masked else title,
        "lock": lock,
    }


def _in_words(
    one: Definition, value: Value, subject: Subject
) -> tuple[str | None, str | None, tuple[str, ...]]:
    if not value.is_set:
        return None, None, ()
    if one.key in _MOMENTS:
        at = datetime.fromisoformat(value.value)
        return words.ago(at, subject.now), words.exact(at, subject.now), ()
    if one.key == "handler":
        agent = subject.agent.name if subject.agent else None
        return words.handler(value.value, agent)["label"], None, ()
    if one.key == "local_time":
        return value.value, subject.user.timezone, ()
    named = {"country": words.country, "language": words.language}.get(one.key)
    if named:
        return named(value.value), value.value, ()
    rendered = one.type.render(value.value, subject.now.zone)
    return rendered.text, rendered.title or None, rendered.tags
