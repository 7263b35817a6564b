"""What the crowd of the demo says: sessions as rows of messages, and what remains of them with the user."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from core.channel import AuthorKind, Delivery
from core.models import Deployment, Handler, Operator
from core.text import snippet
from plugins.demo.draft import BOT
from plugins.demo.people import Locale, Names
from plugins.demo.phrases import say, written
from plugins.demo.stories import PRODUCTS

SECOND = 1_000_000
LONGEST = 60
"""Messages of one session, at most."""
LONGEST_WAIT = 45 * SECOND
"""How long anybody is silent within a session, at most."""
COLLEAGUE = "A colleague in whatsapp"
REFUSED = "WhatsApp could not deliver: the user has no WhatsApp, or does not want this. (131026)"

_USER, _BOT, _AGENT, _SYSTEM = (
    one.value for one in (AuthorKind.USER, AuthorKind.BOT, AuthorKind.AGENT, AuthorKind.SYSTEM)
)
_RECEIVED = Delivery.RECEIVED.value
_SHORT = 4  # the least that an agent can be part of
_WITH_AN_AGENT = 0.04
_AGENT_NOW, _WAITING_NOW = 0.03, 0.08
_ORDER = "{order}"

# The states of what is sent, with how many of a hundred are in them or further.
_STATES = ((80, Delivery.READ), (94, Delivery.DELIVERED), (99, Delivery.SENT), (100, Delivery.FAILED))

Line = tuple[str, str | None, int | None, str, str, str]
"""Author, name, operator, kind, text, payload."""
Exchange = tuple[str, str, str]
"""What it is about, the question, the answer."""


@dataclass
class Member:
    """One identity of a user who is being made; `address` is what the ids of its messages begin with."""

    id: int
    deployment: Deployment
    on_whatsapp: bool
    name: str | None
    footprint: str
    aliases: Sequence[tuple[str, str]]
    address: str
    first: int = 0
    last_inbound: int | None = None
    first_touch: int | None = None
    last_touch: int | None = None


@dataclass
class Told:
    """What is kept of a user's messages: over all, and of the session that was told last."""

    place: Names
    name: str
    exchanges: Sequence[Exchange]
    received: int = 0
    sent: int = 0
    at: int = 0
    author: str = ""
    author_name: str | None = None
    snippet: str = ""
    first_inbound: int | None = None
    last_identity: int | None = None
    handler: str = Handler.BOT.value
    handler_since: int | None = None
    agent: int | None = None
    last_inbound: int | None = None
    answered_by: list[str] = field(default_factory=list)
    counted: int = 0
    properties: str | None = None


