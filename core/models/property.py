"""Properties: what is known of users, how each became so, and what bots propose to keep."""

from enum import StrEnum

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    ForeignKeyField,
    JSONField,
    TextField,
)

from core import clock
from core.db import ExactJSONField, MomentField
from core.models.base import Table
from core.models.message import Message
from core.models.operator import Operator
from core.models.session import Session
from core.models.user import User


class Scope(StrEnum):
    """What a value belongs to: a user, or one session."""

    USER = "user"
    SESSION = "session"


class Source(StrEnum):
    """Where the values of a property come from (P3)."""

    SYSTEM = "system"
    CHANNEL = "channel"
    BOT = "bot"
    CUSTOM = "custom"


class Origin(StrEnum):
    """What set a value."""

    OPERATOR = "operator"
    API = "api"
    IMPORT = "import"
    BOT = "bot"
    CHANNEL = "channel"
    SYSTEM = "system"

    @property
    def is_person(self) -> bool:
        """Say whether somebody decided it, which no machine overrules."""
        return self in (Origin.OPERATOR, Origin.API, Origin.IMPORT)


class Property(Table):
    """A definition (P4).

    `owner` is what declares a property of the system or of a channel. `storage_column` is the user's column
    that holds the values; None keeps them in `user.properties`, or in their session. `filled` is how many
    users had a value when that was `counted`. `conversion` is how the change to another type stands, if any:
    `core.conversion` writes and reads it.
    """

    id = BigAutoField()
    key = TextField(unique=True)
    label = TextField()
    help = TextField(default="")
    type = TextField()
    scope = TextField(default=Scope.USER)
    source = TextField(default=Source.CUSTOM)
    owner = TextField(default="")
    options = ExactJSONField(default=dict)
    initial = ExactJSONField(null=True)
    section = TextField(default="")
    pinned = BigIntegerField(null=True)
    editable_by = JSONField(default=list)
    personal = BooleanField(default=False)
    filterable = BooleanField(default=False)
    storage_column = TextField(null=True)
    promotes_to = TextField(null=True)
    archived = MomentField(null=True)
    created = MomentField(default=clock.now)
    changed = MomentField(default=clock.now)
    filled = BigIntegerField(null=True)
    counted = MomentField(null=True)
    conversion = ExactJSONField(null=True)


class PropertyVersion(Table):
    """The one row whose number grows with each change of a definition."""

    id = BigIntegerField(primary_key=True)
    number = BigIntegerField()

    class Meta:
        table_name = "property_version"


class PropertyColumn(Table):
    """A column `p_<id>` of the user; one without a `property` waits for another of the same SQL type."""

    id = BigAutoField()
    storage = TextField()
    property = ForeignKeyField(Property, null=True, backref="+")
    property_id: int | None
    freed = MomentField(null=True)

    class Meta:
        table_name = "property_column"


class PropertyChange(Table):
    """One change of a value, kept for ever: from what to what, by whom, when, and caused by which message.

    `before` and `after` are values as `core.properties.Value` writes them. `holds` says whether a person set
    it, so that no bot may change it: the last change of a property says how that stands.
    """

    id = BigAutoField()
    user = ForeignKeyField(User, backref="+")
    user_id: int
    property = ForeignKeyField(Property, backref="+")
    property_id: int
    session = ForeignKeyField(Session, null=True, backref="+")
    session_id: int | None
    before = ExactJSONField()
    after = ExactJSONField()
    origin = TextField()
    actor = TextField(default="")
    operator = ForeignKeyField(Operator, null=True, backref="+")
    operator_id: int | None
    message = ForeignKeyField(Message, null=True, backref="+")
    message_id: int | None
    at = MomentField(default=clock.now)
    holds = BooleanField(default=False)

    class Meta:
        table_name = "property_change"


class PropertySkipped(Table):
    """A property that was asked of a user, and not answered."""

    user = ForeignKeyField(User, backref="+")
    user_id: int
    property = ForeignKeyField(Property, backref="+")
    property_id: int

    class Meta:
        table_name = "property_skipped"
        primary_key = CompositeKey("user", "property")


class PropertyProposal(Table):
    """A key that a bot sent and nobody defined (P9); `refused` ones are never proposed again."""

    id = BigAutoField()
    key = TextField(unique=True)
    actor = TextField()
    offers = BigIntegerField(default=0)
    first_offered = MomentField(default=clock.now)
    last_offered = MomentField(default=clock.now)
    refused = MomentField(null=True)

    class Meta:
        table_name = "property_proposal"


class PropertyOffer(Table):
    """The last value that a bot sent for a proposed key of one user."""

    proposal = ForeignKeyField(PropertyProposal, backref="+")
    proposal_id: int
    user = ForeignKeyField(User, backref="+")
    user_id: int
    value = ExactJSONField()
    message = ForeignKeyField(Message, null=True, backref="+")
    message_id: int | None
    at = MomentField(default=clock.now)

    class Meta:
        table_name = "property_offer"
        primary_key = CompositeKey("proposal", "user")
