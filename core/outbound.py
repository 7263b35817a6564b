"""The only way to send: through the gate into the queue, and through the gate again to the provider."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from core import clock, conversation, delivery, identities, search
from core.channel import (
    Author,
    AuthorKind,
    Delivery,
    Failure,
    Outbound,
    Reach,
    Receipt,
    SendError,
    TemplateCall,
)
from core.db import database, tuples
from core.deployments import channel_of
from core.gate import gate
from core.models import (
    Handler,
    Identity,
    IdentityAlias,
    Job,
    Message,
    Operator,
    Template,
    User,
    enqueue,
    record,
)
from core.retry import Retry
from core.text import clean

log = logging.getLogger(__name__)

SEND = "send"
MOST_ATTEMPTS = 8
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class BadMessage(ValueError):
    """A message that no channel could carry; `field` says which part of it."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class NotYours(Exception):
    """The user is in other hands: answered by the bot, or by another agent, whose name stands in the text."""


@dataclass(frozen=True)
class Sent:
    """What came of sending: the gate's answer, and the message where one was stored (queued, or not sent)."""

    reach: Reach
    message: Message | None


def send(identity_id: int, message: Outbound, author: Author, request_key: str | None = None) -> Sent:
    """Queue `message` if the gate lets it pass.

    A person is told what the gate answered, and nothing is stored; a bot or a campaign cannot be told, so
    what it may not send is kept in the conversation as not sent, with the reason. A repeated `request_key`
    returns the message of the first time. Raises BadMessage, and NotYours when an agent does not have this
    user.
    """
    with database.atomic():
        identity = conversation.lock(identity_id)
        user = identity.user
        now = clock.now()
        reach = gate(identity, message, author, now)
        request_key = clean(request_key) if request_key else None
        if request_key and (known := Message.get_or_none(Message.request_key == request_key)):
            return Sent(reach, known)
        if author.kind is AuthorKind.AGENT and not _has(author, user):
            raise NotYours(_in_whose_hands(user))
        refusal = _silenced(user, author) or (None if reach.allows(message, author) else reach.sentence)
        if refusal and author.kind is AuthorKind.AGENT:
            return Sent(reach, None)
        if refusal is None:
            message = _prepared(identity, message)
        stored = conversation.append(
            user,
            identity,
            conversation.Entry(
                author=author.kind,
                author_name=author.name,
                operator_id=author.operator_id,
                kind=message.kind,
                text=message.text,
                payload=_payload(message),
                reply_to=message.reply_to,
                at=now,
                request_key=request_key,
                state=Delivery.NOT_SENT if refusal else Delivery.QUEUED,
                error=refusal,
                counts=refusal is None,
            ),
            "message_sent",
        )
        if refusal is None:
            enqueue(SEND, {"message": stored.id}, lane=f"send:{identity.id}")
        if author.kind is AuthorKind.AGENT:
            User.update(agent_active=now).where(User.id == user.id).execute()
        return Sent(reach, stored)


def deliver(job: Job) -> None:
    """Hand one queued message to its provider (the job `send`).

    Found with `attempted` set, a worker died between the call and its record: the message is then
    unconfirmed, and not sent again. Raises Retry where the provider's error says that another attempt helps.
    """
    with database.atomic():
        message = _locked(job.payload["message"])
        if message is None or message.state != Delivery.QUEUED:
            return
        identity = message.identity
        now = clock.now()
        if message.attempted is not None:
            _unconfirmed(message, "The worker stopped while this was being sent.")
            return
        outbound, author = _outbound(message)
        reach = gate(identity, outbound, author, now)
        refusal = _silenced(message.user, author) or (
            None if reach.allows(outbound, author) else reach.sentence
        )
        if refusal:
            _not_sent(message, refusal)
            return
        channel = channel_of(identity.deployment)
        Message.update(attempted=now).where(Message.id == message.id).execute()
    try:
        receipt = channel.send(outbound)
    except SendError as error:
        _record_error(job, error)
    except Exception as error:  # a channel's bug, which does not say whether the provider took the message
        log.exception("channel %s failed in send", channel.name)
        reason = f"The channel {channel.label} failed: {type(error).__name__}."
        _record_error(job, SendError(reason, uncertain=True))
    else:
        _record_receipt(job, receipt)


def variables(template: Template) -> list[str]:
    """Return the names or numbers of a template's parameters, in the order in which they appear."""
    return list(dict.fromkeys(template.parameters or _PLACEHOLDER.findall(template.header + template.body)))


def filled(text: str, parameters: Mapping[str, str], part: str = "") -> str:
    """Return a text of a template with its parameters filled in; a missing one stays visible as `{{name}}`.

    The parameters of the part `header` may be called `header.1`, since each part has numbers of its own.
    """

    def value(found: re.Match[str]) -> str:
        return parameters.get(f"{part}.{found[1]}") or parameters.get(found[1]) or found[0]

    return _PLACEHOLDER.sub(value, text)


