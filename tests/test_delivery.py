"""How far a message came: the same end for every order of the news, and only upwards."""

import itertools
import threading
import time
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from core import Delivery, Failure, Outbound, Receipt, StatusChanged, delivery, inbound, outbound
from core.db import database, is_sqlite
from core.models import Event, HeldStatus, Identity, Message
from fake_channel import BOT, Fake, at_once, deploy, says, status

PLUGINS = ("fake_channel",)
STATES = [Delivery.SENT, Delivery.DELIVERED, Delivery.READ, Delivery.FAILED]
LADDER = [
    Delivery.QUEUED,
    Delivery.UNCONFIRMED,
    Delivery.SENT,
    Delivery.FAILED,
    Delivery.DELIVERED,
    Delivery.READ,
]
KEPT = ("state", "sent", "delivered", "read", "failed", "error")


@pytest.fixture
def shop(app):
    return deploy()


@pytest.fixture
def arrived(shop):
    return says(shop)


def queue(arrived, text="hi"):
    return outbound.send(arrived.identity_id, Outbound(text=text), BOT).message


def facts(message):
    """Return what is known of how far a message came."""
    row = Message.get_by_id(message.id)
    return {name: getattr(row, name) for name in KEPT}


NEWS = st.lists(
    st.tuples(st.sampled_from([*STATES, Delivery.UNCONFIRMED, None]), st.integers(0, 4)),
    min_size=1,
    max_size=4,
)


@effort(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(news=NEWS)
def test_the_end_is_the_same_for_every_order_and_states_only_climb(shop, arrived, clock, news):
    start = clock.now() - timedelta(hours=1)
    ends = []
    for order in set(itertools.permutations(news)):
        message = queue(arrived)
        Message.update(provider_id=f"fake-{message.id}").where(Message.id == message.id).execute()
        height = 0
        for state, minute in order:
            at = start + timedelta(minutes=minute)
            failure = Failure(f"broke at {minute}") if state is Delivery.FAILED else None
            status(shop, message, state, at, failure=failure, word="odd")
            now = LADDER.index(facts(message)["state"])
            assert now >= height
            height = now
        ends.append(facts(message))
    assert all(end == ends[0] for end in ends)
    end = ends[0]
    assert LADDER.index(end["state"]) == max(LADDER.index(state or Delivery.QUEUED) for state, _ in news)
    for state in STATES:
        times = [start + timedelta(minutes=minute) for told, minute in news if told is state]
        assert end[state.value] == min(times, default=None)
    failed = [minute for state, minute in news if state is Delivery.FAILED]
    assert end["error"] == (f"broke at {min(failed)}" if end["state"] == Delivery.FAILED else None)


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])))
def test_statuses_before_between_and_after_the_receipt_come_to_the_same(shop, arrived, clock, worker, order):
    """Sent, delivered and read may all arrive before the send call has returned."""
    told = [(Delivery.SENT, 1), (Delivery.DELIVERED, 2), (Delivery.READ, 3)]
    early, late = order[0], order[1:]

    def answer(message):
        state, second = told[early]
        row = Message.get_by_id(int(message.ref))
        status(shop, row, state, clock.now() - timedelta(seconds=9 - second), id=f"fake-{message.ref}")
        return Receipt(f"fake-{message.ref}")

    Fake.provider.answers.append(answer)
    message = queue(arrived)
    worker.run_until_idle()
    for number in late:
        state, second = told[number]
        status(shop, message, state, clock.now() - timedelta(seconds=9 - second))
    end = facts(message)
    assert (end["state"], end["error"]) == (Delivery.READ, None)
    assert end["read"] - end["delivered"] == end["delivered"] - end["sent"] == timedelta(seconds=1)
    assert HeldStatus.select().count() == 0


def test_a_status_that_is_recorded_while_the_receipt_is_settles_at_the_next_tick(
    shop, arrived, clock, worker
):
    """Its transaction looked for the message before, and is seen only after, the receipt's."""
    message = queue(arrived)
    worker.run_until_idle()
    event_at = clock.now()
    HeldStatus.create(
        deployment=shop,
        provider_id=f"fake-{message.id}",
        status={"status": "read", "word": "", "at": event_at.isoformat(), "failure": None, "aliases": []},
    )
    assert facts(message)["state"] == Delivery.SENT
    worker.tick()
    assert facts(message)["state"] == Delivery.READ
    assert HeldStatus.select().count() == 0


def test_settling_stragglers_never_takes_a_message_down(app, shop, arrived, clock, worker):
    """A status that comes while stragglers are settled waits for them, or they for it."""
    message = queue(arrived)
    worker.run_until_idle()
    kept = {"status": "delivered", "word": "", "at": clock.now().isoformat(), "failure": None, "aliases": []}
    HeldStatus.create(deployment=shop, provider_id=f"fake-{message.id}", status=kept)
    reading = threading.Event()

    def read():
        with database.atomic():
            status(shop, message, Delivery.READ)
            reading.set()
            time.sleep(0.3 if not is_sqlite() else 0)

    def settle():
        reading.wait(10)
        delivery.settle_stragglers()

    assert at_once(app, read, settle) == [None, None]
    assert facts(message)["state"] == Delivery.READ


