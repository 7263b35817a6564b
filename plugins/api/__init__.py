"""The REST API: other systems read and write the properties of users, with a token that an operator owns."""

from pathlib import Path

import click
from flask import Flask

from core import hookimpl
from plugins.api import commands


@hookimpl
def register_migrations() -> tuple[str, Path]:
    """Bring the table of tokens."""
    return "api", Path(__file__).parent / "migrations"


@hookimpl
def register_commands(group: click.Group) -> None:
    """Add `parley token`."""
    group.add_command(commands.token)


@hookimpl
def prepare_app(app: Flask) -> None:
    """Serve the API and its documentation."""
    from plugins.api import service  # commands need none of this

    service.serve(app)
