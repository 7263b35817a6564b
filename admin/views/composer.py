"""Under the stream: may this operator write, how, and if not, why; with its dialogs (U7, C1-C6)."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import request, url_for

from admin import access, words
from admin.access import May
from admin.views.reading import Known, Subject
from core.channel import Author, AuthorKind, Outbound, TemplateCall
from core.declared import local_time
from core.models import Handler, Template
from core.outbound import variables
from core.placeholders import Filled, Filling, NotFillable
from core.placeholders import Known as Fillable

_FILL = "fill-"
_MOST_ASKED = 20
_ANY_TEMPLATE = Outbound(template=TemplateCall("", ""))
_CLIENT_ID = re.compile(r"[A-Za-z0-9-]{8,80}", re.ASCII)
_NOT_FOR_YOUR_ROLE = "Your role reads conversations. Agents and admins write."
_NO_IDENTITY = "This user is on no channel yet, so nobody can write to them."


@dataclass(frozen=True)
class Tried:
    """What came of the last try to do something here: what is said about it, and what was typed.

    `asked` are the keys of values that were missing.
    """

    tone: str = ""
    title: str = ""
    text: str = ""
    draft: str = ""
    status: int = 200
    template_id: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    asked: Sequence[str] = ()


def column(subject: Subject, chosen: Known | None, tried: Tried, where: Mapping[str, Any]) -> dict[str, Any]:
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
        "asked": _asked(subject, tried) if state == "active" else [],
        "client_id": secrets.token_hex(16),
        "notice": {"tone": tried.tone, "title": tried.title, "text": tried.text} if tried.title else None,
        **where,
    }


def dialogs(
    subject: Subject, chosen: Known | None, tried: Tried, dialog: str, template_id: int | None
) -> dict[str, Any]:
    """Return what parley/_dialogs.html shows; the templates are read when their dialog is to be shown."""
    return {
        "bot_name": "the bot",
        "templates": templates(subject, chosen, tried, template_id) if dialog == "template" else None,
    }


def templates(
    subject: Subject, chosen: Known | None, tried: Tried, template_id: int | None
) -> dict[str, Any]:
    """Return what parley/_templates.html shows: every approved template by name, and the chosen one in full.

    A template that is the only one is chosen.
    """
    found = (
        list(Template.select().where(_approved(chosen)).order_by(Template.name, Template.language))
        if _offers(subject, chosen)
        else []
    )
    wanted = tried.template_id or template_id or (found[0].id if len(found) == 1 else None)
    one = next((one for one in found if one.id == wanted), None)
    return {
        "listed": [
            {
                "id": one.id,
                "name": one.name,
                "language": one.language,
                "category": one.category.capitalize(),
            }
            for one in found
        ],
        "chosen": _template(one, fillable(subject), tried) if one else None,
    }


def fillable(subject: Subject) -> Fillable:
    """Return what this operator can fill texts to the user with (P8)."""
    there = local_time(subject.user, subject.now.at)
    return Fillable(subject.values, access.writer(), there.tzinfo if there else None)


def filled(subject: Subject, text: str) -> Filled:
    """Return a text that was posted, filled, with what was typed for it alone as well; raises NotFillable."""
    return fillable(subject).fill(text, _given())


def asks(missing: Sequence[Filling], text: str, not_done: str = "The message was not sent.") -> Tried:
    """Ask for the values that a text needs and the user does not have; the text is kept."""
    names, has = words.joined([one.label for one in missing]), "has" if len(missing) == 1 else "have"
    return Tried(
        "warn",
        f"{names} {has} no value for this user.",
        f"{not_done} Your text is kept. Fill in what is missing, and send it again.",
        draft=text,
        status=422,
        asked=[one.key for one in missing],
    )


def urls(key: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the composer's forms and links lead; `arguments` are what a link of the page keeps."""
    without_via = {name: value for name, value in arguments.items() if name != "via"}
    page = url_for(".profile", key=key, **without_via)
    joint = "&" if "?" in page else "?"
    return {
        "urls": {
            "send": url_for(".send", key=key, **arguments),
            "start_chat": url_for(".start_chat", key=key, **arguments),
            "assign": url_for(".release", key=key, **arguments),
            "template": url_for(".send_template", key=key, **arguments),
            "placeholders": url_for(".placeholders", key=key),
            "preview": url_for(".preview", key=key),
            "templates": url_for(".templates", key=key, **arguments),
        },
        "via_url": f"{page}{joint}via=",
        "assign_url": url_for(".profile", key=key, **arguments, dialog="assign"),
        "template_url": url_for(".profile", key=key, **arguments, dialog="template"),
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


def _asked(subject: Subject, tried: Tried) -> list[dict[str, Any]]:
    """Return the fields for what a text needs, with what was typed into them while the text is not sent.

    An open page says with `ask` for what it was asked.
    """
    known, found, given = fillable(subject), [], _given() if tried.draft else {}
    wanted = dict.fromkeys((*given, *tried.asked, *request.args.getlist("ask")))
    for key in list(wanted)[:_MOST_ASKED]:
        try:
            filling = known.find(key)
        except NotFillable:
            continue  # of a link that somebody made, or of a property that is gone
        if filling.text is None:
            shown = {"key": filling.key, "label": filling.label, "help": filling.help}
            found.append({**shown, "value": given.get(key, "")})
    return found


def _given() -> dict[str, str]:
    """Return what was typed for values that the user does not have, by key."""
    posted = request.form.items()
    return {name.removeprefix(_FILL): value.strip() for name, value in posted if name.startswith(_FILL)}


def _template(template: Template, known: Fillable, tried: Tried) -> dict[str, Any]:
    is_tried = tried.template_id == template.id
    typed = tried.parameters if is_tried else {}
    parameters = []
    for name in variables(template):
        source, value = _prefilled(known, name)
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
        "header": template.header,
        "body": template.body,
        "footer": template.footer,
        "buttons": template.buttons,
        "params": parameters,
        "tried": is_tried,
    }


def _prefilled(known: Fillable, name: str) -> tuple[str | None, str]:
    """Return the property that a parameter is named after, and its value, in one line as parameters are."""
    try:
        found = known.find("name" if name.lower() == "full_name" else name)
    except NotFillable:
        return None, ""
    return found.source, " ".join((found.text or "").split())
