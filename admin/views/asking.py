"""What an address asks the audience for: a filter by the key of its view, a search, an order (A9)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote_plus

from flask import g, request, url_for

from admin import access
from admin.views import columns
from core import audience, filters, search
from core.filters import Asked, BadExpression, BadFilter, Filter


@dataclass(frozen=True)
class Asking:
    """The list as an address asks for it; values that somebody filters by stand behind the key `view`."""

    view: str = ""
    search: str = ""
    sort: str = ""
    descending: bool = False
    exactly: bool = False

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "Asking":
        """Read the arguments of an address, or of a form that was made for one."""
        sort, descending = given.get("sort", ""), given.get("desc") == "1"
        if columns.order(sort, descending) is None:
            sort, descending = "", False
        return cls(
            given.get("view", "")[:64],
            given.get("search", "").strip()[: search.LONGEST_QUERY],
            sort,
            descending,
            given.get("count") == "exact",
        )

    @property
    def order(self) -> audience.Order:
        """Return the order of the list."""
        return columns.order(self.sort, self.descending) or audience.Order()

    @property
    def sorted_by(self) -> str:
        """Return the name of the column that sorts."""
        return self.sort or audience.NEWEST

    @property
    def arguments(self) -> dict[str, str]:
        """Return the arguments that a form must keep."""
        found = {
            "view": self.view,
            "search": self.search,
            "sort": self.sort,
            "desc": "1" if self.sort and self.descending else "",
        }
        return {name: value for name, value in found.items() if value}

    def url(self, endpoint: str = ".index_view", **more: Any) -> str:
        """Return the address of the list, or of what belongs to it."""
        given = {**self.arguments, **{name: str(value) for name, value in more.items() if value}}
        query = "&".join(f"{name}={quote_plus(value)}" for name, value in given.items())
        return f"{url_for(endpoint)}?{query}" if query else url_for(endpoint)

    def but(self, **changes: Any) -> "Asking":
        """Return this with some of it otherwise."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Viewed:
    """The filter of a request; `asked` is None where it cannot be asked, for the `problem`."""

    given: Filter
    asked: Asked | None
    problem: BadFilter | BadExpression | None = None

    @property
    def is_filtered(self) -> bool:
        """Say whether there is a condition."""
        return bool(self.given.conditions)


def asking() -> Asking:
    """Return what the request asks for: by its address, or by the form of a page."""
    if "parley_asking" not in g:
        g.parley_asking = Asking.of(request.form if request.method == "POST" else request.args)
    found: Asking = g.parley_asking
    return found


def viewed() -> Viewed:
    """Return the filter that the request names, checked for whoever asks."""
    if "parley_viewed" not in g:
        g.parley_viewed = _viewed(asking().view)
    found: Viewed = g.parley_viewed
    return found


def _viewed(key: str) -> Viewed:
    if not key:
        return Viewed(Filter(), filters.ask(Filter(), access.sees))
    given = filters.kept(key)
    if given is None:
        problem = BadFilter("The filter of this link is not there any more. Clear it to see everyone.")
        return Viewed(Filter(), None, problem)
    return checked(given)


def checked(given: Filter) -> Viewed:
    """Check a filter for whoever asks."""
    try:
        return Viewed(given, filters.ask(given, access.sees))
    except (BadFilter, BadExpression) as problem:
        return Viewed(given, None, problem)
