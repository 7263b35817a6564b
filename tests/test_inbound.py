"""What a webhook says is stored once, whatever the order, and whoever else stores it at the same moment."""

import threading
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from core import (
    Alias,
    AliasesChanged,
    AuthorKind,
    Echoed,
    Noted,
    Outbound,
    Profile,
    Received,
    StatusChanged,
    handover,
    identities,
    inbound,
    outbound,
    webhooks,
)
from core.channel import Event as ChannelEvent
from core.conversation import page
from core.db import database, is_sqlite
from core.deployments import channel_of
from core.models import (
    Deployment,
    Event,
    Handler,
    HeldStatus,
    Identity,
    IdentityAlias,
    LogState,
    Message,
    Session,
    User,
    WebhookLog,
    WebhookLogIdentity,
)
from core.text import snippet
from fake_channel import (
    Fake,
    Fragile,
    agent,
    at_once,
    deploy,
    employ,
    event_from_json,
    message_of,
    post,
    says,
    user_of,
    written,
)

PLUGINS = ("fake_channel",)
NUL, SURROGATE, SHOWN = "\x00", "\ud83d", "\N{REPLACEMENT CHARACTER}"


def counts():
    """Return how many users, identities, sessions and messages there are."""
    return tuple(model.select().count() for model in (User, Identity, Session, Message))


# ── Once


def test_the_same_event_twice_is_one_message(app):
    shop = deploy()
    first, second = says(shop, id="m1"), says(shop, id="m1")
    assert second.repeated
    assert (first.identity_id, first.message_id) == (second.identity_id, second.message_id)
    assert counts() == (1, 1, 1, 1)


def test_the_same_event_at_the_same_moment_is_one_message(app):
    shop = deploy()
    for number in range(5):
        event = Received(id=f"m{number}", at=shop.created, aliases=(Alias("id", f"u{number}"),), text="hi")
        results = at_once(app, *[lambda event=event: inbound.accept(shop, event, shop.created)] * 4)
        assert len({result.message_id for result in results}) == 1
        assert sorted(result.repeated for result in results) == [False, True, True, True]
    assert counts() == (5, 5, 5, 5)


def test_two_first_messages_at_the_same_moment_make_one_user(app):
    shop = deploy()
    for number in range(5):
        results = at_once(app, *[lambda number=number: says(shop, f"u{number}")] * 3)
        assert len({result.identity_id for result in results}) == 1
    assert counts() == (5, 5, 5, 15)
    assert [user.received_count for user in User.select()] == [3] * 5
    assert IdentityAlias.select().where(IdentityAlias.valid_until.is_null(False)).count() == 0


def test_the_same_id_on_two_deployments_is_two_messages(app):
    says(deploy(account="one"), id="m1")
    says(deploy(account="two"), id="m1")
    assert counts() == (2, 2, 2, 2)


def test_an_event_without_an_id_is_known_again_by_its_content(app, clock):
    shop = deploy()
    event = Received(id=None, at=clock.now(), aliases=(Alias("id", "asha"),), text="hi", raw={"text": "hi"})
    again = Received(id=None, at=clock.now(), aliases=(Alias("id", "asha"),), text="hi", raw={"text": "hi"})
    assert not inbound.accept(shop, event, clock.now()).repeated
    assert inbound.accept(shop, again, clock.now()).repeated


def test_two_users_who_write_the_same_without_an_id_are_two(app, clock):
    shop = deploy()
    for who in ("asha", "ben"):
        assert not says(shop, who, "hi", id=None).repeated
    assert counts() == (2, 2, 2, 2)


def test_a_repeat_does_not_count_again(app):
    shop = deploy()
    user = user_of(says(shop, id="m1"))
    says(shop, id="m1")
    after = User.get_by_id(user.id)
    assert (after.received_count, after.event_seq) == (user.received_count, user.event_seq)


# ── Text that no database takes


