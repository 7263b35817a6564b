"""Create the tables of core."""

from typing import Any

from core.db import dialect_types, is_sqlite

TABLES = """
CREATE TABLE operator (
    id {id},
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    roles {json} NOT NULL,
    active {flag} NOT NULL,
    login_epoch {ref} NOT NULL,
    demo {flag} NOT NULL,
    created {moment} NOT NULL,
    last_login {moment}
);

CREATE TABLE deployment (
    id {id},
    key TEXT NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    account TEXT NOT NULL,
    label TEXT NOT NULL,
    place TEXT NOT NULL,
    config {json} NOT NULL,
    enabled {flag} NOT NULL,
    paused_reason TEXT,
    idle_seconds {ref} NOT NULL,
    created {moment} NOT NULL,
    changed {moment} NOT NULL,
    UNIQUE (channel, account)
);

CREATE TABLE template (
    id {id},
    deployment_id {ref} NOT NULL REFERENCES deployment (id),
    name TEXT NOT NULL,
    language TEXT NOT NULL,
    category TEXT NOT NULL,
    status TEXT NOT NULL,
    header TEXT NOT NULL,
    body TEXT NOT NULL,
    footer TEXT NOT NULL,
    buttons {json} NOT NULL,
    parameters {json} NOT NULL,
    synced {moment} NOT NULL,
    UNIQUE (deployment_id, name, language)
);

CREATE TABLE "user" (
    id {id},
    key TEXT NOT NULL UNIQUE,
    name TEXT,
    name_key {key},
    email TEXT,
    phone {key},
    gender TEXT,
    language TEXT,
    country TEXT,
    timezone TEXT,
    state TEXT NOT NULL,
    created {moment} NOT NULL,
    first_seen {moment},
    last_seen {moment},
    last_identity_id {ref},
    last_message_at {moment},
    last_message_author TEXT,
    last_message_name TEXT,
    last_message_text TEXT,
    handler TEXT NOT NULL,
    handler_since {moment} NOT NULL,
    agent_id {ref} REFERENCES operator (id),
    agent_active {moment},
    claimed_from TEXT,
    received_count {ref} NOT NULL,
    sent_count {ref} NOT NULL,
    session_count {ref} NOT NULL,
    event_seq {ref} NOT NULL
);
CREATE INDEX user_last_seen ON "user" (last_seen, id);
CREATE INDEX user_gone ON "user" (id) WHERE state <> 'active';
CREATE INDEX user_name_key ON "user" (name_key);
CREATE INDEX user_phone ON "user" (phone) WHERE phone IS NOT NULL;
CREATE INDEX user_agent ON "user" (agent_id) WHERE agent_id IS NOT NULL;
CREATE INDEX user_agent_active ON "user" (agent_active) WHERE agent_active IS NOT NULL;

CREATE TABLE identity (
    id {id},
    key TEXT NOT NULL UNIQUE,
    user_id {ref} NOT NULL REFERENCES "user" (id),
    deployment_id {ref} NOT NULL REFERENCES deployment (id),
    profile_name TEXT,
    created {moment} NOT NULL,
    last_inbound {moment},
    window_closed_at {moment},
    opted_out_at {moment},
    blocked_at {moment},
    unreachable TEXT,
    first_footprint {json} NOT NULL,
    last_footprint {json} NOT NULL,
    first_touch {moment},
    last_touch {moment}
);
CREATE INDEX identity_user ON identity (user_id);

CREATE TABLE identity_alias (
    id {id},
    deployment_id {ref} NOT NULL REFERENCES deployment (id),
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    identity_id {ref} NOT NULL REFERENCES identity (id),
    valid_from {moment} NOT NULL,
    valid_until {moment}
);
CREATE UNIQUE INDEX identity_alias_valid ON identity_alias (deployment_id, kind, value)
    WHERE valid_until IS NULL;
CREATE INDEX identity_alias_ended ON identity_alias (deployment_id, kind, value)
    WHERE valid_until IS NOT NULL;
CREATE INDEX identity_alias_identity ON identity_alias (identity_id);

CREATE TABLE session (
    id {id},
    user_id {ref} NOT NULL REFERENCES "user" (id),
    identity_id {ref} NOT NULL REFERENCES identity (id),
    deployment_id {ref} NOT NULL REFERENCES deployment (id),
    number {ref} NOT NULL,
    opened {moment} NOT NULL,
    last_inbound {moment},
    last_message {moment} NOT NULL,
    expires {moment} NOT NULL,
    closed {moment},
    closed_why TEXT,
    handlers {json} NOT NULL,
    message_count {ref} NOT NULL,
    footprint {json} NOT NULL,
    UNIQUE (user_id, number)
);
CREATE INDEX session_identity ON session (identity_id, id);
CREATE INDEX session_running ON session (expires) WHERE closed IS NULL;

CREATE TABLE message (
    id {id},
    user_id {ref} NOT NULL REFERENCES "user" (id),
    identity_id {ref} NOT NULL REFERENCES identity (id),
    session_id {ref} REFERENCES session (id),
    deployment_id {ref} NOT NULL REFERENCES deployment (id),
    at {moment} NOT NULL,
    author TEXT NOT NULL,
    author_name TEXT,
    operator_id {ref} REFERENCES operator (id),
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    payload {json} NOT NULL,
    reply_to TEXT,
    provider_id TEXT,
    request_key TEXT UNIQUE,
    state TEXT NOT NULL,
    error TEXT,
    attempted {moment},
    sent {moment},
    delivered {moment},
    read {moment},
    failed {moment}
);
CREATE INDEX message_stream ON message (user_id, at, id);
CREATE INDEX message_identity ON message (identity_id, at, id);
CREATE UNIQUE INDEX message_provider ON message (deployment_id, provider_id) WHERE provider_id IS NOT NULL;

CREATE TABLE held_status (
    id {id},
    deployment_id {ref} NOT NULL REFERENCES deployment (id),
    provider_id TEXT NOT NULL,
    received {moment} NOT NULL,
    status {json} NOT NULL
);
CREATE INDEX held_status_provider ON held_status (deployment_id, provider_id);

CREATE TABLE event (
    id {id},
    user_id {ref} NOT NULL REFERENCES "user" (id),
    seq {ref} NOT NULL,
    kind TEXT NOT NULL,
    reference {json} NOT NULL,
    at {moment} NOT NULL,
    handed_on {flag} NOT NULL,
    UNIQUE (user_id, seq)
);
CREATE INDEX event_pending ON event (id) WHERE NOT handed_on;

CREATE TABLE job (
    id {id_used_once},
    kind TEXT NOT NULL,
    request_key TEXT UNIQUE,
    lane TEXT,
    payload {json} NOT NULL,
    due {moment} NOT NULL,
    attempts {ref} NOT NULL,
    leased_by TEXT,
    leased_until {moment},
    failed {moment},
    error TEXT,
    created {moment} NOT NULL
);
CREATE INDEX job_due ON job (due, id) WHERE failed IS NULL;
CREATE INDEX job_lane ON job (lane, id) WHERE failed IS NULL;

CREATE TABLE webhook_log (
    id {id},
    deployment_id {ref} NOT NULL REFERENCES deployment (id),
    received {moment} NOT NULL,
    method TEXT NOT NULL,
    headers {json} NOT NULL,
    query {json} NOT NULL,
    body {blob} NOT NULL,
    state TEXT NOT NULL,
    error TEXT,
    notes {json} NOT NULL
);
CREATE INDEX webhook_log_state ON webhook_log (state, received);
CREATE INDEX webhook_log_deployment ON webhook_log (deployment_id, received);

CREATE TABLE webhook_log_identity (
    log_id {ref} NOT NULL REFERENCES webhook_log (id),
    identity_id {ref} NOT NULL REFERENCES identity (id),
    PRIMARY KEY (log_id, identity_id)
);
CREATE INDEX webhook_log_identity_identity ON webhook_log_identity (identity_id);

CREATE TABLE webhook_refusal (
    id {id},
    deployment_id {ref} REFERENCES deployment (id),
    at {moment} NOT NULL,
    reason TEXT NOT NULL,
    count {ref} NOT NULL
);
CREATE INDEX webhook_refusal_at ON webhook_refusal (at);

CREATE TABLE setting (
    key TEXT NOT NULL PRIMARY KEY,
    value {json} NOT NULL
);
"""

