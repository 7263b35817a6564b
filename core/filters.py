"""A filter as a whole: numbered conditions and how they are joined; kept under a key, asked, and said."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Any

from peewee import SQL, NodeList

from core import clock, expression
from core.audience import Count, counted
from core.budget import TooSlow, within
from core.catalogue import Definition, catalogue
from core.compiler import compiled, condition
from core.conditions import MOST_CONDITIONS, BadFilter, Checked, Condition, Takes, checked, takes
from core.context import parley
from core.db import tuples
from core.expression import BadExpression, Node
from core.models import StoredView, User
from core.property_type import Storage
from core.text import clean_json

_KEY_LENGTH = 20
_MOST_GROUPS = 5
Shown = Callable[[Definition, Any], str | None]
"""Says an operand in words of its own, or None where the type's are right."""
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
        found: dict[str, Any] = clean_json(
            {"conditions": rows, "joined": self.joined.value, "text": self.text}
        )
        return found

    def having(self, number: int | None, condition: Condition) -> "Filter":
        """Return the filter with a condition in the place of one; None adds it, and it must hold as well."""
        if number is not None:
            rows = [condition if place == number else one for place, one in enumerate(self.conditions, 1)]
            return replace(self, conditions=tuple(rows))
        count = len(self.conditions) + 1
        if count > MOST_CONDITIONS:
            raise BadFilter(f"A filter has at most {MOST_CONDITIONS} conditions. Remove one first.")
        text = self.text
        if self.joined == Joining.CUSTOM:
            node = self.node()
            text = expression.written(expression.also(node, count)) if node else "1"
        return replace(self, conditions=(*self.conditions, condition), text=text)

    def joining(self, joined: Joining, text: str = "") -> "Filter":
        """Return the filter with its conditions joined otherwise; custom begins with what was."""
        if joined == Joining.CUSTOM and not text and (node := self.node()):
            text = expression.written(node)
        return replace(self, joined=joined, text=text if joined == Joining.CUSTOM else "")

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

    def expression(self) -> str:
        """Return how the conditions are joined as one writes it; raises BadExpression."""
        if self.joined == Joining.CUSTOM:
            return self.text
        node = self.node()
        return expression.written(node) if node is not None else ""


LONGEST_EXPRESSION = expression.LONGEST


@dataclass(frozen=True)
class Asked:
    """A filter that can be asked: its conditions are checked, its expression is read."""

    conditions: Mapping[int, Checked]
    node: Node | None

    def where(self, zone: tzinfo = UTC, now: datetime | None = None, beside: Any = None) -> Any:
        """Return a condition on User, None for everyone; days begin where the asker is.

        `beside` is another condition that must hold as well, such as a search.
        """
        if self.node is None:
            return beside
        found = compiled(self.node, self.conditions, now or clock.now(), zone)
        return found if beside is None else NodeList((SQL("("), found, SQL("AND"), beside, SQL(")")))

    def where_one(self, number: int, zone: tzinfo = UTC, now: datetime | None = None) -> Any:
        """Return the condition on User of one numbered condition by itself."""
        return condition(self.conditions[number], now or clock.now(), zone)

    def in_words(self, shown: Shown | None = None) -> str:
        """Return the full reading, every join in parentheses; empty for everyone."""
        if self.node is None:
            return ""
        words = {number: said(one, shown) for number, one in self.conditions.items()}
        return expression.said(self.node, words)


@dataclass
class Counts:
    """How many users each condition picks by itself, and each joined part of the expression.

    `slow` says that there was no time for the others.
    """

    conditions: dict[int, Count] = field(default_factory=dict)
    groups: dict[str, Count] = field(default_factory=dict)
    slow: bool = False


@dataclass(frozen=True)
class Why:
    """Why one user is picked, or not: what holds, and each condition that alone would turn it round (S4)."""

    picked: bool
    truth: Mapping[int, bool]
    deciding: tuple[int, ...]


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
    text = json.dumps(stored, sort_keys=True)
    # Keyed, so that nobody finds out by trying which value a link stands for.
    secret = parley().keys.derive("stored views")
    key = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:_KEY_LENGTH]
    now = clock.now()
    StoredView.insert(key=key, filter=stored, created=now, used=now).on_conflict(
        conflict_target=[StoredView.key], update={StoredView.used: now}
    ).execute()
    return key


def kept(key: str) -> Filter | None:
    """Return the filter stored under `key`, or None."""
    row = StoredView.find(key=key) if key.isascii() and key.isalnum() else None
    return Filter.of(row.filter) if row is not None else None


def counts(asked: Asked, seconds: float, zone: tzinfo = UTC) -> Counts:
    """Count each condition by itself and each joined part, as far as they can be counted in `seconds`."""
    found, now = Counts(), clock.now()
    deadline = time.monotonic() + seconds
    conditions = {number: asked.where_one(number, zone, now) for number in asked.conditions}
    groups = expression.groups(asked.node)[:_MOST_GROUPS] if asked.node is not None else []
    try:
        for number, one in conditions.items():
            with within(deadline - time.monotonic()):
                found.conditions[number] = counted(one)
        for group in groups:
            with within(deadline - time.monotonic()):
                where = compiled(group, asked.conditions, now, zone)
                found.groups[expression.written(group)] = counted(where)
    except TooSlow:
        found.slow = True
    return found


def why(asked: Asked, user_id: int, zone: tzinfo = UTC, now: datetime | None = None) -> Why:
    """Say why a user is picked, or not, in one query; raises LookupError for a user who is not there."""
    now = now or clock.now()
    truths = [
        NodeList((SQL("CASE WHEN"), asked.where_one(number, zone, now), SQL("THEN 1 ELSE 0 END")))
        for number in asked.conditions
    ]
    found = tuples(User.select(User.id, *truths).where(User.id == user_id))
    if not found:
        raise LookupError("There is no such user.")
    truth = {number: bool(one) for number, one in zip(asked.conditions, found[0][1:], strict=True)}
    if asked.node is None:
        return Why(True, truth, ())
    deciding = tuple(expression.deciding(asked.node, truth))
    return Why(expression.holds(asked.node, truth), truth, deciding)


def said(one: Checked, shown: Shown | None = None) -> str:
    """Return a condition in words: `City is Delhi`."""
    return " ".join(part for part in worded(one, shown) if part)


def worded(one: Checked, shown: Shown | None = None) -> tuple[str, str, str]:
    """Return a condition in words, in three parts: property, operator, operands."""
    values = [(shown and shown(one.definition, value)) or _shown(one, value) for value in one.operands]
    match takes(one.operator):
        case Takes.RANGE:
            return one.definition.label, "is between", " and ".join(values)
        case Takes.SPAN:
            count, unit = one.operands
            text = f"{count:,} {unit.removesuffix('s') if count == 1 else unit}"
        case Takes.CIRCLE:
            text = f"{one.operands[0]:g} km of {values[1]}"
        case _:
            text = ", ".join(values)
    return one.definition.label, one.operator.value, text


def _shown(one: Checked, value: Any) -> str:
    kind = one.definition.type
    if takes(one.operator) in (Takes.SPAN, Takes.CIRCLE) and not isinstance(value, dict):
        return str(value)
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
    "Counts",
    "Filter",
    "Joining",
    "Why",
    "ask",
    "counts",
    "keep",
    "kept",
    "said",
    "why",
    "worded",
]
