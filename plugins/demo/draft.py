"""A person of the demo before anything is stored: identities, and what was said, in the order of time.

A scene is one stretch of conversation. It is written with a clock of its own, and put where its user's last
message belongs, so that windows close when the demo wants them to.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from core.channel import Alias, AuthorKind, Delivery
from core.conversation import Entry
from core.models import Handler, Operator
from plugins.demo.people import Person
from plugins.demo.phrases import say

BOT = "Order bot"


@dataclass
class Identity:
    """One user on one deployment, which goes by its name in the demo."""

    deployment: str
    aliases: tuple[Alias, ...]
    profile_name: str | None
    footprint: Mapping[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Placed:
    """An entry of one identity's conversation."""

    identity: Identity
    entry: Entry


@dataclass
class Draft:
    """One user. `named` is False for a visitor who never said who they are; `fields` are further columns."""

    person: Person
    named: bool = True
    identities: list[Identity] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def language(self) -> str:
        """Return the language that this person writes in."""
        return self.person.locale.language


class Scene:
    """One stretch of conversation, written line by line."""

    def __init__(
        self, source: random.Random, draft: Draft, identity: Identity, *, end: datetime, now: datetime
    ) -> None:
        self.source = source
        self.end, self.now = end, now
        self.draft = draft
        self.identity = identity
        self.handler = Handler.BOT
        self.agent: Operator | None = None
        self._moment = timedelta()
        self._lines: list[tuple[timedelta, Entry]] = []

    @property
    def on_whatsapp(self) -> bool:
        """Say whether this is played on WhatsApp; else it is the website."""
        return self.identity.deployment != "shop"

    def words(self, key: str, **values: str) -> str:
        """Return a phrase in the user's language."""
        return say(self.draft.language, key, **values)

    def wait(self, **time: float) -> None:
        """Let time pass."""
        self._moment += timedelta(**time)

    def user(
        self,
        text: str,
        kind: str = "text",
        payload: Mapping[str, Any] | None = None,
        *,
        reply_to: str | None = None,
        counts: bool = True,
    ) -> str:
        """Let the user write; returns the message's id at the provider."""
        self.wait(seconds=self.source.randint(8, 90))
        identifier = self._identifier()
        # A website tells with each visit where it began; WhatsApp tells of an ad with the message it brought.
        touches = "referral" in (payload or {}) if self.on_whatsapp else not self._lines
        footprint = self.identity.footprint if touches else {}
        self._add(
            AuthorKind.USER,
            text,
            kind,
            dict(payload or {}),
            self.identity.profile_name,
            provider_id=identifier,
            reply_to=reply_to,
            footprint=footprint,
            counts=counts,
        )
        return identifier

    def bot(
        self,
        text: str,
        kind: str = "text",
        *,
        state: Delivery = Delivery.READ,
        error: str | None = None,
        **payload: Any,
    ) -> str:
        """Let the bot answer."""
        self.wait(seconds=self.source.randint(1, 3))
        return self._out(AuthorKind.BOT, text, kind, payload, BOT, state, error)

    def says(
        self,
        text: str,
        kind: str = "text",
        *,
        state: Delivery = Delivery.READ,
        error: str | None = None,
        **payload: Any,
    ) -> str:
        """Let the agent who has the chat write."""
        self.wait(seconds=self.source.randint(20, 150))
        return self._out(AuthorKind.AGENT, text, kind, payload, self._holder.name, state, error)

    def colleague(self, text: str) -> None:
        """Let somebody answer in the provider's own app, which pauses the bot."""
        self.wait(seconds=self.source.randint(20, 90))
        name = "A colleague in whatsapp"
        self._out(AuthorKind.AGENT, text, "text", {"echo": True}, name, Delivery.SENT, None)
        self.note("paused", "A colleague answered outside Parley. The bot is paused.")
        self.handler = Handler.WAITING

    def claim(self, agent: Operator) -> None:
        """Let an agent start the chat."""
        self.wait(seconds=self.source.randint(20, 200))
        self.agent, self.handler = agent, Handler.AGENT
        self.note("claimed", f"{agent.name} started the chat. The bot is paused.", operator=agent.id)

    def release(self) -> None:
        """Let the agent give the chat back."""
        self.wait(seconds=self.source.randint(5, 40))
        holder = self._holder
        self.note("released", f"{holder.name} assigned the chat to the bot.", operator=holder.id)
        self.agent, self.handler = None, Handler.BOT

    @property
    def _holder(self) -> Operator:
        if self.agent is None:
            raise ValueError("An agent writes in this scene before claiming the chat.")
        return self.agent

    def note(self, kind: str, text: str, **payload: Any) -> None:
        """Add an event of the system."""
        self._add(AuthorKind.SYSTEM, text, kind, payload, None, counts=False)

    def put(self) -> None:
        """Put the scene into the draft: the user's last message at `end`, and nothing after `now`."""
        last = max((at for at, entry in self._lines if entry.author is AuthorKind.USER), default=self._moment)
        for at, entry in self._lines:
            moment = min(self.end - last + at, self.now)
            self.draft.placed.append(Placed(self.identity, _dated(entry, moment)))

    def _out(
        self,
        author: AuthorKind,
        text: str,
        kind: str,
        payload: dict[str, Any],
        name: str,
        state: Delivery,
        error: str | None,
    ) -> str:
        identifier = self._identifier()
        if not self.on_whatsapp or state in (Delivery.NOT_SENT, Delivery.UNCONFIRMED):
            identifier = ""
        self._add(
            author,
            text,
            kind,
            payload,
            name,
            state=state,
            error=error,
            provider_id=identifier or None,
            counts=state is not Delivery.NOT_SENT,
        )
        return identifier

    def _add(
        self, author: AuthorKind, text: str, kind: str, payload: dict[str, Any], name: str | None, **more: Any
    ) -> None:
        operator = (
            self.agent.id if author is AuthorKind.AGENT and self.agent and not payload.get("echo") else None
        )
        entry = Entry(
            author=author,
            kind=kind,
            at=_NO_MOMENT,
            text=text,
            payload=payload,
            author_name=name,
            operator_id=operator,
            **more,
        )
        self._lines.append((self._moment, entry))

    def _identifier(self) -> str:
        number = UUID(int=self.source.getrandbits(128), version=4)
        if self.on_whatsapp:
            return f"wamid.DEMO{number.hex.upper()}"
        return f"{self.identity.aliases[0].value}:{number}"


_NO_MOMENT = datetime.min.replace(tzinfo=UTC)


def _dated(entry: Entry, at: datetime) -> Entry:
    return replace(entry, at=at)
