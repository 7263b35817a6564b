"""The only way to send: once in the queue, once at the provider, or visibly neither."""

from datetime import timedelta

import pytest

from core import (
    Alias,
    Author,
    AuthorKind,
    Delivery,
    Outbound,
    ReachKind,
    Receipt,
    SendError,
    Template,
    TemplateCall,
    handover,
    outbound,
    search,
)
from core.db import database
from core.deployments import sync_templates
from core.models import Deployment, Event, IdentityAlias, Job, Message, User
from core.outbound import BadMessage, NotYours
from core.worker import Worker
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
    status,
    user_of,
)

PLUGINS = ("fake_channel",)


@pytest.fixture
def shop(app):
    return deploy()


@pytest.fixture
def arrived(shop):
    return says(shop)


@pytest.fixture
def maya(arrived):
    """The agent who has the chat."""
    operator = employ("Maya")
    handover.claim(user_of(arrived).id, operator)
    return operator


@pytest.fixture
def send(arrived, maya):
    """Send a text as Maya."""

    def sends(text="hi", key=None, **more):
        return outbound.send(arrived.identity_id, Outbound(text=text, **more), agent(maya), key)

    return sends


def state(sent):
    message = message_of(sent)
    return message.state, message.error


# ── Into the queue


def test_a_message_is_queued_with_its_job_and_its_event_in_one_transaction(send):
    before = Event.select().count()
    with database.atomic() as transaction:
        send()
        transaction.rollback()
    assert (Job.select().count(), Event.select().count()) == (0, before)
    assert Message.select().where(Message.author == "agent").count() == 0
    sent = send()
    assert Job.get().payload == {"message": sent.message.id}
    assert Event.select().order_by(Event.id.desc()).get().kind == "message_sent"


def test_a_repeated_request_is_one_message(send, worker):
    first, second = send("hi", "k1"), send("something else", "k1")
    assert first.message.id == second.message.id
    assert Job.select().count() == 1
    worker.run_until_idle()
    assert send("hi", "k1").message.id == first.message.id
    worker.run_until_idle()
    assert Fake.provider.texts == ["hi"]


def test_a_repeated_request_at_the_same_moment_is_one_message(app, send, worker):
    results = at_once(app, *[lambda: send("hi", "k1")] * 4)
    assert len({result.message.id for result in results}) == 1
    worker.run_until_idle()
    assert Fake.provider.texts == ["hi"]


def test_a_request_is_known_again_though_the_chat_is_over(send, arrived, maya, clock):
    first = send("hi", "k1")
    handover.release(user_of(arrived).id, maya)
    assert send("hi", "k1").message.id == first.message.id
    with pytest.raises(NotYours):
        send("hi", "k2")


def test_a_request_key_may_hold_anything(send):
    assert send("hi", "k\x00\ud800").message.id == send("hi", "k\x00\ud800").message.id


def test_messages_without_a_request_key_are_as_many_as_were_sent(send):
    assert send("hi").message.id != send("hi").message.id


def test_nul_and_lone_surrogates_are_replaced(send, worker):
    sent = send("a\x00b\ud83d", payload={"\x00": "\ud83d"}, reply_to="p1")
    worker.run_until_idle()
    [taken] = Fake.provider.taken
    assert taken.text == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
    assert (taken.reply_to, taken.ref) == ("p1", str(sent.message.id))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The message is empty. Write something, or send a template."),
        (" \n\t\N{NO-BREAK SPACE}", "The message is empty. Write something, or send a template."),
        (
            "x" * 1001,
            "The message has 1,001 characters; 1,000 fit. Shorten it, or send it in two parts.",
        ),
    ],
    ids=["empty", "blank", "too long"],
)
def test_a_text_that_no_channel_could_carry_names_its_field(send, text, sentence):
    with pytest.raises(BadMessage) as refused:
        send(text)
    assert (refused.value.field, str(refused.value)) == ("text", sentence)
    assert Message.select().where(Message.author == "agent").count() == 0


def test_a_text_of_just_the_limit_is_carried(send):
    assert send("x" * 1000).message.state == Delivery.QUEUED


# ── Templates

