"""Filters: whoever they pick is picked by a naive reading as well, on both databases (A2-A5)."""

import hashlib
import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import naive
from core import audience, definitions, expression, filters, values
from core.audience import Count, Order
from core.budget import TooSlow, within
from core.catalogue import catalogue
from core.compiler import compiled
from core.conditions import BadFilter, Condition, Takes, checked, operators_of, takes
from core.db import database, is_sqlite, tuples
from core.definitions import Draft
from core.expression import BadExpression, Joined, Not, Number
from core.filters import Asked, Filter, Joining
from core.models import Deployment, Identity, Session, User
from core.user_rows import value_in
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
        reasons = {one: filters.why(Asked(conditions, node), one, zone, NOW) for one in found}
        transaction.rollback()
    meant = set()
    for user_id, row in found.items():
        truth = {n: naive.asks(one, row[one.definition.key], NOW, zone) for n, one in conditions.items()}
        assert expression.holds(node, truth) is naive.holds(node, truth)
        assert reasons[user_id].truth == truth  # S4
        assert reasons[user_id].picked is naive.holds(node, truth)
        assert reasons[user_id].deciding == tuple(
            one
            for one in truth
            if naive.holds(node, {**truth, one: not truth[one]}) is not reasons[user_id].picked
        )
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


# The language


@pytest.mark.parametrize(
    ("text", "written", "said"),
    [
        ("1 and 2 or 3", "1 AND 2 OR 3", "(a AND b) OR c"),
        ("1 AND (2 OR 3)", "1 AND (2 OR 3)", "a AND (b OR c)"),
        ("not 1 Or nOt(2 AND 3)", "NOT 1 OR NOT (2 AND 3)", "not (a) OR not (b AND c)"),
        ("((1))AND((2))", "1 AND 2", "a AND b"),
        ("1 OR (2 OR 3)", "1 OR 2 OR 3", "a OR b OR c"),
        ("\n1\tAND\u00a02", "1 AND 2", "a AND b"),
        ("NOT NOT 1", "NOT NOT 1", "not (not (a))"),
    ],
)
def test_an_expression_is_read_and_echoed_in_full(text, written, said):  # A4
    node = expression.read(text, (1, 2, 3))
    assert expression.written(node) == written
    assert expression.said(node, {1: "a", 2: "b", 3: "c"}) == said


@pytest.mark.parametrize(
    ("text", "sentence", "at"),
    [
        ("", "Expected a number or (, at the end.", 0),
        ("1 AND", "Expected a number or ( after AND, at the end.", 5),
        ("1 OR x", "Expected a number or ( after OR, at character 6.", 5),
        ("1 2", "Expected AND or OR after 1, at character 3.", 2),
        ("(1 OR 2", "The ( at character 1 is not closed, at the end.", 7),
        ("1)", "There is a ) too many, at character 2.", 1),
        ("1 AND 7", "There is no condition 7, at character 7: there are 1 to 3.", 6),
        ("0", "There is no condition 0, at character 1: there are 1 to 3.", 0),
        ("1; DROP TABLE user", "Expected AND or OR after 1, at character 2.", 1),
        ("1 AND ٣", "Expected a number or ( after AND, at character 7.", 6),
        ("9" * 400, "There is no condition 99999…, at character 1: there are 1 to 3.", 0),
    ],
)
def test_what_is_wrong_with_an_expression_has_a_place(text, sentence, at):  # A4
    with pytest.raises(BadExpression) as error:
        expression.read(text, (1, 2, 3))
    assert (str(error.value), error.value.at) == (sentence, at)


def test_an_expression_has_limits_that_are_told():
    assert expression.read("(" * 30 + "1" + ")" * 30, (1,)) == Number(1)
    with pytest.raises(BadExpression, match="at most 30 deep; at character 32 it is more"):
        expression.read("(" * 31 + "1" + ")" * 31, (1,))
    with pytest.raises(BadExpression, match="at most 30 deep"):
        expression.read("NOT " * 400 + "1", (1,))
    with pytest.raises(BadExpression, match="10,240 characters; 2,000 are read"):
        expression.read("1 OR 1 OR " * 1024, (1,))


def test_removing_a_condition_renumbers_the_expression():  # A3
    rows = tuple(Condition(key, "exists") for key in "abc")
    custom = Filter(rows, Joining.CUSTOM, "1 AND (2 OR NOT 3)")
    assert custom.without(1) == Filter(rows[1:], Joining.CUSTOM, "1 OR NOT 2")
    assert custom.without(2) == Filter((rows[0], rows[2]), Joining.CUSTOM, "1 AND NOT 2")
    assert custom.without(3).text == "1 AND 2"
    assert custom.without(1).without(1).without(1) == Filter((), Joining.CUSTOM, "")
    assert custom.having(None, rows[0]).text == "1 AND (2 OR NOT 3) AND 4"
    assert Filter(rows, Joining.CUSTOM, "1 OR 2").having(None, rows[0]).text == "(1 OR 2) AND 4"
    assert Filter(rows, Joining.ANY).joining(Joining.CUSTOM).text == "1 OR 2 OR 3"


