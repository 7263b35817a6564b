"""The shared PostgreSQL of the tests: copies of a template, and gone with its last user."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from servers import chromium_path, drop_postgres, postgres_url

USER_OF_A_SERVER = """
import sys, time
sys.path.insert(0, sys.argv[1])
import servers
print(servers.postgres_url(), flush=True)
time.sleep(60)
"""


def _fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE filled (once integer)")
        connection.execute("INSERT INTO filled VALUES (1)")


def test_each_database_is_a_copy_of_the_template_and_independent():
    first, second = postgres_url(_fill), postgres_url(_fill)
    with psycopg.connect(first) as connection:
        connection.execute("INSERT INTO filled VALUES (2)")
    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT once FROM filled").fetchall() == [(1,)]
    drop_postgres(first)
    drop_postgres(second)


def test_case_is_folded_beyond_ascii():
    url = postgres_url()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT lower('ÅSA ΩΜΈΓΑ')").fetchone() == ("åsa ωμέγα",)
    drop_postgres(url)


def test_the_server_goes_with_its_last_user_even_a_killed_one():
    alone = {name: value for name, value in os.environ.items() if name != "PYTEST_XDIST_TESTRUNUID"}
    command = [sys.executable, "-c", USER_OF_A_SERVER, str(Path(__file__).parent)]
    with subprocess.Popen(command, env=alone, stdout=subprocess.PIPE, text=True) as user:
        url = user.stdout.readline()
        home = Path(url.partition("?host=")[2].strip()).parent
        assert (home / "data" / "postmaster.pid").exists()
        user.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while home.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not home.exists()


def test_the_browser_is_there():
    assert os.access(chromium_path(), os.X_OK)
