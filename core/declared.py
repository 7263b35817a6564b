"""The properties that nobody has to define: those that Parley brings, computes, and reads from a channel.

Built-in ones (name, email, labels...) are filled by people, bots and channels like any other. System ones are
computed. The fields of a channel's Footprint become properties named after channel and field.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.channel import Channel
from core.models import Role, Scope, Source, User

PARLEY = "Parley"
LABELS = "labels"
OF_LAST_IDENTITY = ("last_channel", "last_deployment")
_PEOPLE = (Role.ADMIN, Role.BUILDER, Role.AGENT)


@dataclass(frozen=True)
class Declared:
    """A property that code declares.

    `column` is the user's column that holds it, where there is one. `read` computes a system one from a user
    and the current moment, in Python's types; None means that it is not known.
    """

    key: str
    label: str
    help: str
    type: str
    source: Source
    section: str
    owner: str = PARLEY
    personal: bool = False
    pinned: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    editable_by: tuple[str, ...] = ()
    column: str | None = None
    read: Callable[[User, datetime], Any] | None = None
    footprint: str | None = None
    scope: Scope = Scope.USER


def _built_in(key: str, label: str, type_: str, help_: str, *, bot: bool = True, **more: Any) -> Declared:
    editable_by = (*_PEOPLE, "api", *(("bot",) if bot else ()))
    return Declared(
        key, label, help_, type_, Source.CUSTOM, "About", editable_by=editable_by, column=key, **more
    )


BUILT_IN: tuple[Declared, ...] = (
    _built_in("name", "Name", "text", "What the user is called.", personal=True, options={"max_length": 200}),
    _built_in("email", "Email", "email", "Where the user gets mail.", personal=True),
    _built_in("phone", "Phone", "phone", "The user’s number, in international form.", personal=True),
    _built_in(
        "gender",
        "Gender",
        "choice",
        "As the user says it.",
        options={
            "choices": [
                {"value": "female", "label": "Female"},
                {"value": "male", "label": "Male"},
                {"value": "diverse", "label": "Diverse"},
            ],
            "allow_other": True,
        },
    ),
    _built_in(
        "language",
        "Language",
        "text",
        "The language that the user writes in, as a code: en, pt, hi.",
        options={"max_length": 35},
    ),
    _built_in(
        LABELS,
        "Labels",
        "choices",
        "Words by which your team sorts users.",
        bot=False,
        options={"choices": [], "allow_other": True},
    ),
)


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


def _clock(user: User, now: datetime) -> str | None:
    there = local_time(user, now)
    return f"{there:%H:%M}" if there else None


def _system(
    key: str,
    label: str,
    type_: str,
    section: str,
    help_: str,
    read: Callable[[User, datetime], Any] | None = None,
    column: str | None = None,
    pinned: int | None = None,
) -> Declared:
    column = column or (None if read else key)
    return Declared(
        key,
        label,
        help_,
        type_,
        Source.SYSTEM,
        section,
        column=column,
        read=read or _column(str(column)),
        pinned=pinned,
    )


SYSTEM: tuple[Declared, ...] = (
    _system("country", "Country", "text", "About", "The country of the phone number.", pinned=1),
    _system("timezone", "Time zone", "text", "About", "The time zone that the browser names."),
    _system(
        "local_time",
        "Local time",
        "text",
        "About",
        "The time where the user is, by the time zone.",
        _clock,
        pinned=2,
    ),
    _system("first_seen", "First seen", "datetime", "Engagement", "When the user first wrote.", pinned=3),
    _system(
        "last_seen",
        "Last seen",
        "datetime",
        "Engagement",
        "When the user last wrote; what we send does not count.",
        pinned=4,
    ),
    _system(
        "messages_received",
        "Messages received",
        "integer",
        "Engagement",
        "How many messages the user wrote.",
        column="received_count",
        pinned=5,
    ),
    _system(
        "messages_sent",
        "Messages sent",
        "integer",
        "Engagement",
        "How many messages the bot and agents wrote to the user.",
        column="sent_count",
        pinned=6,
    ),
    _system(
        "sessions",
        "Sessions",
        "integer",
        "Engagement",
        "How many sessions the user had, over all channels.",
        column="session_count",
        pinned=7,
    ),
    _system(
        "last_channel",
        "Last channel",
        "text",
        "Engagement",
        "The channel on which the user last wrote.",
        lambda user, now: user.last_identity.deployment.channel if user.last_identity_id else None,
    ),
    _system(
        "last_deployment",
        "Last deployment",
        "text",
        "Engagement",
        "Where the channel is implemented on which the user last wrote.",
        lambda user, now: user.last_identity.deployment.label if user.last_identity_id else None,
    ),
    _system("last_message_at", "Last message", "datetime", "Engagement", "When anybody last wrote here."),
    _system(
        "handler",
        "Handler",
        "text",
        "Parley",
        "Who answers the user now: the bot, nobody yet, or an agent.",
    ),
    _system("handler_since", "Handler since", "datetime", "Parley", "Since when."),
    _system("created", "Created", "datetime", "Parley", "When Parley first knew of the user."),
    _system("key", "User key", "text", "Parley", "The name of this user in links and in the API."),
)


def of_channel(channel: type[Channel]) -> Iterator[Declared]:
    """Yield the properties that a channel's Footprint declares: what its last touch said."""
    for name, declared in channel.Footprint.model_fields.items():
        extra = declared.json_schema_extra
        label = declared.title or name.replace("_", " ").capitalize()
        yield Declared(
            key=f"{channel.name}_{name}",
            label=label,
            help=declared.description or f"{label}, as {channel.label} said it at the last touch.",
            type="text",
            source=Source.CHANNEL,
            section=channel.label,
            owner=channel.name,
            personal=bool(isinstance(extra, dict) and extra.get("personal")),
            footprint=name,
        )
