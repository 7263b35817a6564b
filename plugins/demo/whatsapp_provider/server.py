"""The HTTP side of the played WhatsApp: paths, tokens and error bodies as the Graph API has them."""

import contextlib
import json
import re
import socket
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from plugins.demo.whatsapp_provider.examine import Json, Refused

LARGEST_BODY = 1_000_000
WORDS = {
    0: "AuthException",
    4: "Application request limit reached",
    100: "Invalid parameter",
    190: "Invalid OAuth access token - Cannot parse access token",
    2500: "Unknown path components",
    130429: "Rate limit hit",
    130472: "User's number is part of an experiment",
    131000: "Something went wrong",
    131008: "Required parameter is missing",
    131009: "Parameter value is not valid",
    131026: "Message undeliverable",
    131047: "Re-engagement message",
    131048: "Spam rate limit hit",
    131050: "User has stopped marketing messages",
    131056: "(Business Account, Consumer Account) pair rate limit hit",
    132000: "Number of parameters does not match the expected number of params",
    132001: "Template name does not exist in the translation",
    132015: "Template is paused",
    132018: "There is an issue with the parameters in your template",
}


@dataclass(frozen=True)
class Answer:
    """How one of the next calls is answered, in place of properly.

    With `code` it is an error of the API, with `html` a gateway's page; `wait` seconds pass first. `lost`
    takes the message, and breaks the line before a word is said.
    """

    status: int = 400
    code: int = 0
    details: str = ""
    html: str = ""
    retry_after: str = ""
    wait: float = 0
    lost: bool = False


class Played(Protocol):
    """What the server asks of the provider behind it."""

    access_token: str
    api_version: str
    phone_number_id: str
    waba_id: str
    number: str
    verified_name: str
    refused: list[tuple[int, str]]

    def take(self, body: Any) -> Json: ...
    def list_templates(self, query: dict[str, list[str]]) -> Json: ...
    def user_writes(self, wa_id: str, text: str, name: str = "") -> str: ...
    def next_answer(self) -> Answer | None: ...


class Server(ThreadingHTTPServer):
    """A threaded server that can end its connections: a client that keeps them would keep the threads."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], played: Played) -> None:
        self.played = played
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hung up."""

    def close_all(self) -> None:
        """End every connection, and the listening socket."""
        with self._lock:
            still_open = list(self._open)
        for connection in still_open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        """Keep still."""

    def do_GET(self) -> None:
        self._within(self._get)

    def do_POST(self) -> None:
        self._within(self._post)

    def _within(self, proper: Any) -> None:
        """Answer properly, or as the next answer says; the body is read in any case."""
        played = self.server.played
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(min(length, LARGEST_BODY))
        given = self.headers.get("authorization", "")
        if given != f"Bearer {played.access_token}":
            return self._refuse(Refused(190, WORDS[190], 401))
        other = played.next_answer() if not self.path.startswith("/play/") else None
        if other is not None:
            time.sleep(other.wait)
            if other.html:
                return self._say(other.status, other.html.encode(), "text/html", other.retry_after)
            if other.code or (other.status >= 300 and not other.lost):
                refused = Refused(
                    other.code, other.details or WORDS.get(other.code, "An error"), other.status
                )
                return self._refuse(refused, other.retry_after)
        try:
            answer = proper(raw)
        except Refused as refused:
            return self._refuse(refused)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return self._refuse(Refused(100, f"A part of the body has the wrong form: {error}"))
        if other is not None and other.lost:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        return self._say(200, json.dumps(answer).encode())

    def _get(self, _: bytes) -> Json:
        played = self.server.played
        where = urlsplit(self.path)
        match self._path(where.path):
            case [played.phone_number_id]:
                return {
                    "id": played.phone_number_id,
                    "display_phone_number": played.number,
                    "verified_name": played.verified_name,
                    "quality_rating": "GREEN",
                }
            case [played.waba_id, "message_templates"]:
                return played.list_templates(parse_qs(where.query))
        raise self._unknown(where.path)

    def _post(self, raw: bytes) -> Json:
        played = self.server.played
        try:
            body = json.loads(raw)
        except ValueError:
            raise Refused(100, "The body is not JSON.") from None
        if self.path == "/play/writes":
            return {"id": played.user_writes(body["wa_id"], body["text"], body.get("name", ""))}
        if self._path(self.path) == [played.phone_number_id, "messages"]:
            return played.take(body)
        raise self._unknown(self.path)

    def _path(self, path: str) -> list[str]:
        version, *rest = path.strip("/").split("/")
        if version != self.server.played.api_version:
            raise Refused(2500, f"{WORDS[2500]}: /{version}")
        return rest

    @staticmethod
    def _unknown(path: str) -> Refused:
        name = path.strip("/").split("/")[1:2]
        return Refused(100, f"Object with ID {name} does not exist, or does not support this operation.")

    def _refuse(self, refused: Refused, retry_after: str = "") -> None:
        self.server.played.refused.append((refused.code, refused.details))
        error: Json = {
            "message": f"(#{refused.code}) {WORDS.get(refused.code, refused.details)}",
            "type": "OAuthException",
            "code": refused.code,
            "error_data": {"messaging_product": "whatsapp", "details": refused.details},
            "fbtrace_id": "A" + re.sub(r"\W", "", self.path)[-11:],
        }
        self._say(refused.status, json.dumps({"error": error}).encode(), retry_after=retry_after)

    def _say(self, status: int, body: bytes, kind: str = "application/json", retry_after: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)