# What cannot be asked


def ask(*conditions, joined=Joining.ALL, text="", sees=lambda one: True):
    return filters.ask(Filter(tuple(Condition(*one) for one in conditions), joined, text), sees)


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        (("nothing", "exists"), "Condition 1: there is no property `nothing` any more."),
        (("age", "is", ("1",)), "Condition 1: `age` can be asked: =, ≠, <"),
        (("age", ">", ("abc",)), "Condition 1: `age` takes a whole number."),
        (("age", ">", ()), "Condition 1: `age` is compared with one value."),
        (("age", "between", (9, 1)), "the lower one first"),
        (("age", ">", ("9" * 600,)), "at most 500 characters"),
        (("age", ">", ({"$gt": 1},)), "takes a whole number"),
        (("city", "is", (["a"],)), "`city` takes text"),
        (("city", "is", ("x" * 501,)), "at most 500 characters"),
        (("city", "contains", ("  ",)), "a text of 1 to 500 characters"),
        (("city", "is one of", ()), "1 to 200 values"),
        (("city", "is one of", ("a",) * 201), "1 to 200 values"),
        (("plan", "is", ("gold",)), "takes one of: free, pro, max"),
        (("born", "in the last", ("3", "hours")), "a number of days"),
        (("paid", "in the last", ("-3", "hours")), "a number of minutes, hours, days"),
        (("paid", "is on", ("2026-13-01",)), "takes a date and time"),
        (("home", "is within", ("0", "1, 1")), "1 to 20,100 kilometres"),
        (("home", "is within", ("nan", "1, 1")), "1 to 20,100 kilometres"),
        (("home", "is within", ("5", "here")), "`home` takes"),
        (("vip", "is true", ("x",)), "asked without a value"),
    ],
)
def test_a_condition_that_cannot_be_asked_says_why(asked, condition, sentence):  # A4
    with pytest.raises(BadFilter) as error:
        ask(condition)
    assert sentence in str(error.value)
    assert error.value.number == 1


def test_an_archived_property_and_one_that_a_role_does_not_see_are_not_asked(asked):
    definitions.archive("city")
    with pytest.raises(BadFilter, match="Condition 2: there is no property `city` any more"):
        ask(("age", "exists"), ("city", "exists"))
    with pytest.raises(BadFilter, match="your role does not see `age`, so it cannot filter by it"):
        ask(("age", "exists"), sees=lambda one: one.key != "age")


def test_a_filter_has_at_most_a_hundred_conditions(asked):
    many = Filter(tuple(Condition("age", ">", (n,)) for n in range(100)))
    assert len(filters.ask(many, lambda one: True).conditions) == 100
    with pytest.raises(BadFilter, match="at most 100 conditions"):
        many.having(None, Condition("age", "exists"))
    with pytest.raises(BadFilter, match="at most 100 conditions; these are 101"):
        Filter.of({"conditions": [{"key": "age", "operator": "exists"}] * 101})


@pytest.mark.parametrize(
    "text", ['\'; DROP TABLE "user"; --', "%_\\", "x\u202ey", "\ud800", "a\x00b", "<script>", "🙂"]
)
@pytest.mark.parametrize(
    "operator", ["is", "contains", "starts with", "ends with", "is one of", "matches none of"]
)
def test_whatever_a_condition_is_compared_with_is_only_text(asked, text, operator):
    people(asked, [{"city": Value("Delhi")}])
    found = ask(("city", operator, (text,)))
    picked = audience.counted(found.where())
    assert picked == Count(1 if operator == "matches none of" else 0, "exact")
    key = filters.keep(Filter((Condition("city", operator, (text,)),)))
    assert filters.ask(filters.kept(key), lambda one: True).in_words()


@pytest.mark.parametrize(
    "text",
    [
        " OR ".join(map(str, range(1, 91))),
        " AND NOT ".join(map(str, range(1, 91))),
        "(1 OR 2 AND " * 30 + "3" + ")" * 30,
        "(1 AND " * 30 + "2" + " OR 3)" * 30,
        "NOT " * 30 + "3",
        "NOT (3 AND " * 15 + "1" + ")" * 15,
        " OR ".join("(1 AND NOT 2)" for _ in range(115)),
    ],
)
def test_the_longest_and_the_deepest_are_asked(asked, monkeypatch, text):
    """A parser with a stack of a hundred takes them all."""
    people(asked, [{"age": Value(n), "home": Value(PLACES[n])} for n in range(3)])
    operators = ("was not skipped", "is within", "does not exist")
    given = {"s_city": (), "home": ("500", "28.6, 77.2")}
    keys = ("s_city", "home", "s_age")
    rows = [(keys[n % 3], operators[n % 3], given.get(keys[n % 3], ())) for n in range(90)]
    found = ask(*rows, joined=Joining.CUSTOM, text=text)
    counts = [audience.page(found.where(), limit=2).count]
    monkeypatch.setattr(audience, "COUNTED", 0)
    audience.page(found.where(), order=Order("name", False), limit=2)
    assert counts == [audience.counted(found.where(), exactly=True)]


