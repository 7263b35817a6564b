"""`parley demo`: the demo workspace."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from plugins.demo import scale, workspace
from plugins.demo.bulk import Report


@click.group()
def demo() -> None:
    """The demo workspace, with made-up people."""


@demo.command()
@click.option("--users", type=int, help="Load so many people instead of the usual three hundred.")
@click.option("--messages", type=int, help="Messages of all of them together; five each when left out.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same people.")
@click.option("--add", is_flag=True, help="Add them to a demo workspace that has people.")
def load(users: int | None, messages: int | None, seed: int, add: bool) -> None:
    """Load the demo workspace into an empty database; `parley run --demo` does that by itself.

    With --users it is loaded at scale, with a crowd instead of the stories that are told to newcomers. It
    is stored as a whole or not at all; nobody else writes meanwhile, so stop Parley before.
    """
    if users is None:
        if messages is not None or add:
            raise click.UsageError("--messages and --add go with --users. Nothing was loaded.")
        _load_stories()
        return
    with _progress() as report:
        scale.load(users, users * 5 if messages is None else messages, seed, add=add, report=report)
    click.echo(f"{users:,} made-up people are there. Start with `parley run --demo`.")


def _load_stories() -> None:
    if workspace.is_loaded():
        click.echo("The demo workspace is loaded already. Nothing was changed.")
        return
    count = workspace.load()
    click.echo(f"{count} made-up people are there. Start with `parley run --demo`.")


@contextmanager
def _progress() -> Iterator[Report]:
    """Show each step with a bar and the time that is left, where somebody looks."""
    columns = (
        TextColumn("{task.description:<17}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        steps: dict[str, TaskID] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in steps:
                for task in steps.values():
                    progress.update(task, completed=progress.tasks[task].total)
                steps[step] = progress.add_task(step, total=total)
            progress.update(steps[step], completed=done)

        yield report
