"""What one WhatsApp message says, whatever its type: kind, text for lists and search, payload for screens.

The package's docstring has the table of kinds and payload keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from channels.whatsapp.errors import in_words
from channels.whatsapp.read import as_dict, as_list, as_text, decode, present

_MEDIA = {
    "image": ("image", "Photo"),
    "video": ("video", "Video"),
    "audio": ("audio", "Audio"),
    "voice": ("voice", "Voice message"),
    "document": ("file", "File"),
    "sticker": ("sticker", "Sticker"),
}
_UNDOINGS = frozenset({"edit", "revoke", "delete"})
_NAMES_SHOWN = 5
_ANSWERS_SHOWN = 20


@dataclass(frozen=True)
class Content:
    """What a message says. `writes` is False for what is no act of writing, so that it resets no window."""

    kind: str
    text: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    reply_to: str | None = None
    writes: bool = True


def read(message: Mapping[str, Any]) -> Content:
    """Read any message; what cannot be read as its type says becomes `unknown`, with the message as `raw`."""
    kind = _type_of(message)
    reader = _READERS.get(kind)
    content = (reader(message) if reader else None) or _unknown(message, kind)
    around = as_dict(message.get("context"))
    shared = present(
        forwarded=_forwarded(around),
        product=_product(around.get("referred_product")),
        referral=referral(message),
        errors=in_words(message.get("errors")),
    )
    return replace(
        content,
        payload={**shared, **content.payload},
        reply_to=content.reply_to or as_text(around.get("id")) or None,
    )


def _forwarded(context: Mapping[str, Any]) -> str:
    if context.get("frequently_forwarded") is True:
        return "often"
    return "once" if context.get("forwarded") is True else ""


def referral(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ad or post that brought this message, by the names of Footprint; empty where none did."""
    given = as_dict(message.get("referral"))
    urls = [as_text(given.get(name)) for name in ("image_url", "video_url", "thumbnail_url")]
    return present(
        source=as_text(given.get("source_type")) or ("ad" if given else ""),
        source_id=as_text(given.get("source_id")),
        headline=as_text(given.get("headline")),
        body=as_text(given.get("body")),
        source_url=as_text(given.get("source_url")),
        ctwa_clid=as_text(given.get("ctwa_clid")),
        media_type=as_text(given.get("media_type")),
        media_url=next(filter(None, urls), ""),
        welcome=as_text(as_dict(given.get("welcome_message")).get("text")),
    )


def _type_of(message: Mapping[str, Any]) -> str:
    """Return the type that a message names; where it names none, the one of whose body there is."""
    named = message.get("type")
    if isinstance(named, str) and named:
        return named
    return next((kind for kind in _READERS if kind in message), "")


def _text(message: Mapping[str, Any]) -> Content | None:
    body = as_dict(message.get("text")).get("body")
    return Content("text", body) if isinstance(body, str) else None


def _media(message: Mapping[str, Any]) -> Content | None:
    named = _type_of(message)
    body = as_dict(message.get(named))
    if not body:
        return None
    kind, word = _MEDIA[named]
    if kind == "audio" and body.get("voice") is True:
        kind, word = _MEDIA["voice"]
    caption, filename = as_text(body.get("caption")), as_text(body.get("filename"))
    payload = present(
        id=as_text(body.get("id")),
        mime_type=as_text(body.get("mime_type")),
        sha256=as_text(body.get("sha256")),
        filename=filename,
        caption=caption,
        url=as_text(body.get("url")),
        animated=True if body.get("animated") is True else None,
    )
    return Content(kind, caption or filename or word, payload)


def _location(message: Mapping[str, Any]) -> Content | None:
    body = as_dict(message.get("location"))
    latitude, longitude = as_text(body.get("latitude")), as_text(body.get("longitude"))
    name, address = as_text(body.get("name")), as_text(body.get("address"))
    words = ", ".join(filter(None, (name, address))) or ", ".join(filter(None, (latitude, longitude)))
    if not words:
        return None
    payload = present(
        latitude=latitude, longitude=longitude, name=name, address=address, url=as_text(body.get("url"))
    )
    return Content("location", words, payload)


