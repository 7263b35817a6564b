"""A user's conversation: the one function that adds an entry to it, and the pages in which it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core import clock, sessions
from core.catalogue import catalogue
from core.channel import AuthorKind, Delivery
from core.cursor import Cursor
from core.db import dictionaries, is_sqlite, tuples
from core.models import Deployment, Identity, Message, User, record
from core.text import clean, clean_json, snippet


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is to be added to a conversation.

    `counts` is False for what is no act of writing, such as an edit or a notice.
    """

    author: AuthorKind
    kind: str
    at: datetime
    text: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    author_name: str | None = None
    operator_id: int | None = None
    provider_id: str | None = None
    request_key: str | None = None
    reply_to: str | None = None
    state: Delivery = Delivery.RECEIVED
    error: str | None = None
    footprint: Mapping[str, Any] = field(default_factory=dict)
    counts: bool = True


def lock_user(user_id: int) -> User:
    """Return the user's row, locked until the transaction ends."""
    user = User.find(id=user_id, locked=True)
    if user is None:
        raise LookupError(f"There is no user {user_id}.")
    return user


def lock(identity_id: int) -> Identity:
    """Return an identity with its `user`, both rows locked until the transaction ends.

    All that is done to a user, on whatever channel, comes one after the other in this way.
    """
    found = Identity.find(id=identity_id)
    if found is None:
        raise LookupError(f"There is no identity {identity_id}.")
    user = lock_user(
        found.user_id
    )  # first, as everyone does: two who lock in other orders lock each other out
    identity = found if is_sqlite() else Identity.find(id=identity_id, locked=True) or found
    identity.user = user
    return identity


def answered_by(entry: Entry) -> str | None:
    """Return who a session is to name as one that answered in it; None for the user's own."""
    if entry.author is AuthorKind.USER:
        return None
    return entry.author_name or entry.author if entry.author is AuthorKind.AGENT else entry.author


def append(user: User, identity: Identity, entry: Entry, event: str) -> Message:
    """Add `entry` to the conversation of `user`, whose row is locked, and record `event`.

    Keeps in step what lists show of it: session, counters, last message. What does not count, such as an
    entry of the system, belongs to the session around it and changes none of these.
    """
    text = clean(entry.text)
    if entry.author is AuthorKind.SYSTEM:
        session = None
    elif not entry.counts:
        session = sessions.around(identity, entry.at)
    else:
        session = sessions.join(
            user,
            identity,
            entry.at,
            inbound=entry.author is AuthorKind.USER,
            handler=answered_by(entry),
            footprint=entry.footprint,
            properties=catalogue().session_begin,
        )
        _keep_in_step(user, identity, entry, text)
    message = Message.add(
        user=user.id,
        identity=identity.id,
        session=session,
        deployment=identity.deployment_id,
        at=entry.at,
        author=entry.author,
        author_name=clean(entry.author_name) if entry.author_name else None,
        operator=entry.operator_id,
        kind=entry.kind,
        text=text,
        payload=clean_json(dict(entry.payload)),
        reply_to=entry.reply_to,
        provider_id=entry.provider_id,
        request_key=entry.request_key,
        state=entry.state,
        error=entry.error,
    )
    record(user.id, event, message=message.id)
    return message


def note(user: User, identity: Identity, kind: str, text: str, **payload: Any) -> Message:
    """Add an entry of the system: something that happened, said in one sentence."""
    entry = Entry(
        author=AuthorKind.SYSTEM, kind=kind, at=clock.now(), text=text, payload=payload, counts=False
    )
    return append(user, identity, entry, "conversation_noted")


def page(
    user_id: int,
    *,
    before: Cursor | None = None,
    after: Cursor | None = None,
    limit: int = 50,
    authors: Sequence[str] = (),
    deployment_ids: Sequence[int] = (),
    identity_id: int | None = None,
) -> list[dict[str, Any]]:
    """Return up to `limit` entries, oldest first: the newest ones, those before a place, or those after one.

    Each has the columns of a message and `channel`, the name of its channel.
    """
    place = (Message.at, Message.id)
    query = Message.select(Message, Deployment.channel).join(Deployment)
    query = (
        query.where(Message.identity == identity_id) if identity_id else query.where(Message.user == user_id)
    )
    if authors:
        query = query.where(Message.author.in_(list(authors)))
    if deployment_ids:
        query = query.where(Message.deployment.in_(list(deployment_ids)))
    if after is not None:
        return dictionaries(query.where(_beyond(after, forward=True)).order_by(*place).limit(limit))
    if before is not None:
        query = query.where(_beyond(before, forward=False))
    newest_first = query.order_by(*(column.desc() for column in place)).limit(limit)
    return dictionaries(newest_first)[::-1]


def place_of(row: Mapping[str, Any]) -> Cursor:
    """Return where an entry of `page` stands."""
    return Cursor(row["at"], row["id"])


def reactions_to(user_id: int, provider_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the emoji that stand on each of these messages.

    An author's later reaction replaces the earlier one.
    """
    if not provider_ids:
        return {}
    rows = (
        Message.select(Message.reply_to, Message.author, Message.operator, Message.payload)
        .where(Message.user == user_id, Message.kind == "reaction", Message.reply_to.in_(list(provider_ids)))
        .order_by(Message.at, Message.id)
    )
    latest: dict[tuple[str, str, int | None], str] = {}
    for target, author, operator, payload in tuples(rows):
        latest[target, author, operator] = payload.get("emoji") or ""
    found: dict[str, list[str]] = {}
    for (target, _, _), emoji in latest.items():
        if emoji:
            found.setdefault(target, []).append(emoji)
    return found


def _beyond(place: Cursor, *, forward: bool) -> Any:
    if forward:
        return (Message.at >= place.at) & ((Message.at > place.at) | (Message.id > place.id))
    return (Message.at <= place.at) & ((Message.at < place.at) | (Message.id < place.id))


def _keep_in_step(user: User, identity: Identity, entry: Entry, text: str) -> None:
    changes: dict[str, Any] = {}
    if user.last_message_at is None or entry.at >= user.last_message_at:
        changes |= {
            "last_message_at": entry.at,
            "last_message_author": entry.author,
            "last_message_name": entry.author_name,
            "last_message_text": snippet(text) or f"[{entry.kind}]",
        }
    if entry.author is AuthorKind.USER:
        counter = "received_count"
        if user.last_seen is None or entry.at >= user.last_seen:
            changes |= {"last_seen": entry.at, "last_identity": identity.id}
        if user.first_seen is None or entry.at < user.first_seen:
            changes["first_seen"] = entry.at
    else:
        counter = "sent_count"
        if user.last_identity_id is None:
            changes["last_identity"] = identity.id
    User.change(user.id, counter, **changes)
    for name, value in changes.items():
        setattr(user, name, value)
