"""The form of one definition: what was typed, the draft that it asks for, and its problems by field (P4)."""

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Any

from werkzeug.datastructures import MultiDict

from admin import option_fields
from admin.option_fields import ROW, OptionField, Typed
from core import drafts
from core.catalogue import Catalogue, Definition
from core.context import parley
from core.drafts import BadDefinition, Draft
from core.models import Scope, Source
from core.property_type import Invalid, PropertyType

_NOT_IN_KEY = re.compile(r"[^a-z0-9]+", re.ASCII)
_MOST_TYPED = 20_000
_CHANGEABLE_OF_BUILT_IN = ("label", "help", "group", "editable_by", "personal", "pinned")
Kind = type[PropertyType]


@dataclass(frozen=True)
class Sheet:
    """The form as it stands, whatever was typed; `seen` is the version of the definition that filled it."""

    key: str = ""
    label: str = ""
    type: str = "text"
    help: str = ""
    scope: str = Scope.USER
    source: str = Source.CUSTOM
    default: str = ""
    group: str = ""
    promotes_to: str = ""
    pinned: bool = False
    personal: bool = False
    filterable: bool = True
    editable_by: tuple[str, ...] = tuple(str(one) for one in Draft.model_fields["editable_by"].default)
    options: Typed | None = None
    seen: str = ""

    @property
    def kind(self) -> Kind | None:
        """Return the type, or None for one that is not loaded."""
        return parley().manager.property_types.get(self.type)

    @property
    def typed_options(self) -> Typed:
        """Return the options as they stand in the form."""
        if self.options is not None:
            return self.options
        return option_fields.typed_of(self.kind.Options, {}) if self.kind else {}


def sheet_of(draft: Draft, seen: str = "") -> Sheet:
    """Return the form filled with a draft."""
    kind = parley().manager.property_types.get(draft.type)
    return Sheet(
        key=draft.key,
        label=draft.label,
        type=draft.type,
        help=draft.help,
        scope=draft.scope,
        source=draft.source,
        default=_default_typed(draft, kind),
        group=draft.group,
        promotes_to=draft.promotes_to or "",
        pinned=draft.pinned,
        personal=draft.personal,
        filterable=draft.filterable,
        editable_by=draft.editable_by,
        options=option_fields.typed_of(kind.Options, draft.options) if kind else None,
        seen=seen,
    )


def sheet_from(form: MultiDict[str, str]) -> Sheet:
    """Return the form as it was sent, after what its buttons do to the rows of options."""
    named: dict[str, Any] = {
        name: form.get(name, "").strip()[:_MOST_TYPED]
        for name in (
            "key",
            "label",
            "type",
            "help",
            "scope",
            "source",
            "default",
            "group",
            "promotes_to",
            "seen",
        )
    }
    sheet = Sheet(**named)
    kind = sheet.kind
    return replace(
        sheet,
        key=sheet.key or suggested_key(sheet.label),
        scope=sheet.scope or Scope.USER,
        source=sheet.source or Source.CUSTOM,
        pinned=form.get("pinned") == "1",
        personal=form.get("personal") == "1",
        filterable=form.get("filterable") == "1",
        editable_by=tuple(form.getlist("editable_by")),
        options=_arranged(kind, option_fields.read(kind.Options, form, "options"), form) if kind else None,
    )


def sheet_to_convert(form: MultiDict[str, str], before: Definition) -> Sheet:
    """Return the form of another type; what its options have in common with those of `before` is kept."""
    sheet = sheet_from(form)
    if sheet.kind is None or any(name.startswith("options.") for name in form):
        return sheet
    shared = before.type.options.model_dump(mode="json", include=set(sheet.kind.Options.model_fields))
    return replace(sheet, options=option_fields.typed_of(sheet.kind.Options, shared))


def options_from(sheet: Sheet) -> dict[str, Any]:
    """Return the options that a form asks for."""
    return option_fields.given(sheet.kind.Options, sheet.typed_options) if sheet.kind else {}


def draft_from(sheet: Sheet, before: Definition | None = None) -> Draft:
    """Return the draft that a form asks for; of what Parley brings, only that which admins may change.

    Raises BadDefinition when not even a draft can be made of it.
    """
    kind = sheet.kind
    problems = {}
    if sheet.scope not in tuple(Scope):
        problems["scope"] = "Choose whether a user or a session has it."
    if sheet.source not in tuple(Source):
        problems["source"] = "Choose who fills it."
    if problems:
        raise BadDefinition(problems)
    options = options_from(sheet)
    draft = Draft(
        key=sheet.key,
        label=sheet.label,
        type=sheet.type,
        help=sheet.help,
        scope=Scope(sheet.scope),
        source=Source(sheet.source),
        options=options,
        default=sheet.default or None,
        group=sheet.group,
        pinned=sheet.pinned,
        editable_by=sheet.editable_by,
        personal=sheet.personal,
        filterable=sheet.filterable and bool(kind and kind.operators),
        promotes_to=sheet.promotes_to or None,
    )
    if before is not None and before.is_built_in:
        kept = drafts.draft_of(before)
        changes = {name: getattr(draft, name) for name in _CHANGEABLE_OF_BUILT_IN}
        if has_choices(before.type):
            changes["options"] = draft.options
        draft = kept.model_copy(update=changes)
    return draft


def has_choices(kind: PropertyType) -> bool:
    """Say whether a type's options list choices, which an admin may change even of a built-in property."""
    return "choices" in kind.Options.model_fields


