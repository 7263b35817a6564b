"""Rasa's REST dialect: ask a bot one question, and read its answers, whatever it sends.

`POST {sender, message, metadata}` returns a list of objects with `text`, `image`, `buttons` (`title`,
`payload`), `attachment`, `custom` or `metadata`, in any combination. A handler of Rasa's that fails still
answers 200 with an empty list.

Properties come as `metadata: {"properties": {key: value}}`. Rasa's own REST channel passes nothing on that an
action adds beside `custom`, so the same is read from `custom: {"metadata": {"properties": {...}}}`.
"""

import functools
import json
import ssl
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from core.text import clean, clean_json, snippet

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 12.0
LARGEST_ANSWER = 1_000_000
MOST_ANSWERS = 20
MOST_BUTTONS = 30
LONGEST_TITLE = 80
LONGEST_PAYLOAD = 2_000
LONGEST_LINK = 2_000

_TIMEOUT = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)


class NotAsked(Exception):
    """The bot was not reached, so it knows nothing of the question: it may be asked again."""


class NoAnswer(Exception):
    """The bot may have got the question, and gave no answer that can be used; the text says why."""


@dataclass(frozen=True)
class Answer:
    """One object of the bot's list: words, the link of a picture, choices, properties by key, and what Parley
    cannot show (`other`).
    """

    text: str = ""
    image: str = ""
    buttons: tuple[tuple[str, str], ...] = ()
    other: Mapping[str, Any] | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """What a bot answered; `remark` says what of it was left out, and why."""

    answers: tuple[Answer, ...]
    remark: str = ""

    @property
    def properties(self) -> dict[str, Any]:
        """Return the properties of all answers; of two values for one key the later counts."""
        return {key: value for answer in self.answers for key, value in answer.properties.items()}


