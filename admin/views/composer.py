"""Under the stream: may this operator write, how, and if not, why; with its dialogs (U7, C1-C6)."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from admin import access, words
from admin.access import May
from admin.views.reading import Known, Subject
from core.catalogue import catalogue
from core.channel import Author, AuthorKind, Outbound, TemplateCall
from core.models import Handler, Template
from core.outbound import variables

_ANY_TEMPLATE = Outbound(template=TemplateCall("", ""))
_CLIENT_ID = re.compile(r"[A-Za-z0-9-]{8,80}", re.ASCII)
_NOT_FOR_YOUR_ROLE = "Your role reads conversations. Agents and admins write."
_NO_IDENTITY = "This user is on no channel yet, so nobody can write to them."


@dataclass(frozen=True)
class Tried:
    """What came of the last try to do something here: what is said about it, and what was typed."""

    tone: str = ""
    title: str = ""
    text: str = ""
    draft: str = ""
    status: int = 200
    template_id: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


def column(subject: Subject, chosen: Known | None, tried: Tried, urls: Mapping[str, str]) -> dict[str, Any]:
    """Return what parley/_composer.html shows; `chosen` is the identity that is written to."""
    state, reason = _state(subject, chosen)
    identities = [_identity(one, subject) for one in subject.known]
    here = next((one for one in identities if chosen and one["key"] == chosen.identity.key), None)
    return {
        "state": state,
        "reason": reason,
        "handler": _handler(subject),
        "identities": identities,
        "identity": here,
        "may_release": _is_mine(subject)
        or (subject.user.handler != Handler.BOT and access.may(May.RELEASE_OTHERS)),
        "templates": Template.select().where(_approved(chosen)).count() if _offers(subject, chosen) else 0,
        "text_limit": chosen.served.capabilities.text if chosen and chosen.served else 0,
        "draft": tried.draft,
        "client_id": secrets.token_hex(16),
        "notice": {"tone": tried.tone, "title": tried.title, "text": tried.text} if tried.title else None,
        **urls,
    }


def dialogs(subject: Subject, chosen: Known | None, tried: Tried, template_id: int | None) -> dict[str, Any]:
    """Return what parley/_dialogs.html shows."""
    found = (
        list(Template.select().where(_approved(chosen)).order_by(Template.name, Template.language))
        if _offers(subject, chosen)
        else []
    )
    wanted = tried.template_id or template_id
    known = _fillings(subject)
    return {
        "bot_name": "the bot",
        "templates": [_template(one, known, tried) for one in found],
        "template": wanted if any(one.id == wanted for one in found) else None,
    }


def request_key(subject_id: int, operator_id: int, client_id: str) -> str | None:
    """Return the key under which a message is taken once, however often it is posted; None for no good id."""
    return f"panel:{operator_id}:{subject_id}:{client_id}" if _CLIENT_ID.fullmatch(client_id) else None


def _state(subject: Subject, chosen: Known | None) -> tuple[str, str | None]:
    if not access.may(May.START_CHAT):
        return "readonly", _NOT_FOR_YOUR_ROLE
    if chosen is None:
        return "readonly", _NO_IDENTITY
    if subject.user.agent_id is not None and not _is_mine(subject):
        return "taken", None
    if not chosen.reach.allows(Outbound(), _author(subject)):
        return "blocked", None
    return ("active" if _is_mine(subject) else "start"), None


def _is_mine(subject: Subject) -> bool:
    return bool(subject.user.agent_id == subject.operator.id)


def _author(subject: Subject) -> Author:
    return Author(AuthorKind.AGENT, subject.operator.name, subject.operator.id)


def _handler(subject: Subject) -> dict[str, Any]:
    user, now = subject.user, subject.now
    since = f"Since {words.day_and_clock(user.handler_since, now)}."
    agent = subject.agent
    if user.handler == Handler.AGENT and agent is not None:
        mine = _is_mine(subject)
        label = "You have this chat." if mine else f"{agent.name} has this chat."
        initials = words.initials(agent.name)
        return {
            "kind": "agent",
            "mine": mine,
            "label": f"{label} The bot is paused.",
            "detail": since,
            "initials": initials,
        }
    if user.handler == Handler.WAITING:
        return {"kind": "waiting", "mine": False, "label": "This user waits for a person.", "detail": since}
    return {"kind": "bot", "mine": False, "label": "The bot answers.", "detail": "Start Chat pauses it."}


def _identity(one: Known, subject: Subject) -> dict[str, Any]:
    reach, author = one.reach, _author(subject)
    templates = bool(one.served and one.served.capabilities.templates)
    return {
        "key": one.identity.key,
        "channel": one.channel,
        "text": f"{one.channel['label']} · {one.place}",
        "window": words.window(reach, subject.now),
        "reach": {
            "kind": reach.kind.value,
            "sentence": reach.sentence,
            "since": f"Closed since {words.day_and_clock(reach.since, subject.now)}."
            if reach.since
            else None,
            "next_step": reach.next_step,
            "until_iso": reach.until.isoformat() if reach.until else None,
            "allows_text": reach.allows(Outbound(), author),
            "allows_template": templates and reach.allows(_ANY_TEMPLATE, author),
        },
    }


def _offers(subject: Subject, chosen: Known | None) -> bool:
    """Say whether templates are offered: to whoever may write, on a channel that has them."""
    return bool(
        chosen
        and chosen.served
        and chosen.served.capabilities.templates
        and access.may(May.START_CHAT)
        and chosen.reach.allows(_ANY_TEMPLATE, _author(subject))
    )


def _approved(chosen: Known | None) -> Any:
    return (Template.deployment == (chosen.deployment.id if chosen else 0)) & (Template.status == "approved")


def _template(template: Template, known: Mapping[str, tuple[str, str]], tried: Tried) -> dict[str, Any]:
    typed = tried.parameters if tried.template_id == template.id else {}
    parameters = []
    for name in variables(template):
        source, value = known.get(name.lower(), (None, ""))
        parameters.append(
            {
                "name": name,
                "label": f"Value {name}" if name.isdigit() else name.replace("_", " ").capitalize(),
                "value": typed.get(name, value),
                "source": source,
            }
        )
    return {
        "id": template.id,
        "name": template.name,
        "language": template.language,
        "category": template.category.capitalize(),
        "header": template.header,
        "body": template.body,
        "footer": template.footer,
        "buttons": template.buttons,
        "params": parameters,
    }


def _fillings(subject: Subject) -> dict[str, tuple[str, str]]:
    """Return what a template's named values are filled with, each with the name of its property."""
    user, see = subject.user, access.sight()
    if not see.clear:
        return {}
    name = (user.name or "").strip()
    known = {
        "name": ("Name", name),
        "full_name": ("Name", name),
        "first_name": ("Name", words.first_name(name)),
        "email": ("Email", user.email or ""),
        "phone": ("Phone", see.phone(user.phone)),
    }
    for definition in catalogue().of_users:
        value = subject.values[definition.key]
        if value.is_set and definition.key not in known:
            known[definition.key] = (
                definition.label,
                definition.type.render(value.value, subject.now.zone).text,
            )
    return known
