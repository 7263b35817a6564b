"""A feature plugin for the tests of core: what its hooks do is for each test to say."""

from collections.abc import Callable, Mapping
from typing import Any

from core import hookimpl

asked: Callable[..., Any] | None = None
told: Callable[..., Any] | None = None
jobs: dict[str, Callable[[Any], None]] = {}
"""Set by a test with monkeypatch, so that the next one finds them as they are here."""


@hookimpl
def refuse_message(identity: Any, message: Any, author: Any, now: Any) -> Any:
    return asked(identity, message, author, now) if asked else None


@hookimpl
def message_received(message: Any, user: Any, identity: Any) -> None:
    if told:
        told(message, user, identity)


@hookimpl
def register_jobs() -> Mapping[str, Callable[[Any], None]]:
    return {kind: lambda job, kind=kind: jobs[kind](job) for kind in ("fake.work", "fake.more")}
