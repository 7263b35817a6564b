"""The message templates that WhatsApp keeps for an account, as Parley shows and fills them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from channels.whatsapp.read import as_dict, as_list, as_text
from channels.whatsapp.send import Api
from core import SendError, Template

_FIELDS = "name,language,status,category,parameter_format,components"
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_MOST_PAGES = 200
_MEDIA = frozenset({"IMAGE", "VIDEO", "DOCUMENT"})
_PLAIN_BUTTONS = frozenset({"QUICK_REPLY", "URL", "PHONE_NUMBER", "FLOW", "VOICE_CALL"})
_PLAIN_PARTS = frozenset({"HEADER", "BODY", "FOOTER", "BUTTONS"})


def fetch(api: Api, waba_id: str) -> list[Template]:
    """Return the templates of an account, from all pages; raises SendError.

    Pages follow the cursor, never the `next` address: that one carries the token, and may lead anywhere.
    """
    found: list[Template] = []
    seen: set[str] = set()
    query = {"fields": _FIELDS, "limit": "100"}
    for _ in range(_MOST_PAGES):
        page = api.call("GET", f"{waba_id}/message_templates", params=query)
        found += [read(row) for row in as_list(page.get("data")) if isinstance(row, dict) and row.get("name")]
        paging = as_dict(page.get("paging"))
        after = as_text(as_dict(paging.get("cursors")).get("after"))
        if not paging.get("next") or not after:
            return found
        if after in seen:
            break
        seen.add(after)
        query["after"] = after
    raise SendError("WhatsApp’s list of templates does not end. The templates of the last fetch are kept.")


def read(row: Mapping[str, Any]) -> Template:
    """Turn one template of the API into a Template.

    `parameters` are the numbers or names of the body; `header.x` is one of the header (`header.image` and its
    like take a link), `button.n` the end of the URL of button n, counted from 0. A template that asks for
    more than that (a location, a carousel, a code) gets the status `unsupported` in place of `approved`: it
    could not be filled.
    """
    parts = {
        as_text(part.get("type")).upper(): part
        for part in as_list(row.get("components"))
        if isinstance(part, dict)
    }
    header, body, footer = (parts.get(name, {}) for name in ("HEADER", "BODY", "FOOTER"))
    buttons = [
        button for button in as_list(as_dict(parts.get("BUTTONS")).get("buttons")) if isinstance(button, dict)
    ]
    status = as_text(row.get("status")).lower()
    return Template(
        name=as_text(row.get("name")),
        language=as_text(row.get("language")),
        category=as_text(row.get("category")).lower(),
        status="unsupported" if status == "approved" and not _fillable(parts, header, buttons) else status,
        header=as_text(header.get("text")),
        body=as_text(body.get("text")),
        footer=as_text(footer.get("text")),
        buttons=tuple(as_text(button.get("text")) for button in buttons),
        parameters=(*_header(header), *_variables(body), *_buttons(buttons)),
    )


def _fillable(parts: Mapping[str, Any], header: Mapping[str, Any], buttons: list[dict[str, Any]]) -> bool:
    heading = as_text(header.get("format")).upper() or "TEXT"
    kinds = {as_text(button.get("type")).upper() for button in buttons}
    return parts.keys() <= _PLAIN_PARTS and heading in _MEDIA | {"TEXT"} and kinds <= _PLAIN_BUTTONS


def _variables(part: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(_PLACEHOLDER.findall(as_text(part.get("text")))))


def _header(header: Mapping[str, Any]) -> list[str]:
    heading = as_text(header.get("format")).upper()
    return (
        [f"header.{heading.lower()}"]
        if heading in _MEDIA
        else [f"header.{name}" for name in _variables(header)]
    )


def _buttons(buttons: list[dict[str, Any]]) -> Iterator[str]:
    for index, button in enumerate(buttons):
        if _PLACEHOLDER.search(as_text(button.get("url"))):
            yield f"button.{index}"
