"""A visitor of a website in the tests: one browser that speaks the widget's HTTP API."""

import uuid
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from core import Author, AuthorKind, Outbound, outbound
from core.deployments import add_deployment
from core.models import Deployment, Identity, Message

CHROME = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Mobile Safari/537.36"
)
BOT = Author(AuthorKind.BOT, "Order bot")
LIMIT = 40
"""Messages a minute from one address, unless a test says otherwise."""

EVERY_CALL: list[tuple[str, str, Any]] = [
    ("GET", "messages", None),
    ("POST", "messages", {"client_id": "5a6b6a3e-1f5f-4a7e-9d3f-2a60b1f6c0de", "text": "hi"}),
    ("POST", "receipts", {"message": "1", "state": "read"}),
    ("GET", "stream", None),
    ("POST", "end", {}),
    ("GET", "stored", None),
    ("POST", "consent", {"device": True}),
]
"""All that asks for a token."""


def deploy(account: str, **config: Any) -> Deployment:
    """Put a widget somewhere."""
    config = {"name": "Lumen & Oak", "bot_name": "Order bot", "limit_visitor": LIMIT, **config}
    return add_deployment("web", account, f"Widget {account}", f"{account}.example.com", config)


class Visitor:
    """One browser with one token, on the page of `deployment`."""

    def __init__(self, app: Flask, deployment: Deployment, ip: str = "203.0.113.7") -> None:
        self.http: FlaskClient = app.test_client()
        self.base = f"/web/{deployment.key}"
        self.environ = {"REMOTE_ADDR": ip}
        self.token: str | None = None

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        """Send one request with the token, if there is one."""
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        headers.setdefault("User-Agent", CHROME)
        return self.http.open(
            f"{self.base}/{path}",
            method=method,
            json=body,
            headers=headers,
            environ_base=self.environ,
        )

    def arrive(self) -> "Visitor":
        """Get a token."""
        self.token = self.call("POST", "token", {}).json["token"]
        return self

    def write(self, text: str = "hello", client_id: str | None = None, **more: Any) -> TestResponse:
        """Send a message."""
        return self.call("POST", "messages", {"client_id": client_id or new_id(), "text": text, **more})

    def read(self, query: str = "") -> dict[str, Any]:
        """Fetch messages."""
        answer: dict[str, Any] = self.call("GET", f"messages{query}").json
        return answer

    @property
    def texts(self) -> list[str]:
        """The texts that this visitor can read."""
        return [message["text"] for message in self.read()["messages"]]


def new_id() -> str:
    return str(uuid.uuid4())


def speak(text: str, identity: Identity | None = None, author: Author = BOT, **more: Any) -> Message:
    """Queue a message to the visitor."""
    sent = outbound.send((identity or Identity.get()).id, Outbound(text=text, **more), author)
    assert sent.message is not None
    return sent.message
