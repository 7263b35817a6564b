"""May this author write to this identity now? Every answer at its edges, and again at delivery (C3, C4)."""

from datetime import timedelta

import pytest
from peewee import OperationalError, ProgrammingError

import fake_plugin
from core import (
    Author,
    AuthorKind,
    Delivery,
    Failure,
    Outbound,
    Reach,
    ReachKind,
    SendError,
    TemplateCall,
    handover,
    hookimpl,
    outbound,
)
from core.channel import strictest
from core.db import database
from core.deployments import sync_templates
from core.gate import gate, probe
from core.models import Deployment, Handler, Identity, Message, User
from fake_channel import BOT, WELCOME, Fake, agent, deploy, employ, message_of, moment, says, status, user_of

PLUGINS = ("fake_channel", "fake_plugin", "test_gate")
TEXT = Outbound(text="hi")
TEMPLATE = Outbound(template=TemplateCall("welcome", "en", {"1": "Asha", "2": "the sofa"}))
AGENT = Author(AuthorKind.AGENT, "Maya", 1)
CAMPAIGN = Author(AuthorKind.CAMPAIGN, "Spring")

second_answer = None


@hookimpl
def refuse_message():
    """Answer for the second plugin: this module."""
    return second_answer


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    monkeypatch.setattr(fake_plugin, "asked", None)
    monkeypatch.setattr("test_gate.second_answer", None)


def identity_of(accepted):
    return Identity.get_by_id(accepted.identity_id)


def ask(accepted, now, author=AGENT, message=TEXT):
    return gate(identity_of(accepted), message, author, now)


# ── The window, half open


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        (timedelta(0), ReachKind.FREE_FORM),
        (timedelta(hours=23, minutes=59, seconds=59), ReachKind.FREE_FORM),
        (timedelta(hours=23, minutes=59, seconds=59, microseconds=999_999), ReachKind.FREE_FORM),
        (timedelta(hours=24), ReachKind.TEMPLATE_ONLY),
        (timedelta(hours=24, microseconds=1), ReachKind.TEMPLATE_ONLY),
        (timedelta(days=400), ReachKind.TEMPLATE_ONLY),
    ],
)
def test_the_window_closes_at_exactly_24_hours(app, clock, after, kind):  # C3
    arrived = says(deploy())
    opened = clock.now()
    answer = ask(arrived, opened + after)
    assert answer.kind is kind
    closes = opened + timedelta(hours=24)
    assert (answer.until, answer.since) == ((closes, None) if kind is ReachKind.FREE_FORM else (None, closes))
    assert answer.allows(TEXT, AGENT) is (kind is ReachKind.FREE_FORM)
    assert answer.allows(TEMPLATE, AGENT)


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        (timedelta(hours=24, microseconds=-1), ReachKind.FREE_FORM),
        (timedelta(hours=24), ReachKind.HUMAN_ONLY),
        (timedelta(days=7, microseconds=-1), ReachKind.HUMAN_ONLY),
        (timedelta(days=7), ReachKind.NEEDS_USER_FIRST),
    ],
)
def test_only_a_person_may_answer_between_a_day_and_seven(app, clock, after, kind):
    answer = ask(says(deploy("fake_human")), clock.now() + after)
    assert answer.kind is kind
    if kind is ReachKind.HUMAN_ONLY:
        assert answer.until == clock.now() + timedelta(days=7)
        assert answer.since == clock.now() + timedelta(hours=24)
    assert answer.allows(TEXT, AGENT) is (kind in (ReachKind.FREE_FORM, ReachKind.HUMAN_ONLY))
    assert answer.allows(TEXT, BOT) is (kind is ReachKind.FREE_FORM)
    assert answer.allows(TEXT, CAMPAIGN) is (kind is ReachKind.FREE_FORM)


def test_a_channel_without_a_window_stays_open(app, clock):
    arrived = says(deploy("fake_open"))
    clock.advance(days=4000)
    assert ask(arrived, clock.now()).kind is ReachKind.FREE_FORM


