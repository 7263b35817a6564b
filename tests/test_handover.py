"""Who answers a user: claims, releases and time-outs, one after the other and at the same moment."""

import itertools
import threading
import time
from datetime import timedelta

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from core import Alias, Echoed, Outbound, ReachKind, TemplateCall, conversation, handover, inbound, outbound
from core.conversation import page
from core.db import database, is_sqlite
from core.deployments import sync_templates
from core.models import Event, Handler, Identity, Job, Message, User
from core.outbound import BadMessage, NotYours
from fake_channel import (
    BOT,
    WELCOME,
    Fake,
    agent,
    at_once,
    deploy,
    employ,
    message_of,
    says,
    user_of,
)

PLUGINS = ("fake_channel",)
HALF_AN_HOUR = timedelta(minutes=30)
TEMPLATE = Outbound(template=TemplateCall("welcome", "en", {"1": "Asha", "2": "the sofa"}))


@pytest.fixture
def shop(app):
    return deploy()


@pytest.fixture
def arrived(shop):
    return says(shop)


@pytest.fixture
def user(arrived):
    return user_of(arrived)


@pytest.fixture
def maya(app):
    return employ("Maya")


@pytest.fixture
def ben(app):
    return employ("Ben")


def standing(user):
    """Return who has the user, where the chat came from, and when the agent last wrote."""
    row = User.get_by_id(user.id)
    return row.handler, row.agent_id, row.claimed_from, row.agent_active


def everything():
    """Return all that a step could have changed."""
    return [list(model.select().order_by(model.id).dicts()) for model in (User, Message, Event, Job)]


def echo(shop, clock):
    event = Echoed(id=f"e{clock.now()}", at=clock.now(), aliases=(Alias("id", "asha"),), text="on it")
    inbound.accept(shop, event, clock.now())


# ── One step after the other


def test_a_claim_gives_the_user_to_the_agent_and_silences_the_bot(user, maya, arrived, clock):  # C1
    claim = handover.claim(user.id, maya)
    assert (claim.is_mine, claim.name, claim.since) == (True, "Maya", clock.now())
    assert standing(user) == (Handler.AGENT, maya.id, Handler.BOT, clock.now())
    assert outbound.send(arrived.identity_id, Outbound(text="beep"), BOT).message.state == "not_sent"
    assert page(user.id)[-2]["text"] == "Maya started the chat. The bot is paused."
    kinds = [event.kind for event in Event.select().order_by(Event.id)]
    assert kinds[-3:] == ["conversation_noted", "handler_changed", "message_sent"]


def test_the_first_click_wins_and_the_other_sees_who_has_it(user, maya, ben, clock):  # C1
    handover.claim(user.id, maya)
    since = clock.now()
    clock.advance(minutes=3)
    before = everything()
    claim = handover.claim(user.id, ben)
    assert (claim.is_mine, claim.name, claim.operator_id, claim.since) == (False, "Maya", maya.id, since)
    assert handover.claim(user.id, maya).is_mine
    assert everything() == before


def test_assign_to_bot_gives_the_conversation_back(user, maya, arrived, clock):  # C2
    handover.claim(user.id, maya)
    clock.advance(minutes=1)
    handover.release(user.id, maya)
    assert standing(user) == (Handler.BOT, None, None, None)
    assert User.get().handler_since == clock.now()
    assert outbound.send(arrived.identity_id, Outbound(text="beep"), BOT).message.state == "queued"
    assert page(user.id)[-2]["text"] == "Maya assigned the chat to the bot."


def test_a_farewell_is_sent_before_the_chat_goes_back(user, maya, worker):  # C2
    handover.claim(user.id, maya)
    handover.release(user.id, maya, "Bye, Asha")
    worker.run_until_idle()
    assert Fake.provider.texts == ["Bye, Asha"]
    assert [row["kind"] for row in page(user.id)] == ["text", "claimed", "text", "released"]


def test_a_blank_farewell_is_none(user, maya):
    handover.claim(user.id, maya)
    handover.release(user.id, maya, "  \n")
    assert Message.select().where(Message.author == "agent").count() == 0


def test_a_farewell_goes_to_the_identity_that_is_meant(user, maya, worker):
    web = deploy("fake_open", "web")
    other = says(web)
    Identity.update(user=user.id).where(Identity.id == other.identity_id).execute()
    handover.claim(user.id, maya)
    handover.release(user.id, maya, "Bye", identity_id=other.identity_id)
    assert Message.select().where(Message.text == "Bye").get().identity_id == other.identity_id


