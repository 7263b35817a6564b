"""Write drafts to the database in bulk, as core would have written them one by one.

A test tells a person's conversation to core's own functions, and compares every column.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from core import search
from core.catalogue import Writer, catalogue
from core.channel import AuthorKind, Delivery
from core.conversation import Entry, answered_by
from core.db import database
from core.models import Deployment, Handler, IdentityAlias, Message, Origin, Session, User
from core.models import Identity as StoredIdentity
from core.models.base import public_key
from core.text import snippet
from plugins.demo import history
from plugins.demo.draft import Draft, Identity, Sets
from plugins.demo.history import History

SAID = ("name", "email", "phone", "language")
"""What a channel says of somebody new."""
_AT_ONCE = 400


def store(drafts: Iterable[Draft], deployments: Mapping[str, Deployment], now: datetime) -> int:
    """Store all drafts in one transaction; returns how many users there are."""
    rows = [_Rows(draft, deployments, now) for draft in drafts]
    with database.atomic():
        users = _insert(User, [one.user for one in rows], User.key)
        for one in rows:
            for identity in one.identities.values():
                identity["user"] = users[one.user["key"]]
        identities = _insert(
            StoredIdentity, [i for one in rows for i in one.identities.values()], StoredIdentity.key
        )
        _insert_all(IdentityAlias, [alias for one in rows for alias in one.aliases(identities)])
        _insert_all(Session, [session for one in rows for session in one.sessions_for(users, identities)])
        found: Any = Session.select(Session.user, Session.number, Session.id).tuples()
        sessions = {(user, number): row for user, number, row in found}
        messages = [message for one in rows for message in one.messages_for(users, identities, sessions)]
        _insert_all(Message, sorted(messages, key=lambda row: row["at"]))
        history.store({users[one.user["key"]]: one.history for one in rows}, sessions)
        for one in rows:
            user_id = users[one.user["key"]]
            last = identities[one.last_identity["key"]]
            User.update(last_identity=last).where(User.id == user_id).execute()
            search.index(user_id)
    return len(rows)


class _Rows:
    """The rows of one draft, made in the order in which things happened."""

    def __init__(self, draft: Draft, deployments: Mapping[str, Deployment], now: datetime) -> None:
        self._draft = draft
        self._deployments = deployments
        self._placed = sorted(draft.placed, key=lambda one: one.entry.at)
        first = self._placed[0].entry.at
        locale = draft.person.locale
        whatsapp = any(identity.deployment != "shop" for identity in draft.identities)
        self.identities: dict[int, dict[str, Any]] = {
            id(identity): self._identity(identity) for identity in draft.identities
        }
        self.last_identity = next(iter(self.identities.values()))
        self.user: dict[str, Any] = {
            "key": public_key(),
            "name": draft.person.name if draft.named else None,
            "email": draft.person.email if draft.named and not whatsapp else None,
            "phone": draft.person.phone if whatsapp else None,
            "language": locale.language,
            "country": locale.country,
            "timezone": locale.timezone,
            "created": first,
            "handler": Handler.BOT,
            "handler_since": first,
            "agent": None,
            "agent_active": None,
            "claimed_from": None,
            "first_seen": None,
            "last_seen": None,
            "last_message_at": None,
            "last_message_author": None,
            "last_message_name": None,
            "last_message_text": None,
            "received_count": 0,
            "sent_count": 0,
            "session_count": 0,
        }
        self.sessions: list[dict[str, Any]] = []
        self._running: dict[int, dict[str, Any]] = {}
        self._session_of: dict[int, int] = {}
        self._session_of_id: dict[str | None, int] = {}
        self.history = History(catalogue())
        said = {key: self.user[key] for key in SAID if self.user[key] is not None}
        self.history.begin(said, Writer(Origin.CHANNEL, self._came_by.label), first)
        self._told: dict[int, Entry] = {}
        for number, one in enumerate(self._placed):
            if one.sets is not None:
                self._set(number, one.sets, one.entry)
            else:
                self._told[number] = one.entry
                self._tell(number, one.identity, one.entry)
        for session in self.sessions:
            session["properties"] = self.history.of_session(session["number"])
        self.user |= draft.fields

    def aliases(self, identities: Mapping[str, int]) -> Iterable[dict[str, Any]]:
        """Yield the rows of the aliases."""
        for identity in self._draft.identities:
            row = self.identities[id(identity)]
            for alias in identity.aliases:
                yield {
                    "deployment": row["deployment"],
                    "kind": alias.kind,
                    "value": alias.value,
                    "identity": identities[row["key"]],
                    "valid_from": row["created"],
                }

    def sessions_for(
        self, users: Mapping[str, int], identities: Mapping[str, int]
    ) -> Iterable[dict[str, Any]]:
        """Yield the rows of the sessions."""
        for session in self.sessions:
            yield {**session, "user": users[self.user["key"]], "identity": identities[session["identity"]]}

    def messages_for(
        self, users: Mapping[str, int], identities: Mapping[str, int], sessions: Mapping[tuple[int, int], int]
    ) -> Iterable[dict[str, Any]]:
        """Yield the rows of the messages."""
        user_id = users[self.user["key"]]
        for number, entry in self._told.items():
            row = self.identities[id(self._placed[number].identity)]
            session = self._session_of.get(number)
            yield {
                "user": user_id,
                "identity": identities[row["key"]],
                "session": None if session is None else sessions[user_id, session],
                "deployment": row["deployment"],
                "at": entry.at,
                "author": entry.author,
                "author_name": entry.author_name,
                "operator": entry.operator_id,
                "kind": entry.kind,
                "text": entry.text,
                "payload": dict(entry.payload),
                "reply_to": entry.reply_to,
                "provider_id": entry.provider_id,
                "state": entry.state,
                "error": entry.error,
                **_steps(entry),
            }

    def _identity(self, identity: Identity) -> dict[str, Any]:
        deployment = self._deployments[identity.deployment]
        own = [one.entry.at for one in self._placed if one.identity is identity and one.sets is None]
        row: dict[str, Any] = {
            "key": public_key(16),
            "deployment": deployment.id,
            "profile_name": identity.profile_name,
            "created": min(own, default=self._placed[0].entry.at),
            "last_inbound": None,
            "opted_out_at": None,
            "unreachable": None,
            "first_footprint": {},
            "last_footprint": {},
            "first_touch": None,
            "last_touch": None,
        }
        return row | identity.fields

    @property
    def _came_by(self) -> Deployment:
        """Return the deployment on which this person was first heard of."""
        return self._deployments[self._placed[0].identity.deployment]

    def _set(self, number: int, sets: Sets, entry: Entry) -> None:
        """Set properties, and tell of it where something changed."""
        session = self._session_of_id.get(sets.cause) or self.user["session_count"]
        if shown := self.history.write(sets, entry.at, session):
            text, payload = shown
            self._told[number] = replace(entry, text=text, payload=payload)

    def _tell(self, number: int, identity: Identity, entry: Entry) -> None:
        """Do what `core.conversation.append` does, on rows that are not stored yet."""
        if entry.author is AuthorKind.SYSTEM:
            return
        row = self.identities[id(identity)]
        if not entry.counts:
            if id(identity) in self._running:
                self._session_of[number] = self._running[id(identity)]["number"]
            return
        self._session_of[number] = self._session_of_id[entry.provider_id] = self._join(identity, entry)
        user = self.user
        user["last_message_at"] = entry.at
        user["last_message_author"] = entry.author
        user["last_message_name"] = entry.author_name
        user["last_message_text"] = snippet(entry.text) or f"[{entry.kind}]"
        if entry.author is not AuthorKind.USER:
            user["sent_count"] += 1
            return
        user["received_count"] += 1
        user["first_seen"] = user["first_seen"] or entry.at
        user["last_seen"] = row["last_inbound"] = entry.at
        self.last_identity = row
        if entry.footprint:
            row["last_footprint"], row["last_touch"] = dict(entry.footprint), entry.at
            if row["first_touch"] is None:
                row["first_footprint"], row["first_touch"] = dict(entry.footprint), entry.at

    def _join(self, identity: Identity, entry: Entry) -> int:
        """Put an entry into the running session of its identity, or into a new one; returns its number."""
        row = self.identities[id(identity)]
        idle = timedelta(seconds=self._deployments[identity.deployment].idle_seconds)
        session = self._running.get(id(identity))
        if session is None or entry.at >= session["expires"]:
            self.user["session_count"] += 1
            session = {
                "identity": row["key"],
                "deployment": row["deployment"],
                "number": self.user["session_count"],
                "opened": entry.at,
                "last_inbound": None,
                "handlers": [],
                "message_count": 0,
                "footprint": dict(entry.footprint),
                "properties": None,
            }
            self._running[id(identity)] = session
            self.sessions.append(session)
        session["message_count"] += 1
        session["last_message"] = entry.at
        session["expires"] = entry.at + idle
        if entry.author is AuthorKind.USER:
            session["last_inbound"] = entry.at
        else:
            who = answered_by(entry)
            if who not in session["handlers"]:
                session["handlers"].append(who)
        number: int = session["number"]
        return number


def _steps(entry: Entry) -> dict[str, datetime | None]:
    """Return when a message of ours was attempted, sent, delivered, read or failed."""
    steps: dict[str, datetime | None] = dict.fromkeys(("attempted", "sent", "delivered", "read", "failed"))
    if entry.state in (Delivery.RECEIVED, Delivery.NOT_SENT):
        return steps
    steps["attempted"] = entry.at
    if entry.state is Delivery.FAILED:
        return steps | {"sent": entry.at + timedelta(seconds=1), "failed": entry.at + timedelta(seconds=3)}
    if entry.state is Delivery.READ:
        steps["delivered"], steps["read"] = entry.at + timedelta(seconds=2), entry.at + timedelta(seconds=6)
    if entry.state is not Delivery.UNCONFIRMED:
        steps["sent"] = entry.at + timedelta(seconds=1)
    return steps


def _insert(table: Any, rows: Sequence[Mapping[str, Any]], key: Any) -> dict[str, int]:
    """Insert rows, and return their ids by their keys."""
    _insert_all(table, rows)
    return dict(table.select(key, table.id).tuples())


def _insert_all(table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for start in range(0, len(rows), _AT_ONCE):
        table.insert_many(rows[start : start + _AT_ONCE]).execute()
