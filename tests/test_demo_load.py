"""Demo data at scale: what is loaded is whole, readable by core, the same for a seed, and fast to look up."""

import hashlib
import random
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from core import Author, Outbound, ReachKind, audience, clock, conversation, search, sessions, values
from core.catalogue import catalogue
from core.channel import AuthorKind
from core.cli import parley as command
from core.clock import HeldClock
from core.context import parley as parley_parts
from core.db import database, is_sqlite, run
from core.deployments import add_deployment
from core.gate import gate
from core.masks import masked_name
from core.models import (
    Deployment,
    Handler,
    Identity,
    IdentityAlias,
    Message,
    Operator,
    PropertySkipped,
    Session,
    User,
)
from core.search import UserSearch
from core.values import SKIPPED
from plugins.demo import properties, scale, workspace
from plugins.demo.crowd import MOST_EACH, shares

USERS, MESSAGES = 300, 2_000
TABLES = ("user", "identity", "identity_alias", "session", "message", "property_skipped", "user_search")


def quiet(step: str, done: int, total: int) -> None:
    """Report nothing."""


def load(users: int = USERS, messages: int = MESSAGES, seed: int = 1, *, add: bool = False) -> None:
    scale.load(users, messages, seed, add=add, report=quiet)


def parley(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["demo", "load", *arguments])


@pytest.fixture
def loaded(app: Flask, clock: HeldClock) -> Flask:
    """A database with a crowd; the clock stands still at the moment of loading."""
    load()
    return app


def schema() -> list[tuple[Any, ...]]:
    """Return every index and constraint, as the engine describes them."""
    if is_sqlite():
        # What ANALYZE writes is no part of it.
        return run(
            "SELECT type, name, tbl_name, sql FROM sqlite_master "
            "WHERE name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\' ORDER BY type, name"
        )
    return [
        *run(
            "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"
        ),
        *run(
            "SELECT conrelid::regclass::text, conname, contype::text, convalidated, "
            "pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1, 2"
        ),
    ]


def contents() -> dict[str, str]:
    """Return a digest of the rows of each table."""
    keys = {"property_skipped": "user_id, property_id", "user_search": "rowid"}
    return {
        table: hashlib.sha256(
            repr(run(f'SELECT * FROM "{table}" ORDER BY {keys.get(table, "id")}')).encode()
        ).hexdigest()
        for table in TABLES
    }


def empty() -> None:
    """Take the crowd away, and leave the workspace."""
    for table in (
        "property_skipped",
        "user_search",
        "message",
        "session",
        "identity_alias",
        "identity",
        "user",
    ):
        run(f'DELETE FROM "{table}"')


# ── What is there ─────────────────────────────────────────────────────────────────────────────────


def test_as_many_are_there_as_were_asked_for(loaded: Flask) -> None:
    assert User.select().count() == USERS
    assert Message.select().count() == MESSAGES
    assert UserSearch.select().count() == USERS
    assert {one.channel for one in Deployment.select()} == {"whatsapp", "web"}
    used = {number for (number,) in run("SELECT DISTINCT deployment_id FROM identity")}
    assert len(used) == 3
    countries = [number for (number,) in run('SELECT COUNT(*) FROM "user" GROUP BY country ORDER BY 1 DESC')]
    assert len(countries) > 10
    assert countries[0] > 5 * countries[-1]


def test_every_key_refers_to_a_row(loaded: Flask) -> None:
    """On PostgreSQL, adding the constraints anew proved the same."""
    if is_sqlite():
        assert run("PRAGMA foreign_key_check") == []
    else:
        assert run("SELECT 1 FROM pg_constraint WHERE NOT convalidated") == []
    own = 'SELECT id FROM identity WHERE user_id = "user".id'
    assert run(f'SELECT id FROM "user" WHERE last_identity_id NOT IN ({own})') == []


def test_counters_and_moments_are_those_of_the_messages(loaded: Flask) -> None:
    for user in User.select():
        told = list(
            Message.select()
            .where(Message.user == user, Message.author != AuthorKind.SYSTEM)
            .order_by(Message.at, Message.id)
        )
        inbound = [one for one in told if one.author == AuthorKind.USER]
        assert user.received_count == len(inbound)
        assert user.sent_count == len(told) - len(inbound)
        assert user.created == told[0].at
        assert (user.first_seen, user.last_seen) == (inbound[0].at, inbound[-1].at)
        assert user.last_identity_id == inbound[-1].identity_id
        last = told[-1]
        shown = (user.last_message_at, user.last_message_author, user.last_message_name)
        assert shown == (last.at, last.author, last.author_name)
        assert user.last_message_text == " ".join(last.text.split())[:140]
        assert last.at <= clock.now()


