"""Load plugins, hold them to the hooks that exist, and call them one apart from the other."""

import difflib
import importlib
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import click
import pluggy

from core import hookspecs
from core.channel import Author, Channel, Outbound, Reach, ReachKind
from core.property_type import PropertyType

log = logging.getLogger(__name__)


class PluginError(Exception):
    """Plugins that cannot live in one installation; the text names them."""


@dataclass(frozen=True)
class Failed:
    """A plugin that was not loaded, or whose hook raised."""

    plugin: str
    reason: str


def plugin_name(module: str) -> str:
    """Name a plugin after its module: `channels.web` is `channel:web`, `plugins.bots` is `plugin:bots`."""
    room, _, name = module.partition(".")
    return f"{'channel' if room == 'channels' else 'plugin'}:{name or room}"


class PluginManager:
    """The plugins of one app: one manager per app, never a global."""

    def __init__(self) -> None:
        self._pluggy = pluggy.PluginManager(hookspecs.PROJECT)
        self._pluggy.add_hookspecs(hookspecs)
        self.failed: list[Failed] = []
        self.channels: dict[str, type[Channel]] = {}
        self.property_types: dict[str, type[PropertyType]] = {}
        self.jobs: dict[str, Callable[[Any], None]] = {}

    @property
    def names(self) -> list[str]:
        """Return the names of the loaded plugins, in their order."""
        return [name for name, plugin in self._pluggy.list_name_plugin() if plugin is not None]

    def load(self, modules: Iterable[str]) -> None:
        """Import and register `modules`, in order; one that fails is kept in `failed`, and the others run.

        Raises PluginError when two plugins claim the same channel, type of property or kind of job.
        """
        for module in modules:
            name = plugin_name(module)
            if name in self.names:
                self._refuse(name, "there is a plugin of this name already.")
                continue
            try:
                plugin = importlib.import_module(module)
            except Exception as error:  # whatever a third party's module does at import
                self._refuse(name, f"it cannot be imported: {type(error).__name__}: {error}.")
                continue
            if (unknown := self._unknown_hook(plugin)) is not None:
                near = difflib.get_close_matches(unknown, dir(hookspecs), 1)
                meant = f" Did it mean `{near[0]}`?" if near else ""
                self._refuse(name, f"it declares the hook `{unknown}`, which Parley does not have.{meant}")
                continue
            try:
                self._pluggy.register(plugin, name)
            except pluggy.PluginValidationError as error:
                self._refuse(name, f"{error}.")
        self._pluggy.check_pending()
        self._collect()

    def migrations(self) -> list[tuple[str, Path]]:
        """Return owner and folder of the plugins' migrations, in the order of the plugins."""
        return self.ask("register_migrations")

    def ask(self, hook: str, **arguments: Any) -> list[Any]:
        """Call a hook of every plugin, in the order of the settings, and return what is not None.

        The first that raises ends the call: with PluginError, which names it, unless it has a sentence of its
        own (PluginError, ClickException).
        """
        return [answer for _, answer in self._ask(hook, arguments) if answer is not None]

    def notify(
        self,
        hook: str,
        only: str | None = None,
        *,
        within: Callable[[], AbstractContextManager[Any]] = nullcontext,
        **arguments: Any,
    ) -> list[Failed]:
        """Tell every plugin (or `only` one) of an event, each `within` a context of its own (a savepoint).

        The ones that raised are returned; they kept it from no other.
        """
        failed = []
        for name, function in self._implementations(hook):
            if only is not None and name != only:
                continue
            try:
                with within():
                    function(arguments)
            except Exception as error:  # one plugin's bug must not take the event from the others
                log.exception("plugin %s failed in %s", name, hook)
                failed.append(Failed(name, f"{type(error).__name__}: {error}"))
        return failed

    def refusals(
        self,
        identity: Any,
        message: Outbound,
        author: Author,
        now: Any,
        *,
        within: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> list[Reach]:
        """Ask every plugin whether it refuses a message, each `within` a context of its own (a savepoint).

        One that raises, or answers what is no answer, refuses, and is named.
        """
        arguments = {"identity": identity, "message": message, "author": author, "now": now}
        answers = []
        for name, function in self._implementations("refuse_message"):
            try:
                with within():
                    answer = function(arguments)
                if not isinstance(answer, Reach | None):
                    raise TypeError(f"refuse_message returns a Reach or None, not {answer!r}")
            except Exception:
                log.exception("plugin %s failed in refuse_message", name)
                answer = Reach(
                    ReachKind.UNREACHABLE,
                    f"The plugin {name} failed while it was asked whether this may be sent.",
                    "Nothing was sent. Tell an admin; the reason is in the log.",
                )
            if answer is not None:
                answers.append(answer)
        return answers

    def _implementations(self, hook: str) -> list[tuple[str, Callable[[Mapping[str, Any]], Any]]]:
        """Return the implementations in the order of the settings; pluggy itself begins with the last."""

        def caller(implementation: pluggy.HookImpl) -> Callable[[Mapping[str, Any]], Any]:
            return lambda given: implementation.function(*(given[name] for name in implementation.argnames))

        found: list[pluggy.HookImpl] = getattr(self._pluggy.hook, hook).get_hookimpls()
        return [(one.plugin_name, caller(one)) for one in found]

    def _ask(self, hook: str, arguments: Mapping[str, Any] = MappingProxyType({})) -> list[tuple[str, Any]]:
        answers = []
        for name, function in self._implementations(hook):
            try:
                answers.append((name, function(arguments)))
            except (PluginError, click.ClickException):
                raise  # a sentence for whoever starts this
            except Exception as error:  # whatever a third party's hook does
                raise PluginError(
                    f"The plugin {name} failed in {hook}: {type(error).__name__}: {error}. "
                    "Mend it, or take it out of PARLEY_PLUGINS."
                ) from error
        return answers

    def _unknown_hook(self, plugin: ModuleType) -> str | None:
        functions = inspect.getmembers(plugin, inspect.isroutine)  # not what stands in for something else
        for attribute, function in functions:
            marked = getattr(function, f"{hookspecs.PROJECT}_impl", None)
            hook = marked and (marked["specname"] or attribute)
            if hook is not None and not hasattr(hookspecs, hook):
                return str(hook)
        return None

    def _refuse(self, name: str, reason: str) -> None:
        log.error("plugin `%s` was not loaded: %s The other plugins run.", name, reason)
        self.failed.append(Failed(name, reason))

    def _collect(self) -> None:
        owners: dict[str, str] = {}
        for owner, channels in self._ask("register_channels"):
            for channel in channels:
                self._claim(owners, f"channel `{channel.name}`", owner)
                self.channels[channel.name] = channel
        for owner, types in self._ask("register_property_types"):
            for kind in types:
                self._claim(owners, f"type of property `{kind.name}`", owner)
                self.property_types[kind.name] = kind
        for owner, jobs in self._ask("register_jobs"):
            for job, function in jobs.items():
                self._claim(owners, f"job `{job}`", owner)
                self.jobs[job] = function

    @staticmethod
    def _claim(owners: dict[str, str], what: str, owner: str) -> None:
        if what in owners:
            raise PluginError(
                f"The {what} is claimed by {owners[what]} and by {owner}. "
                "Take one of them out of PARLEY_PLUGINS."
            )
        owners[what] = owner
