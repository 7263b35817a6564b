"""How far a message of ours came: a ladder that is only climbed, whatever order the news arrives in."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from core import clock, conversation, identities, search
from core.channel import Alias, Delivery, Failure, StatusChanged
from core.db import database, tuples
from core.models import Deployment, HeldStatus, Identity, Message, record
from core.text import clean

# A total order, so that the end is the same whatever came first: a message that arrived did not fail, one
# that failed was sent.
_LADDER = (
    Delivery.QUEUED,
    Delivery.UNCONFIRMED,
    Delivery.SENT,
    Delivery.FAILED,
    Delivery.DELIVERED,
    Delivery.READ,
)
_TIMES = {
    Delivery.SENT: "sent",
    Delivery.DELIVERED: "delivered",
    Delivery.READ: "read",
    Delivery.FAILED: "failed",
}
_HELD_FOR = timedelta(days=7)


def climb(message: Message, status: Delivery, at: datetime, failure: Failure | None = None) -> bool:
    """Record that `message` came as far as `status` at `at`; returns whether that was news.

    Runs in the caller's transaction, with the user's row locked. The state never falls; each step keeps its
    earliest time, and an error stands only beside the state that it explains. What was never sent stays so.
    """
    if message.state not in _LADDER or status not in _LADDER:
        return False
    changes: dict[str, Any] = {}
    time = _TIMES.get(status)
    earliest = time is not None and (getattr(message, time) is None or at < getattr(message, time))
    if earliest:
        changes[str(time)] = at
    rises = _LADDER.index(status) > _LADDER.index(Delivery(message.state))
    if rises:
        changes["state"] = status
    if rises or (earliest and message.state == status):
        changes["error"] = _in_words(failure) if failure is not None else None
    if not changes:
        return False
    Message.update(changes).where(Message.id == message.id).execute()
    for name, value in changes.items():
        setattr(message, name, value)
    record(message.user_id, "message_status_changed", message=message.id, state=message.state)
    return True


def follow(failure: Failure, identity: Identity, at: datetime) -> None:
    """Do what a failure asks for: close the window, note an opt-out, mark as unreachable, pause.

    A failure that is told late, after the user wrote again, says nothing of the user any more.
    """
    changes: dict[str, Any] = {}
    if identity.last_inbound is None or at >= identity.last_inbound:
        if failure.closes_window:
            changes["window_closed_at"] = max(at, identity.window_closed_at or at)
        if failure.opts_out and identity.opted_out_at is None:
            changes["opted_out_at"] = at
        if failure.unreachable:
            changes["unreachable"] = failure.reason
    if changes:
        Identity.update(changes).where(Identity.id == identity.id).execute()
        for name, value in changes.items():
            setattr(identity, name, value)
    if failure.pauses_deployment:
        Deployment.update(paused_reason=failure.reason).where(
            Deployment.id == identity.deployment_id, Deployment.paused_reason.is_null()
        ).execute()


def apply(message: Message, event: StatusChanged, at: datetime) -> None:
    """Apply a provider's status to `message`, with what follows from it.

    A word that Parley does not know is kept with the message.
    """
    aliases = identities.named(event.aliases)
    if identities.keep_aliases(message.identity, aliases, clock.now()):
        search.index(message.user_id)
    if event.status is None:
        told = [*message.payload.get("provider_said", []), {"word": clean(event.word), "at": at.isoformat()}]
        Message.update(payload={**message.payload, "provider_said": told[-20:]}).where(
            Message.id == message.id
        ).execute()
        record(message.user_id, "message_status_changed", message=message.id, state=message.state)
        return
    climb(message, event.status, at, event.failure)
    if event.failure is not None:
        follow(event.failure, message.identity, at)


def hold(deployment: Deployment, provider_id: str, event: StatusChanged, at: datetime) -> None:
    """Keep a status whose message is not known yet."""
    failure = event.failure
    HeldStatus.create(
        deployment=deployment,
        provider_id=provider_id,
        status={
            "status": event.status,
            "word": clean(event.word),
            "at": at.isoformat(),
            "failure": failure and _failure_as_json(failure),
            "aliases": [[alias.kind, clean(alias.value)] for alias in event.aliases],
        },
    )


def settle(message: Message) -> None:
    """Apply the statuses that came before `message` had its provider's id.

    Runs in the caller's transaction, with the user's row locked.
    """
    held = HeldStatus.select().where(
        HeldStatus.deployment == message.deployment_id, HeldStatus.provider_id == message.provider_id
    )
    for row in held.order_by(HeldStatus.id):
        event = _status_from_json(message.provider_id or "", row.status)
        apply(message, event, event.at)
        row.delete_instance()


def settle_stragglers() -> int:
    """Settle statuses held just while their message was being recorded; drop those nobody ever claims."""
    HeldStatus.remove(HeldStatus.received < clock.now() - _HELD_FOR)
    waiting = (
        Message.select(Message.id, Message.user)
        .join(
            HeldStatus,
            on=(HeldStatus.deployment == Message.deployment)
            & (HeldStatus.provider_id == Message.provider_id),
        )
        .distinct()
    )
    found = tuples(waiting.limit(100))
    for message_id, user_id in found:
        with database.atomic():
            conversation.lock_user(user_id)
            settle(Message.get_by_id(message_id))
    return len(found)


def _in_words(failure: Failure) -> str:
    return f"{failure.reason} ({failure.code})" if failure.code else failure.reason


def _failure_as_json(failure: Failure) -> dict[str, Any]:
    kept = {name: value for name, value in vars(failure).items() if name != "retry_after"}
    return {**kept, "reason": clean(failure.reason), "code": clean(failure.code)}


def _status_from_json(provider_id: str, kept: Mapping[str, Any]) -> StatusChanged:
    return StatusChanged(
        id=provider_id,
        status=Delivery(kept["status"]) if kept["status"] else None,
        word=kept["word"],
        at=datetime.fromisoformat(kept["at"]),
        failure=Failure(**kept["failure"]) if kept["failure"] else None,
        aliases=tuple(Alias(kind, value) for kind, value in kept["aliases"]),
    )
