"""How people, channels and moments are shown: what several screens share."""

from dataclasses import dataclass
from datetime import UTC
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import request

from admin import access, words
from core import clock
from core.channel import Author, AuthorKind, Channel, Reach, ReachKind
from core.context import parley
from core.deployments import UnknownChannel, channel_of
from core.models import Deployment
from core.secrets import SecretUnreadable

ZONE_COOKIE = "parley_zone"


def now() -> words.Now:
    """Return the current moment, in the time zone of whoever reads; the browser says which in a cookie."""
    named = request.cookies.get(ZONE_COOKIE, "")
    try:
        return words.Now(clock.now(), ZoneInfo(named) if named else UTC)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # whatever stands in the cookie
        return words.Now(clock.now())


def channel(name: str) -> dict[str, str]:
    """Return a channel for its badge; one whose plugin is gone goes by its name."""
    declared = parley().manager.channels.get(name)
    return {"name": name, "label": declared.label if declared else name}


def serving(deployment: Deployment) -> Channel | None:
    """Return the channel that serves a deployment, or None when none can."""
    try:
        return channel_of(deployment)
    except (UnknownChannel, SecretUnreadable):
        return None


def rule_says(served: Channel | None, identity: Any, at: words.Now) -> Reach:
    """Ask the channel's own rule about an identity, for a list; the gate asks everybody."""
    if served is None:
        return Reach(ReachKind.UNREACHABLE, "This channel is not available.")
    return served.reach(identity, Author(AuthorKind.AGENT), at.at)


@dataclass(frozen=True)
class Person:
    """A user as the current operator may see them."""

    key: str
    name: str
    is_named: bool
    contact: str | None

    @property
    def avatar(self) -> dict[str, Any]:
        """Return the avatar; someone whom nothing names gets an outline."""
        return {
            "initials": words.initials(self.name)[: None if self.is_named else 1],
            "tone": crc32(self.key.encode()) % 7,
            "anonymous": not self.is_named,
        }


def person(key: str, name: str | None, phone: str | None, email: str | None) -> Person:
    """Return a user by the best that is known: the name, else the number, else a name made of the key."""
    see = access.sight()
    shown_name, shown_phone, shown_email = see.name(name), see.phone(phone), see.email(email)
    contact = shown_phone or shown_email or None
    if shown_name:
        return Person(key, shown_name, True, contact)
    if contact:
        return Person(key, contact, False, shown_email if shown_phone and shown_email else None)
    return Person(key, f"Visitor {key[:6]}", False, None)
