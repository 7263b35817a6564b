"""Measure Parley beside its peers in one run: `make bench`, or `make bench BENCH=audience`.

Machines are noisy, so each number stands beside another of the same run: ours and the peer's requests take
turns, and what counts is the ratio of the medians. Prints a table and writes var/bench.json.
"""

import hashlib
import hmac
import json
import os
import pickle
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

import bench_data

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import conftest  # noqa: E402
from admin import passwords  # noqa: E402
from core.app import create_app  # noqa: E402
from core.db import database  # noqa: E402
from core.deployments import add_deployment  # noqa: E402
from core.models import Deployment, Operator, User  # noqa: E402
from servers import copy_postgres, postgres_url  # noqa: E402

USERS = int(os.environ.get("BENCH_USERS", "100000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "60"))
WEBHOOKS = int(os.environ.get("BENCH_WEBHOOKS", "800"))
PASSWORD = "a password for the benchmark"
APP_SECRET = "0123456789abcdef0123456789abcdef"
LONG, SHORT = 10_000, 50


@dataclass(frozen=True)
class Measured:
    """One row of the table.

    `ratio` is ours to the peer's; `aim` says on which side of which number it should lie.
    """

    name: str
    database: str
    ours: float
    unit: str
    peer: str
    peer_value: float
    floor: float | None
    ratio: float
    aim: str
    holds: bool


@dataclass(frozen=True)
class World:
    """A filled database, and the environment in which servers find it."""

    engine: str
    url: str
    folder: Path
    environment: dict[str, str]
    deployment_key: str
    long_key: str
    short_key: str


def main() -> int:
    """Run the benchmarks named on the command line, or all; the exit code says whether every aim is met."""
    wanted = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in wanted if name not in BENCHMARKS]:
        print(f"There is no benchmark called {', '.join(unknown)}. There are: {', '.join(BENCHMARKS)}.")
        return 2
    rows: list[Measured] = []
    for engine in ("sqlite", "postgresql"):
        with world(engine) as filled:
            for name in wanted:
                rows += BENCHMARKS[name](filled)
    target = ROOT / "var" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    show(rows)
    return 0 if all(row.holds for row in rows) else 1


def audience(filled: World) -> list[Measured]:
    """Measure the first page of the list against stock Flask-Admin: same table, rows, columns and login."""
    with (
        served("wsgi:app", filled) as ours,
        served("bench_peers:stock_panel()", filled) as stock,
        sign_in(ours) as mine,
        httpx.Client(base_url=stock) as theirs,
    ):
        theirs.post("/login", data={"email": "bench@example.com"})
        times = in_turns(
            lambda: page(mine, "/audience/", "bench0000001"),
            lambda: page(theirs, "/admin/user/", bench_data.phone(1)),
        )
    return [compared("audience first page", filled, times, "stock Flask-Admin", "under 0.5", below=0.5)]


def profile(filled: World) -> list[Measured]:
    """Measure the profile of someone with 10,000 messages against the same page of someone with 50."""
    with served("wsgi:app", filled) as ours, sign_in(ours) as mine:
        times = in_turns(
            lambda: page(mine, f"/audience/{filled.long_key}", filled.long_key),
            lambda: page(mine, f"/audience/{filled.short_key}", filled.short_key),
        )
    return [
        compared(
            f"profile, {LONG:,} messages", filled, times, f"the same with {SHORT}", "under 1.5", below=1.5
        )
    ]


def webhooks(filled: World) -> list[Measured]:
    """Measure webhooks a second against a bare route that checks the signature and runs the same SQL."""
    bodies = [webhook_body(number) for number in range(WEBHOOKS)]
    recorded = filled.folder / "statements"
    recorded.write_bytes(pickle.dumps(record(copied(filled), bodies)))
    extra = {"BENCH_STATEMENTS": str(recorded), "BENCH_APP_SECRET": APP_SECRET}
    with (
        served("wsgi:app", copied(filled)) as ours,
        served("bench_peers:bare_webhook()", copied(filled), extra) as bare,
        httpx.Client(base_url=ours) as mine,
        httpx.Client(base_url=bare) as theirs,
    ):
        waiting = iter(bodies), iter(bodies)
        times = in_turns(
            lambda: deliver(mine, f"/webhooks/{filled.deployment_key}", next(waiting[0])),
            lambda: deliver(theirs, "/webhooks/bare", next(waiting[1])),
            rounds=WEBHOOKS,
            warm_up=0,
        )
    a_second = tuple([1 / statistics.median(taken)] for taken in times)
    row = compared(
        "webhooks", filled, a_second, "bare Flask, same SQL", "over 0.5", above=0.5, unit="a second"
    )
    return [row]


BENCHMARKS: dict[str, Callable[[World], list[Measured]]] = {
    "audience": audience,
    "profile": profile,
    "webhooks": webhooks,
}


@contextmanager
def world(engine: str) -> Iterator[World]:
    """Fill a database with USERS people, one of them with a long conversation, and an operator."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/parley.db" if engine == "sqlite" else postgres_url(durable=True)
        app = create_app(conftest.settings_for(url, folder))
        with app.app_context(), database.connection_context():
            Operator.create(
                email="bench@example.com",
                name="Bench",
                password_hash=passwords.hashed(PASSWORD),
                roles=["admin", "agent"],
            )
            deployment = add_whatsapp()
            bench_data.fill(deployment, USERS)
            long_one, short_one = (User.get_by_id(number) for number in (2, 3))
            bench_data.lengthen(long_one.id, LONG, deployment)
            bench_data.lengthen(short_one.id, SHORT, deployment)
            keys = deployment.key, long_one.key, short_one.key
        conftest.close(app)
        yield World(engine, url, folder, environment(url, folder), *keys)


def add_whatsapp() -> Deployment:
    """Add a WhatsApp number whose provider is never called here."""
    config = {
        "phone_number_id": "1060",
        "waba_id": "2040",
        "access_token": "EAAbench",
        "app_secret": APP_SECRET,
        "verify_token": "verify",
        "base_url": "http://127.0.0.1:9",
    }
    return add_deployment("whatsapp", "1060", "Support line", "+1 555 0100", config)


def environment(url: str, folder: Path) -> dict[str, str]:
    """Return the environment of a server."""
    return {
        **os.environ,
        "PARLEY_DATABASE_URL": url,
        "PARLEY_SECRET_KEY": conftest.SECRET_KEY,
        "PARLEY_DATA_DIR": str(folder),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
    }


def copied(filled: World) -> World:
    """Return the same world on a copy of its database, so that what one writes is not there for the other."""
    if filled.engine == "sqlite":
        copy = Path(tempfile.mkdtemp(dir=filled.folder)) / "parley.db"
        shutil.copy(filled.folder / "parley.db", copy)
        url = f"sqlite:///{copy}"
    else:
        url = copy_postgres(filled.url)
    return World(**{**vars(filled), "url": url, "environment": environment(url, filled.folder)})


@contextmanager
def served(target: str, filled: World, extra: dict[str, str] | None = None) -> Iterator[str]:
    """Serve an app by gunicorn, one process, with the settings that Parley runs with."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ["--worker-class", "gthread", "--workers", "1", "--threads", "32", "--no-control-socket"]
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        *settings,
        "--bind",
        f"127.0.0.1:{port}",
        "--chdir",
        str(ROOT),
        target,
    ]
    with (filled.folder / "server.log").open("a") as log:
        process = subprocess.Popen(
            command, env={**filled.environment, **(extra or {})}, stdout=log, stderr=log
        )
    try:
        for _ in range(300):
            if process.poll() is not None:
                raise RuntimeError((filled.folder / "server.log").read_text()[-3000:])
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def sign_in(url: str) -> Iterator[httpx.Client]:
    """Return a client that has signed in as an operator does."""
    with httpx.Client(base_url=url, headers={"Accept-Encoding": "identity"}) as client:
        token = client.get("/login").text.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
        form = {"email": "bench@example.com", "password": PASSWORD, "csrf_token": token}
        answer = client.post("/login", data=form)
        if answer.status_code != 302:
            raise RuntimeError(f"Signing in was answered with {answer.status_code}.")
        yield client


