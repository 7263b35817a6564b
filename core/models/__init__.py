"""The tables of core: one module a concept."""

from core.models.deployment import Deployment, Template
from core.models.event import Event, record
from core.models.identity import Identity, IdentityAlias
from core.models.job import Job, enqueue
from core.models.message import HeldStatus, Message
from core.models.operator import Operator, Role
from core.models.property import (
    Origin,
    Property,
    PropertyChange,
    PropertyColumn,
    PropertyOffer,
    PropertyProposal,
    PropertySkipped,
    PropertyVersion,
    Scope,
    Source,
)
from core.models.session import Session
from core.models.setting import Setting, read_setting, write_setting
from core.models.stored_view import StoredView
from core.models.user import Handler, User, UserState
from core.models.webhook_log import LogState, WebhookLog, WebhookLogIdentity, WebhookRefusal

__all__ = [
    "Deployment",
    "Event",
    "Handler",
    "HeldStatus",
    "Identity",
    "IdentityAlias",
    "Job",
    "LogState",
    "Message",
    "Operator",
    "Origin",
    "Property",
    "PropertyChange",
    "PropertyColumn",
    "PropertyOffer",
    "PropertyProposal",
    "PropertySkipped",
    "PropertyVersion",
    "Role",
    "Scope",
    "Session",
    "Setting",
    "Source",
    "StoredView",
    "Template",
    "User",
    "UserState",
    "WebhookLog",
    "WebhookLogIdentity",
    "WebhookRefusal",
    "enqueue",
    "read_setting",
    "record",
    "write_setting",
]