# Stored views, counts, time


def test_a_stored_view_comes_back_under_a_key_that_tells_nothing(asked):  # A9
    given = Filter((Condition("city", "is", ("Delhi",)),))
    key = filters.keep(given)
    assert filters.keep(given) == key
    assert filters.kept(key) == given
    assert filters.kept("nothing") is filters.kept("'; --") is filters.kept("") is None
    plain = json.dumps(given.stored(), sort_keys=True).encode()
    assert not hashlib.sha256(plain).hexdigest().startswith(key)


def test_conditions_and_joined_parts_are_counted_by_themselves(asked, monkeypatch):  # A3
    people(asked, [{"age": Value(n), "vip": Value(n > 2)} for n in range(5)])
    found = ask(
        ("age", ">", (0,)), ("vip", "is true"), ("age", "=", (0,)), joined="custom", text="1 AND (2 OR 3)"
    )
    counts = filters.counts(found, 5)
    assert counts.conditions == {1: Count(4, "exact"), 2: Count(2, "exact"), 3: Count(1, "exact")}
    assert counts.groups == {"2 OR 3": Count(3, "exact")}
    assert audience.page(found.where()).count == Count(2, "exact")
    monkeypatch.setattr(audience, "COUNTED", 3)
    assert filters.counts(found, 5).conditions[1] == Count(3, "at least")
    assert audience.counted(found.where_one(1), exactly=True) == Count(4, "exact")


def test_a_query_that_takes_too_long_is_ended_and_the_next_one_runs(app):
    endless = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 100000000) "
        "SELECT max(x) FROM n"
    )
    with pytest.raises(TooSlow, match=r"took longer than 0\.1 s"), within(0.1):
        database.execute_sql(endless).fetchall()
    with within(5):
        assert database.execute_sql("SELECT 1").fetchone() == (1,)
    assert User.select().count() == 0
    if not is_sqlite():
        assert database.execute_sql("SHOW statement_timeout").fetchone() == ("0",)


def test_counts_for_which_there_is_no_time_are_left_out(asked, monkeypatch):
    def slow(condition):
        raise TooSlow(1)

    monkeypatch.setattr(filters, "counted", slow)
    assert filters.counts(ask(("age", "exists")), 1) == filters.Counts(slow=True)


# Pages by a property, under a filter


@pytest.mark.parametrize("plan", ["few", "many"])
@pytest.mark.parametrize("key", ["age", "city", "paid", "born", "vip", "ltv"])
@pytest.mark.parametrize("down", [True, False])
def test_pages_by_a_property_under_a_filter_are_walked_whole_both_ways(
    asked, monkeypatch, plan, key, down
):  # A1
    known, _ = asked
    drawn = {"age": [3, 1, 2], "city": ["b", "a", "ä"], "paid": MOMENTS[:3], "born": DATES[:3]}
    drawn |= {"vip": [True, False], "ltv": [0.5, -1.5, 2.0]}
    rows = [{"plan": Value("pro" if n % 4 else "max")} for n in range(20)]
    for number, row in enumerate(rows):
        if number % 3:
            row[key] = Value(drawn[key][number % len(drawn[key])])
    found = people(asked, rows)
    monkeypatch.setattr(audience, "COUNTED", 10_000 if plan == "few" else 3)
    where = ask(("plan", "is", ("pro",))).where()
    order = Order.by(known[key], down)

    def page(**given):
        return audience.page(where, order=order, limit=4, properties=[known[key], known["likes"]], **given)

    forth = [page()]
    while forth[-1].older:
        forth.append(page(place=forth[-1].older))
    back = [forth[-1]]
    while back[-1].newer:
        back.append(page(place=back[-1].newer, newer=True))
    seen = [row["id"] for one in forth for row in one.rows]
    values_of = {
        user_id: row.get(key, UNSET).value for user_id, row in found.items() if row["plan"].value == "pro"
    }
    known_ones = sorted(
        (one for one in values_of if values_of[one] is not None),
        key=lambda one: (values_of[one], one),
        reverse=down,
    )
    unknown = sorted((one for one in values_of if values_of[one] is None), reverse=down)
    assert seen == known_ones + unknown
    assert [row["id"] for row in back[-1].rows] == seen[:4]
    for row in (row for one in forth for row in one.rows):
        assert value_in(row, known[key]) == values_of[row["id"]]
        hash(tuple(row.values()))


def test_the_list_is_not_sorted_by_what_has_no_order(asked):
    known, _ = asked
    for key in ("likes", "home", "s_age"):
        with pytest.raises(KeyError):
            Order.by(known[key], True)