# One row per user with everything that a search may find: `shown` is what every role sees, `personal` what is
# masked for some.
SEARCH_SQLITE = """
CREATE VIRTUAL TABLE user_search USING fts5 (shown, personal, tokenize = 'trigram');
"""
SEARCH_POSTGRESQL = """
CREATE TABLE user_search (
    rowid BIGINT NOT NULL PRIMARY KEY REFERENCES "user" (id),
    shown TEXT COLLATE "C" NOT NULL,
    personal TEXT NOT NULL
);
"""


def up(migrator: Any, db: Any) -> None:
    """Create every table, and the search index in the engine's own way."""
    for statement in TABLES.split(";"):
        if statement.strip():
            db.execute_sql(statement.format(**dialect_types()))
    if is_sqlite():
        db.execute_sql(SEARCH_SQLITE)
        return
    db.execute_sql(SEARCH_POSTGRESQL)
    # Contributed modules are missing from some builds of PostgreSQL; the search then scans, which is right
    # but slower.
    if db.execute_sql("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'").fetchone():
        db.execute_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        db.execute_sql("CREATE INDEX user_search_shown ON user_search USING gin (shown gin_trgm_ops)")
        db.execute_sql("CREATE INDEX user_search_personal ON user_search USING gin (personal gin_trgm_ops)")


def down(migrator: Any, db: Any) -> None:
    """Drop everything again."""
    names = [line.split()[2] for line in TABLES.splitlines() if line.startswith("CREATE TABLE")]
    for name in ["user_search", *reversed(names)]:
        db.execute_sql(f"DROP TABLE {name}")
