"""The one place that answers "may they?": roles, masks, and the decision that each route must have.

A route declares who may use it, with `needs`, `signed_in` or `public`; providers and visitors prove who they
are in another way, which is declared for their blueprint as a whole. A route without a decision is refused to
everybody, and a test finds it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from core import masks, phones
from core.catalogue import API, Definition, Writer
from core.context import EXTENSION, parley
from core.models import Operator, Origin, Role, User, UserState

log = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])
_MARK = "_parley_decision"
_EXTENSION = "parley.access"


class May(StrEnum):
    """What an operator may do."""

    READ_AUDIENCE = "read_audience"
    SEE_PERSONAL = "see_personal"
    EDIT_PROPERTIES = "edit_properties"
    START_CHAT = "start_chat"
    RELEASE_OTHERS = "release_others"
    DEFINE_PROPERTIES = "define_properties"
    PURGE_PROPERTIES = "purge_properties"


ROLES: Mapping[str, frozenset[May]] = {
    Role.ADMIN: frozenset(May),
    Role.BUILDER: frozenset({May.READ_AUDIENCE, May.EDIT_PROPERTIES, May.DEFINE_PROPERTIES}),
    Role.AGENT: frozenset({May.READ_AUDIENCE, May.SEE_PERSONAL, May.EDIT_PROPERTIES, May.START_CHAT}),
    Role.AUDITOR: frozenset({May.READ_AUDIENCE}),
}


@dataclass(frozen=True)
class Decision:
    """Who may use a route: who has `permission`, any operator (`signed_in`), or everybody, for a `reason`."""

    permission: May | None = None
    signed_in: bool = False
    reason: str = ""

    @property
    def is_public(self) -> bool:
        """Say whether the guard lets everybody pass."""
        return self.permission is None and not self.signed_in


@dataclass(frozen=True)
class Deputy:
    """A program at work for an operator, by a token called `name`: it may what its `owner` may at the moment,
    and of that no more than `allowed`.
    """

    owner: Operator
    name: str
    allowed: frozenset[May]


# Routes of core, which knows nothing of roles, and files of Flask-Admin.
_ELSEWHERE = {
    "healthz": Decision(reason="It says only that the process serves."),
    "readyz": Decision(reason="It says only that the database answers."),
    "admin.static": Decision(reason="Flask-Admin's own style sheets and scripts."),
    "panel.static": Decision(reason="Style sheets and scripts; they hold no data."),
}


def needs(permission: May) -> Callable[[View], View]:
    """Let only operators with `permission` use a view."""
    return _marked(Decision(permission=permission))


def signed_in() -> Callable[[View], View]:
    """Let every operator use a view, whatever the role."""
    return _marked(Decision(signed_in=True))


def public(reason: str) -> Callable[[View], View]:
    """Let everybody use a view, because of `reason`."""
    return _marked(Decision(reason=reason))


def own_authentication(app: Flask, blueprint: str, reason: str) -> None:
    """Declare that a blueprint's routes prove by themselves who calls, as `reason` says."""
    app.extensions.setdefault(_EXTENSION, {})[blueprint] = Decision(reason=reason)


def decision_on(app: Flask, endpoint: str) -> Decision | None:
    """Return what was decided about a route, or None when nobody did."""
    own: Decision | None = getattr(app.view_functions[endpoint], _MARK, None)
    if own is not None:
        return own
    declared: dict[str, Decision] = app.extensions.get(_EXTENSION, {})
    blueprint, dot, _ = endpoint.rpartition(".")
    return (declared.get(blueprint) if dot else None) or _ELSEWHERE.get(endpoint)


def guard() -> ResponseReturnValue | None:
    """Refuse a request that the decision on its route does not let pass; called before every request."""
    if request.url_rule is None or request.endpoint is None:
        return None  # there is no such page, which everybody may know
    decision = decision_on(current_app, request.endpoint)
    if decision is None:
        log.error("the route %s has no decision on who may use it, so nobody may", request.endpoint)
        abort(403, "Nobody decided who may use this page, so nobody may. Tell an admin.")
    if decision.is_public:
        return None
    if current_operator() is None:
        return _sign_in_first()
    if decision.permission is not None:
        require(decision.permission)
    return None


def act_for(deputy: Deputy) -> None:
    """Let the rest of this request be the work of `deputy`, whatever cookie came with it."""
    g.pop("parley_sight", None)
    g.parley_deputy = deputy


def _deputy() -> Deputy | None:
    found: Deputy | None = g.get("parley_deputy")
    return found


def current_operator() -> Operator | None:
    """Return the operator who is signed in, or for whom a program is at work; None where there is neither."""
    if deputy := _deputy():
        return deputy.owner
    return current_user.operator if current_user.is_authenticated else None


