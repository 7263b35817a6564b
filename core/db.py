"""Open SQLite or PostgreSQL, migrate it under a lock, and hide where the two differ."""

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from peewee import Database, DatabaseProxy, Field, SqliteDatabase, TextField
from playhouse.migrations import Runner
from playhouse.pool import PooledPostgresqlDatabase, PooledSqliteDatabase
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

log = logging.getLogger(__name__)

database = DatabaseProxy()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Sqlite(PooledSqliteDatabase):
    """SQLite with connections that stay open: closing the last one copies the whole log back each time."""

    # A moment is stored as microseconds since 1970, so that order, range and index are those of an integer.
    field_types = {"TIMESTAMPTZ": "INTEGER"}


class MomentField(Field):
    """An aware moment in UTC: TIMESTAMPTZ on PostgreSQL, integer microseconds since 1970 on SQLite."""

    field_type = "TIMESTAMPTZ"

    def db_value(self, value: Any) -> Any:
        """Convert for the database; raises ValueError for a naive datetime."""
        if not isinstance(value, datetime):
            return value
        if value.tzinfo is None:
            raise ValueError(f"{self.name}: a moment without a time zone cannot be stored")
        return (value - _EPOCH) // _MICROSECOND if is_sqlite() else value

    def python_value(self, value: Any) -> Any:
        """Convert from the database."""
        if isinstance(value, int):
            return _EPOCH + timedelta(microseconds=value)
        return value.astimezone(UTC) if isinstance(value, datetime) else value


class ExactJSONField(TextField):
    """JSON as text, which comes back just as it was written: JSONB gives numbers and keys its own form."""

    def db_value(self, value: Any) -> Any:
        """Convert for the database."""
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def python_value(self, value: Any) -> Any:
        """Convert from the database."""
        return None if value is None else json.loads(value)


def is_sqlite() -> bool:
    """Say whether the database in use is SQLite."""
    return isinstance(database.obj, SqliteDatabase)


def connect(url: str, max_connections: int = 20) -> Database:
    """Make `url` the database of this process; connections open when they are first needed.

    Raises ValueError for an engine that is neither SQLite nor PostgreSQL.
    """
    parts = urlsplit(url)
    opened: Database
    if parts.scheme == "sqlite":
        path = Path(unquote(url.removeprefix("sqlite:///")))
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = Sqlite(  # type: ignore[no-untyped-call]
            str(path),
            pragmas={
                "journal_mode": "wal",
                "synchronous": "full",  # an acknowledged webhook also survives a power cut
                "foreign_keys": 1,
                "cache_size": -64_000,
                "temp_store": "memory",
            },
            max_connections=1000,  # one a thread that is at work, which is all that limits them
            check_same_thread=False,  # the pool hands a connection to one thread at a time
            lock_type="IMMEDIATE",  # a transaction that would write waits at its start, never fails half-way
        )
        # From the first statement on: a pragma would come after the change of the journal, which waits too.
        opened.timeout = 30
    elif parts.scheme in ("postgresql", "postgres"):
        try:
            parameters = conninfo_to_dict(url)
        except ProgrammingError:  # its text repeats the URL, with the password
            raise ValueError("The database URL cannot be read. Write postgresql://user@host/name.") from None
        options = f"{parameters.pop('options', '')} -c timezone=UTC"
        opened = PooledPostgresqlDatabase(
            parameters.pop("dbname", "parley"),
            prefer_psycopg3=True,
            max_connections=max_connections,
            timeout=30,
            stale_timeout=300,
            options=options,
            **parameters,
        )
    else:
        raise ValueError(f"No database engine for {parts.scheme!r}; use sqlite:/// or postgresql://.")
    database.initialize(opened)
    return opened


def tuples(query: Any) -> list[tuple[Any, ...]]:
    """Run a SELECT and return its rows as tuples."""
    return list(query.tuples())


def dictionaries(query: Any) -> list[dict[str, Any]]:
    """Run a SELECT and return its rows as dictionaries."""
    return list(query.dicts())


def run(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run SQL that both engines understand, with a `?` for each value, and return its rows."""
    cursor = database.execute_sql(sql.replace("?", database.param), values)
    return cursor.fetchall() if cursor.description else []


def lock_for_update(query: Any, *, skip_locked: bool = False) -> Any:
    """Lock the rows of a SELECT until the transaction ends.

    With `skip_locked`, rows that another transaction holds are left out instead of waited for. A row that is
    locked can still be referred to by new rows of other tables. SQLite needs nothing: its transactions here
    begin IMMEDIATE, so there is one writer at a time.
    """
    if is_sqlite():
        return query
    return query.for_update("FOR NO KEY UPDATE SKIP LOCKED" if skip_locked else "FOR NO KEY UPDATE")


def migrate(folders: Iterable[tuple[str, Path]]) -> list[str]:
    """Bring the schema up to date, folder by folder, all in one transaction under one lock.

    Returns the names of the migrations that ran. A second process that starts meanwhile waits, then finds
    nothing to do.
    """
    ran: list[str] = []
    with database.connection_context(), database.atomic():
        if not is_sqlite():
            database.execute_sql("SELECT pg_advisory_xact_lock(hashtext('parley.migrate'))")
        for owner, folder in folders:
            runner = Runner(database.obj, directory=str(folder), table_name=f"{owner}_migration")
            ran += [f"{owner}/{name}" for name in runner.up()]
    for name in ran:
        log.info("migrated %s", name)
    return ran


def dialect_types() -> dict[str, str]:
    """Return the column types that differ between the engines, for migrations written as SQL."""
    if is_sqlite():
        return {
            "id": "INTEGER NOT NULL PRIMARY KEY",
            # Without AUTOINCREMENT SQLite gives a deleted row's id to the next one.
            "id_used_once": "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT",
            "ref": "INTEGER",
            "key": "TEXT",
            "moment": "INTEGER",
            "json": "TEXT",
            "blob": "BLOB",
            "flag": "INTEGER",
        }
    return {
        "id": "BIGSERIAL PRIMARY KEY",
        "id_used_once": "BIGSERIAL PRIMARY KEY",
        "ref": "BIGINT",
        # By code points: in the order of a language no range holds just what begins with a text.
        "key": 'TEXT COLLATE "C"',
        "moment": "TIMESTAMPTZ",
        "json": "JSONB",
        "blob": "BYTEA",
        "flag": "BOOLEAN",
    }
