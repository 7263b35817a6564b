"""Hand a message to the Cloud API, and read what it answers: taken, refused, or nobody knows.

What nobody knows is never sent again by itself: our own id travels as `biz_opaque_callback_data`, and a
status settles it.
"""

from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from channels.whatsapp.errors import failure
from channels.whatsapp.people import BSUID, PARENT_BSUID, SCOPED_ID, WA_ID
from channels.whatsapp.read import as_dict, as_list, as_text
from core import Alias, Delivery, Outbound, Receipt, SendError, TemplateCall, clock

LONGEST_TEXT = 4096
_LONGEST_WAIT = timedelta(hours=24)
_HELD = frozenset({"held_for_quality_assessment", "paused"})
_MEDIA_HEADERS = frozenset({"image", "video", "document"})


def request_body(message: Outbound) -> dict[str, Any]:
    """Return the JSON that sends `message`; raises SendError for what this channel cannot carry."""
    body: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **recipient(message.to),
    }
    if message.reply_to:
        body["context"] = {"message_id": message.reply_to}
    if message.ref:
        body["biz_opaque_callback_data"] = message.ref
    if message.template is not None:
        return body | {"type": "template", "template": template(message.template)}
    if message.kind != "text":
        raise SendError(f"WhatsApp messages of kind {message.kind} cannot be sent yet.")
    if not message.text.strip():
        raise SendError("WhatsApp takes no empty message.")
    if len(message.text) > LONGEST_TEXT:
        raise SendError(f"The message has {len(message.text):,} characters; WhatsApp takes {LONGEST_TEXT:,}.")
    return body | {"type": "text", "text": {"preview_url": False, "body": message.text}}


def recipient(to: Mapping[str, str]) -> dict[str, str]:
    """Address whoever is known by the aliases `to`.

    A number goes first: it serves every type of message (an authentication template takes nothing else), and
    its alias ends when the user changes it or somebody else writes with it.
    """
    number = to.get(WA_ID, "")
    if number.isascii() and number.isdigit():
        return {"to": number}
    # A scoped id in `to` is answered with 200 and an id, and silently dropped; it belongs in `recipient`.
    scoped = next((to[kind] for kind in (BSUID, PARENT_BSUID) if SCOPED_ID.fullmatch(to.get(kind, ""))), None)
    if scoped is None:
        raise SendError("Neither a phone number nor a scoped id of this user is known on WhatsApp.")
    return {"recipient": scoped}


def template(call: TemplateCall) -> dict[str, Any]:
    """Return the template object; parameters of header and buttons are called `header.x` and `button.n`."""
    parts: dict[str, list[tuple[str, str]]] = {}
    for name, value in call.parameters.items():
        part, _, rest = name.partition(".")
        place = name if part == "button" and rest else part if part == "header" and rest else "body"
        parts.setdefault(place, []).append((rest if place != "body" else name, value))
    components = [_component(place, parameters) for place, parameters in sorted(parts.items())]
    called: dict[str, Any] = {"name": call.name, "language": {"code": call.language}}
    return called | ({"components": components} if components else {})


def _component(place: str, parameters: list[tuple[str, str]]) -> dict[str, Any]:
    if place.startswith("button."):
        (index, value), *_ = parameters
        return {
            "type": "button",
            "sub_type": "url",
            "index": index,
            "parameters": [{"type": "text", "text": value}],
        }
    name, value = parameters[0]
    if place == "header" and name in _MEDIA_HEADERS:
        return {"type": "header", "parameters": [{"type": name, name: {"link": value}}]}
    if all(name.isdigit() for name, _ in parameters):
        ordered = sorted(parameters, key=lambda pair: int(pair[0]))
        return {"type": place, "parameters": [{"type": "text", "text": value} for _, value in ordered]}
    named = [{"type": "text", "parameter_name": name, "text": value} for name, value in parameters]
    return {"type": place, "parameters": named}


