"""What a bot sends and nobody defined: kept, proposed, and adopted with its values in one click (P9)."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core import clock, conversation, definitions, properties, values
from core.catalogue import Definition, Writer, catalogue, hold, tells_consent, type_of
from core.db import database, run
from core.definitions import ADOPT as ADOPT
from core.definitions import KEY, Draft
from core.models import (
    Job,
    Origin,
    PropertyOffer,
    PropertyProposal,
    Scope,
    Source,
)
from core.property_type import Invalid, PropertyType
from core.retry import Retry
from core.text import clean, clean_json, snippet

MOST_PROPOSALS = 500
LARGEST_VALUE = 2_000
_EXAMPLES = 5
_SAMPLE = 200
_STEP = 200
_WAIT = timedelta(minutes=1)
_GUESSES = ("boolean", "integer", "decimal", "date", "datetime", "email", "url", "phone", "location")


@dataclass(frozen=True)
class Proposal:
    """A key that a bot sends: how often, for how many users, some of the values, and what they look like."""

    key: str
    actor: str
    offers: int
    users: int
    first: datetime
    last: datetime
    refused: bool
    examples: Sequence[str]
    looks_like: str


def offer(user_id: int, given: Mapping[str, Any], by: Writer, message_id: int | None) -> list[str]:
    """Keep values of keys that nobody defined; call it in the transaction of the bot's answer.

    Returns a sentence for each that cannot even be proposed. A key that was refused is passed over, and so is
    what sets nothing: null, an empty text, UNSET and SKIPPED; all but SKIPPED take back what was offered.
    """
    complaints = []
    for key, value in sorted(given.items()):  # two answers that lock the same keys lock them in one order
        if not KEY.fullmatch(key):
            complaints.append(f"`{snippet(clean(key), 40)}` cannot be a key. {definitions.KEY_RULE}")
        elif tells_consent(key):
            complaints.append(f"`{key}` is locked. A bot sets neither consent nor verification.")
        elif value in (None, "", properties.UNSET_WORD):
            _withdraw(user_id, key)
        elif value != properties.SKIPPED_WORD and not _keep(user_id, key, value, by, message_id):
            complaints.append(
                f"`{key}` was not kept: {MOST_PROPOSALS} keys are proposed already, or it is too large."
            )
    return complaints


def proposals(*, refused: bool = False) -> list[Proposal]:
    """Return what is proposed and not defined yet, or what was refused; the most used first."""
    rows = PropertyProposal.select().where(PropertyProposal.refused.is_null(not refused))
    rows = rows.order_by(PropertyProposal.offers.desc(), PropertyProposal.key)
    defined = catalogue().by_key
    return [_described(row) for row in rows if row.key not in defined]


def draft_for(proposal: Proposal) -> Draft:
    """Return the definition that a proposal asks for: the bot's, of the type that its values look like."""
    return Draft(
        key=proposal.key,
        label=proposal.key.replace("_", " ").capitalize(),
        type=proposal.looks_like,
        source=Source.BOT,
        editable_by=(*Draft.model_fields["editable_by"].default, "bot"),
        filterable=proposal.looks_like != "object",
    )


def unfit(draft: Draft) -> tuple[int, list[str]]:
    """Return how many of the offered values of a key the definition would not take, and some of them."""
    kind = type_of(draft.type, draft.options, filterable=draft.filterable)
    offers = PropertyOffer.select(PropertyOffer.value).join(PropertyProposal)
    refused = [
        _said(one.value)
        for one in offers.where(PropertyProposal.key == draft.key).iterator()
        if not _all_take(kind, [one.value])
    ]
    return len(refused), list(dict.fromkeys(refused))[:_EXAMPLES]


def adopt(draft: Draft) -> Definition:
    """Define a proposed key, and give all users the values that the bot sent for them, in a job.

    Raises BadDefinition; LookupError when the key is not proposed.
    """
    _known(draft.key)
    return definitions.create(draft)  # which queues the job


def refuse(key: str) -> None:
    """Propose a key never again, and forget its values; raises LookupError."""
    row = _known(key)
    with database.atomic():
        # First the proposal, as `_keep` does: no offer comes in between.
        PropertyProposal.update(refused=clock.now()).where(PropertyProposal.id == row.id).execute()
        PropertyOffer.remove(PropertyOffer.proposal == row.id)


def reconsider(key: str) -> None:
    """Let a refused key be proposed again; raises LookupError."""
    row = _known(key)
    PropertyProposal.update(refused=None).where(PropertyProposal.id == row.id).execute()


