"""The page of definitions: what properties there are, how each is made and changed (P1-P4)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import abort, flash, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import BaseView, expose

from admin import access, words
from admin.access import May
from admin.views import definition_form, definition_list, shown
from admin.views.definition_drawer import Notice, Opened, drawer
from admin.views.definition_form import Sheet
from admin.views.definition_import import ImportPages
from admin.views.definition_list import Asked, DefinitionList
from admin.views.definition_proposals import ProposalPages, adopted
from core import conversion, definitions, property_jobs, proposals
from core.catalogue import Catalogue, Definition, catalogue
from core.drafts import BadDefinition, Draft, draft_of

_MEANWHILE = Notice(
    "warn",
    "Somebody changed this property while it was open here.",
    "What you typed is kept and was not saved. Save it again to have it so.",
)


class DefinitionsView(ProposalPages, ImportPages, BaseView):
    """The page of all definitions, with a drawer for one.

    A key is a path of its own; every other path holds a character that no key can have.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._list = DefinitionList()
        super().__init__(*args, **kwargs)

    def is_accessible(self) -> bool:
        """Show the menu entry to whoever may define properties."""
        return access.may(May.DEFINE_PROPERTIES)

    def _run_view(self, view: Callable[..., Any], *args: Any, **arguments: Any) -> Any:
        # Flask-Admin calls a view that raises TypeError again, otherwise: that hides where it comes from.
        return view(self, *args, **arguments)

    @expose("/")
    @access.needs(May.DEFINE_PROPERTIES)
    def index(self) -> ResponseReturnValue:
        """Show the definitions of one tab, or, to a script, the table alone."""
        property_jobs.count_soon()
        asked = _asked()
        now = catalogue(fresh=True)
        at = shown.now()
        context: dict[str, Any] = {
            "tabs": definition_list.tabs(now, asked, url_for(".index")),
            "asked": asked,
            "types": definition_list.types_of(now),
            "urls": self._urls_around(),
            "may_purge": access.may(May.PURGE_PROPERTIES),
        }
        if asked.tab == "proposed":
            context |= self.proposed(at)
        else:
            context["groups"] = self._list.groups(now, asked, at)
            context["total"] = len(now.by_key)
        part = bool(request.headers.get("X-Parley-Parts"))
        template = "parley/_definitions_table.html" if part else "parley/definitions.html"
        return make_response(self.render(template, **context))

    @expose("/new-property", methods=["GET", "POST"])
    @access.needs(May.DEFINE_PROPERTIES)
    def new(self) -> ResponseReturnValue:
        """Define a property, or adopt one that the bot proposes."""
        now = catalogue(fresh=True)
        adopts = adopted(request.values.get("adopts", ""))
        if request.method == "GET":
            if adopts is not None:
                return self._open(
                    Opened(definition_form.sheet_of(proposals.draft_for(adopts)), now, None, adopts)
                )
            return self._open(Opened(Sheet(), now))
        sheet = definition_form.sheet_from(request.form)
        if definition_form.asks_to_look(request.form):
            return self._open(Opened(sheet, now, None, adopts))
        try:
            draft = definition_form.draft_from(sheet)
            made = proposals.adopt(draft) if adopts is not None else definitions.create(draft)
        except BadDefinition as error:
            problems = definition_form.problems_in(error, sheet)
            return self._open(Opened(sheet, catalogue(), None, adopts, problems), 422)
        except LookupError as error:
            return self._open(Opened(sheet, now, notice=Notice("bad", str(error))), 409)
        said = f"“{made.label}” is defined, and in use."
        if adopts is not None:
            said = f"“{made.label}” is adopted. Its values are taken over in a moment."
        return self.done(said, made.key)

    @expose("/<key>", methods=["GET", "POST"])
    @access.needs(May.DEFINE_PROPERTIES)
    def definition(self, key: str) -> ResponseReturnValue:
        """Show one definition, and change it."""
        now = catalogue(fresh=True)
        if key == "new" and key not in now.by_key:
            return redirect(url_for(".new"))
        before = _known(key, now)
        if request.method == "GET":
            return self._open(Opened(_sheet_of(before), now, before))
        if before.is_locked:
            return self._pin(before, now, on=request.form.get("pinned") == "1")
        sheet = definition_form.sheet_from(request.form)
        if value := request.form.get("retire"):
            sheet = definition_form.retired(sheet, before, value)
        if definition_form.asks_to_look(request.form):
            return self._open(Opened(sheet, now, before))
        if sheet.seen != _version(before):
            stale = Sheet(**{**vars(sheet), "seen": _version(before)})
            return self._open(Opened(stale, now, before, notice=_MEANWHILE), 409)
        try:
            made = definitions.edit(key, definition_form.draft_from(sheet, before))
        except BadDefinition as error:
            problems = definition_form.problems_in(error, sheet)
            return self._open(Opened(sheet, catalogue(), before, None, problems), 422)
        return self.done(f"“{made.label}” is saved.", key)

    @expose("/<key>/pinned", methods=["POST"])
    @access.needs(May.DEFINE_PROPERTIES)
    def pin(self, key: str) -> ResponseReturnValue:
        """Pin a property to the top panel, at its end, or take it out."""
        now = catalogue(fresh=True)
        return self._pin(_known(key, now), now, on=request.form.get("on") == "1")

    @expose("/<key>/move", methods=["POST"])
    @access.needs(May.DEFINE_PROPERTIES)
    def move(self, key: str) -> ResponseReturnValue:
        """Put a pinned property before another one, or at the end; the others stay in their order."""
        now = catalogue(fresh=True)
        keys = _pinned(now)
        before = request.form.get("before", "")
        if key not in keys or (before and before not in keys):
            return self.refused("The order was changed meanwhile. Nothing was moved; look at it again.")
        keys.remove(key)
        keys.insert(keys.index(before) if before in keys else len(keys), key)
        definitions.pin(keys)
        label = now.by_key[key].label
        return self.done(f"{label} is number {keys.index(key) + 1} of {len(keys)}.", key)

    @expose("/<key>/personal", methods=["POST"])
    @access.needs(May.DEFINE_PROPERTIES)
    def personal(self, key: str) -> ResponseReturnValue:
        """Say whether a property is personal data."""
        before = _known(key, catalogue(fresh=True))
        on = request.form.get("on") == "1"
        if before.is_locked:
            return self.refused(definition_list.locked_because(before))
        said = f"“{before.label}” is {'personal data' if on else 'no personal data'} now."
        return self._try(said, key, lambda: definitions.edit(key, _changed(before, personal=on)))

    @expose("/<key>/archive", methods=["POST"])
    @access.needs(May.DEFINE_PROPERTIES)
    def archive(self, key: str) -> ResponseReturnValue:
        """Take a property out of use."""
        before = _known(key, catalogue(fresh=True))
        said = f"“{before.label}” is archived. Its values are kept."
        return self._try(said, key, lambda: definitions.archive(key))

    @expose("/<key>/restore", methods=["POST"])
    @access.needs(May.DEFINE_PROPERTIES)
    def restore(self, key: str) -> ResponseReturnValue:
        """Take an archived property into use again."""
        before = _known(key, catalogue(fresh=True))
        said = f"“{before.label}” is in use again, with its values."
        return self._try(said, key, lambda: definitions.restore(key))

    @expose("/<key>/convert", methods=["GET", "POST"])
    @access.needs(May.DEFINE_PROPERTIES)
    def convert(self, key: str) -> ResponseReturnValue:
        """Give a property another type, with all its values."""
        now = catalogue(fresh=True)
        before = _known(key, now)
        if request.method == "GET":
            return self._open(Opened(Sheet(type=""), now, before, converts=True))
        sheet = definition_form.sheet_to_convert(request.form, before)
        if definition_form.asks_to_look(request.form):
            return self._open(Opened(sheet, now, before, converts=True))
        problems = {} if sheet.type else {"type": "Choose the type that it is to have."}
        try:
            if not problems:
                conversion.convert(key, sheet.type, definition_form.options_from(sheet))
        except BadDefinition as error:
            problems = definition_form.problems_in(error, sheet)
        if problems:
            return self._open(Opened(sheet, catalogue(), before, None, problems, converts=True), 422)
        label = sheet.kind.label if sheet.kind else sheet.type
        return self.done(f"“{before.label}” is being converted to “{label}”.", key)

    @expose("/<key>/forget", methods=["POST"])
    @access.needs(May.DEFINE_PROPERTIES)
    def forget(self, key: str) -> ResponseReturnValue:
        """Take away the note of a conversion that failed."""
        before = _known(key, catalogue(fresh=True))
        return self._try(f"“{before.label}” is as it was.", key, lambda: conversion.forget(key))

    @expose("/<key>/purge", methods=["GET", "POST"])
    @access.needs(May.PURGE_PROPERTIES)
    def purge(self, key: str) -> ResponseReturnValue:
        """Delete an archived property with its values, once its key was typed."""
        before = _known(key, catalogue(fresh=True))
        if request.method == "GET" or request.form.get("confirm", "").strip() != key:
            return self._ask_to_purge(before)
        said = f"“{before.label}” is purged. Its values are being deleted."
        return self._try(said, key, lambda: definitions.purge(key), show="archived")

    def done(self, said: str, key: str = "", **arguments: Any) -> ResponseReturnValue:
        """Answer what was done: to a script with the sentence, else with the list that says it."""
        if request.headers.get("X-Parley-Parts"):
            return make_response(self.render("parley/_definition_done.html", said=said, key=key))
        flash(said, "success")
        return redirect(url_for(".index", **arguments), 303)

    def refused(self, sentence: str) -> ResponseReturnValue:
        """Answer that nothing was done, and why."""
        if request.headers.get("X-Parley-Parts"):
            return make_response(
                self.render("parley/_definition_done.html", said=sentence, key="", refused=True), 409
            )
        flash(sentence, "error")
        return redirect(url_for(".index"), 303)

    def _try(self, said: str, key: str, act: Callable[[], Any], **arguments: Any) -> ResponseReturnValue:
        try:
            act()
        except BadDefinition as error:
            return self.refused(" ".join(error.problems.values()))
        return self.done(said, key, **arguments)

    def _pin(self, before: Definition, now: Catalogue, *, on: bool) -> ResponseReturnValue:
        keys = [key for key in _pinned(now) if key != before.key]
        if before.archived is not None:
            return self.refused("An archived property is not pinned. Restore it first.")
        if on == (before.pinned is not None):
            return self.done(f"“{before.label}” is as it was.", before.key)
        said = f"“{before.label}” is {'pinned' if on else 'not pinned any more'}."
        return self._try(said, before.key, lambda: definitions.pin([*keys, before.key] if on else keys))

    def _open(self, opened: Opened, status: int = 200) -> ResponseReturnValue:
        """Render the drawer by itself for a script, or on a page of its own."""
        before = opened.before
        key = before.key if before else ""
        urls = {
            "list": url_for(".index"),
            "save": url_for(".definition", key=key) if before else url_for(".new"),
            **{
                name: url_for(f".{name}", key=key) if before else None
                for name in ("archive", "restore", "purge", "forget")
            },
            "convert": url_for(".convert", key=key) if before and _converts(before) else None,
        }
        if opened.converts:
            urls["save"] = url_for(".convert", key=key)
        part = bool(request.headers.get("X-Parley-Parts"))
        template = "parley/_definition_part.html" if part else "parley/definition.html"
        return make_response(self.render(template, drawer=drawer(opened), urls=urls), status)

    def _ask_to_purge(self, before: Definition) -> ResponseReturnValue:
        if before.archived is None or before.declared is not None:
            return self.refused(f"`{before.key}` is not archived. Only an archived property can be purged.")
        users, changes = property_jobs.held(before)
        wrong = request.method == "POST"
        context = {
            "key": before.key,
            "label": before.label,
            "users": None if users is None else words.counted(users, "user"),
            "changes": words.counted(changes, "change"),
            "wrong": wrong,
            "urls": {"purge": url_for(".purge", key=before.key), "list": url_for(".index", show="archived")},
        }
        part = bool(request.headers.get("X-Parley-Parts"))
        template = "parley/_definition_purge.html" if part else "parley/definition_purge.html"
        return make_response(self.render(template, **context), 422 if wrong else 200)

    @staticmethod
    def _urls_around() -> dict[str, str]:
        names = {"list": "index", "new": "new", "import": "import_file", "export": "export_file"}
        return {name: url_for(f".{endpoint}") for name, endpoint in names.items()}


def _asked() -> Asked:
    tab = request.args.get("show", "all")
    return Asked(
        tab=tab if tab in definition_list.TABS else "all",
        find=request.args.get("find", "").strip()[:100],
        type=request.args.get("type", "")[:100],
    )


def _known(key: str, now: Catalogue) -> Definition:
    try:
        return definitions.known(key, now)
    except LookupError as error:
        abort(404, f"{error} It may have been purged. Look for it in the list.")


def _converts(before: Definition) -> bool:
    return before.declared is None and before.archived is None and not before.is_converting


def _pinned(now: Catalogue) -> list[str]:
    return [one.key for one in now.active if one.pinned is not None]


def _changed(before: Definition, **changes: Any) -> Draft:
    return draft_of(before).model_copy(update=changes)


def _sheet_of(before: Definition) -> Sheet:
    return definition_form.sheet_of(draft_of(before), _version(before))


def _version(before: Definition) -> str:
    """Return what changes with each change of a definition."""
    changed: datetime = before.changed
    return changed.isoformat()
