"""One property as a row of a profile: what it says, who may edit it, and what is open in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import url_for

from admin import access, words
from admin.access import May
from admin.views import property_editor, property_history, shown
from admin.views.reading import Subject
from core.catalogue import BOT, Definition, catalogue
from core.declared import LABELS
from core.models import PropertyChange, Scope
from core.properties import Standing, standing
from core.property_type import Editor
from core.values import UNSET, Value

RECENT = timedelta(days=7)
LEFT = "who"
PLACES = (LEFT, "top", "session", "all")
"""Where a property can stand on a profile; the same one can stand in several places."""

_NOTHING = {"value": None, "title": None, "tags": (), "url": "", "country": None, "masked": False}
_MOMENTS = frozenset({"first_seen", "last_seen", "last_message_at", "handler_since", "created"})
"""System properties of which it matters how long ago they are."""


@dataclass(frozen=True)
class Opened:
    """The property that is open on a page: its editor or its history, and what came of the last try.

    `typed` is what was sent and not taken; in a `conflict` it is what stands.
    """

    key: str = ""
    place: str = ""
    history: bool = False
    typed: tuple[str, ...] | None = None
    problem: str = ""
    conflict: Standing | None = None
    status: int = 200


CLOSED = Opened()


class Rows:
    """The rows of one profile, for the operator who reads it."""

    def __init__(self, subject: Subject, opened: Opened = CLOSED) -> None:
        self.subject, self.opened = subject, opened
        self.writer = access.writer()
        self.may_edit = access.may(May.EDIT_PROPERTIES)
        self._page = url_for(".profile", key=subject.user.key)
        self._changes: dict[str, PropertyChange | None] = {}

    def of(self, place: str, definitions: Iterable[Definition]) -> list[dict[str, Any]]:
        """Return the rows of `definitions` at a place, in their order."""
        found = list(definitions)
        self._read_changes(found)
        return [self._row(place, one, self._changes.get(one.key)) for one in found]

    def _read_changes(self, wanted: Sequence[Definition]) -> None:
        """Read the change that made each value what it is, at once with those that every profile shows."""
        if all(one.is_locked or one.key in self._changes for one in wanted):
            return
        now = catalogue()
        usual = [one for one in now.of_users if one.pinned is not None or one.is_built_in]
        asked = [one for one in (*wanted, *usual, *now.of_sessions) if not one.is_locked]
        found = standing(self.subject.user.id, {one.key: one for one in asked}.values())
        here = (None, self.subject.session.id if self.subject.session else None)
        for one in asked:
            change = found.get(one.key)  # one of an earlier session counts no more
            self._changes[one.key] = change if change is not None and change.session_id in here else None

    def _row(self, place: str, one: Definition, change: PropertyChange | None) -> dict[str, Any]:
        subject, value = self.subject, self.subject.values.get(one.key, UNSET)
        seen, lock = access.sees(one), self._lock(one)
        opened = self.opened if (self.opened.key, self.opened.place) == (one.key, place) else None
        urls = self._urls(place, one)
        found = {
            "key": one.key,
            "label": one.label,
            "help": one.help,
            "place": place,
            "id": f"property-{place}-{one.key}",
            "section": one.section,
            "lock": lock,
            "readonly": not self.may_edit,
            "skipped": value.is_skipped,
            "version": change.id if change else 0,
            "urls": urls,
            **(self._words(one, value, place) if seen or not value.is_set else _masked(one, value)),
            "change": None,
            "recent": False,
            "switch": None,
            "removable": [],
            "edit": None,
            "history": None,
            "problem": "",
        }
        if seen and change is not None:
            found["change"] = self.changed(one, change)
            found["recent"] = subject.now.at - change.at < RECENT
        if lock is None:
            found["switch"] = self._switch(one, value)
            if place == LEFT and one.key == LABELS and value.is_set:
                found["removable"] = list(zip(value.value, found["tags"], strict=True))
        if opened is None:
            return found
        if lock is not None:
            found["problem"] = opened.problem
        if opened.history and seen:
            found["history"] = property_history.shown(one, subject, writable=lock is None)
            found["problem"] = opened.problem
        elif lock is None:
            found["edit"] = self._editor(one, value, change, opened)
        return found

    def changed(self, one: Definition, change: PropertyChange) -> dict[str, Any]:
        """Return who changed a property last, and whether the bot is kept from it."""
        now, who = self.subject.now, property_history.who(change)
        held = change.holds and BOT in one.editable_by
        return {
            "label": one.label,
            "at": change.at,
            "who": who,
            "ago": words.ago(change.at, now),
            "exact": words.exact(change.at, now),
            "when": f"{words.date(change.at, now)} {words.clock(change.at, now)}",
            "held": f"{words.upper_first(who)} set this, so the bot does not change it." if held else None,
        }

    def _lock(self, one: Definition) -> str | None:
        if one.is_locked or self.may_edit:
            return one.lock(self.writer)
        return "Your role reads properties. It does not edit them."

    def _words(self, one: Definition, value: Value, place: str) -> dict[str, Any]:
        found = {**_NOTHING, **in_words(one, value, self.subject)}
        if one.type.editor is Editor.CHOICE and found["value"] is not None and place != LEFT:
            found["tags"] = (found["value"],)
        return found

    def _switch(self, one: Definition, value: Value) -> dict[str, Any] | None:
        if one.type.editor is not Editor.SWITCH:
            return None
        turned = value.value is not True
        return {
            "on": value.value is True,
            "next": one.type.typed(turned),
            "said": f"{one.label}: {one.type.render(turned).text}",
            "undo": [one.type.typed(value.value)] if value.is_set else [""],
        }

    def _editor(
        self, one: Definition, value: Value, change: PropertyChange | None, opened: Opened
    ) -> dict[str, Any]:
        zone = self.subject.now.zone
        found = property_editor.shown(one, value, zone, opened.typed)
        found["id"] = f"edit-{opened.place}-{one.key}"
        found["problem"] = opened.problem
        found["seen"] = change.id if change else 0
        found["conflict"] = None
        if opened.conflict is not None:
            stands = opened.conflict
            found["seen"] = stands.version
            theirs = in_words(one, stands.value, self.subject).get("value")
            found["conflict"] = {
                "mine": property_editor.as_shown(one, opened.typed, zone),
                "theirs": theirs or ("Skipped" if stands.value.is_skipped else "Not set"),
                "change": self.changed(one, stands.change) if stands.change else None,
            }
        return found

    def _urls(self, place: str, one: Definition) -> dict[str, str]:
        """Return the addresses of a row; put together here, since a page has hundreds of them."""
        row = f"{self._page}/properties/{one.key}"
        here = f"{self._page}?at={place}&panel={'who' if place == LEFT else 'props'}"
        anchor = f"#property-{place}-{one.key}"
        return {
            "row": f"{row}?at={place}",
            "save": f"{row}?at={place}",
            "release": f"{row}/release?at={place}",
            "restore": f"{row}/restore?at={place}",
            "edit": f"{here}&edit={one.key}{anchor}",
            "history": f"{here}&history={one.key}{anchor}",
            "close": f"{here}{anchor}",
        }


def in_words(one: Definition, value: Value, subject: Subject) -> dict[str, Any]:
    """Return what a row says of a value: text, title, tags, the address behind it; nothing of one not set."""
    if not value.is_set:
        return {}
    if one.scope == Scope.USER and one.declared is not None:
        found = _system_words(one.key, value.value, subject)
        if found:
            return found
    rendered = one.type.render(value.value, subject.now.zone)
    return {
        "value": rendered.text,
        "title": rendered.title or None,
        "tags": rendered.tags,
        "url": rendered.url,
    }


def _system_words(key: str, value: Any, subject: Subject) -> dict[str, Any]:
    if key in _MOMENTS:
        at = datetime.fromisoformat(value)
        return {"value": words.ago(at, subject.now), "title": words.exact(at, subject.now)}
    if key == "handler":
        return {"value": words.handler(value, subject.agent.name if subject.agent else None)["label"]}
    if key == "local_time":
        return {"value": value, "title": subject.user.timezone}
    if key == "last_channel":
        return {"value": shown.channel(value)["label"]}
    if key == "phone" and subject.user.country:
        code = subject.user.country
        country = {"code": code, "name": words.country(code)}
        return {"value": access.sight().phone(value), "country": country}
    named = {"country": words.country, "language": words.language}.get(key)
    return {"value": named(value), "title": value} if named else {}


def _masked(one: Definition, value: Value) -> dict[str, Any]:
    return {**_NOTHING, "value": one.type.masked(value.value), "masked": True}


def as_it_ended(
    subject: Subject, stored: Mapping[str, Any] | None, definitions: Mapping[str, Definition]
) -> list[tuple[str, str]]:
    """Return label and text of what a session that is over ended with, as this operator may see it."""
    found = []
    for key, kept in (stored or {}).items():
        one, value = definitions.get(key), Value.of(kept)
        if one is None:
            continue
        if value.is_set and not access.sees(one):
            found.append((one.label, one.type.masked(value.value)))
        elif value.is_set:
            found.append((one.label, str(in_words(one, value, subject)["value"])))
        elif value.is_skipped:
            found.append((one.label, "Skipped"))
    return found
