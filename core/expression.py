"""How numbered conditions are joined: `1 AND (2 OR 3)`, `NOT 4` (A4).

    or   := and (OR and)*
    and  := not (AND not)*
    not  := NOT* (number | "(" or ")")

Words in any case; AND binds tighter than OR. The only reader of this language: pages send the text.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

LONGEST = 2_000
DEEPEST = 30
_TOKEN = re.compile(r"\s*(?:([0-9]+)|([A-Za-z]+)|(.))", re.DOTALL)
_WORDS = ("AND", "OR", "NOT")


class BadExpression(ValueError):
    """An expression that cannot be read; the sentence names the place, `at` counts characters from 0."""

    def __init__(self, sentence: str, at: int) -> None:
        super().__init__(sentence)
        self.at = at


@dataclass(frozen=True)
class Number:
    """A condition, by its number."""

    number: int


@dataclass(frozen=True)
class Not:
    """What holds where its part does not."""

    part: "Node"


@dataclass(frozen=True)
class Joined:
    """What holds where all of its parts do (`AND`), or any (`OR`); two parts or more."""

    word: str
    parts: tuple["Node", ...]


Node = Number | Not | Joined


def read(text: str, numbers: Collection[int]) -> Node:
    """Read an expression over the conditions that there are; raises BadExpression."""
    if len(text) > LONGEST:
        raise BadExpression(f"The expression has {len(text):,} characters; {LONGEST:,} are read.", LONGEST)
    return _Reader(text, numbers).whole()


def all_of(numbers: Collection[int]) -> Node | None:
    """Return the expression under which every condition holds; None without any."""
    return _joined("AND", tuple(Number(one) for one in numbers))


def any_of(numbers: Collection[int]) -> Node | None:
    """Return the expression under which one condition suffices; None without any."""
    return _joined("OR", tuple(Number(one) for one in numbers))


def written(node: Node) -> str:
    """Return an expression as one writes it, with no more parentheses than it needs."""
    match node:
        case Number():
            return str(node.number)
        case Not():
            inner = written(node.part)
            return f"NOT ({inner})" if isinstance(node.part, Joined) else f"NOT {inner}"
        case Joined():
            return f" {node.word} ".join(
                f"({written(one)})"
                if isinstance(one, Joined) and (node.word == "AND" or one.word == "OR")
                else written(one)
                for one in node.parts
            )


def said(node: Node, words: Mapping[int, str]) -> str:
    """Return the full reading: every condition in words, every join in parentheses."""
    match node:
        case Number():
            return words[node.number]
        case Not():
            return f"not ({said(node.part, words)})"
        case Joined():
            return f" {node.word} ".join(
                f"({said(one, words)})" if isinstance(one, Joined) else said(one, words) for one in node.parts
            )


def without(node: Node, number: int) -> Node | None:
    """Return the expression without a condition: the later ones move up. None when nothing is left."""
    match node:
        case Number():
            if node.number == number:
                return None
            return Number(node.number - 1) if node.number > number else node
        case Not():
            part = without(node.part, number)
            return None if part is None else Not(part)
        case Joined():
            return _joined(node.word, tuple(one for part in node.parts if (one := without(part, number))))


def also(node: Node, number: int) -> Node:
    """Return the expression with one more condition, which must hold as well."""
    return _joined("AND", (node, Number(number))) or node


def groups(node: Node) -> list[Node]:
    """Return the joined parts inside an expression, outermost first, each once; not the whole of it."""
    match node:
        case Number():
            return []
        case Not():
            inner = [node.part] if isinstance(node.part, Joined) else []
            return [*inner, *groups(node.part)]
        case Joined():
            inner = [one for one in node.parts if isinstance(one, Joined)]
            return list(dict.fromkeys([*inner, *(deeper for one in node.parts for deeper in groups(one))]))


def holds(node: Node, truth: Mapping[int, bool]) -> bool:
    """Say whether an expression holds, given which conditions do."""
    match node:
        case Number():
            return truth[node.number]
        case Not():
            return not holds(node.part, truth)
        case Joined():
            decide: Callable[..., bool] = all if node.word == "AND" else any
            return decide(holds(one, truth) for one in node.parts)


def deciding(node: Node, truth: Mapping[int, bool]) -> list[int]:
    """Return the conditions each of which, were it otherwise, would turn the result round."""
    now = holds(node, truth)
    return [one for one in truth if holds(node, {**truth, one: not truth[one]}) is not now]


def numbers_in(node: Node) -> frozenset[int]:
    """Return the conditions that an expression uses."""
    match node:
        case Number():
            return frozenset({node.number})
        case Not():
            return numbers_in(node.part)
        case Joined():
            return frozenset().union(*(numbers_in(one) for one in node.parts))


def _joined(word: str, parts: tuple[Node, ...]) -> Node | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    flat = [
        inner
        for one in parts
        for inner in (one.parts if isinstance(one, Joined) and one.word == word else (one,))
    ]
    return Joined(word, tuple(flat))


@dataclass(frozen=True)
class _Token:
    kind: str  # "number", a word of the language, "(", ")", "end", or "" for what is none of them
    text: str
    at: int


class _Reader:
    """Reads by recursive descent, no deeper than DEEPEST."""

    def __init__(self, text: str, numbers: Collection[int]) -> None:
        self._numbers = numbers
        self._tokens = list(_tokens(text))
        self._next = 0
        self._before = ""

    def whole(self) -> Node:
        node = self._or(0)
        token = self._peek()
        if token.kind == ")":
            raise self._bad(token, "there is a ) too many")
        if token.kind != "end":
            raise self._bad(token, "expected AND or OR")
        return node

    def _or(self, depth: int) -> Node:
        return self._chain("OR", self._and, depth)

    def _and(self, depth: int) -> Node:
        return self._chain("AND", self._not, depth)

    def _chain(self, word: str, part: Callable[[int], Node], depth: int) -> Node:
        parts = [part(depth)]
        while self._peek().kind == word:
            self._take()
            parts.append(part(depth))
        return _joined(word, tuple(parts)) or parts[0]

    def _not(self, depth: int) -> Node:
        token = self._peek()
        if depth > DEEPEST:
            raise BadExpression(
                f"Conditions are nested at most {DEEPEST} deep; at character {token.at + 1} it is more.",
                token.at,
            )
        if token.kind == "NOT":
            self._take()
            return Not(self._not(depth + 1))
        if token.kind == "(":
            self._take()
            node = self._or(depth + 1)
            closing = self._peek()
            if closing.kind != ")":
                raise self._bad(closing, f"the ( at character {token.at + 1} is not closed")
            self._take()
            return node
        if token.kind == "number":
            return self._number(self._take())
        raise self._bad(token, "expected a number or (")

    def _number(self, token: _Token) -> Node:
        # Endless digits are no number of a condition, and slow to read.
        number = int(token.text) if len(token.text) < 6 else -1
        if number not in self._numbers:
            there = f"there are 1 to {max(self._numbers)}" if self._numbers else "there are none yet"
            shown = token.text if len(token.text) < 6 else f"{token.text[:5]}…"
            raise BadExpression(
                f"There is no condition {shown}, at character {token.at + 1}: {there}.", token.at
            )
        return Number(number)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._before = token.text
        self._next += 1
        return token

    def _bad(self, token: _Token, what: str) -> BadExpression:
        after = f" after {self._before}" if self._before and what.startswith("expected") else ""
        where = "at the end" if token.kind == "end" else f"at character {token.at + 1}"
        return BadExpression(f"{what[0].upper()}{what[1:]}{after}, {where}.", token.at)


def _tokens(text: str) -> list[_Token]:
    found = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            break  # nothing but space is left
        number, word, other = match.groups()
        at = match.start(match.lastindex or 0)
        if number:
            found.append(_Token("number", number, at))
        elif word:
            found.append(_Token(word.upper() if word.upper() in _WORDS else "", word.upper(), at))
        elif not other.isspace():
            found.append(_Token(other if other in "()" else "", other, at))
        place = match.end()
    return [*found, _Token("end", "", len(text))]
