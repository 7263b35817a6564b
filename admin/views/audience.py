"""The audience: everyone who has interacted, in Flask-Admin's list with pages of our own (A1, A7)."""

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus

from flask import Response, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_admin.model.base import ViewArgs
from markupsafe import Markup
from peewee import PeeweeException

from admin import access, auth, words
from admin.access import May
from admin.views import live, shown
from admin.views.base import ReadOnlyView
from admin.views.profile import ProfilePages
from admin.views.rows import Rows
from admin.views.writing import WritingPages
from core import audience, search
from core.cursor import Cursor
from core.models import read_setting, write_setting

log = logging.getLogger(__name__)

COLUMNS: Mapping[str, str] = {
    "name": "User",
    "window": "Window",
    "last_message": "Last message",
    "last_seen": "Last activity",
    "handler": "Handler",
    "country": "Country",
    "language": "Language",
    "created": "Created",
}
_NAMES = tuple(COLUMNS)
SHOWN_AT_FIRST = ("name", "window", "last_message", "last_seen", "handler", "country")


class AudienceView(ProfilePages, WritingPages, ReadOnlyView):
    """The list, and behind each name the profile."""

    list_template = "parley/audience.html"
    rows_template = "parley/_audience_rows.html"
    page_size = audience.PAGE_SIZE
    column_list = tuple(COLUMNS)
    column_labels = dict(COLUMNS)
    column_sortable_list = tuple(audience.SORTED_BY)
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

    @expose("/columns", methods=["POST"])
    @access.needs(May.READ_AUDIENCE)
    def choose_columns(self) -> ResponseReturnValue:
        """Keep which columns this operator wants to see, on every device."""
        chosen = [name for name in COLUMNS if name in request.form.getlist("column")]
        write_setting(_columns_setting(), chosen)
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
        try:
            place, newer = _place()
            found = audience.page(
                search.matching(search_text or "", personal=access.sight().clear),
                place=place,
                newer=newer,
                order=audience.Order(sort_column, bool(sort_desc)) if sort_column else audience.Order(),
            )
        except PeeweeException:
            args["problem"] = self._problem()
            return None, Markup("")
        args["count_text"] = words.counted(str(found.count), "user")
        args["pager"] = self._pager(found)
        return None, self._rows.drawn(found.rows, args["list_columns"])

    def render(self, template: str, **arguments: Any) -> Any:
        """Render the whole page or only its rows; a list that could not be read is no success."""
        if template == self.list_template and request.endpoint == f"{self.endpoint}.rows":
            template = self.rows_template
        page = super().render(template, **arguments)
        return (page, 503) if self._template_args.get("problem") else page

    def search_placeholder(self) -> str:
        """Say what is searched: nobody finds by what they may not read."""
        return "Name, phone, email or external id" if access.sight().clear else "Name, as it is shown"

    def is_sortable(self, name: str) -> bool:
        """Sort by all that this role may read: the order of names would give letters of them away."""
        return name in self._sortable_columns and (name != "name" or access.sight().clear)

    def _get_list_extra_args(self) -> ViewArgs:
        """Read the request's arguments; a column is named, so that a link means the same to everybody."""
        asked = request.args.get("sort", "")
        return ViewArgs(
            sort=_NAMES.index(asked) if self.is_sortable(asked) else None,
            sort_desc=request.args.get("desc") == "1",
            search=request.args.get("search", "").strip()[: search.LONGEST_QUERY] or None,
        )

    def _get_list_url(self, view_args: ViewArgs) -> str:
        asked = [f"search={quote_plus(view_args.search)}"] if view_args.search else []
        if view_args.sort is not None:
            asked.append(f"sort={_NAMES[view_args.sort]}")
            asked += ["desc=1"] if view_args.sort_desc else []
        return f"{url_for('.index_view')}?{'&'.join(asked)}" if asked else url_for(".index_view")

    def _around(self) -> dict[str, Any]:
        """Return what stands around the rows."""
        kept = read_setting(_columns_setting(), SHOWN_AT_FIRST)
        chosen = [name for name in COLUMNS if name == "name" or name in kept]
        asked = self._get_list_extra_args()
        sort, descending = _sorting(asked)
        hidden = {"sort": sort, "desc": "1" if descending else None} if asked.sort is not None else {}
        return {
            "list_columns": [(name, COLUMNS[name]) for name in chosen],
            "column_choices": [
                {"key": name, "label": label, "shown": name in chosen, "fixed": name == "name"}
                for name, label in COLUMNS.items()
            ],
            "loading": self._rows.loading([(name, COLUMNS[name]) for name in chosen]),
            "sorted_by": sort,
            "sorted_down": descending,
            "sort_urls": self._sort_urls(asked, chosen),
            "hidden_arguments": {name: value for name, value in hidden.items() if value},
            "searched_in": "Name, phone, email and external id were searched."
            if access.sight().clear
            else "Names were searched, as they are shown to your role.",
            "count_text": None,
            "pager": None,
            "problem": None,
            "return_url": request.full_path.rstrip("?"),
            "urls": {
                "list": url_for(".index_view"),
                "rows": url_for(".rows"),
                "live": url_for(".live_list"),
                "columns": url_for(".choose_columns"),
            },
        }

    def _sort_urls(self, asked: ViewArgs, columns: Sequence[str]) -> dict[str, str]:
        """Return the list by each column that can sort; by the one that does, the other way round."""
        sort, descending = _sorting(asked)
        plain = self._get_list_url(ViewArgs(search=asked.search))
        joint = "&" if "?" in plain else "?"
        urls = {}
        for name in columns:
            if self.is_sortable(name):
                down = not descending if name == sort else name in audience.MOMENTS
                urls[name] = f"{plain}{joint}sort={name}{'&desc=1' if down else ''}"
        return urls

    def _pager(self, found: audience.Page) -> dict[str, Any]:
        asked = self._get_list_extra_args()
        here = self._get_list_url(asked)
        joint = "&" if "?" in here else "?"
        sort, _ = _sorting(asked)
        moments = [row[sort] for row in found.rows if sort in ("last_seen", "created") and row[sort]]
        return {
            "newer_url": f"{here}{joint}newer={found.newer}" if found.newer else None,
            "older_url": f"{here}{joint}older={found.older}" if found.older else None,
            "range": words.span(moments[0], moments[-1], shown.now()) if moments else "",
            "size": f"{self.page_size} per page",
        }

    @staticmethod
    def _problem() -> dict[str, Any]:
        reference = secrets.token_hex(4)
        log.exception("reference %s: the audience could not be read", reference)
        return {
            "text": "Your search is kept. Try again in a moment.",
            "reference": reference,
            "retry_url": request.full_path.rstrip("?"),
        }


def _sorting(asked: ViewArgs) -> tuple[str, bool]:
    if asked.sort is None:
        return audience.NEWEST, True
    return _NAMES[asked.sort], bool(asked.sort_desc)


def _place() -> tuple[Cursor | None, bool]:
    """Return from which row on the request wants the list, and which way."""
    for argument in ("newer", "older"):
        if text := request.args.get(argument):
            try:
                return Cursor.parse(text), argument == "newer"
            except ValueError as error:
                abort(400, str(error))
    return None, False


def _columns_setting() -> str:
    return f"audience.columns:{access.operator().id}"
