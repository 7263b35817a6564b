"""Measure Parley beside its peers in one run: `make bench`, or `make bench BENCH=audience`.

Machines are noisy, so each number stands beside another of the same run: ours and the peer's requests take
turns, and what counts is the ratio of the medians. Prints a table and writes var/bench.json.
"""

import hashlib
import hmac
import json
import os
import pickle
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

import bench_data
import conftest
from bench_world import (
    APP_SECRET,
    LONG,
    ROOT,
    SHORT,
    World,
    application,
    copied,
    deliver,
    in_turns,
    page,
    served,
    sign_in,
    webhook_body,
    world,
)
from core import audience as audiences
from core import filters
from core.app import create_app
from core.conditions import Condition
from core.db import database, run
from core.filters import Filter, Joining

WEBHOOKS = int(os.environ.get("BENCH_WEBHOOKS", "800"))
FEW, MANY, FILTERABLE = 20, 500, 300


@dataclass(frozen=True)
class Measured:
    """One row of the table.

    `ratio` is ours to the peer's; `aim` says on which side of which number it should lie.
    """

    name: str
    database: str
    ours: float
    unit: str
    peer: str
    peer_value: float
    floor: float | None
    ratio: float
    aim: str
    holds: bool


def main() -> int:
    """Run the benchmarks named on the command line, or all; the exit code says whether every aim is met."""
    wanted = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in wanted if name not in BENCHMARKS]:
        print(f"There is no benchmark called {', '.join(unknown)}. There are: {', '.join(BENCHMARKS)}.")
        return 2
    rows: list[Measured] = []
    for engine in ("sqlite", "postgresql"):
        with world(engine) as filled:
            for name in wanted:
                rows += BENCHMARKS[name](filled)
    target = ROOT / "var" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    show(rows)
    return 0 if all(row.holds for row in rows) else 1


def audience(filled: World) -> list[Measured]:
    """Measure the first page of the list against stock Flask-Admin: same table, rows, columns and login."""
    with (
        served("wsgi:app", filled) as ours,
        served("bench_peers:stock_panel()", filled) as stock,
        sign_in(ours) as mine,
        httpx.Client(base_url=stock) as theirs,
    ):
        theirs.post("/login", data={"email": "bench@example.com"})
        times = in_turns(
            lambda: page(mine, "/audience/", "bench0000001"),
            lambda: page(theirs, "/admin/user/", bench_data.phone(1)),
        )
    return [compared("audience first page", filled, times, "stock Flask-Admin", "under 0.5", below=0.5)]


def profile(filled: World) -> list[Measured]:
    """Measure the profile of someone with 10,000 messages against the same page of someone with 50."""
    with served("wsgi:app", filled) as ours, sign_in(ours) as mine:
        times = in_turns(
            lambda: page(mine, f"/audience/{filled.long_key}", filled.long_key),
            lambda: page(mine, f"/audience/{filled.short_key}", filled.short_key),
        )
    return [
        compared(
            f"profile, {LONG:,} messages", filled, times, f"the same with {SHORT}", "under 1.5", below=1.5
        )
    ]


def webhooks(filled: World) -> list[Measured]:
    """Measure webhooks a second against a bare route that checks the signature and runs the same SQL."""
    bodies = [webhook_body(number) for number in range(WEBHOOKS)]
    recorded = filled.folder / "statements"
    recorded.write_bytes(pickle.dumps(record(copied(filled), bodies)))
    extra = {"BENCH_STATEMENTS": str(recorded), "BENCH_APP_SECRET": APP_SECRET}
    with (
        served("wsgi:app", copied(filled)) as ours,
        served("bench_peers:bare_webhook()", copied(filled), extra) as bare,
        httpx.Client(base_url=ours) as mine,
        httpx.Client(base_url=bare) as theirs,
    ):
        waiting = iter(bodies), iter(bodies)
        times = in_turns(
            lambda: deliver(mine, f"/webhooks/{filled.deployment_key}", next(waiting[0])),
            lambda: deliver(theirs, "/webhooks/bare", next(waiting[1])),
            rounds=WEBHOOKS,
            warm_up=0,
        )
    a_second = tuple([1 / statistics.median(taken)] for taken in times)
    row = compared(
        "webhooks", filled, a_second, "bare Flask, same SQL", "over 0.5", above=0.5, unit="a second"
    )
    return [row]


