"""The list of everyone who has interacted, in pages both ways, beside a naive sort."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from core import audience, handover
from core.audience import SORTED_BY, Count, Order
from core.cursor import Cursor
from core.db import database, is_sqlite
from core.models import User, UserState
from fake_channel import deploy, employ, moment, says, user_of

PLUGINS = ("fake_channel",)
START = moment("12:00:00")
COLUMNS = {name: column.name for name, column in SORTED_BY.items()}
ORDERS = st.builds(Order, st.sampled_from(sorted(SORTED_BY)), st.booleans())

WHEN = st.one_of(st.none(), st.integers(0, 3).map(lambda minutes: START + timedelta(minutes=minutes)))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "last_seen": WHEN,
            "last_message_at": WHEN,
            "created": st.integers(0, 3).map(lambda seconds: START + timedelta(microseconds=seconds)),
            "name_key": st.sampled_from([None, "a", "á", "b", "陈", "z z"]),
            "handler": st.sampled_from(["bot", "waiting"]),
            "country": st.sampled_from([None, "DE", "IN"]),
            "language": st.sampled_from([None, "hi"]),
            "gender": st.sampled_from(["f", "m"]),
            "state": st.sampled_from([UserState.ACTIVE] * 4 + [UserState.ERASED]),
        }
    ),
    max_size=14,
)


def fill(rows):
    """Make these the only users there are."""
    User.delete().execute()
    defaults = {"handler_since": START}
    for number, row in enumerate(rows):
        User.insert(key=f"k{number}", **defaults, **row).execute()


def naive(order, condition=None):
    """Return the ids of all that are listed, sorted in the plainest way."""
    column = COLUMNS[order.name]
    listed = [
        user
        for user in User.select()
        if user.state == UserState.ACTIVE and (condition is None or user.gender == "f")
    ]
    known = [user for user in listed if getattr(user, column) is not None]
    unknown = [user for user in listed if getattr(user, column) is None]
    known.sort(key=lambda user: (getattr(user, column), user.id), reverse=order.descending)
    unknown.sort(key=lambda user: user.id, reverse=order.descending)
    return [user.id for user in known + unknown]


def ids(page):
    return [row["id"] for row in page.rows]


@pytest.mark.parametrize("plan", ["all", "few hits", "many hits"])
@effort(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, order=ORDERS, limit=st.integers(1, 5))
def test_pages_both_ways_are_those_of_a_naive_sort(app, plan, rows, order, limit):
    with database.atomic(), pytest.MonkeyPatch.context() as patch:
        fill(rows)
        patch.setattr(audience, "COUNTED", 0 if plan == "many hits" else 10_000)
        condition = None if plan == "all" else User.gender == "f"
        expected = naive(order, condition)
        page = audience.page(condition, order=order, limit=limit)
        assert page.newer is None
        pages = [page]
        while page.older is not None:
            page = audience.page(condition, order=order, place=Cursor.parse(str(page.older)), limit=limit)
            pages.append(page)
            assert page.newer is not None
        assert [ids(page) for page in pages] == [
            expected[start : start + limit] for start in range(0, max(len(expected), 1), limit)
        ]
        place = len(expected) - len(pages[-1].rows)
        while page.newer is not None:
            page = audience.page(condition, order=order, place=page.newer, newer=True, limit=limit)
            place = max(0, place - limit)
            assert ids(page) == expected[place : place + limit]
            assert page.older is not None
        assert place == 0


@pytest.fixture
def seven(app):
    """Seven users who wrote one after the other."""
    fill([{"name_key": f"n{number}", "last_seen": START + timedelta(minutes=number)} for number in range(7)])
    return [user.id for user in User.select().order_by(User.id)][::-1]


@pytest.mark.parametrize("condition", [None, User.name_key.is_null(False)])
def test_a_page_whose_people_all_wrote_again_is_not_the_end_of_the_way(seven, condition):
    """Beyond a place there may be nobody any more: then the list begins anew."""
    first = audience.page(condition, limit=5)
    for user_id in seven[5:]:
        User.update(last_seen=START + timedelta(days=1)).where(User.id == user_id).execute()
    gone = audience.page(condition, place=first.older, limit=5)
    assert ids(gone) == ids(audience.page(condition, limit=5))
    assert gone.newer is None
    assert gone.older is not None


@pytest.mark.parametrize("condition", [None, User.name_key.is_null(False)])
def test_somebody_who_writes_while_one_pages_is_missed_by_nobody(seven, condition):
    first = audience.page(condition, limit=3)
    assert ids(first) == seven[:3]
    User.update(last_seen=START + timedelta(days=1)).where(User.id == seven[2]).execute()
    second = audience.page(condition, place=first.older, limit=3)
    assert ids(second) == seven[3:6]
    back = audience.page(condition, place=second.newer, newer=True, limit=3)
    assert ids(back) == [seven[2], seven[0], seven[1]]
    assert back.newer is None


@pytest.mark.parametrize("order", [Order(), Order("name", False)])
def test_a_place_that_is_none_is_the_beginning(seven, order):
    assert ids(audience.page(order=order, newer=True, limit=3)) == ids(audience.page(order=order, limit=3))
    nobody = Cursor(None, 10**9)
    if order.name == "name":
        assert ids(audience.page(order=order, place=nobody, limit=3)) == seven[::-1][:3]


def test_a_place_as_text_comes_back_as_it_was_and_nothing_else_is_read():
    for place in (Cursor(START + timedelta(microseconds=1), 7), Cursor(None, 10**17)):
        assert Cursor.parse(str(place)) == place
    for text in (
        "",
        "-",
        "1",
        "1.",
        ".1",
        "1.2.3",
        "-1.2",
        "1.-2",
        "a.b",
        "٣.1",
        "9" * 40 + ".1",
    ):
        with pytest.raises(ValueError, match="Start again at its beginning"):
            Cursor.parse(text)


def test_a_row_has_the_user_and_the_identity_that_wrote_last(app, clock):
    shop, web = deploy(), deploy("fake_open", "web")
    user, maya = user_of(says(shop)), employ("Maya")
    handover.claim(user.id, maya)
    says(web, "ben")
    row = audience.row(user.id)
    assert (row["key"], row["deployment_id"], row["agent_name"], row["handler"]) == (
        user.key,
        shop.id,
        "Maya",
        "agent",
    )
    assert row["last_inbound"] == user.last_seen
    assert row in audience.page().rows
    assert audience.row(10**9) is None


def test_whoever_is_erased_or_merged_is_not_listed(app):
    fill([{"state": state, "last_seen": START} for state in UserState])
    assert len(audience.page().rows) == 1
    assert len(audience.page(User.id > 0).rows) == 1
    assert audience.total() == Count(1, "exact")


@pytest.mark.parametrize(
    ("number", "precision", "text"),
    [
        (0, "exact", "0"),
        (1234, "exact", "1,234"),
        (10_000, "at least", "10,000+"),
        (20_001, "about", "about 20,001"),
    ],
)
def test_a_count_says_how_exact_it_is(number, precision, text):
    assert str(Count(number, precision)) == text


def test_a_condition_that_many_meet_is_counted_to_ten_thousand(seven, monkeypatch):
    monkeypatch.setattr(audience, "COUNTED", 5)
    assert audience.page(User.id > 0, limit=2).count == Count(5, "at least")
    assert audience.page(User.id.in_(seven[:5]), limit=2).count == Count(5, "exact")


def test_the_total_of_many_is_the_engine_s_estimate(seven, monkeypatch):
    monkeypatch.setattr(audience, "COUNTED", 3)
    if is_sqlite():
        assert audience.total() == Count(7, "exact")
        return
    assert audience.total() == Count(3, "at least")
    database.execute_sql('ANALYZE "user"')
    assert audience.total() == Count(7, "about")


@pytest.mark.parametrize("plan", ["all", "few hits", "many hits"])
def test_the_number_of_queries_is_the_same_for_every_page(seven, monkeypatch, plan):
    monkeypatch.setattr(audience, "COUNTED", 0 if plan == "many hits" else 10_000)
    condition = None if plan == "all" else User.id > 0
    queries, real = [], database.obj.execute_sql

    def counted(sql, *given, **more):
        queries.append(sql)
        return real(sql, *given, **more)

    monkeypatch.setattr(database.obj, "execute_sql", counted)

    def needed(**given):
        queries.clear()
        page = audience.page(condition, limit=2, **given)
        return len(queries), page

    first, page = needed()
    second, page = needed(place=page.older)
    back, _ = needed(place=page.newer, newer=True)
    monkeypatch.setattr(audience, "PAGE_SIZE", 7)
    assert first == second == back <= 3
    queries.clear()
    audience.page(condition, limit=7)
    assert len(queries) <= first + 1  # the rest of the page may be those who never wrote


def test_a_sort_by_what_is_no_column_is_refused(app):
    with pytest.raises(KeyError):
        audience.page(order=Order("email; DROP TABLE user"))


def test_names_sort_alike_in_both_plans(app, monkeypatch):
    """PostgreSQL and Python both go by code points, whatever the language of the server."""
    fill([{"name_key": name} for name in ("b", "a b", "ab", "á", "z", "陈", "A", "_", "")])
    order = Order("name", descending=False)
    few = ids(audience.page(User.id > 0, order=order))
    monkeypatch.setattr(audience, "COUNTED", 0)
    assert ids(audience.page(User.id > 0, order=order)) == few == naive(order)
