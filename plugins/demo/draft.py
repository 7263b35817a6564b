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

from core.catalogue import API, Writer
from core.catalogue import BOT as BOTS
from core.channel import Alias, AuthorKind, Delivery
from core.conversation import Entry
from core.models import Handler, Operator, Origin
from core.properties import CHANGED
from plugins.demo.people import Person
from plugins.demo.phrases import say

BOT = "Order bot"
SHOP = Writer(Origin.API, "Shop", groups=frozenset({API}))


@dataclass
class Identity:
    """One user on one deployment, which goes by its name in the demo."""

    deployment: str
    aliases: tuple[Alias, ...]
    profile_name: str | None
    footprint: Mapping[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sets:
    """Values that somebody gave properties; `cause` is the user's message behind it, by its provider's id.

    `quiet` leaves no entry in the conversation.
    """

    by: Writer
    given: Mapping[str, Any]
    cause: str | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Placed:
    """An entry of one identity's conversation; one that `sets` properties stands for what becomes of that."""

    identity: Identity
    entry: Entry
    sets: Sets | None = None


@dataclass
class Draft:
    """One user. `named` is False for a visitor who never said who they are; `fields` are further columns.

    `luck` decides what is known of them, which is much where it `is_known`; `interests` are the product
    groups that they asked about, and `spent` is what they paid, `paid_before` they ever wrote.
    """

    person: Person
    luck: random.Random
    named: bool = True
    identities: list[Identity] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    interests: list[str] = field(default_factory=list)
    is_known: bool = False
    paid_before: float = 0.0
    spent: float = field(init=False)

    def __post_init__(self) -> None:
        self.spent = self.paid_before

    def chance(self, likelihood: float) -> bool:
        """Say whether something is known of this person; of some people much is known."""
        return self.luck.random() < (likelihood * 3 if self.is_known else likelihood)

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
        self._lines: list[tuple[timedelta, Entry, Sets | None]] = []
        self._last_said: str | None = None

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
        self._last_said = identifier
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

    def learns(self, **given: Any) -> None:
        """Let the bot set properties, because of what the user wrote last."""
        self.wait(milliseconds=400)
        by = Writer(Origin.BOT, BOT, groups=frozenset({BOTS}))
        self._lines.append((self._moment, _SETTING, Sets(by, given, self._last_said)))

    def marks(self, **given: Any) -> None:
        """Let the agent who has the chat set properties."""
        self.wait(seconds=self.draft.luck.randint(5, 40))
        holder = self._holder
        by = Writer(Origin.OPERATOR, holder.name, holder.id, frozenset(holder.roles))
        self._lines.append((self._moment, _SETTING, Sets(by, given)))

    def sells(self, amount: float) -> None:
        """Let the shop say that the user has paid for something, without an entry in the conversation."""
        self.draft.spent += amount
        given = {"ltv": self.draft.spent, "last_order_at": f"{self.end:%Y-%m-%d}"}
        self._lines.append((self._moment, _SETTING, Sets(SHOP, given, quiet=True)))

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
        last = max(
            (at for at, entry, _ in self._lines if entry.author is AuthorKind.USER), default=self._moment
        )
        for at, entry, sets in self._lines:
            moment = min(self.end - last + at, self.now)
            self.draft.placed.append(Placed(self.identity, _dated(entry, moment), sets))

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
        self._lines.append((self._moment, entry, None))

    def _identifier(self) -> str:
        number = UUID(int=self.source.getrandbits(128), version=4)
        if self.on_whatsapp:
            return f"wamid.DEMO{number.hex.upper()}"
        return f"{self.identity.aliases[0].value}:{number}"


_NO_MOMENT = datetime.min.replace(tzinfo=UTC)


def setting(at: datetime) -> Entry:
    """Return the entry that stands for a change of properties at `at`, until it is known what changed."""
    return Entry(author=AuthorKind.SYSTEM, kind=CHANGED, at=at, counts=False)


_SETTING = setting(_NO_MOMENT)


def _dated(entry: Entry, at: datetime) -> Entry:
    return replace(entry, at=at)
