"""The filter of the audience: numbered conditions, how they are joined, and what they count (A2-A5)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose

from admin import access
from admin.access import May
from admin.views import asking, filter_editor, shown
from admin.views.asking import Asking
from admin.views.filter_editor import NOTHING_TYPED, Typed
from core import filters
from core.catalogue import Definition, catalogue
from core.conditions import Condition, checked
from core.filters import BadExpression, BadFilter, Filter, Joining
from core.property_type import Operator

COUNT_SECONDS = 5
_BEFORE, _AFTER = 24, 12
"""How much of an expression is shown around the place of an error."""


@dataclass(frozen=True)
class Opened:
    """What is open in the filter: the editor of a condition, or what was typed and not taken.

    `number` is None where nothing is edited, 0 for a condition that is being added.
    """

    number: int | None = None
    definition: Definition | None = None
    operator: Operator | None = None
    typed: Typed = NOTHING_TYPED
    problem: str = ""
    text: str | None = None
    error: BadExpression | None = None


class FilterPages:
    """The routes behind the filter; a part of the audience's view."""

    index_view: Callable[[], Any]

    @expose("/filter")
    @access.needs(May.READ_AUDIENCE)
    def filter_area(self) -> ResponseReturnValue:
        """Return the filter by itself, with an editor open where the address asks for it."""
        return render_template("parley/_filter.html", filter=area())

    @expose("/filter", methods=["POST"])
    @access.needs(May.READ_AUDIENCE)
    def change_filter(self) -> ResponseReturnValue:
        """Change the filter: its new view has a key, by which the list is asked for from then on.

        What cannot be asked is refused with its place; the filter before it is still shown.
        """
        before = asking.viewed()
        if request.form.get("do") == "look":
            g.parley_opened = _looked()
            return self._with_open(200)
        try:
            after = _changed(before.given)
        except BadExpression as error:
            g.parley_opened = Opened(text=request.form.get("text", ""), error=error)
            return self._with_open(422)
        except BadFilter as error:
            g.parley_opened = replace(_looked(), problem=str(error))
            return self._with_open(422)
        view = filters.keep(after) if after.conditions else ""
        if access.wants_page():
            return redirect(asking.asking().but(view=view).url(), 303)
        g.parley_asking, g.parley_viewed = asking.asking().but(view=view), asking.checked(after)
        return render_template("parley/_filter.html", filter=area())

    @expose("/counts")
    @access.needs(May.READ_AUDIENCE)
    def filter_counts(self) -> ResponseReturnValue:
        """Return how many users each condition picks by itself, and each part of the expression (A3)."""
        asked = asking.viewed().asked
        found = filters.counts(asked, COUNT_SECONDS, shown.now().zone) if asked else filters.Counts()
        return render_template("parley/_filter_counts.html", counts=found, now=shown.now().at.isoformat())

    def _with_open(self, status: int) -> ResponseReturnValue:
        """Show the page, or the filter by itself, with what is open in it."""
        page = (
            self.index_view()
            if access.wants_page()
            else render_template("parley/_filter.html", filter=area())
        )
        return page if isinstance(page, tuple) else (page, status)


def area() -> dict[str, Any]:
    """Return what parley/_filter.html shows, for the request."""
    here, now_viewed = asking.asking(), asking.viewed()
    opened: Opened = g.get("parley_opened") or _opened(now_viewed.given)
    given, zone = now_viewed.given, shown.now().zone
    text = _expression(given)
    return {
        "view": here.view,
        "kept": here.arguments,
        "chips": [_chip(number, one, here, opened) for number, one in enumerate(given.conditions, 1)],
        "joined": given.joined.value,
        "text": text if opened.text is None else opened.text,
        "reading": now_viewed.asked.in_words(filter_editor.said(zone)) if now_viewed.asked else "",
        "error": _error(opened.text or "", opened.error) if opened.error else None,
        "problem": str(now_viewed.problem) if now_viewed.problem else "",
        "kept_list": opened.error is not None or bool(opened.problem),
        "asked": now_viewed.asked is not None,
        "opened": opened.number,
        "editor": _editor(opened) if opened.number is not None else None,
        "picker": _picker(opened, here) if opened.number is not None and not opened.definition else None,
        "problem_of_editor": opened.problem,
        "longest": filters.LONGEST_EXPRESSION,
        "now": shown.now().at.isoformat(),
        "urls": {
            "change": url_for(".change_filter"),
            "area": url_for(".filter_area"),
            "counts": here.url(".filter_counts"),
            "list": url_for(".index_view"),
            "close": here.url(),
            "add": here.url(edit="new"),
        },
    }


