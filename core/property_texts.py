"""Read definitions out of a text: Parley's own file, a bot's plain list, or the slots of a Rasa domain.

Nothing here looks at what is defined; `core.property_files` makes a plan of what was read.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from core.catalogue import BOT, tells_consent
from core.definitions import EDITORS, Draft
from core.models import Source
from core.text import clean, snippet

LARGEST = 1_000_000
MOST_ENTRIES = 2_000
_MOST_NODES = 200_000

_FIELDS = frozenset(Draft.model_fields)
_NAMES = {
    "name": "key",
    "title": "label",
    "description": "help",
    "initial_value": "default",
    "initial": "default",
}
"""What others call the fields of a definition."""
_TYPES = {
    "string": "text",
    "str": "text",
    "int": "integer",
    "number": "decimal",
    "float": "decimal",
    "double": "decimal",
    "bool": "boolean",
    "timestamp": "datetime",
    "enum": "choice",
    "categorical": "choice",
    "list": "choices",
    "array": "choices",
    "dict": "object",
    "json": "object",
    "any": "object",
}
"""What others call the types; the slots of Rasa are among them (rasa.com/docs, “Domain: slots”)."""
_CHOICES = ("choices", "values", "enum")
_IGNORED_SLOTS = ("requested_slot",)
"""Rasa's own bookkeeping of a form."""


class Unreadable(ValueError):
    """A text that holds no definitions; says why. Nothing was changed."""


@dataclass(frozen=True)
class Entry:
    """What a text says of one property: the fields that it gives, and those it leaves to a new one."""

    key: str
    given: Mapping[str, Any]
    assumed: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class Definitions:
    """What a text says: of which properties what, what is pinned in which order, and what was passed over."""

    entries: Sequence[Entry]
    pinned: Sequence[str] | None = None
    remarks: Sequence[str] = ()


def read(text: str | bytes) -> Definitions:
    """Return what a JSON or YAML text defines; raises Unreadable, with a sentence."""
    if len(text) > LARGEST:
        raise Unreadable(f"The file is larger than {LARGEST // 1_000_000} MB. Nothing was read.")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Unreadable("The file is not text in UTF-8. Nothing was read.") from None
    found = _parsed(text.removeprefix("\ufeff"))
    if isinstance(found, dict) and isinstance(found.get("slots"), dict):
        return _of_rasa(found["slots"])
    pinned, own = None, False
    if isinstance(found, dict) and "properties" in found:
        pinned, found, own = found.get("pinned"), found["properties"], True
    if not isinstance(found, list):
        raise Unreadable(
            "The file defines no properties. It has to be a list of definitions, what "
            "`parley property export` writes, or a Rasa domain with slots."
        )
    if pinned is not None and not (isinstance(pinned, list) and all(isinstance(one, str) for one in pinned)):
        raise Unreadable("`pinned` has to be a list of keys. Nothing was read.")
    return _of_list(found, pinned, own=own)


def _of_list(found: list[Any], pinned: list[str] | None, *, own: bool) -> Definitions:
    _few_enough(found)
    remarks: list[str] = []
    entries = []
    for number, one in enumerate(found, 1):
        if not isinstance(one, dict):
            raise Unreadable(f"Entry {number} of the list is no definition. Nothing was read.")
        entries.append(_entry(number, one, remarks, own=own))
    return Definitions(entries, pinned, remarks)


def _entry(number: int, one: Mapping[Any, Any], remarks: list[str], *, own: bool) -> Entry:
    fields = {_NAMES.get(str(name), str(name)): value for name, value in one.items()}
    key = fields.pop("key", None)
    if not isinstance(key, str):
        raise Unreadable(f"Entry {number} of the list has no `key`. Nothing was read.")
    options = fields.pop("options", None)
    if options is not None and not isinstance(options, dict):
        return Entry(_key(key), {}, problem=f"`{_key(key)}`: the options have to be named.")
    given: dict[str, Any] = {}
    for name, value in fields.items():
        if name in _FIELDS:
            given[name] = value
        elif name in _CHOICES:
            options = {**(options or {}), "choices": value}
        elif not own:
            remarks.append(f"“{snippet(clean(name), 40)}” of `{_key(key)}` was passed over.")
        else:
            return Entry(_key(key), {}, problem=f"`{_key(key)}` has no field “{snippet(clean(name), 40)}”.")
    if isinstance(given.get("type"), str):
        given["type"] = _type(given["type"], own=own)
    elif "type" not in given and options and "choices" in options:
        given["type"] = "choice"
    assumed: dict[str, Any] = {"label": _label(key)}
    if not own:
        assumed |= _of_bot(key)
    if options is not None:
        given["options"] = options
    elif given.get("type") == "choices":
        assumed["options"] = {"choices": [], "allow_other": True}
    return Entry(_key(key), given, assumed)


