"""Fill tables with a great many rows, by the engine's own bulk way: as a whole or not at all.

Indexes and constraints are made after the rows, which takes a fraction of the time, from the definitions that
the engine keeps of them. All of it is one transaction: whatever interrupts it leaves the database as it was.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from peewee import Model

from core.db import MomentField, database, is_sqlite, run

Report = Callable[[str, int, int], None]
"""Takes what is being done, how much of it is done, and how much there is."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SORT_MEMORY = "256MB"


@dataclass(frozen=True)
class Target:
    """A table, the columns that are given of it, and which of those are moments."""

    table: str
    columns: tuple[str, ...]
    moments: tuple[int, ...]


def target(model: type[Model], names: Sequence[str], more: Sequence[str] = ()) -> Target:
    """Return the target for these fields of `model`, in this order, and for `more` columns after them."""
    fields = [model._meta.fields[name] for name in names]
    return Target(
        model._meta.table_name,
        (*(field.column_name for field in fields), *more),
        tuple(place for place, field in enumerate(fields) if isinstance(field, MomentField)),
    )


def insert(into: Target, rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows; moments are microseconds since 1970, JSON is text, everything else as the column takes it.

    Foreign keys are not looked at before `filling` ends, and on SQLite not at all.
    """
    columns = ", ".join(_quoted(name) for name in into.columns)
    table = f"{_quoted(into.table)} ({columns})"
    if is_sqlite():
        marks = ", ".join("?" * len(into.columns))
        database.connection().executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608
        return
    with database.cursor().copy(f"COPY {table} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(_with_moments(into, row))


@contextmanager
def filling(targets: Sequence[Target], *, rebuild: bool, report: Report) -> Iterator[None]:
    """Open the transaction in which rows are inserted; `rebuild` takes the indexes away meanwhile."""
    with _without_keys(), database.atomic():
        if not is_sqlite():
            database.execute_sql(f"SET LOCAL maintenance_work_mem = '{_SORT_MEMORY}'")
        tables = [one.table for one in targets]
        statements = _take_away(tables) if rebuild else []
        yield
        if not is_sqlite():
            _set_sequences(tables)
            for table in tables:  # so that the planner checks foreign keys by a join of its choice
                database.execute_sql(f"ANALYZE {_quoted(table)}")
        for done, statement in enumerate(statements):
            report("Making indexes", done, len(statements))
            database.cursor().execute(statement)
        report("Storing", 0, 1)


def refresh(tables: Iterable[str]) -> None:
    """Tell the planner what is there now; call it with no transaction open."""
    if is_sqlite():
        database.execute_sql("ANALYZE")
        database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    for table in tables:  # vacuumed as well, or an index alone would answer nothing
        database.execute_sql(f"VACUUM (ANALYZE) {_quoted(table)}")


def next_id(model: type[Model]) -> int:
    """Return the smallest id above all that a table has."""
    [(highest,)] = run(f"SELECT MAX(id) FROM {_quoted(model._meta.table_name)}")  # noqa: S608
    return (highest or 0) + 1


def _take_away(tables: Sequence[str]) -> list[str]:
    """Drop the indexes and constraints of `tables`; returns what makes them again, in the right order."""
    drops, makes = _of_sqlite(tables) if is_sqlite() else _of_postgresql(tables)
    for statement in drops:
        database.cursor().execute(statement)  # as it is: a % in it stands for no value
    return makes


def _of_sqlite(tables: Sequence[str]) -> tuple[list[str], list[str]]:
    marks = ", ".join("?" * len(tables))
    # Those without SQL belong to a constraint, and stay.
    found = run(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "  # noqa: S608
        f"AND tbl_name IN ({marks}) ORDER BY rowid",
        *tables,
    )
    return [f"DROP INDEX {_quoted(name)}" for name, _ in found], [sql for _, sql in found]


def _of_postgresql(tables: Sequence[str]) -> tuple[list[str], list[str]]:
    quoted = [_quoted(table) for table in tables]
    # A unique constraint stays that a foreign key of some table rests on.
    constraints = run(
        """
        SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', c.conrelid::regclass, c.conname),
            format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', c.conrelid::regclass, c.conname,
                pg_get_constraintdef(c.oid))
        FROM pg_constraint c
        WHERE c.conrelid = ANY(CAST(? AS regclass[])) AND (c.contype = 'f' OR c.contype = 'u' AND NOT EXISTS (
            SELECT 1 FROM pg_constraint f WHERE f.contype = 'f' AND f.conindid = c.conindid))
        ORDER BY c.contype = 'u', c.oid
        """,
        quoted,
    )
    indexes = run(
        """
        SELECT format('DROP INDEX %%s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
        FROM pg_index i
        WHERE i.indrelid = ANY(CAST(? AS regclass[])) AND i.indisvalid AND NOT EXISTS (
            SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype <> 'f')
        ORDER BY i.indexrelid
        """,
        quoted,
    )
    drops = [drop for drop, _ in (*constraints, *indexes)]
    return drops, [*(make for _, make in indexes), *(make for _, make in reversed(constraints))]


@contextmanager
def _without_keys() -> Iterator[None]:
    """Let SQLite sort by way of the disk, and look at no foreign key, until the transaction is over."""
    if not is_sqlite():
        yield
        return
    before = {name: run(f"PRAGMA {name}")[0][0] for name in ("foreign_keys", "temp_store")}
    database.execute_sql("PRAGMA foreign_keys = 0")
    database.execute_sql("PRAGMA temp_store = 1")  # a file: in memory, an index would be sorted there
    try:
        yield
    finally:
        for name, value in before.items():
            database.execute_sql(f"PRAGMA {name} = {value}")


def _set_sequences(tables: Iterable[str]) -> None:
    """Let the sequences go on after the highest id."""
    for table in tables:
        [(sequence,)] = run(
            "SELECT (SELECT pg_get_serial_sequence(?, 'id') FROM pg_attribute "
            "WHERE attrelid = CAST(? AS regclass) AND attname = 'id')",
            _quoted(table),
            _quoted(table),
        )
        if sequence is not None:
            run(f"SELECT setval(?, (SELECT max(id) FROM {_quoted(table)}))", sequence)  # noqa: S608


def _with_moments(into: Target, row: Sequence[Any]) -> list[Any]:
    values = list(row)
    for place in into.moments:
        if (value := values[place]) is not None:
            values[place] = _EPOCH + timedelta(microseconds=value)
    return values


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
