"""One message as parley/_message.html shows it, whatever its kind."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from admin import access, words
from admin.views.reading import Subject
from admin.views.shown import channel
from core.channel import Delivery
from core.text import snippet

__all__ = ["Around", "as_json", "channel", "shown", "when"]

_MEDIA = ("image", "video", "audio", "voice", "file", "sticker")


@dataclass(frozen=True)
class Around:
    """What stands around the messages of a page: what they answer, reactions to them, what was picked."""

    quoted: Mapping[str, Mapping[str, Any]]
    reactions: Mapping[str, Sequence[str]]
    picked: frozenset[str] | set[str]


@dataclass(frozen=True)
class Look:
    """How a message is drawn: its kind for the template, with the payload that this kind has there."""

    kind: str
    text: str
    payload: Mapping[str, Any]
    label: str | None = None
    has_raw: bool = False


def shown(row: Mapping[str, Any], subject: Subject, around: Around) -> dict[str, Any]:
    """Return an entry of the conversation for the template."""
    payload = row["payload"]
    name = _name(row, subject)
    look = _LOOKS.get(row["kind"], _anything)(row, around)
    if look.kind == "text" and payload.get("buttons"):
        look = _with_buttons(look, payload["buttons"], around)
    mine = row["author"] == "agent" and row["operator"] == subject.operator.id
    return {
        "type": "message",
        "id": row["id"],
        "author": row["author"],
        "name": name,
        "initials": words.initials(name),
        "kind": look.kind,
        "text": look.text,
        "payload": look.payload,
        "label": look.label,
        "raw": as_json(payload) if look.has_raw and access.sight().clear else None,
        "reply_to": _quote(row, subject, around),
        "reactions": [
            {"emoji": emoji, "name": subject.person.name}
            for emoji in around.reactions.get(row["provider_id"], ())
        ],
        "referral": _referral(payload.get("referral")),
        "state": None if row["author"] == "user" else _state(row, subject.now),
        "reusable": mine and look.kind == "text" and row["state"] in (Delivery.NOT_SENT, Delivery.FAILED),
        **when(row["at"], subject.now),
    }


def when(at: datetime, now: words.Now) -> dict[str, str]:
    """Return the time of an entry."""
    return {"iso": at.isoformat(), "clock": words.clock(at, now), "exact": words.exact(at, now)}


def as_json(value: Any) -> str:
    """Return the raw form of something."""
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)


def _name(row: Mapping[str, Any], subject: Subject) -> str:
    if row["author"] == "user":
        own = access.sight().name(row["author_name"])
        return own or subject.person.name
    return words.author(row["author"], row["author_name"])


def _quote(row: Mapping[str, Any], subject: Subject, around: Around) -> dict[str, str] | None:
    quoted = around.quoted.get(row["reply_to"] or "")
    if quoted is None or row["kind"] in ("reaction", "edited", "deleted"):
        return None
    return {"name": _name(quoted, subject), "text": snippet(quoted["text"]) or f"[{quoted['kind']}]"}


def _referral(given: Any) -> dict[str, Any] | None:
    if not isinstance(given, Mapping) or not given:
        return None
    return {
        "source": (_said(given.get("source")) or "ad").capitalize(),
        "id": _said(given.get("source_id")),
        "headline": _said(given.get("headline")),
        "body": _said(given.get("body")),
        "source_url": access.sight().address(_said(given.get("source_url"))),
    }


# ── How far a message of ours came ────────────────────────────────────────────────────────────────────────

_STEPS = {
    Delivery.SENT: ("Sent", "sent"),
    Delivery.DELIVERED: ("Delivered", "delivered"),
    Delivery.READ: ("Read", "read"),
    Delivery.FAILED: ("Failed", "failed"),
}


def _state(row: Mapping[str, Any], now: words.Now) -> dict[str, Any]:
    state, error = row["state"], row["error"]
    if state == Delivery.QUEUED:
        return (
            {"name": "sending", "text": "Sending"}
            if row["attempted"]
            else {"name": "queued", "text": "Queued"}
        )
    if state == Delivery.NOT_SENT:
        # What a bot said while a person had the chat is no failure.
        name = "suppressed" if row["author"] == "bot" else "not_sent"
        return {"name": name, "text": "Not sent", "reason": error}
    if state == Delivery.UNCONFIRMED:
        return {"name": "unconfirmed", "text": "Unconfirmed", "reason": error}
    word, step = _STEPS.get(state, ("Sent", "sent"))
    at = row[step] or row["sent"]
    text = f"{word} {words.clock(at, now)}" if at else word
    return {"name": step, "text": word if error else text, "reason": error}


# ── Kinds ─────────────────────────────────────────────────────────────────────────────────────────────────


def _text(row: Mapping[str, Any], around: Around) -> Look:
    return Look("text", row["text"], {})


def _media(row: Mapping[str, Any], around: Around) -> Look:
    payload = row["payload"]
    ours = () if row["author"] == "user" else (row["text"], _said(payload.get("url")))
    caption = _said(payload.get("caption")) or "\n".join(filter(None, ours))
    about = {"name": _said(payload.get("filename")), "type": words.file_type(_said(payload.get("mime_type")))}
    return Look(row["kind"], caption, {**about, "size": None, "length": None})


def _location(row: Mapping[str, Any], around: Around) -> Look:
    parts = ("name", "address", "latitude", "longitude")
    return Look("location", "", {part: _said(row["payload"].get(part)) or None for part in parts})


def _contacts(row: Mapping[str, Any], around: Around) -> Look:
    see = access.sight()
    cards = []
    for card in _mappings(row["payload"].get("contacts")):
        numbers = [_said(one.get("number")) for one in _mappings(card.get("phones"))]
        cards.append(
            {
                "name": _said(card.get("name")),
                "organisation": _said(card.get("organisation")),
                "phones": [number if see.clear else see.phone(number) for number in numbers if number],
                "emails": [
                    see.email(_said(address)) for address in _list(card.get("emails")) if _said(address)
                ],
            }
        )
    return Look("contacts", "" if cards else row["text"], {"contacts": cards})


def _picked(row: Mapping[str, Any], around: Around) -> Look:
    payload = row["payload"]
    title = _said(payload.get("title")) or _said(payload.get("name")) or row["text"]
    description = _said(payload.get("description"))
    is_form = payload.get("source") == "flow"
    return Look("choice", row["text"], {"title": title, "description": description}, has_raw=is_form)


def _reaction(row: Mapping[str, Any], around: Around) -> Look:
    quoted = around.quoted.get(row["reply_to"] or "")
    emoji = _said(row["payload"].get("emoji")) or None
    return Look(
        "reaction", row["text"], {"emoji": emoji, "to": snippet(quoted["text"], 60) if quoted else None}
    )


def _template(row: Mapping[str, Any], around: Around) -> Look:
    payload = row["payload"]
    called = next(iter(_mappings([payload.get("template")])), {})
    return Look(
        "template",
        row["text"],
        {
            "name": _said(called.get("name")) or "Template",
            "language": _said(called.get("language")),
            "header": _said(payload.get("header")),
            "body": row["text"],
            "footer": _said(payload.get("footer")),
            "buttons": [_said(button) for button in _list(payload.get("buttons")) if _said(button)],
        },
    )


def _labelled(label: str, *, has_raw: bool = True) -> Callable[[Mapping[str, Any], Around], Look]:
    def look(row: Mapping[str, Any], around: Around) -> Look:
        text = row["text"] if row["text"] != label else ""
        return Look(row["kind"], text, {}, label=label, has_raw=has_raw)

    return look


def _order(row: Mapping[str, Any], around: Around) -> Look:
    items = _list(row["payload"].get("items"))
    label = f"Order with {words.counted(len(items), 'product')}" if items else "Order"
    return Look("order", row["text"], {}, label=label, has_raw=True)


def _anything(row: Mapping[str, Any], around: Around) -> Look:
    hint = _said(row["payload"].get("hint")) or _said(row["payload"].get("type"))
    label = f"A message that Parley does not show yet{f' ({hint})' if hint else ''}"
    return Look(row["kind"], row["text"], {}, label=label, has_raw=True)


def _with_buttons(look: Look, buttons: Any, around: Around) -> Look:
    titles = [button.get("title") if isinstance(button, Mapping) else button for button in _list(buttons)]
    options = [{"title": _said(title), "picked": title in around.picked} for title in titles if _said(title)]
    return replace(look, kind="buttons", payload={"options": options}) if options else look


def _said(value: Any) -> str:
    """Return text or a number as text; whatever else stands where words should be says nothing."""
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in _list(value) if isinstance(one, Mapping)]


_LOOKS: Mapping[str, Callable[[Mapping[str, Any], Around], Look]] = {
    "text": _text,
    **dict.fromkeys(_MEDIA, _media),
    "location": _location,
    "contacts": _contacts,
    "picked": _picked,
    "reaction": _reaction,
    "template": _template,
    "order": _order,
    "edited": _labelled("Edited message"),
    "deleted": _labelled("Message deleted", has_raw=False),
    "system": _labelled("Notice of the channel"),
}
