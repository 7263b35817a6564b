"""Channels of our own for the tests of core: a provider in memory, and hands that play users and operators.

As a plugin it brings `fake` (24 h, then templates), `fake_human` (24 h, then seven days for a person alone)
and `fake_open` (no window). A webhook's body is `{"events": [{"type": "Received", ...}]}`, signed with
HMAC-SHA256.
"""

import hashlib
import hmac
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from pydantic import BaseModel, SecretStr

from core import (
    Alias,
    AliasesChanged,
    Author,
    AuthorKind,
    Capabilities,
    Channel,
    Delivery,
    Echoed,
    Event,
    Failure,
    Noted,
    Outbound,
    Outside,
    Profile,
    Receipt,
    Received,
    Reply,
    Rules,
    Side,
    StatusChanged,
    Template,
    VerificationError,
    Webhook,
    clock,
    hookimpl,
    inbound,
)
from core.db import database
from core.deployments import add_deployment
from core.models import Deployment, Message, Operator, User

SECRET = "the provider signs with this"
SIGNATURE = "X-Fake-Signature"
_EVENTS = {kind.__name__: kind for kind in (Received, Echoed, StatusChanged, AliasesChanged, Noted)}
_numbers = count(1)


@dataclass
class Provider:
    """What stands on the other side: it took these messages, and answers the next ones so."""

    taken: list[Outbound] = field(default_factory=list)
    answers: deque[Receipt | Exception | Callable[[Outbound], Receipt]] = field(default_factory=deque)
    templates: Sequence[Template] = ()
    unreadable: bool = False
    """While set, the content of an event whose payload is `{"fragile": ...}` cannot be read."""

    @property
    def texts(self) -> list[str]:
        """Return the texts of what was taken."""
        return [message.text for message in self.taken]

    def take(self, message: Outbound) -> Receipt:
        """Take one message, and answer as it was told to."""
        self.taken.append(message)
        answer = self.answers.popleft() if self.answers else Receipt(f"fake-{message.ref}")
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Receipt) else answer(message)


class Fragile(Mapping[str, Any]):
    """A payload that cannot be read while the provider says so."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def __getitem__(self, name: str) -> Any:
        return self._content[name]

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[str]:
        if Fake.provider.unreadable:
            raise RuntimeError("this payload is broken")
        return iter(self._content)


class Fake(Channel):
    """24 hours from the user's last message, then templates."""

    name, label = "fake", "Fake"
    rules = Rules(
        starts=Side.EITHER,
        window=timedelta(hours=24),
        outside=Outside.TEMPLATE,
        source="the tests",
        as_of=date(2026, 11, 24),
    )
    capabilities = Capabilities(text=1000, templates=True, receipts=True)
    secret_headers = frozenset({SIGNATURE.lower()})
    provider = Provider()

    class Config(BaseModel):
        """What is configured."""

        secret: SecretStr
        base_url: str = "http://127.0.0.1:1"

    def verify(self, webhook: Webhook) -> Reply | None:
        if webhook.method == "GET":
            if webhook.query.get("token") != self.config.secret.get_secret_value():
                raise VerificationError("the token is another one")
            return Reply(webhook.query.get("challenge", ""))
        expected = signature(webhook.body, self.config.secret.get_secret_value())
        if not hmac.compare_digest(expected, webhook.headers.get(SIGNATURE.lower(), "").encode("latin-1")):
            raise VerificationError("the signature does not fit")
        return None

    def parse(self, webhook: Webhook) -> Sequence[Event]:
        return [event_from_json(given) for given in json.loads(webhook.body)["events"]]

    def send(self, message: Outbound) -> Receipt:
        return self.provider.take(message)

    def templates(self) -> Sequence[Template]:
        return self.provider.templates


class FakeHuman(Fake):
    """24 hours, then seven days in which a person may answer, and a bot may not."""

    name, label = "fake_human", "Fake human"
    rules = Rules(
        starts=Side.USER,
        window=timedelta(hours=24),
        outside=Outside.HUMAN,
        human_window=timedelta(days=7),
        source="the tests",
        as_of=date(2026, 11, 24),
    )


class FakeOpen(Fake):
    """No window; the user writes first."""

    name, label = "fake_open", "Fake open"
    rules = Rules(starts=Side.USER, window=None, source="the tests", as_of=date(2026, 11, 24))


@hookimpl
def register_channels() -> Sequence[type[Channel]]:
    return [Fake, FakeHuman, FakeOpen]


