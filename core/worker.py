"""The worker: hands events to subscribers, does jobs, and ticks the clock-driven work.

Run as many as needed.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from flask import Flask
from peewee import fn

from core import clock, conversion, delivery, handover, outbound, property_jobs, proposals, webhooks
from core.context import parley
from core.db import database, lock_for_update, tuples
from core.models import Event, Identity, Job, Message, User, enqueue
from core.retry import Retry
from core.text import clean

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=20)
RENEW_SECONDS = 5.0
IDLE_SECONDS = 0.1
TICK_SECONDS = 1.0
EVENTS_AT_ONCE = 200
MOST_ATTEMPTS = 10
REDELIVER = "redeliver"


class PluginFailed(Exception):
    """A plugin that failed over an event again; it is told again, later and later, and at last no more."""


class Worker:
    """One worker: a loop that leases jobs, and threads that do them."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        settings = app.extensions["parley"].settings
        self._slots = settings.worker_threads
        self._claim_time_out = timedelta(minutes=settings.claim_minutes)
        self._name = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
        self._kinds: Mapping[str, Callable[[Job], None]] = {
            outbound.SEND: outbound.deliver,
            REDELIVER: redeliver,
            **property_jobs.KINDS,
            **conversion.KINDS,
            proposals.ADOPT: proposals.take_over,
            **app.extensions["parley"].manager.jobs,
        }
        self._running: set[int] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Finish what is running, lease nothing more, and let `run` return.

        Safe to call from a signal handler.
        """
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        """Work until `stop` is called."""
        renewed = ticked = 0.0
        with ThreadPoolExecutor(self._slots, thread_name_prefix="job") as pool, self._app.app_context():
            while not self._stopping.is_set():
                self._wake.clear()
                busy = False
                try:
                    with database.connection_context():
                        now = time.monotonic()
                        if now - renewed >= RENEW_SECONDS:
                            self._renew()
                            renewed = now
                        if now - ticked >= TICK_SECONDS:
                            ticked = now
                            self.tick()
                        busy = hand_on_events() > 0
                        for job in self._lease():
                            busy = True
                            pool.submit(self._do, job)
                except Exception:
                    log.exception("the worker's loop failed; it goes on in a second")
                    self._stopping.wait(1)
                if not busy:
                    self._wake.wait(IDLE_SECONDS)
            self._finish()

    def run_until_idle(self) -> None:
        """Do everything that is due, in this thread, and return; for tests and commands."""
        with self._app.app_context():
            while hand_on_events() or self._one():
                pass

    def tick(self) -> None:
        """Do what only the clock asks for; a duty that fails keeps no other from being done."""
        for duty in (self._expire_claims, delivery.settle_stragglers, webhooks.process_left_behind):
            try:
                duty()
            except Exception:
                log.exception("%s failed; it is tried again in a second", duty.__name__.strip("_"))

    def _expire_claims(self) -> None:
        handover.expire_claims(self._claim_time_out)

    def _finish(self) -> None:
        """Wait for what still runs, and keep its leases, so that no other worker takes it over."""
        while self._running:
            self._wake.clear()
            with database.connection_context():
                self._renew()
            self._wake.wait(RENEW_SECONDS)

    def _one(self) -> bool:
        for job in self._lease(1):
            self._attempt(job)
            return True
        return False

    def _lease(self, most: int | None = None) -> list[Job]:
        free = (most or self._slots) - len(self._running)
        if free <= 0:
            return []
        now = clock.now()
        earlier = Job.alias()
        first_in_lane = Job.lane.is_null() | ~_exists_before(earlier)
        due = (
            Job.select(Job.id)
            .where(
                Job.failed.is_null(),
                Job.due <= now,
                Job.leased_until.is_null() | (Job.leased_until < now),
                first_in_lane,
            )
            .order_by(Job.due, Job.id)
            .limit(free)
        )
        with database.atomic():
            ids = [job_id for (job_id,) in tuples(lock_for_update(due, skip_locked=True))]
            if not ids:
                return []
            Job.update(leased_by=self._name, leased_until=now + LEASE, attempts=Job.attempts + 1).where(
                Job.id.in_(ids)
            ).execute()
        with self._lock:
            self._running.update(ids)
        return list(Job.select().where(Job.id.in_(ids)).order_by(Job.due, Job.id))

    def _renew(self) -> None:
        with self._lock:
            running = list(self._running)
        if running:
            Job.update(leased_until=clock.now() + LEASE).where(
                Job.id.in_(running), Job.leased_by == self._name
            ).execute()

    def _do(self, job: Job) -> None:
        try:
            with self._app.app_context(), database.connection_context():
                self._attempt(job)
        except Exception:
            log.exception("job %d (%s) could not be concluded; its lease will run out", job.id, job.kind)
        finally:
            with self._lock:
                self._running.discard(job.id)
            self._wake.set()

    def _attempt(self, job: Job) -> None:
        try:
            function = self._kinds.get(job.kind)
            if function is None:
                raise LookupError(f"No loaded plugin does jobs of the kind `{job.kind}`.")
            function(job)
        except Retry as retry:
            self._later(job, str(retry), retry.after)
        except Exception as error:
            log.exception("job %d (%s) failed", job.id, job.kind)
            if job.attempts >= MOST_ATTEMPTS:
                self._give_up(job, f"{type(error).__name__}: {error}")
            else:
                self._later(
                    job, f"{type(error).__name__}: {error}", timedelta(seconds=min(2**job.attempts, 300))
                )
        else:
            Job.remove(_still_held(job))
        finally:
            with self._lock:
                self._running.discard(job.id)

    @staticmethod
    def _later(job: Job, reason: str, after: timedelta) -> None:
        due = clock.now() + after
        Job.update(due=due, leased_by=None, leased_until=None, error=clean(reason)).where(
            _still_held(job)
        ).execute()

    @staticmethod
    def _give_up(job: Job, reason: str) -> None:
        failed = clock.now()
        Job.update(failed=failed, leased_by=None, leased_until=None, error=clean(reason)).where(
            _still_held(job)
        ).execute()


def hand_on_events(most: int = EVENTS_AT_ONCE) -> int:
    """Hand events that nobody was told of to the plugins; returns how many.

    A plugin that fails is told again later, alone.
    """
    with database.atomic():
        query = Event.select().where(~Event.handed_on).order_by(Event.id).limit(most)
        events = list(lock_for_update(query, skip_locked=True))
        if not events:
            return 0
        for event in events:
            for failed in _tell(event):
                enqueue(
                    REDELIVER,
                    {"event": event.id, "plugin": failed.plugin},
                    due=clock.now() + timedelta(seconds=2),
                )
        Event.update(handed_on=True).where(Event.id.in_([event.id for event in events])).execute()
    return len(events)


def redeliver(job: Job) -> None:
    """Tell one plugin again of an event that it failed over (the job `redeliver`)."""
    event = Event.get_by_id(job.payload["event"])
    for failed in _tell(event, only=job.payload["plugin"]):
        raise PluginFailed(failed.reason)


def _tell(event: Event, only: str | None = None) -> list[Any]:
    """Call the hook named after the event's kind; kinds without a hook concern open pages only."""
    if event.kind != "message_received":
        return []
    message = (
        Message.select(Message, User, Identity)
        .join(User)
        .switch(Message)
        .join(Identity)
        .where(Message.id == event.reference["message"])
        .get_or_none()
    )
    if message is None:
        return []
    arguments = {"message": message, "user": message.user, "identity": message.identity}
    return parley().manager.notify(event.kind, only, within=database.atomic, **arguments)


def _still_held(job: Job) -> Any:
    """Hold for a job that nobody took over since: each lease counts as an attempt."""
    return (Job.id == job.id) & (Job.attempts == job.attempts)


def _exists_before(earlier: Any) -> Any:
    return fn.EXISTS(
        earlier.select(earlier.id).where(
            earlier.lane == Job.lane, earlier.id < Job.id, earlier.failed.is_null()
        )
    )