@pytest.mark.parametrize(
    ("channel", "kind"),
    [
        ("fake", ReachKind.TEMPLATE_ONLY),
        ("fake_human", ReachKind.NEEDS_USER_FIRST),
        ("fake_open", ReachKind.NEEDS_USER_FIRST),
    ],
)
def test_whoever_never_wrote_has_no_window(app, clock, channel, kind):
    arrived = says(deploy(channel), resets_window=False)
    assert ask(arrived, clock.now()).kind is kind


def test_a_message_from_the_future_opens_the_window_no_further(app, clock):
    arrived = says(deploy(), at=clock.now() + timedelta(hours=9), received=clock.now())
    assert ask(arrived, clock.now()).until == clock.now() + timedelta(hours=24)


# ── What closes the way, and the order of strictness


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"opted_out_at": moment("12:00:00")}, ReachKind.OPTED_OUT),
        ({"blocked_at": moment("12:00:00")}, ReachKind.BLOCKED),
        ({"unreachable": "They are gone."}, ReachKind.UNREACHABLE),
        ({"unreachable": "x", "blocked_at": moment("12:00:00")}, ReachKind.BLOCKED),
        (
            {"unreachable": "x", "blocked_at": moment("12:00:00"), "opted_out_at": moment("13:00:00")},
            ReachKind.OPTED_OUT,
        ),
    ],
)
@pytest.mark.parametrize("channel", ["fake", "fake_open"])
def test_what_closes_the_way_closes_it_to_everything(app, clock, columns, kind, channel):
    arrived = says(deploy(channel))
    Identity.update(columns).execute()
    answer = ask(arrived, clock.now())
    assert answer.kind is kind
    assert answer.sentence
    assert answer.next_step
    assert answer.since == columns.get(f"{kind}_at")
    for author in (AGENT, BOT, CAMPAIGN):
        assert not answer.allows(TEXT, author)
        assert not answer.allows(TEMPLATE, author)


def test_every_answer_says_why(app, clock):
    """And every one that refuses says what to do instead."""
    arrived = says(deploy("fake_human"))
    for after in (timedelta(0), timedelta(hours=24), timedelta(days=8)):
        answer = ask(arrived, clock.now() + after)
        assert answer.sentence.endswith(".")
        assert answer.kind is ReachKind.FREE_FORM or answer.next_step.endswith(".")


def test_a_deployment_that_is_switched_off_or_paused_is_unreachable(app, clock):
    arrived = says(deploy())
    Deployment.update(paused_reason="The token has expired.").execute()
    answer = ask(arrived, clock.now(), message=TEMPLATE)
    assert (answer.kind, answer.sentence) == (
        ReachKind.UNREACHABLE,
        "fake one is paused: The token has expired.",
    )
    Deployment.update(enabled=False).execute()
    assert ask(arrived, clock.now()).sentence == "fake one is switched off."


def test_a_channel_that_is_not_loaded_is_unreachable_and_says_so(app, clock):
    arrived = says(deploy())
    Deployment.update(channel="pigeon", changed=clock.now() + timedelta(1)).execute()
    answer = ask(arrived, clock.now())
    assert answer.kind is ReachKind.UNREACHABLE
    assert answer.sentence == (
        "No loaded plugin brings the channel `pigeon`. There are: fake, fake_human, fake_open."
    )
    maya = employ()
    handover.claim(user_of(arrived).id, maya)
    assert outbound.send(arrived.identity_id, TEXT, agent(maya)).message is None
    assert outbound.send(arrived.identity_id, TEXT, BOT).message.state == Delivery.NOT_SENT


def test_a_secret_that_cannot_be_read_is_unreachable_and_shows_nothing(app, clock):
    arrived = says(deploy())
    config = {"secret": "encrypted:" + "x" * 40, "base_url": ""}
    Deployment.update(config=config, changed=clock.now() + timedelta(1)).execute()
    answer = ask(arrived, clock.now())
    assert answer.kind is ReachKind.UNREACHABLE
    assert "PARLEY_SECRET_KEY" in answer.sentence
    assert "xxx" not in answer.sentence