def ask(url: str, token: str | None, question: Mapping[str, Any]) -> Answers:
    """Ask the bot at `url`; raises NotAsked and NoAnswer.

    Each question has a connection of its own: one that was kept open may be closed by the bot just as it is
    used again, and then nobody can tell whether the question arrived.
    """
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    deadline = time.monotonic() + ANSWER_SECONDS
    try:
        with (
            httpx.Client(timeout=_TIMEOUT, verify=_trusted()) as client,
            client.stream("POST", url, json=question, headers=headers) as response,
        ):
            body = _body(response, deadline)
            status = response.status_code
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NotAsked("it cannot be reached") from error
    except httpx.TimeoutException as error:
        raise NoAnswer(f"it took longer than {ANSWER_SECONDS:.0f} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoAnswer(f"the connection to it failed ({type(error).__name__})") from error
    if status != 200:
        raise NoAnswer(f"it answered with status {status}")
    return read(body)


def read(body: bytes) -> Answers:
    """Read what a bot answered; raises NoAnswer when that is no list of answers at all."""
    try:
        rows = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoAnswer("its answer is not JSON") from error
    if not isinstance(rows, list):
        raise NoAnswer("its answer is not a list")
    answers = [answer for row in rows[:MOST_ANSWERS] if (answer := _answer(row)) is not None]
    remarks = []
    if (unread := len(rows[:MOST_ANSWERS]) - len(answers)) > 0:
        remarks.append(f"{unread} of its {len(rows)} answers could not be read")
    if len(rows) > MOST_ANSWERS:
        remarks.append(f"of its {len(rows)} answers only the first {MOST_ANSWERS} were taken")
    if rows and not answers:
        raise NoAnswer(remarks[0])
    return Answers(tuple(answers), "; ".join(remarks))


def split(text: str, limit: int) -> list[str]:
    """Cut `text` into parts of at most `limit` characters: at a blank line, a line, a sentence or a word, in
    this order.
    """
    parts = []
    rest = text.strip()
    while len(rest) > limit:
        cut = _cut(rest, limit)
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [part for part in (*parts, rest) if part]


def web_address(value: Any) -> str:
    """Return `value` when it is a link that a person could open, else an empty text."""
    if not isinstance(value, str):
        return ""
    text = clean(value).strip()
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    fits = len(text) <= LONGEST_LINK and not text.split()[1:]
    return text if parts.scheme in ("http", "https") and parts.netloc and fits else ""


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Return whom HTTPS trusts; reading that for each question would take longer than the question."""
    return httpx.create_ssl_context()


def _body(response: httpx.Response, deadline: float) -> bytes:
    """Take the body in, up to a size and a moment."""
    chunks, size = [], 0
    for chunk in response.iter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_ANSWER:
            raise NoAnswer(f"its answer is larger than {LARGEST_ANSWER // 1_000_000} MB")
        if time.monotonic() > deadline:
            raise NoAnswer(f"it took longer than {ANSWER_SECONDS:.0f} s")
    return b"".join(chunks)


def _answer(row: Any) -> Answer | None:
    """Read one object, leniently; None when nothing in it can be used."""
    if not isinstance(row, dict):
        return None
    text = row.get("text")
    text = clean(text).strip() if isinstance(text, str) else ""
    image = web_address(row.get("image"))
    buttons = _buttons(row.get("buttons"))
    attachment = row.get("attachment")
    if link := _attached(attachment):
        text = "\n".join(filter(None, (text, link)))
        attachment = None
    custom, properties = _properties(row)
    unshown = {"custom": custom, "attachment": attachment}
    if row.get("image") and not image:
        unshown["image"] = row["image"]
    other = {name: clean_json(value) for name, value in unshown.items() if value not in (None, "", [], {})}
    if not (text or image or buttons or other or properties):
        return None
    return Answer(text, image, buttons, other or None, properties)


def _properties(row: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return what `custom` holds beside properties, and the properties from there and from `metadata`.

    Values stay as they came: their types judge them, as they do what the API and people say.
    """
    custom, found = row.get("custom"), [_named(row.get("metadata"))]
    if isinstance(custom, dict) and (inner := _named(custom.get("metadata"))) is not None:
        found.append(inner)
        rest = {name: value for name, value in custom["metadata"].items() if name != "properties"}
        custom = {name: value for name, value in custom.items() if name != "metadata"}
        if rest:
            custom["metadata"] = rest
    return custom, {key: value for one in found for key, value in (one or {}).items()}


def _named(metadata: Any) -> dict[str, Any] | None:
    """Return the properties in `metadata`, where there are any."""
    properties = metadata.get("properties") if isinstance(metadata, dict) else None
    return properties if isinstance(properties, dict) else None


def _buttons(value: Any) -> tuple[tuple[str, str], ...]:
    """Return title and payload of each button that has a title; without a payload, the title is what a pick
    says.
    """
    found = []
    for button in value[:MOST_BUTTONS] if isinstance(value, list) else ():
        title = button.get("title") if isinstance(button, dict) else None
        if isinstance(title, str) and clean(title).strip():
            payload = button.get("payload")
            chosen = payload if isinstance(payload, str) and payload.strip() else title
            found.append((snippet(clean(title), LONGEST_TITLE), clean(chosen)[:LONGEST_PAYLOAD]))
    return tuple(found)


def _attached(value: Any) -> str:
    """Return the link of an attachment: given as text, or as Rasa's `{type, payload: {src}}`."""
    if isinstance(value, dict):
        payload = value.get("payload")
        source = payload if isinstance(payload, dict) else value
        return web_address(source.get("src")) or web_address(source.get("url"))
    return web_address(value)


def _cut(text: str, limit: int) -> int:
    """Return where to cut: never in the first half, so that no part is tiny, and never between a character
    and its accents.
    """
    for mark in ("\n\n", "\n", ". ", "? ", "! ", "。", "؟ ", "। ", " "):
        place = text.rfind(mark, limit // 2, limit)
        if place > 0:
            return place + len(mark.rstrip())
    cut = limit
    while cut > limit // 2 and _clings(text[cut], text[cut - 1]):
        cut -= 1
    return cut


def _clings(after: str, before: str) -> bool:
    """Say whether `after` belongs to the character before it: an accent, a joiner, a variation, or what a
    joiner joins.
    """
    return bool(
        unicodedata.combining(after)
        or unicodedata.category(after) in ("Mn", "Me", "Mc")
        or after in "\u200d\ufe0f"
        or before == "\u200d"
        or "\U0001f3fb" <= after <= "\U0001f3ff"
    )
