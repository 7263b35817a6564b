"""Everyone who has interacted: the list in pages, newest activity first, and how many there are.

Pages are walked by keyset, never by offset, and a filtered list has two plans: few hits are fetched, counted
and sorted; many are walked along the index of last activity.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from peewee import SQL, Column, NodeList

from core.catalogue import Definition
from core.cursor import Cursor
from core.db import MomentField, database, is_sqlite
from core.models import User, UserState
from core.property_type import Storage
from core.user_rows import NO_MORE, Columns, columns_for, fetch, select

PAGE_SIZE = 50
COUNTED = 10_000

NEWEST = "last_seen"
SORTED_BY: Mapping[str, Any] = {
    "last_seen": User.last_seen,
    "last_message": User.last_message_at,
    "created": User.created,
    "name": User.name_key,
    "handler": User.handler,
    "country": User.country,
    "language": User.language,
}
MOMENTS = frozenset({"last_seen", "last_message", "created"})
"""Those of them that are moments: their value stands in a place; of others only the user's id does."""

_generated: dict[tuple[Any, ...], tuple[str, Sequence[Any]]] = {}
_counts: "WeakKeyDictionary[Any, tuple[int, float, Count]]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Count:
    """How many users there are: `number` exactly, at least (`10,000+`), or about."""

    number: int
    precision: str  # "exact", "at least" or "about"

    def __str__(self) -> str:
        match self.precision:
            case "at least":
                return f"{self.number:,}+"
            case "about":
                return f"about {self.number:,}"
            case _:
                return f"{self.number:,}"


@dataclass(frozen=True)
class Page:
    """One page of users as dictionaries, with the columns of user and those of the identity used last.

    `newer` and `older` are the places to go on from, or None at an end of the list.
    """

    rows: Sequence[dict[str, Any]]
    newer: Cursor | None
    older: Cursor | None
    count: Count


@dataclass(frozen=True)
class Order:
    """By what the list is sorted. Users of whom that is not known come last, whichever way.

    `own` is the column of a property, where the list is sorted by one that is not in SORTED_BY.
    """

    name: str = NEWEST
    descending: bool = True
    own: str | None = None

    @classmethod
    def by(cls, one: Definition, descending: bool) -> "Order":
        """Sort by a property; raises KeyError for one that `can_sort` refuses."""
        if not can_sort(one):
            raise KeyError(one.key)
        if one.column == "name":
            return cls("name", descending)
        return cls(f"p.{one.key}", descending, one.column)

    @property
    def column(self) -> Any:
        """Return the column; raises KeyError for a name that is not in SORTED_BY."""
        return SORTED_BY[self.name] if self.own is None else Column(User._meta.table, self.own)


def can_sort(one: Definition) -> bool:
    """Say whether the list can be sorted by a property: it has a column, with an order."""
    return one.column is not None and one.type.storage != Storage.JSON


_NEWEST_FIRST = Order()


@dataclass(frozen=True)
class _Place:
    """Where a user stands in an order."""

    value: Any
    id: int


def page(
    condition: Any = None,
    *,
    order: Order = _NEWEST_FIRST,
    place: Cursor | None = None,
    newer: bool = False,
    limit: int = PAGE_SIZE,
    properties: Sequence[Definition] = (),
) -> Page:
    """Return the page beyond `place`, or the first: users by their last activity, then those who never wrote.

    `condition` is an expression over User; None lists everyone. `newer` walks towards the beginning. Where
    there is nobody beyond `place` any more, or it is no place, this is the first page. Rows also have what
    `properties` are kept in, as `user_rows.value_in` reads it.
    """
    shown = columns_for(properties)
    start = None if place is None else _locate(place, order)
    newer = newer and start is not None
    if condition is None:
        found = _walked(_Walk(None, order, shown), start, newer, limit, total())
    else:
        hits = _Hits(condition, order, shown)
        first = hits.beyond(start, newer, limit + 1)
        if hits.number > COUNTED:
            walk = _Walk(_aside(condition), order, shown)
            found = _walked(walk, start, newer, limit, Count(COUNTED, "at least"))
        else:
            found = _walked(hits, start, newer, limit, Count(hits.number, "exact"), first)
    if start is None or found.rows:
        return found
    return page(condition, order=order, limit=limit, properties=properties)


