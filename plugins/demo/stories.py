"""What happens in the demo: scenes of a furniture shop, the everyday ones and the rare ones that one wants to
see once.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from core.channel import Delivery
from core.models import Operator
from plugins.demo.draft import Scene
from plugins.demo.people import NEARBY
from plugins.demo.phrases import written
from plugins.demo.properties import GROUPS, SLUGS, TEAM_LABELS, WOODS
from plugins.demo.whatsapp_provider.examine import TEMPLATES

PRODUCTS = (
    "Walnut desk 140",
    "Oak shelf 80",
    "Lumen floor lamp",
    "Ash dining table",
    "Reading chair",
    "Linen sofa",
)
PRICES = dict(zip(PRODUCTS, (489.0, 129.0, 89.0, 749.0, 349.0, 1290.0), strict=True))
CHOICES = (("u_order", "/order"), ("u_assembly", "/assembly"), ("u_person", "/person"))

ORDER_ON_ITS_WAY = {
    template["language"]: template["components"][0]["text"]
    for template in TEMPLATES
    if template["name"] == "order_on_its_way"
}

Story = Callable[[Scene, Sequence[Operator]], None]


def order(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let the user ask for an order, and pick one of the bot's choices."""
    if scene.source.random() < 0.6:
        scene.user(scene.words("u_hello"))
        _choices(scene, scene.words("b_hello"))
        _pick(scene, *CHOICES[0])
    else:
        scene.user(scene.words("u_order"))
    scene.learns(topic="order")
    scene.bot(scene.words("b_order", order=_order(scene), day=_day(scene)))
    if scene.draft.chance(0.6):
        scene.sells(PRICES[scene.draft.luck.choice(PRODUCTS)])
    _thanks(scene)


