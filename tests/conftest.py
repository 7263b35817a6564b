"""Fixtures of the house: an app on each database, a clock that can be held, and hands to work it with."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser

from core import clock as clocks
from core.app import create_app
from core.clock import HeldClock
from core.db import database
from core.settings import SHIPPED, Settings
from core.worker import Worker
from office import Office
from played_bot import PlayedBot
from servers import chromium_options, drop_postgres, empty_postgres, postgres_url

SECRET_KEY = "a secret key for the tests, long enough"

_spare: list[str] = []
"""Databases that a test is done with, emptied for the next."""


def settings_for(url: str, folder: Path, **overrides: Any) -> Settings:
    """Return settings for a database; nothing is read from the environment."""
    given: dict[str, Any] = {
        "secret_key": SECRET_KEY,
        "database_url": url,
        "data_dir": folder,
        "plugins": SHIPPED,
    }
    return Settings(**{**given, **overrides})


def close(app: Flask) -> None:
    """End what an app keeps open: streams, connections, clients."""
    parts = app.extensions["parley"]
    parts.hub.stop()
    for _, channel in parts.channels.values():
        channel.close()
    if not database.is_closed():
        database.close()
    if hasattr(database.obj, "close_all"):
        database.obj.close_all()


def prepare(url: str) -> None:
    """Bring an empty database to the newest schema."""
    close(create_app(settings_for(url, Path())))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, to be copied."""
    path = tmp_path_factory.mktemp("template") / "parley.db"
    prepare(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh, migrated database of each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "parley.db")
        yield f"sqlite:///{tmp_path}/parley.db"
        return
    url = _spare.pop() if _spare else postgres_url(prepare)
    yield url
    if empty_postgres(url):
        _spare.append(url)
    else:
        drop_postgres(url)


@pytest.fixture
def settings(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Settings:
    """The settings of the app under test; a module of tests may name other plugins as `PLUGINS`."""
    return settings_for(database_url, tmp_path, plugins=getattr(request.module, "PLUGINS", SHIPPED))


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """An app on a fresh database, with everything that ships, and its context pushed."""
    app = create_app(settings)
    with app.app_context(), database.connection_context():
        yield app
    close(app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without a login."""
    return app.test_client()


@pytest.fixture
def clock() -> Iterator[HeldClock]:
    """The clock, held: it moves when it is told to."""
    with clocks.held() as held:
        yield held


@pytest.fixture
def worker(app: Flask) -> Worker:
    """A worker that does what is due when it is asked to, in the test's own thread."""
    return Worker(app)


@pytest.fixture
def bot() -> Iterator[PlayedBot]:
    """A bot that a server plays."""
    played = PlayedBot()
    yield played
    played.stop()


@pytest.fixture
def office(app: Flask, browser: Browser) -> Iterator[Office]:
    """The panel under a server, with a worker."""
    office = Office(app, browser)
    yield office
    office.close()


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Launch the browser that the bootstrap found."""
    return chromium_options()


@pytest.fixture(scope="session")
def base_url() -> None:
    """Take the place of pytest-base-url's fixture, whose form this pytest warns of."""
