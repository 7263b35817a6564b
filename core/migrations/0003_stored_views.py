"""Create the table of stored views: what a link to a filtered list stands for."""

from typing import Any

from core.db import dialect_types

TABLE = """
CREATE TABLE stored_view (
    id {id},
    key TEXT NOT NULL UNIQUE,
    filter TEXT NOT NULL,
    created {moment} NOT NULL,
    used {moment} NOT NULL
)
"""


def up(migrator: Any, db: Any) -> None:
    """Create the table."""
    db.execute_sql(TABLE.format(**dialect_types()))


def down(migrator: Any, db: Any) -> None:
    """Drop it again."""
    db.execute_sql("DROP TABLE stored_view")
