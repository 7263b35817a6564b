"""The properties of users: read, set, and how each became so."""

from collections.abc import Collection
from typing import Any

from admin import access
from admin.access import May
from core import clock, properties
from core import values as stored
from core.catalogue import Definition, catalogue
from core.models import Deployment, Identity, PropertyChange, Session, User
from core.models import Scope as Belongs
from core.properties import Refusal, Refused, Standing
from core.text import clean, snippet
from plugins.api.operations import operation
from plugins.api.problems import Problem
from plugins.api.schemas import (
    By,
    Change,
    Changed,
    History,
    Place,
    Properties,
    PropertyOfUser,
    Value,
    Values,
    Written,
)
from plugins.api.tokens import Scope


@operation("GET", "/users/<user>/properties", scope=Scope.USERS_READ, answer=Properties, refuses=(404,))
def properties_of_user(user: str) -> Properties:
    """Read every active property of a user."""
    found = access.user(user, to=May.READ_AUDIENCE)
    return Properties(user=found.key, properties=_shown(found))


@operation(
    "PATCH",
    "/users/<user>/properties",
    scope=Scope.PROPERTIES_WRITE,
    body=Values,
    answer=Written,
    refuses=(404, 409),
)
def set_properties_of_user(user: str, body: Values) -> Written:
    """Set properties of a user, all or none; to send the same again changes nothing more."""
    found = access.user(user, to=May.READ_AUDIENCE)
    if not access.edits_values(access.operator()):
        raise Problem(403, "The owner of this token edits no values. Nothing was changed.")
    try:
        written = properties.write(found.id, body.properties, access.writer(), seen=body.seen)
    except Refused as error:
        raise _problem(error) from None
    found = User.get_by_id(found.id)
    keys = {*body.properties, *written.changed}
    return Written(user=found.key, changed=list(written.changed), properties=_shown(found, keys))


@operation(
    "GET",
    "/users/<user>/properties/<key>/history",
    scope=Scope.USERS_READ,
    query=Place,
    answer=History,
    refuses=(404,),
)
def history_of_property(user: str, key: str, query: Place) -> History:
    """Read how a property of a user became what it is, newest change first."""
    found = access.user(user, to=May.READ_AUDIENCE)
    definition = catalogue().by_key.get(key)
    if definition is None:
        raise Problem(404, f"There is no property `{snippet(clean(key), 63)}`.")
    before = int(query.before) if query.before else None
    changes = properties.history(found.id, definition, query.limit + 1, before=before)
    shown, more = changes[: query.limit], len(changes) > query.limit
    return History(
        user=found.key,
        property=definition.key,
        changes=[_change(definition, one) for one in shown],
        next=str(shown[-1].id) if more else None,
    )


def _shown(user: User, only: Collection[str] | None = None) -> list[PropertyOfUser]:
    writer = access.writer()
    session = Session.find(newest=True, user=user.id)
    wanted = [one for one in catalogue().active if only is None or one.key in only]
    # The versions first: a value that somebody changes in between then has an old version, which is refused.
    changes = properties.standing(user.id, [one for one in wanted if not one.is_locked])
    identities = list(Identity.select(Identity, Deployment).join(Deployment).where(Identity.user == user.id))
    values = stored.everything(user, identities, session, clock.now())
    found = []
    for one in wanted:
        change = changes.get(one.key)
        if one.scope == Belongs.SESSION and change and change.session_id != (session and session.id):
            change = None  # of an earlier session
        standing = Standing(values.get(one.key, stored.UNSET), change)
        reason = one.lock(writer)
        found.append(
            PropertyOfUser(
                key=one.key,
                label=one.label,
                type=one.type.name,
                scope=one.scope,
                source=one.source,
                locked=reason is not None,
                reason=reason,
                **_standing(one, standing),
            )
        )
    return found


def _standing(definition: Definition, standing: Standing) -> dict[str, Any]:
    change = standing.change
    return {
        **_value(definition, standing.value).model_dump(),
        "version": standing.version,
        "held": standing.is_held,
        "changed": Changed(at=change.at, by=_by(change), message=change.message_id) if change else None,
    }


def _value(definition: Definition, value: stored.Value) -> Value:
    state = "skipped" if value.is_skipped else "set" if value.is_set else "unset"
    if value.is_set and not access.sees(definition):
        return Value(state="set", masked=True)
    return Value(state=state, value=value.value)


def _change(definition: Definition, change: PropertyChange) -> Change:
    return Change(
        id=change.id,
        at=change.at,
        by=_by(change),
        before=_value(definition, stored.Value.of(change.before)),
        after=_value(definition, stored.Value.of(change.after)),
        held=change.holds,
        message=change.message_id,
        session=change.session_id,
    )


def _by(change: PropertyChange) -> By:
    return By(origin=change.origin, name=change.actor or None)


def _problem(refused: Refused) -> Problem:
    errors = [_error(one) for one in refused.refusals]
    status = 409 if all(one.conflict for one in refused.refusals) else 422
    if len(errors) == 1:
        return Problem(status, f"{errors[0]['detail']} Nothing was changed.", errors)
    return Problem(status, f"{len(errors)} values were not taken. Nothing was changed.", errors)


def _error(refusal: Refusal) -> dict[str, Any]:
    key = snippet(clean(refusal.key), 64)
    error: dict[str, Any] = {"field": f"properties.{key}", "key": key, "detail": clean(refusal.sentence)}
    definition = catalogue().by_key.get(refusal.key)
    if refusal.conflict and refusal.now is not None and definition is not None:
        stands = PropertyOfUser.model_construct(**_standing(definition, refusal.now))
        now = stands.model_dump(
            mode="json", include={"state", "value", "masked", "version", "held", "changed"}
        )
        error |= {"conflict": True, "now": now}
    return error
