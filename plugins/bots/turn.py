"""A bot's turn: a user's message goes to the bot once, and what it answers is in the conversation once, or a
failure that is seen.

The question is noted as asked, and committed, before it goes out. A worker that dies after that leaves a turn
that is found asked: it becomes a failure in the conversation, and the bot is never asked the same thing
twice. Every turn ends with an entry whose `request_key` is `bots:<message id>:0`, so that a turn which is
told of again finds itself done.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from core import clock, conversation, outbound
from core.channel import Author, AuthorKind, Capabilities, Delivery, Outbound
from core.context import parley
from core.db import database
from core.deployments import UnknownChannel, channel_class
from core.models import Handler, Identity, Job, Message, User, enqueue
from core.retry import Retry
from core.secrets import SecretUnreadable
from plugins.bots import properties, rasa
from plugins.bots.models import Bot

log = logging.getLogger(__name__)

TURN = "bots.turn"
MOST_TRIES = 6
_SILENT_KINDS = frozenset({"reaction", "system", "edited", "deleted"})
"""Kinds that call for no answer: nobody expects a reply to a thumb."""


@dataclass(frozen=True)
class _Turn:
    """What one turn is about."""

    job: Job
    message: Message
    user: User
    identity: Identity
    bot: Bot


def begin(message: Message, user: User, identity: Identity) -> None:
    """Queue a turn when the bot is the one who answers this user, and this is something to answer."""
    if user.handler != Handler.BOT or message.author != AuthorKind.USER or message.kind in _SILENT_KINDS:
        return
    if not Bot.select().where(Bot.deployment == identity.deployment_id).exists():
        return
    # Turns of one lane run one after the other, in the order of the messages. Who watches for a bot at work
    # looks for this lane.
    enqueue(TURN, {"message": message.id}, lane=f"bot:{identity.id}", request_key=f"{TURN}:{message.id}")


def take(job: Job) -> None:
    """Ask the bot, and put its answers into the conversation (the job `bots.turn`).

    Raises Retry while the bot cannot be reached at all, a limited number of times.
    """
    turn = _prepare(job)
    if turn is None:
        return
    try:
        token = parley().keys.decrypt(turn.bot.token) if turn.bot.token else None
        answers = rasa.ask(turn.bot.url, token, _question(turn))
    except rasa.NotAsked as error:
        if job.attempts < MOST_TRIES:
            _unask(job)
            raise Retry(f"{turn.bot.name}: {error}.", timedelta(seconds=2 ** (job.attempts - 1))) from error
        _fail(turn, f"{error}; it was tried {job.attempts} times")
    except (rasa.NoAnswer, SecretUnreadable) as error:
        _fail(turn, str(error))
    else:
        _answer(turn, answers)


def _prepare(job: Job) -> _Turn | None:
    """Look whether there still is a question to ask, and note that it is asked now."""
    with database.atomic():
        message = Message.get_or_none(Message.id == job.payload["message"])
        if message is None:
            return None
        user = conversation.lock_user(message.user_id)
        identity = Identity.get_by_id(message.identity_id)
        bot = Bot.get_or_none(Bot.deployment == identity.deployment_id)
        if bot is None or _is_done(message):
            return None
        turn = _Turn(job, message, user, identity, bot)
        if "asked" in job.payload:
            _fail(turn, "the worker stopped while the bot was at work, and the bot is not asked twice")
            return None
        if user.handler != Handler.BOT:
            return None
        _keep(job, {**job.payload, "asked": clock.now().isoformat()})
        return turn


def _question(turn: _Turn) -> dict[str, Any]:
    """Return the request: what the user wrote, or the payload of the button that was picked, and around it
    what a bot may need.
    """
    message, user, deployment = turn.message, turn.user, turn.identity.deployment
    payload = {name: value for name, value in message.payload.items() if name != "raw"}
    picked = payload.get("id") if message.kind == "picked" else None
    metadata = {
        "message_id": str(message.id),
        "kind": message.kind,
        "channel": deployment.channel,
        "deployment": deployment.label,
        "place": deployment.place,
        "user_key": user.key,
        "language": user.language,
        "at": message.at.isoformat(),
        "payload": payload,
        "properties": properties.open_to_bots(user, message.session_id),
    }
    return {
        "sender": turn.identity.key,
        "message": picked if isinstance(picked, str) and picked else message.text,
        "metadata": metadata,
    }


def _answer(turn: _Turn, answers: rasa.Answers) -> None:
    """Put all answers into the conversation, in their order, and write the properties, in one transaction.

    What the gate refuses is kept there as not sent. Properties are written in any case: what the user said
    stays true when somebody else answers.
    """
    with database.atomic():
        conversation.lock_user(turn.user.id)
        if not _conclude(turn.job):
            return
        refused = properties.keep(turn.user.id, answers.properties, turn.bot.name, turn.message.id)
        position = _send(turn, answers)
        if refused:
            said = f"{turn.bot.name} sent properties that were not taken. {' '.join(refused.sentences)}"
            _note(turn, "bot_property_refused", said, position, keys=refused.keys)
            position += 1
        if not answers.answers:
            _note(turn, "bot_silent", f"{turn.bot.name} gave no answer.", position)
        elif answers.remark:
            _note(turn, "bot_failed", f"{turn.bot.name}: {answers.remark}.", position, reason=answers.remark)
        elif position == 0:
            _note(turn, "bot_silent", f"{turn.bot.name} sent properties, and no words.", position)


def _send(turn: _Turn, answers: rasa.Answers) -> int:
    """Send what is meant for the user, note what cannot be sent, and return how many entries that made."""
    capabilities = channel_class(turn.identity.deployment.channel).capabilities
    author = Author(AuthorKind.BOT, turn.bot.name)
    position = 0
    for answer in answers.answers:
        for message in messages_of(answer, capabilities):
            key = f"bots:{turn.message.id}:{position}"
            outbound.send(turn.identity.id, message, author, request_key=key)
            position += 1
        if answer.other:
            what = " and ".join(sorted(answer.other))
            said = f"{turn.bot.name} also sent {what}; {_channel(turn)} does not carry that to the user."
            _note(turn, "bot_extra", said, position, raw=answer.other)
            position += 1
    return position


def messages_of(answer: rasa.Answer, capabilities: Capabilities) -> Iterator[Outbound]:
    """Put one answer into as many messages as the channel needs for it.

    A picture goes as one where the channel can, else as its link. Choices that the channel cannot offer stand
    below the words.
    """
    text, image = answer.text, answer.image
    choices = [{"title": title, "payload": payload} for title, payload in answer.buttons]
    as_buttons = 0 < len(choices) <= capabilities.buttons
    if choices and not as_buttons:
        listed = "\n".join(f"• {choice['title']}" for choice in choices)
        text = f"{text}\n\n{listed}" if text else listed
    if image and not capabilities.image:
        text, image = "\n".join(filter(None, (text, image))), ""
    parts = rasa.split(text, capabilities.text)
    if as_buttons and not (parts or image):
        parts = ["…"]  # a message needs words, and the bot gave the choices none
    buttons: Mapping[str, Any] = {"buttons": choices} if as_buttons else {}
    caption = parts.pop() if image and len(parts) == 1 else ""
    for place, part in enumerate(parts, 1):
        last = place == len(parts) and not image
        yield Outbound(text=part, payload=buttons if last else {})
    if image:
        yield Outbound(kind="image", text=caption, payload={"url": image, **buttons})


def _fail(turn: _Turn, reason: str) -> None:
    """Show in the conversation that the bot gave no answer, and why."""
    with database.atomic():
        conversation.lock_user(turn.user.id)
        if _conclude(turn.job):
            log.warning("%s: no answer to message %d: %s", turn.bot.name, turn.message.id, reason)
            sentence = f"{turn.bot.name} did not answer: {reason.rstrip('.')}."
            _note(turn, "bot_failed", sentence, 0, reason=reason)


def _note(turn: _Turn, kind: str, sentence: str, position: int, **payload: Any) -> None:
    entry = conversation.Entry(
        author=AuthorKind.SYSTEM,
        kind=kind,
        text=sentence,
        payload={"message": turn.message.id, **payload},
        at=clock.now(),
        request_key=f"bots:{turn.message.id}:{position}",
        state=Delivery.RECEIVED,
        counts=False,
    )
    conversation.append(turn.user, turn.identity, entry, "conversation_noted")


def _is_done(message: Message) -> bool:
    return bool(Message.select().where(Message.request_key == f"bots:{message.id}:0").exists())


def _conclude(job: Job) -> bool:
    """Take the job away in the transaction that holds its outcome; False when another worker has taken it
    over meanwhile.
    """
    mine = Job.delete().where(Job.id == job.id, Job.attempts == job.attempts)  # type: ignore[misc]
    return bool(mine.execute())


def _unask(job: Job) -> None:
    _keep(job, {name: value for name, value in job.payload.items() if name != "asked"})


def _keep(job: Job, payload: Mapping[str, Any]) -> None:
    Job.update(payload=payload).where(Job.id == job.id).execute()
    job.payload = payload


def _channel(turn: _Turn) -> str:
    try:
        return channel_class(turn.identity.deployment.channel).label
    except UnknownChannel:
        return turn.identity.deployment.channel
