"""The right column: the system properties, pinned ones first, each locked with its reason (U6)."""

from datetime import datetime
from typing import Any

from admin import access, words
from admin.views.reading import Subject
from core.properties import LOCK_REASON, SystemProperty, system_values


def column(subject: Subject) -> dict[str, Any]:
    """Return what parley/_props.html shows."""
    values = {
        declared: _shown(declared, value, subject)
        for declared, value in system_values(subject.user, subject.now.at).items()
    }
    groups: dict[str, list[dict[str, Any]]] = {}
    for declared, row in values.items():
        groups.setdefault(declared.group, []).append(row)
    return {
        "top": [row for declared, row in values.items() if declared.pinned],
        "groups": [
            {"name": name, "open": place == 0, "properties": rows}
            for place, (name, rows) in enumerate(groups.items())
        ],
        "set": sum(row["value"] is not None for row in values.values()),
        "total": len(values),
    }


def _shown(declared: SystemProperty, value: Any, subject: Subject) -> dict[str, Any]:
    masked = declared.personal and not access.sight().clear
    text, title = _in_words(declared.key, value, subject)
    return {
        "key": declared.key,
        "label": declared.label,
        "value": access.sight().external_id(text) if masked and text else text,
        "masked": masked,
        "tags": [],
        "title": None if masked else title,
        "lock": LOCK_REASON,
    }


def _in_words(key: str, value: Any, subject: Subject) -> tuple[str | None, str | None]:
    now = subject.now
    if value in (None, ""):
        return None, None
    if key == "local_time":
        return f"{value:%H:%M}", subject.user.timezone
    if isinstance(value, datetime):
        return words.ago(value, now), words.exact(value, now)
    if isinstance(value, int):
        return f"{value:,}", None
    named = {"country": words.country, "language": words.language}.get(key)
    if key == "handler":
        return words.handler(value, subject.agent.name if subject.agent else None)["label"], None
    return (named(value), value) if named else (str(value), None)
