"""Definitions come and go while others write: no failed request, no lost value, no deadlock."""

import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from core import columns, definitions, properties
from core.catalogue import catalogue
from core.db import is_sqlite, run
from core.definitions import BadDefinition
from core.models import Job, PropertyChange, PropertyColumn, User
from core.property_type import Storage
from core.values import Value
from defining import ROBO, SYSTEM, define, draft, person, problems, put, value
from fake_channel import at_once, deploy, says, user_of

PLUGINS = ("fake_channel",)
HERE = Path(__file__).parent

# Another process: it defines, archives, restores, pins, makes filterable and purges until it is told to stop.
DEFINER = """
import sys, time
from pathlib import Path
from conftest import settings_for
from core import definitions, property_jobs
from core.app import create_app
from core.db import database
from core.definitions import BadDefinition
from core.worker import Worker
from defining import define, draft

url, folder, name, seconds = sys.argv[1:]
app = create_app(settings_for(url, Path(folder), plugins=("fake_channel",)))
rounds = 0
with app.app_context(), database.connection_context():
    worker = Worker(app)
    print("ready", flush=True)
    sys.stdin.readline()
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        for filterable in (True, False):
            key = f"{name}_{rounds}_{filterable:d}"
            define(key, "integer", filterable=filterable, default=7)
            definitions.edit(key, draft(key, "integer", filterable=True, label="Other"))
            worker.run_until_idle()
            definitions.pin([key])
            definitions.archive(key)
            if rounds % 3:
                definitions.restore(key)
                definitions.archive(key)
            if rounds % 2:
                definitions.purge(key)
        rounds += 1
        worker.run_until_idle()
    worker.run_until_idle()
print(rounds, flush=True)
"""


def another(settings, tmp_path, name, seconds):
    """Start a process that defines; it waits for a line."""
    environment = {"PYTHONPATH": f"{HERE.parent}:{HERE}", "PATH": "", "PYTHONUTF8": "1"}
    given = [sys.executable, "-c", DEFINER, settings.database_url, str(tmp_path), name, str(seconds)]
    return subprocess.Popen(
        given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE, env=environment
    )


@pytest.mark.parametrize("seconds", [2, pytest.param(25, marks=pytest.mark.long)])
def test_four_write_while_another_process_defines_and_purges(app, settings, tmp_path, seconds):
    shop = deploy()
    define("steady", "integer")
    define("kept", "integer", filterable=False)
    others = [another(settings, tmp_path, f"p{number}", seconds) for number in range(2)]
    done = {}

    def writes(number):
        def work():
            count = 0
            while time.monotonic() < until or count == 0:
                count += 1
                accepted = says(shop, f"u{number}", str(count))
                says(shop, f"new-{number}-{count}")
                user_id = user_of(accepted).id
                volatile = [key for key in catalogue().by_key if key.startswith("p")][-3:]
                given = {"steady": count, "kept": count, **dict.fromkeys(volatile, count)}
                written = properties.write(
                    user_id, given, SYSTEM, message_id=accepted.message_id, whole=False
                )
                assert {"steady", "kept"} <= set(written.changed)
            done[number] = count
            return True

        return work

    try:
        assert [one.stdout.readline() for one in others] == ["ready\n"] * 2
        until = time.monotonic() + seconds
        for one in others:
            one.stdin.write("go\n")
            one.stdin.flush()
        assert at_once(app, *(writes(number) for number in range(4))) == [True] * 4
        for one in others:
            rounds = one.communicate(timeout=60)[0]
            assert one.returncode == 0
            assert int(rounds) > 0
    finally:
        for one in others:
            one.kill()
    for number, count in done.items():
        asha = user_of(says(shop, f"u{number}"))
        assert (value(asha.id, "steady"), value(asha.id, "kept")) == (Value(count), Value(count))
        for key in ("steady", "kept"):
            made = catalogue(fresh=True).by_key[key]
            after = [one.after["value"] for one in properties.history(asha.id, made, 100_000)]
            assert after == list(range(count, 0, -1))
    assert User.select().count() == 4 + sum(done.values())
    assert not Job.select().where(Job.failed.is_null(False)).exists()
    for one in PropertyColumn.select().where(PropertyColumn.property.is_null()):
        assert run(f'SELECT COUNT("{columns.name_of(one)}") FROM "user"') == [(0,)]
    gone = PropertyChange.select(PropertyChange.property).distinct().tuples()
    assert {one for (one,) in gone} <= {one.id for one in catalogue(fresh=True).by_key.values()}


