"""All properties that there are, as one immutable snapshot that every process renews within half a second.

The table of definitions has a number that each change counts up; a process reads it now and then, and reads
the definitions anew when it moved.
"""

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property
from itertools import pairwise
from typing import Any

from flask import current_app
from pydantic import ConfigDict, ValidationError

from core import live
from core.context import parley
from core.db import database, is_sqlite, run
from core.declared import BUILT_IN, OF_LAST_IDENTITY, SYSTEM, Declared, of_channel
from core.models import Origin, Property, Scope, Source
from core.property_type import Editor, Invalid, Options, PropertyType, Rendered, Storage
from core.text import snippet

GOOD_FOR_SECONDS = 0.5
BOT, API = "bot", "api"
PURGED = "~"
"""What the key of a property begins with whose values are being deleted."""
_EXTENSION = "parley.catalogue"
_LOCK = "parley.properties"
_lock = threading.Lock()
_changing = threading.local()


@dataclass(frozen=True)
class Writer:
    """Who sets a value: `groups` are the names in a definition's `editable by` that are theirs."""

    origin: Origin
    name: str = ""
    operator_id: int | None = None
    groups: frozenset[str] = frozenset()
    sees_personal: bool = True


@dataclass(frozen=True, eq=False)
class Definition:
    """One property, as it is defined now (P4)."""

    id: int
    key: str
    label: str
    help: str
    type: PropertyType
    scope: Scope
    source: Source
    owner: str
    section: str
    pinned: int | None
    editable_by: frozenset[str]
    personal: bool
    filterable: bool
    column: str | None
    initial: Any
    promotes_to: str | None
    archived: datetime | None
    changed: datetime
    filled: int | None
    counted: datetime | None
    declared: Declared | None
    conversion: Mapping[str, Any] | None = None

    @property
    def is_locked(self) -> bool:
        """Say whether nobody edits it: Parley computes it, or a channel says it."""
        return self.source in (Source.SYSTEM, Source.CHANNEL)

    @property
    def is_built_in(self) -> bool:
        """Say whether Parley brings it, with a column of its own; it can be edited, but not taken away."""
        return self.declared is not None and not self.is_locked

    @property
    def can_be_asked(self) -> bool:
        """Say whether a condition can ask of it (A2)."""
        if not self.type.operators:
            return False
        if self.scope == Scope.SESSION:
            return True
        if self.is_locked and self.declared is not None:
            return bool(self.column or self.declared.footprint or self.key in OF_LAST_IDENTITY)
        return self.filterable and self.column is not None

    @property
    def is_converting(self) -> bool:
        """Say whether its values are being brought to another type; it is edited when that is done."""
        return self.conversion is not None and self.conversion["state"] != "failed"

    def kept(self, value: Any) -> Any:
        """Return a value out of JSON in the type’s normal form: a former type’s may not be rewritten yet."""
        if value is None or self.conversion is None or self.conversion["state"] != "settling":
            return value
        try:
            return self.type.take(value)
        except Invalid:
            return value

    def former(self, value: Any) -> str | None:
        """Return a value of the history as text where a former type wrote it; None for one of this type."""
        try:
            if self.type.take(value) == value:
                return None
        except Invalid:
            pass
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def lock(self, writer: Writer) -> str | None:
        """Say in a sentence why `writer` may not set it, or None where they may."""
        if self.source == Source.SYSTEM:
            return "Parley computes this property, so nobody can edit it."
        if self.source == Source.CHANNEL:
            return f"{self.section} says this, so nobody can edit it."
        if self.archived is not None:
            return "This property is archived. Restore it to edit it."
        if writer.origin == Origin.BOT and tells_consent(self.key):
            return "A bot sets neither consent nor verification."
        if writer.origin not in (Origin.CHANNEL, Origin.SYSTEM) and not self.editable_by & writer.groups:
            return f"Only {self.editors} may edit this." if self.editable_by else "Nobody may edit this."
        if self.personal and not writer.sees_personal:
            return "Your role does not see this value, so it cannot edit it."
        if isinstance(self.type, MissingType):
            return self.type.reason
        return None

    @cached_property
    def editors(self) -> str:
        """Return who may edit it, in words."""
        words = {"admin": "admins", "builder": "builders", "agent": "agents", BOT: "bots", API: "the API"}
        named = [word for group, word in words.items() if group in self.editable_by]
        return " and ".join(filter(None, (", ".join(named[:-1]), *named[-1:]))) or "nobody"


