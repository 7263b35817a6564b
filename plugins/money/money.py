"""Amounts of money in the currency of their property.

An amount is kept as a number, so that conditions compare and lists sort by it; the currency is the
definition's, and an amount in another one is refused, never converted.
"""

import re
from collections.abc import Mapping
from datetime import UTC, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from pydantic import Field, field_validator

from core import NUMBER_OPERATORS, Editor, Invalid, Options, PropertyType, Rendered, Storage

SYMBOLS = {"EUR": "€", "GBP": "£", "INR": "₹", "JPY": "¥", "KRW": "₩", "USD": "$"}
# ISO 4217, currencies whose minor unit is not a hundredth; as of 24 Nov 2026.
_PLACES = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0,
    "RWF": 0, "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}  # fmt: skip
_MOST = 10**12
_NOISE = Decimal("0.000001")  # what a sum of doubles is off by; more than that was meant
_LONGEST_TYPED = 5_000
# Commas part thousands only where decimals follow: in `1,000` they could part those as well.
_AMOUNT = re.compile(
    r"([+-]?)\s*([^\d\s.,+-]{0,3})\s*([+-]?)"
    r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]+)\s*([^\d\s.,+-]{0,3})"
)


class MoneyOptions(Options):
    """The currency of all amounts of a property."""

    currency: str = Field(title="Currency", description="Three letters by ISO 4217, such as EUR.")

    @field_validator("currency")
    @classmethod
    def _is_a_code(cls, given: str) -> str:
        if not re.fullmatch("[A-Z]{3}", given):
            raise ValueError("A currency has three capital letters, such as EUR")
        return given


class Money(PropertyType):
    """An amount in one currency, with the decimals of that currency."""

    name = "money"
    label = "Money"
    icon = "t_money"
    storage = Storage.REAL
    editor = Editor.NUMBER
    operators = NUMBER_OPERATORS
    Options = MoneyOptions
    options: MoneyOptions

    def __init__(self, options: MoneyOptions, *, filterable: bool) -> None:
        super().__init__(options, filterable=filterable)
        self.places = _PLACES.get(options.currency, 2)
        self.symbol = SYMBOLS.get(options.currency, options.currency)

    def parse(self, given: Any) -> float:
        """Take `489`, `489.00`, `€ 489.00`, `489 EUR` or `{"amount": 489, "currency": "EUR"}`."""
        currency = None
        if isinstance(given, Mapping):
            given, currency = given.get("amount"), given.get("currency")
            if currency is not None:
                self._same(currency)
        amount = max(Decimal(-_MOST), min(Decimal(_MOST), self._amount(given)))
        rounded = amount.quantize(Decimal(1).scaleb(-self.places), ROUND_HALF_EVEN)
        if abs(rounded - amount) > _NOISE:
            raise Invalid(
                f"takes an amount with at most {self.places} decimals"
                if self.places
                else "takes an amount without decimals"
            )
        if abs(rounded) >= _MOST:
            raise Invalid("takes an amount under a million millions")
        return float(rounded) + 0.0  # which takes the sign from -0.0

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Return `€ 2,410.00`."""
        sign = "-" if value < 0 else ""
        return Rendered(f"{sign}{self.symbol} {abs(value):,.{self.places}f}")

    def typed(self, value: Any) -> str:
        """Return `2410.00`."""
        return f"{value:.{self.places}f}"

    def unit(self) -> str:
        """Return the currency."""
        return self.options.currency

    def summary(self) -> str:
        """Return the currency."""
        return self.options.currency

    def _amount(self, given: Any) -> Decimal:
        if isinstance(given, int) and not isinstance(given, bool):
            return Decimal(max(-_MOST, min(_MOST, given)))  # its digits may be endless
        if isinstance(given, float):
            found = Decimal(repr(given))
            if found.is_finite():
                return found
        if isinstance(given, str) and len(given) <= _LONGEST_TYPED:
            typed = _AMOUNT.fullmatch(" ".join(given.split()).replace("\N{MINUS SIGN}", "-"))
            if typed is not None:
                first, before, second, digits, after = typed.groups()
                for currency in filter(None, (before, after)):
                    self._same(currency)
                if not (first and second):
                    return Decimal(f"{first or second}{digits.replace(',', '')}")
        raise Invalid(f"takes an amount, such as {self.typed(489)} or {self.symbol} {self.typed(489)}")

    def _same(self, currency: Any) -> None:
        if not isinstance(currency, str) or currency.strip().upper() not in (
            self.options.currency,
            self.symbol,
        ):
            raise Invalid(f"takes an amount in {self.options.currency}")
