"""The one place that time comes from, so that a test can hold it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

_held: datetime | None = None


def now() -> datetime:
    """Return the current moment, aware, in UTC."""
    return _held or datetime.now(UTC)


class HeldClock:
    """A clock that stands still until it is told to move."""

    def now(self) -> datetime:
        """Return the moment at which the clock is held."""
        return now()

    def set(self, moment: datetime) -> None:
        """Move to `moment`, which is aware."""
        global _held
        _held = moment.astimezone(UTC)

    def advance(self, **by: float) -> None:
        """Move forward by the arguments of a timedelta, such as `hours=24, seconds=-1`."""
        self.set(now() + timedelta(**by))


@contextmanager
def held(moment: datetime | None = None) -> Iterator[HeldClock]:
    """Hold the clock of this process at `moment` (now, when left out) until the block ends."""
    global _held
    clock = HeldClock()
    clock.set(moment or datetime.now(UTC))
    try:
        yield clock
    finally:
        _held = None
