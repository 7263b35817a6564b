"""Sessions: opened by a message, over when idle or closed, whatever order the messages come in."""

from datetime import timedelta

import pytest

from core import Outbound, handover, outbound, sessions
from core.models import Identity, IdentityAlias, Message, Session, User
from fake_channel import agent, deploy, employ, message_of, says, user_of

PLUGINS = ("fake_channel",)
HOUR = timedelta(hours=1)


def all_sessions():
    return list(Session.select().order_by(Session.id))


def test_a_session_goes_on_until_it_is_idle_for_exactly_its_time(app, clock):
    shop = deploy(idle_seconds=3600)
    says(shop)
    clock.advance(hours=1, microseconds=-1)
    says(shop)
    assert len(all_sessions()) == 1
    clock.advance(hours=1)
    says(shop)
    first, second = all_sessions()
    assert (first.number, second.number) == (1, 2)
    assert (first.message_count, second.message_count) == (2, 1)
    assert second.opened == clock.now()
    assert User.get().session_count == 2


def test_our_own_messages_keep_a_session_open_but_are_not_of_the_user(app, clock):
    shop = deploy(idle_seconds=3600)
    arrived, maya = says(shop), employ()
    handover.claim(user_of(arrived).id, maya)
    clock.advance(minutes=50)
    outbound.send(arrived.identity_id, Outbound(text="still here"), agent(maya))
    [session] = all_sessions()
    assert session.last_message == clock.now()
    assert session.last_inbound == message_of(arrived).at
    assert session.expires == clock.now() + HOUR
    assert session.handlers == ["Maya"]


def test_a_session_that_was_closed_is_not_gone_on_with(app, clock):
    shop = deploy()
    arrived = says(shop)
    clock.advance(minutes=1)
    sessions.close(Identity.get_by_id(arrived.identity_id), "ended", clock.now())
    closed = Session.get()
    assert (closed.closed, closed.closed_why) == (clock.now(), "ended")
    says(shop)
    sessions.close(Identity.get_by_id(arrived.identity_id), "ended", clock.now() + HOUR)
    assert [session.closed is not None for session in all_sessions()] == [True, True]
    assert Session.get_by_id(closed.id).closed == closed.closed


def test_numbers_go_on_over_all_channels_of_a_user(app):
    user, web = user_of(says(deploy())), deploy("fake_open")
    identity = Identity.create(user=user.id, deployment=web)
    IdentityAlias.create(deployment=web, kind="id", value="asha", identity=identity)
    says(web)
    assert [(session.user_id, session.number) for session in all_sessions()] == [(user.id, 1), (user.id, 2)]


@pytest.mark.parametrize(
    ("minutes", "number"),
    [(-10, 1), (0, 1), (30, 1), (90, 1), (300, 2), (310, 2)],
    ids=["before all", "at the start", "in the first", "in the gap", "at the second", "in the second"],
)
def test_a_message_that_comes_late_belongs_where_it_was_written(app, clock, minutes, number):
    shop = deploy(idle_seconds=3600)
    start = clock.now()
    says(shop)
    clock.advance(minutes=300)
    says(shop)
    clock.advance(minutes=20)
    late = says(shop, at=start + timedelta(minutes=minutes))
    assert Session.get_by_id(message_of(late).session_id).number == number
    assert len(all_sessions()) == 2
    assert sorted(session.message_count for session in all_sessions()) == [1, 2]


def test_a_message_before_all_others_moves_the_beginning_back(app, clock):
    shop = deploy()
    says(shop)
    before = clock.now() - timedelta(minutes=10)
    says(shop, at=before)
    assert Session.get().opened == before


def test_what_does_not_count_opens_no_session_and_keeps_none_open(app, clock):
    shop = deploy(idle_seconds=3600)
    alone = says(shop, "ben", resets_window=False)
    assert message_of(alone).session_id is None
    first = says(shop)
    [session] = all_sessions()
    clock.advance(hours=5)
    edit = says(shop, resets_window=False)
    assert message_of(edit).session_id == message_of(first).session_id
    assert all_sessions() == [session]
    assert Session.get().expires == session.expires
    assert Session.get().message_count == 1


def test_the_footprint_of_a_session_is_that_of_its_first_message(app, clock):
    shop = deploy()
    says(shop, footprint={"page": "/first"})
    says(shop, footprint={"page": "/second"})
    assert Session.get().footprint == {"page": "/first"}
    identity = Identity.get()
    assert (identity.first_footprint, identity.last_footprint) == ({"page": "/first"}, {"page": "/second"})


def test_footprints_keep_their_order_though_they_come_in_another(app, clock):
    shop = deploy()
    now = clock.now()
    for minutes in (-5, -9, -1, -7):
        says(shop, at=now + timedelta(minutes=minutes), footprint={"at": minutes})
    says(shop, at=now)
    identity = Identity.get()
    assert (identity.first_footprint, identity.last_footprint) == ({"at": -9}, {"at": -1})
    assert Message.select().count() == 5
