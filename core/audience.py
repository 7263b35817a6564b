"""Everyone who has interacted: the list in pages, newest activity first, and how many there are.

Pages are walked by keyset, never by offset, and a filtered list has two plans: few hits are fetched, counted
and sorted; many are walked along the index of last activity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peewee import JOIN, fn

from core.cursor import Cursor
from core.db import database, is_sqlite, tuples
from core.models import Identity, Operator, User, UserState

PAGE_SIZE = 50
COUNTED = 10_000

_COLUMNS = (
    User.id,
    User.key,
    User.name,
    User.email,
    User.phone,
    User.language,
    User.country,
    User.created,
    User.first_seen,
    User.last_seen,
    User.last_message_at,
    User.last_message_author,
    User.last_message_name,
    User.last_message_text,
    User.handler,
    User.handler_since,
    User.received_count,
    User.session_count,
    Operator.name.alias("agent_name"),
    Identity.id.alias("identity_id"),
    Identity.key.alias("identity_key"),
    Identity.deployment.alias("deployment_id"),
    Identity.profile_name,
    Identity.last_inbound,
    Identity.window_closed_at,
    Identity.opted_out_at,
    Identity.blocked_at,
    Identity.unreachable,
)


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


def page(
    condition: Any = None, *, place: Cursor | None = None, newer: bool = False, limit: int = PAGE_SIZE
) -> Page:
    """Return the page beyond `place`, or the first: users by their last activity, then those who never wrote.

    `condition` is an expression over User; None lists everyone.
    """
    if condition is None:
        return _walked(None, place, newer, limit, total())
    hits = _hits(condition)
    if len(hits) > COUNTED:
        return _walked(condition, place, newer, limit, Count(COUNTED, "at least"))
    return _sliced(hits, place, newer, limit)


def total() -> Count:
    """Count all users: exactly where that is cheap, else by the estimate of the engine."""
    active = User.state == UserState.ACTIVE
    if is_sqlite():
        return Count(User.select(fn.COUNT(User.id)).where(active).scalar(), "exact")
    few = User.select(User.id).where(active).limit(COUNTED + 1)
    number = few.count()
    if number <= COUNTED:
        return Count(number, "exact")
    (estimate,) = database.execute_sql(
        "SELECT reltuples::bigint FROM pg_class WHERE oid = '\"user\"'::regclass"
    ).fetchone()
    return Count(max(estimate, COUNTED), "about") if estimate > COUNTED else Count(COUNTED, "at least")


def row(user_id: int) -> dict[str, Any] | None:
    """Return one user as a row of the list."""
    found: dict[str, Any] | None = _select().where(User.id == user_id).dicts().first()
    return found


def _select() -> Any:
    return (
        User.select(*_COLUMNS)
        .join(Identity, JOIN.LEFT_OUTER, on=(User.last_identity == Identity.id))
        .switch(User)
        .join(Operator, JOIN.LEFT_OUTER, on=(User.agent == Operator.id))
    )


def _hits(condition: Any) -> list[Cursor]:
    query = User.select(User.last_seen, User.id).where(User.state == UserState.ACTIVE, condition)
    return [Cursor(at, user_id) for at, user_id in tuples(query.limit(COUNTED + 1))]


def _rank(place: Cursor) -> tuple[bool, Any, int]:
    """Order places as the list does, reversed: those with a moment come after those without."""
    return (place.at is not None, place.at or 0, place.id)


def _sliced(hits: list[Cursor], place: Cursor | None, newer: bool, limit: int) -> Page:
    newest_first = sorted(hits, key=_rank, reverse=True)
    if place is None:
        start = 0
    elif newer:
        start = max(0, sum(_rank(hit) > _rank(place) for hit in newest_first) - limit)
    else:
        start = sum(_rank(hit) >= _rank(place) for hit in newest_first)
    chosen = newest_first[start : start + limit]
    rows = {found["id"]: found for found in _select().where(User.id.in_([hit.id for hit in chosen])).dicts()}
    return Page(
        [rows[hit.id] for hit in chosen if hit.id in rows],
        chosen[0] if chosen and start > 0 else None,
        chosen[-1] if start + limit < len(newest_first) else None,
        Count(len(hits), "exact"),
    )


def _walked(condition: Any, place: Cursor | None, newer: bool, limit: int, count: Count) -> Page:
    """Fetch one row more than a page holds: whether it is there says whether the list goes on."""
    rows = _beyond(condition, place, newer, limit + 1)
    more = len(rows) > limit
    rows = rows[:limit][::-1] if newer else rows[:limit]
    if newer and not more:
        # The first page is always full, so that going back ends where one began.
        return (
            _walked(condition, None, False, limit, count)
            if len(rows) < limit
            else _ends(rows, False, True, count)
        )
    return _ends(rows, more if newer else place is not None, True if newer else more, count)


def _ends(rows: Sequence[dict[str, Any]], newer: bool, older: bool, count: Count) -> Page:
    if not rows:
        return Page(rows, None, None, count)
    first, last = (Cursor(rows[end]["last_seen"], rows[end]["id"]) for end in (0, -1))
    return Page(rows, first if newer else None, last if older else None, count)


def _beyond(condition: Any, place: Cursor | None, newer: bool, limit: int) -> list[dict[str, Any]]:
    """Walk the index from `place`: older is first those with a moment, then those without.

    Newer is the way back.
    """
    wrote, never = User.last_seen.is_null(False), User.last_seen.is_null()
    by_moment: Sequence[Any] = (User.last_seen, User.id) if newer else (User.last_seen.desc(), User.id.desc())
    by_id = by_moment[1:]
    if place is None:
        parts = [([wrote], by_moment), ([never], by_id)]
    elif newer:
        parts = (
            [([wrote, _after(place)], by_moment)]
            if place.at
            else [([never, User.id > place.id], by_id), ([wrote], by_moment)]
        )
    else:
        parts = (
            [([wrote, _before(place)], by_moment), ([never], by_id)]
            if place.at
            else [([never, User.id < place.id], by_id)]
        )
    rows: list[dict[str, Any]] = []
    for conditions, order in parts:
        if len(rows) < limit:
            if condition is not None:
                conditions = [*conditions, condition]
            query = _select().where(User.state == UserState.ACTIVE, *conditions)
            rows.extend(query.order_by(*order).limit(limit - len(rows)).dicts())
    return rows


def _after(place: Cursor) -> Any:
    return (User.last_seen >= place.at) & ((User.last_seen > place.at) | (User.id > place.id))


def _before(place: Cursor) -> Any:
    return (User.last_seen <= place.at) & ((User.last_seen < place.at) | (User.id < place.id))
