"""Dates, and moments with their zone."""

import re
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Self

from pydantic import Field, model_validator

from core.property_type import (
    TIME_OPERATORS,
    Editor,
    Invalid,
    Options,
    PropertyType,
    Rendered,
    Storage,
)

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# ISO 8601 as RFC 3339 has it, with less of the offset and of the time where that is plain.
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]((?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2})?)(?:[.,]([0-9]{1,9}))?"
    r" ?(?:(Z)|([+-](?:[01][0-9]|2[0-3]))(?::?([0-5][0-9]))?)"
)
_NO_DATE = "takes a date, such as 2026-11-24"
_NO_MOMENT = "takes a date and time with its zone, such as 2026-11-24T18:00:00Z"
# A year at both ends is left out, so that no reader's zone leads out of the calendar.
_YEARS = range(2, 9999)


class DayOptions(Options):
    """Between what a date lies."""

    min: date | None = Field(None, title="Earliest")
    max: date | None = Field(None, title="Latest")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min and self.max and self.min > self.max:
            raise ValueError("the earliest date is after the latest")
        return self


class Day(PropertyType):
    """A day of the calendar, in no zone, from the year 1 to the year 9999."""

    name = "date"
    label = "Date"
    icon = "cal"
    storage = Storage.DATE
    editor = Editor.DATE
    operators = TIME_OPERATORS
    Options = DayOptions
    options: DayOptions

    def parse(self, given: Any) -> str:
        """Take `2026-11-24` alone: of a moment it is not known whose day it is."""
        text = given.strip() if isinstance(given, str) else ""
        if not _DATE.fullmatch(text):
            raise Invalid(_NO_DATE)
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise Invalid(_NO_DATE) from None
        self._within(day)
        return text

    def _within(self, day: date) -> None:
        first, last = self.options.min, self.options.max
        if (first is None or day >= first) and (last is None or day <= last):
            return
        if first is None:
            raise Invalid(f"takes a date up to {last}")
        if last is None:
            raise Invalid(f"takes a date from {first} on")
        raise Invalid(f"takes a date from {first} to {last}")

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Return `24 Nov 2026`."""
        day = date.fromisoformat(value)
        return Rendered(_day(day), title=f"{_DAYS[day.weekday()]} {_day(day)}")

    def masked(self, value: Any) -> str:
        """Return the places of day, month and year."""
        return "•• ••• ••••"

    def summary(self) -> str:
        """Return the limits."""
        first, last = self.options.min, self.options.max
        if first and last:
            return f"{first} – {last}"
        return f"from {first}" if first else f"to {last}" if last else ""


class Moment(PropertyType):
    """A moment, kept in UTC to the microsecond and shown in the zone of whoever reads it."""

    name = "datetime"
    label = "Date and time"
    icon = "clock"
    storage = Storage.MOMENT
    editor = Editor.MOMENT
    operators = TIME_OPERATORS

    def parse(self, given: Any) -> str:
        """Take ISO 8601 with a zone; digits beyond the microsecond are cut off."""
        found = _MOMENT.fullmatch(given.strip().upper()) if isinstance(given, str) else None
        if found is None:
            raise Invalid(_NO_MOMENT)
        day, clock, fraction, _, hours, minutes = found.groups()
        seconds = clock if clock.count(":") == 2 else f"{clock}:00"
        offset = f"{hours}:{minutes or '00'}" if hours else "+00:00"
        try:
            local = datetime.fromisoformat(f"{day}T{seconds}.{(fraction or '0')[:6].ljust(6, '0')}{offset}")
        except ValueError:
            raise Invalid(_NO_MOMENT) from None
        if local.year not in _YEARS or (at := local.astimezone(UTC)).year not in _YEARS:
            raise Invalid(f"takes a year between {_YEARS[0]} and {_YEARS[-1]}")
        return at.isoformat()

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Return `24 Nov 2026, 18:00` in the zone of the reader; the title names weekday and zone."""
        at = datetime.fromisoformat(value).astimezone(zone)
        text = f"{_day(at)}, {at:%H:%M}"
        return Rendered(text, title=f"{_DAYS[at.weekday()]} {text} {at.tzname()}")

    def masked(self, value: Any) -> str:
        """Return the places of day, month and year."""
        return "•• ••• ••••"


def _day(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
