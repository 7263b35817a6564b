"""From a filter to SQL, on SQLite and PostgreSQL: the only way in which people are picked by properties (A4).

Every value is bound. A condition becomes an expression that is true, false or NULL, where NULL counts as
false; a negation asks for `IS NOT TRUE`, so that whoever has no value is included. SQLite's parser has a
stack of a hundred: a join is one flat chain, not a pair in a pair, and begins with what is nested deepest,
because whatever stands before that lies on the stack meanwhile.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import partial
from typing import Any

from peewee import SQL, Cast, Column, Expression, NodeList, Value, fn

from core.columns import POSTGRESQL, encoded
from core.conditions import UNITS, Checked
from core.db import is_sqlite
from core.expression import Joined, Node, Not, Number
from core.models import Deployment, Identity, Scope, Session, Source, User
from core.models import PropertySkipped as Skipped
from core.property_type import Operator, Storage

_DAY = timedelta(days=1)


def compiled(node: Node, conditions: Mapping[int, Checked], now: datetime, zone: tzinfo = UTC) -> Any:
    """Return a condition on User for those for whom an expression over `conditions` holds at `now`.

    Days begin where the asker is, in `zone`.
    """
    found, _ = _nested(node, conditions, now, zone)
    return _in_parentheses(found) if isinstance(node, Joined) else found


def _nested(node: Node, conditions: Mapping[int, Checked], now: datetime, zone: tzinfo) -> tuple[Any, int]:
    """Return an expression, a join without parentheses around it, and how deep it is nested."""
    match node:
        case Number():
            return condition(conditions[node.number], now, zone), 0
        case Not():
            inner, depth = _nested(node.part, conditions, now, zone)
            return _untrue(inner), depth + 1
        case Joined():
            parts = []
            for one in node.parts:
                found, depth = _nested(one, conditions, now, zone)
                if isinstance(one, Joined) and node.word == "AND":
                    found, depth = _in_parentheses(found), depth + 1
                parts.append((found, depth))
            parts.sort(key=lambda part: part[1], reverse=True)
            chain = [parts[0][0]]
            for found, _ in parts[1:]:
                chain += [SQL(node.word), found]
            return NodeList(chain), parts[0][1]


def condition(asked: Checked, now: datetime, zone: tzinfo = UTC) -> Any:
    """Return a condition on User for those for whom one condition holds."""
    match asked.operator:
        case Operator.SKIPPED:
            return _skipped(asked)
        case Operator.NOT_SKIPPED:
            return _untrue(_skipped(asked))
        case Operator.EXISTS:
            return _is_set(_value(asked))
        case Operator.MISSING:
            return _untrue(_is_set(_value(asked)))
    column = _value(asked)
    ask = partial(_ASKED[asked.operator], column, asked, now=now, zone=zone)
    return _untrue(ask()) if asked.is_negation else ask()


def _untrue(node: Any) -> Any:
    return NodeList((SQL("("), node, SQL(") IS NOT TRUE")))


def _in_parentheses(node: Any) -> Any:
    return NodeList((SQL("("), node, SQL(")")))


def _is_set(column: Any) -> Any:
    return Expression(column, "IS NOT", None)


# ── Where a value is ──────────────────────────────────────────────────────────────────────────────────────


def _value(asked: Checked) -> Any:
    """Return the SQL of a property's value."""
    one = asked.definition
    if one.scope == Scope.SESSION:
        return _of_session(one.key, one.type.storage)
    if one.column:
        return Column(User._meta.table, one.column)
    if one.source == Source.CHANNEL:
        return _of_channel(one)
    return _of_last_identity(one.key)


def _of_session(key: str, storage: Storage) -> Any:
    """Return a property of the newest session: the open one, else the latest."""
    newest = Session.alias()
    found: Any
    if is_sqlite():
        found = fn.json_extract(newest.properties, f"$.{key}.value")
    else:
        found = Expression(Cast(newest.properties, "JSONB"), "#>>", Value(f"{{{key},value}}"))
        found = found if storage == Storage.TEXT else Cast(found, POSTGRESQL[storage])
    return newest.select(found).where(newest.user == User.id).order_by(newest.id.desc()).limit(1)