def test_sessions_are_those_that_core_would_have_made(loaded: Flask) -> None:
    count = 0
    for identity in Identity.select():
        idle = timedelta(seconds=identity.deployment.idle_seconds)
        found = list(Session.select().where(Session.identity == identity).order_by(Session.id))
        told = list(
            Message.select()
            .where(Message.identity == identity, Message.author != AuthorKind.SYSTEM)
            .order_by(Message.at, Message.id)
        )
        running: Session | None = None
        for message in told:
            if running is None or not sessions.is_running(running, message.at):
                running = found.pop(0)
                count += 1
                assert (running.opened, running.user_id) == (message.at, identity.user_id)
                left = running.message_count
            left -= 1
            assert message.session_id == running.id
            assert left >= 0
            assert running.expires >= message.at + idle
        assert found == []
        assert identity.last_inbound == max(one.at for one in told if one.author == AuthorKind.USER)
    assert count == Session.select().count()


def test_most_have_two_messages_and_a_few_have_thousands() -> None:
    counts = sorted(shares(20_000, 100_000, random.Random(1)))
    assert sum(counts) == 100_000
    assert counts[10_000] == 2
    assert 1_000 < counts[-1] <= MOST_EACH


@pytest.mark.parametrize(("users", "messages"), [(1, 1), (7, 7), (3, 3_000), (1_000, 1_001), (50, 50_000)])
def test_shares_add_up(users: int, messages: int) -> None:
    counts = shares(users, messages, random.Random(1))
    assert (len(counts), sum(counts)) == (users, messages)
    assert min(counts) >= 1
    assert max(counts) <= MOST_EACH


# ── Core reads it ─────────────────────────────────────────────────────────────────────────────────


def test_core_reads_every_user(loaded: Flask) -> None:
    """A1, U1: list, conversation and properties."""
    listed = audience.page(limit=USERS + 1).rows
    assert len(listed) == USERS
    kinds: set[str] = set()
    for row in listed:
        known = values.values(row["id"])
        kinds |= {key for key, value in known.items() if value.is_set}
        for key, value in known.items():
            if value.is_set:
                assert catalogue().by_key[key].type.take(value.value) == value.value
        assert conversation.page(row["id"])
    assert kinds >= {"plan", "city", "ltv", "labels", "cart_json", "interests", "birthday", "nps", "gender"}
    one = PropertySkipped.get()
    assert values.values(one.user_id)[catalogue().by_id[one.property_id].key] == SKIPPED


def test_search_rows_are_those_that_core_writes(loaded: Flask) -> None:
    def rows() -> list[tuple[Any, ...]]:
        return run("SELECT rowid, shown, personal FROM user_search ORDER BY rowid")

    before, names = rows(), run('SELECT id, name_key FROM "user" ORDER BY id')
    for user in User.select(User.id):
        search.index(user.id)
    assert rows() == before
    assert run('SELECT id, name_key FROM "user" ORDER BY id') == names


def test_a_user_is_found(loaded: Flask) -> None:
    """A7: by name, number and external id."""
    user = User.select().where(User.phone.is_null(False)).order_by(User.id.desc()).get()
    alias = IdentityAlias.get(IdentityAlias.identity == user.last_identity_id, IdentityAlias.kind == "bsuid")
    for query in (user.name, user.phone, alias.value):
        found = User.select(User.id).where(search.matching(query, personal=True))
        assert user.id in {one.id for one in found}
    masked = search.matching(masked_name(user.name)[:20], personal=False)
    assert user.id in {one.id for one in User.select(User.id).where(masked)}


def test_windows_are_open_for_some(loaded: Flask) -> None:
    """C2: whoever wrote within a day can be answered, others cannot."""
    now = clock.now()
    reached = {True: 0, False: 0}
    for identity in Identity.select().join(Deployment).where(Deployment.channel == "whatsapp"):
        is_open = identity.last_inbound > now - timedelta(hours=24)
        reached[is_open] += 1
        if identity.opted_out_at is None:
            found = gate(identity, Outbound(), Author(AuthorKind.BOT), now)
            assert (found.kind is ReachKind.FREE_FORM) is is_open, found
    assert reached[True]
    assert reached[False] > reached[True]


def test_chats_of_agents_and_of_those_who_wait_are_whole(app: Flask, clock: HeldClock) -> None:
    load(3_000, 30_000)
    held = list(User.select().where(User.handler != Handler.BOT))
    assert {one.handler for one in held} == {Handler.AGENT, Handler.WAITING}
    for user in held:
        note = Message.select().where(Message.user == user, Message.author == AuthorKind.SYSTEM)
        last = note.order_by(Message.at.desc()).get()
        assert user.handler_since == last.at
        assert (last.kind == "claimed") is (user.handler == Handler.AGENT)
        assert (user.agent_id is not None) is (user.handler == Handler.AGENT)
    assert len(held) < 60


