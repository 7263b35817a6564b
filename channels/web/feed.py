"""What a visitor may read: their own identity's messages, by user, bot and agent.

Never notes, events, or what was not sent.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from core import clock, delivery
from core.channel import AuthorKind, Delivery
from core.conversation import lock_user
from core.db import database, tuples
from core.live import PING_SECONDS, Hub
from core.models import Event, Handler, Identity, Job, Message, Operator, User

MOST = 100
_AUTHORS = (AuthorKind.USER, AuthorKind.BOT, AuthorKind.AGENT)
# What is unconfirmed may be shown: the browser that has it confirms it by its receipt.
_STATES = (
    Delivery.RECEIVED,
    Delivery.SENT,
    Delivery.DELIVERED,
    Delivery.READ,
    Delivery.UNCONFIRMED,
)


def visible(identity: Identity) -> Any:
    """Return the condition for what the visitor behind `identity` may see."""
    return (Message.identity == identity) & Message.author.in_(_AUTHORS) & Message.state.in_(_STATES)


def newest(identity: Identity, limit: int, before: Message | None = None) -> tuple[list[Message], bool]:
    """Return up to `limit` messages, oldest first: the newest, or those before one.

    The second value says whether there are older ones.
    """
    query = Message.select().where(visible(identity))
    if before is not None:
        earlier = (Message.at < before.at) | (Message.id < before.id)
        query = query.where(Message.at <= before.at, earlier)
    found = list(query.order_by(Message.at.desc(), Message.id.desc()).limit(limit + 1))
    return found[:limit][::-1], len(found) > limit


def changed(identity: Identity, after: int, upto: int) -> tuple[list[Message], int, bool]:
    """Return the messages that are new or different since the user's event `after`.

    The second value is the event that this reaches, the third whether there is more up to event `upto`.
    """
    events = tuples(
        Event.select(Event.seq, Event.reference)
        .where(Event.user == identity.user_id, Event.seq > after, Event.seq <= upto)
        .order_by(Event.seq)
        .limit(MOST)
    )
    more = len(events) == MOST and events[-1][0] < upto
    ids = {reference["message"] for _, reference in events if "message" in reference}
    if not ids:
        return [], events[-1][0] if more else upto, more
    found = Message.select().where(visible(identity), Message.id.in_(list(ids)))
    return list(found.order_by(Message.at, Message.id)), events[-1][0] if more else upto, more


def one(identity: Identity, message_id: int) -> Message | None:
    """Return a message that this visitor may see, or None."""
    found: Message | None = Message.get_or_none(visible(identity), Message.id == message_id)
    return found


def state_of(identity: Identity, bot_name: str) -> dict[str, Any]:
    """Return who answers, under the name that visitors see, and whether a bot is at work on an answer."""
    user = User.get_by_id(identity.user_id)
    name = bot_name
    if user.handler == Handler.AGENT:
        name = given_name(Operator.get_by_id(user.agent_id).name)
    return {
        "handler": {"kind": user.handler, "name": name, "since": _moment(user.handler_since)},
        "typing": user.handler == Handler.BOT and _bot_is_at_work(identity),
    }


def as_json(message: Message, bot_name: str) -> dict[str, Any]:
    """Return a message as the widget gets it. What the bot calls its buttons stays here."""
    mine = message.author == AuthorKind.USER
    own_id = (message.provider_id or "").partition(":")[2] if mine else ""
    return {
        "id": str(message.id),
        "client_id": own_id or None,
        "at": _moment(message.at),
        "author": {"kind": message.author, "name": _author_name(message, bot_name)},
        "text": message.text,
        "image": _address(message.payload.get("url")) if message.kind == "image" else None,
        "buttons": [
            {"title": title, "url": _address(button.get("url"))} for title, button in buttons(message)
        ],
        "state": Delivery.SENT if mine or message.state == Delivery.UNCONFIRMED else message.state,
    }


def buttons(message: Message) -> list[tuple[str, dict[str, Any]]]:
    """Return the titles that a message offers to choose from, each with the button as the bot wrote it."""
    if message.author == AuthorKind.USER:
        return []
    offered = message.payload.get("buttons")
    return [
        (button["title"], button)
        for button in (offered if isinstance(offered, list) else [])
        if isinstance(button, dict) and isinstance(button.get("title"), str)
    ]


def given_name(name: str) -> str:
    """Return the first word of an agent's name: all that a visitor needs."""
    return name.split()[0] if name.strip() else ""


