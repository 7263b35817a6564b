"""A provider that plays WhatsApp's Cloud API on loopback: as strict as the real one, and as late.

It takes messages, refuses what WhatsApp refuses, sends signed webhooks back (again until they are answered
with 2xx), and writes what its users are told to write. The tests use it in their own process, the demo
workspace as a program: `python -m plugins.demo.whatsapp_provider --help`.
"""

import base64
import hashlib
import heapq
import hmac
import itertools
import json
import os
import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from core import clock as clocks
from plugins.demo.whatsapp_provider.examine import SCOPED_ID, TEMPLATES, Json, examine
from plugins.demo.whatsapp_provider.server import WORDS, Answer, Server

WINDOW = timedelta(hours=24)


@dataclass(frozen=True)
class Taken:
    """A message that was accepted."""

    id: str
    to: str
    type: str
    text: str
    template: Json
    ref: str
    reply_to: str
    body: Json
    at: datetime


@dataclass
class Person:
    """A user of the played WhatsApp."""

    wa_id: str
    user_id: str
    name: str = ""
    username: str = ""
    hides_number: bool = False
    last_inbound: datetime | None = None


@dataclass(order=True)
class _Due:
    at: float
    number: int
    body: bytes = field(compare=False)
    attempt: int = field(default=0, compare=False)


