"""The demo workspace: made-up people, a WhatsApp that is played on this machine, a bot, and a shop. Loaded
with `--demo` only.
"""

from datetime import datetime
from urllib.parse import urlsplit

import click
from flask import Flask

from core import Author, Outbound, Reach, ReachKind, hookimpl
from core.models import Identity
from core.programs import Companions

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@hookimpl
def prepare_app(app: Flask) -> None:
    """Serve the shop."""
    from plugins.demo import shop  # the bot and the numbers are programs of their own, and need none of this

    shop.serve(app)


@hookimpl
def prepare_run(url: str) -> Companions:
    """Load the workspace, and bring its programs."""
    from plugins.demo import workspace

    return workspace.prepare(url)


@hookimpl
def register_commands(group: click.Group) -> None:
    """Add `parley demo`."""
    from plugins.demo import commands

    group.add_command(commands.demo)


@hookimpl
def refuse_message(identity: Identity, message: Outbound, author: Author, now: datetime) -> Reach | None:
    """Refuse whatever would leave this machine: a demo must never write to somebody real."""
    address = identity.deployment.config.get("base_url")
    if not address or urlsplit(str(address)).hostname in _LOOPBACK:
        return None
    return Reach(
        ReachKind.UNREACHABLE,
        f"This is the demo workspace, and {identity.deployment.label} would write to real people.",
        "Run Parley without --demo to use this deployment.",
    )
