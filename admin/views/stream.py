"""The middle column: one stream over all channels and sessions (U2), divided by days and sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import url_for

from admin import access, words
from admin.views import message
from admin.views.reading import Subject
from core import conversation
from core.catalogue import catalogue
from core.channel import AuthorKind
from core.cursor import Cursor
from core.db import dictionaries
from core.models import Deployment, Message, Session

PAGE = 50
LINKED = 6
"""So many properties that were changed at once are named; the others are counted."""
AUTHORS = ("user", "bot", "agent")

_GLYPHS = {
    "claimed": "headset",
    "released": "bot",
    "paused": "headset",
    "expired": "clock",
    "aliases_changed": "tag",
    "bot_failed": "alert",
    "bot_property_refused": "alert",
    "properties_changed": "tag",
}
_BAD = frozenset({"bot_failed"})


@dataclass(frozen=True)
class Filter:
    """Whose messages are shown, and of which channel; empty means all."""

    author: str = ""
    channel: str = ""

    def __bool__(self) -> bool:
        return bool(self.author or self.channel)


def column(
    subject: Subject,
    wanted: Filter,
    *,
    before: Cursor | None = None,
    after: Cursor | None = None,
    around: Cursor | None = None,
) -> dict[str, Any]:
    """Return what parley/_stream.html shows: the newest page, the one before a place, after or around it."""
    if wanted.channel and not _deployments(subject, wanted):
        rows: list[dict[str, Any]] = []
        older = newer = False
    elif around is not None:
        rows, older, newer = _page_around(subject, wanted, around)
    else:
        rows = _page(subject, wanted, PAGE, before=before, after=after)
        more = len(rows) > PAGE
        rows = rows[:PAGE] if after else rows[-PAGE:]
        older, newer = more or after is not None, more and after is not None
    return {
        "items": _items(rows, subject),
        "older": str(conversation.place_of(rows[0])) if rows and older else None,
        "newer": str(conversation.place_of(rows[-1])) if rows and newer else None,
        "filtered": bool(wanted),
    }


def _page(
    subject: Subject, wanted: Filter, limit: int, *, before: Cursor | None = None, after: Cursor | None = None
) -> list[dict[str, Any]]:
    """Return up to `limit` entries, and one more where there are more."""
    return conversation.page(
        subject.user.id,
        before=before,
        after=after,
        limit=limit + 1,
        authors=(wanted.author,) if wanted.author else (),
        deployment_ids=_deployments(subject, wanted),
    )


def _page_around(subject: Subject, wanted: Filter, around: Cursor) -> tuple[list[dict[str, Any]], bool, bool]:
    """Return the entries up to a place and after it, and whether there are older and newer ones."""
    half = PAGE // 2
    up_to = _page(subject, wanted, half, before=Cursor(around.at, around.id + 1))
    later = _page(subject, wanted, half, after=around)
    return up_to[-half:] + later[:half], len(up_to) > half, len(later) > half


def _deployments(subject: Subject, wanted: Filter) -> list[int]:
    return [one.deployment.id for one in subject.known if one.deployment.channel == wanted.channel]


def _items(rows: Sequence[Mapping[str, Any]], subject: Subject) -> list[dict[str, Any]]:
    """Turn entries into messages, events and dividers; a page begins with its day and session."""
    around = _read_around(rows, subject)
    sessions = _sessions(rows)
    items: list[dict[str, Any]] = []
    day = session_id = None
    for row in rows:
        here = words.local_day(row["at"], subject.now)
        if here != day:
            day = here
            items.append(
                {"type": "day", "id": f"day-{day}", "key": day, "text": words.day(row["at"], subject.now)}
            )
        if row["session"] is not None and row["session"] != session_id:
            session_id = row["session"]
            items.append(_divider(sessions[session_id], row["id"], subject))
        if row["author"] == AuthorKind.SYSTEM:
            items.append(_event(row, subject))
        else:
            items.append(message.shown(row, subject, around))
    return items


def _read_around(rows: Sequence[Mapping[str, Any]], subject: Subject) -> message.Around:
    """Read the messages that these answer, and the reactions to these, at once for the page."""
    answered = {row["reply_to"] for row in rows if row["reply_to"]}
    quoted: dict[str, dict[str, Any]] = {}
    if answered:
        found = Message.select(
            Message.provider_id, Message.author, Message.author_name, Message.text, Message.kind
        ).where(Message.user == subject.user, Message.provider_id.in_(list(answered)))
        quoted = {one["provider_id"]: one for one in dictionaries(found)}
    named = [row["provider_id"] for row in rows if row["provider_id"]]
    picked = {row["text"] for row in rows if row["kind"] == "picked"}
    return message.Around(quoted, conversation.reactions_to(subject.user.id, named), picked)


def _sessions(rows: Sequence[Mapping[str, Any]]) -> dict[int, Session]:
    ids = {row["session"] for row in rows if row["session"] is not None}
    if not ids:
        return {}
    found = Session.select(Session, Deployment).join(Deployment).where(Session.id.in_(list(ids)))
    return {one.id: one for one in found}


def _divider(session: Session, before: int, subject: Subject) -> dict[str, Any]:
    known = subject.known_by(session.identity_id)
    place = known.place if known else session.deployment.place
    lasted = words.length(session.last_message - session.opened)
    return {
        "type": "session",
        "id": f"session-{session.id}-{before}",
        "key": session.id,
        "number": session.number,
        "channel": message.channel(session.deployment.channel),
        "text": f"{place} · {lasted}",
    }


def _changed(row: Mapping[str, Any], subject: Subject) -> dict[str, Any] | None:
    """Return who changed which properties, each with a link to its history; None where one is not there."""
    keys = row["payload"].get("keys")
    by_key = catalogue().by_key
    if not isinstance(keys, list) or not keys or any(key not in by_key for key in keys):
        return None
    name, said, _ = row["text"].partition(" changed ")
    links = [
        {
            "key": key,
            "label": by_key[key].label,
            "url": url_for(".profile", key=subject.user.key, history=key, panel="props")
            if access.sees(by_key[key]) and by_key[key].archived is None
            else None,
        }
        for key in keys[:LINKED]
    ]
    more = len(keys) - len(links)
    return {"parts": [(name, True), (said, False)], "links": links, "more": more, "raw": None}


def _event(row: Mapping[str, Any], subject: Subject) -> dict[str, Any]:
    clear = access.sight().clear
    text = row["text"]
    if row["kind"] == "aliases_changed" and not clear:
        text = "This user is now known by another number or id."
    payload = {name: value for name, value in row["payload"].items() if name != "operator"}
    return {
        "type": "event",
        "id": f"event-{row['id']}",
        "glyph": _GLYPHS.get(row["kind"], "info"),
        "parts": [(text, False)],
        "tone": "bad" if row["kind"] in _BAD else None,
        "raw": message.as_json(payload) if payload and clear else None,
        "links": [],
        "more": 0,
        **message.when(row["at"], subject.now),
        **((_changed(row, subject) or {}) if row["kind"] == "properties_changed" else {}),
    }
