"""Create the table of bots."""

from typing import Any

from core.db import dialect_types

TABLE = """
CREATE TABLE bots_bot (
    id {id},
    deployment_id {ref} NOT NULL UNIQUE REFERENCES deployment (id),
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    token TEXT,
    changed {moment} NOT NULL
)
"""


def up(migrator: Any, db: Any) -> None:
    """Create the table."""
    db.execute_sql(TABLE.format(**dialect_types()))


def down(migrator: Any, db: Any) -> None:
    """Drop the table."""
    db.execute_sql("DROP TABLE bots_bot")
