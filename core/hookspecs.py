"""Everything that a plugin can do, grouped by moment.

`docs/hooks.md` shows each; a test fails when it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click
    from flask import Flask

    from core.channel import Author, Channel, Outbound, Reach
    from core.models import Identity, Job, Message, User
    from core.programs import Companions
    from core.property_type import PropertyType

PROJECT = "parley"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# ── Setup: called once, when an app is created, in the order in which the settings list the plugins


@hookspec
def register_channels() -> Sequence[type[Channel]]:
    """Return the channels that this plugin brings.

    A name that another plugin has is refused, and the error names both.
    """
    raise NotImplementedError


@hookspec
def register_property_types() -> Sequence[type[PropertyType]]:
    """Return the types of property that this plugin brings.

    A name that another plugin has is refused, and the error names both.
    """
    raise NotImplementedError


@hookspec
def register_migrations() -> tuple[str, Path]:
    """Return the plugin's short name and its folder of migrations.

    The tables are named after the plugin, so that no two plugins clash. Core's migrations run first, then the
    plugins' in order.
    """
    raise NotImplementedError


@hookspec
def register_jobs() -> Mapping[str, Callable[[Job], None]]:
    """Return the kinds of job that this plugin does, each with the function that does one.

    A worker calls it with an app context and its own database connection, and no transaction open. It may run
    again after a crash. Raise core.Retry to run later; return to be done.
    """
    raise NotImplementedError


@hookspec
def register_commands(group: click.Group) -> None:
    """Add commands to `group`, the `parley` command; they run inside an app context."""


@hookspec
def prepare_app(app: Flask) -> None:
    """Add blueprints and extensions to `app`; called last, when channels and tables are there."""


# ── A run: called once by `parley run`, inside an app context, before web and worker start, in that order too


@hookspec
def prepare_run(url: str) -> Companions:
    """Prepare a run that will be reached at `url`.

    Return programs to keep alive beside web and worker, and lines to print. All plugins are
    asked. One that raises ends the run before it begins.
    """
    raise NotImplementedError


# ── Decision: all plugins are asked, the strictest answer wins


@hookspec
def refuse_message(identity: Identity, message: Outbound, author: Author, now: datetime) -> Reach | None:
    """Refuse a message that the channel itself would allow.

    Called by the gate when a page asks, when a message is queued, and again when it is delivered. Return None
    to let it pass. Every plugin is asked; the strictest answer wins (opted out before blocked before
    unreachable...). A plugin that raises refuses, and the agent is told which plugin failed.
    """


# ── Events: past participles, given by the worker at least once; a plugin that raises is told again, alone


@hookspec
def message_received(message: Message, user: User, identity: Identity) -> None:
    """A user's message was stored. Whatever should follow from it must bear being told twice."""
