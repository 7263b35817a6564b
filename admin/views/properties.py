"""The right column: pinned properties in the admin's order, the running session's, then all in groups (U6).

Only what is open is drawn: with five hundred properties a profile is as quick as with twenty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from flask import request, url_for

from admin.views import shown
from admin.views.property_rows import Rows
from admin.views.reading import Subject
from core import sessions
from core.catalogue import Definition, catalogue
from core.text import snippet

SMALL = 12
"""A group of up to so many is open at first, and shows what is not set without folding it."""
MOST = 100
"""So many rows of a group are drawn; the others are found by name."""
_LONGEST_FIND = 80


@dataclass(frozen=True)
class View:
    """Which groups are open, None where nobody chose yet, and by which words properties are looked for."""

    groups: tuple[str, ...] | None = None
    find: str = ""


def asked() -> View:
    """Return what the address of this request asks for."""
    groups, find = request.args.get("groups"), request.args.get("find", "").strip()
    chosen = None if groups is None else tuple(one for one in groups.split(".") if one)
    return View(chosen, find[:_LONGEST_FIND])


def column(subject: Subject, view: View, rows: Rows) -> dict[str, Any]:
    """Return what parley/_props.html shows."""
    known = catalogue().of_users
    top = rows.of("top", [one for one in known if one.pinned is not None])
    changes = [row["change"] for row in top if row["change"]]
    return {
        "top": top,
        "last_change": max(changes, key=lambda one: one["at"]) if changes else None,
        "session": _session(subject, rows),
        "groups": [] if view.find else _groups(subject, rows, view, known),
        "found": _found(rows, view.find) if view.find else None,
        "readonly": not rows.may_edit,
        "find": view.find,
        "chosen": None if view.groups is None else ".".join(view.groups),
        "set": sum(subject.values[one.key].is_set for one in known),
        "total": len(known),
    }


def _session(subject: Subject, rows: Rows) -> dict[str, Any] | None:
    """Return the properties of the running session, which stands beside the live chat."""
    session, definitions = subject.session, catalogue().of_sessions
    if session is None or not definitions or not sessions.is_running(session, subject.now.at):
        return None
    return {
        "number": session.number,
        "channel": shown.channel(session.deployment.channel),
        **_folded(rows.of("session", definitions[:MOST])),
    }


def _groups(subject: Subject, rows: Rows, view: View, known: Sequence[Definition]) -> list[dict[str, Any]]:
    members: dict[str, list[Definition]] = {}
    for one in known:
        members.setdefault(one.section, []).append(one)
    for found in members.values():
        found.sort(key=lambda one: one.label.casefold())
    groups = []
    for place, (name, found) in enumerate(sorted(members.items(), key=_by_name)):
        group_id = f"{crc32(name.encode()):08x}"
        is_open = place == 0 and len(found) <= SMALL if view.groups is None else group_id in view.groups
        is_open = is_open or any((one.key, "all") == (rows.opened.key, rows.opened.place) for one in found)
        drawn, more = _drawn(subject, found) if is_open else ([], 0)
        groups.append(
            {
                "id": group_id,
                "name": name or "Other",
                "open": is_open,
                "set": sum(subject.values[one.key].is_set for one in found),
                "total": len(found),
                "more": more,
                "url": url_for(".profile", key=subject.user.key, panel="props", groups=group_id)
                + f"#group-{group_id}",
                **_folded(rows.of("all", drawn)),
            }
        )
    return groups


def _by_name(group: tuple[str, Sequence[Definition]]) -> tuple[bool, str]:
    return not group[0], group[0].casefold()


def _drawn(subject: Subject, found: Sequence[Definition]) -> tuple[list[Definition], int]:
    """Return what of a large group is drawn, set ones first, and how many are not."""
    if len(found) <= MOST:
        return list(found), 0
    in_order = sorted(found, key=lambda one: not subject.values[one.key].is_set)
    return in_order[:MOST], len(found) - MOST


def _folded(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Part rows into those that say something and those that are not set, unless they are few."""
    unset = [row for row in rows if _says_nothing(row)] if len(rows) > SMALL else []
    return {"rows": [row for row in rows if not (unset and _says_nothing(row))], "unset": unset}


def _says_nothing(row: Mapping[str, Any]) -> bool:
    opened = row["edit"] or row["history"] or row["problem"]
    return row["value"] is None and not row["skipped"] and not opened


def _found(rows: Rows, find: str) -> dict[str, Any]:
    """Return the properties whose label or key holds every word."""
    wanted = find.casefold().split()
    found = [
        one
        for one in catalogue().of_users
        if all(word in f"{one.label} {one.key}".casefold() for word in wanted)
    ]
    found.sort(key=lambda one: one.label.casefold())
    return {
        "rows": rows.of("all", found[:MOST]),
        "count": len(found),
        "more": max(0, len(found) - MOST),
        "words": snippet(find, 40),
    }
