"""The columns of the audience: fixed ones, and any property of users, in the operator's own order (A1)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from admin import access
from core import audience
from core.catalogue import Definition, catalogue
from core.models import Scope, Source, read_setting, write_setting
from core.property_type import Storage

FIXED: Mapping[str, str] = {
    "name": "User",
    "window": "Window",
    "last_message": "Last message",
    "last_seen": "Last activity",
    "handler": "Handler",
    "country": "Country",
    "language": "Language",
    "created": "Created",
}
SHOWN_AT_FIRST = ("name", "window", "last_message", "last_seen", "handler", "country")
MOST_PROPERTIES = 12
_PREFIX = "p."
"""What the name of a property's column begins with, so that it is never that of a fixed one."""
_NUMBERS = frozenset({Storage.INTEGER, Storage.REAL})
# Of these a fixed column shows the same, or more.
_COVERED = frozenset({"name", "last_seen", "last_message_at", "handler", "country", "language", "created"})


class Column(NamedTuple):
    """A column of the list: its name in addresses, its head, and how it looks."""

    name: str
    label: str
    look: str

    @property
    def key(self) -> str | None:
        """Return the key of the property that it shows, None for a fixed one."""
        return self.name.removeprefix(_PREFIX) if self.name.startswith(_PREFIX) else None


def chosen() -> list[Column]:
    """Return the columns of the current operator, in order; the name always comes first."""
    kept = read_setting(_setting(), SHOWN_AT_FIRST)
    return [found for name in dict.fromkeys(("name", *kept)) if (found := column(name))][
        : len(FIXED) + MOST_PROPERTIES
    ]


def choose(names: Sequence[str]) -> None:
    """Keep which columns the current operator wants to see, on every device; what is none is left out."""
    known = [name for name in dict.fromkeys(names) if name != "name" and column(name)]
    fixed = [name for name in known if name in FIXED]
    own = [name for name in known if name not in FIXED][:MOST_PROPERTIES]
    write_setting(_setting(), [name for name in known if name in fixed or name in own])


def column(name: str) -> Column | None:
    """Return the column called `name`, or None where there is none."""
    if name in FIXED:
        return Column(name, FIXED[name], f"c-{name}")
    one = definition(name)
    if one is None:
        return None
    return Column(name, one.label, f"c-property{' au-num' if one.type.storage in _NUMBERS else ''}")


def definition(name: str) -> Definition | None:
    """Return the property that the column called `name` shows."""
    one = catalogue().by_key.get(name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else None
    return one if one is not None and one.archived is None and _can_be_shown(one) else None


def definitions(columns: Sequence[Column]) -> list[Definition]:
    """Return the properties that columns show."""
    return [one for each in columns if (one := definition(each.name))]


def others(shown: Sequence[Column]) -> list[dict[str, str]]:
    """Return the columns that can be chosen beside those that are `shown`."""
    here = {one.name for one in shown}
    more = [*FIXED.items()]
    more += [(f"{_PREFIX}{one.key}", one.label) for one in catalogue().of_users if _can_be_shown(one)]
    return [{"name": name, "label": label} for name, label in more if name not in here]


def order(name: str, descending: bool) -> audience.Order | None:
    """Return the order by a column, None where the list cannot be sorted so by whoever reads it.

    Who does not see a value may not sort by it: the order would give it away.
    """
    if name in audience.SORTED_BY:
        clear = name != "name" or access.sight().clear
        return audience.Order(name, descending) if clear else None
    one = definition(name)
    if one is None or not access.sees(one) or not audience.can_sort(one):
        return None
    return audience.Order.by(one, descending)


def greatest_first(name: str) -> bool:
    """Say whether a column is sorted from its greatest value down when one sorts by it for the first time."""
    one = definition(name)
    return name in audience.MOMENTS or (one is not None and one.type.storage in {*_NUMBERS, Storage.MOMENT})


def _can_be_shown(one: Definition) -> bool:
    """Say whether a row has it without a query of its own: it is kept with the user."""
    if one.scope != Scope.USER or one.key in _COVERED:
        return False
    return one.column is not None or one.source not in (Source.SYSTEM, Source.CHANNEL)


def _setting() -> str:
    return f"audience.columns:{access.operator().id}"
