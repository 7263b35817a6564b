"""`{{key}}` in a text, filled from everything that is known of a user (P8).

A text is filled once, in words as the user would read them: what a value contains is never filled again.
Nothing is sent here; what is filled goes through `core.outbound` like any other text.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo

from core import names
from core.catalogue import Definition, Writer, catalogue
from core.context import parley
from core.property_type import Editor, Storage
from core.text import clean
from core.values import UNSET, Value

LONGEST = 100_000
"""How many characters a filled text has at most, in any channel."""
_BRACED = re.compile(r"\{\{([^{}\n]{1,120})\}\}")
# What else stands in double braces, such as a formula, is text like any other.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]*")
_FIRST_NAME = "first_name"
_WRITTEN = frozenset({Editor.LINE, Editor.PARAGRAPH, Editor.EMAIL, Editor.URL})
_MOST_PROBLEMS = 3
_WORDS: Mapping[str, Callable[[str], str]] = {
    "country": names.country,
    "language": names.language,
    "last_channel": lambda name: _channel(name),
    "handler": str.capitalize,
}
"""Properties of Parley's own whose values are codes, which nobody would say to a user."""


class NotFillable(ValueError):
    """A placeholder that stands for nothing, or for what its author may not see; the text is a sentence."""


@dataclass(frozen=True)
class Filling:
    """What one placeholder stands for; `text` is None where the user has no value.

    `source` is the label of the property that the value comes from.
    """

    key: str
    label: str
    help: str
    source: str
    text: str | None


@dataclass(frozen=True)
class Piece:
    """A part of a filled text, and the placeholder that it took the place of, where there was one."""

    text: str
    filling: Filling | None = None


@dataclass(frozen=True)
class Filled:
    """A text with its placeholders filled; one in `missing` still stands there as it was written."""

    pieces: tuple[Piece, ...]
    missing: tuple[Filling, ...]

    @property
    def text(self) -> str:
        """Return the whole text."""
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class _Source:
    key: str
    label: str
    help: str
    definition: Definition
    first_word: bool = False


@dataclass(frozen=True)
class Known:
    """What texts to one user can be filled with: `values` as `core.values.everything` returns them.

    `author` gets nothing that they may not see. `zone` is the user's; None where it is not known.
    """

    values: Mapping[str, Value]
    author: Writer
    zone: tzinfo | None = None

    def fill(self, text: str, given: Mapping[str, str] | None = None) -> Filled:
        """Fill every `{{key}}` of `text`; `given` are values for this text alone, by key.

        Raises NotFillable, which names every placeholder that cannot be filled, and says why.
        """
        given = given or {}
        pieces: list[Piece] = []
        fillings: dict[str, Filling] = {}
        problems: dict[str, str] = {}
        end = length = 0
        for found in _BRACED.finditer(text):
            name = found[1].strip()
            if not _NAME.fullmatch(name):
                continue
            try:
                filling = fillings.get(name) or self.find(name)
            except NotFillable as problem:
                problems[name] = str(problem)
                if len(problems) == _MOST_PROBLEMS:
                    break
                continue
            fillings[name] = filling
            value = clean(given.get(filling.key, "")).strip() or filling.text
            pieces += Piece(text[end : found.start()]), Piece(found[0] if value is None else value, filling)
            length += sum(len(piece.text) for piece in pieces[-2:])
            end = found.end()
            if length > LONGEST:
                raise NotFillable(f"The filled text has more than {LONGEST:,} characters. Shorten it.")
        if problems:
            raise NotFillable(" ".join(problems.values()))
        pieces.append(Piece(text[end:]))
        missing = {
            piece.filling.key: piece.filling
            for piece in pieces
            if piece.filling and piece.filling.text is None and not given.get(piece.filling.key, "").strip()
        }
        return Filled(tuple(piece for piece in pieces if piece.text), tuple(missing.values()))

    def find(self, name: str) -> Filling:
        """Return what `{{name}}` stands for; raises NotFillable."""
        key = name.lower()
        definition = catalogue().by_key.get(key)
        source = _of(definition) if definition else _courtesy() if key == _FIRST_NAME else None
        if source is None:
            raise NotFillable(f"`{name}` is not a property. {self._way_out(key)}")
        if source.definition.archived is not None:
            raise NotFillable(f"`{key}` is archived, so it cannot be filled in. Take it out of the text.")
        if not self._sees(source):
            raise NotFillable(f"`{key}` is not shown to your role, so you cannot send it.")
        return self._filling(source)

    def suggestions(self, starts: str, most: int) -> tuple[list[Filling], int]:
        """Return what can be filled in and is called `starts...`, and how many there are; best first.

        What begins so comes before what has a word that begins so, and that before what contains it.
        """
        wanted = " ".join(starts.lower().split())
        ranked = [(_rank(one, wanted), one) for one in _sources() if self._sees(one)]
        found = sorted((pair for pair in ranked if pair[0] is not None), key=lambda pair: pair[0] or 0)
        return [self._filling(one) for _, one in found[:most]], len(found)

    def _filling(self, one: _Source) -> Filling:
        value = self.values.get(one.definition.key, UNSET)
        text = _said(one.definition, value, self.zone) if value.is_set else ""
        if one.first_word:
            text = (text.split() or [""])[0]
        return Filling(one.key, one.label, one.help, one.definition.label, text or None)

    def _sees(self, one: _Source) -> bool:
        return self.author.sees_personal or not one.definition.personal

    def _way_out(self, key: str) -> str:
        known = [one.key for one in _sources() if self._sees(one)]
        near = difflib.get_close_matches(re.sub("[^a-z0-9]+", "_", key), known, n=1)
        return f"Did you mean `{near[0]}`?" if near else "Write it out, or choose one from the list."


def _sources() -> Iterator[_Source]:
    """Yield what there is to fill in."""
    courtesy = _courtesy()
    if courtesy is not None and _FIRST_NAME not in catalogue().by_key:
        yield courtesy
    yield from map(_of, catalogue().active)


def _of(definition: Definition) -> _Source:
    return _Source(definition.key, definition.label, definition.help, definition)


def _courtesy() -> _Source | None:
    """Return the first name, which no property has to hold; one that an admin defined takes its place."""
    name = catalogue().by_key.get("name")
    return _Source(_FIRST_NAME, "First name", "The first word of the name.", name, True) if name else None


def _rank(one: _Source, wanted: str) -> int | None:
    label, key = one.label.lower(), one.key
    as_key = wanted.replace(" ", "_")
    if key.startswith(as_key) or label.startswith(wanted):
        return 0
    if f"_{as_key}" in key or f" {wanted}" in label:
        return 1
    return 2 if as_key in key or wanted in label else None


def _channel(name: str) -> str:
    """Return how a channel is called; one whose plugin is gone goes by its name."""
    declared = parley().manager.channels.get(name)
    return declared.label if declared else name


def _said(definition: Definition, value: Value, zone: tzinfo | None) -> str:
    """Return a value in words; a list shortens what a message has in full, and a moment needs its zone."""
    kind = definition.type
    if definition.declared is not None and definition.key in _WORDS:
        return _WORDS[definition.key](str(value.value))
    if isinstance(value.value, str) and kind.editor in _WRITTEN:
        return value.value
    text = kind.render(value.value, zone or UTC).text
    return f"{text} UTC" if zone is None and kind.storage is Storage.MOMENT else text
