"""A definition as someone wants it, and what is wrong with it: for each field a sentence (P4)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from core.catalogue import API, BOT, Catalogue, Definition, tells_consent
from core.context import parley
from core.models import Role, Scope, Source
from core.property_type import Invalid
from core.text import clean

EDITORS = (Role.ADMIN, Role.BUILDER, Role.AGENT, BOT, API)
MOST_PROPERTIES = 1000
MOST_PINNED = 30
KEY = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_TAKES = {
    "int": "a whole number",
    "int_from_float": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text",
    "tuple": "a list",
    "list": "a list",
    "date_from_datetime": "a date, such as 2026-11-24",
    "date": "a date, such as 2026-11-24",
}
KEY_RULE = "A key is made of a–z, 0–9 and _, begins with a letter, and has at most 63 characters."


class Draft(BaseModel):
    """A definition as someone wants it; the names are those of forms, files and the API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    label: str = ""
    type: str = "text"
    help: str = ""
    scope: Scope = Scope.USER
    source: Source = Source.CUSTOM
    options: Mapping[str, Any] = Field(default_factory=dict)
    default: Any = None
    group: str = ""
    pinned: bool = False
    editable_by: tuple[str, ...] = (Role.ADMIN, Role.BUILDER, Role.AGENT)
    personal: bool = False
    filterable: bool = True
    promotes_to: str | None = None


