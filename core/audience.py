"""Everyone who has interacted: the list in pages, newest activity first, and how many there are.

Pages are walked by keyset, never by offset, and a filtered list has two plans: few hits are fetched, counted
and sorted; many are walked along the index of last activity.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from peewee import JOIN, SQL, Cast, Column, NodeList

from core.catalogue import Definition
from core.columns import decoded
from core.cursor import Cursor
from core.db import MomentField, database, is_sqlite, tuples
from core.models import Identity, Operator, User, UserState
from core.property_type import Storage

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

_COLUMNS = (
    User.id,
    User.key,
    User.name,
    User.email,
    User.phone,
    User.language,
    User.country,
    User.created,
    User.last_seen,
    User.last_message_at,
    User.last_message_author,
    User.last_message_name,
    User.last_message_text,
    User.handler,
    Operator.name.alias("agent_name"),
    Identity.deployment.alias("deployment_id"),
    Identity.profile_name,
    Identity.last_inbound,
    Identity.window_closed_at,
    Identity.opted_out_at,
    Identity.blocked_at,
    Identity.unreachable,
)


_NAMES = tuple(getattr(column, "_alias", None) or column.name for column in _COLUMNS)
_MOMENTS = {
    name: column.python_value
    for name, column in zip(_NAMES, _COLUMNS, strict=True)
    if isinstance(column, MomentField)
}
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
    `properties` are kept in, as `value_in` reads it.
    """
    shown = _shown(properties)
    start = None if place is None else _locate(place, order)
    newer = newer and start is not None
    if condition is None:
        found = _walked(None, order, start, newer, limit, total(), shown)
    elif len(hits := _hits(condition, order)) > COUNTED:
        found = _walked(_aside(condition), order, start, newer, limit, Count(COUNTED, "at least"), shown)
    else:
        found = _sliced(hits, order, start, newer, limit, shown)
    if start is None or found.rows:
        return found
    return page(condition, order=order, limit=limit, properties=properties)


def value_in(row: Mapping[str, Any], one: Definition) -> Any:
    """Return the value of a property in a row that was asked for it, in normal form; None where unset."""
    if one.column:
        return decoded(row[one.column], one.type.storage)
    return one.kept((json.loads(row["properties"]) if row["properties"] else {}).get(str(one.id)))


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
    return next(iter(_fetch(_NAMES, *_select().where(User.id == user_id).sql())), None)


def _aside(condition: Any) -> Any:
    """Return a condition that drives no index: SQLite would leave the walk, and sort all that it finds."""
    return NodeList((SQL("+("), condition, SQL(")"))) if is_sqlite() else condition


def _shown(properties: Sequence[Definition]) -> "_Columns":
    """Return the columns that properties add to a row; JSON comes as text, which a memory can have as key."""
    found: dict[str, Any] = {}
    for one in properties:
        name = one.column or "properties"
        if name not in _NAMES:
            column = Column(User._meta.table, name)
            is_text = is_sqlite() or one.column is None or one.type.storage != Storage.JSON
            found[name] = column if is_text else Cast(column, "TEXT")
    return _Columns((*_NAMES, *found), tuple(column.alias(name) for name, column in found.items()))


@dataclass(frozen=True)
class _Columns:
    """The names of a row's columns, and what they have beyond _COLUMNS."""

    names: tuple[str, ...] = _NAMES
    more: tuple[Any, ...] = ()


_NO_MORE = _Columns()


def _select(shown: _Columns = _NO_MORE) -> Any:
    return (
        User.select(*_COLUMNS, *shown.more)
        .join(Identity, JOIN.LEFT_OUTER, on=(User.last_identity == Identity.id))
        .switch(User)
        .join(Operator, JOIN.LEFT_OUTER, on=(User.agent == Operator.id))
    )