PARTS = Template(
    "order", "de", "utility", "approved", "{{name}}: {{ 2 }}, {{name}}", "Hi {{name}}", "bye", ("Yes", "No")
)


@pytest.fixture
def templates(shop):
    Fake.provider.templates = [
        WELCOME,
        PARTS,
        Template("old", "en", "utility", "paused", "x"),
        Template("given", "en", "utility", "approved", "{{b}}", parameters=("a", "b")),
    ]
    assert sync_templates(shop) == 4


def call(template="welcome", language="en", **parameters):
    given = {key.lstrip("_"): value for key, value in parameters.items()}
    return {"text": "ignored", "template": TemplateCall(template, language, given)}


@pytest.mark.parametrize(
    ("called", "field", "sentence"),
    [
        (call("nothing"), "template", "“nothing” is not an approved template of fake one."),
        (call(language="fr"), "template", "“welcome” is not an approved template of fake one."),
        (call("old"), "template", "“old” is not an approved template of fake one."),
        (call(), "parameter_1", "1 is missing. Fill it in to send the template."),
        (call(_1="Asha"), "parameter_2", "2 is missing. Fill it in to send the template."),
        (call(_1="Asha", _2="  "), "parameter_2", "2 is missing. Fill it in to send the template."),
        (call("order", "de", _2="x"), "parameter_name", "name is missing. Fill it in to send the template."),
        (call("given", b="x"), "parameter_a", "a is missing. Fill it in to send the template."),
    ],
)
def test_a_template_that_cannot_go_names_its_field(send, templates, called, field, sentence):
    with pytest.raises(BadMessage) as refused:
        send(**called)
    assert (refused.value.field, str(refused.value)) == (field, sentence)


def test_a_template_is_shown_with_its_words_and_sent_with_its_parameters(send, templates, worker):
    sent = send(**call("order", "de", name="Asha", _2="sofa"))
    message = message_of(sent)
    assert (message.kind, message.text) == ("template", "Asha: sofa, Asha")
    assert message.payload == {
        "header": "Hi Asha",
        "footer": "bye",
        "buttons": ["Yes", "No"],
        "template": {"name": "order", "language": "de", "parameters": {"name": "Asha", "2": "sofa"}},
    }
    worker.run_until_idle()
    assert Fake.provider.taken[0].template == TemplateCall("order", "de", {"name": "Asha", "2": "sofa"})


def test_the_numbers_of_a_header_may_be_its_own(send, shop):
    numbered = Template("n", "en", "utility", "approved", "{{1}}", "{{1}}!", parameters=("header.1", "1"))
    Fake.provider.templates = [numbered]
    sync_templates(shop)
    message = message_of(send(template=TemplateCall("n", "en", {"header.1": "Sale", "1": "now"})))
    assert (message.payload["header"], message.text) == ("Sale!", "now")


def test_a_template_of_another_deployment_is_none_of_this_one(send, templates):
    other = deploy(account="two")
    Fake.provider.templates = [Template("other", "en", "utility", "approved", "x")]
    sync_templates(other)
    with pytest.raises(BadMessage):
        send(**call("other"))


def test_templates_that_the_provider_no_longer_has_are_removed(send, templates, shop):
    Fake.provider.templates = [PARTS]
    assert sync_templates(shop) == 1
    with pytest.raises(BadMessage):
        send(**call(_1="a", _2="b"))


# ── Whose chat it is


def test_an_agent_writes_to_their_own_chats_only(send, arrived, maya, clock):
    ben = employ("Ben")
    with pytest.raises(NotYours, match=f"^Maya has this chat since {clock.now():%H:%M} UTC.$"):
        outbound.send(arrived.identity_id, Outbound(text="hi"), agent(ben))
    handover.release(user_of(arrived).id, maya)
    with pytest.raises(NotYours, match=r"^The bot has this chat\. Start Chat to answer\.$"):
        send()
    User.update(handler="waiting").execute()
    with pytest.raises(NotYours, match=r"^This user waits for a person\. Start Chat to answer\.$"):
        send()


def test_nobody_in_particular_has_no_chat(arrived):
    with pytest.raises(NotYours):
        outbound.send(arrived.identity_id, Outbound(text="hi"), Author(AuthorKind.AGENT, "somebody"))


