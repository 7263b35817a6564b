"""Define properties, change and archive them: each change is checked as a whole, and in use at once (P4)."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from peewee import IntegrityError

from core import catalogue as catalogues
from core import clock, columns, usage
from core.catalogue import BOT, PURGED, Catalogue, Definition, catalogue, type_of
from core.context import parley
from core.db import database, run
from core.declared import Declared
from core.drafts import EDITORS as EDITORS
from core.drafts import KEY as KEY
from core.drafts import KEY_RULE as KEY_RULE
from core.drafts import MOST_PINNED, described, problems_of, wants_column
from core.drafts import MOST_PROPERTIES as MOST_PROPERTIES
from core.drafts import BadDefinition as BadDefinition
from core.drafts import Draft as Draft
from core.drafts import draft_of as draft_of
from core.models import Property, PropertyProposal, Scope, Source, enqueue
from core.property_type import PropertyType
from core.text import clean, snippet

log = logging.getLogger(__name__)

INDEX = "properties.index"
MOVE = "properties.move"
PURGE = "properties.purge"
ADOPT = "properties.adopt"
_MOST_TRIES = 20
_BUSY = "The table of users is busy, so no column could be added. Nothing was changed. Try again in a minute."


class _Lost(Exception):
    """Somebody else took the column that this one had found."""


class Moved(Exception):
    """The definitions are no more as they were when somebody decided to change them; nothing was changed."""


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
    for key, one in known.items():
        if key in stored and stored[key].source != one.source:
            log.warning(
                "`%s` of %s is left out: an admin has defined a property of that key", key, one.section
            )
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


def apply(
    creates: Sequence[Draft] = (),
    edits: Mapping[str, Draft] | None = None,
    *,
    order: Sequence[str] | None = None,
    at: int | None = None,
) -> list[Definition]:
    """Create and change definitions, all or none, in one transaction; returns them in this order.

    `order` are the keys of all that are pinned after it. `at` is the number of the catalogue by which this
    was decided: raises Moved when it is another. Call it with no transaction open: columns are added before
    it begins. Raises BadDefinition, LookupError.
    """
    for _ in range(_MOST_TRIES):
        with suppress(_Lost):
            return _apply(creates, edits or {}, order, at)
    raise BadDefinition({"filterable": _BUSY})


def _apply(
    creates: Sequence[Draft], edits: Mapping[str, Draft], order: Sequence[str] | None, at: int | None
) -> list[Definition]:
    now = catalogue(fresh=True)
    _refuse(_problems(creates, edits, now))
    obtained: dict[str, str] = {}
    for draft in (*creates, *edits.values()):
        before = now.by_key.get(draft.key)
        if wants_column(draft) and (before is None or before.column is None):
            obtained[draft.key] = _column_for(draft, obtained.values())
    try:
        with database.atomic():
            held = catalogues.hold_for_change()
            if at not in (None, held.number):
                raise Moved
            if held.number != now.number:
                _refuse(_problems(creates, edits, held))
            else:
                _refuse(_problems_of_choices(edits, held))
            if any(known(key, held).column for key in edits if key in obtained):
                raise _Lost
            for draft in creates:
                _insert(draft, obtained.get(draft.key))
            for key, draft in edits.items():
                _update(known(key, held), draft, obtained.get(key))
            if order is not None:
                _pin(order)
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
    with database.atomic():
        now = catalogues.hold_for_change()
        for key in keys:
            if known(key, now).archived is not None:
                raise BadDefinition({"pinned": f"`{key}` is archived. Restore it to pin it."})
        _pin(keys)
        catalogues.changed()


def purge(key: str) -> None:
    """Delete an archived property with all its values and their history.

    It is gone when this returns; a job deletes what it held. Its key is free at once, that of a session's
    property when the job is done. Raises BadDefinition, LookupError.
    """
    with database.atomic():
        found = known(key, catalogues.hold_for_change())
        if found.archived is None or found.declared is not None:
            raise BadDefinition({"key": f"`{key}` is not archived. Only an archived property can be purged."})
        # Sessions keep values by key, so that of a session's property is not free yet.
        owner = key if found.scope == Scope.SESSION else ""
        Property.update(key=f"{PURGED}{found.id}", owner=owner, pinned=None).where(
            Property.id == found.id
        ).execute()
        enqueue(PURGE, {"property": found.id}, request_key=f"{PURGE}:{found.id}")
        catalogues.changed()


def known(key: str, now: Catalogue | None = None) -> Definition:
    """Return the definition of `key`; raises LookupError, with a sentence."""
    found = (now or catalogue()).by_key.get(key)
    if found is None:
        raise LookupError(f"There is no property `{snippet(clean(key), 63)}`.")
    return found


def _problems(
    creates: Sequence[Draft], edits: Mapping[str, Draft], now: Catalogue
) -> dict[str, dict[str, str]]:
    """Return what is wrong with each of these, by key and field."""
    drafts = [(draft, None) for draft in creates] + [(draft, known(key, now)) for key, draft in edits.items()]
    beside = [draft for draft, _ in drafts]
    found = {draft.key: problems_of(draft, now, before, beside) for draft, before in drafts}
    for key, number in Counter(draft.key for draft in creates).items():
        if number > 1:
            found[key]["key"] = f"`{key}` is defined {number} times here. Keep one of them."
        elif key not in now.by_key and "key" not in found[key] and (why := _taken_unseen(key)):
            found[key]["key"] = why
    if not any(found.values()):
        found |= _problems_of_choices(edits, now)
    return found


def _taken_unseen(key: str) -> str | None:
    """Say what a key belongs to that no catalogue shows, or None."""
    row = Property.get_or_none(Property.key == key)
    if row is not None:
        return f"`{key}` is the key of “{row.label}” of {row.section}, which is not loaded. Take another key."
    if Property.select().where(Property.owner == key, Property.key.startswith(PURGED)).exists():
        return f"The values of the former `{key}` are still being deleted. Try again in a minute."
    return None


def _problems_of_choices(edits: Mapping[str, Draft], now: Catalogue) -> dict[str, dict[str, str]]:
    found = {key: in_use(known(key, now), draft) for key, draft in edits.items()}
    return {key: {"options.choices": sentence} for key, sentence in found.items() if sentence}


def in_use(before: Definition, draft: Draft) -> str | None:
    """Say which choices a draft takes away that are somebody’s value, or None."""
    after = type_of(draft.type, draft.options, filterable=draft.filterable)
    dropped = after.dropped(before.type) if after.name == before.type.name else ()
    users = {one.value: usage.users_of(before, one.value) for one in dropped}
    users = {choice: number for choice, number in users.items() if number}
    if not users:
        return None
    noun = "session" if before.scope == Scope.SESSION else "user"
    # How many have which value is only for those who may see it.
    by = {
        choice: "" if before.personal else f" by {number:,} {noun}{'' if number == 1 else 's'}"
        for choice, number in users.items()
    }
    said = ", ".join(f"“{choice}” is in use{number}" for choice, number in by.items())
    advice = (
        "Retire it: it stays with them, and nobody can pick it any more."
        if len(users) == 1
        else "Retire them: they stay where they are, and nobody can pick them any more."
    )
    return f"`{before.key}`: {said}. Nothing was changed. {advice}"


def _refuse(problems: Mapping[str, Mapping[str, str]]) -> None:
    """Raise BadDefinition when there are any; of several definitions each field is named with its key."""
    if any(problems.values()):
        raise BadDefinition(
            {
                field if len(problems) == 1 else f"{key}.{field}": sentence
                for key, found in problems.items()
                for field, sentence in found.items()
            }
        )


def _column_for(draft: Draft, taken: Collection[str]) -> str:
    try:
        return columns.obtain(parley().manager.property_types[draft.type].storage, taken)
    except columns.NoColumnLeft:
        raise BadDefinition(
            {
                "filterable": f"{columns.MOST_COLUMNS} properties can be filtered by, and there are as many. "
                "Nothing was changed. Turn off “filterable”, or purge an archived property."
            }
        ) from None
    except columns.TableBusy:
        raise BadDefinition({"filterable": _BUSY}) from None


def _insert(draft: Draft, column: str | None) -> None:
    made = Property.add(
        key=draft.key,
        source=draft.source,
        scope=draft.scope,
        type=draft.type,
        storage_column=column,
        pinned=_next_rank() if draft.pinned else None,
        **described(draft),
    )
    if column:
        _claim(column, made.id)
        _index(parley().manager.property_types[draft.type], column)
    proposed = PropertyProposal.get_or_none(
        PropertyProposal.key == draft.key, PropertyProposal.refused.is_null()
    )
    if proposed is not None and BOT in draft.editable_by:
        # Whoever defines it, and however: what the bot said goes with it.
        enqueue(ADOPT, {"proposal": proposed.id, "property": made.id}, request_key=f"{ADOPT}:{made.id}")


def _update(before: Definition, draft: Draft, column: str | None) -> None:
    changes = described(draft) | {"source": draft.source}
    if draft.pinned != (before.pinned is not None):
        changes["pinned"] = _next_rank() if draft.pinned else None
    if column:
        # The values are moved into it by a job; until then nobody filters by what is half there.
        changes |= {"storage_column": column, "filterable": False}
        _claim(column, before.id)
        enqueue(MOVE, {"property": before.id, "column": column})
    elif draft.filterable != before.filterable and before.column and not before.declared:
        _index(before.type, before.column, drop=not draft.filterable)
    Property.update(changed=clock.now(), **changes).where(Property.id == before.id).execute()


def _index(kind: PropertyType | type[PropertyType], column: str, *, drop: bool = False) -> None:
    if kind.indexed:
        enqueue(INDEX, {"column": column, "drop": drop})


def _claim(column: str, property_id: int) -> None:
    if not columns.claim(column, property_id):
        raise _Lost


def _next_rank() -> int:
    [(number, last)] = run("SELECT COUNT(pinned), MAX(pinned) FROM property")
    if number >= MOST_PINNED:
        raise BadDefinition({"pinned": f"At most {MOST_PINNED} properties are pinned. Nothing was changed."})
    return (last or 0) + 1


def _pin(keys: Sequence[str]) -> None:
    if len(keys) > MOST_PINNED:
        raise BadDefinition({"pinned": f"At most {MOST_PINNED} properties are pinned. Nothing was changed."})
    wanted = {key: rank for rank, key in enumerate(keys, 1)}
    for one in Property.select(Property.id, Property.key, Property.pinned):
        if one.pinned != wanted.get(one.key):
            Property.update(pinned=wanted.get(one.key)).where(Property.id == one.id).execute()


def _set(key: str, **changes: Any) -> Definition:
    with database.atomic():
        found = known(key, catalogues.hold_for_change())
        if found.declared is not None:
            raise BadDefinition({"key": f"`{key}` belongs to Parley or to a channel, and stays."})
        Property.update(changed=clock.now(), **changes).where(Property.id == found.id).execute()
        catalogues.changed()
    return known(key, catalogue(fresh=True))


def _differs(row: Property, one: Declared) -> bool:
    if one.source == Source.CUSTOM:
        return False  # what admins made of a built-in property is theirs
    return (row.label, row.help, row.type, row.owner, row.personal) != (
        one.label,
        one.help,
        one.type,
        one.owner,
        one.personal,
    )
