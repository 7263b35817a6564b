"""A crowd of made-up users as rows: seeded, skewed as life is, and made one after the other.

Most users wrote once and got one answer, a few have thousands of messages; more came lately than long ago,
and ids grow as they came. There is no history of their properties, and there are no events: nobody is told
of a crowd that was always there.
"""

import json
import random
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from core.masks import masked_name
from core.models import Deployment, Handler, Operator, UserState
from core.models.base import ALPHABET
from core.search import LONGEST_QUERY, folded
from plugins.demo.cast import ADS, CAMPAIGNS, DEVICES, PAGES, REFERRERS, web_footprint
from plugins.demo.knowledge import Knowledge
from plugins.demo.people import LOCALES, Names, names_of
from plugins.demo.talk import LONGEST, LONGEST_WAIT, SECOND, Member, Talk

MOST_EACH = 5_000
"""Messages of one user, at most."""
HOUR, DAY = 3_600 * SECOND, 86_400 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPAN = 730 * DAY
_RECENT = 23 * HOUR
_MANY = 20
_TALKATIVE = 0.35
_TAIL = 1.15
_ON_WHATSAPP, _ON_BOTH = 0.62, 0.15
_NAMED_ON_THE_WEB = 0.35
_FROM_AN_AD = 0.15
_WANTS_NO_MORE = 0.005
_GENDER_KNOWN = 0.45
_SECOND_NAME = 0.2
_DOMAINS = ("example.com", "example.org", "example.net")

USER = (
    "id", "key", "name", "name_key", "email", "phone", "gender", "language", "country", "timezone", "state",
    "created", "first_seen", "last_seen", "last_identity", "last_message_at", "last_message_author",
    "last_message_name", "last_message_text", "handler", "handler_since", "agent", "agent_active",
    "claimed_from", "received_count", "sent_count", "session_count", "event_seq",
)  # fmt: skip
IDENTITY = (
    "id", "key", "user", "deployment", "profile_name", "created", "last_inbound", "opted_out_at",
    "first_footprint", "last_footprint", "first_touch", "last_touch",
)  # fmt: skip
ALIAS = ("id", "deployment", "kind", "value", "identity", "valid_from")
SESSION = (
    "id", "user", "identity", "deployment", "number", "opened", "last_inbound", "last_message", "expires",
    "handlers", "message_count", "footprint", "properties",
)  # fmt: skip
MESSAGE = (
    "id", "user", "identity", "session", "deployment", "at", "author", "author_name", "operator", "kind",
    "text", "payload", "provider_id", "state", "error", "attempted", "sent", "delivered", "read", "failed",
)  # fmt: skip
SKIPPED = ("user", "property")
SEARCH = ("rowid", "shown", "personal")


@dataclass
class Ids:
    """The next id of each table that gives them."""

    user: int
    identity: int
    alias: int
    session: int
    message: int


@dataclass
class Rows:
    """Rows by table, in the order of the columns above; moments are microseconds since 1970."""

    users: list[Sequence[Any]] = field(default_factory=list)
    identities: list[Sequence[Any]] = field(default_factory=list)
    aliases: list[Sequence[Any]] = field(default_factory=list)
    sessions: list[Sequence[Any]] = field(default_factory=list)
    messages: list[Sequence[Any]] = field(default_factory=list)
    skipped: list[Sequence[Any]] = field(default_factory=list)
    searched: list[Sequence[Any]] = field(default_factory=list)

    @property
    def by_table(self) -> Sequence[list[Sequence[Any]]]:
        """Return the rows of every table, in the order in which tables refer to each other."""
        return (
            self.users, self.identities, self.aliases, self.sessions, self.messages, self.skipped,
            self.searched,
        )  # fmt: skip