def test_a_person_is_told_and_nothing_is_stored(send, clock):
    before = Message.select().count(), Event.select().count()
    clock.advance(hours=24)
    sent = send()
    assert (sent.message, sent.reach.kind) == (None, ReachKind.TEMPLATE_ONLY)
    assert (Message.select().count(), Event.select().count(), Job.select().count()) == (*before, 0)


@pytest.mark.parametrize("handler", ["agent", "waiting"])
def test_a_bot_that_may_not_speak_is_kept_as_not_sent_and_counts_nowhere(arrived, maya, worker, handler):
    User.update(handler=handler).execute()
    before = user_of(arrived)
    sent = outbound.send(arrived.identity_id, Outbound(text="beep"), BOT)
    message, user = message_of(sent), user_of(arrived)
    assert (message.state, message.text) == (Delivery.NOT_SENT, "beep")
    assert message.error.startswith("The bot’s answer was held back: ")
    assert (user.sent_count, user.last_message_text) == (before.sent_count, before.last_message_text)
    worker.run_until_idle()
    assert Fake.provider.taken == []


def test_a_bot_outside_the_window_is_kept_as_not_sent_with_the_reason(arrived, clock, worker):
    clock.advance(hours=24)
    sent = outbound.send(arrived.identity_id, Outbound(text="beep"), BOT, "k")
    assert state(sent) == (
        Delivery.NOT_SENT,
        "Fake closes free messages 24 h after the user’s last message.",
    )
    assert outbound.send(arrived.identity_id, Outbound(text="beep"), BOT, "k").message.id == sent.message.id
    worker.run_until_idle()
    assert Fake.provider.taken == []


def test_a_campaign_is_not_silenced_by_the_handler(arrived, maya, worker):
    outbound.send(arrived.identity_id, Outbound(text="sale"), Author(AuthorKind.CAMPAIGN, "Spring"))
    worker.run_until_idle()
    assert Fake.provider.texts == ["sale"]


# ── To the provider


def test_a_message_goes_to_the_aliases_that_are_valid_now(shop, send, arrived, worker, clock):
    says(shop, aliases=(Alias("id", "asha"), Alias("phone", "100")))
    says(shop, aliases=(Alias("id", "asha"), Alias("phone", "200")))
    send()
    worker.run_until_idle()
    assert Fake.provider.taken[0].to == {"id": "asha", "phone": "200"}


def test_messages_to_one_identity_keep_their_order(app, send, worker):
    for number in range(12):
        send(str(number))
    at_once(app, *[Worker(app).run_until_idle] * 3)
    worker.run_until_idle()
    assert Fake.provider.texts == [str(number) for number in range(12)]


def test_one_that_waits_for_its_retry_holds_up_those_behind_it(send, worker, clock):
    Fake.provider.answers.append(SendError("busy", permanent=False, retry_after=timedelta(seconds=30)))
    send("first")
    send("second")
    worker.run_until_idle()
    assert Fake.provider.texts == ["first"]
    clock.advance(seconds=30)
    worker.run_until_idle()
    assert Fake.provider.texts == ["first", "first", "second"]


def test_what_the_receipt_reveals_of_the_user_is_learnt_and_found(send, arrived, worker):
    revealed = (Alias("wa", "new-4711"), Alias("wa", ""))
    Fake.provider.answers.append(lambda message: Receipt("p1", aliases=revealed))
    send()
    worker.run_until_idle()
    assert [row.value for row in IdentityAlias.select().where(IdentityAlias.kind == "wa")] == ["new-4711"]
    found = User.select().where(search.matching("new-4711", personal=True))
    assert [user.id for user in found] == [user_of(arrived).id]


def test_a_receipt_takes_no_alias_from_somebody_else(shop, send, worker):
    ben = says(shop, "ben")
    Fake.provider.answers.append(Receipt("p1", aliases=(Alias("id", "ben"),)))
    sent = send()
    worker.run_until_idle()
    assert says(shop, "ben").identity_id == ben.identity_id
    assert state(sent) == (Delivery.SENT, None)