@pytest.mark.parametrize("farewell", ["Bye", "x" * 1001])
def test_a_farewell_that_cannot_go_changes_nothing(user, maya, clock, farewell):  # C2
    handover.claim(user.id, maya)
    if farewell == "Bye":
        clock.advance(hours=24)
    before = everything()
    with pytest.raises((handover.Refused, BadMessage)) as refused:
        handover.release(user.id, maya, farewell)
    assert everything() == before
    if farewell == "Bye":
        assert refused.value.reach.kind is ReachKind.TEMPLATE_ONLY
        assert "An approved template" in str(refused.value)


def test_nobody_gives_another_s_chat_away_but_who_may(user, maya, ben):
    handover.claim(user.id, maya)
    with pytest.raises(NotYours, match=r"^Maya has this chat, and can assign it to the bot\.$"):
        handover.release(user.id, ben)
    assert standing(user)[1] == maya.id
    handover.release(user.id, ben, "my words are not Maya’s", anyone=True)
    assert standing(user) == (Handler.BOT, None, None, None)
    assert Message.select().where(Message.author == "agent").count() == 0


def test_releasing_what_the_bot_has_changes_nothing(user, maya):
    before = everything()
    handover.release(user.id, maya, "hello?")
    assert everything() == before


def test_an_agent_may_give_one_who_waits_to_the_bot(user, shop, maya, clock):
    echo(shop, clock)
    assert standing(user)[0] == Handler.WAITING
    handover.release(user.id, maya)
    assert standing(user)[0] == Handler.BOT


# ── Time-out


@pytest.mark.parametrize("came_from", [Handler.BOT, Handler.WAITING])
def test_a_claim_without_a_message_returns_to_where_it_came_from(user, shop, maya, clock, came_from):  # C2
    if came_from is Handler.WAITING:
        echo(shop, clock)
    handover.claim(user.id, maya)
    clock.advance(minutes=30, microseconds=-1)
    assert handover.expire_claims(HALF_AN_HOUR) == 0
    clock.advance(microseconds=1)
    assert handover.expire_claims(HALF_AN_HOUR) == 1
    assert standing(user) == (came_from, None, None, None)
    to = "the bot" if came_from is Handler.BOT else "the users who wait for a person"
    assert page(user.id)[-1]["text"] == f"Maya did not write for 30 min. The chat went back to {to}."
    assert handover.expire_claims(HALF_AN_HOUR) == 0


def test_writing_keeps_the_chat_and_clicking_again_does_not(user, maya, arrived, clock):
    handover.claim(user.id, maya)
    clock.advance(minutes=20)
    outbound.send(arrived.identity_id, Outbound(text="hi"), agent(maya))
    clock.advance(minutes=20)
    assert handover.expire_claims(HALF_AN_HOUR) == 0
    assert handover.claim(user.id, maya).is_mine
    clock.advance(minutes=10)
    assert handover.expire_claims(HALF_AN_HOUR) == 1


def test_what_the_user_writes_keeps_no_claim(user, shop, maya, clock):
    handover.claim(user.id, maya)
    clock.advance(minutes=29)
    says(shop)
    clock.advance(minutes=1)
    assert handover.expire_claims(HALF_AN_HOUR) == 1


def test_the_worker_expires_claims_after_the_time_of_the_settings(user, maya, worker, clock):
    handover.claim(user.id, maya)
    clock.advance(minutes=30)
    worker.tick()
    assert standing(user)[0] == Handler.BOT


# ── A template claims (C3, C5)


@pytest.fixture
def templates(shop):
    Fake.provider.templates = [WELCOME]
    sync_templates(shop)


def test_outside_the_window_the_template_is_what_claims(user, arrived, maya, templates, worker, clock):
    clock.advance(hours=30)
    claim, sent = handover.claim_with_template(user.id, arrived.identity_id, maya, TEMPLATE, "k1")
    assert claim.is_mine
    assert standing(user)[:3] == (Handler.AGENT, maya.id, Handler.BOT)
    assert message_of(sent).text == "Hello Asha, it is about the sofa."
    _, again = handover.claim_with_template(user.id, arrived.identity_id, maya, TEMPLATE, "k1")
    assert again.message.id == sent.message.id
    worker.run_until_idle()
    assert len(Fake.provider.taken) == 1


