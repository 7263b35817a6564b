"""Create the tables of logins and of failed attempts."""

from typing import Any

from core.db import dialect_types

TABLES = """
CREATE TABLE panel_login (
    id {id},
    key TEXT NOT NULL UNIQUE,
    operator_id {ref} NOT NULL REFERENCES operator (id),
    epoch {ref} NOT NULL,
    started {moment} NOT NULL,
    seen {moment} NOT NULL
);
CREATE INDEX panel_login_seen ON panel_login (seen);

CREATE TABLE panel_attempt (
    id {id},
    key TEXT NOT NULL,
    at {moment} NOT NULL
);
CREATE INDEX panel_attempt_key ON panel_attempt (key, at);
CREATE INDEX panel_attempt_at ON panel_attempt (at);
"""


def up(migrator: Any, db: Any) -> None:
    """Create both tables."""
    for statement in TABLES.split(";"):
        if statement.strip():
            db.execute_sql(statement.format(**dialect_types()))


def down(migrator: Any, db: Any) -> None:
    """Drop both tables."""
    db.execute_sql("DROP TABLE panel_login")
    db.execute_sql("DROP TABLE panel_attempt")
