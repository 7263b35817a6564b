"""The `parley` command."""

import functools
import logging
import os
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import click
from flask import has_app_context
from peewee import OperationalError
from pydantic import SecretStr, ValidationError

from core import environment
from core.app import create_app
from core.channel import SendError
from core.commands.deployment import deployment
from core.commands.property import property_
from core.commands.run import run
from core.commands.webhook import webhook
from core.db import database
from core.deployments import UnknownChannel, UnknownDeployment
from core.manager import PluginError, PluginManager
from core.secrets import SecretUnreadable
from core.server import LOG_FORMAT
from core.settings import DEMO, Settings, SettingsError
from core.worker import Worker

_EXPLAINED = (SettingsError, PluginError, UnknownChannel, UnknownDeployment, SecretUnreadable, SendError)


class Commands(click.Group):
    """The commands of core and those that plugins bring; each runs inside an app context."""

    @functools.cached_property
    def brought(self) -> click.Group:
        """Return a group with the commands of the plugins; they are found without opening the database."""
        group = click.Group()
        try:
            settings = Settings(
                secret_key=SecretStr("-" * 32)
            )  # not used: no command runs with these settings
        except ValidationError:
            return group  # whichever command is run will say what is wrong
        manager = PluginManager()
        manager.load(dict.fromkeys((*settings.plugins, DEMO)))
        manager.ask("register_commands", group=group)
        for command in group.commands.values():
            inside_app(command)
        return group

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*self.commands, *self.brought.commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command of core, else one of a plugin."""
        return self.commands.get(cmd_name) or self.brought.commands.get(cmd_name)


def inside_app(command: click.Command) -> click.Command:
    """Let `command`, and all below it, run inside an app context with a database connection."""
    if isinstance(command, click.Group):
        for below in command.commands.values():
            inside_app(below)
    elif command.callback is not None:
        command.callback = _inside_app(command.callback)
    return command


def _inside_app(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if has_app_context():
            return function(*args, **kwargs)
        app = create_app()
        with app.app_context(), database.connection_context():
            return function(*args, **kwargs)

    return wrapped


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("parley"), prog_name="parley")
def parley() -> None:
    """Parley: see who your chatbot's users are, and talk to them."""


@parley.command()
def worker() -> None:
    """Work: send messages, ask bots, hand on events. Run as many of these as needed."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, force=True)
    working = Worker(create_app())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: working.stop())
    logging.getLogger(__name__).info("the worker is ready")
    working.run()


@parley.command()
def migrate() -> None:
    """Bring the database up to date; every process does that too when it starts."""
    logging.getLogger("core.db").setLevel(logging.INFO)
    create_app()
    click.echo("The database is up to date.")


parley.add_command(run)
parley.add_command(inside_app(deployment))
parley.add_command(inside_app(property_))
parley.add_command(inside_app(webhook))


def main() -> None:
    """Run a command; what it cannot do is said in a sentence, without a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    os.umask(0o077)  # what Parley writes, such as an embedded database, is for its owner alone
    environment.use_local_key(os.environ)
    try:
        parley(prog_name="parley")
    except _EXPLAINED as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except OperationalError as error:
        click.echo(f"The database cannot be used: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
