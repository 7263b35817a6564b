"""Find people as one types (A7): however they are spelled, and only by what one may see."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from core import Alias, Profile, search
from core.db import database, is_sqlite
from core.models import User
from fake_channel import deploy, says, user_of

PLUGINS = ("fake_channel",)

PEOPLE = {
    "asha": Profile(name="Asha Raghunathan", phone="+1 555 0100", email="asha.rao@example.com"),
    "ben": Profile(name="Ben O'Neill", phone="+44 20 7946 0001", email="Ben_O'Neill+shop@Example.ORG"),
    "chen": Profile(name="陈伟", phone="+86 138 0013 8000"),
    "chen long": Profile(name="陈伟明先生"),
    "dvorak": Profile(name="Antonín Dvořák", email="100%@example.com"),
    "erdal": Profile(name="İPEK ERDAL"),
    "quote": Profile(name='Jo "AND" Smith'),
    "under": Profile(name="a_b c%d e\\f"),
    "greek": Profile(name="Ελένη Παπαδοπούλου"),
    "arabic": Profile(name="ليلى حسن", phone="+971 50 123 4567"),
    "short": Profile(name="Xi"),
    "star": Profile(name="Star* NEAR(2) col:on ^caret"),
    "external": Profile(),
}


@pytest.fixture
def people(app):
    shop, known = deploy(), {}
    for number, (who, profile) in enumerate(PEOPLE.items()):
        aliases = (Alias("id", f"key-{number:04}-zz"),)
        if who == "external":
            aliases = (Alias("id", "cust-4711-0815"), Alias("phone", "98-76-5432"))
        known[user_of(says(shop, aliases=aliases, profile=profile)).id] = who
    return known


def found(people, query, personal=True):
    """Return whom a query finds, or None when it asks for nothing."""
    condition = search.matching(query, personal=personal)
    if condition is None:
        return None
    return {people[user.id] for user in User.select().where(condition)}


QUERIES = [
    # spellings of a phone
    *[
        (spelling, {"asha"})
        for spelling in (
            "+1 555 0100",
            "15550100",
            "+1 (555) 01-00",
            "1.555.0100",
            "001 555 0100",
            "0555 0100",
            "5550100",
            "555 01",
            "١٥٥٥٠١٠٠",
            "１５５５",
        )
    ],
    ("+44", {"ben"}),
    ("020 7946 0001", {"ben"}),
    ("0 20 7946", {"ben"}),
    ("+971 (50) 123-4567", {"arabic"}),
    # case, accents as stored, composed or not
    ("asha", {"asha"}),
    ("ASHA", {"asha"}),
    ("  aShA \t rAGH ", {"asha"}),
    ("raghunathan", {"asha"}),
    ("shara", set()),
    ("dvořák", {"dvorak"}),
    ("DVOŘÁK", {"dvorak"}),
    ("Dvor\N{COMBINING CARON}a\N{COMBINING ACUTE ACCENT}k", {"dvorak"}),
    ("dvorak", set()),
    ("İPEK", {"erdal"}),
    ("erdal", {"erdal"}),
    ("ελένη", {"greek"}),
    ("ΠΑΠΑΔ", {"greek"}),
    ("ليلى", {"arabic"}),
    # scripts without spaces, and queries too short for trigrams
    ("陈", {"chen", "chen long"}),
    ("陈伟", {"chen", "chen long"}),
    ("陈伟明", {"chen long"}),
    ("明先生", {"chen long"}),
    ("xi", {"short"}),
    ("X", {"short"}),
    ("as", {"asha"}),
    ("15", {"asha"}),
    ("1", {"asha"}),
    ("(1", {"asha"}),
    ("8", {"chen"}),
    # email and external id
    ("asha.rao@example", {"asha"}),
    ("BEN_O'NEILL+SHOP@", {"ben"}),
    ("@example.org", {"ben"}),
    ("cust-4711", {"external"}),
    ("4711-0815", {"external"}),
    ("98-76-54", {"external"}),
    ("KEY-0004-Z", {"dvorak"}),
    # what is special to one engine or the other is text
    ("O'Neill", {"ben"}),
    ("'; DROP TABLE user; --", set()),
    ('jo "and" smith', {"quote"}),
    ('"and"', {"quote"}),
    ('"', set()),
    ('"""', set()),
    ("a AND b", set()),
    ("asha OR ben", set()),
    ("NOT asha", set()),
    ("AND", {"quote"}),
    ("near(2)", {"star"}),
    ("col:on", {"star"}),
    ("personal:asha", set()),
    ("star*", {"star"}),
    ("ash*", set()),
    ("^caret", {"star"}),
    ("{a b}: x", set()),
    ("a_b", {"under"}),
    ("axb", set()),
    ("c%d", {"under"}),
    ("c_d", set()),
    ("%%%", set()),
    ("___", set()),
    ("0%@exa", {"dvorak"}),
    ("e\\f", {"under"}),
    ("\\\\\\", set()),
    ("\x00\x00\x00", set()),
    ("\ud83d", set()),
    ("asha\x00", set()),
    # nothing, and too much
    ("", None),
    (" \t\n", None),
    ("x" * 10_240, set()),
    ("1" * 10_240, set()),
    ('"' * 10_240, set()),
]


