"""The left column: who is your user (U1), where do they come from (U3), when did they last interact (U4)."""

import ipaddress
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from admin import access, words
from admin.views import shown
from admin.views.property_rows import LEFT, Rows, as_it_ended
from admin.views.reading import Known, Subject
from core import sessions
from core.catalogue import catalogue
from core.channel import Reach, ReachKind, window_of
from core.declared import BUILT_IN, local_time
from core.models import Deployment, Session

SESSIONS_SHOWN = 6
_FACTS = tuple(one.key for one in BUILT_IN)


def column(subject: Subject, rows: Rows) -> dict[str, Any]:
    """Return what parley/_who.html shows."""
    user, now, current = subject.user, subject.now, subject.current
    there = local_time(user, now.at)
    shown_sessions = _sessions(subject)
    name, *facts = _facts(rows)
    name |= {"value": subject.person.name, "title": subject.person.name, "masked": False, "skipped": False}
    return {
        "channel": current.channel if current else None,
        "place": words.country(user.country) if user.country else None,
        "local_time": {"text": f"{there:%H:%M}", "zone": user.timezone} if there else None,
        "window": words.window(current.reach if current else None, now),
        "handler": words.handler(user.handler, subject.agent.name if subject.agent else None),
        "imported": "Imported. This person has never written."
        if user.last_seen is None and user.last_message_at is None
        else None,
        "name": name,
        "facts": facts,
        "identities": [_identity(one, subject) for one in subject.known],
        "last": _last(subject),
        "ring": _ring(subject),
        "sessions": shown_sessions,
        "more_sessions": max(0, user.session_count - len(shown_sessions)),
    }


def _facts(rows: Rows) -> list[dict[str, Any]]:
    """Return the rows of what tells who it is; these are properties like the others."""
    known = catalogue().by_key
    return rows.of(LEFT, [known[key] for key in _FACTS])


def _identity(one: Known, subject: Subject) -> dict[str, Any]:
    identity, now = one.identity, subject.now
    is_current = identity.id == subject.user.last_identity_id
    return {
        "id": identity.key,
        "channel": one.channel,
        "place": one.place,
        "aliases": _aliases(one),
        "current": is_current,
        "seen": words.moment(identity.last_inbound, now) if identity.last_inbound else None,
        "trouble": _trouble(one.reach, now),
        "touches": _touches(one, now),
    }


def _aliases(one: Known) -> list[dict[str, Any]]:
    see = access.sight()
    labels: Mapping[str, str] = one.served.alias_labels if one.served else {}
    return [
        {
            "label": labels.get(alias.kind, alias.kind.replace("_", " ").capitalize()),
            "value": see.external_id(alias.value),
            "masked": not see.clear,
        }
        for alias in one.aliases
    ]


def _trouble(reach: Reach, now: words.Now) -> str | None:
    if reach.kind not in (ReachKind.UNREACHABLE, ReachKind.BLOCKED, ReachKind.OPTED_OUT):
        return None
    since = f" Since {words.day_and_clock(reach.since, now)}." if reach.since else ""
    return f"{reach.sentence}{since}"


def _touches(one: Known, now: words.Now) -> list[dict[str, Any]]:
    identity = one.identity
    touches = []
    came_the_same_way = identity.last_footprint == identity.first_footprint
    if identity.first_touch:
        title = "First and last touch" if came_the_same_way else "First touch"
        touches.append(_touch(title, identity.first_touch, identity.first_footprint, one, now))
    if identity.last_touch and not came_the_same_way:
        touches.append(_touch("Last touch", identity.last_touch, identity.last_footprint, one, now))
    return touches


def _touch(
    title: str, at: datetime, footprint: Mapping[str, Any], one: Known, now: words.Now
) -> dict[str, Any]:
    if one.served is None:
        return {"title": title, "when": words.moment(at, now), "facts": []}
    declared = one.served.Footprint.model_fields.items()
    personal = {
        field.title or name.replace("_", " ").capitalize()
        for name, field in declared
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("personal")
    }
    card = one.served.footprint_card(footprint)
    facts = [_fact(label, text, label in personal) for label, text in card]
    return {"title": title, "when": words.moment(at, now), "facts": facts}


def _fact(label: str, text: str, personal: bool) -> dict[str, Any]:
    see = access.sight()
    if text.startswith(("https://", "http://")):
        address = see.address(text)
        return {"label": label, "value": address.partition("://")[2], "url": address, "title": address}
    if not see.clear and (personal or _is_address(text)):
        return {"label": label, "value": see.external_id(text), "masked": True}
    return {"label": label, "value": text, "title": text}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _last(subject: Subject) -> dict[str, Any] | None:
    at, now, current = subject.user.last_seen, subject.now, subject.current
    if at is None:
        return None
    when = words.ago(at, now)
    said = f"{words.upper_first(words.day_and_clock(at, now))}."
    if current and current.reach.kind is ReachKind.FREE_FORM and current.reach.until:
        until = words.day_and_clock(current.reach.until, now)
        said += f" You can reply on {current.channel['label']} until {until}."
    elif current and current.reach.since:
        said += f" The window closed {words.day_and_clock(current.reach.since, now)}."
    return {
        "title": f"Last message {'just now' if when == 'now' else when}",
        "iso": at.isoformat(),
        "exact": words.exact(at, now),
        "text": said,
    }


def _ring(subject: Subject) -> dict[str, Any] | None:
    current = subject.current
    if current is None or current.served is None or current.identity.last_inbound is None:
        return None
    closes, opened = window_of(current.served.rules, current.identity)
    return words.ring(opened, closes, subject.now) if opened and closes else None


def _sessions(subject: Subject) -> list[dict[str, Any]]:
    found = (
        Session.select(Session, Deployment)
        .join(Deployment)
        .where(Session.user == subject.user)
        .order_by(Session.number.desc())
        .limit(SESSIONS_SHOWN)
    )
    return [_session(one, subject) for one in found]


def _session(session: Session, subject: Subject) -> dict[str, Any]:
    now = subject.now
    running = sessions.is_running(session, now.at)
    return {
        "id": session.id,
        "number": session.number,
        "channel": shown.channel(session.deployment.channel),
        "when": words.moment(session.opened, now),
        "length": words.length(session.last_message - session.opened),
        "handlers": words.joined([words.author(name) for name in session.handlers]) or "Nobody answered",
        "messages": words.counted(session.message_count, "message"),
        "state": "Open" if running else None,
        "ended": None if running else session.closed_why or "expired",
        "properties": [] if running else as_it_ended(subject, session.properties, catalogue().by_key),
    }
