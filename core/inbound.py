"""What a webhook says becomes user, session and message: one transaction an event; twice is once."""

import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import IntegrityError, OperationalError

from core import conversation, delivery, handover, identities, search
from core.channel import AliasesChanged, AuthorKind, Delivery, Echoed, Event, Noted, Received, StatusChanged
from core.db import database
from core.models import Deployment, Identity, Message, User
from core.text import clean, clean_json

log = logging.getLogger(__name__)

_TRIES = 5
_BATCH = 100


class NotAccepted(Exception):
    """An event that could not be stored; its webhook stays in the log, marked, and can be replayed."""


@dataclass(frozen=True)
class Accepted:
    """What came of one event: identity and message, or a remark where it belongs to no user."""

    identity_id: int | None = None
    message_id: int | None = None
    remark: str | None = None
    repeated: bool = False


def accept(deployment: Deployment, event: Event, received_at: datetime) -> Accepted:
    """Store one event that reached `deployment`; the same event again changes nothing.

    Two requests that bring the same new user at once are told apart by the unique indexes: the one that comes
    second begins anew.
    """
    for attempt in range(_TRIES):
        try:
            with database.atomic():
                return _store(deployment, event, received_at)
        except IntegrityError:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


def accept_all(
    deployment: Deployment, events: Sequence[Event], received_at: datetime
) -> list[Accepted | Exception]:
    """Store the events of one webhook, each on its own: one that fails does not keep the others from it.

    They are routed to the deployment of the account that each names. A hundred share a commit where nothing
    stands against it.
    """
    results: list[Accepted | Exception] = []
    for start in range(0, len(events), _BATCH):
        batch = events[start : start + _BATCH]
        try:
            # One by itself is one transaction as it is, see accept.
            with database.atomic() if len(batch) > 1 else nullcontext():
                stored = [_attempt(deployment, event, received_at) for event in batch]
        except OperationalError:  # a deadlock between two batches ends one of them as a whole
            log.warning("a batch of %d events is stored one by one", len(batch))
            stored = [_attempt(deployment, event, received_at, alone=True) for event in batch]
        results += stored
    return results


def _attempt(
    deployment: Deployment, event: Event, received_at: datetime, *, alone: bool = False
) -> Accepted | Exception:
    try:
        routed = _route(deployment, event)
        return accept(routed, event, received_at) if routed else Accepted(remark=_elsewhere(event))
    except Exception as error:
        if isinstance(error, OperationalError) and not alone:
            raise
        log.exception("an event of %s was not stored", deployment.label)
        return error


def _route(deployment: Deployment, event: Event) -> Deployment | None:
    """Return the deployment of the account that `event` names: one callback URL can serve many."""
    if event.account is None or event.account == deployment.account:
        return deployment
    found: Deployment | None = Deployment.get_or_none(
        Deployment.channel == deployment.channel,
        Deployment.account == clean(event.account),
        Deployment.enabled,
    )
    return found


def _elsewhere(event: Event) -> str:
    return (
        f"{type(event).__name__} for the account {event.account}, which is not set up here. "
        "Add a deployment for it, then replay."
    )


def _store(deployment: Deployment, event: Event, received_at: datetime) -> Accepted:
    match event:
        case Received():
            return _received(deployment, event, received_at)
        case Echoed():
            return _echoed(deployment, event, received_at)
        case StatusChanged():
            return _status(deployment, event, received_at)
        case AliasesChanged():
            return _aliases_changed(deployment, event, received_at)
        case Noted():
            return _noted(deployment, event, received_at)
    raise NotAccepted(f"Parley does not know what to do with {type(event).__name__}.")


def _received(deployment: Deployment, event: Received, received_at: datetime) -> Accepted:
    provider_id = _provider_id(event)
    if known := _seen(deployment, provider_id):
        return Accepted(known.identity_id, known.id, repeated=True)
    aliases = identities.named(event.aliases)
    if not aliases:
        return Accepted(remark="A message that names no user.")
    at = min(event.at, received_at)
    match = identities.find(deployment, aliases) or identities.create(
        deployment, aliases, event.profile, received_at
    )
    identity, user = _locked(match, deployment)
    if not match.complete and identities.keep_aliases(identity, aliases, received_at):
        search.index(user.id)
    identities.learn(identity, user, event.profile)
    footprint = clean_json(dict(event.footprint))
    message = conversation.append(
        user,
        identity,
        conversation.Entry(
            author=AuthorKind.USER,
            author_name=identity.profile_name,
            kind=event.kind,
            text=event.text,
            payload=event.payload,
            at=at,
            provider_id=provider_id,
            reply_to=event.reply_to and clean(event.reply_to),
            footprint=footprint,
            counts=event.resets_window,
        ),
        "message_received" if event.resets_window else "conversation_noted",
    )
    _touch(identity, at, footprint, wrote=event.resets_window)
    return Accepted(identity.id, message.id)


