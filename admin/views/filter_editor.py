"""The editor of one condition: what its form shows, and what comes back from it (A2, A5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from functools import cache
from typing import Any

import phonenumbers
from werkzeug.datastructures import MultiDict

from admin import access, words
from core.catalogue import Definition, catalogue
from core.conditions import UNITS, Condition, Takes, operators_of, takes
from core.context import parley
from core.models import Deployment, Handler, Scope
from core.property_type import Editor, Invalid, Operator, Storage

_FIRST_SECTIONS = ("About", "Engagement")
_DAY_LENGTH = len("2026-11-24")
_ONE_LINE = {Editor.NUMBER: ("text", "decimal"), Editor.DATE: ("date", "")}
_HINTS = {
    Editor.PHONE: "+91 98765 43210",
    Editor.EMAIL: "name@example.com",
    Editor.URL: "https://example.com/page",
}


@dataclass(frozen=True)
class Typed:
    """What stands in the fields of an editor, as it was typed or as one would type it."""

    values: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    lines: str = ""
    unit: str = ""

    @classmethod
    def of(cls, form: MultiDict[str, str]) -> "Typed":
        """Read what was posted."""
        return cls(
            tuple(form.getlist("value")),
            tuple(form.getlist("time")),
            form.get("lines", "").replace("\r\n", "\n"),
            form.get("unit", ""),
        )

    def value(self, place: int) -> str:
        """Return what stands in one of the fields."""
        return self.values[place] if place < len(self.values) else ""

    def time(self, place: int) -> str:
        """Return the time that stands beside a date."""
        return self.times[place] if place < len(self.times) else ""


NOTHING_TYPED = Typed()


def sections() -> list[tuple[str, list[Definition]]]:
    """Return what the current operator can filter by: properties of users by section, then of sessions."""
    found: dict[str, list[Definition]] = {}
    for one in sorted(catalogue().active, key=lambda one: (one.scope != Scope.USER, one.label.casefold())):
        if one.can_be_asked and access.sees(one):
            name = one.section if one.scope == Scope.USER else f"Session: {one.section}"
            found.setdefault(name, []).append(one)
    first = {name: rank for rank, name in enumerate(_FIRST_SECTIONS)}
    return sorted(
        found.items(), key=lambda item: (item[0].startswith("Session: "), first.get(item[0], 9), item[0])
    )


def definition(key: str) -> Definition | None:
    """Return a property that the current operator can filter by."""
    one = catalogue().by_key.get(key)
    usable = one is not None and one.archived is None and one.can_be_asked and access.sees(one)
    return one if usable else None


def operator(one: Definition, word: str) -> Operator:
    """Return the operator called `word`; the first of the property where that is none of its own."""
    there = operators_of(one)
    return next((each for each in there if each == word), there[0])


def typed(one: Definition, given: Condition, zone: tzinfo) -> Typed:
    """Return a condition as one would type it."""
    chosen = operator(one, given.operator)
    if chosen != given.operator or not given.operands:
        return NOTHING_TYPED
    match takes(chosen):
        case Takes.SPAN:
            return Typed((str(given.operands[0]),), unit=str(given.operands[1]))
        case Takes.CIRCLE:
            return Typed((f"{float(given.operands[0]):g}", _text(one, given.operands[1])))
        case Takes.VALUES:
            texts = tuple(str(value) for value in given.operands)
            known = {value for value, _ in offered(one)}
            return Typed(texts, lines="\n".join(text for text in texts if text not in known))
    if one.type.storage == Storage.MOMENT and takes(chosen) in (Takes.VALUE, Takes.RANGE):
        pairs = [_local(str(value), zone) for value in given.operands]
        return Typed(tuple(day for day, _ in pairs), tuple(at for _, at in pairs))
    return Typed(tuple(_text(one, value) for value in given.operands))


def condition(one: Definition, chosen: Operator, given: Typed, zone: tzinfo) -> Condition:
    """Return what was typed as a condition; whether it can be asked is for core to say."""
    match takes(chosen):
        case Takes.NOTHING:
            operands: tuple[Any, ...] = ()
        case Takes.SPAN:
            operands = (given.value(0), given.unit)
        case Takes.CIRCLE | Takes.FRAGMENT:
            operands = given.values
        case Takes.VALUES:
            ticked = given.values if offered(one) else ()
            lines = (line.strip() for line in given.lines.split("\n"))
            operands = (*(text for text in ticked if text.strip()), *(line for line in lines if line))
            if one.type.storage == Storage.JSON:
                operands = tuple([text] for text in operands)
        case _:
            operands = given.values
            if one.type.storage == Storage.MOMENT:
                operands = tuple(
                    _with_offset(day, given.time(place), zone) for place, day in enumerate(given.values)
                )
    return Condition(one.key, chosen.value, operands)


def shown(one: Definition, chosen: Operator, given: Typed, zone: tzinfo) -> dict[str, Any]:
    """Return what the form shows below the property: its operators, and the fields of the chosen one."""
    return {
        "key": one.key,
        "label": one.label,
        "help": one.help,
        "type": one.type.label,
        "negation": _says_unset(chosen),
        "operators": [{"value": each.value, "picked": each == chosen} for each in operators_of(one)],
        "operator": chosen.value,
        "fields": _fields(one, chosen, given),
        "unit": getattr(one.type.options, "unit", ""),
        "zone": str(zone) if one.type.storage == Storage.MOMENT and takes(chosen) != Takes.NOTHING else "",
    }


def said(zone: tzinfo) -> Any:
    """Return how operands are said in the panel: names for codes, moments where the reader is."""

    def words_of(one: Definition, value: Any) -> str | None:
        if not isinstance(value, str):
            return None
        if one.type.storage == Storage.MOMENT and len(value) > _DAY_LENGTH:
            return one.type.render(value, zone).text
        if one.declared is None:
            return None
        return dict(offered(one)).get(value)

    return words_of


def offered(one: Definition) -> list[tuple[str, str]]:
    """Return what can be picked as an operand, with what it is shown as; empty where one types."""
    if one.type.editor in (Editor.CHOICE, Editor.CHOICES):
        return [(each.value, each.label) for each in one.type.choices()]
    if one.declared is None:
        return []
    match one.key:
        case "country":
            return list(_countries())
        case "handler":
            return [(each.value, each.value.capitalize()) for each in Handler]
        case "last_channel":
            channels = parley().manager.channels.values()
            return sorted(((each.name, each.label) for each in channels), key=lambda pair: pair[1])
        case "last_deployment":
            labels = {each.label for each in Deployment.select(Deployment.label)}
            return [(label, label) for label in sorted(labels)]
    return []


@cache
def _countries() -> tuple[tuple[str, str], ...]:
    found = [(code, words.country(code)) for code in phonenumbers.SUPPORTED_REGIONS]
    return tuple(sorted(found, key=lambda pair: pair[1]))


def _fields(one: Definition, chosen: Operator, given: Typed) -> list[dict[str, Any]]:
    match takes(chosen):
        case Takes.NOTHING:
            return []
        case Takes.FRAGMENT:
            return [_line(given.value(0), "Text")]
        case Takes.SPAN:
            units = ("days",) if one.type.storage == Storage.DATE else tuple(UNITS)
            number = {**_line(given.value(0), "How many"), "mode": "numeric", "short": True}
            picked = given.unit if given.unit in units else units[-1]
            return [
                number,
                {"kind": "select", "name": "unit", "label": "Unit", "choices": _choices(units, (picked,))},
            ]
        case Takes.CIRCLE:
            far = {**_line(given.value(0), "Kilometres"), "mode": "decimal", "short": True}
            return [far, {**_line(given.value(1), "Of the place"), "hint": "28.6139, 77.2090 Delhi"}]
        case Takes.VALUES:
            return _several(one, given)
        case Takes.RANGE:
            return [_single(one, given, 0, "From"), _single(one, given, 1, "To")]
    return [_single(one, given, 0, "Value")]


def _single(one: Definition, given: Typed, place: int, label: str) -> dict[str, Any]:
    text, kind = given.value(place), one.type.editor
    if one.type.storage == Storage.MOMENT:
        return {"kind": "moment", "value": text, "time": given.time(place), "label": label}
    choices = offered(one)
    if choices and not getattr(one.type.options, "allow_other", False):
        known = [value for value, _ in choices]
        more = [(text, text)] if text and text not in known else []
        listed = [{"value": v, "label": w, "picked": v == text} for v, w in (*choices, *more)]
        return {"kind": "select", "name": "value", "label": label, "choices": listed}
    input_type, mode = _ONE_LINE.get(kind, ("text", ""))
    field = {**_line(text, label), "type": input_type, "mode": mode, "hint": _HINTS.get(kind, "")}
    return {**field, "list": [label for _, label in choices]}


def _several(one: Definition, given: Typed) -> list[dict[str, Any]]:
    choices = offered(one)
    found: list[dict[str, Any]] = []
    if choices:
        ticks = [{"value": v, "label": w, "picked": v in given.values} for v, w in choices]
        found.append({"kind": "ticks", "label": "Values", "choices": ticks})
    if not choices or getattr(one.type.options, "allow_other", False):
        label = "Other values, one on a line" if choices else "Values, one on a line"
        found.append({"kind": "lines", "value": given.lines, "label": label})
    return found


def _line(value: str, label: str) -> dict[str, Any]:
    return {
        "kind": "line",
        "value": value,
        "label": label,
        "type": "text",
        "mode": "",
        "hint": "",
        "list": (),
    }


def _choices(values: Sequence[str], picked: Sequence[str]) -> list[Mapping[str, Any]]:
    return [{"value": one, "label": one, "picked": one in picked} for one in values]


def _says_unset(chosen: Operator) -> bool:
    return chosen in (Operator.IS_NOT, Operator.UNEQUAL, Operator.MATCHES_NONE, Operator.HAS_NONE)


def _text(one: Definition, value: Any) -> str:
    """Return an operand as one types it; what is stored may be of a type that the property had before."""
    try:
        return one.type.typed(one.type.take(value))
    except Invalid:
        return str(value) if isinstance(value, str | int | float) else ""


def _local(value: str, zone: tzinfo) -> tuple[str, str]:
    """Return date and time where the reader is; a whole day has no time."""
    if len(value) <= _DAY_LENGTH:
        return value, ""
    try:
        at = datetime.fromisoformat(value).astimezone(zone)
    except (ValueError, OverflowError):
        return "", ""
    return at.date().isoformat(), at.time().isoformat("seconds" if at.second or at.microsecond else "minutes")


def _with_offset(day: str, at: str, zone: tzinfo) -> str:
    """Return a moment with the offset of the reader's zone; what is no time of a day stays as it is."""
    if not at.strip():
        return day
    try:
        there = datetime.combine(datetime.fromisoformat(day.strip()).date(), time.fromisoformat(at.strip()))
    except ValueError:
        return f"{day} {at}"
    return there.replace(tzinfo=zone).isoformat()