def test_nul_and_lone_surrogates_are_replaced_wherever_they_stand(app, clock):
    shop = deploy()
    bad = f"a{NUL}b{SURROGATE}c"
    good = f"a{SHOWN}b{SHOWN}c"
    event = Received(
        id=bad,
        at=clock.now(),
        aliases=(Alias("id", bad), Alias("phone", bad)),
        text=bad,
        payload={bad: [bad, {bad: bad}]},
        profile=Profile(name=bad, email=bad, language=bad, timezone=bad),
        footprint={bad: bad},
        reply_to=bad,
    )
    accepted = inbound.accept(shop, event, clock.now())
    message = message_of(accepted)
    assert (message.text, message.provider_id, message.reply_to) == (good, good, good)
    assert message.payload == {good: [good, {good: good}]}
    user, identity = user_of(accepted), Identity.get()
    assert (user.name, user.language, user.timezone) == (good,) * 3
    assert user.email is None  # what a property does not take is left out, and keeps no message from coming
    assert user.last_message_text == good
    assert identity.profile_name == good
    assert identity.first_footprint == {good: good}
    assert sorted(alias.value for alias in identity.aliases) == [good, good]
    assert inbound.accept(shop, event, clock.now()).repeated
    assert says(shop, aliases=(Alias("id", bad),)).identity_id == accepted.identity_id


@pytest.mark.parametrize("bad", [f"x{NUL}", f"x{SURROGATE}"])
def test_no_kind_of_event_fails_over_a_character(app, clock, bad):
    shop = deploy()
    says(shop, "asha")
    asha, other = (Alias("id", "asha"),), (Alias("id", bad),)
    events = [
        Echoed(id=bad, at=clock.now(), aliases=asha, text=bad, payload={bad: bad}, reply_to=bad),
        StatusChanged(id=bad, at=clock.now(), status=None, word=bad, ref=bad, aliases=other),
        StatusChanged(id="x" + bad, at=clock.now(), status=None, word=bad, aliases=other),
        AliasesChanged(id=bad + "1", at=clock.now(), before=asha, after=other, text=bad, payload={bad: bad}),
        Noted(id=bad + "2", at=clock.now(), aliases=other, label=bad, raw={bad: bad}),
        Noted(id=None, at=clock.now(), label=bad, raw={bad: bad}),
        Received(id=None, at=clock.now(), aliases=other, raw={bad: bad}, account=bad),
        Received(id=None, at=clock.now(), aliases=other, raw={}, text=bad),
    ]
    results = inbound.accept_all(shop, events, clock.now())
    assert [result for result in results if isinstance(result, Exception)] == []


def test_a_payload_that_is_nested_for_ever_is_kept_in_part(app):
    deep = []
    for _ in range(5000):
        deep = [deep]
    message = message_of(says(deploy(), payload={"deep": deep, "not a number": float("nan")}))
    assert "nested too deep" in str(message.payload)
    assert message.payload["not a number"] == "nan"


# ── Who, and where


def test_a_message_that_names_nobody_is_remarked_and_not_stored(app):
    shop = deploy()
    for aliases in ((), (Alias("id", ""),), (Alias("id", "  "), Alias("phone", ""))):
        accepted = says(shop, aliases=aliases)
        assert accepted.message_id is None
        assert "names no user" in accepted.remark
    assert counts() == (0, 0, 0, 0)


def test_an_empty_alias_beside_a_good_one_joins_nobody(app):
    shop = deploy()
    first = says(shop, aliases=(Alias("id", "asha"), Alias("phone", "")))
    second = says(shop, aliases=(Alias("id", "ben"), Alias("phone", "")))
    assert first.identity_id != second.identity_id


def test_an_event_goes_to_the_deployment_of_its_account(app, clock):
    one, two = deploy(account="one"), deploy(account="two")
    event = Received(id="m1", at=clock.now(), account="two", aliases=(Alias("id", "asha"),))
    [accepted] = inbound.accept_all(one, [event], clock.now())
    assert message_of(accepted).deployment_id == two.id