def test_two_who_define_one_key_make_it_once(app):
    def creates():
        try:
            return define("plan").key
        except BadDefinition as error:
            return error.problems

    for _ in range(3):
        results = at_once(app, creates, creates, creates)
        assert results.count("plan") == 1
        assert all("key" in one for one in results if one != "plan")
        definitions.archive("plan")
        definitions.purge("plan")


def test_many_who_define_at_once_get_a_column_each(app):
    results = at_once(app, *(lambda number=number: define(f"k{number}").column for number in range(6)))
    assert len(set(results)) == 6
    assert all(isinstance(one, str) for one in results)


def test_two_who_want_the_last_column_one_gets_it(app, monkeypatch):
    monkeypatch.setattr(columns, "MOST_COLUMNS", 1)
    results = at_once(app, *(lambda number=number: problems(draft(f"k{number}")) for number in range(4)))
    assert results.count({}) == 1
    assert PropertyColumn.select().count() == 1
    assert all("as many" in one["filterable"] for one in results if one)
    assert problems(draft("in_json", filterable=False)) == {}


def test_a_column_is_added_past_readers_who_come_and_go(app, settings):
    if is_sqlite():
        pytest.skip("SQLite adds a column past any reader.")
    says(deploy())
    with psycopg.connect(settings.database_url) as reader:
        reader.execute('SELECT COUNT(*) FROM "user"')  # its transaction stays open

        def ends():
            time.sleep(1)
            reader.rollback()
            return True

        def writes():
            slowest = 0.0
            for number in range(20):
                began = time.monotonic()
                says(deploy(account=f"a{number}"))
                slowest = max(slowest, time.monotonic() - began)
                time.sleep(0.05)
            return slowest

        defined, _, slowest = at_once(app, lambda: define("plan").column, ends, writes)
    assert isinstance(defined, str)
    assert slowest < 0.9  # nobody waits for the reader, only for one try at the lock


def test_a_reader_who_never_ends_is_an_answer_and_no_error(app, settings, monkeypatch):
    if is_sqlite():
        pytest.skip("SQLite adds a column past any reader.")
    monkeypatch.setattr(columns, "_MOST_TRIES", 2)
    with psycopg.connect(settings.database_url) as reader:
        reader.execute('SELECT COUNT(*) FROM "user"')
        assert "busy" in problems(draft("plan"))["filterable"]
        reader.rollback()
    assert problems(draft("plan")) == {}


def test_a_person_and_a_bot_at_once_leave_the_persons_value(app):
    asha = user_of(says(deploy()))
    define("city")
    for number in range(5):
        results = at_once(
            app,
            lambda number=number: put(asha.id, ROBO, city=f"bot {number}"),
            lambda number=number: put(asha.id, person(), city=f"person {number}"),
        )
        assert not [one for one in results if isinstance(one, Exception)]
        assert value(asha.id, "city") == Value(f"person {number}")
        properties.release(asha.id, "city", person())


def test_of_two_saves_from_the_same_page_one_is_told(app):
    asha = user_of(says(deploy()))
    define("city")
    for number in range(5):
        version = properties.standing(asha.id, [catalogue().by_key["city"]]).get("city")
        seen = {"city": version.id if version else 0}

        def saves(given, seen=seen):
            return lambda: properties.write(asha.id, {"city": given}, person(), seen=seen)

        results = at_once(app, saves(f"one {number}"), saves(f"two {number}"))
        refused = [one for one in results if isinstance(one, properties.Refused)]
        assert len(refused) == 1
        assert refused[0].refusals[0].conflict


def test_an_obtained_column_has_the_type_that_was_asked_for(app):
    for storage in Storage:
        name = columns.obtain(storage)
        assert columns.obtain(storage) == name
        assert columns.obtain(storage, [name]) != name
