"""Filters: whoever they pick is picked by a naive reading as well, on both databases (A2-A5)."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import naive
from core import definitions, expression, values
from core.catalogue import catalogue
from core.compiler import compiled
from core.conditions import Condition, Takes, checked, operators_of, takes
from core.db import database, tuples
from core.definitions import Draft
from core.expression import Joined, Not, Number
from core.models import Deployment, Identity, Session, User
from core.values import SKIPPED, UNSET, Value

PLUGINS = ("fake_channel",)
NOW = datetime(2026, 11, 24, 18, 30, tzinfo=UTC)
ZONES = (UTC, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/St_Johns"))

WORDS = ("Delhi", "delhi", "New Delhi", "100%_\\", "ÄRGER", "ärger", "日本", "a'b\"c", "%", "x\u202ey")
DATES = ("2026-11-24", "2026-11-17", "1999-11-24", "2026-11-23", "2026-12-01", "0001-01-01", "9999-12-31")
MOMENTS = (
    "2026-11-24T18:30:00+00:00",
    "2026-11-24T18:29:59.999999+00:00",
    "2026-11-24T18:30:00.000001+00:00",
    "2026-11-23T18:30:00+00:00",
    "2026-11-24T00:00:00+00:00",
    "2020-11-24T20:15:00+00:00",
    "1965-11-24T23:59:59.500000+00:00",
)
PLACES = ({"lat": 28.61, "lng": 77.2}, {"lat": 19.07, "lng": 72.87}, {"lat": -33.4, "lng": -179.9})
KINDS = {
    "city": ("text", {}, st.sampled_from(WORDS)),
    "age": ("integer", {}, st.sampled_from((-1, 0, 1, 41, 42, 2**53 - 1))),
    "ltv": ("decimal", {}, st.sampled_from((-0.5, 0.0, 0.1, 0.3, 489.99, 1e14))),
    "vip": ("boolean", {}, st.booleans()),
    "born": ("date", {}, st.sampled_from(DATES)),
    "paid": ("datetime", {}, st.sampled_from(MOMENTS)),
    "plan": ("choice", {"choices": ["free", "pro", "max"]}, st.sampled_from(("free", "pro", "max"))),
    "likes": (
        "choices",
        {"choices": ["a", "b", "c"]},
        st.lists(st.sampled_from("abc"), min_size=1, unique=True).map(sorted),
    ),
    "home": ("location", {}, st.sampled_from(PLACES)),
}
STATES = st.just(UNSET) | st.just(SKIPPED)


@pytest.fixture
def asked(app):
    """Define a property of each kind, for users and for sessions."""
    drafts = []
    for key, (kind, options, _) in KINDS.items():
        drafts.append(Draft(key=key, label=key, type=kind, options=options))
        drafts.append(Draft(key=f"s_{key}", label=key, type=kind, options=options, scope="session"))
    definitions.apply(creates=drafts)
    deployment = Deployment.create(
        key="d", channel="fake", account="1", label="Fake", place="", config={}, idle_seconds=60
    )
    return {one.key: one for one in catalogue(fresh=True).active}, deployment


def operands(definition, kind, drawn):
    value = drawn(KINDS[definition.key.removeprefix("s_")][2])
    match kind:
        case Takes.NOTHING:
            return ()
        case Takes.VALUE:
            if definition.type.name == "datetime" and drawn(st.booleans()):
                return (value[:10],)
            return (value,)
        case Takes.VALUES:
            more = drawn(KINDS[definition.key.removeprefix("s_")][2])
            return (*value, *more) if isinstance(value, list) else (value, more)
        case Takes.RANGE:
            ends = [value, drawn(KINDS[definition.key.removeprefix("s_")][2])]
            return tuple(sorted(ends))
        case Takes.FRAGMENT:
            return (drawn(st.sampled_from((*WORDS, "DEL", "%", "_", "\\", "ä"))).strip() or "x",)
        case Takes.SPAN:
            units = ("days",) if definition.type.name == "date" else ("minutes", "hours", "days")
            return (drawn(st.sampled_from((1, 7, 365))), drawn(st.sampled_from(units)))
        case Takes.CIRCLE:
            return (drawn(st.sampled_from((1, 500, 12_000))), value)
    raise AssertionError(kind)


@st.composite
def nodes(draw, most, depth=6):
    if depth == 0 or draw(st.integers(0, 2)) == 0:
        return Number(draw(st.integers(1, most)))
    if draw(st.integers(0, 3)) == 0:
        return Not(draw(nodes(most, depth - 1)))
    parts = draw(st.lists(nodes(most, depth - 1), min_size=2, max_size=3))
    return Joined(draw(st.sampled_from(("AND", "OR"))), tuple(parts))


def people(asked, rows):
    """Add users, each with values of their own and, half of them, of a session."""
    known, deployment = asked
    found = {}
    for row in rows:
        user = User.add(key=f"u{len(found)}", created=NOW)
        values.store(user.id, {known[key]: value for key, value in row.items() if not key.startswith("s_")})
        of_session = {key: value.stored() for key, value in row.items() if key.startswith("s_")}
        identity = Identity.add(user=user.id, deployment=deployment.id, key=f"i{len(found)}", created=NOW)
        session = {"user": user.id, "identity": identity.id, "deployment": deployment.id, "opened": NOW}
        Session.add(
            **session, number=1, last_message=NOW, expires=NOW, properties={"s_plan": {"value": "max"}}
        )
        Session.add(**session, number=2, last_message=NOW, expires=NOW, properties=of_session)
        found[user.id] = row
    return found


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            prefix + key: STATES | value.map(Value) | value.map(Value)
            for key, (_, _, value) in KINDS.items()
            for prefix in ("", "s_")
        }
    ),
    min_size=1,
    max_size=4,
)


def agree(asked, rows, data):
    known, _ = asked
    keys = data.draw(
        st.lists(
            st.sampled_from(sorted(f"{p}{k}" for k in KINDS for p in ("", "s_"))), min_size=1, max_size=5
        )
    )
    zone = data.draw(st.sampled_from(ZONES))
    conditions = {}
    for number, key in enumerate(keys, 1):
        operator = data.draw(st.sampled_from(operators_of(known[key])))
        given_ = Condition(key, operator, operands(known[key], takes(operator), data.draw))
        conditions[number] = checked(number, given_, known, lambda one: True)
    node = data.draw(nodes(len(keys)))
    node = expression.read(expression.written(node), conditions)
    with database.atomic() as transaction:
        found = people(asked, rows)
        picked = {one for (one,) in tuples(User.select(User.id).where(compiled(node, conditions, NOW, zone)))}
        transaction.rollback()
    meant = set()
    for user_id, row in found.items():
        truth = {n: naive.asks(one, row[one.definition.key], NOW, zone) for n, one in conditions.items()}
        assert expression.holds(node, truth) is naive.holds(node, truth)
        if naive.holds(node, truth):
            meant.add(user_id)
    assert picked == meant


COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=200, **COMMON)
@given(rows=ROWS, data=st.data())
def test_the_compiler_picks_whom_a_naive_reading_picks(asked, rows, data):  # A4, A5
    agree(asked, rows, data)


@pytest.mark.long
@settings(max_examples=5000, **COMMON)
@given(rows=ROWS, data=st.data())
def test_the_compiler_picks_whom_a_naive_reading_picks_in_the_long_run(asked, rows, data):  # A4, A5
    agree(asked, rows, data)