@pytest.mark.parametrize("provider_id", [None, "", "p\x00\ud83d"])
def test_a_receipt_with_an_odd_id_is_a_receipt(send, worker, provider_id):
    Fake.provider.answers.append(Receipt(provider_id))
    sent = send()
    worker.run_until_idle()
    assert state(sent) == (Delivery.SENT, None)
    assert Job.select().count() == 0


def test_a_receipt_with_the_id_of_another_message_is_a_receipt(send, worker):
    Fake.provider.answers.extend([Receipt("same"), Receipt("same")])
    first, second = send("1"), send("2")
    worker.run_until_idle()
    assert [state(first), state(second)] == [(Delivery.SENT, None)] * 2
    assert [message_of(first).provider_id, message_of(second).provider_id] == ["same", None]


def test_a_channel_may_say_that_it_was_delivered_at_once(send, worker):
    Fake.provider.answers.append(Receipt("p1", Delivery.DELIVERED))
    sent = send()
    worker.run_until_idle()
    assert state(sent)[0] == Delivery.DELIVERED


# ── When the provider does not take it


def test_a_permanent_error_fails_at_once_and_is_not_tried_again(send, worker, clock):
    Fake.provider.answers.append(SendError("No such number.", code="404", permanent=True))
    sent = send()
    worker.run_until_idle()
    assert state(sent) == (Delivery.FAILED, "No such number. (404)")
    assert message_of(sent).failed == clock.now()
    clock.advance(days=1)
    worker.run_until_idle()
    assert len(Fake.provider.taken) == 1


def test_a_passing_error_is_tried_again_when_the_provider_says(send, worker, clock):
    Fake.provider.answers.append(SendError("Slow down.", permanent=False, retry_after=timedelta(seconds=90)))
    sent = send()
    worker.run_until_idle()
    assert state(sent) == (Delivery.QUEUED, None)
    assert (Job.get().due, Job.get().error) == (clock.now() + timedelta(seconds=90), "Slow down.")
    clock.advance(seconds=89)
    worker.run_until_idle()
    assert len(Fake.provider.taken) == 1
    clock.advance(seconds=1)
    worker.run_until_idle()
    assert state(sent) == (Delivery.SENT, None)
    assert len(Fake.provider.taken) == 2


def test_a_passing_error_that_does_not_pass_fails_after_eight_attempts(send, worker, clock):
    Fake.provider.answers.extend([SendError("Slow down.", permanent=False)] * 9)
    sent = send()
    waits = []
    for _ in range(12):
        worker.run_until_idle()
        if (job := Job.get_or_none()) is None:
            break
        waits.append((job.due - clock.now()).total_seconds())
        clock.set(job.due)
    assert waits == [2, 4, 8, 16, 32, 64, 128]
    assert len(Fake.provider.taken) == 8
    assert state(sent) == (Delivery.FAILED, "Slow down.")


def test_the_window_that_closes_while_it_waits_ends_the_tries(send, worker, clock):
    Fake.provider.answers.append(SendError("Slow down.", permanent=False, retry_after=timedelta(hours=24)))
    sent = send()
    worker.run_until_idle()
    clock.advance(hours=24)
    worker.run_until_idle()
    assert state(sent)[0] == Delivery.NOT_SENT
    assert len(Fake.provider.taken) == 1


def test_an_uncertain_error_is_unconfirmed_and_never_sent_again(shop, send, worker, clock):
    Fake.provider.answers.append(SendError("The provider did not answer in time.", uncertain=True))
    sent = send()
    worker.run_until_idle()
    assert state(sent) == (
        Delivery.UNCONFIRMED,
        "The provider did not answer in time. It may have arrived: it is not sent again by itself.",
    )
    assert Job.select().count() == 0
    clock.advance(days=1)
    worker.run_until_idle()
    assert len(Fake.provider.taken) == 1
    status(shop, sent.message, Delivery.DELIVERED, ref=str(sent.message.id), id="p9")
    assert state(sent) == (Delivery.DELIVERED, None)