@pytest.mark.parametrize("hidden", ["unknown", "switched off", "another channel"])
def test_an_event_for_an_account_that_is_not_here_is_remarked(app, clock, hidden):
    one = deploy(account="one")
    if hidden == "switched off":
        Deployment.update(enabled=False).where(Deployment.id == deploy(account="two").id).execute()
    if hidden == "another channel":
        deploy("fake_open", account="two")
    event = Received(id="m1", at=clock.now(), account="two", aliases=(Alias("id", "asha"),))
    [accepted] = inbound.accept_all(one, [event], clock.now())
    assert accepted.remark == (
        "Received for the account two, which is not set up here. Add a deployment for it, then replay."
    )
    assert counts() == (0, 0, 0, 0)


def test_what_was_for_an_account_that_came_later_is_stored_by_a_replay(app, client):
    one = deploy(account="one")
    post(client, one, written(account="two", text="for two"))
    two = deploy(account="two")
    webhooks.process(WebhookLog.get(), channel_of(one))
    assert [(message.text, message.deployment_id) for message in Message.select()] == [("for two", two.id)]


# ── One that fails


def test_an_event_that_fails_keeps_no_other_from_being_stored_and_a_replay_stores_it_once(app, client):
    shop = deploy()
    Fake.provider.unreadable = True
    fragile = written("ben", "second", payload={"fragile": True})
    assert post(client, shop, written(text="first"), fragile, written(text="third")).status_code == 200
    entry = WebhookLog.get()
    assert entry.state == LogState.FAILED
    assert entry.error == "1 of 3 events were not stored: RuntimeError: this payload is broken"
    assert [message.text for message in Message.select().order_by(Message.id)] == ["first", "third"]
    Fake.provider.unreadable = False
    for _ in range(2):
        webhooks.process(entry, channel_of(shop))
        assert [message.text for message in Message.select().order_by(Message.id)] == [
            "first",
            "third",
            "second",
        ]
    entry = WebhookLog.get()
    assert (entry.state, entry.error) == (LogState.PROCESSED, None)
    assert {row.identity_id for row in WebhookLogIdentity.select()} == {
        identity.id for identity in Identity.select()
    }


def test_an_event_that_core_does_not_know_fails_alone(app, clock):
    shop = deploy()
    good = Received(id="m1", at=clock.now(), aliases=(Alias("id", "asha"),))
    failed, stored = inbound.accept_all(shop, [ChannelEvent(at=clock.now()), good], clock.now())
    assert isinstance(failed, inbound.NotAccepted)
    assert stored.message_id


def test_a_failed_event_leaves_nothing_behind(app):
    Fake.provider.unreadable = True
    shop = deploy()
    Fake.provider.unreadable = True
    event = event_from_json(written("ben", payload={"fragile": True}))
    [failed] = inbound.accept_all(shop, [event], event.at)
    assert isinstance(failed, RuntimeError)
    assert counts() == (0, 0, 0, 0)
    assert Event.select().count() == 0


def test_a_thousand_events_in_one_body(app, client):
    shop = deploy()
    events = [written(f"u{number % 20}", str(number)) for number in range(1000)]
    assert post(client, shop, *events).status_code == 200
    assert counts() == (20, 20, 20, 1000)
    assert post(client, shop, *events).status_code == 200
    assert counts() == (20, 20, 20, 1000)
    assert {entry.state for entry in WebhookLog.select()} == {LogState.PROCESSED}


def test_two_batches_that_name_the_same_users_in_opposite_order_are_both_stored(app, clock, monkeypatch):
    """On PostgreSQL each waits for the other; the one that is ended stores its events one by one."""
    shop = deploy()
    for who in ("asha", "ben"):
        says(shop, who)
    both = threading.Barrier(2)
    waited = threading.local()
    store = inbound._store

    def store_and_wait(*given):
        accepted = store(*given)
        if not is_sqlite() and not getattr(waited, "once", False):
            waited.once = True
            both.wait(10)
        return accepted

    monkeypatch.setattr(inbound, "_store", store_and_wait)

    def batch(*people):
        events = [
            Received(id=f"{people[0]} {who}", at=clock.now(), aliases=(Alias("id", who),)) for who in people
        ]
        return lambda: inbound.accept_all(shop, events, clock.now())

    for results in at_once(app, batch("asha", "ben"), batch("ben", "asha")):
        assert [type(result) for result in results] == [inbound.Accepted] * 2
    assert [user.received_count for user in User.select()] == [3, 3]
    assert Message.select().count() == 6


