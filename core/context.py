"""What belongs to the running app: settings, plugins, keys, and the hub of open pages."""

from dataclasses import dataclass, field
from typing import Any

from flask import current_app

from core.channel import Channel
from core.live import Hub
from core.manager import PluginManager
from core.secrets import Keys
from core.settings import Settings

EXTENSION = "parley"


@dataclass(frozen=True)
class Parley:
    """The parts of one app that are made once and used everywhere."""

    settings: Settings
    manager: PluginManager
    keys: Keys
    hub: Hub
    channels: dict[int, tuple[Any, Channel]] = field(default_factory=dict)
    """The channels in use, by deployment; each with the moment at which that deployment last changed."""


def parley() -> Parley:
    """Return the parts of the current app; raises RuntimeError outside an app context."""
    found: Parley = current_app.extensions[EXTENSION]
    return found