def take_over(job: Job) -> None:
    """Write the offered values of an adopted key as the bot's (the job `properties.adopt`).

    A value that somebody set meanwhile stays; what does not fit the type is dropped, as `unfit` foretold.
    """
    property_id = job.payload["property"]
    row = PropertyProposal.get_or_none(PropertyProposal.id == job.payload["proposal"])
    if row is None:
        return
    while offers := list(PropertyOffer.select().where(PropertyOffer.proposal == row.id).limit(_STEP)):
        for one in offers:
            with database.atomic():
                conversation.lock_user(one.user_id)
                definition = hold().by_id.get(property_id)
                if definition is None:
                    return  # it was purged: what the bot offered is a proposal again
                if definition.archived is not None:
                    raise Retry("The property is archived: its values wait until it is restored.", _WAIT)
                _take(one, definition, row.actor)
                PropertyOffer.remove(PropertyOffer.proposal == row.id, PropertyOffer.user == one.user_id)
    PropertyProposal.remove(PropertyProposal.id == row.id)


def _take(one: PropertyOffer, definition: Definition, actor: str) -> None:
    """Write an offered value, unless somebody set or unset one meanwhile; the user is locked."""
    if definition.scope == Scope.USER:
        [standing] = values.read(one.user_id, [definition]).values()
        if standing.is_set or properties.standing(one.user_id, [definition]):
            return
    by = Writer(Origin.BOT, actor, groups=frozenset({"bot", *definition.editable_by}))
    given = {definition.key: one.value}
    properties.write(one.user_id, given, by, message_id=one.message_id, whole=False, quiet=True)


def _known(key: str) -> PropertyProposal:
    row: PropertyProposal | None = PropertyProposal.get_or_none(PropertyProposal.key == key)
    if row is None:
        raise LookupError(f"`{key[:63]}` is not proposed any more.")
    return row


def _keep(user_id: int, key: str, value: Any, by: Writer, message_id: int | None) -> bool:
    value = clean_json(value)
    if len(json.dumps(value, ensure_ascii=False)) > LARGEST_VALUE:
        return False
    now = clock.now()
    row = PropertyProposal.get_or_none(PropertyProposal.key == key)
    if row is None:
        if PropertyProposal.select().where(PropertyProposal.refused.is_null()).count() >= MOST_PROPOSALS:
            return False
        insert = PropertyProposal.insert(key=key, actor=by.name, first_offered=now, last_offered=now)
        insert.on_conflict_ignore().execute()
        row = PropertyProposal.get(PropertyProposal.key == key)
    counted = PropertyProposal.update(
        offers=PropertyProposal.offers + 1, last_offered=now, actor=by.name
    ).where(PropertyProposal.id == row.id, PropertyProposal.refused.is_null())
    if not counted.execute():
        return True  # it was refused: passed over
    PropertyOffer.insert(proposal=row.id, user=user_id, value=value, message=message_id, at=now).on_conflict(
        conflict_target=[PropertyOffer.proposal, PropertyOffer.user],
        update={PropertyOffer.value: value, PropertyOffer.message: message_id, PropertyOffer.at: now},
    ).execute()
    return True


def _withdraw(user_id: int, key: str) -> None:
    """Forget what was offered for a user, of whom the bot says that it is not so any more."""
    row = PropertyProposal.get_or_none(PropertyProposal.key == key)
    if row is not None:
        PropertyOffer.remove(PropertyOffer.proposal == row.id, PropertyOffer.user == user_id)


def _described(row: PropertyProposal) -> Proposal:
    offers = PropertyOffer.select(PropertyOffer.value).where(PropertyOffer.proposal == row.id)
    sample = [one.value for one in offers.order_by(PropertyOffer.at.desc()).limit(_SAMPLE)]
    [(users,)] = run("SELECT COUNT(*) FROM property_offer WHERE proposal_id = ?", row.id)
    examples = list(dict.fromkeys(_said(value) for value in sample))[:_EXAMPLES]
    return Proposal(
        key=row.key,
        actor=row.actor,
        offers=row.offers,
        users=users,
        first=row.first_offered,
        last=row.last_offered,
        refused=row.refused is not None,
        examples=examples,
        looks_like=guess(sample),
    )


def guess(sample: Sequence[Any]) -> str:
    """Return the narrowest type that takes every value of `sample`; text when none does."""
    kinds = Counter(type(value) for value in sample)
    if kinds.keys() & {dict, list}:
        return "location" if sample and _all_take(_plain("location"), sample) else "object"
    for name in _GUESSES:
        if sample and _all_take(_plain(name), sample) and not (name == "boolean" and bool not in kinds):
            return name
    return "text"


def _plain(name: str) -> PropertyType:
    return type_of(name, {}, filterable=True)


def _all_take(kind: PropertyType, sample: Sequence[Any]) -> bool:
    try:
        for value in sample:
            kind.take(value)
    except Invalid:
        return False
    return True


def _said(value: Any) -> str:
    return snippet(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 60)
