"""Fill a database with many users at once, for measuring: seeded, and by the engine's own bulk way."""

import json
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from peewee import Model

from core.catalogue import Writer, catalogue
from core.columns import index
from core.db import database, is_sqlite
from core.definitions import Draft, apply
from core.masks import masked_name
from core.models import Deployment, Identity, IdentityAlias, Message, Origin, Session, User
from core.properties import write
from core.search import UserSearch

FIRST = (
    "Asha",
    "Chidinma",
    "Jonas",
    "Léa",
    "Mateus",
    "Mia",
    "Oleksandr",
    "Priya",
    "Rohan",
    "Simran",
    "Zoë",
    "Fatima",
)
LAST = (
    "Bakker",
    "Fournier",
    "Kapoor",
    "Lindqvist",
    "Mehta",
    "Nagpal",
    "Okafor",
    "Smith",
    "Thompson",
    "Weber",
)
WORDS = (
    "desk",
    "order",
    "refund",
    "delivery",
    "walnut",
    "invoice",
    "saturday",
    "colour",
    "return",
    "assembly",
)
NEWEST = datetime(2026, 11, 1, tzinfo=UTC)
MOST_AT_ONCE = 20_000


def fill(deployment: Deployment, users: int, *, messages_each: int = 2, seed: int = 1) -> None:
    """Add `users` people who wrote on `deployment`, the newest first, each with one session.

    Their numbers are +1 555 and their place in the list, seven digits.
    """
    chance = random.Random(seed)
    start = (User.select(User.id).order_by(User.id.desc()).limit(1).scalar() or 0) + 1
    ids = range(start, start + users)
    people = {number: f"{chance.choice(FIRST)} {chance.choice(LAST)}" for number in ids}
    seen = {number: NEWEST - timedelta(seconds=37 * (number - start)) for number in ids}
    with database.atomic():
        _insert(User, (_user(number, people[number], seen[number], messages_each) for number in ids))
        _insert(Identity, (_identity(number, people[number], seen[number], deployment) for number in ids))
        _insert(IdentityAlias, (_alias(number, seen[number], deployment) for number in ids))
        _insert(Session, (_session(number, seen[number], deployment, messages_each) for number in ids))
        _insert(UserSearch, (_searched(number, people[number]) for number in ids))
        _insert(
            Message,
            (
                _message(number, step, seen[number], deployment, chance)
                for number in ids
                for step in range(messages_each)
            ),
        )
    _refresh()


def lengthen(user_id: int, messages: int, deployment: Deployment, *, seed: int = 1) -> None:
    """Give one user a conversation of `messages` more messages, all older than the ones there are."""
    chance = random.Random(seed)
    oldest = NEWEST - timedelta(days=400)
    with database.atomic():
        _insert(
            Message,
            (_message(user_id, step, oldest, deployment, chance, by="older") for step in range(messages)),
        )
        User.update(received_count=User.received_count + messages).where(User.id == user_id).execute()
    _refresh()


def define(definitions: int, filterable: int, user_key: str) -> None:
    """Define properties `bench_<number>`, a few of them pinned, and give one user a value of each."""
    drafts = [
        Draft(
            key=f"bench_{number}",
            label=f"Bench {number}",
            type=("text", "integer", "boolean", "date")[number % 4],
            group=f"Group {number % 12}",
            pinned=number < 10,
            filterable=number < filterable,
            editable_by=("admin", "agent"),
        )
        for number in range(definitions)
    ]
    apply(creates=drafts)
    values = {"text": "walnut", "integer": 42, "boolean": True, "date": "2026-11-24"}
    by = Writer(Origin.IMPORT, "Bench", groups=frozenset({"admin"}))
    user_id = User.get(User.key == user_key).id
    write(user_id, {draft.key: values[draft.type] for draft in drafts}, by, quiet=True)


def spread() -> dict[str, str]:
    """Give everybody a plan, a city and, one in two, a value; returns the column of each property.

    Of the plans, 1 in 200 is `enterprise` and 1 in 5 `pro`; of the cities, 1 in 20 is `Delhi`.
    """
    choices = {"choices": ["free", "pro", "enterprise"]}
    apply(
        creates=[
            Draft(key="plan", label="Plan", type="choice", options=choices),
            Draft(key="city", label="City", type="text"),
            Draft(key="ltv", label="Lifetime value", type="integer"),
        ]
    )
    known = catalogue(fresh=True).by_key
    columns = {key: str(known[key].column) for key in ("plan", "city", "ltv")}
    sets = {
        "plan": "CASE WHEN MOD(id, 200) = 0 THEN 'enterprise' WHEN MOD(id, 5) = 0 THEN 'pro' ELSE 'free' END",
        "city": "CASE MOD(id / 7, 20) WHEN 0 THEN 'Delhi' WHEN 1 THEN 'Lagos' ELSE 'Berlin' END",
        "ltv": "CASE WHEN MOD(id / 3, 2) = 0 THEN CAST(MOD(id * 7919, 5000) AS BIGINT) END",
    }
    database.execute_sql(
        'UPDATE "user" SET ' + ", ".join(f'"{columns[key]}" = {sql}' for key, sql in sets.items())
    )
    for column in columns.values():
        index(column)
    database.execute_sql("ANALYZE")
    return columns