def _echoed(deployment: Deployment, event: Echoed, received_at: datetime) -> Accepted:
    provider_id = _provider_id(event)
    if known := _seen(deployment, provider_id):  # also an echo of what Parley itself sent
        return Accepted(known.identity_id, known.id, repeated=True)
    aliases = identities.named(event.aliases)
    if not aliases:
        return Accepted(remark="An echo that names no user.")
    match = identities.find(deployment, aliases) or identities.create(
        deployment, aliases, event.profile, received_at
    )
    identity, user = _locked(match, deployment)
    message = conversation.append(
        user,
        identity,
        conversation.Entry(
            author=AuthorKind.AGENT,
            author_name=f"A colleague in {deployment.channel}",
            kind=event.kind,
            text=event.text,
            payload={**event.payload, "echo": True},
            at=min(event.at, received_at),
            provider_id=provider_id,
            reply_to=event.reply_to and clean(event.reply_to),
            state=Delivery.SENT,
        ),
        "message_sent",
    )
    handover.pause_bot(user, "A colleague answered outside Parley.")
    return Accepted(identity.id, message.id)


def _status(deployment: Deployment, event: StatusChanged, received_at: datetime) -> Accepted:
    at = min(event.at, received_at)
    provider_id = clean(event.id) if event.id else None
    message = _seen(deployment, provider_id)
    if message is None and event.ref and event.ref.isascii() and event.ref.isdigit() and len(event.ref) < 19:
        ours = (Message.id == int(event.ref)) & (Message.deployment == deployment)
        if provider_id:  # another program may send from the same account, with references that look like ours
            ours &= Message.provider_id.is_null() | (Message.provider_id == provider_id)
        message = Message.get_or_none(ours)
    if message is None:
        if provider_id is None:
            return Accepted(remark="A status that names no message.")
        delivery.hold(deployment, provider_id, event, at)
        return Accepted(remark=f"A status for {provider_id}, held until its message is known.")
    conversation.lock_user(message.user_id)
    message = Message.get_by_id(message.id)
    if provider_id and message.provider_id is None:
        Message.update(provider_id=provider_id).where(Message.id == message.id).execute()
    delivery.apply(message, event, at)
    return Accepted(message.identity_id, message.id)


def _aliases_changed(deployment: Deployment, event: AliasesChanged, received_at: datetime) -> Accepted:
    before, after = identities.named(event.before), identities.named(event.after)
    match = identities.find(deployment, before) or identities.find(deployment, after)
    if match is None:
        return Accepted(remark="A change of number or id of somebody who is not known here.")
    provider_id = _provider_id(event)
    if known := _seen(deployment, provider_id):
        return Accepted(known.identity_id, known.id, repeated=True)
    identity, user = _locked(match, deployment)
    changed = identities.keep_aliases(identity, after, received_at)
    changed = identities.follow_number(user, before, after) or changed
    if identities.end_aliases(identity, event.ended, received_at) or changed:
        search.index(user.id)
    message = conversation.append(
        user,
        identity,
        conversation.Entry(
            author=AuthorKind.SYSTEM,
            kind="aliases_changed",
            text=event.text or "This user is now known by another number or id.",
            payload=event.payload,
            at=min(event.at, received_at),
            provider_id=provider_id,
            counts=False,
        ),
        "conversation_noted",
    )
    return Accepted(identity.id, message.id)


def _noted(deployment: Deployment, event: Noted, received_at: datetime) -> Accepted:
    match = identities.find(deployment, identities.named(event.aliases))
    if match is None:
        return Accepted(remark=event.label)
    provider_id = _provider_id(event)
    if known := _seen(deployment, provider_id):
        return Accepted(known.identity_id, known.id, repeated=True)
    identity, user = _locked(match, deployment)
    entry = conversation.Entry(
        author=AuthorKind.SYSTEM,
        kind="noted",
        text=event.label,
        payload={"raw": event.raw},
        at=min(event.at, received_at),
        provider_id=provider_id,
        counts=False,
    )
    return Accepted(identity.id, conversation.append(user, identity, entry, "conversation_noted").id)


def _provider_id(event: Received | Echoed | AliasesChanged | Noted) -> str:
    """Return the provider's id, or one made of the content, by which a repeat is known as well.

    The event's time has no part in it: where the provider gives none, it is that of the receipt.
    """
    if event.id:
        return clean(event.id)
    content = clean_json(dict(event.raw)) or clean(repr(event))
    identified = json.dumps([event.account, content], sort_keys=True)
    return "content:" + hashlib.sha256(identified.encode()).hexdigest()


def _seen(deployment: Deployment, provider_id: str | None) -> Message | None:
    if provider_id is None:
        return None
    return Message.find(deployment=deployment.id, provider_id=provider_id)


def _locked(match: identities.Match, deployment: Deployment) -> tuple[Identity, User]:
    identity = conversation.lock(match.identity_id)
    identity.deployment = deployment
    return identity, identity.user


def _touch(identity: Identity, at: datetime, footprint: dict[str, Any], *, wrote: bool) -> None:
    """Move the window and the footprint forward; a webhook that comes late moves nothing back."""
    changes: dict[str, Any] = {}
    if wrote and (identity.last_inbound is None or at >= identity.last_inbound):
        changes |= {"last_inbound": at, "unreachable": None}
        if identity.opted_out_at is not None and at > identity.opted_out_at:
            changes["opted_out_at"] = None
    if footprint:
        if identity.first_touch is None or at < identity.first_touch:
            changes |= {"first_footprint": footprint, "first_touch": at}
        if identity.last_touch is None or at >= identity.last_touch:
            changes |= {"last_footprint": footprint, "last_touch": at}
    if changes:
        Identity.change(identity.id, **changes)