def operator() -> Operator:
    """Return the current operator; 401 when there is none."""
    return current_operator() or abort(401)


def permissions(someone: Operator | None) -> frozenset[May]:
    """Return everything that an operator may: roles combine."""
    roles = someone.roles if someone is not None and someone.active else []
    return frozenset[May]().union(*(ROLES.get(role, frozenset()) for role in roles))


def may(permission: May) -> bool:
    """Say whether the current operator has `permission`; a program at work for them must have it as well."""
    deputy = _deputy()
    if deputy is not None and permission not in deputy.allowed:
        return False
    return permission in permissions(current_operator())


def edits_values(someone: Operator) -> bool:
    """Say whether an operator edits any property at all, or lets a program do so: an auditor does not."""
    return bool(someone.active and _groups(someone))


def require(permission: May) -> None:
    """End the request with 403 unless the current operator has `permission`."""
    if not may(permission):
        abort(403)


def user(key: str, *, to: str) -> User:
    """Return the user called `key`, for an operator who wants to do `to`.

    404 when they may not even know of this user, 403 when they may know, but not do that.
    """
    found: User | None = None
    if may(May.READ_AUDIENCE) and key.isascii() and key.isalnum():
        found = User.get_or_none(User.key == key, User.state == UserState.ACTIVE)
    if found is None:
        abort(404)
    require(May(to))
    return found


@dataclass(frozen=True)
class Sight:
    """How the current operator sees personal data: in clear, or behind masks on all that tells who it is."""

    clear: bool

    def name(self, name: str | None) -> str:
        """Return a person's name."""
        return (name or "") if self.clear else masks.masked_name(name or "")

    def phone(self, phone: str | None) -> str:
        """Return a phone number."""
        if not phone:
            return ""
        return phones.readable(phone) if self.clear else masks.masked_phone(phone)

    def email(self, email: str | None) -> str:
        """Return an email address."""
        if not email:
            return ""
        return email if self.clear else masks.masked_email(email)

    def external_id(self, value: str | None) -> str:
        """Return an id by which a channel knows someone; many of them are phone numbers."""
        if not value:
            return ""
        return value if self.clear else masks.masked_id(value)

    def address(self, url: str) -> str:
        """Return a web address; what stands behind its `?` may name a person."""
        if self.clear:
            return url
        try:
            parts = urlsplit(url)
        except ValueError:
            return "••••"
        return parts._replace(query="", fragment="").geturl()


def sight() -> Sight:
    """Return how the current operator sees personal data; the same for the whole request."""
    if "parley_sight" not in g:
        g.parley_sight = Sight(clear=may(May.SEE_PERSONAL))
    found: Sight = g.parley_sight
    return found


def writer() -> Writer:
    """Return the current operator as one who sets values; an auditor edits none, whoever may.

    A program at work for an operator is of the group `api`, and of none of the operator's.
    """
    someone, deputy = operator(), _deputy()
    if deputy is None:
        return Writer(
            Origin.OPERATOR, someone.name, someone.id, _groups(someone), sees_personal=sight().clear
        )
    groups = frozenset({API}) if edits_values(someone) else frozenset[str]()
    return Writer(Origin.API, deputy.name, someone.id, groups, sees_personal=sight().clear)


def _groups(someone: Operator) -> frozenset[str]:
    return frozenset(str(role) for role in someone.roles if role in ROLES) - {Role.AUDITOR}


def sees(definition: Definition) -> bool:
    """Say whether the current operator may see, find, edit and fill in the values of a property."""
    return sight().clear or not definition.personal


def _marked(decision: Decision) -> Callable[[View], View]:
    def mark(view: View) -> View:
        setattr(view, _MARK, decision)
        return view

    return mark


def wants_page() -> bool:
    """Say whether the answer is shown as a page of its own, and not taken in by a script."""
    if request.headers.get("X-Parley-Parts") or _is_for_programs(request.path):
        return False
    return (
        request.accept_mimetypes.best_match(["text/html", "text/event-stream", "application/json"])
        == "text/html"
    )


def _is_for_programs(path: str) -> bool:
    """Say whether providers and widgets call here, even where address or method is not one of ours."""
    return path.split("/")[1] in {"webhooks", *parley().manager.channels}


def _sign_in_first() -> ResponseReturnValue:
    if request.method in ("GET", "HEAD") and wants_page():
        wanted = request.full_path.rstrip("?")
        return redirect(url_for("panel.login", next=wanted if wanted != "/" else None))
    return abort(401)


def channel_blueprints(app: Flask) -> list[str]:
    """Return the names of the blueprints that channels brought."""
    found = (channel.routes() for channel in app.extensions[EXTENSION].manager.channels.values())
    return [blueprint.name for blueprint in found if blueprint is not None]
