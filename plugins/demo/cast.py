"""Who plays in the demo: its people with their identities, and how recently each was last heard of."""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from core.channel import Alias
from core.models import Handler, Operator
from plugins.demo import facts, stories
from plugins.demo.draft import Draft, Identity, Scene
from plugins.demo.people import Locale, Person, people

COUNT = 300
SEED = 20261123
SHOP = "https://shop.example.com"

# The first people have these scenes as their newest one, so many hours ago; None is the website.
FIRST: tuple[tuple[stories.Story, float], ...] = (
    (stories.with_an_agent, 0.05),
    (stories.waits_for_a_person, 0.4),
    (stories.waits_for_a_person, 3.1),
    (stories.order, 23.85),
    (stories.stock, 23.2),
    (stories.human, 22.6),
    (stories.failed, 1.2),
    (stories.window_closed_meanwhile, 30),
    (stories.unconfirmed, 5),
    (stories.bot_failed, 2.2),
    (stories.held_back, 7),
    (stories.second_thoughts, 4),
    (stories.wants_no_more, 50),
    (stories.never_wrote, 26),
    (stories.shopping, 9),
    (stories.damage, 12),
    (stories.reopened, 6),
)

ADS: tuple[Mapping[str, str], ...] = (
    {
        "source": "ad",
        "source_id": "120210987650001",
        "headline": "Oak that lasts",
        "body": "Desks and shelves, oiled by hand. Write to us.",
        "source_url": "https://fb.me/2demoOak",
        "media_type": "image",
        "ctwa_clid": "ARDemoClickIdOfAnAd0001",
    },
    {
        "source": "post",
        "source_id": "120210987650777",
        "headline": "A lamp for long evenings",
        "body": "The Lumen floor lamp is back.",
        "source_url": "https://fb.me/1demoLamp",
    },
)
PAGES = (
    ("/desks/walnut-140", "Walnut desk 140 · Lumen & Oak"),
    ("/lighting/lumen-floor", "Lumen floor lamp · Lumen & Oak"),
    ("/pricing", "Delivery and prices · Lumen & Oak"),
    ("/showrooms", "Showrooms · Lumen & Oak"),
    ("/", "Lumen & Oak"),
)
CAMPAIGNS: tuple[Mapping[str, str], ...] = (
    {"utm_source": "newsletter", "utm_medium": "email", "utm_campaign": "autumn-desks"},
    {
        "utm_source": "instagram",
        "utm_medium": "social",
        "utm_campaign": "desk-launch",
        "utm_content": "carousel-b",
    },
    {"utm_source": "search", "utm_medium": "cpc", "utm_campaign": "oak-shelf", "gclid": "demo-click-0042"},
)
REFERRERS = (
    "https://search.example.org/",
    "https://magazine.example.net/home-office",
    "https://social.example.com/",
    "",
)
DEVICES = (
    {"device": "Apple iPhone", "system": "iOS 18", "browser": "Mobile Safari 18", "screen": "390x844"},
    {
        "device": "Samsung SM-S921B",
        "system": "Android 15",
        "browser": "Chrome Mobile 141",
        "screen": "412x915",
    },
    {"system": "Windows 11", "browser": "Edge 141", "screen": "1920x1080"},
    {"device": "Apple Mac", "system": "Mac OS X 15", "browser": "Firefox 143", "screen": "1440x900"},
)


def drafts(agents: Sequence[Operator], now: datetime, count: int = COUNT) -> Iterator[Draft]:
    """Yield the users of the demo with everything that was said; the same for the same moment."""
    source = random.Random(SEED)
    for number, person in enumerate(people(source, count)):
        yield (
            _special(source, person, *FIRST[number], agents, now)
            if number < len(FIRST)
            else _everyday(source, person, agents, now)
        )


def web_footprint(
    locale: Locale,
    page: tuple[str, str],
    referrer: str,
    campaign: Mapping[str, str],
    device: Mapping[str, str],
) -> dict[str, Any]:
    """Return what the shop's website says of where somebody came from; what is empty is left out."""
    path, title = page
    footprint: dict[str, Any] = {
        "page": SHOP + path,
        "title": title,
        "referrer": referrer,
        "language": f"{locale.language}-{locale.country}",
        "timezone": locale.timezone,
    }
    if campaign:
        tags = "&".join(f"{name}={value}" for name, value in campaign.items())
        footprint |= {"landing": f"{SHOP}/?{tags}", **campaign}
    return {name: value for name, value in {**footprint, **device}.items() if value}


