"""Create the table of tokens."""

from typing import Any

from core.db import dialect_types

TABLE = """
CREATE TABLE api_token (
    id {id},
    key TEXT NOT NULL UNIQUE,
    operator_id {ref} NOT NULL REFERENCES operator (id),
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    scopes {json} NOT NULL,
    created {moment} NOT NULL,
    expires {moment} NOT NULL,
    last_used {moment},
    revoked {moment}
)
"""


def up(migrator: Any, db: Any) -> None:
    """Create the table."""
    db.execute_sql(TABLE.format(**dialect_types()))


def down(migrator: Any, db: Any) -> None:
    """Drop the table."""
    db.execute_sql("DROP TABLE api_token")