def _chip(number: int, given: Condition, here: Asking, opened: Opened) -> dict[str, Any]:
    """Return a condition as it stands in the filter; of what a role may not see, nothing but its number."""
    one = catalogue().by_key.get(given.key)
    chip = {
        "number": number,
        "key": given.key if one is None or access.sees(one) else "",
        "url": here.url(edit=number),
        "open": opened.number == number,
        "bad": "",
    }
    try:
        asked = checked(number, given, catalogue().by_key, access.sees)
    except BadFilter as problem:
        hidden = one is not None and not access.sees(one)
        label = "Hidden from your role" if hidden else (one.label if one else given.key[:63])
        return {**chip, "label": label, "operator": "", "value": "", "bad": str(problem)}
    label, operator, value = filters.worded(asked, filter_editor.said(shown.now().zone))
    return {**chip, "label": label, "operator": operator, "value": value}


def _opened(given: Filter) -> Opened:
    """Return what the address asks to open: `edit` is a number or `new`, `property` what was picked."""
    word = request.args.get("edit", "")
    number = (
        0 if word == "new" else int(word) if word.isascii() and word.isdigit() and len(word) < 4 else None
    )
    if number is None or number > len(given.conditions):
        return Opened()
    if "property" in request.args:
        one = filter_editor.definition(request.args["property"])
        return Opened(number, one, filter_editor.operator(one, "") if one else None)
    if number == 0:
        return Opened(0)
    condition = given.conditions[number - 1]
    one = filter_editor.definition(condition.key)
    if one is None:
        return Opened(number)
    zone = shown.now().zone
    return Opened(
        number,
        one,
        filter_editor.operator(one, condition.operator),
        filter_editor.typed(one, condition, zone) if condition.operands else NOTHING_TYPED,
    )


def _looked() -> Opened:
    """Return the editor as it was sent."""
    form = request.form
    word = form.get("number", "")
    number = int(word) if word.isascii() and word.isdigit() and len(word) < 4 else 0
    one = filter_editor.definition(form.get("property", ""))
    operator = filter_editor.operator(one, form.get("operator", "")) if one else None
    return Opened(number, one, operator, Typed.of(form))


def _changed(before: Filter) -> Filter:
    """Return the filter as the form wants it; raises BadFilter and BadExpression."""
    form = request.form
    if number := form.get("remove", type=int):
        return _without(before, number)
    if word := form.get("join"):
        joined = next((each for each in Joining if each == word), Joining.ALL)
        return before.joining(joined)
    match form.get("do"):
        case "clear":
            return Filter()
        case "expression":
            after = replace(before, joined=Joining.CUSTOM, text=form.get("text", "").strip())
            after.node()
            return after
        case "condition":
            return _with_condition(before)
    raise BadFilter("Nothing was changed: the form does not say what to do.")


def _without(before: Filter, number: int) -> Filter:
    try:
        return before.without(number)
    except BadExpression:  # of a stored filter that cannot be read any more
        return before.joining(Joining.ALL).without(number)


def _with_condition(before: Filter) -> Filter:
    opened, zone = _looked(), shown.now().zone
    if opened.definition is None or opened.operator is None:
        raise BadFilter("There is no such property to filter by. Pick another.")
    number = opened.number if opened.number and opened.number <= len(before.conditions) else None
    place = number or len(before.conditions) + 1
    given = filter_editor.condition(opened.definition, opened.operator, opened.typed, zone)
    asked = checked(place, given, catalogue().by_key, access.sees)
    return before.having(number, Condition(given.key, given.operator, asked.operands))


def _expression(given: Filter) -> str:
    try:
        return given.expression()
    except BadExpression:
        return given.text


def _error(text: str, error: BadExpression) -> dict[str, str]:
    """Return what is wrong with an expression, and the text around its place."""
    at = min(error.at, len(text))
    before = text[max(0, at - _BEFORE) : at]
    return {
        "sentence": str(error),
        "before": f"…{before}" if at > _BEFORE else before,
        "mark": text[at : at + 1].strip() or "▲",
        "after": text[at + 1 : at + 1 + _AFTER],
    }


def _editor(opened: Opened) -> dict[str, Any] | None:
    if opened.definition is None or opened.operator is None:
        return None
    here, zone = asking.asking(), shown.now().zone
    found = filter_editor.shown(opened.definition, opened.operator, opened.typed, zone)
    edit: Any = opened.number or "new"
    return {
        **found,
        "number": opened.number or "",
        "problem": opened.problem,
        "urls": {"change": here.url(edit=edit, property="-"), "close": here.url()},
    }


def _picker(opened: Opened, here: Asking) -> dict[str, Any]:
    """Return the properties that can be picked, by section."""
    edit: Any = opened.number or "new"
    return {
        "sections": [
            (
                name,
                [
                    {
                        "label": one.label,
                        "key": one.key,
                        "type": one.type.label,
                        "url": here.url(edit=edit, property=one.key),
                        "find": f"{one.label} {one.key} {name}".casefold(),
                    }
                    for one in found
                ],
            )
            for name, found in filter_editor.sections()
        ],
        "number": opened.number or "",
        "problem": opened.problem,
        "close": here.url(),
    }