def properties(filled: World) -> list[Measured]:
    """Measure profile and list with 500 definitions against those with 20, and the page that lists them."""
    few, many = copied(filled), copied(filled)
    with application(few):
        bench_data.define(FEW, FEW, filled.short_key)
    with application(many):
        bench_data.define(MANY, FILTERABLE, filled.short_key)
    profile_url, aim = f"/audience/{filled.short_key}", "under 1.5"
    with (
        served("wsgi:app", many) as ours,
        served("wsgi:app", few) as peer,
        served("bench_peers:stock_panel()", many) as stock,
        sign_in(ours) as mine,
        sign_in(peer) as theirs,
        httpx.Client(base_url=stock) as stranger,
    ):
        stranger.post("/login", data={"email": "bench@example.com"})
        profiles = in_turns(
            lambda: page(mine, profile_url, filled.short_key),
            lambda: page(theirs, profile_url, filled.short_key),
        )
        lists = in_turns(
            lambda: page(mine, "/audience/", "bench0000001"),
            lambda: page(theirs, "/audience/", "bench0000001"),
        )
        pages = in_turns(
            lambda: page(mine, "/properties/", "bench_499"),
            lambda: page(stranger, "/admin/property/", "bench_499"),
            rounds=20,
        )
    with_few = f"the same with {FEW}"
    return [
        compared(f"profile, {MANY} properties", many, profiles, with_few, aim, below=1.5),
        compared(f"audience, {MANY} properties", many, lists, with_few, aim, below=1.5),
        compared(f"{MANY} definitions on a page", many, pages, "stock Flask-Admin", "under 1", below=1),
    ]


def filtered(filled: World) -> list[Measured]:
    """Measure filters: the first page against stock Flask-Admin's, and the count against hand-written SQL."""
    spread = copied(filled)
    with application(spread):
        columns = bench_data.spread()
        rows = [row for name in FILTERS for row in counted(name, spread, columns)]
        views = {name: filters.keep(given) for name, (given, _) in FILTERS.items()}
    plan, city = columns["plan"], columns["city"]
    both = "/admin/user/?flt0_0=pro&flt1_1=Delhi"
    with (
        served("wsgi:app", spread) as ours,
        served("bench_peers:stock_panel()", spread, {"BENCH_COLUMNS": f"{plan},{city}"}) as stock,
        sign_in(ours) as mine,
        httpx.Client(base_url=stock) as theirs,
    ):
        theirs.post("/login", data={"email": "bench@example.com"})
        peers = {
            "pro in Delhi": both,
            "enterprise": "/admin/user/?flt0_0=enterprise",
            "nobody": "/admin/user/?flt1_1=Nowhere",
        }
        for name, address in peers.items():
            times = in_turns(
                lambda view=views[name]: page(mine, f"/audience/?view={view}", "au-filter"),
                lambda address=address: page(theirs, address, "</html>"),
            )
            row = compared(f"page of {name}", spread, times, "stock Flask-Admin", "under 0.5", below=0.5)
            rows.append(row)
        times = in_turns(
            lambda: page(mine, f"/audience/?view={views['not enterprise']}", "bench0000001"),
            lambda: page(mine, "/audience/", "bench0000001"),
        )
        rows.append(compared("page of not enterprise", spread, times, "everybody", "under 3", below=3))
    return rows


FILTERS: dict[str, tuple[Filter, str]] = {
    "enterprise": (
        Filter((Condition("plan", "is", ("enterprise",)),)),
        '"{plan}" = \'enterprise\' AND "{plan}" IS NOT NULL',
    ),
    "pro in Delhi": (
        Filter((Condition("plan", "is", ("pro",)), Condition("city", "is", ("Delhi",)))),
        "\"{plan}\" = 'pro' AND \"{city}\" = 'Delhi'",
    ),
    "pro, and in Delhi or ltv": (
        Filter(
            (
                Condition("plan", "is", ("pro",)),
                Condition("city", "is", ("Delhi",)),
                Condition("ltv", ">", (4000,)),
            ),
            Joining.CUSTOM,
            "1 AND (2 OR 3)",
        ),
        '"{plan}" = \'pro\' AND ("{city}" = \'Delhi\' OR "{ltv}" > 4000)',
    ),
    "not enterprise": (
        Filter((Condition("plan", "is not", ("enterprise",)),)),
        "(\"{plan}\" = 'enterprise') IS NOT TRUE",
    ),
    "nobody": (
        Filter((Condition("city", "is", ("Nowhere",)), Condition("ltv", "exists"))),
        '"{city}" = \'Nowhere\' AND "{ltv}" IS NOT NULL',
    ),
}
"""Filters, and the same as somebody writes it by hand."""


