"""The world that the benchmarks measure in: a filled database, servers on it, and clients that take turns."""

import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

import bench_data
import conftest
from admin import passwords
from core.app import create_app
from core.db import database
from core.deployments import add_deployment
from core.models import Deployment, Operator, User
from servers import copy_postgres, postgres_url

ROOT = Path(__file__).resolve().parent.parent
USERS = int(os.environ.get("BENCH_USERS", "100000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "60"))
PASSWORD = "a password for the benchmark"
APP_SECRET = "0123456789abcdef0123456789abcdef"
LONG, SHORT = 10_000, 50


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


@contextmanager
def application(filled: World) -> Iterator[None]:
    """Enter an app on a world's database, to change what is there."""
    app = create_app(conftest.settings_for(filled.url, filled.folder))
    with app.app_context(), database.connection_context():
        yield
    conftest.close(app)


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