# ── The window


def test_the_window_counts_from_the_provider_s_time_and_never_from_later_than_the_receipt(app, clock):
    shop = deploy()
    now = clock.now()
    says(shop, "early", at=now - timedelta(minutes=5), received=now)
    says(shop, "fast clock", at=now + timedelta(hours=5), received=now)
    early, fast = Identity.select().order_by(Identity.id)
    assert early.last_inbound == now - timedelta(minutes=5)
    assert fast.last_inbound == now
    assert [message.at for message in Message.select().order_by(Message.id)] == [
        now - timedelta(minutes=5),
        now,
    ]


def test_the_window_never_moves_backwards(app, clock):
    shop = deploy()
    now = clock.now()
    says(shop, at=now)
    says(shop, at=now - timedelta(hours=30))
    assert Identity.get().last_inbound == now
    assert User.get().last_seen == now


def test_edits_and_notices_reset_no_window_and_move_no_last_seen(app, clock):
    shop = deploy()
    first = says(shop, at=clock.now())
    before = user_of(first)
    clock.advance(hours=30)
    edit = says(shop, kind="edit", text="changed", resets_window=False)
    asha = (Alias("id", "asha"),)
    inbound.accept(shop, Noted(id="n1", at=clock.now(), aliases=asha, label="blocked us"), clock.now())
    inbound.accept(
        shop, AliasesChanged(id="a1", at=clock.now(), before=asha, after=(Alias("id", "a2"),)), clock.now()
    )
    after = user_of(first)
    for name in ("last_seen", "last_message_at", "last_message_text", "received_count", "session_count"):
        assert getattr(after, name) == getattr(before, name), name
    assert Identity.get().last_inbound == message_of(first).at
    assert message_of(edit).session_id == message_of(first).session_id
    assert [entry["kind"] for entry in page(before.id)] == ["text", "edit", "noted", "aliases_changed"]


def test_only_an_act_of_writing_is_told_to_the_bot(app):
    shop = deploy()
    says(shop)
    says(shop, resets_window=False)
    kinds = [event.kind for event in Event.select().order_by(Event.id)]
    assert kinds == ["user_created", "message_received", "conversation_noted"]


@pytest.mark.parametrize(
    ("late", "reachable"), [(timedelta(seconds=1), True), (-timedelta(seconds=1), False)]
)
def test_writing_opens_the_way_again_but_an_old_webhook_does_not(app, clock, late, reachable):
    shop = deploy()
    says(shop, at=clock.now())
    Identity.update(unreachable="gone", opted_out_at=clock.now()).execute()
    says(shop, at=clock.now() + late)
    identity = Identity.get()
    assert (identity.unreachable is None) is reachable
    assert (identity.opted_out_at is None) is reachable


# ── Echoes


def echo(shop, at, who="asha", **more):
    """Let a colleague answer in the provider's own app."""
    given = {"id": f"echo {at} {who}", "at": at, "aliases": (Alias("id", who),), "text": "I am on it"}
    return inbound.accept(shop, Echoed(**{**given, **more}), at)


def test_an_echo_is_shown_pauses_the_bot_and_moves_no_last_seen(app, clock):
    shop = deploy()
    first = says(shop)
    seen, window = user_of(first).last_seen, Identity.get().last_inbound
    clock.advance(minutes=5)
    shown = message_of(echo(shop, clock.now()))
    user = user_of(first)
    assert (user.last_seen, Identity.get().last_inbound) == (seen, window)
    assert (user.last_message_text, user.sent_count, user.received_count) == ("I am on it", 1, 1)
    assert user.handler == Handler.WAITING
    assert (shown.author, shown.author_name, shown.state) == ("agent", "A colleague in fake", "sent")
    assert page(user.id)[-1]["text"] == "A colleague answered outside Parley. The bot is paused."


