"""Workers: jobs in their order, one at a time, taken over from the dead; events at least once."""

import threading
import time
from collections import Counter
from datetime import timedelta

import pytest

import fake_plugin
from core import Retry, hookimpl
from core.db import database
from core.models import Event, Job, Message, Operator, enqueue
from core.worker import LEASE, REDELIVER, Worker, hand_on_events
from fake_channel import at_once, deploy, says

PLUGINS = ("fake_channel", "fake_plugin", "test_worker")

heard = None


@hookimpl
def message_received(message):
    """Hear as the second plugin: this module."""
    if heard is not None:
        heard.append(message.text)


@pytest.fixture(autouse=True)
def hearing(monkeypatch):
    """What the second plugin was told."""
    monkeypatch.setattr(fake_plugin, "told", None)
    monkeypatch.setattr(fake_plugin, "jobs", {})
    monkeypatch.setattr("test_worker.heard", [])
    return heard


@pytest.fixture
def does(monkeypatch):
    """Say what a job of the kind `fake.work` does."""

    def do(function, kind="fake.work"):
        monkeypatch.setitem(fake_plugin.jobs, kind, function)

    return do


def names(done):
    return [job.payload["name"] for job in done]


def work(name, **more):
    enqueue("fake.work", {"name": name}, **more)


# ── Order


def test_jobs_are_done_as_they_fall_due(app, worker, does, clock):
    done = []
    does(done.append)
    now = clock.now()
    for name, seconds in [("c", 0), ("b", -1), ("later", 1), ("a", -2)]:
        work(name, due=now + timedelta(seconds=seconds))
    worker.run_until_idle()
    assert names(done) == ["a", "b", "c"]
    clock.advance(seconds=1)
    worker.run_until_idle()
    assert names(done) == ["a", "b", "c", "later"]
    assert Job.select().count() == 0


def test_a_lane_keeps_its_order_whatever_falls_due_first(app, worker, does, clock):
    done = []
    does(done.append)
    now = clock.now()
    work("first", lane="L", due=now + timedelta(seconds=5))
    work("second", lane="L")
    work("other", lane="M")
    worker.run_until_idle()
    assert names(done) == ["other"]
    clock.advance(seconds=5)
    worker.run_until_idle()
    assert names(done) == ["other", "first", "second"]


def test_a_job_that_was_given_up_holds_up_nobody_in_its_lane(app, worker, does):
    done = []
    does(done.append)
    work("dead", lane="L")
    Job.update(failed=Job.due).execute()
    work("alive", lane="L")
    worker.run_until_idle()
    assert names(done) == ["alive"]


def test_a_request_key_queues_once(app, worker, does):
    done = []
    does(done.append)
    work("a", request_key="k")
    work("b", request_key="k")
    worker.run_until_idle()
    assert names(done) == ["a"]
    work("c", request_key="k")
    worker.run_until_idle()
    assert names(done) == ["a", "c"]


def test_a_job_of_a_transaction_that_ended_is_never_done(app, worker, does):
    done = []
    does(done.append)
    with database.atomic() as transaction:
        work("a")
        transaction.rollback()
    worker.run_until_idle()
    assert done == []


def test_a_slot_is_leased_only_when_it_is_free(app, does):
    for number in range(12):
        work(number)
    worker = Worker(app)
    assert len(worker._lease()) == 8
    assert worker._lease() == []
    assert len(Worker(app)._lease()) == 4


# ── At the same moment


def test_workers_never_do_a_job_twice_nor_a_lane_side_by_side(app, does):
    order, side_by_side, together = [], Counter(), []
    lock = threading.Lock()

    def watched(job):
        with lock:
            order.append(job.payload["name"])
            side_by_side[job.lane] += 1
            if job.lane and side_by_side[job.lane] > 1:
                together.append(job.lane)
        time.sleep(0.002)
        with lock:
            side_by_side[job.lane] -= 1

    does(watched)
    with database.atomic():
        for number in range(60):
            work(number, lane=f"lane {number % 5}" if number % 6 else None)
    at_once(app, *[Worker(app).run_until_idle for _ in range(4)])
    Worker(app).run_until_idle()
    assert Counter(order) == Counter(range(60))
    assert together == []
    for lane in range(5):
        mine = [number for number in order if number % 6 and number % 5 == lane]
        assert mine == sorted(mine)


def test_two_workers_lease_different_jobs(app):
    for number in range(10):
        work(number)
    leases = at_once(app, *[lambda: Worker(app)._lease(4)] * 3)
    ids = [job.id for lease in leases for job in lease]
    assert len(ids) == len(set(ids))
    assert len(ids) >= 8


# ── Leases