# ── The same again, and more ──────────────────────────────────────────────────────────────────────


def test_the_same_seed_makes_the_same_data(loaded: Flask) -> None:
    first = contents()
    empty()
    load()
    assert contents() == first
    empty()
    load(seed=2)
    assert all(digest != first[table] for table, digest in contents().items())


def test_more_are_added_and_whoever_is_there_stays(loaded: Flask) -> None:
    people = run('SELECT key, name, last_seen FROM "user" ORDER BY id')
    load(100, 250, add=True)
    assert run('SELECT key, name, last_seen FROM "user" ORDER BY id')[:USERS] == people
    assert User.select().count() == USERS + 100
    assert Message.select().count() == MESSAGES + 250
    user = User.add()
    identity = Identity.add(user=user, deployment=Deployment.get())
    assert Message.add(
        user=user, identity=identity, session=None, deployment=Deployment.get(), author="user", kind="text"
    )
    assert user.id == USERS + 101


def test_a_crowd_comes_to_the_small_demo(app: Flask, clock: HeldClock) -> None:
    small = workspace.load()
    load(50, 100, add=True)
    assert User.select().count() == small + 50
    assert len(audience.page(limit=small + 60).rows) == small + 50


def test_indexes_and_constraints_are_afterwards_what_they_were(app: Flask, clock: HeldClock) -> None:
    properties.define()
    before = schema()
    load()
    assert schema() == before
    load(USERS + 1, MESSAGES, add=True)
    assert schema() == before


def test_an_index_of_a_user_with_a_percent_sign_comes_back(app: Flask, clock: HeldClock) -> None:
    properties.define()
    database.cursor().execute('CREATE INDEX "user_odd %s" ON "user" (name) WHERE name <> \'100%\'')
    before = schema()
    load(20, 40)
    assert schema() == before
    database.cursor().execute('DROP INDEX "user_odd %s"')


def test_what_is_interrupted_leaves_nothing_behind(app: Flask, clock: HeldClock) -> None:
    properties.define()
    before = schema()

    def interrupt(step: str, done: int, total: int) -> None:
        if step == "Making indexes" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scale.load(USERS, MESSAGES, 1, add=False, report=interrupt)
    assert schema() == before
    assert not User.select().exists()
    assert not Operator.select().exists()
    assert not workspace.is_loaded()
    if is_sqlite():
        assert run("PRAGMA foreign_keys") == [(1,)]
        assert run("PRAGMA temp_store") == [(2,)]
    while channels := parley_parts().channels:  # the process that was interrupted is gone
        channels.popitem()[1][1].close()
    load()
    assert schema() == before


# ── The command ───────────────────────────────────────────────────────────────────────────────────


def test_the_command_loads_and_says_so(app: Flask) -> None:
    result = parley("--users", "40", "--messages", "160", "--seed", "7")
    assert result.exit_code == 0, result.output
    assert "40 made-up people are there." in result.output
    assert (User.select().count(), Message.select().count()) == (40, 160)
    assert workspace.is_loaded()
    again = parley("--users", "40")
    assert again.exit_code == 1
    assert "This database has users, so nothing was loaded." in again.output
    assert User.select().count() == 40
    assert parley("--users", "40", "--add").exit_code == 0
    assert (User.select().count(), Message.select().count()) == (80, 160 + 200)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--users", "0"), "--users takes a number from 1 to 10,000,000."),
        (("--users", "-5"), "--users takes a number from 1 to 10,000,000."),
        (("--users", "99999999999"), "--users takes a number from 1 to 10,000,000."),
        (("--users", "10", "--messages", "9"), "--messages takes at least one for each user."),
        (("--users", "10", "--messages", "0"), "--messages takes at least one for each user."),
        (("--users", "10", "--messages", "10001"), "--messages takes at most 1,000 for each user."),
        (("--messages", "10"), "--messages and --add go with --users."),
        (("--add",), "--messages and --add go with --users."),
    ],
)
def test_nonsense_is_refused(app: Flask, arguments: tuple[str, ...], sentence: str) -> None:
    result = parley(*arguments)
    assert result.exit_code
    assert sentence in result.output
    assert "Nothing was loaded." in result.output
    assert not workspace.is_loaded()


def test_made_up_people_do_not_mix_with_real_ones(app: Flask) -> None:
    add_deployment("web", "real", "Real", "real", {})
    for more in ((), ("--add",)):
        result = parley("--users", "10", *more)
        assert result.exit_code == 1
        assert "made-up people do not mix with real ones" in result.output
    assert not User.select().exists()
    assert not Operator.select().exists()