def page(client: httpx.Client, path: str, expected: str) -> None:
    """Fetch a page, and make sure that it shows what it is measured for."""
    answer = client.get(path)
    if answer.status_code != 200 or expected not in answer.text:
        raise RuntimeError(f"{path} was answered with {answer.status_code} and does not show {expected!r}.")


def deliver(client: httpx.Client, path: str, body: bytes) -> None:
    """Deliver a signed webhook."""
    signature = hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
    answer = client.post(path, content=body, headers=headers)
    if answer.status_code != 200:
        raise RuntimeError(f"A webhook was answered with {answer.status_code}: {answer.text[:200]}")


def webhook_body(number: int) -> bytes:
    """Return a text message of one of the users, as WhatsApp sends it."""
    sender = bench_data.phone(1 + number * 7 % USERS)
    message = {
        "from": sender,
        "id": f"wamid.{number}",
        "timestamp": "1795600000",
        "type": "text",
        "text": {"body": "Has it left?"},
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550100", "phone_number_id": "1060"},
        "contacts": [{"profile": {"name": "Asha"}, "wa_id": sender}],
        "messages": [message],
    }
    change = {"field": "messages", "value": value}
    return json.dumps(
        {"object": "whatsapp_business_account", "entry": [{"id": "2040", "changes": [change]}]}
    ).encode()


