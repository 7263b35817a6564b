"""The system properties of a user: what Parley itself computes.

They are locked, and each says what it means.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.models import User

LOCK_REASON = "Parley computes this property, so nobody can edit it."


@dataclass(frozen=True)
class SystemProperty:
    """One computed property. `read` takes a user and the current moment; None means that it is not set."""

    key: str
    label: str
    group: str
    help: str
    read: Callable[[User, datetime], Any]
    personal: bool = False
    pinned: bool = False


def _column(name: str) -> Callable[[User, datetime], Any]:
    return lambda user, now: getattr(user, name)


def local_time(user: User, now: datetime) -> datetime | None:
    """Return `now` in the user's time zone, or None where it is not known."""
    if not user.timezone:
        return None
    try:
        return now.astimezone(ZoneInfo(user.timezone))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # whatever a browser may have called its zone
        return None


SYSTEM: tuple[SystemProperty, ...] = (
    SystemProperty(
        "language",
        "Language",
        "About",
        "The language that the channel or the browser names.",
        _column("language"),
        pinned=True,
    ),
    SystemProperty(
        "country", "Country", "About", "The country of the phone number.", _column("country"), pinned=True
    ),
    SystemProperty(
        "timezone", "Time zone", "About", "The time zone that the browser names.", _column("timezone")
    ),
    SystemProperty(
        "local_time",
        "Local time",
        "About",
        "The time where the user is, by the time zone.",
        local_time,
        pinned=True,
    ),
    SystemProperty(
        "first_seen",
        "First seen",
        "Engagement",
        "When the user first wrote.",
        _column("first_seen"),
        pinned=True,
    ),
    SystemProperty(
        "last_seen",
        "Last seen",
        "Engagement",
        "When the user last wrote; what we send does not count.",
        _column("last_seen"),
        pinned=True,
    ),
    SystemProperty(
        "messages_received",
        "Messages received",
        "Engagement",
        "How many messages the user wrote.",
        _column("received_count"),
        pinned=True,
    ),
    SystemProperty(
        "messages_sent",
        "Messages sent",
        "Engagement",
        "How many messages the bot and agents wrote to the user.",
        _column("sent_count"),
        pinned=True,
    ),
    SystemProperty(
        "sessions",
        "Sessions",
        "Engagement",
        "How many sessions the user had, over all channels.",
        _column("session_count"),
        pinned=True,
    ),
    SystemProperty(
        "handler",
        "Handler",
        "Parley",
        "Who answers the user now: the bot, nobody yet, or an agent.",
        _column("handler"),
    ),
    SystemProperty("handler_since", "Handler since", "Parley", "Since when.", _column("handler_since")),
    SystemProperty("created", "Created", "Parley", "When Parley first knew of the user.", _column("created")),
    SystemProperty(
        "key", "User key", "Parley", "The name of this user in links and in the API.", _column("key")
    ),
)


def system_values(user: User, now: datetime) -> Mapping[SystemProperty, Any]:
    """Return every system property of `user` with its value at `now`, in the order of the panel."""
    return {declared: declared.read(user, now) for declared in SYSTEM}
