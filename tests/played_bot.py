"""A bot in the tests, played by a server on loopback, and a visitor who writes to it."""

import contextlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from click.testing import CliRunner

from core import Alias, Received, clock
from core.cli import parley as command
from core.inbound import accept
from core.models import Deployment, Message


class PlayedBot:
    """A bot that answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Any = [{"text": "Hello."}]
        self.status = 200
        self.before_answer: Callable[[], None] = lambda: None
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                owner.asked.append(json.loads(body))
                owner.headers.append(dict(self.headers))
                owner.before_answer()
                answer = (
                    owner.answer if isinstance(owner.answer, bytes) else json.dumps(owner.answer).encode()
                )
                self.send_response(owner.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def url(self) -> str:
        """Return where it is asked."""
        return f"http://127.0.0.1:{self.server.server_port}/webhooks/rest/webhook"

    def stop(self) -> None:
        """Listen no more."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def set_bot(deployment: Deployment, url: str, *options: str) -> None:
    """Let a bot answer on a deployment."""
    result = CliRunner().invoke(command, ["bot", "set", deployment.key, "--url", url, *options])
    assert result.exit_code == 0, result.output


def write(deployment: Deployment, text: str = "hi", number: str = "1", **fields: Any) -> Message:
    """Let a visitor write."""
    given = {"id": number, "aliases": (Alias("visitor", "v1"),), "text": text, "at": clock.now(), **fields}
    accepted = accept(deployment, Received(**given), clock.now())
    return Message.get_by_id(accepted.message_id)


def said(*authors: str) -> list[tuple[str, str, str]]:
    """Return kind, text and state of all entries by these authors (all but the user, when left out)."""
    chosen = authors or ("bot", "agent", "system")
    rows = Message.select().where(Message.author.in_(chosen)).order_by(Message.id)
    return [(row.kind, row.text, row.state) for row in rows]