def _of_channel(one: Any) -> Any:
    """Return a field of the last footprint on a channel."""
    identity, deployment = Identity.alias(), Deployment.alias()
    found: Any
    if is_sqlite():
        found = fn.json_extract(identity.last_footprint, f"$.{one.declared.footprint}")
    else:
        found = Expression(identity.last_footprint, "->>", Value(one.declared.footprint))
    return (
        identity.select(found)
        .join(deployment, on=(identity.deployment == deployment.id))
        .where(identity.user == User.id, deployment.channel == one.owner, identity.last_touch.is_null(False))
        .order_by(identity.last_touch.desc())
        .limit(1)
    )


def _of_last_identity(key: str) -> Any:
    """Return where the user was last: channel or deployment."""
    identity, deployment = Identity.alias(), Deployment.alias()
    column = deployment.channel if key == "last_channel" else deployment.label
    return (
        identity.select(column)
        .join(deployment, on=(identity.deployment == deployment.id))
        .where(identity.id == User.last_identity)
    )


def _skipped(asked: Checked) -> Any:
    one = asked.definition
    if one.scope == Scope.SESSION:
        newest = Session.alias()
        found: Any
        if is_sqlite():
            found = fn.json_extract(newest.properties, f"$.{one.key}.skipped")
            flag: Any = Expression(found, "=", 1)
        else:
            found = Expression(Cast(newest.properties, "JSONB"), "#>>", Value(f"{{{one.key},skipped}}"))
            flag = Expression(found, "=", "true")
        return newest.select(flag).where(newest.user == User.id).order_by(newest.id.desc()).limit(1)
    return fn.EXISTS(Skipped.select(SQL("1")).where(Skipped.user == User.id, Skipped.property == one.id))


# ── What is asked of it ───────────────────────────────────────────────────────────────────────────────────

_Ask = Callable[..., Any]


def _compare(operator: str) -> _Ask:
    def ask(column: Any, asked: Checked, **_: Any) -> Any:
        return Expression(column, operator, _bound(asked, asked.operands[0]))

    return ask


def _one_of(column: Any, asked: Checked, **_: Any) -> Any:
    return Expression(column, "IN", tuple(_bound(asked, one) for one in asked.operands))


def _between(column: Any, asked: Checked, *, now: datetime, zone: tzinfo) -> Any:
    low, high = asked.operands
    if asked.definition.type.storage == Storage.MOMENT:
        last = "<" if len(high) == _LENGTH_OF_DATE else "<="
        return _from_to(column, asked, _begin(low, zone), _end(high, zone), last)
    return _and(Expression(column, ">=", _bound(asked, low)), Expression(column, "<=", _bound(asked, high)))


def _fragment(before: str, after: str) -> _Ask:
    def ask(column: Any, asked: Checked, **_: Any) -> Any:
        text = str(asked.operands[0])
        for special in ("\\", "%", "_"):
            text = text.replace(special, f"\\{special}")
        pattern = f"{before}{_lowered(text)}{after}"
        compared = column if is_sqlite() else NodeList((SQL("("), column, SQL(') COLLATE "C"')))
        return NodeList((fn.LOWER(compared), SQL("LIKE"), Value(pattern), SQL("ESCAPE '\\'")))

    return ask


def _lowered(text: str) -> str:
    """Return `text` with A to Z in lower case, which is what both databases do."""
    return "".join(one.lower() if one.isascii() else one for one in text)


def _on(column: Any, asked: Checked, *, now: datetime, zone: tzinfo) -> Any:
    [day] = asked.operands
    if asked.definition.type.storage == Storage.MOMENT:
        begin, end = _begin(day, zone), _end(day, zone)
        return _from_to(column, asked, begin, end, "<" if end > begin else "<=")
    return Expression(column, "=", _bound(asked, day))


