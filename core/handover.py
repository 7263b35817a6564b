"""Who answers a user: bot, waiting or agent. One function per step of the state machine.

bot ──claim──> agent ──release──> bot          expire_claims: agent ──> where it came from
bot ──pause_bot──> waiting ──claim──> agent
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core import clock, conversation, outbound
from core.channel import Author, AuthorKind, Outbound, Reach
from core.db import database, tuples
from core.models import Handler, Identity, Operator, User, record
from core.outbound import NotYours


@dataclass(frozen=True)
class Claim:
    """Who has a user, as it stands after an attempt to claim."""

    operator_id: int
    name: str
    since: datetime
    is_mine: bool


class Refused(Exception):
    """A step that the gate did not allow; nothing has changed."""

    def __init__(self, reach: Reach) -> None:
        super().__init__(f"{reach.sentence} {reach.next_step}".strip())
        self.reach = reach


def claim(user_id: int, operator: Operator) -> Claim:
    """Give the user to `operator`; the first of two wins (C1). The bot is silent from then on."""
    with database.atomic():
        user = conversation.lock_user(user_id)
        if user.agent_id is None:
            now = clock.now()
            came_from = user.handler
            _hand_to(user, Handler.AGENT, now, agent=operator.id, agent_active=now, claimed_from=came_from)
            _tell(
                user, "claimed", f"{operator.name} started the chat. The bot is paused.", operator=operator.id
            )
        return _standing(user, operator)


def claim_with_template(
    user_id: int, identity_id: int, operator: Operator, message: Outbound, request_key: str | None = None
) -> tuple[Claim, outbound.Sent | None]:
    """Claim by sending a template: outside the window, this is how an agent starts a chat (C3, C5).

    Raises Refused when the gate says no, and BadMessage; nothing has changed then. When another agent has the
    user, nothing is sent.
    """
    with database.atomic():
        claimed = claim(user_id, operator)
        if not claimed.is_mine:
            return claimed, None
        sent = outbound.send(
            identity_id, message, Author(AuthorKind.AGENT, operator.name, operator.id), request_key
        )
        if sent.message is None:
            raise Refused(sent.reach)
        return claimed, sent


def release(
    user_id: int,
    operator: Operator,
    farewell: str = "",
    *,
    identity_id: int | None = None,
    anyone: bool = False,
) -> None:
    """Give the user back to the bot, with an optional last message (C2).

    The message goes to `identity_id`, or to the identity that wrote last. `anyone` lets someone release
    another agent's chat. Raises NotYours, Refused when the gate does not let the last message pass, and
    BadMessage; nothing has changed then.
    """
    with database.atomic():
        user = conversation.lock_user(user_id)
        if user.handler == Handler.BOT:
            return
        if user.agent_id not in (None, operator.id) and not anyone:
            raise NotYours(
                f"{Operator.get_by_id(user.agent_id).name} has this chat, and can assign it to the bot."
            )
        to = identity_id or user.last_identity_id
        if farewell.strip() and user.agent_id == operator.id and to is not None:
            sent = outbound.send(
                to,
                Outbound(text=farewell),
                Author(AuthorKind.AGENT, operator.name, operator.id),
            )
            if sent.message is None:
                raise Refused(sent.reach)
        _hand_to(user, Handler.BOT, clock.now())
        _tell(user, "released", f"{operator.name} assigned the chat to the bot.", operator=operator.id)


def pause_bot(user: User, why: str) -> None:
    """Silence the bot until a person acts, for instance after a colleague answered in the provider's own app.

    The caller holds the user's lock.
    """
    if user.handler == Handler.BOT:
        _hand_to(user, Handler.WAITING, clock.now())
        _tell(user, "paused", f"{why} The bot is paused.")


def expire_claims(after: timedelta) -> int:
    """Return each claim without a message for `after` to where it came from (C2).

    Returns how many there were.
    """
    now = clock.now()
    idle = User.select(User.id).where(User.agent_active.is_null(False), User.agent_active <= now - after)
    count = 0
    for (user_id,) in tuples(idle.limit(100)):
        with database.atomic():
            user = conversation.lock_user(user_id)
            if user.agent_active is None or user.agent_active > now - after:
                continue
            name = Operator.get_by_id(user.agent_id).name
            back = Handler(user.claimed_from or Handler.BOT)
            minutes = int(after.total_seconds() // 60)
            _hand_to(user, back, now)
            to = "the bot" if back is Handler.BOT else "the users who wait for a person"
            _tell(user, "expired", f"{name} did not write for {minutes} min. The chat went back to {to}.")
            count += 1
    return count


def _hand_to(user: User, handler: Handler, now: datetime, **agent: Any) -> None:
    changes = {
        "agent": None,
        "agent_active": None,
        "claimed_from": None,
        **agent,
        "handler": handler,
        "handler_since": now,
    }
    User.update(changes).where(User.id == user.id).execute()
    user.handler, user.handler_since, user.agent_id = handler, now, changes["agent"]


def _tell(user: User, kind: str, sentence: str, **payload: Any) -> None:
    """Show the step in the conversation, and let subscribers and open pages know."""
    if user.last_identity_id is not None:
        conversation.note(user, Identity.get_by_id(user.last_identity_id), kind, sentence, **payload)
    record(user.id, "handler_changed", handler=user.handler)


def _standing(user: User, operator: Operator) -> Claim:
    holder = operator if user.agent_id == operator.id else Operator.get_by_id(user.agent_id)
    return Claim(holder.id, holder.name, user.handler_since, holder.id == operator.id)
