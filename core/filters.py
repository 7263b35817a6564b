"""A filter as a whole: numbered conditions and how they are joined; kept under a key, asked, and said."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Any

from core import clock, expression
from core.catalogue import Definition, catalogue
from core.compiler import compiled, condition
from core.conditions import MOST_CONDITIONS, BadFilter, Checked, Condition, Takes, checked, takes
from core.expression import BadExpression, Node
from core.models import StoredView
from core.property_type import Storage

_KEY_LENGTH = 20
_DAY_LENGTH = len("2026-11-24")


class Joining(StrEnum):
    """How conditions are joined: by a word for all of them, or as somebody wrote it."""

    ALL = "all"
    ANY = "any"
    CUSTOM = "custom"


@dataclass(frozen=True)
class Filter:
    """What somebody asks for; `text` is the expression, which counts where it is joined as `custom`."""

    conditions: tuple[Condition, ...] = ()
    joined: Joining = Joining.ALL
    text: str = ""

    @classmethod
    def of(cls, given: Any) -> "Filter":
        """Read a filter from JSON: `{"conditions": [{"key", "operator", "operands"}], "joined", "text"}`.

        Raises BadFilter for what is none; whether it can be asked is for `ask` to say.
        """
        given = given if isinstance(given, Mapping) else {}
        rows, text = given.get("conditions"), given.get("text", "")
        if not isinstance(rows, list) or not isinstance(text, str):
            raise BadFilter("A filter is a list of conditions, and an expression.")
        if len(rows) > MOST_CONDITIONS:
            raise BadFilter(f"A filter has at most {MOST_CONDITIONS} conditions; these are {len(rows)}.")
        try:
            joined = Joining(given.get("joined", Joining.ALL))
        except ValueError:
            raise BadFilter("Conditions are joined by all, any or custom.") from None
        return cls(tuple(_condition(number, row) for number, row in enumerate(rows, 1)), joined, text)

    def stored(self) -> dict[str, Any]:
        """Return the JSON that `of` reads."""
        rows = [
            {"key": one.key, "operator": one.operator, "operands": list(one.operands)}
            for one in self.conditions
        ]
        return {"conditions": rows, "joined": self.joined, "text": self.text}

    def without(self, number: int) -> "Filter":
        """Return the filter without a condition; the later ones move up, and the expression follows."""
        rest = tuple(one for place, one in enumerate(self.conditions, 1) if place != number)
        node = self.node()
        left = expression.without(node, number) if node is not None else None
        return Filter(rest, self.joined, expression.written(left) if left is not None else "")

    def node(self) -> Node | None:
        """Return how the conditions are joined, None without any; raises BadExpression."""
        numbers = range(1, len(self.conditions) + 1)
        if not self.conditions:
            return None
        if self.joined == Joining.CUSTOM:
            return expression.read(self.text, numbers)
        return expression.all_of(numbers) if self.joined == Joining.ALL else expression.any_of(numbers)


@dataclass(frozen=True)
class Asked:
    """A filter that can be asked: its conditions are checked, its expression is read."""

    conditions: Mapping[int, Checked]
    node: Node | None

    def where(self, zone: tzinfo = UTC, now: datetime | None = None) -> Any:
        """Return a condition on User, None for everyone; days begin where the asker is."""
        return None if self.node is None else compiled(self.node, self.conditions, now or clock.now(), zone)

    def where_one(self, number: int, zone: tzinfo = UTC, now: datetime | None = None) -> Any:
        """Return the condition on User of one numbered condition by itself."""
        return condition(self.conditions[number], now or clock.now(), zone)

    def in_words(self) -> str:
        """Return the full reading, every join in parentheses; empty for everyone."""
        if self.node is None:
            return ""
        return expression.said(self.node, {number: said(one) for number, one in self.conditions.items()})


def ask(given: Filter, sees: Callable[[Definition], bool]) -> Asked:
    """Check a filter for somebody who `sees` some definitions; raises BadFilter and BadExpression."""
    definitions = catalogue().by_key
    conditions = {
        number: checked(number, one, definitions, sees) for number, one in enumerate(given.conditions, 1)
    }
    return Asked(conditions, given.node())


def keep(given: Filter) -> str:
    """Store a filter, and return the key by which a link names it."""
    stored = given.stored()
    text = json.dumps(stored, sort_keys=True, ensure_ascii=False)
    key = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_KEY_LENGTH]
    now = clock.now()
    StoredView.insert(key=key, filter=stored, created=now, used=now).on_conflict(
        conflict_target=[StoredView.key], update={StoredView.used: now}
    ).execute()
    return key


def kept(key: str) -> Filter | None:
    """Return the filter stored under `key`, or None."""
    row = StoredView.find(key=key) if key.isascii() and key.isalnum() else None
    return Filter.of(row.filter) if row is not None else None


def said(one: Checked) -> str:
    """Return a condition in words: `City is Delhi`."""
    match takes(one.operator):
        case Takes.RANGE:
            low, high = (_shown(one, value) for value in one.operands)
            operands = f"is between {low} and {high}"
        case Takes.SPAN:
            operands = f"{one.operator} {one.operands[0]} {one.operands[1]}"
        case Takes.CIRCLE:
            operands = f"{one.operator} {one.operands[0]:g} km of {_shown(one, one.operands[1])}"
        case _:
            operands = " ".join([one.operator, ", ".join(_shown(one, value) for value in one.operands)])
    return f"{one.definition.label} {operands}".strip()


def _shown(one: Checked, value: Any) -> str:
    kind = one.definition.type
    if takes(one.operator) == Takes.FRAGMENT or (
        kind.storage == Storage.MOMENT and len(value) == _DAY_LENGTH
    ):
        return str(value)
    if kind.storage == Storage.JSON and takes(one.operator) == Takes.VALUES:
        value = [value]
    return kind.render(value).text


def _condition(number: int, row: Any) -> Condition:
    row = row if isinstance(row, Mapping) else {}
    key, operator, operands = row.get("key"), row.get("operator"), row.get("operands", [])
    if not isinstance(key, str) or not isinstance(operator, str) or not isinstance(operands, list):
        raise BadFilter(f"Condition {number} is a property, an operator and a list of values.", number)
    return Condition(key, operator, tuple(operands))


__all__ = [
    "Asked",
    "BadExpression",
    "BadFilter",
    "Condition",
    "Filter",
    "Joining",
    "ask",
    "keep",
    "kept",
    "said",
]