def test_an_echo_to_someone_new_makes_a_user_who_has_never_written(app, clock):
    user = user_of(echo(deploy(), clock.now()))
    assert (user.last_seen, user.first_seen, user.received_count, user.sent_count) == (None, None, 0, 1)
    assert user.handler == Handler.WAITING
    assert user.last_identity_id == Identity.get().id
    assert page(user.id)[-1]["kind"] == "paused"


def test_an_echo_takes_no_chat_from_an_agent(app, clock):
    shop = deploy()
    user, maya = user_of(says(shop)), employ()
    handover.claim(user.id, maya)
    echo(shop, clock.now())
    assert User.get().agent_id == maya.id


def test_an_echo_of_what_parley_sent_is_not_shown_twice(app, clock, worker):
    shop = deploy()
    arrived, maya = says(shop), employ()
    handover.claim(user_of(arrived).id, maya)
    sent = outbound.send(arrived.identity_id, Outbound(text="hi"), agent(maya))
    worker.run_until_idle()
    assert echo(shop, clock.now(), id=f"fake-{sent.message.id}").repeated


# ── Statuses that come before their message, and notices


def test_a_status_of_nobody_is_held_with_all_that_it_says(app, clock):
    shop = deploy()
    event = StatusChanged(id="later", at=clock.now(), status=None, word="odd", aliases=(Alias("id", "x"),))
    assert "held until its message is known" in inbound.accept(shop, event, clock.now()).remark
    held = HeldStatus.get()
    assert (held.provider_id, held.status["word"], held.status["aliases"]) == ("later", "odd", [["id", "x"]])


def test_a_status_that_names_no_message_is_remarked(app, clock):
    event = StatusChanged(id=None, at=clock.now(), status=None, ref="not a number")
    assert inbound.accept(deploy(), event, clock.now()).remark == "A status that names no message."
    assert HeldStatus.select().count() == 0


@pytest.mark.parametrize("ref", ["9" * 18, "9" * 400, "٣", "-1", "1e3", ""])
def test_a_reference_that_is_none_of_ours_breaks_nothing(app, clock, ref):
    event = StatusChanged(id="p", at=clock.now(), status=None, ref=ref)
    assert "held" in inbound.accept(deploy(), event, clock.now()).remark


def test_a_reference_to_a_message_of_another_deployment_is_not_followed(app, clock):
    one, two = deploy(account="one"), deploy(account="two")
    message = message_of(says(one))
    event = StatusChanged(id="p", at=clock.now(), status=None, word="odd", ref=str(message.id))
    assert inbound.accept(two, event, clock.now()).message_id is None


def test_a_notice_about_a_user_is_an_entry_and_about_nobody_a_remark(app, clock):
    shop = deploy()
    arrived = says(shop)
    about = Noted(
        id="n", at=clock.now(), aliases=(Alias("id", "asha"),), label="typing odd", raw={"what": "it said"}
    )
    shown = message_of(inbound.accept(shop, about, clock.now()))
    assert (shown.author, shown.kind, shown.payload) == ("system", "noted", {"raw": {"what": "it said"}})
    assert inbound.accept(shop, about, clock.now()).repeated
    nobody = Noted(id="n2", at=clock.now(), label="account reviewed")
    assert inbound.accept(shop, nobody, clock.now()).remark == "account reviewed"
    assert Message.select().count() == 2
    assert arrived.message_id


# ── Counters and last message, whatever the order


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["writes", "edits", "echo", "bot", "note"]),
        st.integers(0, 4),  # who
        st.integers(-3000, 3000),  # minutes from now, by the provider's clock
    ),
    max_size=12,
)


