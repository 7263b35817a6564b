"""The form of a property type's options, made from the fields that its model declares.

What stands in such a form is `Typed`: texts as they were typed, switches as they stand, and rows where a
field is a list of models. It is kept whatever is wrong with it; `given` makes of it what the model takes.
"""

import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from werkzeug.datastructures import MultiDict

Typed = dict[str, Any]
ROW = "_row"
"""What the form calls a row, for as long as it is open."""
_ROW_NAME = re.compile(r"[A-Za-z0-9]{1,12}", re.ASCII)
_MOST_ROWS = 500
_LISTS = (list, tuple, set, frozenset, Sequence, Iterable)


@dataclass(frozen=True)
class OptionField:
    """One field of the form: line, number, whole, date, switch, pick, lines, or rows with `columns`."""

    name: str
    label: str
    help: str
    kind: str
    required: bool
    picks: tuple[tuple[str, str], ...] = ()
    columns: tuple["OptionField", ...] = field(default=())


def fields_of(model: type[BaseModel]) -> list[OptionField]:
    """Return the fields that a model declares, in its order."""
    return [_field(name, declared) for name, declared in model.model_fields.items()]


def typed_of(model: type[BaseModel], options: Mapping[str, Any]) -> Typed:
    """Return how options stand in the form; what they leave out stands as the model's default."""
    return {
        one.name: _typed(one, options.get(one.name, _default(model, one.name))) for one in fields_of(model)
    }


def read(model: type[BaseModel], form: MultiDict[str, str], prefix: str) -> Typed:
    """Return what was typed into the fields called `prefix.name`; rows stand in the order of the page."""
    return {one.name: _read(one, form, f"{prefix}.{one.name}") for one in fields_of(model)}


def given(model: type[BaseModel], typed: Typed) -> dict[str, Any]:
    """Return what the model is to take: fields and rows in which nothing was typed are left out."""
    found: dict[str, Any] = {}
    for one in fields_of(model):
        value = typed[one.name]
        if one.kind == "rows":
            found[one.name] = [_row_given(one, row) for row in value if not is_blank(one, row)]
        elif one.kind == "lines":
            found[one.name] = [line.strip() for line in value.splitlines() if line.strip()]
        elif value not in ("", False) or (one.kind == "switch" and _default(model, one.name)):
            found[one.name] = value
    return {name: value for name, value in found.items() if value != []}


def problems_of(model: type[BaseModel], typed: Typed) -> dict[str, str]:
    """Return for fields in which something else than a number or a date stands what is asked for."""
    asked: dict[str, tuple[Callable[[str], Any], str]] = {
        "whole": (int, "Type a whole number."),
        "number": (Decimal, "Type a number."),
        "date": (date.fromisoformat, "Type a date, such as 2026-11-24."),
    }
    found = {}
    for one in fields_of(model):
        if one.kind in asked and typed[one.name]:
            reads, sentence = asked[one.kind]
            try:
                reads(typed[one.name])
            except (ValueError, ArithmeticError):
                found[one.name] = sentence
    return found


def is_blank(field_: OptionField, row: Mapping[str, Any]) -> bool:
    """Say whether nothing was typed into a row."""
    return not any(row[column.name] for column in field_.columns)


def blank_row(field_: OptionField, name: str) -> Typed:
    """Return an empty row."""
    return {ROW: name, **{column.name: False if column.kind == "switch" else "" for column in field_.columns}}


def _field(name: str, declared: FieldInfo) -> OptionField:
    kind, inner = _kind(declared.annotation)
    return OptionField(
        name=name,
        label=declared.title or name.replace("_", " ").capitalize(),
        help=declared.description or "",
        kind=kind,
        required=declared.is_required(),
        picks=_picks(inner) if kind == "pick" else (),
        columns=tuple(fields_of(inner)) if kind == "rows" else (),
    )


def _kind(annotation: Any) -> tuple[str, Any]:
    """Return how a type is typed in, and what it is without `None` and without its list."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        [first, *_] = [one for one in get_args(annotation) if one is not type(None)]
        return _kind(first)
    if origin is Literal:
        return "pick", annotation
    if origin in _LISTS or annotation in _LISTS:
        inner = next(iter(get_args(annotation)), str)
        return ("rows" if _is_a(inner, BaseModel) else "lines"), inner
    for kinds, name in (
        ((bool,), "switch"),
        ((Enum,), "pick"),
        ((int,), "whole"),
        ((float, Decimal), "number"),
    ):
        if _is_a(annotation, *kinds):
            return name, annotation
    return ("date" if annotation is date else "line"), annotation


def _is_a(annotation: Any, *kinds: type) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, kinds)


def _picks(annotation: Any) -> tuple[tuple[str, str], ...]:
    if get_origin(annotation) is Literal:
        values = [str(one) for one in get_args(annotation)]
        return tuple((one, one) for one in values)
    return tuple((str(one.value), str(one.value).replace("_", " ").capitalize()) for one in annotation)


def _default(model: type[BaseModel], name: str) -> Any:
    declared = model.model_fields[name]
    return None if declared.is_required() else declared.get_default(call_default_factory=True)


def _typed(one: OptionField, value: Any) -> Any:
    if one.kind == "rows":
        return [_row_typed(one, row, str(at)) for at, row in enumerate(value or ())]
    if one.kind == "lines":
        return "\n".join(str(line) for line in value or ())
    if one.kind == "switch":
        return bool(value)
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)


def _row_typed(one: OptionField, row: Any, name: str) -> Typed:
    """Return a row; a model that takes its first field alone may have been given it so."""
    if isinstance(row, BaseModel):
        row = row.model_dump(mode="json")
    elif not isinstance(row, Mapping):
        row = {one.columns[0].name: row}
    return {ROW: name, **{column.name: _typed(column, row.get(column.name)) for column in one.columns}}


def _read(one: OptionField, form: MultiDict[str, str], name: str) -> Any:
    if one.kind == "rows":
        start = f"{name}."
        names = (key.removeprefix(start).partition(".")[0] for key in form if key.startswith(start))
        rows = [row for row in dict.fromkeys(names) if _ROW_NAME.fullmatch(row)][:_MOST_ROWS]
        return [
            {
                ROW: row,
                **{column.name: _read(column, form, f"{start}{row}.{column.name}") for column in one.columns},
            }
            for row in rows
        ]
    if one.kind == "switch":
        return form.get(name) == "1"
    text = form.get(name, "").replace("\r\n", "\n")
    return text if one.kind == "lines" else text.strip()


def _row_given(one: OptionField, row: Typed) -> dict[str, Any]:
    return {
        column.name: row[column.name]
        for column in one.columns
        if column.required or row[column.name] not in ("", False)
    }
