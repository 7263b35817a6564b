"""One or several of the words that a definition lists."""

import json
from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from core.property_type import (
    Choice,
    Editor,
    Invalid,
    Operator,
    Options,
    PropertyType,
    Rendered,
    Storage,
)
from core.text import clean, snippet
from core.types.texts import one_line, text_of

MOST_CHOICES = 200
MOST_VALUES = 50
LONGEST = 100
_LONGEST_TYPED = 20_000
_NAMED = 8


class Listed(BaseModel):
    """One choice of a definition; a retired one is offered to nobody, and stays where it is a value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: str = Field(title="Value")
    label: str = Field("", title="Shown as", description="The value itself, when left empty.")
    retired: bool = Field(False, title="Retired")

    @field_validator("value", "label")
    @classmethod
    def _one_line(cls, text: str) -> str:
        text = one_line(clean(text))
        if len(text) > LONGEST:
            raise ValueError(f"a choice has at most {LONGEST} characters")
        return text

    @field_validator("value")
    @classmethod
    def _there(cls, text: str) -> str:
        if not text:
            raise ValueError("a choice has a value")
        return text


class ChoiceOptions(Options):
    """What can be chosen. A choice may be given as its value alone."""

    choices: tuple[Listed, ...] = Field((), max_length=MOST_CHOICES, title="Choices")
    allow_other: bool = Field(False, title="Allow other values")

    @field_validator("choices", mode="before")
    @classmethod
    def _values_alone(cls, given: Any) -> Any:
        if isinstance(given, list | tuple):
            return [{"value": one} if isinstance(one, str) else one for one in given]
        return given

    @field_validator("choices")
    @classmethod
    def _differ(cls, choices: tuple[Listed, ...]) -> tuple[Listed, ...]:
        seen: set[str] = set()
        for one in choices:
            if one.value in seen:
                raise ValueError(f"“{one.value}” is used twice; each value must be different")
            seen.add(one.value)
        return choices

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.choices and not self.allow_other:
            raise ValueError("there is nothing to choose; add a choice, or allow other values")
        return self


class _Choosing(PropertyType):
    Options = ChoiceOptions
    options: ChoiceOptions

    def __init__(self, options: ChoiceOptions, *, filterable: bool) -> None:
        super().__init__(options, filterable=filterable)
        self._choices = [Choice(one.value, one.label or one.value, one.retired) for one in options.choices]
        self._labels = {one.value: one.label for one in self._choices}
        self._ranks = {one.value: rank for rank, one in enumerate(self._choices)}
        self._meant = self._words()

    def _words(self) -> dict[str, str]:
        """Return which value a value or label in any case stands for; words that could mean two are left out.

        What a retired choice was called can be the word for one that took its place.
        """
        found: dict[str, str] = {}
        for retired in (True, False):
            meant: dict[str, set[str]] = {}
            for one in self._choices:
                if one.retired is retired:
                    for word in (one.value, one.label):
                        meant.setdefault(word.casefold(), set()).add(one.value)
            for word, values in meant.items():
                found.pop(word, None)
                if len(values) == 1:
                    found[word] = values.pop()
        return found

    def _one(self, given: Any) -> str:
        text = text_of(given)
        if text is None:
            raise Invalid(self._takes())
        text = one_line(text)
        if text in self._ranks:
            return text
        meant = self._meant.get(text.casefold())
        if meant is not None:
            return meant
        if not self.options.allow_other or not text:
            raise Invalid(self._takes())
        if len(text) > LONGEST:
            raise Invalid(f"takes at most {LONGEST} characters")
        return text

    def _takes(self) -> str:
        offered = [snippet(one.value, 40) for one in self._choices if not one.retired]
        if self.options.allow_other:
            return "takes a word or a few"
        if not offered:
            return "takes no new value: all choices are retired"
        more = f" and {len(offered) - _NAMED} more" if len(offered) > _NAMED else ""
        return f"takes {self._how_many}: {', '.join(offered[:_NAMED])}{more}"

    _how_many = "one of"

    def choices(self) -> Sequence[Choice]:
        """Return all choices in the order of the definition, retired ones too."""
        return self._choices

    def dropped(self, before: PropertyType) -> Sequence[Choice]:
        """Return those of `before` that are listed no more, unless other values are allowed."""
        if self.options.allow_other:
            return ()
        return [one for one in before.choices() if one.value not in self._ranks]

    def label_of(self, value: str) -> str:
        """Return what a value is shown as."""
        return self._labels.get(value, value)

    def summary(self) -> str:
        """Return how many choices are offered."""
        offered = sum(not one.retired for one in self._choices)
        return str(offered) if offered else ""


class OneChoice(_Choosing):
    """One of the listed words, or another where the definition allows it."""

    name = "choice"
    label = "Choice"
    icon = "t_choice"
    storage = Storage.TEXT
    editor = Editor.CHOICE
    operators = (Operator.IS, Operator.IS_NOT, Operator.ONE_OF, Operator.MATCHES_NONE)

    def parse(self, given: Any) -> str:
        """Take a value, or a value or label in any case."""
        return self._one(given)

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Return the label."""
        label = self.label_of(value)
        return Rendered(label, title=value if value != label else "")


class ManyChoices(_Choosing):
    """Several of the listed words, each once: listed ones in the definition's order, others after them."""

    name = "choices"
    label = "Multiple choice"
    icon = "t_multi"
    storage = Storage.JSON
    editor = Editor.CHOICES
    operators = (Operator.HAS_ANY, Operator.HAS_ALL, Operator.HAS_NONE)
    indexed = False
    _how_many = "any of"

    def parse(self, given: Any) -> list[str]:
        """Take a list, or text with a comma between the words, or a list as JSON text."""
        found = {self._one(one) for one in self._parts(given)}
        if not found:
            raise Invalid(self._takes())
        if len(found) > MOST_VALUES:
            raise Invalid(f"takes at most {MOST_VALUES} values")
        last = len(self._ranks)
        return sorted(found, key=lambda one: (self._ranks.get(one, last), one.casefold(), one))

    def _parts(self, given: Any) -> Sequence[Any]:
        if isinstance(given, list | tuple):
            if len(given) > MOST_CHOICES:
                raise Invalid(f"takes at most {MOST_VALUES} values")
            return given
        text = text_of(given)
        if text is None:
            raise Invalid(self._takes())
        if len(text) > _LONGEST_TYPED:
            raise Invalid(f"takes at most {MOST_VALUES} values")
        if text.lstrip().startswith("["):
            try:
                listed = json.loads(text)
            except (ValueError, RecursionError):
                listed = None
            if isinstance(listed, list):
                return self._parts(listed)
        whole = one_line(text)
        if whole in self._ranks or whole.casefold() in self._meant:
            return [whole]  # a choice may have a comma in it
        return [part for part in whole.split(",") if part.strip()]

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Return the labels as tags."""
        labels = tuple(self.label_of(one) for one in value)
        return Rendered(", ".join(labels), tags=labels)

    def typed(self, value: Any) -> str:
        """Return the values with commas between them, or as JSON where that would say something else."""
        text = ", ".join(value)
        try:
            same = self.parse(text) == value
        except Invalid:
            same = False
        return text if same else json.dumps(value, ensure_ascii=False)