class AnyOptions(Options):
    """Options whose type is not there to read them; they are kept as they are."""

    model_config = ConfigDict(extra="allow")


class MissingType(PropertyType):
    """Stands for a type that is not loaded, or does not take the options any more: values can be read.

    It has the name, the options and the column's SQL type of what it stands for.
    """

    label = "Type not available"
    icon = "alert"
    editor = Editor.LINE
    Options = AnyOptions

    def __init__(self, name: str, options: Mapping[str, Any], storage: Storage, reason: str) -> None:
        super().__init__(AnyOptions.model_validate(dict(options)), filterable=False)
        self.name = name  # type: ignore[misc]  # an instance stands for whatever type is missing
        self.storage = storage  # type: ignore[misc]
        self.reason = reason

    def parse(self, given: Any) -> Any:
        """Take nothing."""
        raise Invalid("has a type that is not available now")

    def render(self, value: Any, zone: tzinfo | None = None) -> Rendered:
        """Return a value as it is stored."""
        return Rendered(snippet(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))


@dataclass(frozen=True)
class Catalogue:
    """Every definition, archived ones too, by key; `number` is the version that this is."""

    number: int
    by_key: Mapping[str, Definition]

    @cached_property
    def by_id(self) -> Mapping[int, Definition]:
        """Return the definitions by id."""
        return {one.id: one for one in self.by_key.values()}

    @cached_property
    def active(self) -> Sequence[Definition]:
        """Return what is not archived: pinned ones first, in the admin's order, then by section and label."""
        found = [one for one in self.by_key.values() if one.archived is None]
        return sorted(found, key=lambda one: (one.pinned is None, one.pinned or 0, one.section, one.label))

    @cached_property
    def of_users(self) -> Sequence[Definition]:
        """Return the active properties of users."""
        return [one for one in self.active if one.scope == Scope.USER]

    @cached_property
    def of_sessions(self) -> Sequence[Definition]:
        """Return the active properties of sessions."""
        return [one for one in self.active if one.scope == Scope.SESSION]

    @cached_property
    def stored(self) -> Sequence[Definition]:
        """Return the user properties whose values are kept in a column or in JSON: those not computed."""
        return [one for one in self.by_key.values() if one.scope == Scope.USER and not one.is_locked]

    @cached_property
    def in_columns(self) -> Sequence[Definition]:
        """Return those of them with a column."""
        return [one for one in self.stored if one.column]

    @cached_property
    def with_initial(self) -> Sequence[Definition]:
        """Return the properties that new users begin with."""
        return [
            one
            for one in self.stored
            if one.initial is not None and one.archived is None and not isinstance(one.type, MissingType)
        ]

    @cached_property
    def session_begin(self) -> Mapping[str, Any] | None:
        """Return what new sessions begin with, as they keep it."""
        return {
            one.key: {"value": one.initial}
            for one in self.of_sessions
            if one.initial is not None and not isinstance(one.type, MissingType)
        } or None


def catalogue(*, fresh: bool = False) -> Catalogue:
    """Return the catalogue, at most half a second old; `fresh` looks at the database now."""
    kept: dict[str, tuple[float, Catalogue]] = current_app.extensions.setdefault(_EXTENSION, {})
    moment = time.monotonic()
    known = kept.get("now")
    if known and not fresh and moment - known[0] < GOOD_FOR_SECONDS:
        return known[1]
    number = _number()
    if database.in_transaction() and database.top_transaction() is getattr(_changing, "transaction", None):
        return _read(number)  # what may still be rolled back is nobody else's
    with _lock:
        known = kept.get("now")
        found = known[1] if known and known[1].number == number else _read(number)
        kept["now"] = moment, found
    return found


def hold() -> Catalogue:
    """Return the catalogue as it will be until the running transaction ends.

    Lock the user first, as everyone does: who changes definitions waits for no user.
    """
    if not is_sqlite():
        database.execute_sql("SELECT pg_advisory_xact_lock_shared(hashtext(%s))", (_LOCK,))
    return catalogue(fresh=True)


