"""Tell open pages, over any number of processes, that something happened to a user.

A page is told only user key, sequence and kind; it then fetches through the normal view, so that roles and
masks hold. One thread per process listens: PostgreSQL notifies it, SQLite is asked every 200 ms. A stream
holds no database connection.
"""

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg

from core.db import database, is_sqlite, tuples
from core.models.event import CHANNEL, Event
from core.models.property import PropertyVersion
from core.models.user import User

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
PING_SECONDS = 15.0
EVERYONE = "*"
DEFINITIONS_CHANGED = "definitions_changed"
"""The kind of a wake that every page hears: what properties there are, or their order, is another now."""


@dataclass(frozen=True)
class Wake:
    """Something happened to a user.

    The kind `resync` says that events may have been missed, so look again.
    """

    user_key: str
    seq: int
    kind: str


RESYNC = Wake(EVERYONE, 0, "resync")


class Subscription:
    """One open page's place in the hub; close it by leaving its `with` block."""

    def __init__(self, hub: "Hub", topic: str) -> None:
        self._hub = hub
        self.topic = topic
        self._queue: queue.SimpleQueue[Wake] = queue.SimpleQueue()

    def put(self, wake: Wake) -> None:
        """Hand a wake to the page."""
        self._queue.put(wake)

    def get(self, timeout: float) -> Wake | None:
        """Wait for the next wake, at most `timeout` seconds."""
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return None

    def __enter__(self) -> "Subscription":
        self._hub.add(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self._hub.discard(self)


class Hub:
    """The open pages of this process, and the one thread that listens for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._topics: dict[str, set[Subscription]] = {}
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._deaf = False
        self.stopping = threading.Event()

    def subscribe(self, topic: str) -> Subscription:
        """Return a subscription to one user's key, or to EVERYONE; it starts when it is entered."""
        return Subscription(self, topic)

    def add(self, subscription: Subscription) -> None:
        """Let a subscription hear; the first one starts the listening thread, which is thus never forked."""
        with self._lock:
            self._topics.setdefault(subscription.topic, set()).add(subscription)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._listen, name="parley-live", daemon=True)
                self._ready = threading.Event()
                self._thread.start()
        self._ready.wait(5)

    def discard(self, subscription: Subscription) -> None:
        """Let a subscription go."""
        with self._lock:
            members = self._topics.get(subscription.topic, set())
            members.discard(subscription)
            if not members:
                self._topics.pop(subscription.topic, None)

    @property
    def count(self) -> int:
        """Return the number of open subscriptions."""
        with self._lock:
            return sum(len(members) for members in self._topics.values())

    def stop(self) -> None:
        """End the listening thread and, within a second, every stream."""
        self.stopping.set()
        if self._thread is not None:
            self._thread.join(3)
            self._thread = None

    def publish(self, wake: Wake) -> None:
        """Hand a wake to the pages of that user, and to those that hear of all; one for EVERYONE to all."""
        with self._lock:
            if wake.user_key == EVERYONE:
                members = [one for topic in self._topics.values() for one in topic]
            else:
                members = [*self._topics.get(wake.user_key, ()), *self._topics.get(EVERYONE, ())]
        for member in members:
            member.put(wake)

    def _listen(self) -> None:
        while not self.stopping.is_set():
            try:
                if is_sqlite():
                    self._poll()
                else:
                    self._wait_for_notices()
            except Exception:
                log.exception("the listener for live updates failed; it starts again")
                self._deaf = True
                self._ready.set()
                self.stopping.wait(1)

    def _hears(self) -> None:
        """Let those wait no longer who wait for the listener; tell all pages when it missed something."""
        self._ready.set()
        if self._deaf:
            self._deaf = False
            self.publish(RESYNC)

    def _poll(self) -> None:
        with database.connection_context():
            last = Event.select(Event.id).order_by(Event.id.desc()).limit(1).scalar() or 0
            version = self._definitions()
            self._hears()
            while not self.stopping.wait(POLL_SECONDS):
                if (found := self._definitions()) != version:
                    version = found
                    self.publish(Wake(EVERYONE, 0, DEFINITIONS_CHANGED))
                rows = (
                    Event.select(Event.id, User.key, Event.seq, Event.kind)
                    .join(User)
                    .where(Event.id > last)
                    .order_by(Event.id)
                    .limit(1000)
                )
                for event_id, key, seq, kind in tuples(rows):
                    last = event_id
                    self.publish(Wake(key, seq, kind))

    def _definitions(self) -> int:
        return PropertyVersion.select(PropertyVersion.number).scalar() or 0

    def _wait_for_notices(self) -> None:
        with database.connection_context():
            conninfo = database.connection().info
            parameters = {**conninfo.get_parameters(), "password": conninfo.password}
        with psycopg.connect(autocommit=True, **parameters) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            self._hears()
            while not self.stopping.is_set():
                for notice in connection.notifies(timeout=1):
                    key, seq, kind = notice.payload.split(" ", 2)
                    self.publish(Wake(key, int(seq), kind))
                    if self.stopping.is_set():
                        break


def tell_everyone(kind: str) -> None:
    """Wake every open page when the running transaction is committed; SQLite's listener sees it by itself."""
    if not is_sqlite():
        database.execute_sql("SELECT pg_notify(%s, %s)", (CHANNEL, f"{EVERYONE} 0 {kind}"))


def event_stream(subscription: Subscription, hub: Hub, still_allowed: Callable[[], bool]) -> Iterator[str]:
    """Yield server-sent events for one page: `wake` with sequence and kind, and a ping every 15 s.

    `still_allowed` is asked at each wake and each ping; the stream ends when it says no.
    """
    with subscription:
        yield "retry: 2000\n\n"
        pinged = time.monotonic()
        while not hub.stopping.is_set():
            wake = subscription.get(timeout=1)
            if wake is not None:
                if not still_allowed():
                    return
                data = json.dumps({"user": wake.user_key, "seq": wake.seq, "kind": wake.kind})
                yield f"event: wake\nid: {wake.seq}\ndata: {data}\n\n"
            elif time.monotonic() - pinged >= PING_SECONDS:
                pinged = time.monotonic()
                if not still_allowed():
                    return
                yield ": ping\n\n"