def stock(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let the user ask for a product."""
    product, city = scene.source.choice(PRODUCTS), scene.draft.person.locale.city
    scene.user(scene.words("u_stock", product=product))
    _asked_for(scene, product)
    _choices(scene, scene.words("b_stock", product=product, city=city))
    if scene.source.random() < 0.5:
        _pick(scene, *CHOICES[1])
        scene.learns(assembly_wanted=True)
        scene.bot(scene.words("b_assembly"))
    _thanks(scene)


def hours(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let the user ask for the opening hours."""
    scene.user(scene.words("u_hours"))
    scene.learns(topic="hours")
    answer = scene.bot(scene.words("b_hours"))
    if scene.on_whatsapp and scene.source.random() < 0.4:
        scene.user("👍", "reaction", {"emoji": "👍", "message_id": answer}, reply_to=answer)


def returning(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let the user ask how to return something."""
    scene.user(scene.words("u_return"))
    scene.learns(topic="return")
    scene.bot(scene.words("b_return"))
    _thanks(scene)


def human(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let an agent take over, with a location from the user."""
    scene.user(scene.words("u_assembly"))
    scene.learns(topic="assembly", assembly_wanted=True)
    scene.bot(scene.words("b_assembly"))
    scene.user(scene.words("u_person"))
    scene.bot(scene.words("b_person"))
    _answered_by(scene, scene.source.choice(agents))
    scene.user(scene.words("u_where"))
    if scene.on_whatsapp:
        _location(scene)
    _written_down(scene)
    scene.says(scene.words("a_done", day=_day(scene)))
    _thanked(scene)
    scene.release()


def damage(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let the user complain about a scratch, with a photo."""
    product = scene.source.choice(PRODUCTS)
    scene.user(scene.words("u_broken", product=product))
    scene.learns(topic="damage")
    scene.bot(scene.words("b_person"))
    scene.claim(scene.source.choice(agents))
    scene.says(scene.words("a_sorry"))
    _labelled(scene)
    if scene.on_whatsapp:
        scene.user("Photo", "image", {"id": _file(scene), "mime_type": "image/jpeg"})
    else:
        scene.user(scene.words("u_where"))
    scene.says(scene.words("a_done", day=_day(scene)))
    _thanked(scene)
    scene.release()


def reopened(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let an agent start again with a template, outside the window; the user answers."""
    scene.claim(scene.source.choice(agents))
    _template(scene)
    scene.wait(minutes=scene.source.randint(3, 50))
    scene.user(scene.words("u_assembly"))
    scene.says(scene.words("a_done", day=_day(scene)))
    _thanked(scene)
    scene.release()


def from_an_ad(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let the user come from an ad."""
    product = PRODUCTS[0]
    scene.user(scene.words("u_stock", product=product), payload={"referral": dict(scene.identity.footprint)})
    _asked_for(scene, product)
    _choices(scene, scene.words("b_stock", product=product, city=scene.draft.person.locale.city))
    _thanks(scene)


def shopping(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let the user send an order from the catalogue, a voice message and a contact."""
    items = [
        {"product": "desk-140-walnut", "quantity": "1", "price": "489.00", "currency": "EUR"},
        {"product": "lamp-lumen", "quantity": "2", "price": "89.00", "currency": "EUR"},
    ]
    scene.user("Order: 2 products", "order", {"items": items, "catalog_id": "catalogue-2026"})
    scene.learns(topic="order", cart_json={"items": items, "total": 667.0})
    scene.bot(scene.words("b_order", order=_order(scene), day=_day(scene)))
    scene.user("Voice message", "voice", {"id": _file(scene), "mime_type": "audio/ogg; codecs=opus"})
    card = {
        "name": "Sam Carver",
        "phones": [{"number": "+1 617-555-0199", "type": "CELL"}],
        "organisation": "Carver Removals",
    }
    scene.user("Sam Carver", "contacts", {"contacts": [card]})
    scene.bot(scene.words("b_person"))


EVERYDAY_WHATSAPP: tuple[tuple[Story, int], ...] = (
    (order, 30),
    (stock, 20),
    (hours, 12),
    (returning, 8),
    (human, 12),
    (damage, 8),
    (reopened, 6),
    (shopping, 4),
)
EVERYDAY_WEB: tuple[tuple[Story, int], ...] = (
    (order, 25),
    (stock, 30),
    (hours, 20),
    (returning, 10),
    (human, 10),
    (damage, 5),
)


# ── Rare ones: each is told once or a few times ───────────────────────────────────────────────────


def waits_for_a_person(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let a colleague answer on the phone itself, which pauses the bot, and the user write again."""
    scene.user(scene.words("u_person"))
    scene.bot(scene.words("b_person"))
    scene.colleague("Hi, this is Sam from the Boston showroom. Which finish would you like?")
    scene.user(scene.words("u_stock", product=PRODUCTS[1]))


def with_an_agent(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let an agent be in the middle of a chat."""
    scene.user(scene.words("u_broken", product=PRODUCTS[0]))
    scene.learns(topic="damage", interests=[GROUPS[PRODUCTS[0]]], city=scene.draft.person.locale.city)
    scene.bot(scene.words("b_person"))
    _answered_by(scene, agents[1])
    scene.marks(labels=["VIP", "Home office"])
    scene.user(scene.words("u_where"))


def failed(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let WhatsApp refuse a message after taking it."""
    scene.user(scene.words("u_order"))
    scene.claim(agents[0])
    reason = "WhatsApp could not deliver: the user has no WhatsApp, or does not want this. (131026)"
    scene.says(scene.words("a_done", day=_day(scene)), state=Delivery.FAILED, error=reason)
    scene.says(scene.words("a_hello", name=scene.draft.person.given, order=_order(scene)))
    scene.release()


def window_closed_meanwhile(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let the window close between writing and sending."""
    scene.user(scene.words("u_assembly"))
    scene.bot(scene.words("b_assembly"))
    scene.wait(hours=23, minutes=58)
    scene.claim(agents[0])
    reason = "WhatsApp closes free messages 24 h after the user’s last message."
    scene.says(scene.words("a_done", day=_day(scene)), state=Delivery.NOT_SENT, error=reason)
    _template(scene)
    scene.release()


def unconfirmed(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let the worker stop while it was sending."""
    scene.user(scene.words("u_hours"))
    reason = (
        "The worker stopped while this was being sent. It may have arrived: it is not sent again by itself."
    )
    scene.bot(scene.words("b_hours"), state=Delivery.UNCONFIRMED, error=reason)
    scene.user(scene.words("u_thanks"))
    scene.bot(scene.words("b_thanks"))


def bot_failed(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let the bot give no answer."""
    scene.user(scene.words("u_order"))
    scene.wait(seconds=12)
    scene.note(
        "bot_failed", "Order bot did not answer: it took longer than 12 s.", reason="it took longer than 12 s"
    )
    scene.user(scene.words("u_person"))
    _answered_by(scene, agents[0])
    _thanked(scene)
    scene.release()


def held_back(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let the bot's answer come after an agent has taken over."""
    scene.user(scene.words("u_stock", product=PRODUCTS[2]))
    scene.claim(agents[1])
    reason = f"The bot’s answer was held back: {agents[1].name} has this chat."
    words = scene.words("b_stock", product=PRODUCTS[2], city=scene.draft.person.locale.city)
    scene.bot(words, state=Delivery.NOT_SENT, error=reason)
    scene.says(scene.words("a_hello", name=scene.draft.person.given, order=_order(scene)))
    _thanked(scene)
    scene.release()


def second_thoughts(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let the user edit one message, delete another, and send what Parley does not know."""
    first = scene.user(scene.words("u_stock", product=PRODUCTS[3]))
    new = scene.words("u_stock", product=PRODUCTS[4])
    scene.user(new, "edited", {"original_id": first, "kind": "text"}, reply_to=first, counts=False)
    scene.bot(scene.words("b_stock", product=PRODUCTS[4], city=scene.draft.person.locale.city))
    second = scene.user(scene.words("u_hello"))
    scene.user("Message deleted", "deleted", {"original_id": second}, reply_to=second, counts=False)
    raw = {
        "type": "unsupported",
        "errors": [{"code": 131051, "title": "Message type is not currently supported"}],
    }
    scene.user(
        "A kind of message that WhatsApp does not pass on", "unknown", {"type": "unsupported", "raw": raw}
    )
    scene.bot(scene.words("b_person"))


def wants_no_more(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let the user ask for no more messages."""
    scene.user(scene.words("u_return"))
    scene.bot(scene.words("b_return"))
    scene.user("STOP")


def never_wrote(scene: Scene, agents: Sequence[Operator]) -> None:
    """Let a colleague write to somebody who has never written here."""
    scene.colleague("Hello, this is the Boston showroom: your reading chair is ready to be picked up.")


# ── Pieces ────────────────────────────────────────────────────────────────────────────────────────


def _choices(scene: Scene, text: str) -> None:
    """Let the bot offer choices, as buttons where the channel has them."""
    titles = [(scene.words(key), payload) for key, payload in CHOICES]
    if scene.on_whatsapp:
        scene.bot("\n".join((f"{text}\n", *(f"• {title}" for title, _ in titles))))
    else:
        scene.bot(text, buttons=[{"title": title, "payload": payload} for title, payload in titles])


def _pick(scene: Scene, key: str, payload: str) -> None:
    title = scene.words(key)
    if scene.on_whatsapp:
        scene.user(title)
    else:
        scene.user(title, "picked", {"source": "button", "title": title, "id": payload})


def _thanks(scene: Scene) -> None:
    if scene.source.random() >= 0.7:
        return
    scene.user(scene.words("u_thanks"))
    scene.bot(scene.words("b_thanks"))
    if not scene.draft.chance(0.15):
        return
    scene.bot(scene.words("b_nps"))
    answer = scene.draft.luck.choices(("10", "9", "8", "7", "5", "2", "-"), (20, 30, 18, 8, 5, 3, 16))[0]
    scene.user(answer)
    scene.learns(nps="SKIPPED" if answer == "-" else int(answer))
    scene.bot(scene.words("b_thanks"))


def _asked_for(scene: Scene, product: str) -> None:
    """Let the bot learn from a question for a product."""
    draft = scene.draft
    draft.interests = sorted({*draft.interests, GROUPS[product]})
    more: dict[str, Any] = {}
    if draft.chance(0.12):
        more["preferred_wood"] = draft.luck.choices((*WOODS, "SKIPPED"), (40, 25, 10, 6, 4, 15))[0]
    if draft.chance(0.05):
        more["back_in_stock"] = SLUGS[product]
    if draft.chance(0.12):
        items = [{"sku": SLUGS[product], "quantity": 1, "price": PRICES[product]}]
        more["cart_json"] = {"items": items, "total": PRICES[product]}
    if draft.chance(0.15):
        more["delivery_slot"] = draft.luck.choices(("morning", "afternoon", "evening"), (5, 3, 2))[0]
    scene.learns(topic="stock", city=draft.person.locale.city, interests=draft.interests, **more)


def _written_down(scene: Scene) -> None:
    """Let the agent note what the user said."""
    draft, city = scene.draft, scene.draft.person.locale.city
    known: dict[str, Any] = {}
    if draft.chance(0.5):
        known["street_address"] = f"{draft.luck.randint(2, 180)} Lumen Street, {city}"
    if draft.chance(0.3):
        known["city"] = NEARBY.get(city, city)
    if draft.chance(0.15):
        known["marketing_consent"] = draft.luck.random() < 0.7
    if known:
        scene.marks(**known)
    _labelled(scene)


def _labelled(scene: Scene) -> None:
    if scene.draft.chance(0.5):
        scene.marks(labels=[scene.draft.luck.choices(TEAM_LABELS, (3, 4, 2, 2, 1))[0]])


def _thanked(scene: Scene) -> None:
    scene.user(scene.words("u_thanks"))


def _answered_by(scene: Scene, agent: Operator) -> None:
    scene.claim(agent)
    scene.says(scene.words("a_hello", name=scene.draft.person.given, order=_order(scene)))


def _location(scene: Scene) -> None:
    locale = scene.draft.person.locale
    latitude = f"{locale.latitude + scene.source.uniform(-0.03, 0.03):.5f}"
    longitude = f"{locale.longitude + scene.source.uniform(-0.03, 0.03):.5f}"
    scene.user(locale.city, "location", {"latitude": latitude, "longitude": longitude, "name": locale.city})


def _template(scene: Scene) -> None:
    name, number = scene.draft.person.given, _order(scene)
    language = scene.draft.language if scene.draft.language in ORDER_ON_ITS_WAY else "en"
    words = ORDER_ON_ITS_WAY[language].replace("{{1}}", name).replace("{{2}}", number)
    call: dict[str, Any] = {
        "name": "order_on_its_way",
        "language": language,
        "parameters": {"1": name, "2": number},
    }
    scene.says(words, "template", template=call)


def _file(scene: Scene) -> str:
    """Return an id as WhatsApp gives one to a file."""
    return str(scene.source.randrange(10**14, 10**15))


def _order(scene: Scene) -> str:
    return f"LO-{scene.source.randint(20100, 20999)}"


def _day(scene: Scene) -> str:
    day = scene.end + timedelta(days=scene.source.randint(2, 6))
    return written(day, scene.draft.language)