def _prepared(identity: Identity, message: Outbound) -> Outbound:
    """Check what is sent against what the channel can carry, and fill a template's words."""
    limit = channel_of(identity.deployment).capabilities.text
    if message.template is not None:
        template = Template.get_or_none(
            Template.deployment == identity.deployment_id,
            Template.name == message.template.name,
            Template.language == message.template.language,
        )
        if template is None or template.status != "approved":
            raise BadMessage(
                "template",
                f"“{message.template.name}” is not an approved template of {identity.deployment.label}.",
            )
        for name in variables(template):
            if not message.template.parameters.get(name, "").strip():
                raise BadMessage(f"parameter_{name}", f"{name} is missing. Fill it in to send the template.")
        parameters = message.template.parameters
        header = filled(template.header, parameters, "header")
        shown = {"header": header, "footer": template.footer, "buttons": list(template.buttons)}
        return replace(
            message,
            kind="template",
            text=filled(template.body, parameters),
            payload={**message.payload, **{part: value for part, value in shown.items() if value}},
        )
    text = clean(message.text)
    if message.kind == "text" and not text.strip():
        raise BadMessage("text", "The message is empty. Write something, or send a template.")
    if len(text) > limit:
        raise BadMessage(
            "text",
            f"The message has {len(text):,} characters; {limit:,} fit. Shorten it, or send it in two parts.",
        )
    return replace(message, text=text)


def _payload(message: Outbound) -> dict[str, Any]:
    payload = dict(message.payload)
    if message.template is not None:
        called = message.template
        payload["template"] = {
            "name": called.name,
            "language": called.language,
            "parameters": dict(called.parameters),
        }
    return payload


def _outbound(message: Message) -> tuple[Outbound, Author]:
    aliases = IdentityAlias.select(IdentityAlias.kind, IdentityAlias.value).where(
        IdentityAlias.identity == message.identity_id, IdentityAlias.valid_until.is_null()
    )
    called = message.payload.get("template")
    outbound = Outbound(
        kind=message.kind,
        text=message.text,
        payload=message.payload,
        template=TemplateCall(**called) if called else None,
        reply_to=message.reply_to,
        to=dict(tuples(aliases.order_by(IdentityAlias.id))),
        ref=str(message.id),
    )
    return outbound, Author(AuthorKind(message.author), message.author_name or "", message.operator_id)


def _silenced(user: User, author: Author) -> str | None:
    """Say why the bot may not speak now; a person or a campaign is never silenced by the handler."""
    if author.kind is not AuthorKind.BOT or user.handler == Handler.BOT:
        return None
    return f"The bot’s answer was held back: {_in_whose_hands(user)}"


def _has(agent: Author, user: User) -> bool:
    return user.handler == Handler.AGENT and user.agent_id == agent.operator_id


def _in_whose_hands(user: User) -> str:
    if user.handler == Handler.AGENT:
        agent = Operator.get_by_id(user.agent_id)
        return f"{agent.name} has this chat since {user.handler_since:%H:%M} UTC."
    if user.handler == Handler.WAITING:
        return "This user waits for a person. Start Chat to answer."
    return "The bot has this chat. Start Chat to answer."


def _locked(message_id: int) -> Message | None:
    """Return the message with its user's row locked."""
    found: Message | None = Message.get_or_none(Message.id == message_id)
    if found is None:
        return None
    user = conversation.lock_user(found.user_id)
    message: Message = Message.get_by_id(message_id)
    message.user = user
    return message


def _record_receipt(job: Job, receipt: Receipt) -> None:
    with database.atomic():
        message = _locked(job.payload["message"])
        if message is None:
            return
        if receipt.provider_id and message.provider_id is None:
            _name(message, clean(receipt.provider_id))
        delivery.climb(message, receipt.state, clock.now())
        if message.provider_id:
            delivery.settle(message)
        if receipt.aliases:
            for alias in identities.named(receipt.aliases):
                _learn(message.identity, alias.kind, alias.value)
            search.index(message.user_id)
        Job.remove(Job.id == job.id)


def _record_error(job: Job, error: SendError) -> None:
    failure = error.failure
    with database.atomic():
        message = _locked(job.payload["message"])
        if message is None:
            return
        if error.uncertain:
            _unconfirmed(message, failure.reason)
            return
        delivery.follow(failure, message.identity, clock.now())
        last = failure.permanent or failure.pauses_deployment or job.attempts >= MOST_ATTEMPTS
        if last or message.state != Delivery.QUEUED:
            delivery.climb(message, Delivery.FAILED, clock.now(), failure)
            return
        Message.update(attempted=None, error=None).where(Message.id == message.id).execute()
    raise Retry(failure.reason, failure.retry_after or timedelta(seconds=min(2**job.attempts, 300)))


def _unconfirmed(message: Message, reason: str) -> None:
    why = Failure(f"{reason} It may have arrived: it is not sent again by itself.")
    delivery.climb(message, Delivery.UNCONFIRMED, clock.now(), why)


def _not_sent(message: Message, reason: str) -> None:
    Message.update(state=Delivery.NOT_SENT, error=reason).where(Message.id == message.id).execute()
    record(message.user_id, "message_status_changed", message=message.id, state=Delivery.NOT_SENT)


def _name(message: Message, provider_id: str) -> None:
    """Keep the provider's id, unless another message has it, such as an echo that came before the receipt."""
    same = Message.select().where(
        Message.deployment == message.deployment_id, Message.provider_id == provider_id
    )
    if not same.exists():
        Message.update(provider_id=provider_id).where(Message.id == message.id).execute()
        message.provider_id = provider_id


def _learn(identity: Identity, kind: str, value: str) -> None:
    """Keep an alias that the provider's answer revealed, unless someone is known by it."""
    IdentityAlias.insert(
        deployment=identity.deployment_id,
        kind=kind,
        value=clean(value),
        identity=identity.id,
        valid_from=clock.now(),
    ).on_conflict_ignore().execute()