@effort(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_counters_windows_and_the_last_message_are_those_of_a_naive_recount(app, clock, acts):
    now = clock.now()
    shop = Deployment.get_or_none() or deploy()
    people = {number: [] for number in range(5)}
    name = f"{Message.select().count()}-{User.select().count()}"
    order = 0
    for act, number, minutes in acts:
        at = min(now, now + timedelta(minutes=minutes))
        who, given, order = f"{name}-{number}", now + timedelta(minutes=minutes), order + 1
        text = f"{act} {order}"
        if act == "writes":
            accepted = says(shop, who, text, at=given, received=now)
        elif act == "edits":
            accepted = says(shop, who, text, at=given, received=now, resets_window=False)
        elif act == "echo":
            accepted = echo(shop, at, who, id=f"{name} {order}", text=text)
        elif not people[number]:
            continue
        elif act == "bot":
            at = now
            User.update(handler=Handler.BOT).where(User.id == people[number][0][4].user_id).execute()
            outbound.send(
                people[number][0][4].identity_id, Outbound(text=text), outbound.Author(AuthorKind.BOT)
            )
            accepted = None
        else:
            event = Noted(id=f"{name} {order}", at=at, aliases=(Alias("id", who),), label=text)
            accepted = inbound.accept(shop, event, now)
        message = message_of(accepted) if accepted else Message.select().order_by(Message.id.desc()).first()
        people[number].append((at, order, act, text, message))
    for history in people.values():
        if not history:
            continue
        user = User.get_by_id(history[0][4].user_id)
        identity = Identity.get_by_id(history[0][4].identity_id)
        stored = [entry for entry in history if entry[4].state != "not_sent"]
        wrote = [entry for entry in stored if entry[2] == "writes"]
        told = [entry for entry in stored if entry[2] in ("echo", "bot")]
        times = [entry[0] for entry in wrote]
        assert user.received_count == len(wrote)
        assert user.sent_count == len(told)
        assert user.last_seen == max(times, default=None)
        assert user.first_seen == min(times, default=None)
        assert identity.last_inbound == max(times, default=None)
        newest = max(wrote + told, key=lambda entry: entry[:2], default=None)
        assert user.last_message_at == (newest and newest[0])
        assert user.last_message_text == (newest and snippet(newest[3]))
        sessions = list(Session.select().where(Session.user == user.id))
        assert user.session_count == len(sessions)
        assert sum(session.message_count for session in sessions) == len(wrote + told)
        for session in sessions:
            rows = list(Message.select().where(Message.session == session.id, Message.author != "system"))
            counted = [row for row in rows if row.text.split()[0] != "edits" and row.state != "not_sent"]
            assert session.message_count == len(counted)
            assert session.opened == min(row.at for row in counted)
            assert session.last_message == max(row.at for row in counted)
        sequence = [event.seq for event in Event.select().where(Event.user == user.id).order_by(Event.id)]
        assert sequence == list(range(1, user.event_seq + 1))


def test_events_of_a_user_have_no_gaps_though_many_write_at_once(app):
    shop = deploy()
    arrived = says(shop)
    at_once(app, *[lambda: says(shop)] * 6)
    user = user_of(arrived)
    sequence = [event.seq for event in Event.select().where(Event.user == user.id).order_by(Event.seq)]
    assert sequence == list(range(1, user.event_seq + 1))
    assert user.received_count == 7


def test_what_a_batch_rolled_back_left_no_trace(app, clock):
    """A transaction that ends takes message, counters and event with it."""
    shop = deploy()
    with database.atomic() as transaction:
        says(shop)
        transaction.rollback()
    assert counts() == (0, 0, 0, 0)
    assert Event.select().count() == 0
    assert identities.find(shop, [Alias("id", "asha")]) is None


def test_a_payload_that_is_no_dict_is_stored_as_one(app):
    assert message_of(says(deploy(), payload=Fragile({"a": 1}))).payload == {"a": 1}
