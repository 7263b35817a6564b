"""What the drawer of one definition shows: the form with its problems, a preview, what adopting would do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from admin import access, option_fields, words
from admin.option_fields import ROW, OptionField
from admin.views import definition_form
from admin.views.definition_form import Sheet
from admin.views.definition_list import locked_because, type_in_words
from core import conversion, proposals
from core.catalogue import API, BOT, Catalogue, Definition, MissingType
from core.context import parley
from core.drafts import BadDefinition
from core.models import Role, Scope, Source
from core.property_type import Editor, Operator, PropertyType

_EDITORS = {
    Role.ADMIN: "Admins",
    Role.BUILDER: "Builders",
    Role.AGENT: "Agents",
    BOT: "Bots",
    API: "API",
}
_SHOWN_FIRST = (
    Operator.ONE_OF,
    Operator.IN_THE_LAST,
    Operator.AT_LEAST,
    Operator.HAS_ANY,
    Operator.IS_TRUE,
    Operator.WITHIN,
    Operator.CONTAINS,
)
_SAMPLES = {
    Operator.IN_THE_LAST: "30 days",
    Operator.AT_LEAST: "10",
    Operator.WITHIN: "5 km of a place",
    Operator.CONTAINS: "…",
}


@dataclass(frozen=True)
class Notice:
    """What is said above the form."""

    tone: str
    title: str
    text: str = ""


@dataclass(frozen=True)
class Opened:
    """A drawer: its form, the definition that it changes or the proposal that it adopts, what is wrong.

    With `converts` it asks for another type and its options alone.
    """

    sheet: Sheet
    now: Catalogue
    before: Definition | None = None
    adopts: proposals.Proposal | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    notice: Notice | None = None
    converts: bool = False


def drawer(opened: Opened) -> dict[str, Any]:
    """Return what parley/_definition_form.html shows."""
    sheet, before, now = opened.sheet, opened.before, opened.now
    built = _built(sheet)
    kind = sheet.kind
    fixed = before is not None and before.is_built_in
    return {
        "title": _title(opened),
        "submit": _submit(opened),
        "sheet": sheet,
        "key": _key(opened),
        "is_new": before is None,
        "is_built_in": fixed,
        "is_locked": before is not None and before.is_locked,
        "is_archived": before is not None and before.archived is not None,
        "is_fixed": before is not None and before.declared is not None,
        "meaning": _meaning(before),
        "types": [
            {"name": name, "label": one.label, "icon": one.icon}
            for name, one in _types().items()
            if not opened.converts or before is None or name != before.type.name
        ],
        "converts": _converts(before) if opened.converts and before else "",
        "conversion": _conversion(before),
        "type": {
            "label": before.type.label if before else kind.label if kind else sheet.type,
            "icon": before.type.icon if before else kind.icon if kind else "alert",
            "reason": before.type.reason if before and isinstance(before.type, MissingType) else None,
        },
        "options": _options(opened, kind) if kind and (not fixed or _has_choices(before)) else [],
        "options_name": "Choices" if kind and _is_all_choices(kind) else "Options",
        "taken_out": definition_form.taken_out(sheet, before, opened.problems.get("options.choices", "")),
        "groups": sorted({one.section for one in now.active if one.section}, key=str.casefold),
        "editors": [
            {"name": str(name), "label": label, "checked": name in sheet.editable_by}
            for name, label in _EDITORS.items()
        ],
        "default": _default(built, sheet),
        "filter": _filter(kind, sheet, before),
        "targets": _targets(sheet, now),
        "preview": _preview(built, sheet),
        "adopts": _adopts(opened, built),
        "problems": opened.problems,
        "problem_count": words.counted(len(opened.problems), "problem"),
        "notice": opened.notice,
        "may_purge": access.may(access.May.PURGE_PROPERTIES),
    }


def _submit(opened: Opened) -> str:
    if opened.converts:
        return "Convert property"
    return "Save changes" if opened.before else "Adopt property" if opened.adopts else "Create property"


def _converts(before: Definition) -> str:
    return (
        f"It is “{type_in_words(before)}” now, and is used as it is until the conversion is done. "
        "Where one value does not fit the new type, the old one stays, and you read here whose it is."
    )


def _conversion(before: Definition | None) -> dict[str, Any] | None:
    """Say how a conversion stands, where there is one."""
    if before is None or before.conversion is None:
        return None
    said = conversion.said(before)
    if before.is_converting:
        return {"runs": True, "title": said, "text": "It can be edited when that is done."}
    return {"runs": False, "title": "The conversion to another type did not go through.", "text": said}


def _title(opened: Opened) -> str:
    if opened.before is not None and opened.converts:
        return f"Convert {opened.before.label}"
    if opened.before is not None:
        return opened.before.label
    return f"Adopt {opened.adopts.key}" if opened.adopts else "New property"


def _types() -> dict[str, type[PropertyType]]:
    return dict(parley().manager.property_types)


def _key(opened: Opened) -> dict[str, Any]:
    problem = opened.problems.get("key")
    if opened.before is not None or opened.adopts is not None:
        stays = (
            "Bots and messages use it, so it stays." if opened.before else "The bot sends it under this key."
        )
        return {"fixed": True, "ok": problem is None, "text": problem or stays}
    ok, text = definition_form.key_says(opened.sheet.key, opened.now)
    return {"fixed": False, "ok": ok and problem is None, "text": problem or text}


def _meaning(before: Definition | None) -> dict[str, str] | None:
    if before is None or not before.is_locked:
        return None
    owner = "Parley" if before.source == Source.SYSTEM else before.section
    return {
        "lock": locked_because(before),
        "help": before.help,
        "type": type_in_words(before),
        "owner": owner,
        "scope": "Session" if before.scope == Scope.SESSION else "User",
        "personal": "Yes" if before.personal else "No",
    }


def _has_choices(before: Definition | None) -> bool:
    return before is not None and definition_form.has_choices(before.type)


def _is_all_choices(kind: type[PropertyType]) -> bool:
    return "choices" in kind.Options.model_fields


def _options(opened: Opened, kind: type[PropertyType]) -> list[dict[str, Any]]:
    typed = opened.sheet.typed_options
    fields = option_fields.fields_of(kind.Options)
    return [_option(one, typed[one.name], opened.problems) for one in fields]


def _option(one: OptionField, value: Any, problems: Mapping[str, str]) -> dict[str, Any]:
    name = f"options.{one.name}"
    shown: dict[str, Any] = {"field": one, "name": name, "value": value, "problem": problems.get(name)}
    if one.kind == "rows":
        shown["rows"] = [_row(one, row, value, name, problems) for row in value]
        shown["blank"] = _row(one, option_fields.blank_row(one, "ROW"), [], name, {})
        shown["singular"] = one.label.lower().removesuffix("s")
    return shown


def _row(
    one: OptionField, row: Mapping[str, Any], rows: list[Any], name: str, problems: Mapping[str, str]
) -> dict[str, Any]:
    """Return a row; one that repeats what a problem of the whole list quotes is marked as wrong."""
    first = one.columns[0].name
    quoted = f"“{row[first]}”" in problems.get(name, "") if row[first] else False
    repeats = quoted and next(other for other in rows if other[first] == row[first]) is not row
    start = f"{name}.{row[ROW]}"
    wrong = {column.name: problems.get(f"{start}.{column.name}") for column in one.columns}
    return {
        "name": row[ROW],
        "cells": [
            {
                "field": column,
                "name": f"{start}.{column.name}",
                "value": row[column.name],
                "wrong": bool(wrong[column.name]) or (repeats and column.name == first),
            }
            for column in one.columns
        ],
        "problem": problems.get(start) or next(filter(None, wrong.values()), None),
    }


def _built(sheet: Sheet) -> PropertyType | None:
    """Return the type with the options of the form, or None where they are not right yet."""
    kind = sheet.kind
    if kind is None:
        return None
    try:
        options = kind.Options.model_validate(option_fields.given(kind.Options, sheet.typed_options))
        return kind(options, filterable=sheet.filterable and bool(kind.operators))
    except ValidationError:
        return None


def _default(built: PropertyType | None, sheet: Sheet) -> dict[str, Any]:
    """Return how a default is typed in: picked, where there is little to choose from."""
    editor = built.editor if built else Editor.LINE
    picks: list[tuple[str, str]] = []
    if built is not None and editor is Editor.SWITCH:
        picks = [("true", "Yes"), ("false", "No")]
    elif built is not None and editor is Editor.CHOICE and not getattr(built.options, "allow_other", False):
        picks = [(one.value, one.label) for one in built.choices() if not one.retired]
    if picks and sheet.default and sheet.default not in dict(picks):
        picks.append((sheet.default, sheet.default))
    hints = {Editor.CHOICES: "Several, with a comma between them", Editor.MOMENT: "2026-11-24T18:00:00Z"}
    hints |= {Editor.LOCATION: "28.6139, 77.209 Delhi", Editor.PHONE: "+91 98765 43210"}
    return {
        "picks": picks,
        "kind": "paragraph"
        if editor in (Editor.PARAGRAPH, Editor.JSON)
        else "date"
        if editor is Editor.DATE
        else "",
        "hint": hints.get(editor, ""),
    }


def _filter(kind: type[PropertyType] | None, sheet: Sheet, before: Definition | None) -> dict[str, Any]:
    if before is not None and before.is_built_in:
        return {
            "possible": False,
            "on": before.filterable,
            "reason": "Fixed for a property that Parley brings.",
        }
    if kind is None or not kind.operators:
        label = kind.label if kind else "This type"
        return {"possible": False, "on": False, "reason": f"{label} cannot be filtered by."}
    reason = "Lists and segments can ask for it. Off, its values may be longer."
    if before is not None and not before.filterable and sheet.scope == Scope.USER:
        reason = "Turned on, it can be filtered by as soon as its values are in their own column."
    return {"possible": True, "on": sheet.filterable, "reason": reason}


def _targets(sheet: Sheet, now: Catalogue) -> list[dict[str, str]]:
    """Return the properties of users that values of a session can be promoted to."""
    found = [one for one in now.of_users if not one.is_locked and one.type.name == sheet.type]
    return [{"key": one.key, "label": one.label} for one in found]


def _preview(built: PropertyType | None, sheet: Sheet) -> dict[str, Any] | None:
    """Return the editor and the condition that a property would have."""
    if built is None:
        return None
    choices = [one for one in built.choices() if not one.retired]
    return {
        "editor": built.editor.value,
        "choices": [one.label for one in choices[:4]],
        "value": sheet.default,
        "condition": _condition(built, [one.value for one in choices[:2]]) if built.filterable else None,
    }


def _condition(built: PropertyType, choices: list[str]) -> dict[str, str]:
    operator = next((one for one in _SHOWN_FIRST if one in built.operators), built.operators[0])
    if not choices and Operator.ONE_OF is operator:
        operator = Operator.CONTAINS if Operator.CONTAINS in built.operators else operator
    value = _SAMPLES.get(operator, "")
    if operator in (Operator.ONE_OF, Operator.HAS_ANY):
        value = ", ".join(choices) or "…"
    return {"operator": operator.value, "value": value}


def _adopts(opened: Opened, built: PropertyType | None) -> dict[str, Any] | None:
    """Say what becomes of the values that the bot sent; examples are for those who see personal data."""
    if opened.adopts is None:
        return None
    users = words.counted(opened.adopts.users, "user has a value", "users have a value")
    told: dict[str, Any] = {"key": opened.adopts.key, "users": f"{users} from the bot.", "examples": []}
    if built is None:
        return {**told, "tone": "info", "text": "Whether they fit shows when the options are right."}
    try:
        number, examples = proposals.unfit(definition_form.draft_from(opened.sheet))
    except BadDefinition:
        return {**told, "tone": "info", "text": ""}
    if number == 0:
        return {**told, "tone": "info", "text": "All of them fit, and are taken over."}
    does = "does not fit and is" if number == 1 else "do not fit and are"
    return {
        **told,
        "tone": "warn",
        "text": f"{number:,} {does} dropped. Choose another type or other options to keep them.",
        "examples": examples if access.sight().clear else [],
    }
