"""Who is behind a token, and how a visitor's chat ends."""

from dataclasses import dataclass
from typing import Any

from channels.web.footprint import without_device
from channels.web.problems import Problem
from core import clock, conversation, search, sessions
from core.db import database
from core.models import Deployment, Identity, IdentityAlias, Session, record

VISITOR = "visitor"
ENDED = "The visitor ended this chat, so their browser no longer asks for messages."


@dataclass(frozen=True)
class Visitor:
    """Someone with a good token: `identity` is None until their first message is stored."""

    deployment: Deployment
    name: str
    identity: Identity | None

    @property
    def known(self) -> Identity:
        """Return the identity of someone who has written; raises Problem 409 before."""
        if self.identity is None:
            raise Problem(409, "no_messages", "There is no chat yet: it begins with the first message.")
        return self.identity


def find(deployment: Deployment, name: str) -> Visitor:
    """Return the visitor called `name`; raises Problem 401 when that chat was ended."""
    named = _named(deployment.id, name)
    valid = IdentityAlias.get_or_none(named, IdentityAlias.valid_until.is_null())
    if valid is not None:
        return Visitor(deployment, name, Identity.get_by_id(valid.identity_id))
    if IdentityAlias.select().where(named, IdentityAlias.valid_until.is_null(False)).exists():
        raise Problem(401, "ended", "This chat was ended.")
    return Visitor(deployment, name, None)


def is_good(deployment_id: int, name: str) -> bool:
    """Say whether a stream of this visitor may go on. It keeps no database connection."""
    with database.connection_context():
        enabled = Deployment.select().where(Deployment.id == deployment_id, Deployment.enabled)
        alias = IdentityAlias.select().where(_named(deployment_id, name), IdentityAlias.valid_until.is_null())
        return bool(enabled.exists() and alias.exists())


def end(visitor: Visitor) -> None:
    """End a chat: every token of this visitor is revoked, and nobody can write to them here.

    What was written stays. Ending what has not begun, or twice, changes nothing.
    """
    if visitor.identity is None:
        return
    with database.atomic():
        user = conversation.lock_user(visitor.identity.user_id)
        now = clock.now()
        mine = (IdentityAlias.identity == visitor.identity) & (IdentityAlias.kind == VISITOR)
        valid = IdentityAlias.valid_until.is_null()
        if not IdentityAlias.update(valid_until=now).where(mine, valid).execute():
            return
        Identity.update(unreachable=ENDED).where(Identity.id == visitor.identity.id).execute()
        sessions.close(visitor.identity, "ended by the visitor", now)
        conversation.note(user, visitor.identity, "visitor_ended", "The visitor ended the chat.")
        search.index(user.id)


def keep_device(visitor: Visitor, device: dict[str, str]) -> None:
    """Add `device` to the footprints of a visitor who allowed it; empty takes back what is there."""
    with database.atomic():
        user = conversation.lock_user(visitor.known.user_id)
        identity = Identity.get_by_id(visitor.known.id)
        Identity.update(
            first_footprint={**without_device(identity.first_footprint), **device},
            last_footprint={**without_device(identity.last_footprint), **device},
        ).where(Identity.id == identity.id).execute()
        if not device:
            for session in Session.select().where(Session.identity == identity):
                kept = without_device(session.footprint)
                Session.update(footprint=kept).where(Session.id == session.id).execute()
        record(user.id, "footprint_changed", identity=identity.id)


def _named(deployment_id: int, name: str) -> Any:
    return (
        (IdentityAlias.deployment == deployment_id)
        & (IdentityAlias.kind == VISITOR)
        & (IdentityAlias.value == name)
    )