class Api:
    """The Cloud API as one deployment calls it. The token goes into a header, and into no error's text."""

    def __init__(self, http: httpx.Client, base: str, token: str) -> None:
        self._http = http
        self._base = base
        self._token = token

    def send(self, phone_number_id: str, body: Mapping[str, Any]) -> Receipt:
        """Post a message; raises SendError.

        An answer without an id is uncertain: something between us and WhatsApp spoke, and who knows what it
        let through.
        """
        answer = self.call("POST", f"{phone_number_id}/messages", json=body)
        sent = as_dict((as_list(answer.get("messages")) or [None])[0])
        provider_id = as_text(sent.get("id"))
        if not provider_id:
            raise SendError("WhatsApp answered without the id of the message.", uncertain=True)
        person = as_dict((as_list(answer.get("contacts")) or [None])[0])
        known = ((BSUID, person.get("user_id")), (WA_ID, person.get("wa_id")))
        aliases = tuple(Alias(kind, value) for kind, given in known if (value := as_text(given).strip()))
        held = as_text(sent.get("message_status")) in _HELD
        return Receipt(provider_id, Delivery.QUEUED if held else Delivery.SENT, aliases)

    def call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Make one call and return its JSON; raises SendError, `uncertain` where it may have had effect."""
        try:
            answer = self._http.request(
                method, f"{self._base}/{path}", headers={"Authorization": f"Bearer {self._token}"}, **request
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            # No connection, so nothing was asked: another attempt cannot send twice.
            raise SendError(
                f"WhatsApp cannot be reached ({type(error).__name__}).", permanent=False
            ) from None
        except httpx.TimeoutException as error:
            raise SendError(
                f"WhatsApp did not answer in time ({type(error).__name__}).", uncertain=True
            ) from None
        except httpx.TransportError as error:
            raise SendError(
                f"The connection to WhatsApp broke ({type(error).__name__}).", uncertain=True
            ) from None
        except httpx.InvalidURL:
            raise SendError(
                "The address of WhatsApp in the settings is none.", pauses_deployment=True
            ) from None
        if answer.is_success:
            return _json(answer)
        raise self._refusal(answer)

    def _refusal(self, answer: httpx.Response) -> SendError:
        """Return what an answer other than 2xx means."""
        wait = _retry_after(answer)
        error = _json(answer).get("error")
        if isinstance(error, dict) and error:
            # The API itself says that it did not take the message, whatever the HTTP status.
            said = failure(error)
            return SendError(
                self._without_token(said.reason),
                code=said.code,
                retry_after=wait or said.retry_after,
                permanent=said.permanent
                and not (answer.status_code >= 500 or error.get("is_transient") is True),
                closes_window=said.closes_window,
                opts_out=said.opts_out,
                pauses_deployment=said.pauses_deployment,
            )
        status = answer.status_code
        if status in (408, 425, 429) or (status == 503 and wait):
            return SendError(
                f"WhatsApp asked to be called later (HTTP {status}).", retry_after=wait, permanent=False
            )
        if status >= 500:
            # A gateway's page: what stands behind it may have taken the message before the gateway gave up.
            return SendError(f"A gateway of WhatsApp failed (HTTP {status}).", uncertain=True)
        if status in (401, 403):
            return SendError(f"WhatsApp refused the access token (HTTP {status}).", pauses_deployment=True)
        return SendError(f"WhatsApp refused the call and did not say why (HTTP {status}).")

    def _without_token(self, text: str) -> str:
        """Hide the token, which WhatsApp repeats when it calls one malformed."""
        return text.replace(self._token, "…")


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        return as_dict(answer.json())
    except (ValueError, RecursionError):
        return {}


def _retry_after(answer: httpx.Response) -> timedelta | None:
    """Read Retry-After, which is seconds or a date, up to a day."""
    given = answer.headers.get("retry-after", "").strip()
    try:
        wait = (
            timedelta(seconds=int(given)) if given.isdigit() else parsedate_to_datetime(given) - clock.now()
        )
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta()), _LONGEST_WAIT)