def _of_rasa(slots: Mapping[Any, Any]) -> Definitions:
    _few_enough(slots)
    entries = []
    for name, slot in slots.items():
        key = _key(str(name))
        if key in _IGNORED_SLOTS:
            continue
        if not isinstance(slot, dict) or not isinstance(slot.get("type"), str):
            entries.append(Entry(key, {}, problem=f"`{key}` has no type that can be read."))
            continue
        entries.append(_slot(key, slot))
    return Definitions(entries)


def _slot(key: str, slot: Mapping[str, Any]) -> Entry:
    kind = slot["type"]
    if kind not in ("text", "bool", "float", "list", "categorical", "any"):
        return Entry(
            key,
            {},
            problem=f"`{key}` has a type of its own, “{snippet(clean(kind), 60)}”. Define it by hand.",
        )
    given: dict[str, Any] = {"type": _type(kind, own=False)}
    assumed: dict[str, Any] = {"label": _label(key), **_of_bot(key)}
    limits = {name: slot.get(f"{name}_value") for name in ("min", "max")}
    limits = {name: value for name, value in limits.items() if value is not None}
    if kind == "categorical":
        values = slot.get("values")
        if not isinstance(values, list):
            return Entry(key, {}, problem=f"`{key}` lists no values to choose from.")
        words = [_word(one) for one in values if one is not None]
        given["options"] = {"choices": list(dict.fromkeys(words))}
    elif kind == "float" and limits:
        given["options"] = limits
    elif kind == "list":
        assumed["options"] = {"choices": [], "allow_other": True}
    if slot.get("initial_value") is not None:
        value = slot["initial_value"]
        given["default"] = _word(value) if kind == "categorical" else value
    return Entry(key, given, assumed)


def _word(value: Any) -> Any:
    """Return a value of a slot as the bot sends it, which is text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _of_bot(key: str) -> dict[str, Any]:
    people = Draft.model_fields["editable_by"].default
    editors = people if tells_consent(key) else (*people, BOT)
    return {"source": Source.BOT, "editable_by": [one for one in EDITORS if one in editors]}


def _type(name: str, *, own: bool) -> str:
    return name if own else _TYPES.get(name.lower(), name)


def _label(key: str) -> str:
    return snippet(clean(key).replace("_", " "), 80).capitalize()


def _key(key: str) -> str:
    return snippet(clean(key), 64)


def _few_enough(found: Any) -> None:
    if len(found) > MOST_ENTRIES:
        raise Unreadable(f"The file defines more than {MOST_ENTRIES:,} properties. Nothing was read.")


# ── JSON and YAML ─────────────────────────────────────────────────────────────────────────────────────────


_BREAKS = re.compile("[\x85\u2028\u2029]")


def _resolve(loader: Any, tag: str, pattern: str, first: Iterable[str]) -> None:
    loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


class Loader(yaml.SafeLoader):
    """YAML 1.2's words and numbers, and nothing that could run code."""

    yaml_implicit_resolvers = {}


class Dumper(yaml.SafeDumper):
    """Put in quotes whatever any reader of YAML takes for something else than text."""

    yaml_implicit_resolvers = {
        key: list(found) for key, found in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out: `read` takes few aliases."""
        return True


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    """Escape line breaks that other styles write as they are, and a reader then takes for a space."""
    style = '"' if _BREAKS.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


Dumper.add_representer(str, _quoted)

for _one in (Loader, Dumper):
    _resolve(_one, "bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
    _resolve(_one, "null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""])
    _resolve(_one, "int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789")
    _resolve(
        _one,
        "float",
        r"^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$",
        "-+0123456789.",
    )
    _resolve(_one, "merge", r"^<<$", "<")


def _parsed(text: str) -> Any:
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(text, parse_constant=_no_number)
        except RecursionError:
            raise Unreadable("The file is nested too deeply. Nothing was read.") from None
        except Unreadable:
            raise
        except ValueError:
            pass  # YAML may begin like that as well
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise Unreadable("The file is empty.")
        _expanded(node, {})
        return loader.construct_document(node)
    except RecursionError:
        raise Unreadable("The file is nested too deeply. Nothing was read.") from None
    except yaml.MarkedYAMLError as error:
        where = f" at line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = f": {snippet(clean(error.problem), 100)}" if error.problem else ""
        raise Unreadable(f"The file is neither JSON nor YAML{where}{problem}. Nothing was read.") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("The file is neither JSON nor YAML. Nothing was read.") from None
    finally:
        loader.dispose()


def _no_number(name: str) -> Any:
    raise Unreadable(f"{name} is no number that can be kept. Nothing was read.")


def _expanded(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many nodes this is with its aliases written out; raises Unreadable where that is endless."""
    if id(node) in known:
        if not known[id(node)]:
            raise Unreadable("The file contains itself. Nothing was read.")
        return known[id(node)]
    known[id(node)] = 0  # not counted yet
    total = 1
    if isinstance(node, yaml.SequenceNode):
        total += sum(_expanded(one, known) for one in node.value)
    elif isinstance(node, yaml.MappingNode):
        total += sum(_expanded(one, known) for pair in node.value for one in pair)
    if total > _MOST_NODES:
        raise Unreadable("The file says too much by its aliases. Nothing was read.")
    known[id(node)] = total
    return total
