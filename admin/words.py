"""Times, lengths, names and counts in the words of the house. Pure: everything comes in as an argument."""

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, NamedTuple

from core.channel import Reach, ReachKind
from core.names import country as country
from core.names import language as language

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_RELATIVE_UNDER = timedelta(days=7)
_SOON = HOUR

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class Now(NamedTuple):
    """The moment that words are said in, and the zone of whoever reads them."""

    at: datetime
    zone: tzinfo = UTC


# ── Moments ───────────────────────────────────────────────────────────────────────────────────────────────


def moment(at: datetime, now: Now) -> dict[str, str]:
    """Return a moment for a list: how long ago, under seven days, else the date; exact for the title."""
    return {"text": ago(at, now), "iso": at.isoformat(), "exact": exact(at, now)}


def ago(at: datetime, now: Now) -> str:
    """Return `21 min ago`, `2 d ago`, or a date."""
    passed = now.at - at
    if passed < MINUTE:
        return "now"
    if passed < HOUR:
        return f"{passed // MINUTE} min ago"
    if passed < DAY:
        return f"{passed // HOUR} h ago"
    if passed < _RELATIVE_UNDER:
        return f"{passed // DAY} d ago"
    return date(at, now)


def ago_changes(at: datetime, now: Now) -> datetime:
    """Return when `ago` says something else about `at`."""
    passed = max(now.at - at, timedelta())
    step = MINUTE if passed < HOUR else HOUR if passed < DAY else DAY
    return at + (passed // step + 1) * step


def date(at: datetime, now: Now) -> str:
    """Return `14 Nov`, with the year when it is another one."""
    local = at.astimezone(now.zone)
    year = "" if local.year == now.at.astimezone(now.zone).year else f" {local.year}"
    return f"{local.day} {_MONTHS[local.month - 1][:3]}{year}"


def exact(at: datetime, now: Now) -> str:
    """Return `Sun 22 Nov 2026, 18:00 UTC`."""
    local = at.astimezone(now.zone)
    day = f"{_DAYS[local.weekday()][:3]} {local.day} {_MONTHS[local.month - 1][:3]} {local.year}"
    return f"{day}, {local:%H:%M} {local.tzname()}"


def day_and_clock(at: datetime, now: Now) -> str:
    """Return `today, 18:00`, `tomorrow, 09:30`, or `Sun 22 Nov, 18:00`."""
    local, today = at.astimezone(now.zone), now.at.astimezone(now.zone).date()
    near = {0: "today", 1: "tomorrow", -1: "yesterday"}.get((local.date() - today).days)
    day = near or f"{_DAYS[local.weekday()][:3]} {date(at, now)}"
    return f"{day}, {local:%H:%M}"


def clock(at: datetime, now: Now) -> str:
    """Return `18:00`, as it stands in a conversation."""
    return f"{at.astimezone(now.zone):%H:%M}"


def day(at: datetime, now: Now) -> str:
    """Return `Today`, `Yesterday`, or `Sunday, 22 November`, with the year when it is another one."""
    local = at.astimezone(now.zone)
    passed = (now.at.astimezone(now.zone).date() - local.date()).days
    if passed in (0, 1):
        return ("Today", "Yesterday")[passed]
    year = "" if local.year == now.at.astimezone(now.zone).year else f" {local.year}"
    return f"{_DAYS[local.weekday()]}, {local.day} {_MONTHS[local.month - 1]}{year}"


def local_day(at: datetime, now: Now) -> str:
    """Return the date where the reader is, as a key: `2026-11-22`."""
    return at.astimezone(now.zone).date().isoformat()


def span(first: datetime, last: datetime, now: Now) -> str:
    """Return the dates of a page of a list, earlier first: `11–23 Nov 2026`."""
    start, end = sorted((first.astimezone(now.zone), last.astimezone(now.zone)))
    written = f"{end.day} {_MONTHS[end.month - 1][:3]} {end.year}"
    if start.date() == end.date():
        return written
    if (start.year, start.month) == (end.year, end.month):
        return f"{start.day}–{written}"
    year = "" if start.year == end.year else f" {start.year}"
    return f"{start.day} {_MONTHS[start.month - 1][:3]}{year} – {written}"


# ── Lengths ───────────────────────────────────────────────────────────────────────────────────────────────


def left(length: timedelta) -> str:
    """Return how long a window stays open: `3h 12m`, `48m`, `<1m`. The page counts on in the same words."""
    minutes = length // MINUTE
    if minutes < 1:
        return "<1m"
    return f"{minutes}m" if minutes < 60 else f"{minutes // 60}h {minutes % 60}m"


def length(of: timedelta) -> str:
    """Return how long something took: `under 1 min`, `14 min`, `3 h`, `2 d`."""
    if of < MINUTE:
        return "under 1 min"
    if of < HOUR:
        return f"{of // MINUTE} min"
    return f"{of // HOUR} h" if of < DAY else f"{of // DAY} d"


# ── The window ────────────────────────────────────────────────────────────────────────────────────────────

_CLOSED = {
    ReachKind.TEMPLATE_ONLY: "Expired",
    ReachKind.NEEDS_USER_FIRST: "Expired",
    ReachKind.OPTED_OUT: "Opted out",
    ReachKind.BLOCKED: "Blocked",
    ReachKind.UNREACHABLE: "Unreachable",
}


def window(reach: Reach | None, now: Now) -> dict[str, Any]:
    """Return the pill that says whether one may write: green, amber in its last hour, grey when closed."""
    if reach is None:
        return {"tone": "none", "text": "No channel", "closes_at": None}
    if reach.kind is ReachKind.HUMAN_ONLY and reach.until:
        text = f"Agents only · {left(reach.until - now.at)} left"
        return {"tone": "warn", "text": text, "closes_at": None}
    if reach.kind is not ReachKind.FREE_FORM:
        return {"tone": "off", "text": _CLOSED[reach.kind], "closes_at": None}
    if reach.until is None:
        return {"tone": "ok", "text": "Open · no limit", "closes_at": None}
    remaining = reach.until - now.at
    return {
        "tone": "ok" if remaining >= _SOON else "warn",
        "text": f"Open · {left(remaining)} left",
        "closes_at": reach.until.isoformat(),
    }


def window_changes(reach: Reach | None, now: Now) -> datetime | None:
    """Return when `window` says something else of the same answer; None where no clock changes it."""
    if reach is None or reach.until is None:
        return None
    return reach.until - (reach.until - now.at) // MINUTE * MINUTE


def ring(opened: datetime, closes: datetime, now: Now) -> dict[str, Any]:
    """Return the ring: the share of the window that is left, and the same in words."""
    remaining = max(closes - now.at, timedelta())
    text = left(remaining) if remaining else "0h"
    return {
        "share": min(1.0, remaining / (closes - opened)) if closes > opened else 0,
        "text": text,
        "tone": "off" if not remaining else "ok" if remaining >= _SOON else "warn",
        "opened_at": opened.isoformat(),
        "closes_at": closes.isoformat(),
        "label": f"{text} left to write freely" if remaining else "The window is closed",
    }


# ── People ────────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=10_000)
def initials(name: str) -> str:
    """Return what stands in an avatar: two initials, or one glyph where one writes a whole word."""
    words = [word for word in name.split() if any(letter.isalpha() for letter in word)]
    if not words:
        return "?"
    letters = [next(letter for letter in word if letter.isalpha()) for word in (words[0], words[-1])]
    if _is_ideographic(letters[0]):
        return letters[0]
    return letters[0].upper() if len(words) == 1 else "".join(letters).upper()


def _is_ideographic(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("CJK", "HIRAGANA", "KATAKANA", "HANGUL"))


def first_name(name: str) -> str:
    """Return how an agent is called in a list."""
    return name.split()[0] if name.split() else name


def handler(kind: str, agent: str | None) -> dict[str, str]:
    """Return the pill that says who answers."""
    labels = {"bot": "Bot", "waiting": "Waiting"}
    return {"kind": kind, "label": labels.get(kind) or f"With {first_name(agent or 'an agent')}"}


def author(kind: str, name: str | None = None) -> str:
    """Return how whoever writes is called: by name where there is one."""
    kinds = {"bot": "Bot", "agent": "Agent", "waiting": "Nobody", "campaign": "Campaign", "system": "Parley"}
    return name or kinds.get(kind, kind)


def counted(number: int | str, one: str, many: str | None = None) -> str:
    """Return `1 message`, `18 messages`, `10,000+ users`."""
    shown = f"{number:,}" if isinstance(number, int) else number
    return f"{shown} {one if shown == '1' else many or one + 's'}"


def upper_first(text: str) -> str:
    """Return a sentence with a capital at its beginning, and the rest as it is."""
    return text[:1].upper() + text[1:]


def joined(names: Sequence[str]) -> str:
    """Return `Bot`, `Bot and Maya`, `Bot, Maya and Théo`."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


# ── Files ─────────────────────────────────────────────────────────────────────────────────────────────────


def file_type(mime_type: str | None) -> str | None:
    """Return `PDF` or `JPEG` for a media type; None where it says nothing."""
    kind = (mime_type or "").partition(";")[0].rpartition("/")[2].removeprefix("x-").upper()
    if not kind:
        return None
    return kind if len(kind) <= 8 else "Document"
