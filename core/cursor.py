"""A place in a list ordered by (moment, id), as text that may stand in a URL."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = re.compile(r"(-|\d{1,17})\.(\d{1,18})", re.ASCII)


@dataclass(frozen=True, order=True)
class Cursor:
    """The place of one row; `at` is None in the part of a list whose rows have no moment."""

    at: datetime | None
    id: int

    def __str__(self) -> str:
        moment = "-" if self.at is None else str((self.at - _EPOCH) // timedelta(microseconds=1))
        return f"{moment}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read what `str` wrote; raises ValueError for anything else."""
        found = _FORM.fullmatch(text)
        if not found:
            raise ValueError("The place in the list cannot be read. Start again at its beginning.")
        moment, row = found.groups()
        try:
            return cls(None if moment == "-" else _EPOCH + timedelta(microseconds=int(moment)), int(row))
        except OverflowError:
            raise ValueError("The place in the list is out of range. Start again at its beginning.") from None