class Talk:
    """Writes sessions; `topics` are what a session keeps of what it is about."""

    def __init__(
        self, chance: random.Random, agents: Sequence[Operator], topics: Mapping[str, str], now: datetime
    ) -> None:
        self._chance = chance
        self._agents = [(agent.id, agent.name) for agent in agents]
        self._topics = topics
        self._now = now

    def begin(self, place: Names, name: str) -> Told:
        """Begin with a user."""
        return Told(place, name, _exchanges(place.locale, self._now))

    def session(
        self,
        told: Told,
        rows: list[Sequence[Any]],
        user_id: int,
        session_id: int,
        message_id: int,
        member: Member,
        at: int,
        size: int,
        footprint: str,
        recent: bool,
    ) -> int:
        """Append the `size` messages of a session to `rows`; returns the next message's id.

        One that is `recent` may be waited in for an agent, or be an agent's.
        """
        random_ = self._chance.random
        lines = self._lines(told, member, size, recent)
        if member.on_whatsapp and footprint != "{}":
            author, name, operator, kind, text, _ = lines[0]
            lines[0] = (author, name, operator, kind, text, f'{{"referral": {footprint}}}')
        deployment, last = member.deployment.id, lines[0]
        told.answered_by, told.counted, told.last_inbound = [], 0, None
        for line in lines:
            author, name, operator, kind, text, payload = line
            address: str | None = f"{member.address}{message_id:X}"
            if author is _USER:
                told.last_inbound = at
                told.received += 1
                state, steps = _RECEIVED, _NO_STEPS
            elif author is _SYSTEM:
                told.handler_since = at
                rows.append(
                    (message_id, user_id, member.id, None, deployment, at, author, name, operator, kind, text,
                     payload, None, _RECEIVED, *_NO_STEPS)
                )  # fmt: skip
                message_id += 1
                at += SECOND
                continue
            else:
                told.sent += 1
                who = (name or author) if author is _AGENT else author
                if who not in told.answered_by:
                    told.answered_by.append(who)
                state, steps = _sent(at, random_() if member.on_whatsapp else 0)
                if not member.on_whatsapp:
                    address = None
            rows.append(
                (message_id, user_id, member.id, session_id, deployment, at, author, name, operator, kind,
                 text, payload, address, state, *steps)
            )  # fmt: skip
            told.counted += 1
            told.at, last = at, line
            message_id += 1
            at += int(_WAIT[author] * (0.2 + 0.8 * random_()))
        told.author, told.author_name, text = last[0], last[1], last[4]
        told.snippet = snippet(text)
        if told.last_inbound is not None:
            told.first_inbound = told.first_inbound or member.first
            member.last_inbound = told.last_inbound
            told.last_identity = member.id
        return message_id

    def _lines(self, told: Told, member: Member, size: int, recent: bool) -> list[Line]:
        chance = self._chance.random()
        told.properties = None
        if size >= _SHORT:
            if recent and self._agents and chance < _AGENT_NOW:
                return self._at_an_agent(told, member, size, ends=False)
            if recent and member.on_whatsapp and chance < _WAITING_NOW:
                return self._waiting(told, member, size)
            if size > _SHORT + 1 and self._agents and chance < _WITH_AN_AGENT:
                return self._at_an_agent(told, member, size, ends=True)
        return self._with_the_bot(told, member, size)

    def _with_the_bot(self, told: Told, member: Member, size: int) -> list[Line]:
        random_, exchanges, name = self._chance.random, told.exchanges, member.name
        lines: list[Line] = []
        for _ in range((size + 1) // 2):
            topic, asked, answer = exchanges[int(random_() * len(exchanges))]
            if topic == "order":
                number = f"LO-{20_100 + int(random_() * 79_900)}"
                answer = answer.replace(_ORDER, number)
                if random_() < 0.3:
                    asked = f"{asked} {number}"
            if told.properties is None:
                told.properties = self._topics.get(topic)
            lines.append((_USER, name, None, "text", asked, "{}"))
            lines.append((_BOT, BOT, None, "text", answer, "{}"))
        if size % 2:
            lines.pop()
        return lines

    def _waiting(self, told: Told, member: Member, size: int) -> list[Line]:
        """Let a colleague answer in the provider's own app, which pauses the bot."""
        lines = self._with_the_bot(told, member, size - 2 - size % 2)
        greeting = "Hi, this is Sam from the showroom. Which finish would you like?"
        lines.append((_AGENT, COLLEAGUE, None, "text", greeting, '{"echo": true}'))
        lines.append(
            (_SYSTEM, None, None, "paused", "A colleague answered outside Parley. The bot is paused.", "{}")
        )
        told.handler = Handler.WAITING.value
        return self._filled(lines, told, member, size, None)

    def _at_an_agent(self, told: Told, member: Member, size: int, *, ends: bool) -> list[Line]:
        """Let an agent take over, and give the chat back where it `ends`."""
        agent = operator, name = self._agents[int(self._chance.random() * len(self._agents))]
        language = told.place.locale.language
        lines: list[Line] = [
            (_USER, member.name, None, "text", say(language, "u_person"), "{}"),
            (_BOT, BOT, None, "text", say(language, "b_person"), "{}"),
            _note("claimed", f"{name} started the chat. The bot is paused.", operator),
        ]
        told.properties = self._topics.get("person")
        lines = self._filled(lines, told, member, size - ends, agent)
        if ends:
            lines.append(_note("released", f"{name} assigned the chat to the bot.", operator))
        else:
            told.handler, told.agent = Handler.AGENT.value, operator
        return lines

    def _filled(
        self, lines: list[Line], told: Told, member: Member, size: int, agent: tuple[int, str] | None
    ) -> list[Line]:
        """Let user and agent go on by turns until there are `size` lines."""
        language = told.place.locale.language
        answers = (
            say(language, "a_hello", name=told.name.split()[0], order="LO-20417"),
            say(language, "a_done", day=written(self._now + timedelta(days=2), language)),
            say(language, "a_sorry"),
        )
        asks = (say(language, "u_where"), say(language, "u_thanks"), say(language, "u_hello"))
        turn = 0
        while len(lines) < size:
            if agent and turn % 2 == 0:
                operator, name = agent
                lines.append((_AGENT, name, operator, "text", answers[turn // 2 % len(answers)], "{}"))
            else:
                lines.append((_USER, member.name, None, "text", asks[turn // 2 % len(asks)], "{}"))
            turn += 1
        return lines


_WAIT = {_USER: 4 * SECOND, _BOT: LONGEST_WAIT, _AGENT: LONGEST_WAIT}
"""How long the other side takes, at most."""
_NO_STEPS = (None, None, None, None, None, None)


def _sent(at: int, chance: float) -> tuple[str, tuple[Any, ...]]:
    """Return the state of what was sent, with its error and its steps: as `plugins.demo.store` has them."""
    state = next(state for most, state in _STATES if chance * 100 < most)
    if state is Delivery.READ:
        return "read", (None, at, at + SECOND, at + 2 * SECOND, at + 6 * SECOND, None)
    if state is Delivery.DELIVERED:
        return "delivered", (None, at, at + SECOND, at + 2 * SECOND, None, None)
    if state is Delivery.SENT:
        return "sent", (None, at, at + SECOND, None, None, None)
    return "failed", (REFUSED, at, at + SECOND, None, None, at + 3 * SECOND)


def _note(kind: str, text: str, operator: int) -> Line:
    return (_SYSTEM, None, None, kind, text, f'{{"operator": {operator}}}')


@lru_cache
def _exchanges(locale: Locale, now: datetime) -> Sequence[Exchange]:
    """Return questions with answers, each as often as it comes up."""
    language = locale.language
    found: list[Exchange] = []
    for days in (2, 3, 4, 5, 6):
        answer = say(language, "b_order", order=_ORDER, day=written(now + timedelta(days=days), language))
        found += [("order", say(language, "u_order"), answer)] * 3
    for product in PRODUCTS:
        answer = say(language, "b_stock", product=product, city=locale.city)
        found += [("stock", say(language, "u_stock", product=product), answer)] * 2
        found.append(("damage", say(language, "u_broken", product=product), say(language, "b_person")))
    for topic, often in (("hours", 7), ("assembly", 5), ("return", 4), ("person", 1)):
        found += [(topic, say(language, f"u_{topic}"), say(language, f"b_{topic}"))] * often
    for key in ("hello", "thanks"):
        found += [("", say(language, f"u_{key}"), say(language, f"b_{key}"))] * 4
    return found
