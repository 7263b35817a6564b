"""What a property was before: who or what changed it, when, from what to what, and by which message (P6)."""

from collections.abc import Mapping
from typing import Any

from flask import url_for

from admin import words
from admin.views.reading import Subject
from core.catalogue import BOT, Definition
from core.declared import PARLEY
from core.models import Origin, PropertyChange, Session
from core.properties import LONGEST_HISTORY, history
from core.text import snippet
from core.values import Value

_GLYPHS = {
    Origin.BOT: "bot",
    Origin.API: "swap",
    Origin.IMPORT: "file",
    Origin.CHANNEL: "chat",
    Origin.SYSTEM: "settings",
}
_NAMES = {
    Origin.OPERATOR: "An operator",
    Origin.BOT: "The bot",
    Origin.API: "The API",
    Origin.IMPORT: "An import",
    Origin.CHANNEL: "The channel",
    Origin.SYSTEM: PARLEY,
}


def who(change: PropertyChange) -> str:
    """Return who or what made a change, by name where there is one."""
    return change.actor or _NAMES.get(Origin(change.origin), PARLEY)


def shown(one: Definition, subject: Subject, *, writable: bool) -> dict[str, Any]:
    """Return what the history of a property shows, newest first; `writable` adds what can be done.

    Only for those who may see the property: nothing is masked here.
    """
    changes = history(subject.user.id, one)
    numbers = _session_numbers(changes)
    current = subject.values[one.key]
    held = bool(changes and changes[0].holds and BOT in one.editable_by)
    entries = [_entry(change, one, subject, current, numbers, writable) for change in changes]
    offered: set[str] = set()
    for entry in entries:  # what it was twice is offered once
        if entry["restore"] in offered:
            entry["restore"] = None
        elif entry["restore"]:
            offered.add(entry["restore"])
    return {
        "entries": entries,
        "count": words.counted(len(changes), "change")
        if len(changes) < LONGEST_HISTORY
        else f"the last {LONGEST_HISTORY}",
        "held": f"{who(changes[0])} set this, so the bot does not change it." if held else None,
        "may_release": held and writable,
        "may_edit": writable,
    }


def _entry(
    change: PropertyChange,
    one: Definition,
    subject: Subject,
    current: Value,
    numbers: Mapping[int, int],
    writable: bool,
) -> dict[str, Any]:
    before, after = Value.of(change.before), Value.of(change.after)
    now, name = subject.now, who(change)
    same = before == after
    number = numbers.get(change.session_id or 0)
    this_session = change.session_id in (None, subject.session.id if subject.session else None)
    restorable = writable and this_session and after.is_set and after != current
    return {
        "id": change.id,
        "who": name,
        "person": words.initials(name) if change.origin == Origin.OPERATOR else None,
        "is_bot": change.origin == Origin.BOT,
        "glyph": _GLYPHS.get(Origin(change.origin), "user"),
        "when": words.moment(change.at, now),
        "session": f"session #{number}" if number else None,
        "before": _text(before, one, subject) if before.is_set and not same else None,
        "after": None if same else _text(after, one, subject),
        "said": _kept(change) if same else None,
        "message_url": url_for(
            ".profile",
            key=subject.user.key,
            message=change.message_id,
            _anchor=f"message-{change.message_id}",
        )
        if change.message_id
        else None,
        "message": change.message_id,
        "restore": _text(after, one, subject) if restorable else None,
    }


def _kept(change: PropertyChange) -> str:
    return "Confirmed" if change.holds else "Given back to the bot"


def _text(value: Value, one: Definition, subject: Subject) -> str:
    if value.is_skipped:
        return "Skipped"
    if not value.is_set:
        return "Not set"
    former = one.former(value.value)
    return snippet(former) if former is not None else one.type.render(value.value, subject.now.zone).text


def _session_numbers(changes: list[PropertyChange]) -> dict[int, int]:
    ids = {change.session_id for change in changes if change.session_id}
    if not ids:
        return {}
    found = Session.select(Session.id, Session.number).where(Session.id.in_(list(ids)))
    return {one.id: one.number for one in found}
