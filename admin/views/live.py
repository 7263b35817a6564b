"""Streams that say that something happened; what, the page then fetches, with its roles and masks."""

import json
import time
from collections.abc import Callable, Iterator

from flask import Flask, Response, current_app, request
from flask_login import current_user

from admin.access import May
from admin.auth import still_signed_in
from core.db import database
from core.live import EVERYONE, event_stream
from core.models import User


def everyone() -> Response:
    """Stream what happens to whomever."""
    return _stream(EVERYONE, None)


def of_user(user: User) -> Response:
    """Stream what happens to one user. A page that comes back is told at once when it missed something."""
    last = request.headers.get("Last-Event-ID", "")
    seen = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None
    return _stream(user.key, seen)


def _stream(topic: str, seen: int | None) -> Response:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # the app itself, for another time
    events = _events(app, topic, seen, _allowed(app, current_user.key))
    response = Response(events, content_type="text/event-stream; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _allowed(app: Flask, login_key: str) -> Callable[[], bool]:
    """Return a function that asks the database, at most once a second: much can happen to everyone in one."""
    answer, good_until = True, 0.0

    def ask() -> bool:
        nonlocal answer, good_until
        if time.monotonic() >= good_until:
            with app.app_context(), database.connection_context():
                answer = still_signed_in(login_key, May.READ_AUDIENCE)
            good_until = time.monotonic() + 1
        return answer

    return ask


def _events(app: Flask, topic: str, seen: int | None, allowed: Callable[[], bool]) -> Iterator[str]:
    hub = app.extensions["parley"].hub
    events = event_stream(hub.subscribe(topic), hub, allowed)
    begun = next(events)  # from here on the stream hears; what came before is looked up
    if seen is not None:
        with app.app_context(), database.connection_context():
            now = User.select(User.event_seq).where(User.key == topic).scalar() or 0
        if now > seen:
            missed = json.dumps({"user": topic, "seq": now, "kind": "resync"})
            begun += f"event: wake\nid: {now}\ndata: {missed}\n\n"
    yield begun
    yield from events