def _fetch(names: Sequence[str], sql: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    """Run what `_select` makes; done here, as the ORM takes longer over a page than the database does."""
    rows = [dict(zip(names, row, strict=True)) for row in database.execute_sql(sql, values).fetchall()]
    for row in rows:
        for name, read in _MOMENTS.items():
            if (value := row[name]) is not None:
                row[name] = read(value)
    return rows


def _hits(condition: Any, order: Order) -> list[_Place]:
    query = User.select(order.column, User.id).where(User.state == UserState.ACTIVE, condition)
    return [_Place(value, user_id) for value, user_id in tuples(query.limit(COUNTED + 1))]


def _locate(place: Cursor, order: Order) -> _Place | None:
    """Read a place; the value of a column that is no moment is looked up. A user who is gone is no place."""
    if order.name in MOMENTS:
        return _Place(place.at, place.id)
    found = User.select(order.column).where(User.id == place.id).tuples().first()
    return None if found is None else _Place(found[0], place.id)


def _cursor(place: _Place, order: Order) -> Cursor:
    return Cursor(place.value if order.name in MOMENTS else None, place.id)


def _rank(place: _Place, order: Order) -> tuple[bool, Any, int]:
    """Order places as the list does, for a descending list reversed: the unknown stand at the end of both."""
    unknown = place.value is None
    return (unknown is not order.descending, 0 if unknown else place.value, place.id)


def _sliced(
    hits: list[_Place], order: Order, place: _Place | None, newer: bool, limit: int, shown: _Columns
) -> Page:
    ranked = sorted(
        ((_rank(hit, order), hit) for hit in hits), key=lambda one: one[0], reverse=order.descending
    )
    start = 0
    if place is not None:
        mark = _rank(place, order)
        before = sum(rank > mark if order.descending else rank < mark for rank, _ in ranked)
        here = sum(rank == mark for rank, _ in ranked)
        start = max(0, before - limit) if newer else before + here
    chosen = [hit for _, hit in ranked[start : start + limit]]
    query = _select(shown).where(User.id.in_([hit.id for hit in chosen]))
    rows = {found["id"]: found for found in _fetch(shown.names, *query.sql())}
    return Page(
        [rows[hit.id] for hit in chosen if hit.id in rows],
        _cursor(chosen[0], order) if chosen and start > 0 else None,
        _cursor(chosen[-1], order) if chosen and start + limit < len(ranked) else None,
        Count(len(hits), "exact"),
    )


def _walked(
    condition: Any,
    order: Order,
    place: _Place | None,
    newer: bool,
    limit: int,
    count: Count,
    shown: _Columns,
) -> Page:
    """Fetch one row more than a page holds: whether it is there says whether the list goes on."""
    rows = _beyond(condition, order, place, newer, limit + 1, shown)
    more = len(rows) > limit
    rows = rows[:limit][::-1] if newer else rows[:limit]
    if newer and not more:
        # The first page is always full, so that going back ends where one began.
        return (
            _walked(condition, order, None, False, limit, count, shown)
            if len(rows) < limit
            else _ends(rows, order, False, True, count)
        )
    return _ends(rows, order, more if newer else place is not None, True if newer else more, count)


def _ends(rows: Sequence[dict[str, Any]], order: Order, newer: bool, older: bool, count: Count) -> Page:
    if not rows:
        return Page(rows, None, None, count)
    name = order.column.name
    first, last = (_cursor(_Place(rows[end].get(name), rows[end]["id"]), order) for end in (0, -1))
    return Page(rows, first if newer else None, last if older else None, count)


def _beyond(
    condition: Any, order: Order, place: _Place | None, newer: bool, limit: int, shown: _Columns
) -> list[dict[str, Any]]:
    """Walk the index from `place`: first those of whom the column is known, then the others.

    Newer is the way back.
    """
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
            query = _select(shown).where(User.state == UserState.ACTIVE, *conditions)
            statement = query.order_by(*sorting).limit(rest).sql()
            if key:
                _generated[key] = statement
        rows += _fetch(shown.names, *statement)
    return rows


def _past(column: Any, place: _Place, down: bool) -> Any:
    if down:
        return (column <= place.value) & ((column < place.value) | (User.id < place.id))
    return (column >= place.value) & ((column > place.value) | (User.id > place.id))