def test_a_lease_that_ran_out_is_taken_over(app, worker, does, clock):
    done = []
    does(done.append)
    work("a")
    assert len(worker._lease()) == 1
    second = Worker(app)
    clock.advance(seconds=LEASE.total_seconds())
    second.run_until_idle()
    assert done == []
    clock.advance(seconds=0.001)
    second.run_until_idle()
    assert names(done) == ["a"]


def test_a_lease_that_is_renewed_is_not(app, worker, does, clock):
    work("a")
    worker._lease()
    second = Worker(app)
    for _ in range(5):
        clock.advance(seconds=15)
        worker._renew()
        assert second._lease() == []


def test_a_worker_renews_no_lease_that_another_has(app, worker, clock):
    work("a")
    worker._lease()
    clock.advance(seconds=21)
    second = Worker(app)
    second._name = "another"
    second._lease()
    before = Job.get().leased_until
    clock.advance(seconds=5)
    worker._renew()
    assert Job.get().leased_until == before
    second._renew()
    assert Job.get().leased_until == clock.now() + LEASE


@pytest.mark.parametrize("end", ["done", "retry", "failed"])
def test_who_lost_a_job_no_longer_concludes_it(app, worker, does, clock, end):
    """Or the next one would begin while the new holder is still at it."""
    work("a", lane="L")
    work("b", lane="L")

    def slow(job):
        clock.advance(seconds=21)
        [taken] = Worker(app)._lease(1)
        assert taken.id == job.id
        if end == "retry":
            raise Retry("later", timedelta(0))
        if end == "failed":
            raise ValueError

    does(slow)
    worker._one()
    first = Job.select().order_by(Job.id).first()
    assert (first.payload["name"], first.attempts) == ("a", 2)
    assert first.leased_until == clock.now() + LEASE
    assert Worker(app)._lease() == []


# ── Failures


def test_retry_runs_again_when_it_said_and_is_never_given_up(app, worker, does, clock):
    tries = []

    def later(job):
        tries.append(clock.now())
        raise Retry("not yet", timedelta(minutes=7))

    does(later)
    work("a")
    for _ in range(12):
        worker.run_until_idle()
        job = Job.get()
        assert (job.error, job.due, job.failed) == ("not yet", clock.now() + timedelta(minutes=7), None)
        assert (job.leased_by, job.leased_until) == (None, None)
        clock.advance(minutes=7)
    assert len(tries) == 12


def test_a_job_that_fails_is_tried_later_and_later_and_then_given_up_with_its_error(app, worker, does, clock):
    def fail(job):
        raise ValueError("it is broken")

    does(fail)
    work("a")
    waits = []
    for _ in range(12):
        worker.run_until_idle()
        job = Job.get()
        if job.failed:
            break
        waits.append((job.due - clock.now()).total_seconds())
        clock.set(job.due)
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert (job.failed, job.error, job.leased_by) == (clock.now(), "ValueError: it is broken", None)
    clock.advance(days=1)
    worker.run_until_idle()
    assert Job.get().attempts == 10


def test_a_failure_with_odd_characters_is_kept(app, worker, does):
    def fail(job):
        raise ValueError("a\x00b")

    does(fail)
    work("a")
    worker.run_until_idle()
    assert Job.get().error == "ValueError: a\N{REPLACEMENT CHARACTER}b"
    assert Job.get().leased_by is None


def test_a_job_that_broke_its_transaction_is_tried_again(app, worker, does):
    def fail(job):
        with database.atomic():
            Operator.create(email="a", name="a", password_hash="")
            database.execute_sql("SELECT * FROM no_such_table")

    does(fail)
    work("a")
    worker.run_until_idle()
    assert "no_such_table" in Job.get().error
    assert Operator.select().count() == 0


def test_a_kind_that_no_plugin_does_is_kept_and_says_so(app, worker):
    enqueue("fax", {})
    worker.run_until_idle()
    assert Job.get().error == "LookupError: No loaded plugin does jobs of the kind `fax`."


# ── Events


def test_every_plugin_is_told_of_each_message_once(app, worker, hearing, monkeypatch):
    told = []
    monkeypatch.setattr(
        fake_plugin, "told", lambda message, user, identity: told.append((message, user, identity))
    )
    shop = deploy()
    says(shop, text="one")
    says(shop, text="two")
    worker.run_until_idle()
    worker.run_until_idle()
    assert hearing == ["one", "two"]
    message, user, identity = told[0]
    assert (message.text, message.user_id, message.identity_id) == ("one", user.id, identity.id)
    assert Event.select().where(~Event.handed_on).count() == 0


def test_a_plugin_that_fails_is_told_again_alone(app, worker, hearing, monkeypatch, clock):
    tries = []

    def fails_twice(message, user, identity):
        tries.append(message.text)
        if len(tries) < 3:
            raise ValueError("not yet")

    monkeypatch.setattr(fake_plugin, "told", fails_twice)
    says(deploy(), text="one")
    for _ in range(5):
        worker.run_until_idle()
        clock.advance(minutes=5)
    assert tries == ["one"] * 3
    assert hearing == ["one"]
    assert Job.select().count() == 0