def test_a_channel_whose_own_rule_raises_refuses_and_is_named(app, clock, monkeypatch):
    arrived = says(deploy())
    monkeypatch.setattr(Fake, "reach", lambda *given: 1 / 0)
    answer = ask(arrived, clock.now())
    assert answer.kind is ReachKind.UNREACHABLE
    assert answer.sentence.startswith("The channel fake failed")


# ── Plugins


def reach(kind, sentence="because"):
    return Reach(kind, sentence)


@pytest.mark.parametrize("first", list(ReachKind))
@pytest.mark.parametrize("second", [ReachKind.HUMAN_ONLY, ReachKind.BLOCKED, None])
def test_the_strictest_answer_stands(clock, first, second):
    answers = [reach(kind) for kind in (ReachKind.FREE_FORM, first, second) if kind is not None]
    expected = max((answer.kind for answer in answers), key=[kind.value for kind in ReachKind].index)
    assert strictest(answers).kind is expected
    assert strictest(answers[::-1]).kind is expected


def test_every_plugin_is_asked_and_the_strictest_stands(app, clock, monkeypatch):
    arrived = says(deploy())
    heard = []

    def refuse(identity, message, author, now):
        heard.append((identity.id, message.text, author.kind, now))
        return reach(ReachKind.BLOCKED, "first")

    monkeypatch.setattr(fake_plugin, "asked", refuse)
    for kind, expected in [
        (ReachKind.OPTED_OUT, ReachKind.OPTED_OUT),
        (ReachKind.TEMPLATE_ONLY, ReachKind.BLOCKED),
        (ReachKind.FREE_FORM, ReachKind.BLOCKED),
    ]:
        monkeypatch.setattr("test_gate.second_answer", reach(kind, "second"))
        assert ask(arrived, clock.now()).kind is expected
    assert heard == [(arrived.identity_id, "hi", AuthorKind.AGENT, clock.now())] * 3


def test_two_answers_that_differ_in_whom_they_let_through_let_through_whom_both_do(app, clock, monkeypatch):
    """People only, and templates only: a template of a bot is not what both allow."""
    arrived = says(deploy())
    clock.advance(hours=24)
    monkeypatch.setattr(fake_plugin, "asked", lambda *given: reach(ReachKind.HUMAN_ONLY, "It is night."))
    assert not ask(arrived, clock.now(), BOT, TEMPLATE).allows(TEMPLATE, BOT)
    assert ask(arrived, clock.now(), CAMPAIGN, TEMPLATE).sentence == "It is night."
    assert ask(arrived, clock.now(), AGENT, TEMPLATE).allows(TEMPLATE, AGENT)
    assert ask(arrived, clock.now(), AGENT, TEXT).kind is ReachKind.TEMPLATE_ONLY


def test_no_plugin_can_allow_what_the_channel_refuses(app, clock, monkeypatch):
    arrived = says(deploy())
    monkeypatch.setattr(fake_plugin, "asked", lambda *given: reach(ReachKind.FREE_FORM))
    assert ask(arrived, clock.now() + timedelta(hours=24)).kind is ReachKind.TEMPLATE_ONLY


@pytest.mark.parametrize("answer", [True, "no", 0, ReachKind.BLOCKED])
def test_a_plugin_that_answers_nonsense_refuses_and_is_named(app, clock, monkeypatch, answer):
    arrived = says(deploy())
    monkeypatch.setattr(fake_plugin, "asked", lambda *given: answer)
    assert "plugin:fake_plugin" in ask(arrived, clock.now()).sentence


def raises(*given):
    raise ValueError("secret of the plugin")


def breaks_the_transaction(*given):
    database.execute_sql("SELECT * FROM no_such_table")


