"""Migrations: the tables are what the models say, on both engines, whoever makes them and how often."""

import multiprocessing
import shutil
import sqlite3

import psycopg
import pytest
from peewee import (
    AutoField,
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    TextField,
)
from playhouse.migrations import Runner

from conftest import close, settings_for
from core.app import MIGRATIONS, create_app
from core.context import parley
from core.db import ExactJSONField, MomentField, connect, database, is_sqlite, migrate
from core.manager import PluginManager
from core.models import User
from core.models.base import Table
from core.search import UserSearch
from core.settings import SHIPPED
from servers import drop_postgres, postgres_url

SQLITE_TYPES = {
    AutoField: "INTEGER",
    BigAutoField: "INTEGER",
    BigIntegerField: "INTEGER",
    IntegerField: "INTEGER",
    BooleanField: "INTEGER",
    MomentField: "INTEGER",
    TextField: "TEXT",
    JSONField: "TEXT",
    ExactJSONField: "TEXT",
    BlobField: "BLOB",
}
POSTGRESQL_TYPES = {
    AutoField: "integer",
    BigAutoField: "bigint",
    BigIntegerField: "bigint",
    IntegerField: "integer",
    BooleanField: "boolean",
    MomentField: "timestamp with time zone",
    TextField: "text",
    JSONField: "jsonb",
    ExactJSONField: "text",
    BlobField: "bytea",
}

BESIDE_THE_MODEL = {"labels": True, "properties": True}
"""Columns of the user that only core.values reads, in SQL of its own: a list of users must not carry them."""


def models(of=Table):
    """Return every model there is, plugins' included."""
    found = [below for model in of.__subclasses__() for below in (model, *models(model))]
    return [model for model in found if not model.__module__.startswith("test")]


def declared_type(field):
    if isinstance(field, ForeignKeyField):
        field = field.rel_field
        kind = BigIntegerField if isinstance(field, BigAutoField) else type(field)
    else:
        kind = type(field)
    return (SQLITE_TYPES if is_sqlite() else POSTGRESQL_TYPES)[kind]


def declared(model):
    """Return the columns of a model: type, and whether they may be empty."""
    return {field.column_name: (declared_type(field), field.null) for field in model._meta.sorted_fields}


def migrated(table):
    """Return the columns of a table: type, and whether they may be empty."""
    return {
        column.name: (column.data_type, column.null and not (is_sqlite() and column.primary_key))
        for column in database.get_columns(table)
    }


def test_the_tables_are_what_the_models_say(app):
    checked = [model for model in models() if not (is_sqlite() and model is UserSearch)]
    assert len(checked) >= 18
    for model in checked:
        table = model._meta.table_name
        beside = BESIDE_THE_MODEL if model is User else {}
        stored = migrated(table)
        assert {name: stored.pop(name)[1] for name in beside} == beside
        assert stored == declared(model), table


def test_every_table_has_its_model(app):
    tables = {
        name
        for name in database.get_tables()
        if not name.endswith("_migration") and not name.startswith(("user_search_", "sqlite_"))
    }
    assert tables == {model._meta.table_name for model in models()}


def test_what_a_model_calls_unique_is_unique(app):
    for model in models():
        if is_sqlite() and model is UserSearch:
            continue
        table = model._meta.table_name
        unique = {tuple(index.columns) for index in database.get_indexes(table) if index.unique}
        for field in model._meta.sorted_fields:
            assert not field.unique or (field.column_name,) in unique, (table, field.name)


def test_what_a_model_refers_to_is_referred_to(app):
    """A key that cannot be one says why in its migration: `last_identity` would close a circle."""
    for model in models():
        table = model._meta.table_name
        stored = {(key.column, key.dest_table) for key in database.get_foreign_keys(table)}
        wanted = {
            (field.column_name, field.rel_model._meta.table_name)
            for field in model._meta.sorted_fields
            if isinstance(field, ForeignKeyField)
        }
        assert wanted - stored <= {("last_identity_id", "identity")}, table


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request, tmp_path):
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/parley.db"
        return
    url = postgres_url()
    yield url
    drop_postgres(url)


def tables(url):
    """Return the tables of a database, over a connection of its own."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        connection.close()
    else:
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            ).fetchall()
    return {name for (name,) in rows if not name.startswith("sqlite_")}


def end():
    if not database.is_closed():
        database.close()
    database.obj.close_all()


def test_up_runs_each_migration_once(empty):
    connect(empty)
    folders = [("core", MIGRATIONS)]
    first = migrate(folders)
    assert first[0] == "core/0001_initial"
    before = tables(empty)
    assert migrate(folders) == []
    assert tables(empty) == before
    end()


def test_down_takes_everything_away_and_up_brings_it_back(empty):
    manager = PluginManager()
    manager.load(SHIPPED)
    folders = [("core", MIGRATIONS), *manager.migrations()]
    assert len(folders) > 2
    connect(empty)
    migrate(folders)
    before = tables(empty)
    with database.connection_context():
        for owner, folder in reversed(folders):
            runner = Runner(database.obj, directory=str(folder), table_name=f"{owner}_migration")
            while runner.down():
                pass
    assert tables(empty) == {f"{owner}_migration" for owner, _ in folders}
    migrate(folders)
    assert tables(empty) == before
    end()


def start(url, folder, barrier, answers):
    barrier.wait(60)
    try:
        app = create_app(settings_for(url, folder, plugins=("plugins.bots",)))
        answers.put([])
        close(app)
    except BaseException as error:
        answers.put([f"{type(error).__name__}: {error}"])


def test_two_processes_that_start_at_once_migrate_once(empty, tmp_path):
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(2), spawn.Queue()
    processes = [spawn.Process(target=start, args=(empty, tmp_path, barrier, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    problems = [problem for _ in processes for problem in answers.get(timeout=90)]
    for process in processes:
        process.join(30)
    assert problems == []
    assert {"user", "bots_bot", "core_migration", "bots_migration"} <= tables(empty)


def test_a_migration_that_fails_leaves_nothing_behind(empty, tmp_path):
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    (folder / "0099_broken.py").write_text(
        "def up(migrator, db):\n    db.execute_sql('CREATE TABLE half (id INTEGER)')\n    1 / 0\n"
    )
    connect(empty)
    with pytest.raises(ZeroDivisionError):
        migrate([("core", folder)])
    assert tables(empty) == set()
    assert migrate([("core", MIGRATIONS)])
    end()


def test_the_plugins_bring_their_own_tables_under_their_own_names(app):
    owners = tuple(f"{owner}_" for owner, _ in parley().manager.migrations())
    brought = [model._meta.table_name for model in models() if not model.__module__.startswith("core.")]
    assert brought
    assert [table for table in brought if not table.startswith(owners)] == []