def test_what_a_status_said_before_its_message_is_all_applied(shop, arrived, clock, worker):
    failure = Failure(
        "Closed.",
        code="131047",
        closes_window=True,
        opts_out=True,
        unreachable=True,
        retry_after=timedelta(1),
    )

    def answer(message):
        row = Message.get_by_id(int(message.ref))
        status(shop, row, Delivery.FAILED, failure=failure, id=f"fake-{message.ref}")
        status(shop, row, None, word="odd", id=f"fake-{message.ref}")
        return Receipt(f"fake-{message.ref}")

    Fake.provider.answers.append(answer)
    message = queue(arrived)
    worker.run_until_idle()
    identity = Identity.get()
    assert facts(message)["error"] == "Closed. (131047)"
    assert (identity.window_closed_at, identity.opted_out_at) == (clock.now(), clock.now())
    assert identity.unreachable == "Closed."
    assert Message.get_by_id(message.id).payload["provider_said"] == [
        {"word": "odd", "at": clock.now().isoformat()}
    ]


def test_statuses_that_nobody_claims_go_after_a_week(shop, clock):
    HeldStatus.create(deployment=shop, provider_id="x", status={})
    clock.advance(days=7)
    delivery.settle_stragglers()
    assert HeldStatus.select().count() == 1
    clock.advance(seconds=1)
    delivery.settle_stragglers()
    assert HeldStatus.select().count() == 0


def test_our_reference_settles_what_is_unconfirmed(shop, arrived, clock, worker):
    message = queue(arrived)
    Message.update(attempted=clock.now()).execute()
    worker.run_until_idle()
    before = facts(message)
    assert before["state"] == Delivery.UNCONFIRMED
    assert before["error"] == (
        "The worker stopped while this was being sent. It may have arrived: it is not sent again by itself."
    )
    status(shop, message, Delivery.DELIVERED, id="late-1", ref=str(message.id))
    after = facts(message)
    assert (after["state"], after["error"]) == (Delivery.DELIVERED, None)
    assert Message.get_by_id(message.id).provider_id == "late-1"
    status(shop, message, Delivery.READ, id="late-1")
    assert facts(message)["state"] == Delivery.READ
    assert Fake.provider.taken == []


def test_a_failure_explains_what_was_unconfirmed(shop, arrived, clock, worker):
    message = queue(arrived)
    Message.update(attempted=clock.now()).execute()
    worker.run_until_idle()
    status(shop, message, Delivery.FAILED, ref=str(message.id), failure=Failure("No such number."))
    assert (facts(message)["state"], facts(message)["error"]) == (Delivery.FAILED, "No such number.")


def test_statuses_that_were_held_for_an_unconfirmed_message_are_settled_with_it(shop, arrived, clock, worker):
    message = queue(arrived)
    Message.update(attempted=clock.now()).execute()
    worker.run_until_idle()
    status(shop, message, Delivery.READ, id="late-1")
    assert facts(message)["state"] == Delivery.UNCONFIRMED
    status(shop, message, Delivery.SENT, id="late-1", ref=str(message.id))
    worker.tick()
    assert facts(message)["state"] == Delivery.READ


@pytest.mark.parametrize("state", STATES)
def test_what_was_never_sent_stays_so(shop, arrived, clock, state):
    Identity.update(unreachable="gone").execute()
    message = queue(arrived)
    assert (message.state, message.error) == (Delivery.NOT_SENT, "gone")
    Message.update(provider_id=f"fake-{message.id}").where(Message.id == message.id).execute()
    before = facts(message)
    status(shop, message, state)
    assert facts(message) == before


def test_a_word_that_nobody_knows_is_kept_with_the_message_and_moves_nothing(shop, arrived, clock, worker):
    message = queue(arrived)
    worker.run_until_idle()
    before = facts(message)
    for number in range(30):
        status(shop, message, None, word=f"odd {number}\x00")
    assert facts(message) == before
    said = Message.get_by_id(message.id).payload["provider_said"]
    assert [entry["word"] for entry in said] == [
        f"odd {number}\N{REPLACEMENT CHARACTER}" for number in range(10, 30)
    ]


def test_a_status_is_told_to_open_pages_once(shop, arrived, clock, worker):
    message = queue(arrived)
    worker.run_until_idle()
    for _ in range(3):
        status(shop, message, Delivery.READ, clock.now())
    kinds = [event.kind for event in Event.select().order_by(Event.id)]
    assert kinds.count("message_status_changed") == 2  # sent, read


def test_a_status_from_the_future_counts_from_its_receipt(shop, arrived, clock, worker):
    message = queue(arrived)
    worker.run_until_idle()
    tomorrow = clock.now() + timedelta(days=1)
    read = StatusChanged(id=f"fake-{message.id}", at=tomorrow, status=Delivery.READ)
    inbound.accept(shop, read, clock.now())
    assert facts(message)["read"] == clock.now()


def test_many_statuses_at_once_end_as_one_after_the_other(app, shop, arrived, clock, worker):
    message = queue(arrived)
    worker.run_until_idle()
    results = at_once(
        app, *[lambda state=state: status(shop, message, state, failure=None) for state in STATES * 2]
    )
    assert not [result for result in results if isinstance(result, Exception)]
    assert facts(message)["state"] == Delivery.READ


def test_a_failure_that_pauses_the_deployment_keeps_the_first_reason(shop, arrived, clock, worker):
    message = queue(arrived)
    worker.run_until_idle()
    for reason in ("The token has expired.", "Something else."):
        status(shop, message, Delivery.FAILED, failure=Failure(reason, pauses_deployment=True))
    assert type(shop).get_by_id(shop.id).paused_reason == "The token has expired."
    assert queue(arrived).state == Delivery.NOT_SENT