def test_people_are_found_as_they_are_spelled(people):
    wrong = {query: found(people, query) for query, expected in QUERIES if found(people, query) != expected}
    assert wrong == {}


def test_who_sees_masks_finds_only_what_the_masks_show(people):
    """What nobody can see is not found either, not even by being told that nothing was found."""
    queries = [
        ("asha", {"asha"}),
        ("asha r.", {"asha"}),
        ("as", {"asha"}),
        ("asha ra", set()),
        ("raghunathan", set()),
        ("agh", set()),
        ("ra", set()),
        ("555 0100", set()),
        ("15", set()),
        ("1", set()),
        ("asha.rao@example.com", set()),
        ("@exa", set()),
        ("cust-4711", set()),
        ("key-0004", set()),
        ("陈", {"chen", "chen long"}),
        ("陈伟", set()),
        ("陈伟明", set()),
        ("xi", set()),
        ("x", {"short"}),
        ("", None),
    ]
    seen = {query: found(people, query, personal=False) for query, _ in queries}
    assert seen == dict(queries)


def test_a_query_too_long_is_cut_and_still_finds(people):
    assert found(people, "asha" + " " * 10_240 + "x") == {"asha"}


def test_names_that_begin_so_are_found_by_code_points_whatever_the_language_of_the_server(app):
    if is_sqlite():
        query = 'EXPLAIN QUERY PLAN SELECT id FROM "user" WHERE name_key >= ? AND name_key < ?'
        assert "user_name_key" in str(database.execute_sql(query, ("a", "b")).fetchall())
        return
    columns = database.execute_sql(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE collation_name = 'C' AND table_schema = 'public'"
    )
    assert set(columns.fetchall()) == {("user", "name_key"), ("user", "phone"), ("user_search", "shown")}


def test_a_search_follows_what_changes(app):
    shop = deploy()
    user = user_of(says(shop, profile=Profile(name="Asha")))
    User.update(name="Priya", email="new@example.com").where(User.id == user.id).execute()
    search.index(user.id)
    who = {user.id: "asha"}
    assert [found(who, query) for query in ("priya", "new@ex", "pr")] == [{"asha"}] * 3
    User.update(name=None).where(User.id == user.id).execute()
    search.index(user.id)
    assert [found(who, query) for query in ("priya", "pr")] == [set(), set()]
    assert User.get_by_id(user.id).name_key is None


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)


@effort(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(max_size=30), personal=st.booleans())
def test_no_query_breaks_the_search(people, query, personal):
    found(people, query, personal)


@effort(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, data=st.data())
def test_every_part_of_a_name_finds_it(app, name, data):
    user = User.create(name=name)
    search.index(user.id)
    stored = search.folded(name)
    start = data.draw(st.integers(0, len(stored)))
    part = stored[start : start + data.draw(st.integers(3, 20))]
    condition = search.matching(part, personal=True)
    if len(part) >= 3 and search.folded(part) == part and any(character.isalpha() for character in part):
        assert user.id in {row.id for row in User.select(User.id).where(condition)}