@pytest.mark.parametrize("why", ["refused", "bad", "not a template"])
def test_a_template_that_cannot_go_claims_nothing(user, arrived, maya, templates, clock, why):
    clock.advance(hours=30)
    message = TEMPLATE
    if why == "refused":
        Identity.update(opted_out_at=clock.now()).execute()
    elif why == "bad":
        message = Outbound(template=TemplateCall("welcome", "en", {"1": "Asha"}))
    else:
        message = Outbound(text="hi")
    before = everything()
    with pytest.raises((handover.Refused, BadMessage)):
        handover.claim_with_template(user.id, arrived.identity_id, maya, message)
    assert everything() == before


def test_a_template_to_whom_another_agent_has_is_not_sent(user, arrived, maya, ben, templates, worker):
    handover.claim(user.id, maya)
    before = everything()
    claim, sent = handover.claim_with_template(user.id, arrived.identity_id, ben, TEMPLATE)
    assert (claim.is_mine, claim.name, sent) == (False, "Maya", None)
    assert everything() == before


# ── Echoes


def test_a_colleague_outside_pauses_the_bot_until_a_person_acts(user, shop, arrived, maya, clock):
    echo(shop, clock)
    assert standing(user)[0] == Handler.WAITING
    assert outbound.send(arrived.identity_id, Outbound(text="beep"), BOT).message.state == "not_sent"
    clock.advance(days=1)
    assert handover.expire_claims(HALF_AN_HOUR) == 0
    handover.claim(user.id, maya)
    assert standing(user)[2] == Handler.WAITING


# ── At the same moment


def test_of_many_who_click_at_once_exactly_one_wins(app, user, clock):  # C1
    agents = [employ(name) for name in ("Ann", "Bob", "Cem", "Dee")]
    for _ in range(3):
        claims = at_once(app, *[lambda one=one: handover.claim(user.id, one) for one in agents])
        assert [claim.is_mine for claim in claims].count(True) == 1
        assert {claim.operator_id for claim in claims} == {standing(user)[1]}
        winner = next(one for one in agents if one.id == claims[0].operator_id)
        handover.release(user.id, winner)
    entries = [row["kind"] for row in page(user.id)]
    assert entries == ["text", *["claimed", "released"] * 3]


def test_of_two_templates_at_once_one_is_sent(app, user, arrived, maya, ben, templates, worker, clock):
    clock.advance(hours=30)
    results = at_once(
        app,
        lambda: handover.claim_with_template(user.id, arrived.identity_id, maya, TEMPLATE),
        lambda: handover.claim_with_template(user.id, arrived.identity_id, ben, TEMPLATE),
    )
    assert sorted(claim.is_mine for claim, _ in results) == [False, True]
    worker.run_until_idle()
    assert len(Fake.provider.taken) == 1


def test_a_claim_that_races_with_the_bot_s_answer_either_holds_it_back_or_comes_after(
    app, user, arrived, maya, worker
):
    results = at_once(
        app,
        lambda: handover.claim(user.id, maya),
        lambda: outbound.send(arrived.identity_id, Outbound(text="beep"), BOT),
    )
    assert results[0].is_mine
    worker.run_until_idle()
    assert Fake.provider.taken == []
    assert message_of(results[1]).state == "not_sent"


def test_a_message_that_races_with_the_time_out_leaves_one_truth(app, user, arrived, maya, clock):
    handover.claim(user.id, maya)
    clock.advance(minutes=30)
    expired, sent = at_once(
        app,
        lambda: handover.expire_claims(HALF_AN_HOUR),
        lambda: outbound.send(arrived.identity_id, Outbound(text="hi"), agent(maya)),
    )
    if expired:
        assert isinstance(sent, NotYours)
        assert standing(user)[0] == Handler.BOT
    else:
        assert sent.message.state == "queued"
        assert standing(user)[:2] == (Handler.AGENT, maya.id)


def test_two_workers_expire_a_claim_once(app, user, maya, clock):
    handover.claim(user.id, maya)
    clock.advance(minutes=30)
    results = at_once(app, *[lambda: handover.expire_claims(HALF_AN_HOUR)] * 3)
    assert sorted(results) == [0, 0, 1]
    assert [row["kind"] for row in page(user.id)].count("expired") == 1