def _contacts(message: Mapping[str, Any]) -> Content | None:
    cards = [_card(given) for given in as_list(message.get("contacts")) if isinstance(given, dict)]
    if not cards:
        return None
    names = [card.get("name") or "A contact without a name" for card in cards]
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return Content("contacts", ", ".join(names[:_NAMES_SHOWN]) + more, {"contacts": cards})


def _card(given: Mapping[str, Any]) -> dict[str, Any]:
    name = as_dict(given.get("name"))
    parts = (as_text(name.get(part)) for part in ("first_name", "middle_name", "last_name"))
    phones = [
        present(
            number=as_text(row.get("phone")),
            wa_id=as_text(row.get("wa_id")),
            type=as_text(row.get("type")).lower(),
        )
        for row in map(as_dict, as_list(given.get("phones")))
    ]
    organisation = as_dict(given.get("org"))
    return present(
        name=as_text(name.get("formatted_name")) or " ".join(filter(None, parts)),
        phones=[row for row in phones if row],
        emails=_values(given.get("emails"), "email"),
        urls=_values(given.get("urls"), "url"),
        addresses=[_address(row) for row in map(as_dict, as_list(given.get("addresses"))) if _address(row)],
        organisation=", ".join(
            filter(None, (as_text(organisation.get(part)) for part in ("title", "company")))
        ),
        birthday=as_text(given.get("birthday")),
        origin=as_text(given.get("origin")),
        vcard=as_text(given.get("vcard")),
    )


def _values(rows: Any, name: str) -> list[str]:
    return [value for row in as_list(rows) if (value := as_text(as_dict(row).get(name)))]


def _address(row: Mapping[str, Any]) -> str:
    return ", ".join(
        filter(None, (as_text(row.get(part)) for part in ("street", "zip", "city", "state", "country")))
    )


def _button(message: Mapping[str, Any]) -> Content | None:
    body = as_dict(message.get("button"))
    title, identifier = as_text(body.get("text")), as_text(body.get("payload"))
    return _picked("template", title, identifier) if title or identifier else None


def _interactive(message: Mapping[str, Any]) -> Content | None:
    body = as_dict(message.get("interactive"))
    for source, name in (("button", "button_reply"), ("list", "list_reply")):
        reply = as_dict(body.get(name))
        title, identifier = as_text(reply.get("title")), as_text(reply.get("id"))
        if title or identifier:
            return _picked(source, title, identifier, description=as_text(reply.get("description")))
    form = as_dict(body.get("nfm_reply"))
    return _form(form) if form else None


def _picked(source: str, title: str, identifier: str, **more: Any) -> Content:
    return Content(
        "picked",
        title or identifier,
        present(source=source, title=title or identifier, id=identifier, **more),
    )


def _form(form: Mapping[str, Any]) -> Content:
    """Read a filled form (a flow): its answers, or the answer as it came where it is no JSON object."""
    given = form.get("response_json")
    answers: Any = given
    if isinstance(given, str):
        try:
            answers = decode(given.encode("utf-8", "surrogatepass"))
        except ValueError:
            answers = None
    title = as_text(form.get("body")) or as_text(form.get("name")) or "Form"
    if not isinstance(answers, dict):
        response = given if isinstance(given, str) else ""
        return _picked("flow", title, "", name=as_text(form.get("name")), response=response)
    shown = {name: as_text(value) for name, value in answers.items() if name != "flow_token"}
    words = [f"{name}: {value}" for name, value in shown.items() if value][:_ANSWERS_SHOWN]
    content = _picked("flow", title, "", name=as_text(form.get("name")), answers=answers)
    return replace(content, text=f"{title} · {', '.join(words)}" if words else title)


def _reaction(message: Mapping[str, Any]) -> Content | None:
    body = as_dict(message.get("reaction"))
    target, emoji = as_text(body.get("message_id")), as_text(body.get("emoji"))
    if not target and not emoji:
        return None
    # An absent or empty emoji takes the reaction back: undoing is no act of writing.
    payload = {"emoji": emoji, "message_id": target, "removed": not emoji}
    return Content(
        "reaction", emoji or "Reaction removed", payload, reply_to=target or None, writes=bool(emoji)
    )