def counted(condition: Any, *, exactly: bool = False) -> Count:
    """Count whom a condition on User picks, None everyone: up to COUNTED, or `exactly`."""
    users = User.select(User.id).where(
        User.state == UserState.ACTIVE, *([] if condition is None else [condition])
    )
    if exactly:
        return Count(users.count(), "exact")
    number = users.limit(COUNTED + 1).count()
    return Count(number, "exact") if number <= COUNTED else Count(COUNTED, "at least")


def total() -> Count:
    """Count all users: exactly where that is cheap, else by the estimate of the engine."""
    if is_sqlite():
        return _remembered()
    (estimate,) = database.execute_sql(
        "SELECT reltuples::bigint FROM pg_class WHERE oid = '\"user\"'::regclass"
    ).fetchone()
    if estimate > 2 * COUNTED:
        return Count(estimate, "about")
    number = User.select(User.id).where(User.state == UserState.ACTIVE).limit(COUNTED + 1).count()
    return Count(number, "exact") if number <= COUNTED else Count(COUNTED, "at least")


def _remembered() -> Count:
    """Count in SQLite; a large number is good as long as nobody new came, and for two seconds at most."""
    (newest,) = database.execute_sql('SELECT MAX(id) FROM "user"').fetchone()
    moment = time.monotonic()
    known = _counts.get(database.obj)
    if known and known[0] == newest and moment - known[1] < 2 and known[2].number > COUNTED:
        return known[2]
    # Counting all walks the smallest index; those to take off are few, and have their own.
    (number,) = database.execute_sql(
        'SELECT (SELECT COUNT(*) FROM "user") - (SELECT COUNT(*) FROM "user" WHERE state <> \'active\')'
    ).fetchone()
    counted = Count(number, "exact")
    _counts[database.obj] = newest, moment, counted
    return counted


def row(user_id: int) -> dict[str, Any] | None:
    """Return one user as a row of the list."""
    return next(iter(fetch(NO_MORE.names, *select().where(User.id == user_id).sql())), None)


def _aside(condition: Any) -> Any:
    """Return a condition that drives no index: SQLite would leave the walk, and sort all that it finds."""
    return NodeList((SQL("+("), condition, SQL(")"))) if is_sqlite() else condition


def _locate(place: Cursor, order: Order) -> _Place | None:
    """Read a place; the value of a column that is no moment is looked up. A user who is gone is no place."""
    if order.name in MOMENTS:
        return _Place(place.at, place.id)
    found = User.select(order.column).where(User.id == place.id).tuples().first()
    return None if found is None else _Place(found[0], place.id)


def _cursor(place: _Place, order: Order) -> Cursor:
    return Cursor(place.value if order.name in MOMENTS else None, place.id)


class _Hits:
    """The pages of a filter with few hits: all of them are found, counted and sorted in one query.

    What is found is `MATERIALIZED`, with a limit: otherwise the engine could walk the index of the order, and
    look at everybody for a filter that picks nobody.
    """

    def __init__(self, condition: Any, order: Order, shown: Columns) -> None:
        self.order, self.shown, self.number = order, shown, 0
        query = User.select(order.column, User.id).where(User.state == UserState.ACTIVE, condition)
        self._sql, self._values = query.limit(COUNTED + 1).sql()

    def beyond(self, place: _Place | None, newer: bool, limit: int) -> list[dict[str, Any]]:
        """Return the rows beyond `place`, none where there are more than COUNTED."""
        down = self.order.descending is not newer
        where, values = self._where(place, newer, "<" if down else ">")
        way = "DESC" if down else "ASC"
        sorting = f"(v IS NULL) {'DESC' if newer else 'ASC'}, v {way}, id {way}"
        sql = (
            f"WITH hits(v, id) AS MATERIALIZED ({self._sql}) "  # noqa: S608
            "SELECT counted.number, page.id FROM (SELECT COUNT(*) AS number FROM hits) AS counted "
            f"LEFT JOIN (SELECT v, id FROM hits WHERE {where} ORDER BY {sorting} LIMIT {limit}) AS page "
            f"ON 1 = 1 ORDER BY {sorting}"
        )
        found = database.execute_sql(sql, [*self._values, *values]).fetchall()
        self.number = found[0][0]
        ids = [user_id for _, user_id in found if user_id is not None]
        if not ids or self.number > COUNTED:
            return []
        rows = fetch(self.shown.names, *select(self.shown).where(User.id.in_(ids)).sql())
        by_id = {row["id"]: row for row in rows}
        return [by_id[one] for one in ids if one in by_id]

    def _where(self, place: _Place | None, newer: bool, further: str) -> tuple[str, list[Any]]:
        """Return what lies beyond a place; whoever has no value stands at the end of the list."""
        mark = database.param
        if place is None:
            return "1 = 1", []
        if place.value is None:
            rest = " OR v IS NOT NULL" if newer else ""
            return f"(v IS NULL AND id {further} {mark}){rest}", [place.id]
        column = self.order.column
        value = column.db_value(place.value) if isinstance(column, MomentField) else place.value
        rest = "" if newer else " OR v IS NULL"
        return f"v {further} {mark} OR (v = {mark} AND id {further} {mark}){rest}", [value, value, place.id]


