"""The Channel contract, and the values that travel between a channel and core.

A channel declares what it is (rules, capabilities, Config, Footprint) and knows a few verbs: verify, parse,
send, check. Sessions, transactions, forms and errors belong to core. This module imports no model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Protocol

import httpx
from flask import Blueprint
from pydantic import BaseModel


class Side(StrEnum):
    """Who may open a conversation on a channel."""

    USER = "user"
    EITHER = "either"


class AuthorKind(StrEnum):
    """Who wrote a message."""

    USER = "user"
    BOT = "bot"
    AGENT = "agent"
    CAMPAIGN = "campaign"
    SYSTEM = "system"


class Delivery(StrEnum):
    """How far a message came. The first four are a ladder that is only climbed; the others end the way."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    NOT_SENT = "not_sent"
    UNCONFIRMED = "unconfirmed"
    RECEIVED = "received"


class Outside(StrEnum):
    """What a channel still allows when its free-form window is closed."""

    TEMPLATE = "template"
    HUMAN = "human"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Rules:
    """Who may write when on a channel: data with a source and a date, never constants scattered in code."""

    starts: Side
    window: timedelta | None
    source: str
    as_of: date
    outside: Outside = Outside.NOTHING
    human_window: timedelta | None = None
    in_words: str = ""


@dataclass(frozen=True)
class Capabilities:
    """What a channel can carry; lengths in characters."""

    text: int = 4096
    templates: bool = False
    receipts: bool = False
    buttons: int = 0
    image: bool = False


class ReachKind(StrEnum):
    """The gate's possible answers, from the freest to the strictest."""

    FREE_FORM = "free_form"
    HUMAN_ONLY = "human_only"
    TEMPLATE_ONLY = "template_only"
    NEEDS_USER_FIRST = "needs_user_first"
    UNREACHABLE = "unreachable"
    BLOCKED = "blocked"
    OPTED_OUT = "opted_out"

    @property
    def strictness(self) -> int:
        """Return a rank: of several answers the one with the highest rank stands."""
        return list(ReachKind).index(self)


@dataclass(frozen=True)
class Reach:
    """The gate's answer: may this author write now, until or since when, why, and what to do instead."""

    kind: ReachKind
    sentence: str
    next_step: str = ""
    until: datetime | None = None
    since: datetime | None = None

    def allows(self, message: "Outbound", author: "Author") -> bool:
        """Say whether `message` of `author` may go out under this answer."""
        match self.kind:
            case ReachKind.FREE_FORM:
                return True
            case ReachKind.HUMAN_ONLY:
                return author.kind is AuthorKind.AGENT
            case ReachKind.TEMPLATE_ONLY:
                return message.template is not None
            case _:
                return False


@dataclass(frozen=True)
class Author:
    """Who writes: a bot, an agent (with the operator's id), a campaign, or Parley itself."""

    kind: AuthorKind
    name: str = ""
    operator_id: int | None = None


@dataclass(frozen=True)
class TemplateCall:
    """An approved template, in one language, with its parameters in the order of their numbers or by name."""

    name: str
    language: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outbound:
    """One message on its way out.

    `to` holds the identity's valid aliases by kind; `ref` is our own id, which travels with the message where
    the provider allows it, so that a status can settle what a crash left unconfirmed.
    """

    kind: str = "text"
    text: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    template: TemplateCall | None = None
    reply_to: str | None = None
    to: Mapping[str, str] = field(default_factory=dict)
    ref: str = ""


@dataclass(frozen=True)
class Receipt:
    """What the provider said to a message that it took.

    `aliases` are those of the user that the answer revealed.
    """

    provider_id: str | None
    state: Delivery = Delivery.SENT
    aliases: tuple["Alias", ...] = ()


@dataclass(frozen=True)
class Health:
    """What one harmless call to the provider proved."""

    ok: bool
    detail: str
    place: str = ""
    account: str = ""


@dataclass(frozen=True)
class Template:
    """A template that the provider keeps for a deployment; `status` is the provider's word, lower case."""

    name: str
    language: str
    category: str
    status: str
    body: str
    header: str = ""
    footer: str = ""
    buttons: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Alias:
    """One name by which a user is known on a deployment, such as a phone number or a scoped id."""

    kind: str
    value: str


@dataclass(frozen=True)
class Profile:
    """What the provider says of the user beside the message; what it does not say is empty."""

    name: str = ""
    phone: str = ""
    email: str = ""
    username: str = ""
    language: str = ""
    timezone: str = ""


