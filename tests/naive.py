"""What a filter means, in plain Python, a person at a time: what the compiler is held against."""

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from core.conditions import UNITS, Checked
from core.expression import Joined, Node, Not, Number
from core.property_type import Operator, Storage
from core.values import Value


def holds(node: Node, truth: dict[int, bool]) -> bool:
    """Judge an expression."""
    if isinstance(node, Number):
        return truth[node.number]
    if isinstance(node, Not):
        return not holds(node.part, truth)
    assert isinstance(node, Joined)
    parts = [holds(one, truth) for one in node.parts]
    return all(parts) if node.word == "AND" else any(parts)


def asks(asked: Checked, value: Value, now: datetime, zone: tzinfo) -> bool:
    """Judge one condition of one value."""
    operator = asked.operator
    if operator == Operator.SKIPPED:
        return value.is_skipped
    if operator == Operator.NOT_SKIPPED:
        return not value.is_skipped
    if operator == Operator.EXISTS:
        return value.is_set
    if operator == Operator.MISSING:
        return not value.is_set
    opposite = {
        Operator.IS_NOT: Operator.IS,
        Operator.UNEQUAL: Operator.EQUAL,
        Operator.MATCHES_NONE: Operator.ONE_OF,
        Operator.HAS_NONE: Operator.HAS_ANY,
    }.get(operator)
    if not value.is_set:
        return opposite is not None
    if opposite is not None:
        return not _asks(opposite, asked, value.value, now, zone)
    return _asks(operator, asked, value.value, now, zone)


def _asks(operator: Operator, asked: Checked, value: Any, now: datetime, zone: tzinfo) -> bool:
    given = asked.operands
    storage = asked.definition.type.storage
    if storage in (Storage.DATE, Storage.MOMENT):
        return _time(operator, storage, given, value, now, zone)
    return bool(_ASKED[operator](value, given))


def _low(text: str) -> str:
    return "".join(chr(ord(one) + 32) if "A" <= one <= "Z" else one for one in text)


def _time(
    operator: Operator, storage: Storage, given: tuple[Any, ...], value: str, now: datetime, zone: tzinfo
) -> bool:
    if operator == Operator.ANNIVERSARY:
        today = now.astimezone(zone)
        if storage == Storage.DATE:
            return value[5:] == f"{today:%m-%d}"
        return (
            f"{datetime.fromisoformat(value) + (today.utcoffset() or timedelta()):%m-%d}" == f"{today:%m-%d}"
        )
    if operator in (Operator.IN_THE_LAST, Operator.IN_THE_NEXT):
        way = -1 if operator == Operator.IN_THE_LAST else 1
        away = way * given[0] * UNITS[given[1]]
        if storage == Storage.DATE:
            ends = sorted((now.astimezone(zone).date(), now.astimezone(zone).date() + away))
            return bool(ends[0] <= date.fromisoformat(value) <= ends[1])
        moments = sorted((now, now + away))
        return bool(moments[0] <= datetime.fromisoformat(value) <= moments[1])
    if storage == Storage.DATE:
        return _days(operator, value, *given)
    return _moments(operator, datetime.fromisoformat(value), zone, *given)


def _days(operator: Operator, value: str, first: str, last: str = "") -> bool:
    match operator:
        case Operator.ON:
            return value == first
        case Operator.BEFORE:
            return value < first
        case Operator.AFTER:
            return value > first
    return first <= value <= last


def _moments(operator: Operator, value: datetime, zone: tzinfo, first: str, last: str = "") -> bool:
    """Judge a moment; where a date is given, by the day that it falls on in the zone."""
    here = value.astimezone(zone)

    def compared(text: str) -> tuple[Any, Any]:
        if len(text) == 10:
            return here.date(), date.fromisoformat(text)
        return value, datetime.fromisoformat(text)

    mine, theirs = compared(first)
    match operator:
        case Operator.ON:
            return bool(mine == theirs)
        case Operator.BEFORE:
            return bool(mine < theirs)
        case Operator.AFTER:
            return bool(mine > theirs)
    upper, end = compared(last)
    return bool(mine >= theirs and upper <= end)


def _kilometres(one: dict[str, float], other: dict[str, float]) -> float:
    lat, there = math.radians(one["lat"]), math.radians(other["lat"])
    half = math.sin((there - lat) / 2) ** 2
    across = math.sin(math.radians(other["lng"] - one["lng"]) / 2) ** 2
    return 12742.0176 * math.asin(math.sqrt(min(1.0, half + math.cos(lat) * math.cos(there) * across)))


_ASKED: dict[Operator, Callable[[Any, tuple[Any, ...]], bool]] = {
    Operator.IS: lambda value, given: value == given[0],
    Operator.EQUAL: lambda value, given: value == given[0],
    Operator.ONE_OF: lambda value, given: value in given,
    Operator.CONTAINS: lambda value, given: _low(given[0]) in _low(value),
    Operator.STARTS_WITH: lambda value, given: _low(value).startswith(_low(given[0])),
    Operator.ENDS_WITH: lambda value, given: _low(value).endswith(_low(given[0])),
    Operator.LESS: lambda value, given: value < given[0],
    Operator.AT_MOST: lambda value, given: value <= given[0],
    Operator.GREATER: lambda value, given: value > given[0],
    Operator.AT_LEAST: lambda value, given: value >= given[0],
    Operator.BETWEEN: lambda value, given: given[0] <= value <= given[1],
    Operator.IS_TRUE: lambda value, given: value is True,
    Operator.IS_FALSE: lambda value, given: value is False,
    Operator.HAS_ANY: lambda value, given: bool(set(value) & set(given)),
    Operator.HAS_ALL: lambda value, given: set(given) <= set(value),
    Operator.WITHIN: lambda value, given: _kilometres(value, given[1]) <= given[0],
}