def problems_in(error: BadDefinition, sheet: Sheet) -> dict[str, str]:
    """Return the problems of a draft by field of the form; a row of options by its name in the form."""
    problems = {}
    kind = sheet.kind
    plain = option_fields.problems_of(kind.Options, sheet.typed_options) if kind else {}
    for place, sentence in error.problems.items():
        parts = place.split(".")
        if parts[0] == "options" and len(parts) > 1:
            sentence = plain.get(parts[1]) or _plainly(sentence, parts[-1])
        if len(parts) > 2 and kind:
            place = _place_of_row(kind, sheet.typed_options, parts)
        problems[place] = sentence
    return problems


def _plainly(sentence: str, name: str) -> str:
    """Return what is said of an option as one says it beside its field."""
    named = f"`{name}` "
    return f"This {sentence.removeprefix(named)}" if sentence.startswith(named) else sentence


def suggested_key(label: str) -> str:
    """Return a key for a label: `Größe (cm)` becomes `grosse_cm`, and nothing becomes nothing."""
    plain = unicodedata.normalize("NFKD", label.replace("ß", "ss").replace("ẞ", "ss"))
    plain = "".join(one for one in plain if not unicodedata.combining(one))
    key = _NOT_IN_KEY.sub("_", plain.lower()).strip("_")
    if key and not key[0].isalpha():
        key = f"n_{key}"
    return key[:63].rstrip("_")


def key_says(key: str, now: Catalogue) -> tuple[bool, str]:
    """Say whether a new property can have a key, and why not."""
    if not key:
        return True, "Made from the label. It cannot change later."
    problem = drafts.problems_of(Draft(key=key, label="x"), now, None).get("key")
    return (False, problem) if problem else (True, "Free. Cannot change later.")


def taken_out(sheet: Sheet, before: Definition | None, problem: str) -> list[dict[str, str]]:
    """Return the choices of a definition that are not in its form any more, and that a problem names."""
    if before is None or sheet.options is None or not has_choices(before.type):
        return []
    kept = {row.get("value") for row in sheet.options["choices"]}
    return [
        {"value": one.value, "label": one.label}
        for one in before.type.choices()
        if one.value not in kept and f"“{one.value}”" in problem
    ]


def retired(sheet: Sheet, before: Definition, value: str) -> Sheet:
    """Return the form with a choice that was taken out back in its place, retired."""
    found = [one for one in before.type.choices() if one.value == value]
    rows = list(sheet.typed_options.get("choices", ()))
    if not found or any(row["value"] == value for row in rows):
        return sheet
    order = [one.value for one in before.type.choices()]
    earlier = set(order[: order.index(value)])
    place = max((at + 1 for at, row in enumerate(rows) if row["value"] in earlier), default=0)
    label = found[0].label if found[0].label != value else ""
    rows.insert(place, {ROW: _free_name(rows), "value": value, "label": label, "retired": True})
    return replace(sheet, options={**sheet.typed_options, "choices": rows})


def asks_to_look(form: MultiDict[str, str]) -> bool:
    """Say whether a button of the form was pressed that does not save."""
    return any(name in form for name in ("look", "add", "remove", "move", "retire"))


def _default_typed(draft: Draft, kind: Kind | None) -> str:
    if draft.default is None or kind is None:
        return ""
    try:
        options = kind.Options.model_validate(draft.options)
        made = kind(options, filterable=draft.filterable)
        return made.typed(made.take(draft.default))
    except (ValueError, Invalid):
        return str(draft.default)


def _arranged(kind: Kind, typed: Typed, form: MultiDict[str, str]) -> Typed:
    """Add, remove and move rows as the pressed button says: for browsers without scripts."""
    by_name = {one.name: one for one in option_fields.fields_of(kind.Options) if one.kind == "rows"}
    if (field := by_name.get(form.get("add", ""))) is not None:
        rows = typed[field.name]
        typed[field.name] = [*rows, option_fields.blank_row(field, _free_name(rows))]
    for action in ("remove", "move"):
        name, _, rest = form.get(action, "").partition(".")
        if (field := by_name.get(name)) is not None:
            row, _, way = rest.partition(".")
            typed[name] = _without(typed[name], row) if action == "remove" else _moved(typed[name], row, way)
    return typed


def _without(rows: list[Typed], name: str) -> list[Typed]:
    return [row for row in rows if row[ROW] != name]


def _moved(rows: list[Typed], name: str, way: str) -> list[Typed]:
    at = next((at for at, row in enumerate(rows) if row[ROW] == name), None)
    if at is None:
        return rows
    to = max(0, at - 1) if way == "up" else at + 1
    others = _without(rows, name)
    return [*others[:to], rows[at], *others[to:]]


def _free_name(rows: list[Typed]) -> str:
    taken = {row[ROW] for row in rows}
    return next(str(number) for number in range(len(rows) + 1) if str(number) not in taken)


def _place_of_row(kind: Kind, typed: Typed, parts: list[str]) -> str:
    """Return where a problem of the n-th row that was given stands in the form."""
    _, name, position, *rest = parts
    field: OptionField | None = next(
        (one for one in option_fields.fields_of(kind.Options) if one.name == name and one.kind == "rows"),
        None,
    )
    if field is None or not position.isdigit():
        return f"options.{name}"
    rows = [row for row in typed[name] if not option_fields.is_blank(field, row)]
    if int(position) >= len(rows):
        return f"options.{name}"
    return ".".join(["options", name, rows[int(position)][ROW], *rest])
