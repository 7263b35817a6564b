"""Numbers, and yes or no. Digits are ASCII, and nothing parts thousands: `1,000` is 1 to half the world."""

import re
from datetime import UTC, tzinfo
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Self

from pydantic import Field, model_validator

from core.property_type import (
    NUMBER_OPERATORS,
    Editor,
    Invalid,
    Operator,
    Options,
    PropertyType,
    Rendered,
    Storage,
)

MOST_WHOLE = 2**53 - 1
"""The largest whole number that every reader of JSON reads exactly."""
EXACT_DIGITS = 15
"""A double gives back this many digits as they were written (IEEE 754: DBL_DIG)."""
_MOST = 10**EXACT_DIGITS
_BEYOND = 10**30
_EXACT = Context(prec=EXACT_DIGITS, rounding=ROUND_HALF_EVEN)
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_SMALLEST = Decimal(1).scaleb(-EXACT_DIGITS)
_TYPED = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_LONGEST_TYPED = 5_000


def decimal_of(given: Any) -> Decimal | None:
    """Return the number that was given as JSON or typed, or None for what is none, such as `True` or `1e3`.

    A whole number beyond 10^30 is returned as that.
    """
    if isinstance(given, bool):
        return None
    if isinstance(given, int):
        return Decimal(max(-_BEYOND, min(_BEYOND, given)))
    if isinstance(given, float):
        found = Decimal(repr(given))
        return found if found.is_finite() else None
    if isinstance(given, str):
        typed = given.strip().replace("\N{MINUS SIGN}", "-")
        if len(typed) <= _LONGEST_TYPED and _TYPED.fullmatch(typed):
            return Decimal(typed)
    return None


def exact(number: Decimal) -> float | None:
    """Return `number` to 15 digits, at most 15 of them after the point; None from a million billions on.

    What a computer's sum leaves behind, as in 0.30000000000000004, is gone with that.
    """
    if abs(number) >= _MOST:
        return None
    number = _EXACT.plus(number)
    if int(number.as_tuple().exponent) < -EXACT_DIGITS:
        number = number.quantize(_SMALLEST, context=_WIDE)
    return float(number) + 0.0 if abs(number) < _MOST else None  # adding 0.0 takes the sign from -0.0


def written(number: float) -> str:
    """Return a number in digits alone: `0.00001`, never `1e-05`."""
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


class _Limits(Options):
    @model_validator(mode="after")
    def _in_order(self) -> Self:
        low, high = getattr(self, "min", None), getattr(self, "max", None)
        if low is not None and high is not None and low > high:
            raise ValueError("the smallest value is larger than the largest")
        return self


class WholeOptions(_Limits):
    """Between what a whole number lies, and what it counts."""

    min: int | None = Field(None, ge=-MOST_WHOLE, le=MOST_WHOLE, title="Smallest")
    max: int | None = Field(None, ge=-MOST_WHOLE, le=MOST_WHOLE, title="Largest")
    unit: str = Field("", max_length=12, title="Unit", description="Shown after the number, such as kg.")


class NumberOptions(_Limits):
    """Between what a number lies, how it is shown, and what it measures."""

    min: float | None = Field(None, gt=-_MOST, lt=_MOST, allow_inf_nan=False, title="Smallest")
    max: float | None = Field(None, gt=-_MOST, lt=_MOST, allow_inf_nan=False, title="Largest")
    places: int | None = Field(
        None, ge=0, le=10, title="Decimals shown", description="All that there are, when left empty."
    )
    unit: str = Field("", max_length=12, title="Unit", description="Shown after the number, such as kg.")


class _Ranged(PropertyType):
    storage = Storage.REAL
    editor = Editor.NUMBER
    icon = "t_num"
    operators = NUMBER_OPERATORS
    options: Any

    def _within(self, number: float) -> None:
        low, high = self.options.min, self.options.max
        if (low is None or number >= low) and (high is None or number <= high):
            return
        if low is None:
            raise Invalid(f"takes a number of at most {written(high)}")
        if high is None:
            raise Invalid(f"takes a number of at least {written(low)}")
        raise Invalid(f"takes a number between {written(low)} and {written(high)}")

    def _with_unit(self, text: str) -> str:
        return f"{text} {self.options.unit}" if self.options.unit else text

    def typed(self, value: Any) -> str:
        """Return the digits."""
        return written(value)

    def summary(self) -> str:
        """Return `0–10 kg`, as far as there are limits and a unit."""
        low, high = (None if one is None else written(one) for one in (self.options.min, self.options.max))
        if low is not None and high is not None:
            return self._with_unit(f"{low} to {high}" if "-" in low + high else f"{low}–{high}")
        if low is not None:
            return self._with_unit(f"≥ {low}")
        return self._with_unit(f"≤ {high}") if high is not None else str(self.options.unit)


class Whole(_Ranged):
    """A whole number that JSON's readers and both databases hold exactly."""

    name = "integer"
    label = "Whole number"
    storage = Storage.INTEGER
    Options = WholeOptions

    def parse(self, given: Any) -> int:
        """Take a whole number or its digits; 42.0 is one."""
        number = decimal_of(given)
        if number is None or number != number.to_integral_value():
            raise Invalid("takes a whole number")
        if abs(number) > MOST_WHOLE:
            raise Invalid(f"takes a whole number between -{MOST_WHOLE} and {MOST_WHOLE}")
        self._within(int(number))
        return int(number)

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Part the thousands from five digits on, so that a year stays a year."""
        return Rendered(self._with_unit(f"{value:,}" if abs(value) >= 10_000 else str(value)))


class Number(_Ranged):
    """A number to 15 digits."""

    name = "decimal"
    label = "Decimal number"
    Options = NumberOptions

    def parse(self, given: Any) -> float:
        """Take a number, or its digits with a point before the decimals; round it to 15 digits."""
        number = decimal_of(given)
        if number is None:
            raise Invalid("takes a number, such as 12.5")
        value = exact(number)
        if value is None:
            raise Invalid(f"takes a number of at most {EXACT_DIGITS} digits before the point")
        self._within(value)
        return value

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Show as many decimals as the options say, and all of them in the title."""
        whole = Decimal(written(value))
        places = self.options.places
        if places is None:
            return Rendered(self._with_unit(f"{whole:,f}"))
        text = f"{whole:,.{places}f}"
        lost = Decimal(text.replace(",", "")) != whole
        return Rendered(self._with_unit(text), title=self._with_unit(f"{whole:,f}") if lost else "")


class Boolean(PropertyType):
    """Yes or no."""

    name = "boolean"
    label = "Yes / no"
    icon = "t_bool"
    storage = Storage.FLAG
    editor = Editor.SWITCH
    operators = (Operator.IS_TRUE, Operator.IS_FALSE)
    indexed = False  # by two values an index leads to no few users, and each write pays for it

    _WORDS = {
        "true": True,
        "yes": True,
        "on": True,
        "1": True,
        "false": False,
        "no": False,
        "off": False,
        "0": False,
    }

    def parse(self, given: Any) -> bool:
        """Take true and false, 1 and 0, and the English words for them."""
        if isinstance(given, bool):
            return given
        if isinstance(given, int | float) and given in (0, 1):
            return bool(given)
        found = self._WORDS.get(given.strip().casefold()) if isinstance(given, str) else None
        if found is None:
            raise Invalid("takes yes or no")
        return found

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Return `Yes` or `No`."""
        return Rendered("Yes" if value else "No")

    def typed(self, value: Any) -> str:
        """Return `true` or `false`."""
        return "true" if value else "false"
