"""Definitions as a text file: always written the same way, and read with a plan before anything changes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import ValidationError

from core import definitions
from core.catalogue import Catalogue, Definition, catalogue
from core.context import parley
from core.definitions import Draft, draft_of, in_use
from core.drafts import MOST_PINNED, described, problems_of, sentence_of
from core.models import Source
from core.property_texts import Definitions, Dumper, Entry
from core.text import snippet

_NAMES = {"initial": "default", "section": "group"}
_MOST_TRIES = 5


@dataclass(frozen=True)
class Difference:
    """What becomes of one field, in words: such as `options.max` from `10` to `20`; empty is not set."""

    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Change:
    """A property that becomes another."""

    key: str
    draft: Draft
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Conflict:
    """What cannot be applied: a sentence. `key` is empty where it concerns no single property."""

    key: str
    sentence: str


@dataclass(frozen=True)
class Plan:
    """What a file would change; nothing is changed by making it.

    `pinned` is the new order of what is pinned, None where that stays. `remarks` say what was passed over.
    """

    source: Definitions = field(repr=False)
    created: tuple[Draft, ...] = ()
    changed: tuple[Change, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    same: tuple[str, ...] = ()
    pinned: tuple[str, ...] | None = None
    remarks: tuple[str, ...] = ()
    number: int = 0

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to apply."""
        return not self.created and not self.changed and self.pinned is None

    @property
    def seal(self) -> str:
        """Return a short text that is another as soon as the plan would do something else."""
        does = (self.created, self.changed, [one.key for one in self.conflicts], self.pinned)
        return hashlib.sha256(repr(does).encode("utf-8", "backslashreplace")).hexdigest()[:24]


class PlanRefused(ValueError):
    """A plan that is not applied; says why. Nothing was changed."""


def export(*, as_yaml: bool = False) -> str:
    """Return the definitions that admins made or changed, and what is pinned, as JSON or YAML.

    Archived properties are left out. The order is that of the keys, and every field is written: a file says
    all that it is about.
    """
    now = catalogue(fresh=True)
    own = sorted((one for one in now.by_key.values() if _is_exported(one)), key=lambda one: one.key)
    found = {
        "pinned": [one.key for one in now.active if one.pinned is not None],
        "properties": [_written(draft_of(one)) for one in own],
    }
    if as_yaml:
        return yaml.dump(found, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def plan(source: Definitions) -> Plan:
    """Return what applying `source` would do."""
    now = catalogue(fresh=True)
    conflicts: list[Conflict] = []
    drafts: dict[str, Draft] = {}
    seen: set[str] = set()
    for entry in source.entries:
        if entry.key in seen:
            conflicts.append(Conflict(entry.key, f"`{entry.key}` stands in the file twice."))
            drafts.pop(entry.key, None)
            continue
        seen.add(entry.key)
        draft = _draft(entry, now, keeps_pins=source.pinned is not None)
        if isinstance(draft, str):
            conflicts.append(Conflict(entry.key, draft))
        else:
            drafts[entry.key] = draft
    conflicts += _conflicts(drafts, now)
    created = tuple(draft for key, draft in drafts.items() if key not in now.by_key)
    changes = [_change(now.by_key[key], draft) for key, draft in drafts.items() if key in now.by_key]
    pinned, remarks = _order(source, now, drafts, conflicts)
    return Plan(
        source=source,
        created=created,
        changed=tuple(one for one in changes if one.differences),
        conflicts=tuple(conflicts),
        same=tuple(one.key for one in changes if not one.differences),
        pinned=pinned,
        remarks=(*source.remarks, *remarks),
        number=now.number,
    )


def apply(wanted: Plan, *, skip_conflicts: bool = False) -> Plan:
    """Do what a plan says, all or nothing, and return it.

    Raises PlanRefused when it would do something else by now, and when something is in conflict unless that
    is to be skipped; BadDefinition when somebody was quicker.
    """
    if wanted.conflicts and not skip_conflicts:
        raise PlanRefused(
            f"{len(wanted.conflicts)} of the definitions are in conflict. Nothing was changed. "
            "Mend the file, or skip those."
        )
    for _ in range(_MOST_TRIES):
        now = plan(wanted.source)
        if now.seal != wanted.seal:
            raise PlanRefused(
                "The properties changed since this plan was made. Nothing was applied. Look at the new plan."
            )
        edits = {one.key: one.draft for one in now.changed}
        try:
            if not now.is_empty:
                definitions.apply(now.created, edits, order=now.pinned, at=now.number)
        except definitions.Moved:
            continue  # whatever moved, the plan is made anew and compared
        return now
    raise PlanRefused("The properties are being changed all the time. Nothing was applied. Try again.")


def _is_exported(one: Definition) -> bool:
    if one.is_locked or one.archived is not None:
        return False
    if one.declared is None:
        return True
    brought = one.declared
    now = draft_of(one)
    return (
        now.label,
        now.help,
        now.options,
        now.default,
        now.group,
        set(now.editable_by),
        now.personal,
    ) != (
        brought.label,
        brought.help,
        {**brought.options},
        None,
        brought.section,
        set(brought.editable_by),
        brought.personal,
    )


def _written(draft: Draft) -> dict[str, Any]:
    found = draft.model_dump(mode="json", exclude={"pinned", "promotes_to"})
    if draft.promotes_to:
        found["promotes_to"] = draft.promotes_to
    return found


def _draft(entry: Entry, now: Catalogue, *, keeps_pins: bool) -> Draft | str:
    """Return what an entry makes of its property, or the sentence that says why it cannot."""
    if entry.problem:
        return entry.problem
    before = now.by_key.get(entry.key)
    if before is not None and before.is_locked:
        whose = "Parley’s own" if before.source == Source.SYSTEM else f"of {before.section}"
        return f"`{entry.key}` is the key of the property “{before.label}”, which is {whose} and locked."
    if before is not None and before.archived is not None:
        return f"`{entry.key}` is the key of the archived property “{before.label}”. Restore that first."
    if before is not None:
        values = {**draft_of(before).model_dump(), **entry.given}
        if values["scope"] != "session":
            values["promotes_to"] = entry.given.get("promotes_to")
    else:
        values = {"key": entry.key, **entry.assumed, **entry.given}
        kind = parley().manager.property_types.get(str(values.get("type", "text")))
        if kind is not None and not kind.operators:
            values.setdefault("filterable", values.get("scope") == "session")
    if keeps_pins:
        values["pinned"] = before is not None and before.pinned is not None
    try:
        return Draft.model_validate(values)
    except ValidationError as error:
        one = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in one["loc"])
        return f"`{entry.key}`: {where} cannot be read. {sentence_of(one['msg'])}"