@dataclass(frozen=True)
class Failure:
    """Why a message failed, in words, with what follows from it."""

    reason: str
    code: str = ""
    retry_after: timedelta | None = None
    permanent: bool = True
    closes_window: bool = False
    opts_out: bool = False
    unreachable: bool = False
    pauses_deployment: bool = False


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that a webhook says.

    `account` names the deployment's account; None means the one of the webhook's URL.
    """

    at: datetime
    account: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Received(Event):
    """A user wrote, or did something that counts as a message.

    `aliases` come strongest first. `id` is the provider's and makes a repeat harmless. `resets_window` is
    False for what is no act of writing, such as an edit, a deletion or a notice: it is shown, but opens no
    window and moves no "last seen".
    """

    id: str | None
    aliases: tuple[Alias, ...]
    kind: str = "text"
    text: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    profile: Profile = Profile()
    footprint: Mapping[str, Any] = field(default_factory=dict)
    reply_to: str | None = None
    resets_window: bool = True


@dataclass(frozen=True, kw_only=True)
class Echoed(Event):
    """A colleague answered outside Parley, for instance in the provider's own app.

    `aliases` are the user's.
    """

    id: str | None
    aliases: tuple[Alias, ...]
    kind: str = "text"
    text: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    profile: Profile = Profile()
    reply_to: str | None = None


@dataclass(frozen=True, kw_only=True)
class StatusChanged(Event):
    """A message of ours came further, or failed. It is found by the provider's `id`, or by `ref`, our own.

    `status` is None for a word that Parley does not know; it is kept with the message all the same.
    """

    id: str | None
    status: Delivery | None
    word: str = ""
    ref: str | None = None
    failure: Failure | None = None
    aliases: tuple[Alias, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AliasesChanged(Event):
    """The user of `before` is now known by `after`: a new number, or an id that the provider rotated.

    `ended` names kinds of alias that hold no longer, though nobody says what came in their place.
    """

    id: str | None
    before: tuple[Alias, ...]
    after: tuple[Alias, ...]
    ended: tuple[str, ...] = ()
    text: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    """Something that is no message: about the account, or of a kind that the channel does not know.

    It is kept, and shown where it can be.
    """

    label: str
    aliases: tuple[Alias, ...] = ()
    id: str | None = None


@dataclass(frozen=True)
class Webhook:
    """One request as it came.

    Header names are lower case; the body is the raw bytes that a signature covers.
    """

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    received_at: datetime


@dataclass(frozen=True)
class Reply:
    """An answer that a provider expects to a handshake."""

    body: str
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


class ChannelError(Exception):
    """The root of what goes wrong between a channel and its provider."""


class VerificationError(ChannelError):
    """A request that does not prove that it comes from the provider.

    The text is for the log, without secrets.
    """


class SendError(ChannelError):
    """The provider did not take a message.

    `uncertain` means that it may have taken it all the same (a time-out after the request went out): nothing
    is then sent again by itself. Otherwise `failure` says whether a retry helps, and what follows.
    """

    def __init__(self, reason: str, *, uncertain: bool = False, **what_follows: Any) -> None:
        super().__init__(reason)
        self.uncertain = uncertain
        self.failure = Failure(reason, **what_follows)


class Reachable(Protocol):
    """What the rule needs to know of an identity."""

    last_inbound: datetime | None
    window_closed_at: datetime | None
    opted_out_at: datetime | None
    blocked_at: datetime | None
    unreachable: str | None


class NoConfig(BaseModel):
    """A channel without anything to configure."""


class NoFootprint(BaseModel):
    """A channel that says nothing of where a user came from."""


class Channel:
    """One kind of medium, put somewhere: an instance serves one deployment."""

    name: ClassVar[str]
    label: ClassVar[str]
    rules: ClassVar[Rules]
    capabilities: ClassVar[Capabilities] = Capabilities()
    alias_labels: ClassVar[Mapping[str, str]] = {}
    """Kinds of alias, strongest first: on conflict the earlier kind decides who it is."""
    content_type: ClassVar[str] = "application/json"
    """Of the webhook's body; another one is refused with 415."""
    idle: ClassVar[timedelta] = timedelta(hours=24)
    """How long a session lasts without a message, where a deployment says nothing else."""
    secret_headers: ClassVar[frozenset[str]] = frozenset()
    """Request headers, lower case, that are never stored: signatures and tokens."""

    Config: ClassVar[type[BaseModel]] = NoConfig
    Footprint: ClassVar[type[BaseModel]] = NoFootprint

    def __init__(self, config: Any, *, account: str, key: str, place: str = "") -> None:
        self.config = config
        self.account = account
        self.key = key
        self.place = place
        self._http: httpx.Client | None = None

    @property
    def http(self) -> httpx.Client:
        """Return this deployment's client: kept alive, with a time-out always."""
        if self._http is None:
            self._http = httpx.Client(timeout=httpx.Timeout(20, connect=5), follow_redirects=False)
        return self._http

    def close(self) -> None:
        """Let the connections to the provider go."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def verify(self, webhook: Webhook) -> Reply | None:
        """Check that the provider sent this; a Reply answers a handshake and ends the request.

        Raises VerificationError. A channel without webhooks of its own refuses them all.
        """
        raise VerificationError(f"{self.label} has no webhook.")

    def parse(self, webhook: Webhook) -> Sequence[Event]:
        """Return everything that the body says, in its order.

        Pure and tolerant: what it does not know becomes Noted or a message of kind `unknown`. Raises
        ValueError when the body as a whole cannot be read.
        """
        return ()

    def send(self, message: Outbound) -> Receipt:
        """Hand `message` to the provider; raises SendError."""
        raise NotImplementedError

    def check(self) -> Health:
        """Make one harmless call that proves the Config and names the place."""
        return Health(True, "Nothing to check.", place=self.place, account=self.account)

    def templates(self) -> Sequence[Template]:
        """Return all templates that the provider keeps for this deployment."""
        return ()

    @classmethod
    def routes(cls) -> Blueprint | None:
        """Return pages of the channel's own, mounted at `/<channel name>/<deployment key>/`.

        Most have none.
        """
        return None

    def footprint_card(self, footprint: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return a footprint as labels and texts, in the order in which the Footprint model declares them."""
        rows = []
        for name, declared in self.Footprint.model_fields.items():
            value = footprint.get(name)
            if value not in (None, "", [], {}):
                rows.append((declared.title or name.replace("_", " ").capitalize(), str(value)))
        return rows

    def reach(self, identity: Reachable, author: Author, now: datetime) -> Reach:
        """Say whether `author` may write to `identity` at `now`.

        Override only a rule that is not of this form.
        """
        return reach(self.label, self.rules, identity, author, now)