def test_a_claim_and_a_message_of_the_same_user_do_not_lock_each_other_out(app, user, arrived, maya):
    """Both take the user's row before any other, so neither holds what the other waits for."""
    claiming, arriving = threading.Event(), threading.Event()

    def claim():
        with database.atomic():
            conversation.lock_user(user.id)
            claiming.set()
            if not is_sqlite():  # its second writer waits at the start of its transaction, outside our code
                arriving.wait(10)
                time.sleep(0.2)  # until the other waits for the row
            return handover.claim(user.id, maya).is_mine

    def receive():
        claiming.wait(10)
        with database.atomic():
            arriving.set()
            return conversation.lock(arrived.identity_id).user.handler

    assert at_once(app, claim, receive) == [True, Handler.AGENT]


# ── Whatever two agents, a bot, a colleague and the clock do


class Chats(RuleBasedStateMachine):
    """A chat is with the bot, waits, or is with one agent: a model of a few lines beside what is stored."""

    shop, clock, agents = None, None, {}
    numbers = itertools.count()
    who = st.sampled_from(["maya", "ben"])

    def __init__(self):
        super().__init__()
        self.name = f"user {next(self.numbers)}"
        self.arrived = says(self.shop, self.name)
        self.user = user_of(self.arrived)
        self.handler, self.holder, self.came_from, self.active = Handler.BOT, None, None, None
        self.steps = 0

    def moves(self, handler, holder=None, came_from=None):
        self.handler, self.holder, self.came_from = handler, holder, came_from
        self.active = self.clock.now() if holder else None
        self.steps += 1

    @rule(who=who)
    def claim(self, who):
        claim = handover.claim(self.user.id, self.agents[who])
        if self.holder is None:
            self.moves(Handler.AGENT, who, self.handler)
        assert claim.operator_id == self.agents[self.holder].id
        assert claim.is_mine is (self.holder == who)

    @rule(who=who, anyone=st.booleans())
    def release(self, who, anyone):
        if self.holder not in (None, who) and not anyone:
            with pytest.raises(NotYours):
                handover.release(self.user.id, self.agents[who])
            return
        handover.release(self.user.id, self.agents[who], anyone=anyone)
        if self.handler is not Handler.BOT:
            self.moves(Handler.BOT)

    @rule(who=who)
    def write(self, who):
        words = Outbound(text="hi"), agent(self.agents[who])
        if self.holder != who:
            with pytest.raises(NotYours):
                outbound.send(self.arrived.identity_id, *words)
            return
        assert outbound.send(self.arrived.identity_id, *words).message.state == "queued"
        self.active = self.clock.now()

    @rule()
    def bot_speaks(self):
        sent = outbound.send(self.arrived.identity_id, Outbound(text="beep"), BOT)
        assert sent.message.state == ("queued" if self.handler is Handler.BOT else "not_sent")

    @rule()
    def user_writes(self):
        says(self.shop, self.name)

    @rule()
    def colleague_answers_outside(self):
        event = Echoed(id=f"e{next(self.numbers)}", at=self.clock.now(), aliases=(Alias("id", self.name),))
        inbound.accept(self.shop, event, self.clock.now())
        if self.handler is Handler.BOT:
            self.moves(Handler.WAITING)

    @rule(minutes=st.sampled_from([1, 14, 29, 30]))
    def time_passes(self, minutes):
        self.clock.advance(minutes=minutes)
        handover.expire_claims(HALF_AN_HOUR)
        if self.active is not None and self.clock.now() - self.active >= HALF_AN_HOUR:
            self.moves(self.came_from)
        says(self.shop, self.name)  # so that the window stays open

    @invariant()
    def stored_as_in_the_model(self):
        holder = self.agents[self.holder].id if self.holder else None
        assert standing(self.user) == (self.handler, holder, self.came_from, self.active)
        changes = Event.select().where(Event.user == self.user.id, Event.kind == "handler_changed")
        assert changes.count() == self.steps


def test_chats_move_as_the_model_says(app, shop, maya, ben, clock):
    staged = type("Staged", (Chats,), {"shop": shop, "clock": clock, "agents": {"maya": maya, "ben": ben}})
    run_state_machine_as_test(
        staged,
        settings=effort(
            max_examples=10,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        ),
    )