def counted(name: str, filled: World, columns: dict[str, str]) -> list[Measured]:
    """Measure a count, with the time that it takes to make its SQL, against hand-written SQL."""
    given, sql = FILTERS[name]
    by_hand = f"SELECT COUNT(*) FROM \"user\" WHERE state = 'active' AND {sql.format(**columns)}"
    asked = filters.ask(given, lambda one: True)
    [(number,)] = run(by_hand)
    found = audiences.counted(asked.where(), exactly=True).number
    if found != number:
        raise RuntimeError(f"{name}: {found} are counted, where there are {number}.")
    times = in_turns(lambda: audiences.counted(asked.where(), exactly=True), lambda: run(by_hand))
    row = compared(f"count {name}", filled, times, "hand-written SQL", "under 2, or 1 ms", below=2)
    return [replace(row, holds=row.holds or row.ours < 1)]


BENCHMARKS: dict[str, Callable[[World], list[Measured]]] = {
    "audience": audience,
    "profile": profile,
    "webhooks": webhooks,
    "properties": properties,
    "filters": filtered,
}


def record(filled: World, bodies: list[bytes]) -> dict[str, list[tuple[str, Any]]]:
    """Return every statement that our webhook runs for each body, with its values, transactions included."""
    app = create_app(conftest.settings_for(filled.url, filled.folder))
    statements: list[tuple[str, Any]] = []
    original = database.obj.execute_sql

    def execute_sql(sql: str, params: Any = None, *rest: Any) -> Any:
        kept = [bytes(value) if isinstance(value, memoryview) else value for value in params or ()]
        statements.append((sql, kept))
        return original(sql, params, *rest)

    def noted(name: str, sql: str) -> Callable[..., Any]:
        function = getattr(database.obj, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            statements.append((sql, None))
            return function(*args, **kwargs)

        return wrapped

    database.obj.execute_sql = execute_sql
    database.obj.begin = noted("begin", "BEGIN IMMEDIATE" if filled.engine == "sqlite" else "BEGIN")
    database.obj.commit = noted("commit", "COMMIT")
    client = app.test_client()
    found = {}
    for body in bodies:
        statements.clear()
        signature = hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={signature}"}
        path = f"/webhooks/{filled.deployment_key}"
        answer = client.post(path, data=body, headers=headers, content_type="application/json")
        assert answer.status_code == 200, answer.text
        found[hashlib.sha256(body).hexdigest()] = list(statements)
    conftest.close(app)
    return found


def compared(
    name: str,
    filled: World,
    samples: Any,
    peer: str,
    aim: str,
    *,
    below: float = float("inf"),
    above: float = 0,
    unit: str = "ms",
) -> Measured:
    """Make a row of the table out of two series: seconds become milliseconds, rates stay."""
    ours, theirs = (statistics.median(series) * (1000 if unit == "ms" else 1) for series in samples)
    ratio = ours / theirs
    rounded = [round(number, 2) for number in (ours, theirs, ratio)]
    return Measured(
        name, filled.engine, rounded[0], unit, peer, rounded[1], None, rounded[2], aim, above < ratio < below
    )


def show(rows: list[Measured]) -> None:
    """Print the table."""
    table = Table("benchmark", "database", "ours", "peer", "", "ratio", "aim", "")
    for row in rows:
        table.add_row(
            row.name,
            row.database,
            f"{row.ours:,} {row.unit}",
            f"{row.peer_value:,} {row.unit}",
            row.peer,
            str(row.ratio),
            row.aim,
            "holds" if row.holds else "[bold red]does not hold[/]",
        )
    Console(width=150).print(table)


if __name__ == "__main__":
    sys.exit(main())
