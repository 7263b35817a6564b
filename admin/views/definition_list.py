"""What the table of definitions shows: tabs with counts, and rows in groups, each drawn once (P3, P4)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from admin import words
from admin.drawn import ALWAYS, Drawn
from core import conversion
from core.catalogue import API, BOT, Catalogue, Definition
from core.db import run
from core.models import PropertyProposal, Role, Scope, Source

TABS = {
    "all": "All",
    "system": "System",
    "channel": "Channel",
    "bot": "Bot",
    "custom": "Custom",
    "proposed": "Proposed",
    "archived": "Archived",
}
_SOURCES = {
    Source.SYSTEM: "System",
    Source.CHANNEL: "Channel",
    Source.BOT: "Bot",
    Source.CUSTOM: "Custom",
}
_ROLES = {Role.ADMIN: "Admins", Role.BUILDER: "builders", Role.AGENT: "agents"}
_BAR = 48


@dataclass(frozen=True)
class Asked:
    """Which definitions are asked for: a tab, words of label or key, and a type."""

    tab: str
    find: str
    type: str

    def takes(self, one: Definition) -> bool:
        """Say whether a definition is asked for, leaving what is archived aside."""
        if self.tab in _SOURCES and one.source != self.tab:
            return False
        if self.type and one.type.name != self.type:
            return False
        return not self.find or self.find.casefold() in f"{one.label} {one.key}".casefold()


@dataclass(frozen=True)
class Row:
    """One definition, as its row shows it."""

    key: str
    label: str
    help: str
    icon: str
    type: str
    conversion: str
    is_converting: bool
    source: str
    source_label: str
    editors: str
    editors_title: str
    bar: float
    filled: str
    filled_title: str
    pinned: bool
    personal: bool
    lock: str
    archived: str
    session: bool
    menu: str


class DefinitionList:
    """The table, which remembers the rows that it drew and how many users there were at each count."""

    def __init__(self) -> None:
        self._drawn = Drawn("parley/_definition_row.html")
        self._users: tuple[datetime | None, int] = None, 0

    def groups(self, now: Catalogue, asked: Asked, at: words.Now) -> list[dict[str, Any]]:
        """Return what is asked for: the pinned ones in order, then the others by group."""
        if asked.tab == "archived":
            found = [one for one in now.by_key.values() if one.archived is not None and asked.takes(one)]
            found.sort(key=lambda one: one.label.casefold())
            return [self._group("archived", f"Archived · {len(found)}", found, at)] if found else []
        found = [one for one in now.active if asked.takes(one)]
        pinned = [one for one in found if one.pinned is not None]
        groups = [self._group("pinned", f"Top panel · {len(pinned)} pinned", pinned, at)] if pinned else []
        others = sorted(
            (one for one in found if one.pinned is None),
            key=lambda one: (one.section.casefold(), one.label.casefold()),
        )
        for section, of_section in groupby(others, key=lambda one: one.section):
            listed = list(of_section)
            groups.append(self._group("", f"{section or 'Without a group'} · {len(listed)}", listed, at))
        return groups

    def _group(self, name: str, title: str, found: Sequence[Definition], at: words.Now) -> dict[str, Any]:
        rows = [self._row(one, at) for one in found]
        return {
            "name": name,
            "title": title,
            "rows": [
                self._drawn(row, at.at, lambda row=row: (ALWAYS, (row,)))  # type: ignore[misc]
                for row in rows
            ],
        }

    def _row(self, one: Definition, at: words.Now) -> Row:
        share, text, title = self._filled(one, at)
        return Row(
            key=one.key,
            label=one.label,
            help=one.help,
            icon=one.type.icon,
            type=type_in_words(one),
            conversion=conversion.said(one),
            is_converting=one.is_converting,
            source=one.source,
            source_label=one.section if one.source == Source.CHANNEL else _SOURCES[one.source],
            editors=editors_in_words(one),
            editors_title=words.upper_first(one.editors),
            bar=round(_BAR * share, 1),
            filled=text,
            filled_title=title,
            pinned=one.pinned is not None,
            personal=one.personal,
            lock=locked_because(one),
            archived=words.date(one.archived, at) if one.archived else "",
            session=one.scope == Scope.SESSION,
            menu="archived" if one.archived else "fixed" if one.declared else "active",
        )

    def _filled(self, one: Definition, at: words.Now) -> tuple[float, str, str]:
        """Return which share of the users has a value, the same in words, and exactly."""
        if one.scope == Scope.SESSION:
            return 0, "—", "A session has its value, not a user"
        if one.filled is None or one.counted is None:
            return 0, "—", "Computed for each user" if one.is_locked else "Not counted yet"
        total = max(self._total(one.counted), one.filled)
        share = one.filled / total if total else 0
        percent = f"{share:.0%}" if not 0 < share < 0.01 else "<1%"
        exact = (
            f"{one.filled:,} of {words.counted(total, 'user')}, as of {words.day_and_clock(one.counted, at)}"
        )
        return share, percent, exact

    def _total(self, counted: datetime) -> int:
        """Return how many users there were at about the moment of a count; asked once for each."""
        known, total = self._users
        if known is None or counted > known:
            [(total,)] = run('SELECT COUNT(*) FROM "user"')
            self._users = counted, total
        return int(total)


def tabs(now: Catalogue, asked: Asked, base: str) -> list[dict[str, Any]]:
    """Return the tabs with how many each holds."""
    counts = dict.fromkeys(TABS, 0)
    counts["all"] = len(now.active)
    counts["archived"] = len(now.by_key) - len(now.active)
    for one in now.active:
        counts[one.source] += 1
    counts["proposed"] = sum(one.key not in now.by_key for one in _proposed())
    return [
        {
            "label": label,
            "count": counts[name],
            "url": base if name == "all" else f"{base}?show={name}",
            "current": name == asked.tab,
        }
        for name, label in TABS.items()
    ]


def _proposed() -> Iterable[PropertyProposal]:
    return PropertyProposal.select(PropertyProposal.key).where(PropertyProposal.refused.is_null())


def types_of(now: Catalogue) -> list[tuple[str, str]]:
    """Return the types that definitions have, by name and label."""
    found = {one.type.name: type(one.type).label for one in now.by_key.values()}
    return sorted(found.items(), key=lambda one: one[1])


def type_in_words(one: Definition) -> str:
    """Return `Choice · 3`."""
    summary = one.type.summary()
    return f"{one.type.label} · {summary}" if summary else one.type.label


def editors_in_words(one: Definition) -> str:
    """Return who may edit it, shortly: `Operators, bots`."""
    if one.is_locked or not one.editable_by:
        return "Nobody"
    roles = [word for role, word in _ROLES.items() if role in one.editable_by]
    named = ["Operators"] if len(roles) == len(_ROLES) else roles
    named += ["bots"] if BOT in one.editable_by else []
    named += ["API"] if API in one.editable_by else []
    return words.upper_first(", ".join(named))


def locked_because(one: Definition) -> str:
    """Say why nothing but the pin of a definition can be changed, or nothing."""
    if one.source == Source.SYSTEM:
        return "Parley computes this property, so only its place can be changed."
    if one.source == Source.CHANNEL:
        return f"{one.section} says this, so only its place can be changed."
    return ""
