"""Read JSON of which no shape is certain: each function returns something usable, whatever it is given."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

_EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)  # there was no WhatsApp before
_AHEAD = timedelta(days=1)


def as_dict(value: Any) -> dict[str, Any]:
    """Return an object as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, a single object as a list of one, anything else as an empty list."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, dict) else []


def as_text(value: Any) -> str:
    """Return text as it is and a number as its digits, anything else as an empty string."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def as_moment(value: Any, otherwise: datetime) -> datetime:
    """Return the moment of unix seconds, or `otherwise` where there is none.

    Text and numbers are read; milliseconds are told by their size. A time before WhatsApp existed, or more
    than a day ahead of `otherwise`, counts as none.
    """
    try:
        seconds = float(as_text(value))
        if seconds > 1e11:
            seconds /= 1000
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return otherwise
    return moment if _EARLIEST <= moment <= otherwise + _AHEAD else otherwise


def present(**fields: Any) -> dict[str, Any]:
    """Return the fields that hold something."""
    return {name: value for name, value in fields.items() if value is not None and value not in ("", [], {})}


def decode(body: bytes) -> Any:
    """Decode a JSON body; raises ValueError when it is none, or nested too deep to be read.

    A key that is written twice loses no message: its lists are joined and its objects merged; of other values
    the last one stands, as with most readers. NaN and the infinities, which JSON does not know, pass.
    """
    try:
        return json.loads(body.decode("utf-8-sig", "surrogatepass"), object_pairs_hook=_joined)
    except RecursionError:
        raise ValueError("The body is nested too deep to be read.") from None


def _joined(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        result = {}
        for key, value in pairs:
            result[key] = _merged(result[key], value) if key in result else value
    return result


def _merged(first: Any, second: Any) -> Any:
    if isinstance(first, list) and isinstance(second, list):
        return first + second
    if isinstance(first, dict) and isinstance(second, dict):
        return _joined([*first.items(), *second.items()])
    return second