def hold_for_change() -> Catalogue:
    """Return the catalogue, and keep everybody else from reading values by it, and from changing it."""
    if not is_sqlite():
        database.execute_sql("SELECT pg_advisory_xact_lock(hashtext(%s))", (_LOCK,))
    return catalogue(fresh=True)


def changed() -> None:
    """Count the version up; call it in the transaction that changes a definition."""
    run(
        "INSERT INTO property_version (id, number) VALUES (1, 1) "
        "ON CONFLICT (id) DO UPDATE SET number = property_version.number + 1"
    )
    live.tell_everyone(live.DEFINITIONS_CHANGED)
    kept = current_app.extensions.setdefault(_EXTENSION, {})
    _changing.transaction = database.top_transaction()
    database.after_commit(kept.clear)  # this process knows at once, the others within half a second


def declared() -> dict[str, Declared]:
    """Return what code declares, by key; a key of Parley's own wins over a channel's."""
    channels = parley().manager.channels.values()
    found = [*(one for channel in channels for one in of_channel(channel)), *SYSTEM, *BUILT_IN]
    return {one.key: one for one in found}


def type_of(
    name: str, options: Mapping[str, Any], *, filterable: bool, storage: Storage | None = None
) -> PropertyType:
    """Return the type called `name` with these options; one that cannot be had is a MissingType.

    `storage` is the SQL type of the column that has the values, which the missing one keeps.
    """
    found = parley().manager.property_types.get(name)
    if found is None:
        reason = f"No loaded plugin brings the type `{name}`, so nobody can edit this."
        return MissingType(name, options, storage or Storage.TEXT, reason)
    try:
        return found(found.Options.model_validate(options), filterable=filterable)
    except ValidationError:
        reason = f"The type `{name}` does not take these options any more. Edit the property."
        return MissingType(name, options, storage or found.storage, reason)


def tells_consent(key: str) -> bool:
    """Say whether a key speaks of consent or verification, which no bot and no visitor may claim."""
    words = key.split("_")
    pairs = ["".join(pair) for pair in pairwise(words)]
    return bool(_CONSENT & {*words, *pairs}) or any(stem in "".join(words) for stem in _CONSENT_STEMS)


_CONSENT_STEMS = ("consent", "verified", "verification")
_CONSENT = frozenset(
    [
        "optin",
        "optout",
        "optedin",
        "optedout",
        "unsubscribe",
        "unsubscribed",
    ]
)


def _number() -> int:
    found = run("SELECT number FROM property_version WHERE id = 1")
    return int(found[0][0]) if found else 0


def _read(number: int) -> Catalogue:
    known = declared()
    rows: Iterable[Property] = Property.select().order_by(Property.id)
    storages = {
        f"p_{one}": Storage(storage) for one, storage in run("SELECT id, storage FROM property_column")
    }
    return Catalogue(
        number, {row.key: _definition(row, known.get(row.key), storages) for row in rows if _is_here(row)}
    )


def _is_here(row: Property) -> bool:
    """Say whether a row is neither being purged nor of a channel that is not loaded."""
    if row.key.startswith(PURGED):
        return False
    return row.source != Source.CHANNEL or row.owner in parley().manager.channels


def _definition(row: Property, known: Declared | None, storages: Mapping[str, Storage]) -> Definition:
    if known is not None and known.source != row.source:
        known = None  # an admin had the key first
    return Definition(
        id=row.id,
        key=row.key,
        label=row.label,
        help=row.help,
        type=type_of(
            row.type,
            row.options,
            filterable=row.filterable,
            storage=storages.get(row.storage_column or ""),
        ),
        scope=Scope(row.scope),
        source=Source(row.source),
        owner=row.owner,
        section=row.section,
        pinned=row.pinned,
        editable_by=frozenset(row.editable_by),
        personal=row.personal,
        filterable=row.filterable,
        column=known.column if known and known.column else row.storage_column,
        initial=row.initial,
        promotes_to=row.promotes_to,
        archived=row.archived,
        changed=row.changed,
        filled=row.filled,
        counted=row.counted,
        declared=known,
        conversion=row.conversion,
    )