def test_a_status_that_came_during_an_uncertain_call_stands(shop, send, worker):
    def answer(message):
        status(shop, Message.get_by_id(int(message.ref)), Delivery.READ, id="p9", ref=message.ref)
        raise SendError("No answer in time.", uncertain=True)

    Fake.provider.answers.append(answer)
    sent = send()
    worker.run_until_idle()
    assert state(sent) == (Delivery.READ, None)


def test_a_bug_of_the_channel_is_unconfirmed_at_once_and_shows_no_secret(send, worker, caplog):
    Fake.provider.answers.append(KeyError("token=hush"))
    sent = send()
    worker.run_until_idle()
    assert state(sent) == (
        Delivery.UNCONFIRMED,
        "The channel Fake failed: KeyError. It may have arrived: it is not sent again by itself.",
    )
    assert Job.select().count() == 0
    assert "channel fake failed in send" in caplog.text


def test_a_worker_that_died_between_attempt_and_record_leaves_it_unconfirmed(send, worker, clock):
    sent = send()

    class Killed(BaseException):
        pass

    def die(message):
        raise Killed

    Fake.provider.answers.append(die)
    with pytest.raises(Killed):
        worker.run_until_idle()
    assert state(sent) == (Delivery.QUEUED, None)
    second = Worker(worker._app)
    second.run_until_idle()
    assert state(sent) == (Delivery.QUEUED, None), "the lease still holds"
    clock.advance(seconds=21)
    second.run_until_idle()
    assert state(sent) == (
        Delivery.UNCONFIRMED,
        "The worker stopped while this was being sent. It may have arrived: it is not sent again by itself.",
    )
    assert len(Fake.provider.taken) == 1


def test_a_worker_that_died_before_the_attempt_is_made_up_for(send, worker, clock, monkeypatch):
    sent = send()
    leased = worker._lease(1)
    assert len(leased) == 1
    clock.advance(seconds=21)
    Worker(worker._app).run_until_idle()
    assert state(sent) == (Delivery.SENT, None)


def test_a_slow_worker_whose_job_was_taken_over_still_records_what_came_of_it(send, worker, clock):
    """Its job ran out of its lease while the provider took its time."""

    def slowly(message):
        clock.advance(seconds=30)
        Worker(worker._app).run_until_idle()
        assert Message.get_by_id(int(message.ref)).state == Delivery.UNCONFIRMED
        return Receipt("p1")

    Fake.provider.answers.append(slowly)
    sent = send()
    worker.run_until_idle()
    assert state(sent) == (Delivery.SENT, None)
    assert len(Fake.provider.taken) == 1


def test_a_slow_worker_that_is_refused_after_all_says_so(send, worker, clock):
    def slowly(message):
        clock.advance(seconds=30)
        Worker(worker._app).run_until_idle()
        raise SendError("Slow down.", permanent=False)

    Fake.provider.answers.append(slowly)
    sent = send()
    worker.run_until_idle()
    assert state(sent) == (Delivery.FAILED, "Slow down.")
    clock.advance(days=1)
    worker.run_until_idle()
    assert len(Fake.provider.taken) == 1


def test_an_error_that_pauses_the_deployment_fails_this_one_and_holds_back_the_rest(send, worker, shop):
    Fake.provider.answers.append(SendError("The token has expired.", permanent=False, pauses_deployment=True))
    first, second = send("1"), send("2")
    worker.run_until_idle()
    assert state(first) == (Delivery.FAILED, "The token has expired.")
    assert state(second) == (Delivery.NOT_SENT, "fake one is paused: The token has expired.")
    assert send("3").reach.kind is ReachKind.UNREACHABLE
    assert len(Fake.provider.taken) == 1
    Deployment.update(paused_reason=None).execute()
    send("4")
    worker.run_until_idle()
    assert Fake.provider.texts == ["1", "4"]


def test_a_paused_deployment_goes_on_receiving(shop):
    Deployment.update(paused_reason="The token has expired.").execute()
    assert says(shop, "ben").message_id


def test_a_job_whose_message_is_gone_is_done(send, worker):
    sent = send()
    Message.remove(Message.id == sent.message.id)
    worker.run_until_idle()
    assert Job.select().count() == 0
    assert Fake.provider.taken == []