def window_of(rules: Rules, identity: Reachable) -> tuple[datetime | None, datetime | None]:
    """Return when the free-form window of `identity` closes or closed, and its last inbound.

    An error of the provider that closed the window (`window_closed_at`) holds until the user writes again.
    """
    if rules.window is None or identity.last_inbound is None:
        return None, identity.last_inbound
    closes = identity.last_inbound + rules.window
    if identity.window_closed_at and identity.window_closed_at >= identity.last_inbound:
        closes = min(closes, identity.window_closed_at)
    return closes, identity.last_inbound


def reach(label: str, rules: Rules, identity: Reachable, author: Author, now: datetime) -> Reach:
    """Apply `rules` to `identity`.

    The window is half-open: at exactly `last_inbound + window` it is closed. An unknown last inbound counts
    as closed.
    """
    if identity.opted_out_at:
        return Reach(
            ReachKind.OPTED_OUT,
            f"This user asked for no more messages on {label}.",
            "Only the user can take that back, by writing again.",
            since=identity.opted_out_at,
        )
    if identity.blocked_at:
        return Reach(
            ReachKind.BLOCKED,
            f"This user is blocked on {label}.",
            "Lift the block to write again.",
            since=identity.blocked_at,
        )
    if identity.unreachable:
        return Reach(
            ReachKind.UNREACHABLE, identity.unreachable, "The next message of the user opens the way again."
        )
    if rules.window is None:
        if identity.last_inbound or rules.starts is Side.EITHER:
            return Reach(ReachKind.FREE_FORM, f"{label} has no time limit.")
        return Reach(
            ReachKind.NEEDS_USER_FIRST,
            f"On {label} the user writes first.",
            "Wait for the user's first message.",
        )
    closes, _ = window_of(rules, identity)
    if closes and now < closes:
        return Reach(ReachKind.FREE_FORM, f"{label} lets us write freely until then.", until=closes)
    hours = int(rules.window.total_seconds() // 3600)
    human_until = (
        identity.last_inbound + rules.human_window if identity.last_inbound and rules.human_window else None
    )
    if rules.outside is Outside.HUMAN and human_until and now < human_until:
        return Reach(
            ReachKind.HUMAN_ONLY,
            f"After {hours} h, only a person may answer on {label}.",
            "Answer yourself; the bot may not.",
            until=human_until,
            since=closes,
        )
    if rules.outside is Outside.TEMPLATE:
        return Reach(
            ReachKind.TEMPLATE_ONLY,
            f"{label} closes free messages {hours} h after the user’s last message.",
            "An approved template can start the chat again.",
            since=closes,
        )
    return Reach(
        ReachKind.NEEDS_USER_FIRST,
        f"{label} closes {hours} h after the user’s last message.",
        "Wait for the user to write again.",
        since=closes,
    )


def strictest(answers: Iterable[Reach]) -> Reach:
    """Return the strictest of `answers`, which are at least one."""
    return max(answers, key=lambda answer: answer.kind.strictness)
