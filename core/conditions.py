"""One condition of a filter: a property, what is asked of it, and with what (A2, A5).

What holds for somebody of whom the value is not known is the same for every type, and stands here once:

    exists                             the value is set
    does not exist                     unset or skipped
    was skipped                        skipped
    was not skipped                    unset, or set
    any other operator                 never, unless it is a negation
    is not, ≠, matches none, has none  also unset and skipped: whoever has no city is not in Delhi

Letters A to Z are the same in both cases for contains, starts with and ends with; all else is exact.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from core.catalogue import Definition
from core.property_type import STATE_OPERATORS, Invalid, Operator, Storage
from core.text import clean

MOST_CONDITIONS = 100
MOST_OPERANDS = 200
LONGEST_OPERAND = 500
UNITS: Mapping[str, timedelta] = {
    "minutes": timedelta(minutes=1),
    "hours": timedelta(hours=1),
    "days": timedelta(days=1),
}
_DAY = len("2026-11-24")
FARTHEST_KM = 20_100
"""Half the way around the Earth, and a little more."""


class BadFilter(ValueError):
    """A filter that cannot be asked; `number` is that of the condition, 0 for the expression."""

    def __init__(self, sentence: str, number: int = 0) -> None:
        super().__init__(sentence)
        self.number = number


@dataclass(frozen=True)
class Condition:
    """What somebody asks: the key of a property, an operator's word, and what was typed."""

    key: str
    operator: str
    operands: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Checked:
    """A condition that can be asked: its operands are in the normal form of the property's type.

    For spans of time they are a number and one of UNITS, for a circle kilometres and a location, for moments
    dates or moments.
    """

    number: int
    definition: Definition
    operator: Operator
    operands: tuple[Any, ...]

    @property
    def is_negation(self) -> bool:
        """Say whether it also holds for those of whom nothing is known."""
        return self.operator in NEGATIONS


NEGATIONS = frozenset(
    {
        Operator.IS_NOT,
        Operator.UNEQUAL,
        Operator.MATCHES_NONE,
        Operator.HAS_NONE,
        Operator.MISSING,
        Operator.NOT_SKIPPED,
    }
)


class Takes(StrEnum):
    """How many operands an operator takes, and of which kind."""

    NOTHING = "nothing"
    VALUE = "value"
    VALUES = "values"
    RANGE = "range"
    FRAGMENT = "fragment"
    SPAN = "span"
    CIRCLE = "circle"


def takes(operator: Operator) -> Takes:
    """Return what an operator takes."""
    return _TAKES.get(operator, Takes.VALUE)


_TAKES = {
    **dict.fromkeys(STATE_OPERATORS, Takes.NOTHING),
    Operator.IS_TRUE: Takes.NOTHING,
    Operator.IS_FALSE: Takes.NOTHING,
    Operator.ANNIVERSARY: Takes.NOTHING,
    Operator.ONE_OF: Takes.VALUES,
    Operator.MATCHES_NONE: Takes.VALUES,
    Operator.HAS_ANY: Takes.VALUES,
    Operator.HAS_ALL: Takes.VALUES,
    Operator.HAS_NONE: Takes.VALUES,
    Operator.BETWEEN: Takes.RANGE,
    Operator.CONTAINS: Takes.FRAGMENT,
    Operator.STARTS_WITH: Takes.FRAGMENT,
    Operator.ENDS_WITH: Takes.FRAGMENT,
    Operator.IN_THE_LAST: Takes.SPAN,
    Operator.IN_THE_NEXT: Takes.SPAN,
    Operator.WITHIN: Takes.CIRCLE,
}


def operators_of(definition: Definition) -> tuple[Operator, ...]:
    """Return what can be asked of a property."""
    return (*definition.type.operators, *STATE_OPERATORS)