def _before(column: Any, asked: Checked, *, now: datetime, zone: tzinfo) -> Any:
    [day] = asked.operands
    moment = asked.definition.type.storage == Storage.MOMENT
    return Expression(column, "<", _bound(asked, _begin(day, zone).isoformat() if moment else day))


def _after(column: Any, asked: Checked, *, now: datetime, zone: tzinfo) -> Any:
    [day] = asked.operands
    if asked.definition.type.storage != Storage.MOMENT:
        return Expression(column, ">", _bound(asked, day))
    end, is_day = _end(day, zone), len(day) == _LENGTH_OF_DATE
    return Expression(column, ">=" if is_day else ">", _bound(asked, end.isoformat()))


def _in_the_last(column: Any, asked: Checked, *, now: datetime, zone: tzinfo) -> Any:
    return _near(column, asked, now, zone, -1)


def _in_the_next(column: Any, asked: Checked, *, now: datetime, zone: tzinfo) -> Any:
    return _near(column, asked, now, zone, 1)


def _near(column: Any, asked: Checked, now: datetime, zone: tzinfo, way: int) -> Any:
    """Ask for what lies between now and a span of time away; of days, today is one more."""
    count, unit = asked.operands
    here = now if asked.definition.type.storage == Storage.MOMENT else now.astimezone(zone).date()
    try:
        there = here + way * count * UNITS[unit]
    except OverflowError:
        there = type(here).max if way > 0 else type(here).min
        there = there.replace(tzinfo=UTC) if isinstance(there, datetime) else there
    low, high = sorted((here, there))
    return _and(
        Expression(column, ">=", _bound(asked, low.isoformat())),
        Expression(column, "<=", _bound(asked, high.isoformat())),
    )


def _anniversary(column: Any, asked: Checked, *, now: datetime, zone: tzinfo) -> Any:
    """Ask for month and day of today; moments are read by the zone's offset of now."""
    here = now.astimezone(zone)
    if asked.definition.type.storage == Storage.DATE:
        day = fn.SUBSTR(column, 6) if is_sqlite() else fn.to_char(column, "MM-DD")
        return Expression(day, "=", f"{here:%m-%d}")
    offset = here.utcoffset() or timedelta()
    if is_sqlite():
        later = f"{offset.total_seconds():+.0f} seconds"
        if asked.definition.scope == Scope.SESSION:
            day = fn.strftime("%m-%d", column, later)
        else:
            day = fn.strftime("%m-%d", Expression(column, "/", Value(1e6)), "unixepoch", later)
    else:
        there = NodeList((SQL("(("), column, SQL(") AT TIME ZONE 'UTC' +"), Value(offset), SQL(")")))
        day = fn.to_char(there, "MM-DD")
    return Expression(day, "=", f"{here:%m-%d}")


def _flag(wanted: bool) -> _Ask:
    return lambda column, asked, **_: Expression(column, "=", encoded(wanted, Storage.FLAG))


def _has(every: bool) -> _Ask:
    def ask(column: Any, asked: Checked, **_: Any) -> Any:
        words = list(asked.operands)
        if not is_sqlite():
            function = fn.jsonb_exists_all if every else fn.jsonb_exists_any
            return function(column, Cast(Value(words, unpack=False), "TEXT[]"))
        inside = NodeList(
            (SQL("(SELECT COUNT(*) FROM json_each("), column, SQL(") WHERE value IN"), tuple(words), SQL(")"))
        )
        return Expression(inside, ">=", len(words) if every else 1)

    return ask


def _within(column: Any, asked: Checked, **_: Any) -> Any:
    kilometres, place = asked.operands
    lat: Any
    lng: Any
    if is_sqlite():
        lat, lng = (fn.json_extract(column, f"$.{part}") for part in ("lat", "lng"))
    else:
        lat, lng = (
            Cast(Expression(column, "->>", Value(part)), "DOUBLE PRECISION") for part in ("lat", "lng")
        )
    return Expression(_distance(lat, lng, place["lat"], place["lng"]), "<=", kilometres)


