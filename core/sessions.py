"""Divide a conversation into sessions: opened by a message, over after an idle time or when closed."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from core.models import Identity, Session, User


def join(
    user: User,
    identity: Identity,
    at: datetime,
    *,
    inbound: bool,
    handler: str | None,
    footprint: Mapping[str, Any],
    properties: Mapping[str, Any] | None = None,
) -> Session:
    """Put a message into its session: the running one, an earlier one when it came late, or a new one.

    `handler` is who answered by it, None for the user's own. A new one begins with `properties`. The user's
    row is locked by the caller.
    """
    latest = _latest(identity)
    if latest is not None and (at < latest.opened or is_running(latest, at)):
        return _continue(around(identity, at) or _first(identity), identity, at, inbound, handler)
    number = user.session_count + 1
    User.change(user.id, session_count=number)
    user.session_count = number
    return Session.add(
        user=user.id,
        identity=identity.id,
        deployment=identity.deployment_id,
        number=number,
        opened=at,
        last_inbound=at if inbound else None,
        last_message=at,
        expires=at + timedelta(seconds=identity.deployment.idle_seconds),
        handlers=[handler] if handler else [],
        message_count=1,
        footprint=dict(footprint),
        properties=properties,
    )


def around(identity: Identity, at: datetime) -> Session | None:
    """Return the session of `identity` that was opened last at `at`, whether or not it ran then."""
    opened = Session.select().where(Session.identity == identity, Session.opened <= at)
    found: Session | None = opened.order_by(Session.id.desc()).first()
    return found


def is_running(session: Session, at: datetime) -> bool:
    """Say whether `session` is open at `at`: neither closed nor idle for too long."""
    return at < session.expires and (session.closed is None or at < session.closed)


def close(identity: Identity, why: str, at: datetime) -> None:
    """Close the running session of `identity`, if there is one."""
    latest = _latest(identity)
    if latest is not None and is_running(latest, at):
        Session.update(closed=at, closed_why=why).where(Session.id == latest.id).execute()


def _latest(identity: Identity) -> Session | None:
    return Session.find(newest=True, identity=identity.id)


def _first(identity: Identity) -> Session:
    found: Session = Session.select().where(Session.identity == identity).order_by(Session.id).get()
    return found


def _continue(
    session: Session, identity: Identity, at: datetime, inbound: bool, handler: str | None
) -> Session:
    changes: dict[str, Any] = {}
    if at < session.opened:
        changes["opened"] = at
    if at > session.last_message:
        changes["last_message"] = at
    if inbound and (session.last_inbound is None or at > session.last_inbound):
        changes["last_inbound"] = at
    expires = at + timedelta(seconds=identity.deployment.idle_seconds)
    if expires > session.expires:
        changes["expires"] = expires
    if handler and handler not in session.handlers:
        changes["handlers"] = [*session.handlers, handler]
    Session.change(session.id, "message_count", **changes)
    return session
