"""The gate: may this author write to this identity now? There is no second way to send."""

import logging
from contextlib import nullcontext
from datetime import datetime

from core.channel import Author, AuthorKind, Outbound, Reach, ReachKind, strictest
from core.context import parley
from core.db import database
from core.deployments import UnknownChannel, channel_of
from core.models import Identity
from core.secrets import SecretUnreadable

log = logging.getLogger(__name__)


def gate(identity: Identity, message: Outbound, author: Author, now: datetime) -> Reach:
    """Ask the channel's rule, the deployment, and every plugin.

    The strictest answer stands: of those that do not allow this message, or of all where each allows it.
    The same question is asked by the page, when a message is queued, and again at the moment of delivery (C3,
    C4).
    """
    deployment = identity.deployment
    try:
        channel = channel_of(deployment)
    except (UnknownChannel, SecretUnreadable) as error:
        return Reach(ReachKind.UNREACHABLE, str(error), "Tell an admin. Nothing was sent.")
    try:
        answers = [channel.reach(identity, author, now)]
    except Exception:  # a channel that has a rule of its own, with a bug
        log.exception("channel %s failed in reach", deployment.channel)
        sentence = f"The channel {deployment.channel} failed while it was asked whether this may be sent."
        return Reach(
            ReachKind.UNREACHABLE, sentence, "Nothing was sent. Tell an admin; the reason is in the log."
        )
    if not deployment.enabled:
        answers.append(
            Reach(
                ReachKind.UNREACHABLE,
                f"{deployment.label} is switched off.",
                "An admin can switch it on again.",
            )
        )
    elif deployment.paused_reason:
        answers.append(
            Reach(
                ReachKind.UNREACHABLE,
                f"{deployment.label} is paused: {deployment.paused_reason}",
                "An admin can mend it and resume it.",
            )
        )
    within = database.savepoint if database.in_transaction() else nullcontext
    answers += parley().manager.refusals(identity, message, author, now, within=within)
    against = [answer for answer in answers if not answer.allows(message, author)]
    return strictest(against or answers)


def probe(identity: Identity, operator_id: int | None, now: datetime) -> Reach:
    """Ask on behalf of a page, before there is a message."""
    return gate(identity, Outbound(), Author(AuthorKind.AGENT, operator_id=operator_id), now)