class WhatsAppProvider:
    """One number of the played WhatsApp.

    `trusting` takes the window of a user who never wrote here as open: the demo's people wrote before this
    process began. `pace` is the time between the statuses of a message, in seconds; `senders` post webhooks
    side by side.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        app_secret: str,
        verify_token: str,
        access_token: str,
        phone_number_id: str = "106540352242922",
        waba_id: str = "102290129340398",
        webhook_url: str = "",
        number: str = "+1 555-010-0000",
        verified_name: str = "Lumen & Oak",
        templates: Sequence[Json] = TEMPLATES,
        clock: Callable[[], datetime] = clocks.now,
        api_version: str = "v23.0",
        trusting: bool = False,
        pace: float = 0,
        senders: int = 1,
    ) -> None:
        self.app_secret, self.verify_token, self.access_token = app_secret, verify_token, access_token
        self.phone_number_id, self.waba_id = phone_number_id, waba_id
        self.webhook_url = webhook_url
        self.number, self.verified_name = number, verified_name
        self.templates = list(templates)
        self.clock, self.api_version = clock, api_version
        self.trusting, self.pace = trusting, pace
        self.statuses: Sequence[str] = ("sent", "delivered", "read")
        self.shuffled = False
        self.statuses_first = False
        self.without_whatsapp: set[str] = set()
        self.messages: list[Taken] = []
        self.dropped: list[Json] = []
        self.refused: list[tuple[int, str]] = []
        self.delivered: list[tuple[int, bytes]] = []
        self.people: dict[str, Person] = {}
        self._answers: deque[Answer] = deque()
        self._failures: deque[int] = deque()
        self._due: list[_Due] = []
        self._under_way = 0
        self._numbers = itertools.count(1)
        self._change = threading.Condition()
        self._stopped = False
        self._server = Server(("127.0.0.1", port), self)
        self._client = httpx.Client(timeout=10)
        serve = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._threads = [
            serve,
            *(threading.Thread(target=self._post_due, daemon=True) for _ in range(senders)),
        ]

    @property
    def url(self) -> str:
        """Return the address that stands for https://graph.facebook.com."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def texts(self) -> list[str]:
        """Return the texts that were sent, in their order."""
        return [taken.text for taken in self.messages if taken.type == "text"]

    def start(self) -> "WhatsAppProvider":
        """Begin to answer, and to post webhooks."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """End all threads and connections; webhooks that nobody took are forgotten."""
        with self._change:
            self._stopped = True
            self._change.notify_all()
        self._server.shutdown()
        self._server.close_all()
        for thread in self._threads:
            thread.join(15)
        self._client.close()

    def __enter__(self) -> "WhatsAppProvider":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def answer_next(self, *answers: Answer) -> None:
        """Answer the next calls so, one each."""
        self._answers.extend(answers)

    def next_answer(self) -> Answer | None:
        """Return how the next call is to be answered, when not properly."""
        return self._answers.popleft() if self._answers else None

    def fail_later(self, code: int) -> None:
        """Take the next message, and report it as failed with `code` afterwards."""
        self._failures.append(code)

    def subscribe(self) -> bool:
        """Make the handshake with the webhook; says whether it was answered as it must be."""
        challenge = str(random.randrange(10**9))
        query = {"hub.mode": "subscribe", "hub.verify_token": self.verify_token, "hub.challenge": challenge}
        answer = self._client.get(self.webhook_url, params=query)
        return answer.status_code == 200 and answer.text == challenge

    def person(self, wa_id: str, **known: Any) -> Person:
        """Return the user with this number, made when it is new; what is `known` is changed."""
        digits = wa_id.lstrip("+")
        scoped = int(hashlib.sha256(digits.encode()).hexdigest()[:14], 16)
        who = self.people.setdefault(digits, Person(digits, f"US.{scoped}"))
        for name, value in known.items():
            setattr(who, name, value)
        return who

    def user_writes(self, wa_id: str, text: str, name: str = "", **more: Any) -> str:
        """Let a user write a text, with `more` in the message; returns its id."""
        return self.user_sends(wa_id, {"type": "text", "text": {"body": text}, **more}, name=name)

    def user_sends(self, wa_id: str, message: Json, **known: Any) -> str:
        """Let a user send any message; returns its id."""
        who = self.person(wa_id, **{key: value for key, value in known.items() if value})
        now = str(int(self.clock().timestamp()))
        whole: Json = {"id": self._wamid(), "timestamp": now, **self._sender(who), **message}
        wrote = datetime.fromtimestamp(int(whole["timestamp"]), UTC)
        who.last_inbound = max(wrote, who.last_inbound or wrote)
        self.deliver(self.envelope({"contacts": [self._contact(who)], "messages": [whole]}))
        identifier: str = whole["id"]
        return identifier

    def envelope(self, value: Json, field: str = "messages") -> Json:
        """Return the whole of a webhook around `value`."""
        number = re.sub(r"\D", "", self.number)
        around = {"display_phone_number": number, "phone_number_id": self.phone_number_id}
        whole = {"messaging_product": "whatsapp", "metadata": around, **value}
        change = {"field": field, "value": whole}
        return {"object": "whatsapp_business_account", "entry": [{"id": self.waba_id, "changes": [change]}]}

    def signature(self, body: bytes) -> str:
        """Return the header that proves `body`."""
        return f"sha256={hmac.new(self.app_secret.encode(), body, hashlib.sha256).hexdigest()}"

    def deliver(self, payload: Json | bytes) -> int:
        """Post a webhook now, and again later without a 2xx; returns the HTTP status, 0 for none."""
        # What is not ASCII is escaped, as Meta does: who signs what a parser read gets another signature.
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        status = self._post(body)
        if not 200 <= status < 300:
            self._later(body, 0.2, 1)
        return status

    def flush(self, seconds: float = 10) -> bool:
        """Wait until every webhook was taken; says whether that came to be."""
        with self._change:
            return self._change.wait_for(lambda: not self._due and not self._under_way, seconds)

    def take(self, body: Any) -> Json:
        """Take a message as the API does, and return its answer; raises Refused."""
        if isinstance(body, dict) and body.get("status") == "read":
            return {"success": True}
        examine(body, self.templates)
        to, recipient = body.get("to"), body.get("recipient")
        identifier = self._wamid()
        answer = {"messaging_product": "whatsapp", "messages": [{"id": identifier}]}
        if to is not None and SCOPED_ID.fullmatch(to):
            # The real one strips the prefix, takes the rest for a number, and tells nobody.
            self.dropped.append(body)
            return {**answer, "contacts": [{"input": to, "wa_id": to.split(".")[-1]}]}
        if to is not None:
            who = self.person(to)
            known = {"input": to, "wa_id": who.wa_id}
        else:
            found = [person for person in list(self.people.values()) if person.user_id == recipient]
            who = found[0] if found else Person("", recipient)
            known = {"input": recipient, "user_id": recipient}
        words = body["text"]["body"] if body.get("type", "text") == "text" else ""
        taken = Taken(
            id=identifier,
            to=to or recipient,
            type=body.get("type", "text"),
            text=words,
            template=body.get("template", {}),
            ref=body.get("biz_opaque_callback_data", ""),
            reply_to=body.get("context", {}).get("message_id", ""),
            body=body,
            at=self.clock(),
        )
        self.messages.append(taken)
        self._report(taken, who)
        return {**answer, "contacts": [known]}

    def _report(self, taken: Taken, who: Person) -> None:
        """Queue the statuses of a message."""
        code = self._failures.popleft() if self._failures else self._undeliverable(taken, who)
        words: list[str] = ["failed"] if code else list(self.statuses)
        if self.shuffled:
            random.shuffle(words)
        now = int(self.clock().timestamp())
        for number, word in enumerate(words):
            status: Json = {
                "id": taken.id,
                "status": word,
                "timestamp": str(now),
                "recipient_user_id": who.user_id,
            }
            if not who.hides_number:
                status["recipient_id"] = who.wa_id
            if taken.ref:
                status["biz_opaque_callback_data"] = taken.ref
            if code:
                status["errors"] = [
                    {"code": code, "title": WORDS.get(code, "Error"), "message": WORDS.get(code, "")}
                ]
            elif word == "sent":
                status["pricing"] = {"billable": True, "pricing_model": "PMP", "category": "service"}
            payload = self.envelope({"contacts": [self._contact(who)], "statuses": [status]})
            if self.statuses_first and number == 0:
                self.deliver(payload)
            else:
                self._later(json.dumps(payload).encode(), self.pace * number)

    def _undeliverable(self, taken: Taken, who: Person) -> int:
        if not who.wa_id or who.wa_id in self.without_whatsapp:
            return 131026
        if taken.type == "template":
            return 0
        if who.last_inbound is None:
            return 0 if self.trusting else 131047
        return 0 if self.clock() - who.last_inbound < WINDOW else 131047

    def _sender(self, who: Person) -> Json:
        known = {"from_user_id": who.user_id}
        return known if who.hides_number else {"from": who.wa_id, **known}

    def _contact(self, who: Person) -> Json:
        profile = {"name": who.name or who.wa_id, **({"username": who.username} if who.username else {})}
        known: Json = {"profile": profile, "user_id": who.user_id}
        return known if who.hides_number else {**known, "wa_id": who.wa_id}

    def _wamid(self) -> str:
        return f"wamid.{base64.b64encode(os.urandom(24)).decode()}"

    def _later(self, body: bytes, seconds: float, attempt: int = 0) -> None:
        with self._change:
            heapq.heappush(self._due, _Due(time.monotonic() + seconds, next(self._numbers), body, attempt))
            self._change.notify_all()

    def _post_due(self) -> None:
        """Post what is due until stopped: ever more rarely while no 2xx comes back."""
        while True:
            with self._change:
                while not self._stopped and not (self._due and self._due[0].at <= time.monotonic()):
                    self._change.wait(max(self._due[0].at - time.monotonic(), 0.001) if self._due else None)
                if self._stopped:
                    return
                due = heapq.heappop(self._due)
                self._under_way += 1
            status = self._post(due.body)
            with self._change:
                self._under_way -= 1
                if not 200 <= status < 300:
                    wait = min(0.2 * 2**due.attempt, 5)
                    heapq.heappush(
                        self._due,
                        _Due(time.monotonic() + wait, next(self._numbers), due.body, due.attempt + 1),
                    )
                self._change.notify_all()

    def _post(self, body: bytes) -> int:
        headers = {"Content-Type": "application/json", "X-Hub-Signature-256": self.signature(body)}
        try:
            status = self._client.post(self.webhook_url, content=body, headers=headers).status_code
        except (httpx.TransportError, httpx.UnsupportedProtocol):
            return 0
        self.delivered.append((status, body))
        return status

    def list_templates(self, query: dict[str, list[str]]) -> Json:
        """Return one page of the templates."""
        limit = int(query.get("limit", ["25"])[0])
        after = query.get("after", [""])[0]
        start = int(base64.b64decode(after)) if after else 0
        rows = self.templates[start : start + limit]
        cursor = base64.b64encode(str(start + len(rows)).encode()).decode()
        paging: Json = {"cursors": {"before": after, "after": cursor}}
        if start + len(rows) < len(self.templates):
            paging["next"] = f"{self.url}/elsewhere?access_token={self.access_token}"
        return {"data": rows, "paging": paging}