def shares(users: int, messages: int, chance: random.Random) -> "array[int]":
    """Return how many messages each user has: two for most, thousands for a few, `messages` in all."""
    least = min(2, messages // users)
    counts = array("I", [least]) * users
    left = messages - least * users
    weights = array("f", bytes(4 * users))
    for place in range(users):
        if chance.random() < _TALKATIVE:
            weights[place] = min(chance.paretovariate(_TAIL), MOST_EACH)
    factor = left / (sum(weights) or 1)
    for place, weight in enumerate(weights):
        share = int(weight * factor + chance.random()) if weight else 0
        more = min(share, MOST_EACH - least, left)
        counts[place] += more
        left -= more
    patience = 10 * users  # what is left goes to the talkative, as long as they have room for it
    while left:
        place = chance.randrange(users)
        patience -= 1
        if weights[place] or patience < 0:
            more = min(left, 1 + left // users, MOST_EACH - counts[place])
            counts[place] += more
            left -= more
    return counts


class Crowd:
    """Makes users one after the other; the same seed makes the same ones at the same moment."""

    def __init__(
        self,
        chance: random.Random,
        deployments: Mapping[str, Deployment],
        agents: Sequence[Operator],
        ids: Ids,
        knowledge: Knowledge,
        now: datetime,
    ) -> None:
        self._chance = chance
        self._deployments = deployments
        self._ids = ids
        self._knowledge = knowledge
        self._now = (now - _EPOCH) // timedelta(microseconds=1)
        self._talk = Talk(chance, agents, knowledge.topics, now)
        # Two sessions of an identity are at least this far apart, from beginning to beginning.
        longest = max(one.idle_seconds for one in deployments.values())
        self._apart = max(longest * SECOND + 6 * HOUR, 30 * HOUR)
        self._places = tuple(names_of(number) for number in range(len(LOCALES)))
        self._weights = [locale.weight**2 for locale in LOCALES]  # more skewed than the small demo
        self._ads = [json.dumps(ad) for ad in ADS]

    def add(self, rows: Rows, share: float, messages: int) -> None:
        """Make one user with so many messages; `share` is their place among all, from 0 to 1."""
        chance, ids = self._chance, self._ids
        place = chance.choices(self._places, self._weights)[0]
        user_id = ids.user
        ids.user += 1
        name, address, gender = _called(chance, place)
        members, phone, is_named = self._members(place, user_id, name, many=messages > _MANY)
        known = name if is_named else None
        email = f"{address}{user_id}@{chance.choice(_DOMAINS)}" if known and phone is None else None
        sizes = _sizes(chance, messages)
        starts = self._starts(share, sizes)
        told = self._talk.begin(place, name)
        for number, (size, start) in enumerate(zip(sizes, starts, strict=True), start=1):
            is_last = number == len(sizes)
            member = members[0] if number == 1 else members[-1] if is_last else chance.choice(members)
            footprint = _touch(member, start)
            recent = is_last and start > self._now - _RECENT
            ids.message = self._talk.session(
                told, rows.messages, user_id, ids.session, ids.message, member, start, size, footprint, recent
            )
            rows.sessions.append(
                (
                    ids.session, user_id, member.id, member.deployment.id, number, start, told.last_inbound,
                    told.at, told.at + member.deployment.idle_seconds * SECOND, json.dumps(told.answered_by),
                    told.counted, footprint, told.properties,
                )
            )  # fmt: skip
            ids.session += 1
        self._put(rows, members, user_id)
        values, skipped = self._knowledge.of(chance, place.locale, len(sizes), starts[-1])
        rows.skipped.extend((user_id, one) for one in skipped)
        rows.users.append(
            (
                user_id, _key(chance, 12), known, _sorted_by(known) if known else None, email, phone,
                gender if known and chance.random() < _GENDER_KNOWN else None, place.locale.language,
                place.locale.country, place.locale.timezone, UserState.ACTIVE.value, starts[0],
                told.first_inbound, told.last_inbound, told.last_identity, told.at, told.author,
                told.author_name, told.snippet, told.handler, told.handler_since or starts[0], told.agent,
                self._now if told.agent else None, Handler.BOT.value if told.agent else None, told.received,
                told.sent, len(sizes), 0, *values,
            )
        )  # fmt: skip
        names = (value.lower() for member in members for _, value in member.aliases)
        parts = (known and folded(known), email, phone, *names)
        rows.searched.append((user_id, _shown(known or ""), "\n".join(filter(None, parts))))

    def _members(
        self, place: Names, user_id: int, name: str, *, many: bool
    ) -> tuple[list[Member], str | None, bool]:
        """Return the identities of a user, the phone, and whether it is known who they are."""
        where = self._chance.random()
        members = []
        phone = f"+{place.digits}{user_id:07}" if where < _ON_WHATSAPP else None
        is_named = phone is not None or self._chance.random() < _NAMED_ON_THE_WEB
        if phone:
            members.append(self._on_whatsapp(place, phone, name))
        if phone is None or (many and where < _ON_BOTH):
            members.append(self._on_the_website(place, name if is_named else None))
        return members, phone, is_named

    def _on_whatsapp(self, place: Names, phone: str, name: str) -> Member:
        in_delhi = place.locale.country == "IN" and self._chance.random() < 0.7
        deployment = self._deployments["delhi" if in_delhi else "support"]
        footprint = self._chance.choice(self._ads) if self._chance.random() < _FROM_AN_AD else "{}"
        scoped = f"{place.locale.country}.{10**15 + self._ids.identity}"
        aliases = ("bsuid", scoped), ("wa_id", phone.lstrip("+"))
        return self._member(deployment, name, footprint, aliases, "wamid.DEMO", on_whatsapp=True)

    def _on_the_website(self, place: Names, name: str | None) -> Member:
        chance = self._chance
        footprint = _on_page(
            place.number,
            chance.randrange(len(PAGES)),
            chance.randrange(len(REFERRERS)),
            chance.randrange(2 * len(CAMPAIGNS)),
            chance.randrange(2 * len(DEVICES)),
        )
        visitor = f"demo-{chance.getrandbits(80):020x}"
        aliases = (("visitor", visitor),)
        shop = self._deployments["shop"]
        return self._member(shop, name, footprint, aliases, f"{visitor}:", on_whatsapp=False)

    def _member(
        self,
        deployment: Deployment,
        name: str | None,
        footprint: str,
        aliases: tuple[tuple[str, str], ...],
        address: str,
        *,
        on_whatsapp: bool,
    ) -> Member:
        number = self._ids.identity
        self._ids.identity += 1
        return Member(number, deployment, on_whatsapp, name, footprint, aliases, address)

    def _put(self, rows: Rows, members: Sequence[Member], user_id: int) -> None:
        """Make the rows of a user's identities, whose sessions are made."""
        for one in members:
            deployment, first = one.deployment.id, one.first
            touched = one.first_touch is not None
            stopped = one.last_inbound if one.on_whatsapp and self._chance.random() < _WANTS_NO_MORE else None
            rows.identities.append(
                (
                    one.id, _key(self._chance, 16), user_id, deployment, one.name, first, one.last_inbound,
                    stopped, one.footprint if touched else "{}", one.footprint if touched else "{}",
                    one.first_touch, one.last_touch,
                )
            )  # fmt: skip
            for kind, value in one.aliases:
                rows.aliases.append((self._ids.alias, deployment, kind, value, one.id, first))
                self._ids.alias += 1

    def _starts(self, share: float, sizes: Sequence[int]) -> list[int]:
        """Return when each session begins: the first when the user came, the others up to lately."""
        count, latest = len(sizes), self._now - (sizes[-1] + 1) * LONGEST_WAIT
        came = self._now - int(_SPAN * (1 - share**0.5))
        if count == 1:
            return [min(came, latest)]
        came = min(came, latest - count * self._apart)
        least = (count - 1) * self._apart
        lasting = least + int((latest - came - least) * self._chance.random() ** 0.25)  # lately
        step = lasting / (count - 1)
        loose = (step - self._apart) * 0.8
        middle = (came + int(step * place + loose * self._chance.random()) for place in range(1, count - 1))
        return [came, *middle, came + lasting]


def _sizes(chance: random.Random, messages: int) -> list[int]:
    """Part messages into sessions, which are longer where there are many."""
    usual = min(LONGEST - 10, 4 + int(0.6 * messages**0.5))
    count = max(1, round(messages / usual))
    size, rest = divmod(messages, count)
    sizes = [size + (place < rest) for place in range(count)]
    for place in range(0, count - 1, 2):
        moved = chance.randrange(-2, 3)
        sizes[place] += moved
        sizes[place + 1] -= moved
    return sizes


def _touch(member: Member, at: int) -> str:
    """Note that a session of `member` begins; returns what its channel says of where they came from."""
    is_first = not member.first
    member.first = member.first or at
    # A website tells with each visit where it began; WhatsApp tells of an ad with the message it brought.
    if member.footprint == "{}" or (member.on_whatsapp and not is_first):
        return "{}"
    member.first_touch = member.first_touch or at
    member.last_touch = at
    return member.footprint


def _called(chance: random.Random, place: Names) -> tuple[str, str, str]:
    """Return a name, how it begins an email address, and the gender."""
    gender = "female" if chance.random() < 0.5 else "male"
    given = place.women if gender == "female" else place.men
    first, family = chance.choice(given), chance.choice(place.families)
    second = chance.choice(given) if chance.random() < _SECOND_NAME else None
    return place.whole(first, second if second != first else None, family), f"{first[1]}.{family[1]}", gender


def _key(chance: random.Random, length: int) -> str:
    return "".join(chance.choices(ALPHABET, k=length))


@lru_cache(maxsize=50_000)
def _sorted_by(name: str) -> str | None:
    return folded(name)[:LONGEST_QUERY] or None


@lru_cache(maxsize=50_000)
def _shown(name: str) -> str:
    return folded(masked_name(name))


@lru_cache(maxsize=50_000)
def _on_page(place: int, page: int, referrer: int, tags: int, device: int) -> str:
    campaign = CAMPAIGNS[tags] if tags < len(CAMPAIGNS) else {}
    used = DEVICES[device] if device < len(DEVICES) else {}
    return json.dumps(web_footprint(LOCALES[place], PAGES[page], REFERRERS[referrer], campaign, used))
