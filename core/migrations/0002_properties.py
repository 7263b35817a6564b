"""Create the tables of properties, and the columns that hold their values."""

from typing import Any

from core.db import dialect_types

# Values stand in a column of the user each, which is added when its property is defined; those that no
# condition asks for share `user.properties`. JSON that must come back exactly as it was written is text.
TABLES = """
CREATE TABLE property (
    id {id_used_once},
    key TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    help TEXT NOT NULL,
    type TEXT NOT NULL,
    scope TEXT NOT NULL,
    source TEXT NOT NULL,
    owner TEXT NOT NULL,
    options TEXT NOT NULL,
    initial TEXT,
    section TEXT NOT NULL,
    pinned {ref},
    editable_by {json} NOT NULL,
    personal {flag} NOT NULL,
    filterable {flag} NOT NULL,
    storage_column TEXT,
    promotes_to TEXT,
    archived {moment},
    created {moment} NOT NULL,
    changed {moment} NOT NULL,
    filled {ref},
    counted {moment},
    conversion TEXT
);

CREATE TABLE property_version (
    id {ref} NOT NULL PRIMARY KEY,
    number {ref} NOT NULL
);

CREATE TABLE property_column (
    id {id},
    storage TEXT NOT NULL,
    property_id {ref} REFERENCES property (id),
    freed {moment}
);

CREATE TABLE property_change (
    id {id_used_once},
    user_id {ref} NOT NULL REFERENCES "user" (id),
    property_id {ref} NOT NULL REFERENCES property (id),
    session_id {ref} REFERENCES session (id),
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    origin TEXT NOT NULL,
    actor TEXT NOT NULL,
    operator_id {ref} REFERENCES operator (id),
    message_id {ref} REFERENCES message (id),
    at {moment} NOT NULL,
    holds {flag} NOT NULL
);
CREATE INDEX property_change_user ON property_change (user_id, property_id, id);
CREATE INDEX property_change_property ON property_change (property_id, id);
CREATE INDEX property_change_message ON property_change (message_id) WHERE message_id IS NOT NULL;

CREATE TABLE property_skipped (
    user_id {ref} NOT NULL REFERENCES "user" (id),
    property_id {ref} NOT NULL REFERENCES property (id),
    PRIMARY KEY (user_id, property_id)
);
CREATE INDEX property_skipped_property ON property_skipped (property_id);

CREATE TABLE property_proposal (
    id {id_used_once},
    key TEXT NOT NULL UNIQUE,
    actor TEXT NOT NULL,
    offers {ref} NOT NULL,
    first_offered {moment} NOT NULL,
    last_offered {moment} NOT NULL,
    refused {moment}
);

CREATE TABLE property_offer (
    proposal_id {ref} NOT NULL REFERENCES property_proposal (id),
    user_id {ref} NOT NULL REFERENCES "user" (id),
    value TEXT NOT NULL,
    message_id {ref} REFERENCES message (id),
    at {moment} NOT NULL,
    PRIMARY KEY (proposal_id, user_id)
);

ALTER TABLE "user" ADD COLUMN labels {json};
ALTER TABLE "user" ADD COLUMN properties TEXT;
ALTER TABLE session ADD COLUMN properties TEXT;
"""


def up(migrator: Any, db: Any) -> None:
    """Create everything."""
    for statement in TABLES.split(";"):
        if statement.strip():
            db.execute_sql(statement.format(**dialect_types()))


def down(migrator: Any, db: Any) -> None:
    """Drop everything again."""
    statements = [statement.split() for statement in TABLES.split(";") if statement.strip()]
    for words in reversed(statements):
        if words[1] == "TABLE" and words[0] == "CREATE":
            db.execute_sql(f"DROP TABLE {words[2]}")
        elif words[0] == "ALTER":
            db.execute_sql(f"ALTER TABLE {words[2]} DROP COLUMN {words[5]}")
