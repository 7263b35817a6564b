"""Something happened to a user: open pages hear of it within a second, wherever it happened."""

import json
import sqlite3
import threading
import time

import psycopg
import pytest

from core import handover, live
from core.db import database, is_sqlite
from core.live import EVERYONE, RESYNC, Hub, Wake, event_stream
from core.models import Event, User, record
from fake_channel import deploy, employ, says, user_of

PLUGINS = ("fake_channel",)
SOON = 1.0


@pytest.fixture
def hub(app):
    return app.extensions["parley"].hub


@pytest.fixture
def user(app):
    return user_of(says(deploy()))


def heard(subscription, number, seconds=SOON):
    """Return what a page hears until it has heard `number` wakes."""
    deadline, wakes = time.monotonic() + seconds, []
    while len(wakes) < number and (left := deadline - time.monotonic()) > 0:
        if wake := subscription.get(timeout=left):
            wakes.append(wake)
    return wakes


def quiet(subscription):
    return subscription.get(timeout=0.5) is None


def elsewhere(url, user, kind):
    """Record an event as another process does, over a connection of its own."""
    change = """UPDATE "user" SET event_seq = event_seq + 1 WHERE id = {0} RETURNING event_seq"""
    columns = "user_id, seq, kind, reference, at, handed_on"
    event = f"INSERT INTO event ({columns}) VALUES ({{0}}, {{0}}, {{0}}, '{{{{}}}}', {{1}}, {{2}})"
    if is_sqlite():
        with sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10) as connection:
            [(seq,)] = connection.execute(change.format("?"), (user.id,))
            connection.execute(event.format("?", 0, 0), (user.id, seq, kind))
        connection.close()
        return
    with psycopg.connect(url) as connection:
        [(seq,)] = connection.execute(change.format("%s"), (user.id,))
        connection.execute(event.format("%s", "now()", "false"), (user.id, seq, kind))
        connection.execute("SELECT pg_notify('parley_events', %s)", (f"{user.key} {seq} {kind}",))


def test_a_page_hears_within_a_second_what_happens_to_its_user(hub, user):
    with hub.subscribe(user.key) as page:
        handover.claim(user.id, employ())
        seq = User.get_by_id(user.id).event_seq
        assert heard(page, 2) == [
            Wake(user.key, seq - 1, "conversation_noted"),
            Wake(user.key, seq, "handler_changed"),
        ]


def test_a_page_hears_what_another_process_did(hub, user, settings):
    with hub.subscribe(user.key) as page:
        elsewhere(settings.database_url, user, "from elsewhere")
        assert heard(page, 1) == [Wake(user.key, user.event_seq + 1, "from elsewhere")]


def test_a_page_hears_of_its_user_alone_and_the_list_of_everyone(hub, user):
    other = user_of(says(deploy(account="two"), "ben"))
    with hub.subscribe(user.key) as page, hub.subscribe(EVERYONE) as everyone:
        for one in (user, other):
            with database.atomic():
                record(one.id, "happened")
        assert [wake.user_key for wake in heard(everyone, 2)] == [user.key, other.key]
        assert [wake.user_key for wake in heard(page, 1)] == [user.key]
        assert quiet(page)


def test_many_events_at_once_are_all_heard_in_their_order(hub, user):
    with hub.subscribe(user.key) as page:
        for _ in range(3):
            with database.atomic():
                for _ in range(100):
                    record(user.id, "happened")
        first = user.event_seq + 1
        assert [wake.seq for wake in heard(page, 300, 10)] == list(range(first, first + 300))


def test_what_was_rolled_back_is_not_heard(hub, user):
    with hub.subscribe(user.key) as page:
        with database.atomic() as transaction:
            record(user.id, "happened")
            transaction.rollback()
        assert quiet(page)


def test_what_happened_before_is_not_heard(hub, user):
    with hub.subscribe(user.key) as page:
        assert quiet(page)


def test_letting_go_leaks_nothing(hub, user):
    for topic in (user.key, EVERYONE):
        for _ in range(20):
            with hub.subscribe(topic), hub.subscribe(topic):
                assert hub.count == 2
        with pytest.raises(ZeroDivisionError), hub.subscribe(topic):
            raise ZeroDivisionError
    assert hub.count == 0
    assert hub._topics == {}
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("parley-live") == 1