def event_from_json(given: Mapping[str, Any]) -> Event:
    """Make an event of its JSON form; raises ValueError, KeyError or TypeError for what is none."""
    values = dict(given)
    made = _EVENTS[values.pop("type")]
    values["at"] = datetime.fromisoformat(values["at"])
    for name in ("aliases", "before", "after"):
        if name in values:
            values[name] = tuple(Alias(*pair) for pair in values[name])
    if "profile" in values:
        values["profile"] = Profile(**values["profile"])
    if values.get("failure"):
        values["failure"] = Failure(**values["failure"])
    if values.get("status"):
        values["status"] = Delivery(values["status"])
    if "fragile" in values.get("payload", {}):
        values["payload"] = Fragile(values["payload"])
    return made(**values)


def signature(body: bytes, secret: str = SECRET) -> bytes:
    """Return what the provider puts into the signature header."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()


def signed(body: bytes) -> dict[str, Any]:
    """Return the arguments of a request that carries `body` as the provider would send it."""
    return {
        "data": body,
        "content_type": "application/json",
        "headers": {SIGNATURE: signature(body).decode()},
    }


def post(client: FlaskClient, deployment: Deployment, *events: Mapping[str, Any]) -> Any:
    """Send one webhook with these events, rightly signed."""
    return client.post(f"/webhooks/{deployment.key}", **signed(json.dumps({"events": events}).encode()))


def written(who: str = "asha", text: str = "hello", **more: Any) -> dict[str, Any]:
    """Return a user's message as JSON."""
    given = {
        "type": "Received",
        "id": f"m{next(_numbers)}",
        "at": clock.now().isoformat(),
        "aliases": [["id", who]],
        "text": text,
    }
    return {**given, **more}


def deploy(channel: str = "fake", account: str = "one", **fields: Any) -> Deployment:
    """Put a channel somewhere, with a fresh provider behind it."""
    Fake.provider = Provider()
    config = {"secret": SECRET}
    return add_deployment(channel, account, f"{channel} {account}", f"place of {account}", config, **fields)


def says(
    deployment: Deployment,
    who: str = "asha",
    text: str = "hello",
    *,
    received: datetime | None = None,
    **more: Any,
) -> inbound.Accepted:
    """Let a user write; `aliases`, `id`, `at` and all else of an event can be given."""
    given = {"id": f"m{next(_numbers)}", "at": clock.now(), "aliases": (Alias("id", who),), "text": text}
    event = Received(**{**given, **more})
    return inbound.accept(deployment, event, received or max(clock.now(), event.at))


def status(
    deployment: Deployment, message: Message, status: Delivery | None, at: datetime | None = None, **more: Any
) -> inbound.Accepted:
    """Let the provider say how far a message came."""
    given = {"id": f"fake-{message.id}", "at": at or clock.now(), "status": status}
    event = StatusChanged(**{**given, **more})
    return inbound.accept(deployment, event, max(clock.now(), event.at))


def user_of(accepted: inbound.Accepted) -> User:
    """Return the user whom a message belongs to, as stored now."""
    return (
        User.select()
        .join(Message, on=(Message.user == User.id))
        .where(Message.id == accepted.message_id)
        .get()
    )


def message_of(accepted: Any) -> Message:
    """Return a message as stored now, given what came of accepting or sending it."""
    return Message.get_by_id(getattr(accepted, "message_id", None) or accepted.message.id)


def employ(name: str = "Maya") -> Operator:
    """Take on an operator."""
    return Operator.create(
        email=f"{name}-{next(_numbers)}@example.com", name=name, password_hash="", roles=["agent"]
    )


def agent(operator: Operator) -> Author:
    """Return an operator as the author of messages."""
    return Author(AuthorKind.AGENT, operator.name, operator.id)


BOT = Author(AuthorKind.BOT, "Robo")
WELCOME = Template("welcome", "en", "utility", "approved", "Hello {{1}}, it is about {{2}}.")


def at_once(app: Flask, *functions: Callable[[], Any]) -> list[Any]:
    """Run functions at the same moment, each in a thread with a connection of its own.

    Returns what each returned, or the exception that it raised.
    """
    barrier = threading.Barrier(len(functions))
    results: list[Any] = [None] * len(functions)

    def run(place: int, function: Callable[[], Any]) -> None:
        with app.app_context(), database.connection_context():
            try:
                barrier.wait(10)
                results[place] = function()
            except Exception as error:
                results[place] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive(), "a thread waits for ever"
    return results


def moment(text: str) -> datetime:
    """Return a moment of 24 November 2026, such as `12:00:00.5`."""
    return datetime.fromisoformat(f"2026-11-24T{text}").replace(tzinfo=UTC)