def checked(
    number: int, given: Condition, definitions: Mapping[str, Definition], sees: Callable[[Definition], bool]
) -> Checked:
    """Check a condition; raises BadFilter.

    A property that cannot be filtered by, or that the asker may not see, is as if it were not there: an
    answer would tell of it.
    """
    definition = definitions.get(given.key)
    if definition is None or definition.archived is not None:
        raise BadFilter(
            f"Condition {number}: there is no property `{given.key[:63]}` any more. Pick another.", number
        )
    if not definition.can_be_asked:
        raise BadFilter(
            f"Condition {number}: `{definition.key}` cannot be filtered by. Pick another property.", number
        )
    if not sees(definition):
        raise BadFilter(
            f"Condition {number}: your role does not see `{definition.key}`, so it cannot filter by it.",
            number,
        )
    try:
        operator = Operator(given.operator)
    except ValueError:
        operator = None
    if operator not in operators_of(definition):
        there = ", ".join(operators_of(definition))
        raise BadFilter(f"Condition {number}: `{definition.key}` can be asked: {there}.", number)
    try:
        operands = _OPERANDS[takes(operator)](definition, list(given.operands))
    except Invalid as error:
        raise BadFilter(f"Condition {number}: `{definition.key}` {error}.", number) from None
    return Checked(number, definition, operator, operands)


def _nothing(definition: Definition, given: Sequence[Any]) -> tuple[Any, ...]:
    if given:
        raise Invalid("is asked without a value here")
    return ()


def _value(definition: Definition, given: Sequence[Any]) -> tuple[Any, ...]:
    if len(given) != 1:
        raise Invalid("is compared with one value")
    return (_parsed(definition, given[0]),)


def _values(definition: Definition, given: Sequence[Any]) -> tuple[Any, ...]:
    if not 1 <= len(given) <= MOST_OPERANDS:
        raise Invalid(f"is compared with 1 to {MOST_OPERANDS} values")
    found: list[Any] = []
    for one in given:
        value = _parsed(definition, one)
        found += value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(found))


def _range(definition: Definition, given: Sequence[Any]) -> tuple[Any, ...]:
    if len(given) != 2:
        raise Invalid("is compared with two values, the lower one first")
    low, high = (_parsed(definition, one) for one in given)
    # Of a moment and a whole day, only the days can be compared: a day is in no zone yet.
    days = definition.type.storage == Storage.MOMENT and len(low) != len(high)
    if (low[:_DAY] > high[:_DAY]) if days else low > high:
        raise Invalid("is compared with two values, the lower one first")
    return low, high


def _fragment(definition: Definition, given: Sequence[Any]) -> tuple[Any, ...]:
    text = clean(given[0]).strip() if len(given) == 1 and isinstance(given[0], str) else ""
    if not 1 <= len(text) <= LONGEST_OPERAND:
        raise Invalid(f"is compared with a text of 1 to {LONGEST_OPERAND} characters")
    return (text,)


def _span(definition: Definition, given: Sequence[Any]) -> tuple[Any, ...]:
    count, unit = (*given, None, None)[:2]
    digits = str(count).strip() if isinstance(count, str | int) and not isinstance(count, bool) else ""
    known = UNITS if definition.type.storage == Storage.MOMENT else {"days": UNITS["days"]}
    if (
        len(given) != 2
        or not (digits.isascii() and digits.isdigit() and 1 <= len(digits) <= 6)
        or unit not in known
    ):
        raise Invalid(f"is compared with a number of {', '.join(known)}, such as 7 days")
    return int(digits), unit


def _circle(definition: Definition, given: Sequence[Any]) -> tuple[Any, ...]:
    if len(given) != 2:
        raise Invalid("is compared with kilometres and a place")
    try:
        kilometres = float(str(given[0]).strip())
    except ValueError:
        kilometres = -1.0
    if not 0 < kilometres <= FARTHEST_KM:
        raise Invalid(f"is compared with 1 to {FARTHEST_KM:,} kilometres and a place")
    return kilometres, definition.type.take(given[1])


def _parsed(definition: Definition, given: Any) -> Any:
    """Return an operand in normal form; of a moment, a date stands for the whole day."""
    if isinstance(given, str) and len(given) > LONGEST_OPERAND:
        raise Invalid(f"is compared with at most {LONGEST_OPERAND} characters")
    if definition.type.storage == Storage.MOMENT and isinstance(given, str):
        try:
            return date.fromisoformat(given.strip()).isoformat()
        except ValueError:
            pass
    return definition.type.take(given)


_OPERANDS: Mapping[Takes, Callable[[Definition, Sequence[Any]], tuple[Any, ...]]] = {
    Takes.NOTHING: _nothing,
    Takes.VALUE: _value,
    Takes.VALUES: _values,
    Takes.RANGE: _range,
    Takes.FRAGMENT: _fragment,
    Takes.SPAN: _span,
    Takes.CIRCLE: _circle,
}
