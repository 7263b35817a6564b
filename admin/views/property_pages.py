"""What is done to one property on a profile: open it, save it, give it back, restore it (U6, P6, P7)."""

from typing import Any

from flask import abort, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose

from admin import access
from admin.access import May
from admin.views import properties, property_editor, reading, shown
from admin.views.composer import Tried
from admin.views.property_rows import CLOSED, LEFT, PLACES, Opened, Rows
from core.catalogue import Definition, catalogue
from core.models import PropertyChange, Scope, Session, User
from core.properties import Refused, release, write
from core.values import Value, session_values, values

_BIGGEST_ID = 2**63 - 1
_GONE = "This property is not here any more. Nothing was saved. Reload the page."


class PropertyPages:
    """The pages of the properties of a user; a part of the audience's view."""

    @expose("/<key>/properties")
    @access.needs(May.READ_AUDIENCE)
    def properties(self, key: str) -> ResponseReturnValue:
        """Return the right column by itself: with other groups open, or what was looked for."""
        subject = reading.read(access.user(key, to="read_audience"), access.operator())
        return render_template(
            "parley/_props_part.html",
            props=properties.column(subject, properties.asked(), Rows(subject)),
            urls={"page": url_for(".profile", key=key)},
        )

    @expose("/<key>/properties/<prop>")
    @access.needs(May.READ_AUDIENCE)
    def property_row(self, key: str, prop: str) -> ResponseReturnValue:
        """Return one property by itself: as a row, with its history (`show=history`), or to `edit`."""
        user, one = access.user(key, to="read_audience"), _definition(prop)
        show = request.args.get("show", "")
        if show == "history":
            _require_sight(one)
        elif show == "edit":
            access.require(May.EDIT_PROPERTIES)
            if reason := one.lock(access.writer()):
                abort(403, reason)
        opened = Opened(prop, _place(), show == "history") if show in ("edit", "history") else CLOSED
        return self._row(user, one, opened)

    @expose("/<key>/properties/<prop>", methods=["POST"])
    @access.needs(May.EDIT_PROPERTIES)
    def save_property(self, key: str, prop: str) -> ResponseReturnValue:
        """Set a property to what was typed, unless somebody was quicker (P7)."""
        user, one = access.user(key, to="edit_properties"), _definition(prop)
        if "value" not in request.form and "remove" not in request.form:
            abort(400)
        given, typed = property_editor.given(one, request.form, _current(user, one), shown.now().zone)
        return self._write(user, one, given, typed)

    @expose("/<key>/properties/<prop>/release", methods=["POST"])
    @access.needs(May.EDIT_PROPERTIES)
    def release_property(self, key: str, prop: str) -> ResponseReturnValue:
        """Let the bot manage a property again that a person set (P6)."""
        user, one = access.user(key, to="edit_properties"), _definition(prop)
        try:
            release(user.id, prop, access.writer())
        except Refused as refused:
            return self._refused(user, one, refused, None)
        return self._saved(user, one)

    @expose("/<key>/properties/<prop>/restore", methods=["POST"])
    @access.needs(May.EDIT_PROPERTIES)
    def restore_property(self, key: str, prop: str) -> ResponseReturnValue:
        """Set a property to what it was after an earlier change."""
        user, one = access.user(key, to="edit_properties"), _definition(prop)
        change = PropertyChange.find(id=_number("change"), user=user.id, property=one.id)
        value = Value.of(change.after) if change is not None else Value()
        if not value.is_set:
            abort(404, "There is no such value to restore. Nothing was saved. Reload the page.")
        typed = one.former(value.value) or one.type.typed(value.value)
        return self._write(user, one, value.value, (typed,))

    def _write(self, user: User, one: Definition, given: Any, typed: tuple[str, ...]) -> ResponseReturnValue:
        seen = {one.key: _number("seen")} if "seen" in request.form else None
        try:
            write(user.id, {one.key: given}, access.writer(), seen=seen)
        except Refused as refused:
            return self._refused(user, one, refused, typed)
        return self._saved(user, one)

    def _refused(
        self, user: User, one: Definition, refused: Refused, typed: tuple[str, ...] | None
    ) -> ResponseReturnValue:
        """Show why a value was not taken, and what was typed; to those who may not edit it, only why."""
        refusal = refused.refusals[0]
        if catalogue(fresh=True).by_key.get(one.key) is None:
            abort(404, _GONE)
        locked = one.lock(access.writer()) is not None
        status = 403 if locked else 409 if refusal.conflict else 422
        opened = Opened(
            one.key,
            _place(),
            not refusal.conflict and request.path.endswith(("/release", "/restore")),
            None if locked else typed,
            refusal.sentence,
            None if locked else refusal.now,
            status,
        )
        if request.headers.get("X-Parley-Parts"):
            return self._row(user, one, opened)
        if locked:
            abort(403, refusal.sentence)
        return self._show(user, Tried(), opened=opened)

    def _saved(self, user: User, one: Definition) -> ResponseReturnValue:
        if request.headers.get("X-Parley-Parts"):
            return self._show(user, Tried())
        place = _place()
        panel = "who" if place == LEFT else "props"
        anchor = f"property-{place}-{one.key}"
        return redirect(url_for(".profile", key=user.key, panel=panel, _anchor=anchor), 303)

    def _row(self, user: User, one: Definition, opened: Opened) -> ResponseReturnValue:
        subject = reading.read(User.get_by_id(user.id), access.operator())
        [row] = Rows(subject, opened).of(opened.place or _place(), [one])
        return make_response(render_template("parley/_property_part.html", row=row), opened.status)

    def _show(
        self, user: User, tried: Tried, *, parts: bool = False, opened: Opened | None = None
    ) -> ResponseReturnValue:
        raise NotImplementedError


def opened_by_address() -> Opened:
    """Return what the address of a profile opens, for a browser without scripts; 403 for what may not be."""
    edit, history = request.args.get("edit", ""), request.args.get("history", "")
    one = catalogue().by_key.get(edit or history)
    if edit:
        access.require(May.EDIT_PROPERTIES)
    if one is None:
        return CLOSED
    if not edit:
        _require_sight(one)
    elif reason := one.lock(access.writer()):
        abort(403, reason)
    return Opened(one.key, _place(), history=not edit)


def _definition(key: str) -> Definition:
    found = catalogue().by_key.get(key)
    if found is None or found.archived is not None:
        found = catalogue(fresh=True).by_key.get(key)
    if found is None:
        abort(404, _GONE)
    return found


def _current(user: User, one: Definition) -> Value:
    if one.scope == Scope.SESSION:
        return session_values(Session.find(newest=True, user=user.id)).get(one.key, Value())
    return values(user.id).get(one.key, Value())


def _place() -> str:
    found = request.args.get("at", "")
    if found in PLACES:
        return found
    one = catalogue().by_key.get(request.args.get("history", ""))
    if one is None:
        return "all"
    if one.scope == Scope.SESSION:
        return "session"
    return "top" if one.pinned is not None else "all"


def _number(name: str) -> int:
    found = request.form.get(name, type=int)
    return found if found is not None and 0 <= found <= _BIGGEST_ID else 0


def _require_sight(one: Definition) -> None:
    if not access.sees(one):
        abort(403, "Your role does not see this value, nor what it was.")
