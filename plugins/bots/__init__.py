"""Bots: asked over HTTP for each message of a user that no person has, and silent while a person has the
user.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import click

from core import hookimpl
from core.models import Identity, Job, Message, User
from plugins.bots import commands, turn


@hookimpl
def register_migrations() -> tuple[str, Path]:
    """Bring the table of bots."""
    return "bots", Path(__file__).parent / "migrations"


@hookimpl
def register_jobs() -> Mapping[str, Callable[[Job], None]]:
    """Do a bot's turns."""
    return {turn.TURN: turn.take}


@hookimpl
def register_commands(group: click.Group) -> None:
    """Add `parley bot`."""
    group.add_command(commands.bot)


@hookimpl
def message_received(message: Message, user: User, identity: Identity) -> None:
    """Let the bot answer, where it is the bot's turn."""
    turn.begin(message, user, identity)
