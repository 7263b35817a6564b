"""Define properties, change and archive them: each change is checked as a whole, and in use at once (P4)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from peewee import IntegrityError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core import catalogue as catalogues
from core import clock, columns
from core.catalogue import API, BOT, PURGED, Catalogue, Definition, catalogue, tells_consent
from core.context import parley
from core.db import database
from core.models import Property, PropertyColumn, Role, Scope, Source, enqueue
from core.property_type import Invalid
from core.text import clean

INDEX = "properties.index"
MOVE = "properties.move"
PURGE = "properties.purge"
EDITORS = (Role.ADMIN, Role.BUILDER, Role.AGENT, BOT, API)
MOST_PROPERTIES = 1000
MOST_PINNED = 30
KEY = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
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


def declare() -> None:
    """Bring what code declares into the table: Parley's own properties and the Footprints of channels.

    A key that an admin defined before stays the admin's.
    """
    known = catalogues.declared()
    stored = {row.key: row for row in Property.select()}
    news = [one for key, one in known.items() if key not in stored]
    moved = [
        (stored[key], one)
        for key, one in known.items()
        if key in stored and stored[key].source == one.source and _differs(stored[key], one)
    ]
    if not news and not moved:
        return
    with database.atomic():
        catalogues.hold_for_change()
        for one in news:
            Property.insert(
                key=one.key,
                label=one.label,
                help=one.help,
                type=one.type,
                scope=one.scope,
                source=one.source,
                owner=one.owner,
                options=dict(one.options),
                section=one.section,
                pinned=one.pinned,
                editable_by=list(one.editable_by),
                personal=one.personal,
                filterable=one.column is not None,
                created=clock.now(),
                changed=clock.now(),
            ).on_conflict_ignore().execute()
        for row, one in moved:
            Property.update(
                label=one.label, help=one.help, type=one.type, owner=one.owner, personal=one.personal
            ).where(Property.id == row.id).execute()
        catalogues.changed()


def create(draft: Draft) -> Definition:
    """Define a property; it is in use when this returns. Raises BadDefinition."""
    [made] = apply(creates=[draft])
    return made


def edit(key: str, draft: Draft) -> Definition:
    """Change what `key` is; its key, type and scope stay. Raises BadDefinition, LookupError."""
    [made] = apply(edits={key: draft})
    return made


def apply(creates: Sequence[Draft] = (), edits: Mapping[str, Draft] | None = None) -> list[Definition]:
    """Create and change definitions, all or none, in one transaction; returns them in this order.

    Call it with no transaction open: columns are added before it begins. Raises BadDefinition, LookupError.
    """
    edits = edits or {}
    now = catalogue(fresh=True)
    wanted = [(draft, None) for draft in creates] + [(draft, known(key, now)) for key, draft in edits.items()]
    problems = {draft.key: problems_of(draft, now, before) for draft, before in wanted}
    if any(problems.values()):
        one = len(wanted) == 1
        raise BadDefinition(
            {
                field if one else f"{key}.{field}": sentence
                for key, found in problems.items()
                for field, sentence in found.items()
            }
        )
    obtained = {draft.key: _column_for(draft) for draft in creates if _wants_column(draft)}
    for key, draft in edits.items():
        if _wants_column(draft) and known(key, now).column is None:
            obtained[key] = _column_for(draft)
    try:
        with database.atomic():
            now = catalogues.hold_for_change()
            for draft in creates:
                _insert(draft, obtained.get(draft.key), now)
            for key, draft in edits.items():
                _update(known(key, now), draft, obtained.get(key), now)
            catalogues.changed()
    except IntegrityError:
        raise BadDefinition({"key": "Somebody defined this key a moment ago. Nothing was changed."}) from None
    after = catalogue(fresh=True)
    return [known(key, after) for key in (*(draft.key for draft in creates), *edits)]


def archive(key: str) -> Definition:
    """Take a property out of use; its values stay, and come back when it is restored."""
    return _set(key, archived=clock.now(), pinned=None)


def restore(key: str) -> Definition:
    """Take an archived property into use again."""
    return _set(key, archived=None)


def pin(keys: Sequence[str]) -> None:
    """Make these the pinned properties, in this order. Raises BadDefinition, LookupError."""
    if len(keys) > MOST_PINNED:
        raise BadDefinition({"pinned": f"At most {MOST_PINNED} properties are pinned. Nothing was changed."})
    with database.atomic():
        now = catalogues.hold_for_change()
        wanted = {known(key, now).id: rank for rank, key in enumerate(keys, 1)}
        for one in now.by_key.values():
            if one.pinned != wanted.get(one.id):
                Property.update(pinned=wanted.get(one.id)).where(Property.id == one.id).execute()
        catalogues.changed()


def purge(key: str) -> None:
    """Delete an archived property with all its values and their history.

    It is gone when this returns, and its key is free; a job deletes what it held. Raises BadDefinition.
    """
    with database.atomic():
        found = known(key, catalogues.hold_for_change())
        if found.archived is None or found.declared is not None:
            raise BadDefinition({"key": f"`{key}` is not archived. Only an archived property can be purged."})
        Property.update(key=f"{PURGED}{found.id}", pinned=None).where(Property.id == found.id).execute()
        enqueue(PURGE, {"property": found.id}, request_key=f"{PURGE}:{found.id}")
        catalogues.changed()


def known(key: str, now: Catalogue | None = None) -> Definition:
    """Return the definition of `key`; raises LookupError, with a sentence."""
    found = (now or catalogue()).by_key.get(key)
    if found is None:
        raise LookupError(f"There is no property `{key[:63]}`.")
    return found


def problems_of(draft: Draft, now: Catalogue, before: Definition | None) -> dict[str, str]:
    """Return what is wrong with a draft: for each field a sentence; `before` is what it changes."""
    problems = _problems_of_names(draft, now, before)
    problems |= _problems_of_type(draft, before)
    if unknown := [group for group in draft.editable_by if group not in EDITORS]:
        problems["editable_by"] = f"“{unknown[0]}” cannot edit. Choose from {', '.join(EDITORS)}."
    elif BOT in draft.editable_by and tells_consent(draft.key):
        problems["editable_by"] = "A bot sets neither consent nor verification. Let people set it."
    if draft.promotes_to is not None:
        target = now.by_key.get(draft.promotes_to)
        if draft.scope != Scope.SESSION:
            problems["promotes_to"] = "Only a session property is promoted to the user."
        elif target is None or target.scope != Scope.USER or target.is_locked:
            problems["promotes_to"] = "Choose a property of the user that a bot can fill."
        elif target.type.name != draft.type:
            problems["promotes_to"] = f"`{target.key}` has another type, so it cannot take these values."
    return problems


def _problems_of_names(draft: Draft, now: Catalogue, before: Definition | None) -> dict[str, str]:
    problems: dict[str, str] = {}
    taken = now.by_key.get(draft.key)
    if before is None:
        if not KEY.fullmatch(draft.key):
            problems["key"] = KEY_RULE
        elif taken is not None:
            problems["key"] = _clash(draft.key, taken)
        elif len(now.by_key) >= MOST_PROPERTIES:
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


def _problems_of_type(draft: Draft, before: Definition | None) -> dict[str, str]:
    if before is not None and draft.type != before.type.name:
        return {"type": f"The type stays “{before.type.label}”."}
    kind = parley().manager.property_types.get(draft.type)
    if kind is None:
        there = ", ".join(sorted(parley().manager.property_types))
        return {"type": f"There is no type “{draft.type[:40]}”. There are: {there}."}
    try:
        options = kind.Options.model_validate(draft.options)
    except ValidationError as error:
        return {
            ".".join(["options", *(str(part) for part in one["loc"])]): _sentence(one["msg"])
            for one in error.errors(include_url=False, include_input=False)
        }
    if draft.filterable and draft.scope == Scope.USER and not kind.operators:
        return {"filterable": f"{kind.label} cannot be filtered by."}
    if draft.default is not None:
        try:
            kind(options, filterable=draft.filterable).parse(draft.default)
        except Invalid as error:
            return {"default": f"The default {error}."}
    return {}


def _sentence(message: str) -> str:
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


def _wants_column(draft: Draft) -> bool:
    return draft.filterable and draft.scope == Scope.USER


def _column_for(draft: Draft) -> str:
    try:
        return columns.obtain(parley().manager.property_types[draft.type].storage)
    except columns.NoColumnLeft:
        raise BadDefinition(
            {
                "filterable": f"{columns.MOST_COLUMNS} properties can be filtered by, and there are as many. "
                "Nothing was changed. Turn off “filterable”, or purge an archived property."
            }
        ) from None


def _insert(draft: Draft, column: str | None, now: Catalogue) -> None:
    made = Property.add(
        key=draft.key,
        source=draft.source,
        scope=draft.scope,
        type=draft.type,
        storage_column=column,
        pinned=_next_rank(now) if draft.pinned else None,
        **_described(draft),
    )
    if column:
        _claim(column, made.id)


def _update(before: Definition, draft: Draft, column: str | None, now: Catalogue) -> None:
    changes = _described(draft) | {"source": draft.source}
    if draft.pinned != (before.pinned is not None):
        changes["pinned"] = _next_rank(now) if draft.pinned else None
    if column:
        # The values are moved into it by a job; until then nobody filters by what is half there.
        changes |= {"storage_column": column, "filterable": False}
        _claim(column, before.id)
        enqueue(MOVE, {"property": before.id, "column": column})
    elif before.column and before.declared is None and draft.filterable != before.filterable:
        enqueue(INDEX, {"column": before.column, "drop": not draft.filterable})
    Property.update(changed=clock.now(), **changes).where(Property.id == before.id).execute()


def _described(draft: Draft) -> dict[str, Any]:
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


def _claim(column: str, property_id: int) -> None:
    """Take a column that was obtained, unless somebody was quicker."""
    claimed = PropertyColumn.update(property=property_id, freed=None).where(
        PropertyColumn.id == int(column.removeprefix("p_")), PropertyColumn.property.is_null()
    )
    if not claimed.execute():
        raise BadDefinition({"key": "Somebody defined a property at the same moment. Try again."})
    kind = Property.get_by_id(property_id).type
    if parley().manager.property_types[kind].indexed:
        enqueue(INDEX, {"column": column})


def _next_rank(now: Catalogue) -> int:
    return max((one.pinned for one in now.by_key.values() if one.pinned is not None), default=0) + 1


def _set(key: str, **changes: Any) -> Definition:
    with database.atomic():
        found = known(key, catalogues.hold_for_change())
        if found.declared is not None:
            raise BadDefinition({"key": f"`{key}` belongs to Parley or to a channel, and stays."})
        Property.update(changed=clock.now(), **changes).where(Property.id == found.id).execute()
        catalogues.changed()
    return known(key, catalogue(fresh=True))


def _differs(row: Property, one: Any) -> bool:
    if one.source == Source.CUSTOM:
        return False  # what admins made of a built-in property is theirs
    return (row.label, row.help, row.type, row.owner, row.personal) != (
        one.label,
        one.help,
        one.type,
        one.owner,
        one.personal,
    )
