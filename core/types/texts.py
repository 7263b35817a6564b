"""Text, in one line or in several."""

from datetime import UTC, tzinfo
from typing import Any, Self

import re2
from pydantic import Field, field_validator, model_validator

from core.property_type import (
    INDEXED_TEXT,
    TEXT_OPERATORS,
    Editor,
    Invalid,
    Options,
    PropertyType,
    Rendered,
    Storage,
)
from core.text import clean, snippet

LONGEST = 10_000
_MOST_DIGITS = 10**15
_PATTERN_MEMORY = 2 << 20
# A match takes time in proportion to the size of the compiled pattern times the length of the text. Measured:
# under these two, patterns made to be slow take 30 ms at most.
_MOST_STEPS = 50_000_000


def text_of(given: Any) -> str | None:
    """Return a text that can be stored, or None for what is none; a whole number counts as its digits."""
    if isinstance(given, str):
        return clean(given)
    if isinstance(given, int) and not isinstance(given, bool) and abs(given) < _MOST_DIGITS:
        return str(given)
    return None


def one_line(text: str) -> str:
    """Return `text` with a space for each line break, and no space around it."""
    return " ".join(filter(None, (line.strip() for line in text.splitlines())))


def compiled(pattern: str) -> Any:
    """Compile a pattern for an engine whose time grows with the text, never faster.

    Raises ValueError with a sentence for one that cannot be used.
    """
    if clean(pattern) != pattern:
        raise ValueError("the pattern holds a character that cannot be stored")
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _PATTERN_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        why = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        if "too large" in why:
            raise ValueError("the pattern is too large; repeat fewer times") from None
        raise ValueError(
            f"the pattern cannot be used ({why}); it is RE2, without look-around and back references"
        ) from None


class TextOptions(Options):
    """How long a text may be, and what it must look like."""

    max_length: int = Field(
        INDEXED_TEXT,
        ge=1,
        le=LONGEST,
        title="Most characters",
        description=f"At most {INDEXED_TEXT} count where the property can be filtered by.",
    )
    pattern: str = Field(
        "",
        max_length=200,
        title="Pattern",
        description="A regular expression (RE2) that the whole text must match.",
    )
    several_lines: bool = Field(False, title="Several lines")

    @field_validator("pattern")
    @classmethod
    def _usable(cls, value: str) -> str:
        compiled(value)
        return value

    @model_validator(mode="after")
    def _quick(self) -> Self:
        if compiled(self.pattern).programsize * self.max_length > _MOST_STEPS:
            raise ValueError(
                f"the pattern is too large for texts of {self.max_length:,} characters; repeat fewer times"
            )
        return self


class Text(PropertyType):
    """Text without form; nothing but spaces is no text."""

    name = "text"
    label = "Text"
    icon = "t_text"
    storage = Storage.TEXT
    editor = Editor.LINE
    operators = TEXT_OPERATORS
    Options = TextOptions
    options: TextOptions

    def __init__(self, options: TextOptions, *, filterable: bool) -> None:
        super().__init__(options, filterable=filterable)
        self.most = min(options.max_length, INDEXED_TEXT) if filterable else options.max_length
        if options.several_lines:
            self.editor = Editor.PARAGRAPH
        self._pattern = compiled(options.pattern) if options.pattern else None

    def parse(self, given: Any) -> str:
        """Take text, and whole numbers as text; line breaks become spaces where there is one line."""
        text = text_of(given)
        if text is None:
            raise Invalid("takes text")
        text = "\n".join(text.splitlines()).strip() if self.options.several_lines else one_line(text)
        if not text:
            raise Invalid("takes text that is not empty")
        if len(text) > self.most:
            raise Invalid(f"takes at most {self.most:,} character{'s' if self.most > 1 else ''}")
        if self._pattern is not None and self._pattern.fullmatch(text) is None:
            raise Invalid(f"takes text that matches the pattern `{self.options.pattern}`")
        return text

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Show a long text by its beginning."""
        short = snippet(value)
        return Rendered(short, title=value if short != value else "")

    def summary(self) -> str:
        """Name the pattern, where there is one."""
        return snippet(self.options.pattern, 24)