def _special(
    source: random.Random,
    person: Person,
    story: stories.Story,
    hours: float,
    agents: Sequence[Operator],
    now: datetime,
) -> Draft:
    draft = _draft(person, is_known=True)
    draft.identities.append(_on_whatsapp(source, person, "support"))
    end = now - timedelta(hours=hours)
    if story is not stories.never_wrote:
        _history(source, draft, end, agents, now, source.randint(1, 4))
    scene = Scene(source, draft, draft.identities[0], end=end, now=now)
    story(scene, agents)
    scene.put()
    if scene.handler is not Handler.BOT:
        draft.fields["handler"] = scene.handler
        draft.fields["handler_since"] = max(
            one.entry.at for one in draft.placed if one.entry.kind in ("claimed", "paused")
        )
    if scene.agent is not None:
        draft.fields |= {"agent": scene.agent.id, "agent_active": now, "claimed_from": Handler.BOT}
    if story is stories.wants_no_more:
        draft.identities[0].fields["opted_out_at"] = end
    facts.add(draft, now)
    return draft


def _everyday(source: random.Random, person: Person, agents: Sequence[Operator], now: datetime) -> Draft:
    draft = _draft(person)
    where = source.random()
    if where < 0.62:
        draft.identities.append(
            _on_whatsapp(source, person, "support" if person.locale.country != "IN" else "delhi")
        )
    if where > 0.55:
        draft.identities.append(_on_the_website(source, person))
    if len(draft.identities) == 1 and where > 0.55:
        draft.named = source.random() < 0.35
        if not draft.named:
            draft.identities[0].profile_name = None
    end = now - _age(source)
    _history(source, draft, end, agents, now, source.choice((0, 0, 1, 1, 2, 3, 5)))
    _scene(source, draft, end, agents, now)
    facts.add(draft, now)
    return draft


def _draft(person: Person, *, is_known: bool = False) -> Draft:
    """Begin a draft; its luck is the person's own, so that what one is given changes none of the others."""
    luck = random.Random(person.email)
    customer = is_known or luck.random() < 0.2
    paid = luck.choice(list(stories.PRICES.values())) * luck.randint(1, 4) if customer else 0.0
    return Draft(person, luck, is_known=is_known, paid_before=paid)


def _history(
    source: random.Random,
    draft: Draft,
    end: datetime,
    agents: Sequence[Operator],
    now: datetime,
    sessions: int,
) -> None:
    """Add earlier sessions, the oldest first."""
    ends = []
    for _ in range(sessions):
        end -= timedelta(days=source.uniform(3, 45), hours=source.uniform(0, 12))
        ends.append(end)
    for earlier in reversed(ends):
        _scene(source, draft, earlier, agents, now)


def _scene(
    source: random.Random, draft: Draft, end: datetime, agents: Sequence[Operator], now: datetime
) -> None:
    identity = source.choice(draft.identities)
    scene = Scene(source, draft, identity, end=end, now=now)
    choices = stories.EVERYDAY_WHATSAPP if scene.on_whatsapp else stories.EVERYDAY_WEB
    story = source.choices([one for one, _ in choices], [weight for _, weight in choices])[0]
    first = not any(one.identity is identity for one in draft.placed)
    if first and (story is stories.reopened):
        story = stories.order  # nobody is written to before they wrote
    if first and scene.on_whatsapp and identity.footprint:
        story = stories.from_an_ad
    story(scene, agents)
    scene.put()


def _age(source: random.Random) -> timedelta:
    """Return how long ago somebody last wrote: some are here now, most are not."""
    chance = source.random()
    if chance < 0.08:
        return timedelta(minutes=source.uniform(1, 59))
    if chance < 0.30:
        return timedelta(hours=source.uniform(1, 22))
    if chance < 0.36:
        return timedelta(hours=source.uniform(22, 23.9))
    if chance < 0.60:
        return timedelta(days=source.uniform(1, 5))
    return timedelta(days=source.uniform(5, 60))


def _on_whatsapp(source: random.Random, person: Person, deployment: str) -> Identity:
    number = person.phone.lstrip("+")
    scoped = Alias("bsuid", f"{person.locale.country}.{source.randrange(10**15, 10**16)}")
    footprint = source.choice(ADS) if source.random() < 0.25 else {}
    return Identity(deployment, (scoped, Alias("wa_id", number)), person.name, footprint)


def _on_the_website(source: random.Random, person: Person) -> Identity:
    page, referrer = source.choice(PAGES), source.choice(REFERRERS)
    campaign = source.choice(CAMPAIGNS) if source.random() < 0.5 else {}
    device = source.choice(DEVICES) if source.random() < 0.6 else {}
    footprint = web_footprint(person.locale, page, referrer, campaign, device)
    visitor = f"demo-{source.getrandbits(80):020x}"
    return Identity("shop", (Alias("visitor", visitor),), person.name, footprint)