class BadDefinition(ValueError):
    """A definition that cannot be; `problems` says for each field why, in a sentence. Nothing was changed."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = problems


def draft_of(definition: Definition) -> Draft:
    """Return a definition as the draft that would make it."""
    return Draft(
        key=definition.key,
        label=definition.label,
        type=definition.type.name,
        help=definition.help,
        scope=definition.scope,
        source=definition.source,
        options=definition.type.options.model_dump(mode="json", exclude_unset=True),
        default=definition.initial,
        group=definition.section,
        pinned=definition.pinned is not None,
        editable_by=tuple(group for group in EDITORS if group in definition.editable_by),
        personal=definition.personal,
        filterable=definition.filterable,
        promotes_to=definition.promotes_to,
    )


def problems_of(
    draft: Draft, now: Catalogue, before: Definition | None, beside: Sequence[Draft] = ()
) -> dict[str, str]:
    """Return what is wrong with a draft: for each field a sentence.

    `before` is what it changes; `beside` are the drafts that are applied together with it.
    """
    if before is not None and before.is_converting:
        return {"type": f"`{before.key}` is being converted to another type. Edit it when that is done."}
    problems = _problems_of_names(draft, now, before, beside)
    if before is not None and draft.type != before.type.name:
        what = f"The type is “{before.type.label}”. Convert the property to give it another."
        problems["type"] = what
    else:
        problems |= problems_of_type(draft)
    if unknown := [group for group in draft.editable_by if group not in EDITORS]:
        problems["editable_by"] = f"“{unknown[0][:40]}” cannot edit. Choose from {', '.join(EDITORS)}."
    elif BOT in draft.editable_by and tells_consent(draft.key):
        problems["editable_by"] = "A bot sets neither consent nor verification. Let people set it."
    if draft.promotes_to is not None and (why := _no_promotion(draft, now, beside)):
        problems["promotes_to"] = why
    return problems


def _no_promotion(draft: Draft, now: Catalogue, beside: Sequence[Draft]) -> str | None:
    if draft.scope != Scope.SESSION:
        return "Only a session property is promoted to the user."
    found = now.by_key.get(draft.promotes_to or "")
    made = next((one for one in beside if one.key == draft.promotes_to), None)
    if found is not None:
        type_, takes_it = found.type.name, found.scope == Scope.USER and not found.is_locked
    elif made is not None:
        type_, takes_it = made.type, made.scope == Scope.USER
    else:
        takes_it = False
    if not takes_it:
        return "Choose a property of the user that a bot can fill."
    if type_ != draft.type:
        return f"`{draft.promotes_to}` has another type, so it cannot take these values."
    return None


def _problems_of_names(
    draft: Draft, now: Catalogue, before: Definition | None, beside: Sequence[Draft]
) -> dict[str, str]:
    problems: dict[str, str] = {}
    taken = now.by_key.get(draft.key)
    news = {draft.key, *(one.key for one in beside)} - now.by_key.keys()
    if before is None:
        if not KEY.fullmatch(draft.key):
            problems["key"] = KEY_RULE
        elif taken is not None:
            problems["key"] = _clash(draft.key, taken)
        elif len(now.by_key) + len(news) > MOST_PROPERTIES:
            problems["key"] = f"There are {MOST_PROPERTIES:,} properties, which is as many as there can be."
        if draft.source not in (Source.CUSTOM, Source.BOT):
            problems["source"] = "Only the bot’s and custom properties are defined here."
    elif draft.key != before.key:
        problems["key"] = f"The key stays `{before.key}`: bots and messages use it."
    elif draft.source != before.source and (
        before.declared or draft.source not in (Source.CUSTOM, Source.BOT)
    ):
        problems["source"] = "The source of this property stays."
    if before is not None and draft.scope != before.scope:
        problems["scope"] = "The scope stays: values of sessions are not those of users."
    if not draft.label.strip() or len(draft.label) > 80:
        problems["label"] = "A label has 1 to 80 characters."
    if len(draft.help) > 500:
        problems["help"] = "A description has at most 500 characters."
    if len(draft.group) > 40:
        problems["group"] = "The name of a group has at most 40 characters."
    return problems


def problems_of_type(draft: Draft) -> dict[str, str]:
    """Return what is wrong with its type, options and default."""
    kind = parley().manager.property_types.get(draft.type)
    if kind is None:
        there = ", ".join(sorted(parley().manager.property_types))
        return {"type": f"There is no type “{draft.type[:40]}”. There are: {there}."}
    try:
        options = kind.Options.model_validate(draft.options)
    except ValidationError as error:
        return {
            ".".join(["options", *(str(part) for part in one["loc"])]): problem_of_option(one)
            for one in error.errors(include_url=False, include_input=False)
        }
    if draft.filterable and draft.scope == Scope.USER and not kind.operators:
        return {"filterable": f"{kind.label} cannot be filtered by."}
    if draft.default is not None:
        try:
            kind(options, filterable=draft.filterable).take(draft.default)
        except Invalid as error:
            return {"default": f"The default {error}."}
    return {}


def problem_of_option(error: ErrorDetails) -> str:
    """Return what pydantic says of an option as a sentence; one about a single field names it."""
    name = next((part for part in reversed(error["loc"]) if isinstance(part, str)), "")
    if error["type"] == "missing":
        return f"`{name}` is needed."
    if error["type"] == "extra_forbidden":
        return f"`{name}` is no option of this type."
    if takes := _TAKES.get(error["type"].removesuffix("_type").removesuffix("_parsing")):
        return f"`{name}` takes {takes}."
    if name and error["msg"].startswith("Input should "):
        return sentence_of(error["msg"].replace("Input should ", f"`{name}` has to ", 1))
    return sentence_of(error["msg"])


def sentence_of(message: str) -> str:
    """Return what pydantic says of a value as a sentence of ours."""
    text = message.removeprefix("Value error, ").strip()
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _clash(key: str, taken: Definition) -> str:
    if taken.archived is not None:
        return (
            f"`{key}` is the key of the archived property “{taken.label}”. Restore that, or take another key."
        )
    whose = {
        Source.SYSTEM: "Parley’s own property",
        Source.CHANNEL: f"the property of {taken.section}",
        Source.BOT: "the bot’s property",
        Source.CUSTOM: "the property",
    }[taken.source]
    return f"`{key}` is the key of {whose} “{taken.label}” already. Take another key."


def wants_column(draft: Draft) -> bool:
    """Say whether its values are to stand in a column of their own."""
    return draft.filterable and draft.scope == Scope.USER


def described(draft: Draft) -> dict[str, Any]:
    """Return a draft without problems as the fields of its row, each in normal form."""
    kind = parley().manager.property_types[draft.type]
    options = kind.Options.model_validate(draft.options)
    default = draft.default
    if default is not None:
        default = kind(options, filterable=draft.filterable).parse(default)
    return {
        "label": clean(draft.label).strip(),
        "help": clean(draft.help).strip(),
        "options": options.model_dump(mode="json", exclude_unset=True),
        "initial": default,
        "section": clean(draft.group).strip() or ("Bot" if draft.source == Source.BOT else "Custom"),
        "editable_by": [group for group in EDITORS if group in draft.editable_by],
        "personal": draft.personal,
        "filterable": draft.filterable,
        "promotes_to": draft.promotes_to,
    }
