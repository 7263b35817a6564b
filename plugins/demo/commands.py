"""`parley demo`: the demo workspace."""

import click

from plugins.demo import workspace


@click.group()
def demo() -> None:
    """The demo workspace, with made-up people."""


@demo.command()
def load() -> None:
    """Load the demo workspace into an empty database; `parley run --demo` does that by itself."""
    if workspace.is_loaded():
        click.echo("The demo workspace is loaded already. Nothing was changed.")
        return
    count = workspace.load()
    click.echo(f"{count} made-up people are there. Start with `parley run --demo`.")
