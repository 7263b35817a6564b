"""Demo data at scale: a crowd of any size in the demo workspace, within minutes."""

import random
from array import array
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import click

from core import clock, property_jobs
from core.models import (
    Deployment,
    Identity,
    IdentityAlias,
    Message,
    Operator,
    PropertySkipped,
    Role,
    Session,
    User,
    read_setting,
)
from core.search import UserSearch
from plugins.demo import bulk, crowd, properties, workspace
from plugins.demo.bulk import Report, Target
from plugins.demo.crowd import MOST_EACH, Crowd, Ids, Rows, shares
from plugins.demo.knowledge import Knowledge

MOST_USERS = 10_000_000
MOST_MESSAGES_EACH = MOST_EACH // 5
"""On average: what nobody exceeds is more."""
_AT_ONCE = 2_000


def load(
    users: int, messages: int, seed: int, *, add: bool, report: Report, now: datetime | None = None
) -> None:
    """Load `users` made-up people with `messages` in all, into a new demo workspace or, with `add`, into one.

    Stores everything or nothing. Raises ClickException for numbers that cannot be, and for a database that
    is neither empty nor, with `add`, the demo's.
    """
    _check(users, messages)
    is_loaded = workspace.is_loaded()
    if is_loaded and not add and User.select().exists():
        raise click.ClickException(
            "This database has users, so nothing was loaded. With --add the made-up people come to those "
            "that are there."
        )
    if not is_loaded:
        workspace.check_empty()
    now = now or clock.now()
    properties.define()
    knowledge = Knowledge()
    targets = _targets(knowledge.columns)
    ids = Ids(*(bulk.next_id(table) for table in (User, Identity, IdentityAlias, Session, Message)))
    chance = random.Random(f"{seed} {ids.user}")  # added again, the same seed makes other people
    rebuild = users >= ids.user - 1
    with bulk.filling(targets, rebuild=rebuild, report=report):
        if not is_loaded:
            workspace.begin(now)
        made = Crowd(chance, _deployments(), _agents(), ids, knowledge, now)
        done = 0
        for rows in _batches(made, shares(users, messages, chance)):
            report("Writing messages", done, messages)
            for target, given in zip(targets, rows.by_table, strict=True):
                bulk.insert(target, given)
            done += len(rows.messages)
        report("Writing messages", done, messages)
    report("Measuring tables", 0, 1)
    bulk.refresh(target.table for target in targets)
    report("Measuring tables", 1, 1)
    property_jobs.count_soon()


def _check(users: int, messages: int) -> None:
    problem = None
    if not 1 <= users <= MOST_USERS:
        problem = f"--users takes a number from 1 to {MOST_USERS:,}."
    elif messages < users:
        problem = "--messages takes at least one for each user."
    elif messages > users * MOST_MESSAGES_EACH:
        problem = f"--messages takes at most {MOST_MESSAGES_EACH:,} for each user."
    if problem:
        raise click.ClickException(f"{problem} Nothing was loaded.")


def _targets(columns: Sequence[str]) -> tuple[Target, ...]:
    """Return the tables in the order of `Rows.by_table`: what others refer to comes first."""
    return (
        bulk.target(User, crowd.USER, columns),
        bulk.target(Identity, crowd.IDENTITY),
        bulk.target(IdentityAlias, crowd.ALIAS),
        bulk.target(Session, crowd.SESSION),
        bulk.target(Message, crowd.MESSAGE),
        bulk.target(PropertySkipped, crowd.SKIPPED),
        bulk.target(UserSearch, crowd.SEARCH),
    )


def _batches(made: Crowd, counts: "array[int]") -> Iterator[Rows]:
    """Yield the rows of a crowd, as many at a time as memory takes without notice."""
    rows = Rows()
    for place, messages in enumerate(counts):
        made.add(rows, (place + 1) / len(counts), messages)
        if len(rows.users) == _AT_ONCE or len(rows.messages) > 10 * _AT_ONCE:
            yield rows
            rows = Rows()
    if rows.users:
        yield rows


def _deployments() -> Mapping[str, Deployment]:
    return {name: workspace.named(key) for name, key in read_setting(workspace.DEPLOYMENTS).items()}


def _agents() -> list[Operator]:
    found = Operator.select().where(Operator.active, Operator.demo).order_by(Operator.id)
    return [one for one in found if Role.AGENT in one.roles]