def _conflicts(drafts: dict[str, Draft], now: Catalogue) -> list[Conflict]:
    """Take out of `drafts` what cannot be, until the rest fits together, and return why."""
    found: list[Conflict] = []
    while True:
        wrong = {
            key: problems
            for key, draft in drafts.items()
            if (problems := problems_of(draft, now, now.by_key.get(key), list(drafts.values())))
        }
        if not wrong:
            break
        for key, problems in wrong.items():
            said = " ".join(dict.fromkeys(problems.values()))
            found.append(Conflict(key, said if f"`{key}`" in said else f"`{key}`: {said}"))
            del drafts[key]
    for key in [key for key in drafts if key in now.by_key]:
        if sentence := in_use(now.by_key[key], drafts[key]):
            found.append(Conflict(key, sentence))
            del drafts[key]
    return found


def _change(before: Definition, draft: Draft) -> Change:
    was, becomes = _flat(draft_of(before)), _flat(draft)
    names = dict.fromkeys([*was, *becomes])
    differences = tuple(
        Difference(name, _said(was.get(name)), _said(becomes.get(name)))
        for name in names
        if was.get(name) != becomes.get(name)
    )
    return Change(before.key, draft, differences)


def _flat(draft: Draft) -> dict[str, Any]:
    """Return every field of a draft in normal form, each option by itself."""
    kind = parley().manager.property_types.get(draft.type)
    if kind is None:
        return draft.model_dump(mode="json")
    fields = {_NAMES.get(name, name): value for name, value in described(draft).items()}
    del fields["options"]
    options = kind.Options.model_validate(draft.options).model_dump(mode="json")
    return {
        "type": draft.type,
        "source": draft.source.value,
        "pinned": draft.pinned,
        **fields,
        **{f"options.{name}": value for name, value in options.items()},
    }


def _said(value: Any) -> str:
    if value is None or value == [] or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return snippet(", ".join(value), 200)
    if isinstance(value, list) and all(isinstance(one, Mapping) and "value" in one for one in value):
        return snippet(", ".join(_choice(one) for one in value), 200)
    return snippet(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 200)


def _choice(one: Mapping[str, Any]) -> str:
    label = f"={one['label']}" if one.get("label") not in ("", None, one["value"]) else ""
    return f"{one['value']}{label}{' (retired)' if one.get('retired') else ''}"


def _order(
    source: Definitions, now: Catalogue, drafts: Mapping[str, Draft], conflicts: list[Conflict]
) -> tuple[tuple[str, ...] | None, Sequence[str]]:
    """Return the order of what is to be pinned, where the file changes it, and which keys it passes over."""
    if source.pinned is None:
        return None, ()
    there = {one.key for one in now.active} | drafts.keys()
    wanted = tuple(dict.fromkeys(key for key in source.pinned if key in there))
    remarks = [
        f"`{snippet(key, 63)}` is not pinned: there is no such property in use."
        for key in source.pinned
        if key not in there
    ]
    if len(wanted) > MOST_PINNED:
        conflicts.append(
            Conflict("", f"The file pins {len(wanted)} properties. At most {MOST_PINNED} can be.")
        )
        return None, remarks
    standing = tuple(one.key for one in now.active if one.pinned is not None)
    return (wanted if wanted != standing else None), remarks
