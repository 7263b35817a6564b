"""The audience: everyone who has interacted, in Flask-Admin's list with pages of our own (A1, A7)."""

import logging
import secrets
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from flask import Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_admin.model.base import ViewArgs
from markupsafe import Markup
from peewee import PeeweeException

from admin import access, auth, words
from admin.access import May
from admin.views import asking, columns, live, shown
from admin.views.asking import Asking
from admin.views.base import ReadOnlyView
from admin.views.columns import Column
from admin.views.filter import FilterPages, area
from admin.views.profile import ProfilePages
from admin.views.rows import Rows
from admin.views.writing import WritingPages
from core import audience, search
from core.audience import Count
from core.budget import TooSlow, within
from core.catalogue import catalogue
from core.cursor import Cursor

log = logging.getLogger(__name__)

LIST_SECONDS = 10
EXACT_SECONDS = 10
MOST_IN_PAGE = 100
"""From how many properties on the choice of columns is fetched when it is opened."""


class AudienceView(FilterPages, ProfilePages, WritingPages, ReadOnlyView):
    """The list, and behind each name the profile."""

    list_template = "parley/audience.html"
    rows_template = "parley/_audience_rows.html"
    page_size = audience.PAGE_SIZE
    column_list = tuple(columns.FIXED)
    column_labels = dict(columns.FIXED)
    column_searchable_list = ("name", "email", "phone")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._rows = Rows()
        super().__init__(*args, **kwargs)

    @expose("/")
    @access.needs(May.READ_AUDIENCE)
    def index_view(self) -> Any:
        """Show one page of the list."""
        self._template_args.update(self._around())
        return super().index_view()

    @expose("/rows")
    @access.needs(May.READ_AUDIENCE)
    def rows(self) -> Any:
        """Return the table of the same page by itself, for search as one types and for live updates."""
        return self.index_view()

    @expose("/live")
    @access.needs(May.READ_AUDIENCE)
    def live_list(self) -> Response:
        """Stream that something happened, to whomever."""
        return live.everyone()

    @expose("/columns")
    @access.needs(May.READ_AUDIENCE)
    def other_columns(self) -> ResponseReturnValue:
        """Return the columns that can be chosen beside the chosen ones, too many for the page."""
        return render_template("parley/_audience_columns_part.html", more=self._rows.others(columns.chosen()))

    @expose("/columns", methods=["POST"])
    @access.needs(May.READ_AUDIENCE)
    def choose_columns(self) -> ResponseReturnValue:
        """Keep which columns this operator wants to see, in which order."""
        names = request.form.getlist("column")
        if (moved := request.form.get("up")) in names:
            place = names.index(moved)
            names.insert(max(0, place - 1), names.pop(place))
        columns.choose(names)
        return redirect(auth.own_path(request.form.get("next", "")))

    def get_list(
        self,
        page: int | None,
        sort_column: str | None,
        sort_desc: bool | None,
        search_text: str | None,
        filters: Any,
        execute: bool = True,
        page_size: int | None = None,
    ) -> tuple[None, Markup]:
        """Read one page by keyset; where it begins stands in the request, not in this shared view."""
        args = self._template_args
        asked = asking.viewed().asked
        if asked is None:
            return None, Markup("")  # whoever is refused a filter is shown nobody, not everybody
        list_columns: Sequence[Column] = args["list_columns"]
        try:
            place, newer = _place()
            found_by = search.matching(asking.asking().search, personal=access.sight().clear)
            condition = asked.where(shown.now().zone, beside=found_by)
            with within(LIST_SECONDS) if condition is not None else nullcontext():
                found = audience.page(
                    condition,
                    place=place,
                    newer=newer,
                    order=asking.asking().order,
                    properties=columns.definitions(list_columns),
                )
        except (PeeweeException, TooSlow) as error:
            args["problem"] = self._problem(error)
            return None, Markup("")
        self._count(found.count, condition)
        args["pager"] = self._pager(found)
        return None, self._rows.drawn(found.rows, list_columns)

    def render(self, template: str, **arguments: Any) -> Any:
        """Render the whole page or only its rows; a list that could not be read is no success."""
        if template == self.list_template and request.endpoint == f"{self.endpoint}.rows":
            template = self.rows_template
        if template == self.list_template:
            arguments["filter"] = area()
        page = super().render(template, **arguments)
        return (page, 503) if self._template_args.get("problem") else page

    def search_placeholder(self) -> str:
        """Say what is searched: nobody finds by what they may not read."""
        return "Name, phone, email or external id" if access.sight().clear else "Name, as it is shown"

    def _get_list_extra_args(self) -> ViewArgs:
        """Return what of the request Flask-Admin's page needs; the order is read by `asking`."""
        return ViewArgs(search=asking.asking().search or None)

    def _get_list_url(self, view_args: ViewArgs) -> str:
        return asking.asking().but(search=view_args.search or "").url()

    def _around(self) -> dict[str, Any]:
        """Return what stands around the rows."""
        here, chosen = asking.asking(), columns.chosen()
        now_viewed = asking.viewed()
        return {
            "list_columns": chosen,
            "column_choices": {
                "shown": [
                    {"name": one.name, "label": one.label, "fixed": one.name == "name"} for one in chosen
                ],
                "more": self._rows.others(chosen) if _has_all_columns() else None,
                "open": "columns" in request.args,
                "more_url": url_for(".other_columns"),
                "all_url": here.url(columns="all"),
            },
            "loading": self._rows.loading(chosen),
            "sorted_by": here.sorted_by,
            "sorted_down": here.order.descending,
            "sort_urls": _sort_urls(here, chosen),
            "hidden_arguments": here.but(search="").arguments,
            "searched_in": "Name, phone, email and external id were searched."
            if access.sight().clear
            else "Names were searched, as they are shown to your role.",
            "count_text": None,
            "counted_of": "",
            "exact_url": None,
            "count_slow": False,
            "pager": None,
            "problem": None,
            "filtered": now_viewed.is_filtered,
            "refused": str(now_viewed.problem) if now_viewed.problem else None,
            "joined_by_all": now_viewed.given.joined == "all",
            "return_url": here.url(),
            "urls": {
                "list": url_for(".index_view"),
                "rows": url_for(".rows"),
                "live": url_for(".live_list"),
                "columns": url_for(".choose_columns"),
                "change": url_for(".change_filter"),
                "unfiltered": here.but(view="").url(),
            },
        }

    def _count(self, count: Count, condition: Any) -> None:
        """Say how many there are; exactly, where that was asked for and can be counted in time."""
        args, here = self._template_args, asking.asking()
        if count.precision != "exact" and here.exactly:
            try:
                with within(EXACT_SECONDS):
                    count = audience.counted(condition, exactly=True)
            except TooSlow:
                args["count_slow"] = True
        elif count.precision != "exact":
            args["exact_url"] = here.url(count="exact")
        if asking.viewed().is_filtered:
            args["count_text"] = str(count)
            args["counted_of"] = f"of {words.counted(str(audience.total()), 'user')}"
        else:
            args["count_text"] = words.counted(str(count), "user")

    def _pager(self, found: audience.Page) -> dict[str, Any]:
        here = asking.asking()
        sort = here.sorted_by
        moments = [row[sort] for row in found.rows if sort in ("last_seen", "created") and row[sort]]
        return {
            "newer_url": here.url(newer=found.newer) if found.newer else None,
            "older_url": here.url(older=found.older) if found.older else None,
            "range": words.span(moments[0], moments[-1], shown.now()) if moments else "",
            "size": f"{self.page_size} per page",
        }

    @staticmethod
    def _problem(error: Exception) -> dict[str, Any]:
        reference = secrets.token_hex(4)
        log.error("reference %s: the audience could not be read", reference, exc_info=error)
        kept = "Your filter is kept." if asking.viewed().is_filtered else "Your search is kept."
        why = f"{error} {kept} Loosen the filter, or try again." if isinstance(error, TooSlow) else ""
        return {
            "text": why or f"{kept} Try again in a moment.",
            "reference": reference,
            "retry_url": asking.asking().url(),
        }


def _has_all_columns() -> bool:
    """Say whether the page lists all columns: where they are few, or a browser without scripts asks."""
    return len(catalogue().of_users) <= MOST_IN_PAGE or "columns" in request.args


def _sort_urls(here: Asking, shown_columns: Sequence[Column]) -> dict[str, str]:
    """Return the list by each column that can sort; by the one that does, the other way round."""
    urls = {}
    for one in shown_columns:
        if columns.order(one.name, False) is not None:
            down = columns.greatest_first(one.name)
            if one.name == here.sorted_by:
                down = not here.order.descending
            urls[one.name] = here.but(sort=one.name, descending=down).url()
    return urls


def _place() -> tuple[Cursor | None, bool]:
    """Return from which row on the request wants the list, and which way."""
    for argument in ("newer", "older"):
        if text := request.args.get(argument):
            try:
                return Cursor.parse(text), argument == "newer"
            except ValueError as error:
                abort(400, str(error))
    return None, False