def acknowledge(identity: Identity, upto: Message, state: Delivery) -> int:
    """Record that the visitor's browser has, or showed, all that was written to it up to a message.

    Returns how much was news.
    """
    behind = [Delivery.UNCONFIRMED, Delivery.SENT]
    if state is Delivery.READ:
        behind.append(Delivery.DELIVERED)
    with database.atomic():
        lock_user(identity.user_id)
        waiting = Message.select().where(
            visible(identity),
            Message.author != AuthorKind.USER,
            Message.state.in_(behind),
            Message.at <= upto.at,
            (Message.at < upto.at) | (Message.id <= upto.id),
        )
        oldest_first = list(waiting.order_by(Message.at, Message.id).limit(500))
        return sum(delivery.climb(message, state, clock.now()) for message in oldest_first)


def stream(
    hub: Hub, identity: Identity, user_key: str, after: int, still_good: Callable[[], bool]
) -> Iterator[str]:
    """Yield server-sent events: pings, and `wake` with the number of an event that the page should look at.

    It starts with what happened after event `after`, so that nothing falls between two streams. `still_good`
    is asked at each wake and ping. It says nothing of what happens to the user elsewhere.
    """
    with hub.subscribe(user_key) as subscription:
        yield "retry: 2000\n\n"
        quiet = 0.0
        latest = _concerning(identity, after)
        while not hub.stopping.is_set():
            if latest > after:
                if not still_good():
                    return
                after = latest
                yield f"event: wake\nid: {after}\ndata: {{}}\n\n"
            if subscription.get(timeout=1) is not None:
                while subscription.get(timeout=0) is not None:
                    pass  # several at once are one look
                latest = _concerning(identity, after)
                continue
            quiet += 1
            if quiet >= PING_SECONDS:
                quiet = 0.0
                if not still_good():
                    return
                yield ": ping\n\n"


def _concerning(identity: Identity, after: int) -> int:
    """Return the newest event since `after` that is about this identity or who answers; else `after`."""
    with database.connection_context():
        events = tuples(
            Event.select(Event.seq, Event.kind, Event.reference)
            .where(Event.user == identity.user_id, Event.seq > after)
            .order_by(Event.seq.desc())
            .limit(MOST)
        )
        ids = {reference["message"] for _, _, reference in events if "message" in reference}
        own: set[int] = set()
        if ids:
            mine = Message.select(Message.id).where(Message.identity == identity, Message.id.in_(list(ids)))
            own = {message_id for (message_id,) in tuples(mine)}
    if len(events) == MOST:  # too many to look through: the page looks for itself
        return int(events[0][0])
    about = [
        seq for seq, kind, reference in events if kind == "handler_changed" or reference.get("message") in own
    ]
    return max(about, default=after)


def _bot_is_at_work(identity: Identity) -> bool:
    """Say whether the visitor's last words are with the bot.

    They are while nothing followed them and its turn is under way, or about to be: the worker has not yet
    told the plugins of them.
    """
    newest_first = Message.select().where(Message.identity == identity)
    last = newest_first.order_by(Message.at.desc(), Message.id.desc()).first()
    if last is None or last.author != AuthorKind.USER:
        return False
    if Job.select().where(Job.lane == f"bot:{identity.id}", Job.failed.is_null()).exists():
        return True
    untold = Event.select(Event.reference).where(
        Event.user == identity.user_id, Event.kind == "message_received", ~Event.handed_on
    )
    return any(reference.get("message") == last.id for (reference,) in tuples(untold))


def _author_name(message: Message, bot_name: str) -> str:
    match message.author:
        case AuthorKind.BOT:
            return bot_name or message.author_name or ""
        case AuthorKind.AGENT:
            return given_name(message.author_name or "")
    return ""


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _address(url: Any) -> str | None:
    """Return what a browser may be sent to, else None."""
    try:
        return url if isinstance(url, str) and urlsplit(url).scheme in ("http", "https") else None
    except ValueError:
        return None