def _order(message: Mapping[str, Any]) -> Content | None:
    body = as_dict(message.get("order"))
    items = [
        present(
            product=as_text(row.get("product_retailer_id")),
            quantity=as_text(row.get("quantity")),
            price=as_text(row.get("item_price")),
            currency=as_text(row.get("currency")),
        )
        for row in map(as_dict, as_list(body.get("product_items")))
    ]
    items = [row for row in items if row]
    note = as_text(body.get("text"))
    if not items and not note:
        return None
    words = ", ".join(f"{row.get('quantity', '1')} × {row.get('product', '?')}" for row in items)
    text = " · ".join(filter(None, (f"Order: {words}" if words else "Order", note)))
    return Content("order", text, present(catalog_id=as_text(body.get("catalog_id")), note=note, items=items))


def _edit(message: Mapping[str, Any]) -> Content | None:
    body = as_dict(message.get("edit"))
    inner = as_dict(body.get("message"))
    if not inner or _type_of(inner) in ("edit", "revoke"):  # an edit of an edit would nest without end
        return None
    new = read(inner)
    original = as_text(body.get("original_message_id"))
    payload = {**present(original_id=original), "kind": new.kind, "content": dict(new.payload)}
    return Content("edited", new.text, payload, reply_to=original or None, writes=False)


def _revoke(message: Mapping[str, Any]) -> Content | None:
    original = as_text(as_dict(message.get("revoke")).get("original_message_id"))
    return Content(
        "deleted", "Message deleted", present(original_id=original), reply_to=original or None, writes=False
    )


def _system(message: Mapping[str, Any]) -> Content | None:
    body, identity = as_dict(message.get("system")), as_dict(message.get("identity"))
    event, words = as_text(body.get("type")), as_text(body.get("body"))
    payload = present(
        event=event,
        acknowledged=identity.get("acknowledged") if isinstance(identity.get("acknowledged"), bool) else None,
        hash=as_text(identity.get("hash")),
    )
    return Content(
        "system", words or (event or "Notice of WhatsApp").replace("_", " "), payload, writes=False
    )


def _opened(message: Mapping[str, Any]) -> Content | None:
    return Content("system", "Opened the chat", {"event": "request_welcome"}, writes=False)


def _template(message: Mapping[str, Any]) -> Content | None:
    """Read a template that a colleague sent; only an echo has this type."""
    body = as_dict(message.get("template"))
    name = as_text(body.get("name"))
    language = as_text(as_dict(body.get("language")).get("code")) or as_text(body.get("language"))
    return Content("template", name, {"template": present(name=name, language=language)}) if name else None


def _unknown(message: Mapping[str, Any], kind: str) -> Content:
    """Keep what no reader knows, or knows under a form that did not come.

    A user's first message to a number that is shared with the WhatsApp Business app often arrives as
    `unsupported`: it was an act of writing all the same. Some accounts get edits and deletions in this form.
    """
    hint = as_text(as_dict(message.get("unsupported")).get("type")) or ("" if kind == "unsupported" else kind)
    said = as_text(as_dict(message.get("text")).get("body"))
    if kind in _READERS and message.get(kind):
        words = f"Message of type {kind} in a form that Parley does not show"
    elif kind in _READERS:
        words = f"Message of type {kind} that came without its content"
    elif hint:
        words = f"Message of a type that Parley does not show: {hint}"
    else:
        words = "Message that WhatsApp does not pass on"
    payload = {**present(type=kind, hint=hint), "raw": dict(message)}
    return Content("unknown", said or words, payload, writes=hint not in _UNDOINGS)


def _product(value: Any) -> dict[str, str]:
    given = as_dict(value)
    return present(catalog_id=as_text(given.get("catalog_id")), id=as_text(given.get("product_retailer_id")))


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Content | None]] = {
    "text": _text,
    **dict.fromkeys(_MEDIA, _media),
    "location": _location,
    "contacts": _contacts,
    "button": _button,
    "interactive": _interactive,
    "reaction": _reaction,
    "order": _order,
    "edit": _edit,
    "revoke": _revoke,
    "system": _system,
    "request_welcome": _opened,
    "template": _template,
}
