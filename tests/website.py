"""A website that carries the widget, for browser tests: own server, own origin, own strict policy.

Parley, its worker and the bot run beside it, each in a thread.
"""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from flask import Flask
from werkzeug.serving import make_server

from core import Author, AuthorKind, Outbound, handover, outbound
from core.deployments import add_deployment
from core.models import Deployment, Event, Identity, Message, Operator, User
from core.worker import Worker
from plugins.bots.models import Bot

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Walnut desk 140</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/page.css">
<script src="{widget}" defer></script></head>
<body><main><h1>Walnut desk 140</h1><p>Solid walnut, oiled by hand.</p>
<p><a href="/cart">Cart</a></p></main>
{element}</body></html>"""

# A page with rude rules: none of them may come through to the widget.
SHEET = """
:root { color-scheme: light dark; }
body { margin: 40px; font: 18px/1.6 serif; background: light-dark(#fff, #111); }
h1, p { color: light-dark(#111, #eee); }
a { color: light-dark(#00c, #9bf); }
parley-chat { all: unset !important; display: none !important; opacity: 0 !important; }
* { letter-spacing: 3px !important; text-transform: uppercase !important; }
button { background: red !important; border: 9px solid lime !important; }
"""

IMAGE = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 260 140" width="260" height="140">
<rect width="260" height="140" fill="#e9e4dc"/><rect x="54" y="66" width="166" height="8"/></svg>"""


class Website:
    """The page at `url`, the widget's deployment behind it, and hands to answer the visitor."""

    def __init__(self, app: Flask, **config: Any) -> None:
        self.app = app
        self.element = ""
        self.thinking = threading.Event()
        self.thinking.set()
        self.answers: Callable[[str], list[dict[str, Any]]] = lambda text: [{"text": f"You said: {text}"}]
        self.parley = make_server("127.0.0.1", 0, app, threaded=True)
        self.parley.daemon_threads = True
        self.parley_url = f"http://127.0.0.1:{self.parley.server_port}"
        self.page = _serve(self._get, self._ask_bot)
        self.url = f"http://localhost:{self.page.server_port}/"
        self.worker = Worker(app)
        config = {
            "name": "Lumen & Oak",
            "bot_name": "Order bot",
            "topics": ["When does my order arrive?", "Showroom hours"],
            "note": "We are here Mon–Sat, 9–19 h",
            "privacy_url": "https://shop.example.com/privacy",
            "origins": [self.url.rstrip("/")],
            "limit_visitor": 1000,
            **config,
        }
        self.deployment: Deployment = add_deployment("web", "shop", "Shop", "shop.example.com", config)
        Bot.create(
            deployment=self.deployment, name="Order bot", url=f"http://127.0.0.1:{self.page.server_port}/bot"
        )
        self.maya = Operator.create(email="maya@example.com", name="Maya Oliveira", password_hash="")
        self._threads = [
            threading.Thread(target=self.parley.serve_forever, args=(0.02,)),
            threading.Thread(target=self.page.serve_forever, args=(0.02,)),
            threading.Thread(target=self.worker.run),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop everything that was started."""
        self.thinking.set()
        self.app.extensions["parley"].hub.stop()
        self.worker.stop()
        self.parley.shutdown()
        self.page.shutdown()
        for thread in self._threads:
            thread.join(10)
        self.parley.server_close()
        self.page.server_close()

    def settle(self) -> None:
        """Wait until the worker has told the bot of everything."""
        while Event.select().where(~Event.handed_on).exists():
            time.sleep(0.02)

    @property
    def user(self) -> User:
        """The one user there is."""
        user: User = User.get()
        return user

    def claim(self) -> None:
        """Let Maya start the chat."""
        handover.claim(self.user.id, self.maya)

    def release(self) -> None:
        """Let Maya assign the chat to the bot."""
        handover.release(self.user.id, self.maya)

    def say(self, text: str) -> Message:
        """Let Maya write."""
        author = Author(AuthorKind.AGENT, self.maya.name, self.maya.id)
        sent = outbound.send(Identity.get().id, Outbound(text=text), author)
        assert sent.message is not None
        return sent.message

    def texts(self) -> list[tuple[str, str]]:
        """Return author and text of everything in the conversation, notes left out."""
        rows = Message.select().where(Message.author != "system").order_by(Message.at, Message.id)
        return [(message.author, message.text) for message in rows]

    def _get(self, path: str) -> tuple[int, str, bytes]:
        if path == "/page.css":
            return 200, "text/css", SHEET.encode()
        if path == "/desk.svg":
            return 200, "image/svg+xml", IMAGE
        widget = f"{self.parley_url}/web/{self.deployment.key}/widget.js"
        return 200, "text/html; charset=utf-8", PAGE.format(widget=widget, element=self.element).encode()

    def _ask_bot(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        self.thinking.wait(10)
        return self.answers(question["message"])

    @property
    def policy(self) -> str:
        """The page's own policy: this server's sheet and pictures, and Parley; nothing inline."""
        return (
            f"default-src 'none'; script-src {self.parley_url}; connect-src {self.parley_url}; "
            "style-src 'self'; img-src 'self' data:; base-uri 'none'"
        )


def _serve(get: Callable[[str], tuple[int, str, bytes]], ask: Callable[[Any], Any]) -> ThreadingHTTPServer:
    """Make a server of pages (GET) that is a bot as well (POST)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = get(self.path.partition("?")[0])
            self._reply(status, kind, body)

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._reply(200, "application/json", json.dumps(ask(question)).encode())

        def _reply(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if kind.startswith("text/html"):
                self.send_header("Content-Security-Policy", get.__self__.policy)  # type: ignore[attr-defined]
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    return server