def test_a_plugin_that_breaks_the_transaction_takes_the_event_from_no_other(
    app, worker, hearing, monkeypatch
):
    def breaks(message, user, identity):
        enqueue("fake.work", {"name": "left"})
        database.execute_sql("SELECT * FROM no_such_table")

    monkeypatch.setattr(fake_plugin, "told", breaks)
    shop = deploy()
    says(shop, text="one")
    says(shop, text="two")
    worker.run_until_idle()
    assert hearing == ["one", "two"]
    assert [job.kind for job in Job.select()] == [REDELIVER] * 2


def test_a_plugin_that_keeps_failing_is_given_up_with_its_error(app, worker, hearing, monkeypatch, clock):
    def fails(message, user, identity):
        raise ValueError("never")

    monkeypatch.setattr(fake_plugin, "told", fails)
    says(deploy())
    for _ in range(15):
        worker.run_until_idle()
        clock.advance(minutes=5)
    job = Job.get()
    assert (job.attempts, job.payload["plugin"]) == (10, "plugin:fake_plugin")
    assert job.failed
    assert job.error == "PluginFailed: ValueError: never"
    assert hearing == ["hello"]


def test_events_are_handed_on_at_least_once_though_a_worker_dies_over_them(app, worker, hearing, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*given):
        raise Killed

    monkeypatch.setattr(fake_plugin, "told", die)
    says(deploy(), text="one")
    with pytest.raises(Killed):
        worker.run_until_idle()
    assert Event.select().where(Event.handed_on).count() == 0
    monkeypatch.setattr(fake_plugin, "told", None)
    Worker(app).run_until_idle()
    assert hearing[-1] == "one"
    assert Event.select().where(~Event.handed_on).count() == 0


def test_workers_hand_on_an_event_once(app, hearing):
    shop = deploy()
    for number in range(20):
        says(shop, f"u{number % 3}", str(number))
    at_once(app, *[hand_on_events] * 4)
    hand_on_events()
    assert Counter(hearing) == Counter(str(number) for number in range(20))


def test_an_event_of_a_message_that_is_gone_is_passed_over(app, worker, hearing):
    accepted = says(deploy())
    Message.remove(Message.id == accepted.message_id)
    worker.run_until_idle()
    assert hearing == []
    assert Event.select().where(~Event.handed_on).count() == 0


def test_more_events_than_one_step_takes_are_all_handed_on(app, worker, hearing, monkeypatch):
    shop = deploy()
    for number in range(7):
        says(shop, text=str(number))
    assert hand_on_events(5) == 5
    worker.run_until_idle()
    assert hearing == [str(number) for number in range(7)]


# ── The loop


@pytest.fixture
def running(app):
    """A worker in a thread of its own, as a process runs it."""
    worker = Worker(app)
    thread = threading.Thread(target=worker.run)
    yield worker, thread
    worker.stop()
    if thread.ident:
        thread.join(20)
        assert not thread.is_alive()


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def test_a_running_worker_does_jobs_side_by_side_and_hands_on_events(app, running, does, hearing):
    both = threading.Barrier(2)
    does(lambda job: both.wait(10))
    work("a")
    work("b")
    running[1].start()
    says(deploy(), text="one")
    until(lambda: Job.select().count() == 0 and hearing == ["one"])
    assert not both.broken


def test_a_worker_that_stops_finishes_what_runs_and_leases_nothing_more(app, running, does):
    worker, thread = running
    begun, end, done = threading.Event(), threading.Event(), []

    def slow(job):
        begun.set()
        end.wait(10)
        done.append(job.payload["name"])

    does(slow)
    work("a", lane="L")
    work("b", lane="L")
    thread.start()
    assert begun.wait(10)
    worker.stop()
    leased = Job.select().order_by(Job.id).first().leased_until
    until(lambda: Job.select().order_by(Job.id).first().leased_until > leased)
    assert thread.is_alive()
    end.set()
    thread.join(10)
    assert done == ["a"]
    assert [job.payload["name"] for job in Job.select()] == ["b"]


def test_the_loop_goes_on_after_a_failure(app, running, does, monkeypatch, caplog):
    worker, thread = running
    tries = []
    real = worker._lease

    def fail_once():
        tries.append(1)
        if len(tries) == 1:
            raise ZeroDivisionError
        return real()

    monkeypatch.setattr(worker, "_lease", fail_once)
    done = []
    does(done.append)
    work("a")
    thread.start()
    until(lambda: done)
    assert "the worker's loop failed" in caplog.text
