"""Make what strangers send fit to be stored and shown."""

import re
from typing import Any

# PostgreSQL refuses NUL in text and in jsonb; neither database can encode a lone surrogate.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def clean(text: str) -> str:
    """Replace the characters that a database refuses (NUL, lone surrogates) by U+FFFD."""
    return _UNSTORABLE.sub(REPLACEMENT, text)


def clean_json(value: Any, depth: int = 64) -> Any:
    """Clean every string and key of a decoded JSON value.

    What lies deeper than `depth` levels is replaced by its length in words, so that no reader of it can
    overflow; numbers that JSON does not know (NaN, infinities) become text.
    """
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, (dict, list, tuple)):
        if depth == 0:
            return f"{len(value)} entries, nested too deep to keep here"
        if isinstance(value, dict):
            return {clean(str(key)): clean_json(item, depth - 1) for key, item in value.items()}
        return [clean_json(item, depth - 1) for item in value]
    return value


def snippet(text: str, length: int = 140) -> str:
    """Shorten `text` to one line of at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"