def _distance(lat: Any, lng: Any, here_lat: float, here_lng: float) -> Any:
    """Return kilometres on a sphere, by the haversine formula."""
    half = fn.power(fn.sin(Expression(fn.radians(Expression(lat, "-", here_lat)), "/", 2.0)), 2)
    across = fn.power(fn.sin(Expression(fn.radians(Expression(lng, "-", here_lng)), "/", 2.0)), 2)
    scaled = Expression(Expression(fn.cos(fn.radians(lat)), "*", fn.cos(fn.radians(here_lat))), "*", across)
    least = fn.min if is_sqlite() else fn.least
    return Expression(12742.0176, "*", fn.asin(fn.sqrt(least(1.0, Expression(half, "+", scaled)))))


_LENGTH_OF_DATE = len("2026-11-24")


def _begin(text: str, zone: tzinfo) -> datetime:
    """Return where a day begins in `zone`; a moment is itself."""
    if len(text) > _LENGTH_OF_DATE:
        return datetime.fromisoformat(text)
    return _in_utc(date.fromisoformat(text), zone)


def _end(text: str, zone: tzinfo) -> datetime:
    """Return where the day after begins."""
    if len(text) > _LENGTH_OF_DATE:
        return datetime.fromisoformat(text)
    try:
        return _in_utc(date.fromisoformat(text) + _DAY, zone)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _in_utc(day: date, zone: tzinfo) -> datetime:
    try:
        return datetime.combine(day, time(), zone).astimezone(UTC)
    except OverflowError:  # at the ends of the calendar
        return datetime.combine(day, time(), UTC)


def _from_to(column: Any, asked: Checked, start: datetime, end: datetime, last: str) -> Any:
    """Ask for a stretch of time; `last` says whether its end is a part of it."""
    return _and(
        Expression(column, ">=", _bound(asked, start.isoformat())),
        Expression(column, last, _bound(asked, end.isoformat())),
    )


def _and(left: Any, right: Any) -> Any:
    return NodeList((SQL("("), left, SQL("AND"), right, SQL(")")))


def _bound(asked: Checked, value: Any) -> Any:
    """Return an operand as its column takes it; in SQLite, a session has values in their normal form."""
    storage = asked.definition.type.storage
    if asked.definition.scope == Scope.SESSION and is_sqlite():
        return int(value) if storage == Storage.FLAG else value
    if storage == Storage.DATE and not is_sqlite():
        return date.fromisoformat(value)
    return encoded(value, storage)


_ASKED: Mapping[Operator, _Ask] = {
    Operator.IS: _compare("="),
    Operator.IS_NOT: _compare("="),
    Operator.EQUAL: _compare("="),
    Operator.UNEQUAL: _compare("="),
    Operator.LESS: _compare("<"),
    Operator.AT_MOST: _compare("<="),
    Operator.GREATER: _compare(">"),
    Operator.AT_LEAST: _compare(">="),
    Operator.ONE_OF: _one_of,
    Operator.MATCHES_NONE: _one_of,
    Operator.BETWEEN: _between,
    Operator.CONTAINS: _fragment("%", "%"),
    Operator.STARTS_WITH: _fragment("", "%"),
    Operator.ENDS_WITH: _fragment("%", ""),
    Operator.ON: _on,
    Operator.BEFORE: _before,
    Operator.AFTER: _after,
    Operator.IN_THE_LAST: _in_the_last,
    Operator.IN_THE_NEXT: _in_the_next,
    Operator.ANNIVERSARY: _anniversary,
    Operator.IS_TRUE: _flag(True),
    Operator.IS_FALSE: _flag(False),
    Operator.HAS_ANY: _has(every=False),
    Operator.HAS_ALL: _has(every=True),
    Operator.HAS_NONE: _has(every=False),
    Operator.WITHIN: _within,
}