@pytest.mark.parametrize("failure", [raises, breaks_the_transaction])
def test_a_plugin_that_raises_refuses_and_is_named_and_the_others_are_asked(app, clock, monkeypatch, failure):
    arrived, maya = says(deploy()), employ()
    handover.claim(user_of(arrived).id, maya)
    monkeypatch.setattr(fake_plugin, "asked", failure)
    answer = ask(arrived, clock.now())
    assert answer.kind is ReachKind.UNREACHABLE
    assert answer.sentence == (
        "The plugin plugin:fake_plugin failed while it was asked whether this may be sent."
    )
    assert "secret" not in answer.sentence + answer.next_step
    assert outbound.send(arrived.identity_id, TEXT, agent(maya)).message is None
    assert outbound.send(arrived.identity_id, TEXT, BOT).message.state == Delivery.NOT_SENT
    monkeypatch.setattr("test_gate.second_answer", reach(ReachKind.OPTED_OUT))
    assert outbound.send(arrived.identity_id, TEXT, agent(maya)).reach.kind is ReachKind.OPTED_OUT


def test_a_query_of_a_broken_plugin_raises_where_nobody_isolates_it(app):
    """What the gate protects from is real."""
    with pytest.raises((OperationalError, ProgrammingError)):
        breaks_the_transaction()


# ── What the provider says of the window


def closes_window(**more):
    return Failure("The window is closed.", code="131047", closes_window=True, **more)


def test_an_error_that_closes_the_window_holds_until_the_user_writes(app, clock, worker):
    shop = deploy()
    arrived, maya = says(shop), employ()
    handover.claim(user_of(arrived).id, maya)
    Fake.provider.answers.append(
        SendError("The window is closed.", code="131047", permanent=True, closes_window=True)
    )
    clock.advance(minutes=5)
    sent = outbound.send(arrived.identity_id, TEXT, agent(maya))
    worker.run_until_idle()
    failed = message_of(sent)
    assert (failed.state, failed.error) == (Delivery.FAILED, "The window is closed. (131047)")
    answer = probe(identity_of(arrived), maya.id, clock.now())
    assert (answer.kind, answer.since) == (ReachKind.TEMPLATE_ONLY, clock.now())
    clock.advance(minutes=5)
    says(shop, at=clock.now() - timedelta(minutes=7))
    assert probe(identity_of(arrived), maya.id, clock.now()).kind is ReachKind.TEMPLATE_ONLY
    says(shop)
    assert probe(identity_of(arrived), maya.id, clock.now()).kind is ReachKind.FREE_FORM


@pytest.mark.parametrize(("seconds", "kind"), [(1, ReachKind.TEMPLATE_ONLY), (-1, ReachKind.FREE_FORM)])
def test_an_error_that_is_older_than_the_last_message_closes_nothing(app, clock, worker, seconds, kind):
    shop = deploy()
    arrived, maya = says(shop), employ()
    handover.claim(user_of(arrived).id, maya)
    sent = outbound.send(arrived.identity_id, TEXT, agent(maya)).message
    worker.run_until_idle()
    clock.advance(minutes=5)
    says(shop)
    status(shop, sent, Delivery.FAILED, clock.now() + timedelta(seconds=seconds), failure=closes_window())
    clock.advance(seconds=2)
    assert probe(identity_of(arrived), maya.id, clock.now()).kind is kind


def test_failures_that_opt_out_or_make_unreachable_hold_until_the_user_writes(app, clock, worker):
    shop = deploy()
    arrived, maya = says(shop), employ()
    handover.claim(user_of(arrived).id, maya)
    for follows, kind in [
        ({"opts_out": True}, ReachKind.OPTED_OUT),
        ({"unreachable": True}, ReachKind.UNREACHABLE),
    ]:
        clock.advance(seconds=1)
        Fake.provider.answers.append(SendError("Not to this user.", permanent=True, **follows))
        outbound.send(arrived.identity_id, TEXT, agent(maya))
        worker.run_until_idle()
        assert probe(identity_of(arrived), maya.id, clock.now()).kind is kind
        clock.advance(seconds=1)
        says(shop)
        assert probe(identity_of(arrived), maya.id, clock.now()).kind is ReachKind.FREE_FORM


# ── Asked again at delivery


