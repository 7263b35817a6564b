"""The contract of property types: how a kind of value is read, kept, shown and edited. Imports no model.

A value is a JSON value in the normal form of its type: a date is `"2026-11-24"`, a moment is
`"2026-11-24T18:00:00+00:00"`, a choice is its stored word. Form, bot, API and history all speak this form;
only the column of the table has the database's own type, which `Storage` names.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

log = logging.getLogger(__name__)

INDEXED_TEXT = 500
"""The longest text, in characters, that PostgreSQL's index takes whatever the script (2,704 bytes)."""


class Storage(StrEnum):
    """The SQL type of a property's own column; `core.columns` knows what each is called by the engines."""

    TEXT = "text"
    INTEGER = "integer"
    REAL = "real"
    FLAG = "flag"
    DATE = "date"
    MOMENT = "moment"
    JSON = "json"


class Editor(StrEnum):
    """How the panel lets people edit a value. What is typed comes to `parse` as text, or as several texts."""

    LINE = "line"
    PARAGRAPH = "paragraph"
    NUMBER = "number"
    SWITCH = "switch"
    DATE = "date"
    MOMENT = "moment"
    PHONE = "phone"
    EMAIL = "email"
    URL = "url"
    CHOICE = "choice"
    CHOICES = "choices"
    LOCATION = "location"
    JSON = "json"


class Operator(StrEnum):
    """What a condition can ask of a value (A5); the last four can be asked of any type."""

    IS = "is"
    IS_NOT = "is not"
    ONE_OF = "is one of"
    CONTAINS = "contains"
    STARTS_WITH = "starts with"
    ENDS_WITH = "ends with"
    MATCHES_NONE = "matches none of"
    EQUAL = "="
    UNEQUAL = "≠"
    LESS = "<"
    AT_MOST = "≤"
    GREATER = ">"
    AT_LEAST = "≥"
    BETWEEN = "between"
    ON = "is on"
    BEFORE = "is before"
    AFTER = "is after"
    IN_THE_LAST = "in the last"
    IN_THE_NEXT = "in the next"
    ANNIVERSARY = "anniversary is today"
    IS_TRUE = "is true"
    IS_FALSE = "is false"
    HAS_ANY = "has any of"
    HAS_ALL = "has all of"
    HAS_NONE = "has none of"
    WITHIN = "is within"
    EXISTS = "exists"
    MISSING = "does not exist"
    SKIPPED = "was skipped"
    NOT_SKIPPED = "was not skipped"


STATE_OPERATORS = (Operator.EXISTS, Operator.MISSING, Operator.SKIPPED, Operator.NOT_SKIPPED)

TEXT_OPERATORS = (
    Operator.IS,
    Operator.IS_NOT,
    Operator.ONE_OF,
    Operator.CONTAINS,
    Operator.STARTS_WITH,
    Operator.ENDS_WITH,
    Operator.MATCHES_NONE,
)
NUMBER_OPERATORS = (
    Operator.EQUAL,
    Operator.UNEQUAL,
    Operator.LESS,
    Operator.AT_MOST,
    Operator.GREATER,
    Operator.AT_LEAST,
    Operator.BETWEEN,
)
TIME_OPERATORS = (
    Operator.ON,
    Operator.BEFORE,
    Operator.AFTER,
    Operator.BETWEEN,
    Operator.IN_THE_LAST,
    Operator.IN_THE_NEXT,
    Operator.ANNIVERSARY,
)


class Invalid(ValueError):
    """A value that a type does not take; the text goes on after the key: `takes a whole number`.

    It never repeats the value, which may be personal, endless or hostile.
    """


@dataclass(frozen=True)
class Choice:
    """One value that can be picked, with what it is shown as."""

    value: str
    label: str
    retired: bool = False


@dataclass(frozen=True)
class Rendered:
    """A value for the eye: `text`, or `tags` in its place; `title` says it exactly, `url` leads there."""

    text: str
    tags: tuple[str, ...] = ()
    title: str = ""
    url: str = ""


class Options(BaseModel):
    """What a definition of some type can be told, such as a smallest value.

    The panel makes the form from the fields: `title` labels, `description` helps.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class PropertyType:
    """One kind of value; an instance serves one definition, with its `options`.

    `filterable` says whether the definition has a column of its own, whose index takes no endless text.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    icon: ClassVar[str]
    """A name of the panel's icons."""
    storage: ClassVar[Storage]
    editor: Editor
    """An instance may have another than its class, where the options ask for it."""
    operators: ClassVar[tuple[Operator, ...]] = ()
    """Empty for a type that no condition can ask of; a property of it is not filterable."""
    indexed: ClassVar[bool] = True
    """Whether an index over the column helps its operators."""
    Options: ClassVar[type[Options]] = Options

    def __init__(self, options: Any, *, filterable: bool) -> None:
        self.options = options
        self.filterable = filterable

    def parse(self, given: Any) -> Any:
        """Return `given` in normal form; raises Invalid.

        Takes JSON from bot and API as well as the text that people type: `"42"` is a whole number. What it
        returned once, it takes again and returns unchanged. Never returns None.
        """
        raise NotImplementedError

    def take(self, given: Any) -> Any:
        """Return what `parse` does, which types have in its place; raises Invalid, whatever that raises.

        A bot's turn and a page must not end because a plugin's type fails.
        """
        try:
            return self.parse(given)
        except Invalid:
            raise
        except Exception as error:  # whatever a third party's type does
            log.exception("the type %s failed", self.name)
            raise Invalid(
                f"was not taken: its type `{self.name}` failed. Tell an admin; the reason is in the log"
            ) from error

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Return a value in normal form for a reader in `zone`."""
        return Rendered(str(value))

    def typed(self, value: Any) -> str:
        """Return a value in normal form as one would type it into the editor."""
        return str(value)

    def masked(self, value: Any) -> str:
        """Return what is left of a value for those who may not see it in clear."""
        return "••••"

    def choices(self) -> Sequence[Choice]:
        """Return what can be picked, for a type with choices."""
        return ()

    def dropped(self, before: "PropertyType") -> Sequence[Choice]:
        """Return the choices of `before`, of the same type, that this takes no more; who has one keeps it."""
        return ()

    def unit(self) -> str:
        """Return what stands after the number in the editor, such as `kg`; often empty."""
        return str(getattr(self.options, "unit", ""))

    def summary(self) -> str:
        """Return the options in a few words, such as `0–10`, to follow the type's label; often empty."""
        return ""