def phone(user_id: int) -> str:
    """Return the number of a user that `fill` made."""
    return f"1555{user_id:07}"


def _email(number: int, name: str) -> str:
    return f"{name.split()[0].lower()}{number}@example.com"


def _user(number: int, name: str, seen: datetime, messages: int) -> dict[str, Any]:
    return {
        "id": number,
        "key": f"bench{number:07}",
        "name": name,
        "name_key": name.lower(),
        "email": _email(number, name),
        "phone": f"+{phone(number)}",
        "language": "en",
        "country": "US",
        "state": "active",
        "created": seen,
        "first_seen": seen,
        "last_seen": seen,
        "last_identity": number,
        "last_message_at": seen,
        "last_message_author": "user",
        "last_message_name": name,
        "last_message_text": "Has my order left?",
        "handler": "bot",
        "handler_since": seen,
        "received_count": messages,
        "sent_count": 0,
        "session_count": 1,
        "event_seq": 0,
    }


def _identity(number: int, name: str, seen: datetime, deployment: Deployment) -> dict[str, Any]:
    return {
        "id": number,
        "key": f"identity{number:07}",
        "user": number,
        "deployment": deployment.id,
        "profile_name": name,
        "created": seen,
        "last_inbound": seen,
        "first_footprint": {},
        "last_footprint": {},
    }


def _alias(number: int, seen: datetime, deployment: Deployment) -> dict[str, Any]:
    return {
        "id": number,
        "deployment": deployment.id,
        "kind": "wa_id",
        "value": phone(number),
        "identity": number,
        "valid_from": seen,
    }


def _session(number: int, seen: datetime, deployment: Deployment, messages: int) -> dict[str, Any]:
    return {
        "id": number,
        "user": number,
        "identity": number,
        "deployment": deployment.id,
        "number": 1,
        "opened": seen,
        "last_inbound": seen,
        "last_message": seen,
        "expires": seen + timedelta(days=1),
        "handlers": ["bot"],
        "message_count": messages,
        "footprint": {},
    }


def _searched(number: int, name: str) -> dict[str, Any]:
    return {
        "rowid": number,
        "shown": masked_name(name).lower(),
        "personal": "\n".join((name.lower(), _email(number, name), f"+{phone(number)}", phone(number))),
    }


def _message(
    number: int, step: int, at: datetime, deployment: Deployment, chance: random.Random, by: str = "first"
) -> dict[str, Any]:
    return {
        "user": number,
        "identity": number,
        "session": number,
        "deployment": deployment.id,
        "at": at - timedelta(seconds=step),
        "author": "user",
        "kind": "text",
        "text": " ".join(chance.choices(WORDS, k=8)),
        "payload": {},
        "provider_id": f"{by}.{number}.{step}",
        "state": "received",
    }


def _insert(model: type[Model], rows: Iterable[dict[str, Any]]) -> None:
    """Insert dictionaries that all have the same keys."""
    for batch in _batches(rows):
        fields = [model._meta.fields[name] for name in batch[0]]
        columns = ", ".join(f'"{field.column_name}"' for field in fields)
        values = [[_stored(field, row[field.name]) for field in fields] for row in batch]
        table = f'"{model._meta.table_name}" ({columns})'
        if is_sqlite():
            marks = ", ".join("?" * len(fields))
            database.connection().executemany(f"INSERT INTO {table} VALUES ({marks})", values)
        else:
            with database.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                for value in values:
                    copy.write_row(value)


def _stored(field: Any, value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else field.db_value(value)


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == MOST_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _refresh() -> None:
    """Tell the planner what is there, and the sequences where to go on."""
    if not is_sqlite():
        for table in ("user", "identity", "identity_alias", "session"):
            sequence = f"pg_get_serial_sequence('\"{table}\"', 'id')"
            database.execute_sql(f'SELECT setval({sequence}, (SELECT max(id) FROM "{table}"))')
    database.execute_sql("ANALYZE")