@pytest.fixture
def chat(app, clock):
    """A chat that Maya has, with a message queued one microsecond before its window closes."""
    arrived, maya = says(deploy()), employ()
    clock.advance(hours=24, microseconds=-1)
    handover.claim(user_of(arrived).id, maya)
    sent = outbound.send(arrived.identity_id, Outbound(text="I wrote this for long"), agent(maya))
    assert sent.message.state == Delivery.QUEUED
    return arrived, maya, sent


def test_within_the_window_it_is_delivered(chat, worker):
    worker.run_until_idle()
    assert Fake.provider.texts == ["I wrote this for long"]


def test_the_window_that_closed_meanwhile_stops_it_and_its_text_is_kept(chat, worker, clock):  # C4
    _, _, sent = chat
    clock.advance(microseconds=1)
    worker.run_until_idle()
    message = message_of(sent)
    assert Fake.provider.taken == []
    assert (message.state, message.text) == (Delivery.NOT_SENT, "I wrote this for long")
    assert message.error == "Fake closes free messages 24 h after the user’s last message."
    assert message.attempted is None
    clock.advance(hours=1)
    worker.run_until_idle()
    assert Fake.provider.taken == []


@pytest.mark.parametrize(
    "what",
    [
        lambda: Identity.update(opted_out_at=moment("12:00:00")),
        lambda: Identity.update(unreachable="gone"),
        lambda: Deployment.update(paused_reason="out of money"),
        lambda: Deployment.update(enabled=False),
    ],
    ids=["opted out", "unreachable", "paused", "switched off"],
)
def test_what_closed_the_way_meanwhile_stops_it(chat, worker, what):  # C4
    _, _, sent = chat
    what().execute()
    worker.run_until_idle()
    assert Fake.provider.taken == []
    message = message_of(sent)
    assert (message.state, message.text) == (Delivery.NOT_SENT, "I wrote this for long")
    assert message.error


def test_a_plugin_that_refuses_at_delivery_stops_it(chat, worker, monkeypatch):
    _, _, sent = chat
    monkeypatch.setattr(fake_plugin, "asked", lambda *given: reach(ReachKind.BLOCKED, "Quiet hours."))
    worker.run_until_idle()
    assert (message_of(sent).state, message_of(sent).error) == (Delivery.NOT_SENT, "Quiet hours.")


def test_a_template_is_delivered_after_the_window(app, clock, worker):
    shop = deploy()
    Fake.provider.templates = [WELCOME]
    sync_templates(shop)
    arrived, maya = says(shop), employ()
    clock.advance(hours=30)
    handover.claim_with_template(user_of(arrived).id, arrived.identity_id, maya, TEMPLATE)
    worker.run_until_idle()
    [taken] = Fake.provider.taken
    assert (taken.text, taken.template) == ("Hello Asha, it is about the sofa.", TEMPLATE.template)


def test_a_bot_that_was_silenced_between_queue_and_delivery_says_nothing(app, clock, worker):
    arrived, maya = says(deploy()), employ()
    sent = outbound.send(arrived.identity_id, Outbound(text="robot words"), BOT)
    assert sent.message.state == Delivery.QUEUED
    handover.claim(user_of(arrived).id, maya)
    worker.run_until_idle()
    message = message_of(sent)
    assert Fake.provider.taken == []
    assert (message.state, message.text) == (Delivery.NOT_SENT, "robot words")
    assert message.error == (
        f"The bot’s answer was held back: Maya has this chat since {clock.now():%H:%M} UTC."
    )


def test_an_agent_s_words_are_delivered_though_the_chat_went_back(app, clock, worker):
    arrived, maya = says(deploy()), employ()
    handover.claim(user_of(arrived).id, maya)
    outbound.send(arrived.identity_id, TEXT, agent(maya))
    handover.release(user_of(arrived).id, maya)
    worker.run_until_idle()
    assert Fake.provider.texts == ["hi"]
    assert User.get().handler == Handler.BOT
    assert Message.select().where(Message.state == Delivery.SENT).count() == 1