def test_pages_that_open_at_once_share_one_listener(hub, user):
    pages = [hub.subscribe(user.key) for _ in range(20)]
    threads = [threading.Thread(target=page.__enter__) for page in pages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hub.count == 20
    assert [thread.name for thread in threading.enumerate()].count("parley-live") == 1
    with database.atomic():
        record(user.id, "happened")
    assert [len(heard(page, 1)) for page in pages] == [1] * 20
    for page in pages:
        page.__exit__()
    assert hub.count == 0


# ── Streams


def lines(stream, number):
    return [next(stream) for _ in range(number)]


def test_a_stream_carries_key_sequence_and_kind_alone(hub, user):
    stream = event_stream(hub.subscribe(user.key), hub, lambda: True)
    assert next(stream) == "retry: 2000\n\n"
    with database.atomic():
        record(user.id, "happened", secret="never on the wire")
    seq = user.event_seq + 1
    event, number, data = next(stream).strip().split("\n")
    assert (event, number) == ("event: wake", f"id: {seq}")
    assert json.loads(data.removeprefix("data: ")) == {"user": user.key, "seq": seq, "kind": "happened"}
    stream.close()
    assert hub.count == 0


def test_a_stream_that_was_never_read_is_no_subscription(hub, user):
    stream = event_stream(hub.subscribe(user.key), hub, lambda: True)
    assert hub.count == 0
    stream.close()
    assert hub.count == 0


def test_a_stream_ends_at_the_next_event_when_it_is_no_longer_allowed(hub, user):
    allowed = [True, False]
    stream = event_stream(hub.subscribe(user.key), hub, lambda: allowed.pop(0))
    next(stream)
    with database.atomic():
        for _ in range(3):
            record(user.id, "happened")
    assert len(list(stream)) == 1
    assert hub.count == 0


def test_a_stream_ends_at_the_next_ping_when_it_is_no_longer_allowed(hub, user, monkeypatch):
    monkeypatch.setattr(live, "PING_SECONDS", 0)
    allowed = [True, False]
    stream = event_stream(hub.subscribe(user.key), hub, lambda: allowed.pop(0))
    assert list(stream) == ["retry: 2000\n\n", ": ping\n\n"]
    assert hub.count == 0


def test_a_stream_whose_right_cannot_be_asked_ends(hub, user):
    stream = event_stream(hub.subscribe(user.key), hub, lambda: 1 / 0)
    next(stream)
    with database.atomic():
        record(user.id, "happened")
    with pytest.raises(ZeroDivisionError):
        next(stream)
    assert hub.count == 0


def test_streams_end_within_a_second_when_the_hub_stops(hub, user):
    open_connections, ended = [], []

    def read():
        for _ in event_stream(hub.subscribe(user.key), hub, lambda: True):
            open_connections.append(not database.is_closed())
        ended.append(time.monotonic())

    threads = [threading.Thread(target=read) for _ in range(5)]
    for thread in threads:
        thread.start()
    while hub.count < 5:
        time.sleep(0.01)
    stopped = time.monotonic()
    hub.stop()
    for thread in threads:
        thread.join(5)
    assert len(ended) == 5
    assert max(ended) - stopped < 3
    assert open_connections == [False] * 5, "a stream holds no database connection"
    assert hub.count == 0


# ── A listener that lost something


@pytest.fixture
def deafen(app, monkeypatch):
    """Break the listener's connection once."""

    def breaks():
        if is_sqlite():
            real, broken = live.tuples, []

            def fail_once(query):
                if not broken:
                    broken.append(True)
                    raise sqlite3.OperationalError("disk I/O error")
                return real(query)

            monkeypatch.setattr(live, "tuples", fail_once)
            return
        database.execute_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %%'"
        )

    return breaks


def test_a_listener_that_lost_its_connection_says_resync_to_all_and_goes_on(hub, user, deafen, caplog):
    with hub.subscribe(user.key) as page, hub.subscribe(EVERYONE) as everyone, hub.subscribe("x") as other:
        deafen()
        assert heard(page, 1, 5) == heard(everyone, 1, 5) == heard(other, 1, 5) == [RESYNC]
        with database.atomic():  # right after it said so: whoever looks again at resync misses nothing
            record(user.id, "happened")
        assert [wake.kind for wake in heard(page, 1)] == ["happened"]
        assert quiet(other)
    assert "the listener for live updates failed" in caplog.text


def test_a_listener_that_cannot_begin_keeps_no_page_waiting(app, user, monkeypatch, caplog):
    hub, tries = Hub(), []

    def fail():
        tries.append(1)
        raise OSError("no connection")

    monkeypatch.setattr(hub, "_poll", fail)
    monkeypatch.setattr(hub, "_wait_for_notices", fail)
    began = time.monotonic()
    with hub.subscribe(user.key):
        assert time.monotonic() - began < SOON
    hub.stop()
    assert tries
    assert Event.select().count() > 0
