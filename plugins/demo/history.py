"""What is known of a person of the demo, how it became so, and what the bot proposes: as rows, in bulk.

Does what `core.properties.write` and `core.proposals.offer` do, on rows that are not stored yet. A test tells
a person to core's own functions, and compares them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core import values
from core.catalogue import Catalogue, Definition, Writer
from core.models import (
    Message,
    Origin,
    PropertyChange,
    PropertyOffer,
    PropertyProposal,
    Scope,
)
from core.properties import CHANGED, SKIPPED_WORD
from core.values import SKIPPED, UNSET, Value
from plugins.demo.draft import Sets

_AT_ONCE = 400


@dataclass
class _Slot:
    """One property of the user or of one session, as it stands."""

    value: Value = UNSET
    held: bool = False


@dataclass(frozen=True)
class Change:
    """A row of the history; `cause` is a message's id at the provider, `session` a number of the user's."""

    definition: Definition
    row: Mapping[str, Any]
    cause: str | None
    session: int | None


@dataclass
class History:
    """Everything about the properties of one user, told in the order of time."""

    catalogue: Catalogue
    changes: list[Change] = field(default_factory=list)
    entries: dict[datetime, list[Change]] = field(default_factory=dict)
    """The changes that the entry of the conversation at a moment speaks of."""
    offers: list[tuple[str, Any, Sets, datetime]] = field(default_factory=list)
    _slots: dict[tuple[str, int | None], _Slot] = field(default_factory=dict)
    _given: set[str] = field(default_factory=set)

    def begin(self, said: Mapping[str, Any], by: Writer, at: datetime) -> None:
        """Note what a channel said of a new user."""
        for key, value in said.items():
            definition = self.catalogue.by_key[key]
            self._note(definition, _Slot(), Value(value), by, at)
            self._slots[key, None] = _Slot(Value(value))
            self._given.add(key)

    def write(self, sets: Sets, at: datetime, session: int) -> tuple[str, dict[str, Any]] | None:
        """Set properties; returns text and payload of the entry in the conversation, where there is one."""
        changed = []
        for key, given in sets.given.items():
            definition = self.catalogue.by_key.get(key)
            if definition is None:
                self.offers.append((key, given, sets, at))
                continue
            number = session if definition.scope == Scope.SESSION else None
            slot = self._slots.setdefault((key, number), _Slot())
            value = SKIPPED if given == SKIPPED_WORD else Value(definition.type.parse(given))
            if sets.by.origin == Origin.BOT and slot.held:
                continue
            if value == slot.value and not (sets.by.origin.is_person and not slot.held and value.is_set):
                continue
            change = self._note(definition, slot, value, sets.by, at, sets.cause, number)
            if value != slot.value:
                changed.append(change)
            slot.value, slot.held = value, sets.by.origin.is_person
            self._given.discard(key)
        if sets.quiet or not changed:
            return None
        self.entries[at] = changed
        labels = ", ".join(one.definition.label for one in changed)
        return f"{sets.by.name} changed {labels}.", {"keys": [one.definition.key for one in changed]}

    def of_user(self) -> dict[Definition, Value]:
        """Return how the user's properties stand in the end, beside what is there from the beginning."""
        return {
            self.catalogue.by_key[key]: slot.value
            for (key, number), slot in self._slots.items()
            if number is None and key not in self._given
        }

    def of_session(self, number: int) -> dict[str, Any] | None:
        """Return what a session keeps of its properties."""
        found = {key: slot.value.stored() for (key, own), slot in self._slots.items() if own == number}
        return found or None

    def _note(
        self,
        definition: Definition,
        before: _Slot,
        after: Value,
        by: Writer,
        at: datetime,
        cause: str | None = None,
        session: int | None = None,
    ) -> Change:
        row = {
            "property": definition.id,
            "before": before.value.stored(),
            "after": after.stored(),
            "origin": by.origin,
            "actor": by.name,
            "operator": by.operator_id,
            "at": at,
            "holds": by.origin.is_person,
        }
        self.changes.append(Change(definition, row, cause, session))
        return self.changes[-1]


def store(histories: Mapping[int, History], sessions: Mapping[tuple[int, int], int]) -> None:
    """Store the histories of users, whose messages and sessions are there already."""
    found: Any = Message.select(Message.provider_id, Message.id).where(Message.provider_id.is_null(False))
    messages: dict[str, int] = dict(found.tuples())
    _store_changes(histories, sessions, messages)
    _store_offers(histories, messages)
    for user_id, history in histories.items():
        values.store(user_id, history.of_user())


def _store_changes(
    histories: Mapping[int, History],
    sessions: Mapping[tuple[int, int], int],
    messages: Mapping[str, int],
) -> None:
    rows = [
        {
            **change.row,
            "user": user_id,
            "session": sessions[user_id, change.session] if change.session else None,
            "message": messages[change.cause] if change.cause else None,
        }
        for user_id, history in histories.items()
        for change in history.changes
    ]
    rows.sort(key=lambda row: row["at"])
    for start in range(0, len(rows), _AT_ONCE):
        PropertyChange.insert_many(rows[start : start + _AT_ONCE]).execute()
    columns = (PropertyChange.user, PropertyChange.property, PropertyChange.at, PropertyChange.id)
    stored: Any = PropertyChange.select(*columns).tuples()
    ids = {tuple(place): row for *place, row in stored}
    entries: Any = Message.select(Message.id, Message.user, Message.at, Message.payload).where(
        Message.kind == CHANGED
    )
    for message, user, at, payload in list(entries.tuples()):
        changes = [ids[user, one.definition.id, at] for one in histories[user].entries[at]]
        Message.change(message, payload={**payload, "changes": changes})


def _store_offers(histories: Mapping[int, History], messages: Mapping[str, int]) -> None:
    offered: dict[str, list[tuple[datetime, int, Any, Sets]]] = {}
    for user_id, history in histories.items():
        for key, value, sets, at in history.offers:
            offered.setdefault(key, []).append((at, user_id, value, sets))
    for key, offers in offered.items():
        offers.sort(key=lambda offer: offer[0])
        proposal = PropertyProposal.create(
            key=key,
            actor=offers[-1][3].by.name,
            offers=len(offers),
            first_offered=offers[0][0],
            last_offered=offers[-1][0],
        )
        last = {
            user_id: {
                "proposal": proposal.id,
                "user": user_id,
                "value": value,
                "message": messages[sets.cause] if sets.cause else None,
                "at": at,
            }
            for at, user_id, value, sets in offers
        }
        PropertyOffer.insert_many(list(last.values())).execute()
