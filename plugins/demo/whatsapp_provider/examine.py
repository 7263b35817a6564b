"""What the played WhatsApp takes and refuses: messages are examined as the Cloud API examines them."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]
LONGEST_TEXT, LONGEST_REF = 4096, 512
SCOPED_ID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]+")

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_BODIES = frozenset(
    [
        "text",
        "template",
        "image",
        "video",
        "audio",
        "document",
        "sticker",
        "location",
        "contacts",
        "reaction",
        "interactive",
    ]
)
_KEYS = frozenset(
    ["messaging_product", "recipient_type", "to", "recipient", "type", "context", "biz_opaque_callback_data"]
)


def template(
    name: str,
    body: str,
    language: str = "en",
    *,
    status: str = "APPROVED",
    category: str = "UTILITY",
    **parts: Any,
) -> Json:
    """Return a template as the API lists it; `header`, `footer` and `buttons` (texts) may be given."""
    components: list[Json] = [{"type": "BODY", "text": body}]
    if "header" in parts:
        components.insert(0, {"type": "HEADER", "format": "TEXT", "text": parts["header"]})
    if "footer" in parts:
        components.append({"type": "FOOTER", "text": parts["footer"]})
    if "buttons" in parts:
        buttons = [{"type": "QUICK_REPLY", "text": text} for text in parts["buttons"]]
        components.append({"type": "BUTTONS", "buttons": buttons})
    named = any(not name.isdigit() for name in _VARIABLE.findall(body))
    return {
        "id": str(int(hashlib.sha256(f"{name} {language}".encode()).hexdigest()[:12], 16)),
        "name": name,
        "language": language,
        "status": status,
        "category": category,
        "parameter_format": "NAMED" if named else "POSITIONAL",
        "components": components,
    }


TEMPLATES: tuple[Json, ...] = (
    template("order_on_its_way", "Hello {{1}}, your order {{2}} is on its way. Shall we tell you the hour?"),
    template(
        "order_on_its_way", "Hallo {{1}}, Ihre Bestellung {{2}} ist unterwegs. Sollen wir anrufen?", "de"
    ),
    template("order_on_its_way", "नमस्ते {{1}}, आपका ऑर्डर {{2}} रास्ते में है।", "hi"),
    template(
        "talk_again", "Hello {{first_name}}, we would like to go on with your question. Is now a good time?"
    ),
    template(
        "back_in_stock_v3",
        "The {{1}} is in stock again. We can hold one for you until {{2}}.",
        category="MARKETING",
        header="It is back",
        footer="Reply STOP to opt out",
        buttons=["Hold one for me", "Not now"],
    ),
    template("spring_sale", "Everything must go, {{1}}", status="REJECTED", category="MARKETING"),
    template("how_was_it", "How was your delivery, {{1}}?", status="PAUSED"),
)


class Refused(Exception):
    """What the API answers to a message that it does not take."""

    def __init__(self, code: int, details: str, status: int = 400) -> None:
        super().__init__(details)
        self.code, self.details, self.status = code, details, status


def examine(body: Any, templates: Sequence[Json]) -> None:
    """Refuse a message as the API does; raises Refused."""
    if not isinstance(body, dict):
        raise Refused(100, "The body is not a JSON object.")
    if body.get("messaging_product") != "whatsapp":
        raise Refused(100, "The parameter messaging_product is required.")
    kind = body.get("type", "text")
    if kind not in _BODIES:
        raise Refused(100, f"Param type must be one of {sorted(_BODIES)}.")
    if unexpected := set(body) - _KEYS - {kind}:
        raise Refused(100, f'Unexpected key "{min(unexpected)}" on param "$".')
    if body.get("recipient_type", "individual") != "individual":
        raise Refused(100, "Param recipient_type must be individual.")
    _examine_recipient(body)
    if not isinstance(body.get(kind), dict | list):
        raise Refused(131008, f"Parameter of type {kind} is missing.")
    context = body.get("context", {"message_id": "none"})
    if not isinstance(context, dict) or not _filled(context.get("message_id")):
        raise Refused(131009, "context.message_id must be the id of a message.")
    ref = body.get("biz_opaque_callback_data", "")
    if not isinstance(ref, str) or len(ref) > LONGEST_REF:
        raise Refused(100, f"Param biz_opaque_callback_data must be at most {LONGEST_REF} characters long.")
    if kind == "text":
        _examine_text(body["text"])
    elif kind == "template":
        _examine_template(body["template"], templates)


def _filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _examine_recipient(body: Json) -> None:
    to, recipient = body.get("to"), body.get("recipient")
    if to is None and recipient is None:
        raise Refused(100, "The parameter to is required.")
    if to is not None and not (
        isinstance(to, str) and (SCOPED_ID.fullmatch(to) or re.fullmatch(r"\+?[0-9]{5,15}", to))
    ):
        raise Refused(131009, "to is not a phone number.")
    if to is None and not (isinstance(recipient, str) and SCOPED_ID.fullmatch(recipient)):
        raise Refused(131009, "recipient is not a business-scoped user id.")


def _examine_text(text: Any) -> None:
    words = text.get("body") if isinstance(text, dict) else None
    if not isinstance(words, str) or not words.strip():
        raise Refused(131008, "The parameter text['body'] is required.")
    if len(words) > LONGEST_TEXT:
        raise Refused(100, f"Param text['body'] must be at most {LONGEST_TEXT} characters long.")
    if not isinstance(text.get("preview_url", False), bool):
        raise Refused(100, "Param text['preview_url'] must be a boolean.")


def _examine_template(called: Any, templates: Sequence[Json]) -> None:
    language = called.get("language") if isinstance(called, dict) else None
    code = language.get("code") if isinstance(language, dict) else None
    if not _filled(called.get("name")) or not _filled(code):
        raise Refused(131008, "template['name'] and template['language']['code'] are required.")
    found = next((row for row in templates if (row["name"], row["language"]) == (called["name"], code)), None)
    if found is not None and found["status"] == "PAUSED":
        raise Refused(132015, f"Template {called['name']} is paused.")
    if found is None or found["status"] != "APPROVED":
        raise Refused(132001, f"template name ({called['name']}) does not exist in {code}", 404)
    given = {
        str(part.get("type")).lower(): part.get("parameters", []) for part in called.get("components", [])
    }
    for part in found["components"]:
        wanted = _VARIABLE.findall(part.get("text", ""))
        _examine_parameters(part["type"].lower(), wanted, given.pop(part["type"].lower(), []))
    if given:
        raise Refused(132000, f"{min(given)}: the template has no such part with parameters")


def _examine_parameters(part: str, wanted: Sequence[str], given: Sequence[Json]) -> None:
    if len(wanted) != len(given):
        counts = f"number of localizable_params ({len(given)}) does not match the expected ({len(wanted)})"
        raise Refused(132000, f"{part}: {counts}")
    names = [parameter.get("parameter_name") for parameter in given]
    if any(not name.isdigit() for name in wanted) and sorted(map(str, names)) != sorted(wanted):
        raise Refused(132000, f"{part}: parameter_name must be one of {sorted(wanted)}")
    for parameter in given:
        if parameter.get("type") != "text" or not _filled(parameter.get("text")):
            raise Refused(131008, f"{part}: a parameter of type text is missing its text")
        if re.search(r"[\n\t]| {5}", parameter["text"]):
            raise Refused(
                132018, "Param text cannot have new-line/tab characters or more than 4 spaces in a row"
            )
