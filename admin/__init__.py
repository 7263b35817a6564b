"""The panel: everything that operators see. Itself a plugin."""

from pathlib import Path

import click
from flask import Flask

from admin import commands
from admin.panel import build
from core import hookimpl


@hookimpl
def prepare_app(app: Flask) -> None:
    """Put the panel into the app."""
    build(app)


@hookimpl
def register_migrations() -> tuple[str, Path]:
    """Bring the tables of logins and of attempts to log in."""
    return "panel", Path(__file__).parent / "migrations"


@hookimpl
def register_commands(group: click.Group) -> None:
    """Add `parley operator`."""
    group.add_command(commands.operator)