def _walked(
    pages: "_Hits | _Walk",
    place: _Place | None,
    newer: bool,
    limit: int,
    count: Count,
    rows: list[dict[str, Any]] | None = None,
) -> Page:
    """Fetch one row more than a page holds, unless it is there: it says whether the list goes on."""
    if rows is None:
        rows = pages.beyond(place, newer, limit + 1)
    more = len(rows) > limit
    rows = rows[:limit][::-1] if newer else rows[:limit]
    if newer and not more:
        # The first page is always full, so that going back ends where one began.
        return (
            _walked(pages, None, False, limit, count)
            if len(rows) < limit
            else _ends(rows, pages.order, False, True, count)
        )
    return _ends(rows, pages.order, more if newer else place is not None, True if newer else more, count)


def _ends(rows: Sequence[dict[str, Any]], order: Order, newer: bool, older: bool, count: Count) -> Page:
    if not rows:
        return Page(rows, None, None, count)
    name = order.column.name
    first, last = (_cursor(_Place(rows[end].get(name), rows[end]["id"]), order) for end in (0, -1))
    return Page(rows, first if newer else None, last if older else None, count)


@dataclass(frozen=True)
class _Walk:
    """The pages of everybody, or of a filter that many meet: along the index of the order."""

    condition: Any
    order: Order
    shown: Columns

    def beyond(self, place: _Place | None, newer: bool, limit: int) -> list[dict[str, Any]]:
        """Walk the index from `place`: first those of whom the column is known, then the others.

        Newer is the way back.
        """
        order, condition, shown = self.order, self.condition, self.shown
        down = order.descending is not newer
        column = order.column
        known, unknown = column.is_null(False), column.is_null()
        by_value = (column.desc(), User.id.desc()) if down else (column, User.id)
        by_id = by_value[1:]
        if place is None:
            parts = [([known], by_value), ([unknown], by_id)]
        else:
            further = User.id < place.id if down else User.id > place.id
            if place.value is not None:
                parts = [([known, _past(column, place, down)], by_value)]
                parts += [] if newer else [([unknown], by_id)]
            else:
                parts = [([unknown, further], by_id)]
                parts += [([known], by_value)] if newer else []
        rows: list[dict[str, Any]] = []
        for number, (conditions, sorting) in enumerate(parts):
            rest = limit - len(rows)
            if rest <= 0:
                break
            # The beginning of the whole list is what open pages ask for again and again, in the same words.
            plain = condition is None and place is None and not shown.more
            key = (is_sqlite(), order, number, rest) if plain else None
            statement = _generated.get(key) if key else None
            if statement is None:
                conditions = conditions if condition is None else [*conditions, condition]
                query = select(shown).where(User.state == UserState.ACTIVE, *conditions)
                statement = query.order_by(*sorting).limit(rest).sql()
                if key:
                    _generated[key] = statement
            rows += fetch(shown.names, *statement)
        return rows


def _past(column: Any, place: _Place, down: bool) -> Any:
    if down:
        return (column <= place.value) & ((column < place.value) | (User.id < place.id))
    return (column >= place.value) & ((column > place.value) | (User.id > place.id))
