"""The editor of a property's type: what its form shows, and what comes back from it (U6)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from werkzeug.datastructures import MultiDict

from admin import words
from core.catalogue import Definition
from core.phones import country_of
from core.property_type import Editor, Invalid
from core.values import Value

_MODES = {
    Editor.NUMBER: ("text", "decimal"),
    Editor.DATE: ("date", ""),
    Editor.MOMENT: ("datetime-local", ""),
    Editor.PHONE: ("tel", "tel"),
    Editor.EMAIL: ("email", "email"),
    Editor.URL: ("url", "url"),
}
_PLACEHOLDERS = {
    Editor.PHONE: "+91 98765 43210",
    Editor.EMAIL: "name@example.com",
    Editor.URL: "https://example.com/page",
    Editor.LOCATION: "28.6139, 77.2090 Delhi",
}


Form = MultiDict[str, str]


def shown(one: Definition, value: Value, zone: tzinfo, typed: Sequence[str] | None) -> dict[str, Any]:
    """Return what the form of a property shows: what was `typed` and not taken, else the value."""
    kind = one.type.editor
    texts = list(typed) if typed is not None else _texts(one, value, zone)
    summary = one.type.summary()
    input_type, mode = _MODES.get(kind, ("text", ""))
    return {
        "kind": kind.value,
        "type": input_type,
        "mode": mode,
        "placeholder": _PLACEHOLDERS.get(kind, ""),
        "value": texts[0] if texts else "",
        "unit": one.type.unit(),
        "hint": _hint(one, kind, summary, str(zone)),
        "zone": str(zone),
        "is_set": value.is_set,
        **_offered(one, kind, texts),
    }


def given(one: Definition, form: Form, value: Value, zone: tzinfo) -> tuple[Any, tuple[str, ...]]:
    """Return what a form says for `write`, and the texts that were typed."""
    kind = one.type.editor
    if kind is Editor.CHOICES:
        if "remove" in form:
            left = tuple(text for text in value.value or () if text != form.get("remove"))
            return list(left), left
        more = [part.strip() for part in form.get("more", "").split(",")]
        texts = tuple(text for text in (*form.getlist("value"), *more) if text.strip())
        return list(texts), texts
    text = form.get("value", "").replace("\r\n", "\n")
    if kind is Editor.MOMENT and value.is_set and text == _local(value.value, _zone(form, zone)):
        return value.value, (text,)  # the field shows no fractions of a second
    if kind is Editor.MOMENT:
        return _with_offset(text, _zone(form, zone)), (text,)
    return text, (text,)


def as_shown(one: Definition, typed: Sequence[str] | None, zone: tzinfo) -> str:
    """Return what was typed as the profile would show it."""
    texts = list(typed or ())
    if not any(text.strip() for text in texts):
        return "Not set"
    raw: Any = texts if one.type.editor is Editor.CHOICES else texts[0]
    if one.type.editor is Editor.MOMENT:
        raw = _with_offset(raw, zone)
    try:
        return one.type.render(one.type.take(raw), zone).text
    except Invalid:
        return ", ".join(texts)


def _hint(one: Definition, kind: Editor, summary: str, zone: str) -> str:
    """Return what stands under the field: what the property is, and what its type takes."""
    takes = ""
    if kind is Editor.MOMENT:
        takes = f"In the time of {zone}"
    elif kind not in (Editor.CHOICE, Editor.CHOICES, Editor.SWITCH) and (summary or not one.help):
        takes = f"{one.type.label}, {summary}" if summary else one.type.label
    said = (text if text.endswith((".", "?", "。")) else f"{text}." for text in (one.help, takes) if text)
    return " ".join(said)


def _texts(one: Definition, value: Value, zone: tzinfo) -> list[str]:
    if not value.is_set:
        return []
    if one.type.editor is Editor.CHOICES:
        return list(value.value)
    if one.type.editor is Editor.MOMENT:
        return [_local(value.value, zone)]
    return [one.type.typed(value.value)]


def _offered(one: Definition, kind: Editor, texts: Sequence[str]) -> dict[str, Any]:
    """Return what can be picked, with what is picked now: a retired choice only where it is the value."""
    if kind is Editor.SWITCH:
        yes, no = one.type.typed(True), one.type.typed(False)
        listed = [(yes, one.type.render(True).text, False), (no, one.type.render(False).text, False)]
    elif kind in (Editor.CHOICE, Editor.CHOICES):
        listed = [(choice.value, choice.label, choice.retired) for choice in one.type.choices()]
    elif kind is Editor.PHONE:
        return {"countries": _calling(country_of(texts[0]) if texts else None)}
    else:
        return {}
    offered = [
        {"value": value, "label": label, "picked": value in texts}
        for value, label, retired in listed
        if not retired or value in texts
    ]
    known = {one["value"] for one in offered}
    others = [{"value": text, "label": text, "picked": True} for text in texts if text and text not in known]
    other = bool(getattr(one.type.options, "allow_other", False))
    found: dict[str, Any] = {"choices": [*offered, *others], "other": other}
    if kind is Editor.CHOICE and other:
        label = next((str(each["label"]) for each in offered if each["picked"]), None)
        return found | {"choices": offered, "value": label or (texts[0] if texts else "")}
    return found


def _local(value: str, zone: tzinfo) -> str:
    """Return a moment as a field without a zone takes it."""
    at = datetime.fromisoformat(value).astimezone(zone).replace(tzinfo=None)
    return at.isoformat(timespec="seconds" if at.second else "minutes")


def _with_offset(text: str, zone: tzinfo) -> str:
    """Return what was typed with the offset of the reader's zone; what names one stays as it is."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return text
    if at.tzinfo is not None or "T" not in text:
        return text
    return at.replace(tzinfo=zone).isoformat()


def _zone(form: Form, zone: tzinfo) -> tzinfo:
    """Return the zone that the form was made for."""
    named = form.get("zone", "")
    if named in ("", str(zone)):
        return zone
    try:
        return UTC if named == "UTC" else ZoneInfo(named)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # whatever was posted
        return zone


def _calling(chosen: str | None) -> list[Mapping[str, Any]]:
    return [{**one, "picked": one["code"] == chosen} for one in _countries()]


@cache
def _countries() -> tuple[Mapping[str, Any], ...]:
    found = [
        {
            "code": code,
            "name": words.country(code),
            "prefix": f"+{phonenumbers.country_code_for_region(code)}",
        }
        for code in phonenumbers.SUPPORTED_REGIONS
    ]
    return tuple(sorted(found, key=lambda one: str(one["name"])))