def record(filled: World, bodies: list[bytes]) -> dict[str, list[tuple[str, Any]]]:
    """Return every statement that our webhook runs for each body, with its values, transactions included."""
    app = create_app(conftest.settings_for(filled.url, filled.folder))
    statements: list[tuple[str, Any]] = []
    original = database.obj.execute_sql

    def execute_sql(sql: str, params: Any = None, *rest: Any) -> Any:
        kept = [bytes(value) if isinstance(value, memoryview) else value for value in params or ()]
        statements.append((sql, kept))
        return original(sql, params, *rest)

    def noted(name: str, sql: str) -> Callable[..., Any]:
        function = getattr(database.obj, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            statements.append((sql, None))
            return function(*args, **kwargs)

        return wrapped

    database.obj.execute_sql = execute_sql
    database.obj.begin = noted("begin", "BEGIN IMMEDIATE" if filled.engine == "sqlite" else "BEGIN")
    database.obj.commit = noted("commit", "COMMIT")
    client = app.test_client()
    found = {}
    for body in bodies:
        statements.clear()
        signature = hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={signature}"}
        path = f"/webhooks/{filled.deployment_key}"
        answer = client.post(path, data=body, headers=headers, content_type="application/json")
        assert answer.status_code == 200, answer.text
        found[hashlib.sha256(body).hexdigest()] = list(statements)
    conftest.close(app)
    return found


def in_turns(
    ours: Callable[[], None], theirs: Callable[[], None], rounds: int = ROUNDS, warm_up: int = 5
) -> tuple[list[float], list[float]]:
    """Call both by turns; returns the seconds that each call took."""
    for _ in range(warm_up):
        ours()
        theirs()
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, into in zip((ours, theirs), taken, strict=True):
            start = time.perf_counter()
            call()
            into.append(time.perf_counter() - start)
    return taken


def compared(
    name: str,
    filled: World,
    samples: Any,
    peer: str,
    aim: str,
    *,
    below: float = float("inf"),
    above: float = 0,
    unit: str = "ms",
) -> Measured:
    """Make a row of the table out of two series: seconds become milliseconds, rates stay."""
    ours, theirs = (statistics.median(series) * (1000 if unit == "ms" else 1) for series in samples)
    ratio = ours / theirs
    rounded = [round(number, 2) for number in (ours, theirs, ratio)]
    return Measured(
        name, filled.engine, rounded[0], unit, peer, rounded[1], None, rounded[2], aim, above < ratio < below
    )


def show(rows: list[Measured]) -> None:
    """Print the table."""
    table = Table("benchmark", "database", "ours", "peer", "", "ratio", "aim", "")
    for row in rows:
        table.add_row(
            row.name,
            row.database,
            f"{row.ours:,} {row.unit}",
            f"{row.peer_value:,} {row.unit}",
            row.peer,
            str(row.ratio),
            row.aim,
            "holds" if row.holds else "[bold red]does not hold[/]",
        )
    Console(width=150).print(table)


if __name__ == "__main__":
    sys.exit(main())
