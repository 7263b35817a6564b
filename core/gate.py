"""The gate: may this author write to this identity now? There is no second way to send."""

from datetime import datetime

from core.channel import Author, AuthorKind, Outbound, Reach, ReachKind, strictest
from core.context import parley
from core.deployments import UnknownChannel, channel_of
from core.models import Identity
from core.secrets import SecretUnreadable


def gate(identity: Identity, message: Outbound, author: Author, now: datetime) -> Reach:
    """Ask the channel's rule, the deployment, and every plugin; the strictest answer stands.

    The same question is asked by the page, when a message is queued, and again at the moment of delivery (C3,
    C4).
    """
    deployment = identity.deployment
    try:
        channel = channel_of(deployment)
    except (UnknownChannel, SecretUnreadable) as error:
        return Reach(ReachKind.UNREACHABLE, str(error), "Tell an admin. Nothing was sent.")
    answers = [channel.reach(identity, author, now)]
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
    return strictest([*answers, *parley().manager.refusals(identity, message, author, now)])


def probe(identity: Identity, operator_id: int | None, now: datetime) -> Reach:
    """Ask on behalf of a page, before there is a message."""
    return gate(identity, Outbound(), Author(AuthorKind.AGENT, operator_id=operator_id), now)
