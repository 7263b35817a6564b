"""Start Chat on the profile: who gets a user, what may be written, and what is kept (U7, C1-C6)."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from admin import access
from admin.access import May
from core import Delivery, Outbound, Profile, handover, outbound
from core.catalogue import Writer
from core.clock import HeldClock
from core.definitions import Draft, create
from core.deployments import add_deployment, sync_templates
from core.models import (
    Deployment,
    Handler,
    Identity,
    IdentityAlias,
    Job,
    Message,
    Operator,
    Origin,
    Template,
    User,
)
from core.properties import write
from core.worker import Worker
from fake_channel import BOT, Fake, at_once, deploy, moment, says, user_of
from panel import PLUGINS as PANEL
from panel import Desk, attributes, employ, part, words
from plugins.demo.whatsapp_provider import WhatsAppProvider

PLUGINS = (*PANEL, "channels.whatsapp", "channels.web")
WAY_OUT = "An approved template can start the chat again."


@pytest.fixture
def fake(app: Flask) -> Deployment:
    """A channel with a window of 24 hours."""
    return deploy()


@pytest.fixture
def maya(app: Flask) -> Desk:
    """An agent at a browser."""
    return Desk(app, employ("agent", name="Maya Okonkwo"))


@pytest.fixture
def leo(app: Flask) -> Desk:
    """Another agent."""
    return Desk(app, employ("agent", name="Leo Brandt"))


@pytest.fixture
def noon(clock: HeldClock) -> HeldClock:
    """The clock at noon of 24 November 2026."""
    clock.set(moment("12:00:00"))
    return clock


@pytest.fixture
def asha(fake: Deployment, noon: HeldClock) -> User:
    """A user who wrote at noon."""
    return user_of(says(fake, "asha", profile=Profile(name="Asha Rao", language="hi")))


def act(desk: Desk, user: User, what: str, *, script: bool = True, **form: Any) -> TestResponse:
    """Press a button of the profile."""
    return desk.post(f"/audience/{user.key}/{what}", script=script, **form)


def composer(desk: Desk, user: User, query: str = "") -> str:
    """Return the words under the stream."""
    return part(desk.parts(f"/audience/{user.key}/parts{query}"), "composer")


def state(answer: TestResponse) -> str:
    """Return the state of the composer."""
    return attributes(answer, "data-state")[0]


def kept(answer: TestResponse) -> str:
    """Return the text that is kept in the composer."""
    found = re.search(r"<textarea[^>]*(?:data-kept|data-draft)>([^<]*)</textarea>", answer.text)
    return found[1] if found else ""


def template(
    deployment: Deployment, name: str = "hello", body: str = "Hello {{1}}", **fields: Any
) -> Template:
    """Let a deployment have an approved template."""
    given = {"language": "en", "category": "utility", "status": "approved", "parameters": [], **fields}
    return Template.create(deployment=deployment, name=name, body=body, **given)


# C1 Start Chat


def test_start_chat_claims_the_user_and_silences_the_bot(asha: User, maya: Desk) -> None:  # C1
    assert "The bot answers. Start Chat pauses it. Start Chat" in composer(maya, asha)
    answer = act(maya, asha, "start-chat")
    assert (answer.status_code, state(answer)) == (200, "active")
    assert "You have this chat. The bot is paused." in part(answer, "composer")
    user = User.get_by_id(asha.id)
    assert (user.handler, user.agent_id) == (Handler.AGENT, maya.operator.id)
    identity = Identity.get()
    assert outbound.send(identity.id, Outbound(text="bot"), BOT).message.state == Delivery.NOT_SENT


def test_without_scripts_the_answer_is_the_page(asha: User, maya: Desk) -> None:
    answer = act(maya, asha, "start-chat", script=False)
    assert (answer.status_code, answer.location) == (303, f"/audience/{asha.key}")
    assert "You have this chat." in words(maya.get(answer.location))


def test_the_others_see_who_has_the_user_and_since_when(
    asha: User, maya: Desk, leo: Desk, noon: HeldClock
) -> None:
    act(maya, asha, "start-chat")
    noon.advance(minutes=5)
    answer = act(leo, asha, "start-chat")
    assert (answer.status_code, state(answer)) == (409, "taken")
    assert "Maya Okonkwo has this chat since today, 12:00." in part(answer, "composer")
    assert "Maya Okonkwo has this chat. The bot is paused. Since today, 12:00." in composer(leo, asha)
    assert User.get_by_id(asha.id).agent_id == maya.operator.id


def test_of_two_who_press_at_the_same_moment_one_gets_the_user(
    app: Flask, asha: User, maya: Desk, leo: Desk
) -> None:  # C1
    maya.awake = leo.awake = False
    answers = at_once(app, lambda: act(maya, asha, "start-chat"), lambda: act(leo, asha, "start-chat"))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    winner, loser = sorted(answers, key=lambda answer: answer.status_code)
    holder = Operator.get_by_id(User.get_by_id(asha.id).agent_id)
    assert state(winner) == "active"
    assert state(loser) == "taken"
    assert f"{holder.name} has this chat since today, 12:00." in part(loser, "composer")
    assert Message.select().where(Message.kind == "claimed").count() == 1


def test_starting_twice_is_starting_once(asha: User, maya: Desk) -> None:
    act(maya, asha, "start-chat")
    answer = act(maya, asha, "start-chat")
    assert (answer.status_code, state(answer)) == (200, "active")
    assert Message.select().where(Message.kind == "claimed").count() == 1


def test_a_user_who_waits_is_shown_waiting(asha: User, maya: Desk, noon: HeldClock) -> None:
    User.update(handler=Handler.WAITING).execute()
    assert "This user waits for a person. Since today, 12:00. Start Chat" in composer(maya, asha)
    assert "Waiting" in words(maya.get("/audience/"))


# Writing


def test_what_an_agent_writes_is_sent_by_the_worker(asha: User, maya: Desk, worker: Worker) -> None:
    act(maya, asha, "start-chat")
    answer = act(maya, asha, "messages", text="Hello Asha,\r\nI am Maya.  ", client_id="c" * 32)
    assert answer.status_code == 200
    assert "MO Hello Asha, I am Maya. Queued" in part(answer, "stream")
    worker.run_until_idle()
    assert Fake.provider.texts == ["Hello Asha,\nI am Maya."]
    assert "I am Maya. Sent 12:00" in part(maya.parts(f"/audience/{asha.key}/parts"), "stream")


def test_posted_twice_it_is_one_message(asha: User, maya: Desk) -> None:
    act(maya, asha, "start-chat")
    for _ in range(2):
        assert act(maya, asha, "messages", text="once", client_id="d" * 32).status_code == 200
    assert act(maya, asha, "messages", text="once", client_id="e" * 32).status_code == 200
    assert Message.select().where(Message.text == "once").count() == 2


def test_posted_twice_at_once_it_is_one_message(app: Flask, asha: User, maya: Desk) -> None:
    act(maya, asha, "start-chat")
    maya.awake = False
    answers = at_once(app, *[lambda: act(maya, asha, "messages", text="once", client_id="f" * 32)] * 4)
    assert [answer.status_code for answer in answers] == [200] * 4
    assert Message.select().where(Message.text == "once").count() == 1


@pytest.mark.parametrize("client_id", ["", "short", "x" * 500, "spaces are no id", "ü" * 20])
def test_an_id_that_is_none_is_as_good_as_no_id(asha: User, maya: Desk, client_id: str) -> None:
    act(maya, asha, "start-chat")
    assert act(maya, asha, "messages", text="hi", client_id=client_id).status_code == 200


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The message is empty. Write something, or send a template. Your text is kept."),
        (" \n ", "The message is empty."),
        ("x" * 1001, "The message has 1,001 characters; 1,000 fit. Shorten it, or send it in two parts."),
    ],
)
def test_what_no_channel_could_carry_is_explained_and_kept(
    asha: User, maya: Desk, text: str, said: str
) -> None:
    act(maya, asha, "start-chat")
    for script in (True, False):
        answer = act(maya, asha, "messages", script=script, text=text)
        assert answer.status_code == 422
        assert said in words(answer)
        assert kept(answer).strip() == text.strip()
    assert Message.select().where(Message.author == "agent").count() == 0


def test_who_does_not_have_the_chat_cannot_write_and_keeps_the_text(
    asha: User, maya: Desk, leo: Desk
) -> None:  # C1
    act(maya, asha, "start-chat")
    answer = act(leo, asha, "messages", text="mine")
    assert (answer.status_code, state(answer), kept(answer)) == (409, "taken", "mine")
    assert "The message was not sent. Maya Okonkwo has this chat since 12:00" in part(answer, "composer")
    handover.release(asha.id, maya.operator)
    answer = act(maya, asha, "messages", text="late")
    assert (answer.status_code, state(answer), kept(answer)) == (409, "start", "late")
    assert "The bot has this chat. Start Chat to answer. Your text is kept." in part(answer, "composer")


def test_a_claim_without_a_message_goes_back_and_the_text_is_kept(
    asha: User, maya: Desk, noon: HeldClock, worker: Worker
) -> None:  # C2
    act(maya, asha, "start-chat")
    noon.advance(minutes=31)
    worker.tick()
    answer = act(maya, asha, "messages", text="too late", script=False)
    assert (answer.status_code, state(answer), kept(answer)) == (409, "start", "too late")
    assert "Maya Okonkwo did not write for 30 min. The chat went back to the bot." in words(answer)


# P8 Values of the profile in what is written


def city(user: User | None = None, value: str = "Delhi", **more: Any) -> None:
    """Define a property, and give a user a value."""
    create(Draft(key="city", label="City", help="Where the user lives.", **more))
    if user is not None:
        write(user.id, {"city": value}, Writer(Origin.OPERATOR, "Ada", groups=frozenset({"admin"})))


def test_what_is_sent_and_stored_is_the_filled_text(asha: User, maya: Desk, worker: Worker) -> None:  # P8
    city(asha, "{{name}}ville")
    act(maya, asha, "start-chat")
    assert act(maya, asha, "messages", text="Hello {{first_name}} of {{ city }}").status_code == 200
    worker.run_until_idle()
    assert Fake.provider.texts == ["Hello Asha of {{name}}ville"]
    assert Message.select().where(Message.text == "Hello Asha of {{name}}ville").count() == 1


def test_the_limit_counts_the_filled_text(asha: User, maya: Desk) -> None:
    city(asha, "y" * 400)
    act(maya, asha, "start-chat")
    answer = act(maya, asha, "messages", text="{{city}} {{city}} {{city}}")
    assert answer.status_code == 422
    assert "The message has 1,202 characters; 1,000 fit." in part(answer, "composer")
    assert kept(answer) == "{{city}} {{city}} {{city}}"
    longer = f"{'x' * 998} {{{{gender}}}}"
    assert act(maya, asha, "messages", text=longer, **{"fill-gender": "f"}).status_code == 200


def test_a_missing_value_is_asked_for_before_sending(asha: User, maya: Desk, worker: Worker) -> None:  # P8
    city()
    act(maya, asha, "start-chat")
    text = "To {{city}}, {{email}}?"
    for script in (True, False):
        answer = act(maya, asha, "messages", script=script, text=text)
        assert (answer.status_code, state(answer), kept(answer)) == (422, "active", text)
        said = words(answer)
        assert "City and Email have no value for this user. The message was not sent." in said
        assert "Used in this message only City city Where the user lives. Email email" in said
    answer = act(maya, asha, "messages", text=text, **{"fill-city": "Pune"})
    assert answer.status_code == 422
    assert "Email has no value for this user." in part(answer, "composer")
    assert 'name="fill-email"' in answer.text
    assert Message.select().where(Message.author == "agent").count() == 0
    given = {"fill-city": "Pune", "fill-email": "a {{name}}"}
    assert act(maya, asha, "messages", text=text, **given).status_code == 200
    worker.run_until_idle()
    assert Fake.provider.texts == ["To Pune, a {{name}}?"]
    assert act(maya, asha, "messages", text=text).status_code == 422  # it was for one message


def test_a_value_that_was_given_already_is_kept_while_the_next_is_asked_for(asha: User, maya: Desk) -> None:
    city()
    act(maya, asha, "start-chat")
    answer = act(maya, asha, "messages", text="{{city}} {{email}}", **{"fill-city": "Pune"})
    assert 'name="fill-city" form="send" value="Pune"' in answer.text
    assert 'name="fill-email" form="send" value=""' in answer.text
    too_long = act(maya, asha, "messages", text=f"{'x' * 1000}{{{{city}}}}", **{"fill-city": "Pune"})
    assert "The message has 1,004 characters" in part(too_long, "composer")
    assert 'name="fill-city" form="send" value="Pune"' in too_long.text


def test_an_open_page_says_what_it_was_asked_for(asha: User, maya: Desk) -> None:
    city()
    act(maya, asha, "start-chat")
    said = composer(maya, asha, "?ask=city&ask=name&ask=nonsense")
    assert "Used in this message only City city Where the user lives." in said
    assert "nonsense" not in said
    assert "Name name" not in said  # it has a value


def test_a_key_that_nobody_defined_is_named_and_nothing_is_sent(asha: User, maya: Desk) -> None:
    act(maya, asha, "start-chat")
    answer = act(maya, asha, "messages", text="Hi {{nmae}}")
    assert (answer.status_code, kept(answer)) == (422, "Hi {{nmae}}")
    assert "`nmae` is not a property. Did you mean `name`? Your text is kept." in part(answer, "composer")
    assert Message.select().where(Message.author == "agent").count() == 0


def test_the_last_message_is_filled_too(asha: User, maya: Desk) -> None:  # C2, P8
    act(maya, asha, "start-chat")
    answer = act(maya, asha, "release", text="Bye {{email}}")
    assert (answer.status_code, kept(answer)) == (422, "Bye {{email}}")
    assert "The chat was not assigned to the bot." in part(answer, "composer")
    assert User.get_by_id(asha.id).agent_id == maya.operator.id
    assert act(maya, asha, "release", text="Bye {{first_name}}").status_code == 200
    assert Message.select().where(Message.text == "Bye Asha").count() == 1


def test_what_can_be_filled_in_is_suggested_with_the_value(asha: User, maya: Desk) -> None:  # P8
    city(asha, "D" * 100)
    url = f"/audience/{asha.key}/placeholders"
    assert maya.get(f"{url}?starts=ci").json == {
        "found": [{"key": "city", "label": "City", "value": f"{'D' * 80}…"}],
        "more": 0,
    }
    everything = maya.get(url).json
    assert (len(everything["found"]), everything["more"] > 0) == (7, True)
    assert {"key": "gender", "label": "Gender", "value": None} in maya.get(f"{url}?starts=gen").json["found"]


def test_what_would_be_sent_is_previewed(asha: User, maya: Desk) -> None:
    url = f"/audience/{asha.key}/preview"
    assert maya.post(url, text="Hi {{first_name}}, {{email}}").json == {
        "pieces": [
            {"text": "Hi ", "kind": "text"},
            {"text": "Asha", "kind": "value"},
            {"text": ", ", "kind": "text"},
            {"text": "Email", "kind": "missing"},
        ],
        "missing": ["email"],
        "length": 18,
        "problem": None,
    }
    given = maya.post(url, text="{{email}}", **{"fill-email": "x"}).json
    assert (given["pieces"], given["missing"]) == ([{"text": "x", "kind": "value"}], [])
    assert maya.post(url, text="{{nmae}}").json["problem"].startswith("`nmae` is not a property.")
    assert Message.select().where(Message.author == "agent").count() == 0


def test_who_sees_no_personal_data_fills_none_in(
    app: Flask, asha: User, monkeypatch: pytest.MonkeyPatch
) -> None:  # P8
    blind = frozenset(access.ROLES["agent"] - {May.SEE_PERSONAL})
    monkeypatch.setattr(access, "ROLES", {**access.ROLES, "agent": blind})
    desk = Desk(app, employ("agent", name="Bo Blind"))
    act(desk, asha, "start-chat")
    answer = act(desk, asha, "messages", text="{{name}} {{first_name}}")
    assert answer.status_code == 422
    assert "`name` is not shown to your role, so you cannot send it." in part(answer, "composer")
    preview = desk.post(f"/audience/{asha.key}/preview", text="{{name}}").json
    found = desk.get(f"/audience/{asha.key}/placeholders?starts=name").json
    assert (preview["pieces"], found["found"]) == ([], [])
    assert "Rao" not in f"{preview}{found}"
    assert "Name name" not in composer(desk, asha, "?ask=name&ask=first_name&ask=email")


# C2 Assign to bot


def test_assign_to_bot_gives_the_chat_back_with_a_last_message(
    asha: User, maya: Desk, worker: Worker
) -> None:  # C2
    act(maya, asha, "start-chat")
    answer = act(maya, asha, "release", text="The bot goes on.")
    assert (answer.status_code, state(answer)) == (200, "start")
    worker.run_until_idle()
    assert Fake.provider.texts == ["The bot goes on."]
    assert User.get_by_id(asha.id).handler == Handler.BOT
    assert "Maya Okonkwo assigned the chat to the bot." in part(answer, "stream")


def test_the_last_message_goes_where_the_agent_chose(asha: User, maya: Desk) -> None:
    other = deploy("fake_open", "two")
    identity = Identity.create(user=asha, deployment=other, last_inbound=moment("11:00:00"))
    act(maya, asha, "start-chat")
    act(maya, asha, "release", text="Bye", identity=identity.key)
    assert Message.get(Message.text == "Bye").identity_id == identity.id


def test_another_agent_cannot_assign_it_but_an_admin_can(
    app: Flask, asha: User, maya: Desk, leo: Desk
) -> None:
    act(maya, asha, "start-chat")
    assert "Assign to bot" not in composer(leo, asha)
    answer = act(leo, asha, "release", text="bye")
    assert answer.status_code == 409
    assert "Maya Okonkwo has this chat, and can assign it to the bot." in part(answer, "composer")
    admin = Desk(app, employ("admin", name="Ada Admin"))
    assert "Assign to bot" in composer(admin, asha)
    assert act(admin, asha, "release").status_code == 200
    assert User.get_by_id(asha.id).handler == Handler.BOT


def test_a_last_message_that_may_not_go_out_assigns_nothing(asha: User, maya: Desk, noon: HeldClock) -> None:
    act(maya, asha, "start-chat")
    noon.advance(hours=24)
    answer = act(maya, asha, "release", text="Bye")
    assert (answer.status_code, kept(answer)) == (409, "Bye")
    assert "The chat was not assigned to the bot." in part(answer, "composer")
    assert User.get_by_id(asha.id).agent_id == maya.operator.id
    assert act(maya, asha, "release").status_code == 200


# C3, C4 The gate: by page, server and worker, to the second


@dataclass
class Number:
    """A WhatsApp number with the played provider behind it, and a user who wrote to it."""

    deployment: Deployment
    provider: WhatsAppProvider
    user: User


@pytest.fixture
def number(app: Flask, noon: HeldClock) -> Iterator[Number]:
    """A number to which Asha wrote at noon, by a signed webhook."""
    secrets = {"app_secret": "s3cret", "verify_token": "verify", "access_token": "EAAtoken"}
    with WhatsAppProvider(**secrets) as provider:
        config = {
            **secrets,
            "phone_number_id": provider.phone_number_id,
            "waba_id": provider.waba_id,
            "base_url": provider.url,
        }
        deployment = add_deployment(
            "whatsapp", provider.phone_number_id, "Support line", "+1 555 0100 · Support line", config
        )
        sync_templates(deployment)
        who = provider.person("919900112233", name="Asha Rao", last_inbound=noon.now())
        message = {
            "id": "wamid.1",
            "timestamp": str(int(noon.now().timestamp())),
            "type": "text",
            "text": {"body": "hello"},
            **provider._sender(who),
        }
        body = json.dumps(
            provider.envelope({"contacts": [provider._contact(who)], "messages": [message]})
        ).encode()
        headers = {"X-Hub-Signature-256": provider.signature(body), "Content-Type": "application/json"}
        desk = Desk(app, None)
        assert desk.http.post(f"/webhooks/{deployment.key}", data=body, headers=headers).status_code == 200
        yield Number(deployment, provider, User.get())


def test_one_second_before_24_hours_start_chat_sends(
    number: Number, maya: Desk, noon: HeldClock, worker: Worker
) -> None:  # C3
    noon.advance(hours=23, minutes=59, seconds=59)
    page = maya.get(f"/audience/{number.user.key}")
    assert state(page) == "start"
    assert "Open · <1m left" in words(page)
    assert state(act(maya, number.user, "start-chat")) == "active"
    assert act(maya, number.user, "messages", text="hi").status_code == 200
    worker.run_until_idle()
    assert number.provider.texts == ["hi"]


def test_at_24_hours_the_page_refuses_says_since_when_and_offers_templates(
    number: Number, maya: Desk, noon: HeldClock
) -> None:  # C3, C5
    noon.advance(hours=24)
    page = maya.get(f"/audience/{number.user.key}")
    assert state(page) == "blocked"
    said = words(page)
    assert "WhatsApp closes free messages 24 h after the user’s last message." in said
    assert f"Closed since today, 12:00. {WAY_OUT} 5 templates are approved for WhatsApp" in said
    assert "Send a template" in said
    assert "Start Chat" not in page.text.replace("with Start Chat.", "")
    assert "spring_sale" not in page.text  # a template that was rejected


def test_at_24_hours_the_server_refuses_to_start(number: Number, maya: Desk, noon: HeldClock) -> None:  # C3
    noon.advance(hours=24)
    answer = act(maya, number.user, "start-chat")
    assert (answer.status_code, state(answer)) == (409, "blocked")
    assert "The chat was not started." in part(answer, "composer")
    assert f"Closed since today, 12:00. {WAY_OUT}" in part(answer, "composer")
    assert User.get().handler == Handler.BOT


def test_at_24_hours_the_server_refuses_to_send_and_keeps_the_text(
    number: Number, maya: Desk, noon: HeldClock, worker: Worker
) -> None:  # C3, C4
    noon.advance(hours=23, minutes=59, seconds=59)
    act(maya, number.user, "start-chat")
    noon.advance(seconds=1)
    for script in (True, False):
        answer = act(maya, number.user, "messages", script=script, text="one second late")
        assert (answer.status_code, state(answer), kept(answer)) == (409, "blocked", "one second late")
        assert "The message was not sent." in words(answer)
        assert f"Closed since today, 12:00. {WAY_OUT} Your text is kept." in words(answer)
        assert "Send a template" in words(answer)
    worker.run_until_idle()
    assert number.provider.messages == []
    assert Message.select().where(Message.author == "agent").count() == 0


def test_at_24_hours_the_worker_refuses_what_was_queued_before(
    number: Number, maya: Desk, noon: HeldClock, worker: Worker
) -> None:  # C4
    noon.advance(hours=23, minutes=59, seconds=59)
    act(maya, number.user, "start-chat")
    assert act(maya, number.user, "messages", text="just in time").status_code == 200
    noon.advance(seconds=1)
    worker.run_until_idle()
    assert number.provider.messages == []
    page = maya.parts(f"/audience/{number.user.key}/parts")
    assert (
        "MO just in time Not sent: WhatsApp closes free messages 24 h after the user’s last message."
        in part(page, "stream")
    )
    assert "Use the text again" in part(page, "stream")
    assert Message.get(Message.text == "just in time").state == Delivery.NOT_SENT


def test_a_new_message_of_the_user_opens_the_window_again(
    fake: Deployment, asha: User, maya: Desk, noon: HeldClock
) -> None:
    noon.advance(hours=30)
    assert "closes free messages" in composer(maya, asha)
    says(fake, "asha")
    assert "Start Chat" in composer(maya, asha)


# C5 Templates


def test_a_template_starts_the_chat_outside_the_window(
    number: Number, maya: Desk, noon: HeldClock, worker: Worker
) -> None:  # C3, C5
    noon.advance(hours=30)
    wanted = Template.get(Template.name == "order_on_its_way", Template.language == "en")
    answer = act(maya, number.user, "template", template=wanted.id, **{"param-1": "Asha", "param-2": "4711"})
    assert answer.status_code == 200
    assert "Template · order_on_its_way · en Hello Asha, your order 4711 is on its way." in part(
        answer, "stream"
    )
    assert User.get().agent_id == maya.operator.id
    worker.run_until_idle()
    sent = number.provider.messages[0].template
    assert (sent["name"], sent["language"]["code"]) == ("order_on_its_way", "en")
    assert [value["text"] for value in sent["components"][0]["parameters"]] == ["Asha", "4711"]


def test_a_template_is_filled_from_the_profile(number: Number, maya: Desk, noon: HeldClock) -> None:  # C5
    noon.advance(hours=30)
    wanted = next(one for one in Template.select() if "first_name" in outbound.variables(one))
    page = maya.get(f"/audience/{number.user.key}?dialog=template&template={wanted.id}")
    assert 'name="param-first_name" value="Asha"' in page.text
    assert "First name from Name" in words(page)
    assert '<dialog class="au-dlg au-dlg--lg" id="dialog-template"' in page.text


def test_a_template_is_filled_from_every_property(
    fake: Deployment, asha: User, maya: Desk, noon: HeldClock
) -> None:  # C5, P8
    city(asha, "New  Delhi")
    one = template(fake, body="{{city}} {{email}} {{1}}")
    page = maya.get(f"/audience/{asha.key}/templates?template={one.id}")
    assert 'name="param-city" value="New Delhi"' in page.text  # a parameter is one line
    said = words(page)
    assert "City from City" in said
    assert "Email from Email" in said
    assert "Value 1 no property" in said


def test_a_template_is_chosen_before_it_complains(fake: Deployment, asha: User, maya: Desk) -> None:  # C5
    first, second = template(fake, "a_first"), template(fake, "b_second")
    said = words(maya.get(f"/audience/{asha.key}?dialog=template"))
    assert "a_first Utility · en b_second Utility · en Choose a template." in said
    chosen = maya.get(f"/audience/{asha.key}?dialog=template&template={second.id}")
    assert attributes(chosen, "data-template-form") == [str(second.id)]
    assert re.search(r'class="au-err"[^>]* hidden>', chosen.text)
    act(maya, asha, "start-chat")
    tried = act(maya, asha, "template", template=first.id, **{"param-1": ""})
    assert attributes(tried, "data-template-form") == [str(first.id)]
    assert re.search(r'class="au-err"[^>]*-e">', tried.text)


def test_a_page_has_no_templates_before_they_are_wanted(fake: Deployment, asha: User, maya: Desk) -> None:
    template(fake, "a_first")
    assert "a_first" not in maya.get(f"/audience/{asha.key}").text
    assert "a_first" in words(maya.get(f"/audience/{asha.key}/templates"))


def test_a_missing_value_is_asked_for_and_nobody_is_claimed(
    number: Number, maya: Desk, noon: HeldClock
) -> None:
    noon.advance(hours=30)
    wanted = Template.get(Template.name == "order_on_its_way", Template.language == "en")
    form = {"template": wanted.id, "param-1": "Asha", "param-2": " "}
    answer = act(maya, number.user, "template", script=False, **form)
    assert answer.status_code == 422
    assert "2 is missing. Fill it in to send the template." in words(answer)
    assert 'name="param-1" value="Asha"' in answer.text  # what was typed is kept
    assert (User.get().handler, Job.select().count()) == (Handler.BOT, 0)


def test_a_template_to_a_user_who_is_taken_is_not_sent(
    fake: Deployment, asha: User, maya: Desk, leo: Desk
) -> None:
    one = template(fake)
    act(maya, asha, "start-chat")
    answer = act(leo, asha, "template", template=one.id, **{"param-1": "x"})
    assert (answer.status_code, state(answer)) == (409, "taken")
    assert "The template was not sent." in part(answer, "composer")
    assert Message.select().where(Message.kind == "template").count() == 0


def test_of_two_templates_sent_at_once_one_goes_out(
    app: Flask, fake: Deployment, asha: User, maya: Desk, leo: Desk, noon: HeldClock
) -> None:  # C1, C3
    one = template(fake)
    noon.advance(hours=30)
    act(maya, asha, "nothing")  # wakes both logins
    act(leo, asha, "nothing")
    maya.awake = leo.awake = False
    form = {"template": one.id, "param-1": "x"}
    answers = at_once(app, *(lambda desk=desk: act(desk, asha, "template", **form) for desk in (maya, leo)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert Message.select().where(Message.kind == "template").count() == 1


def test_a_template_that_is_not_approved_any_more_is_refused(
    fake: Deployment, asha: User, maya: Desk, noon: HeldClock
) -> None:
    one = template(fake, status="paused")
    noon.advance(hours=30)
    answer = act(maya, asha, "template", template=one.id, **{"param-1": "x"})
    assert answer.status_code == 422
    assert "is not an approved template" in part(answer, "composer")
    assert User.get().handler == Handler.BOT


@pytest.mark.parametrize("wanted", ["", "x", "999", "-1", "1' OR 1=1"])
def test_a_template_that_is_not_there_is_not_found(asha: User, maya: Desk, wanted: str) -> None:
    assert act(maya, asha, "template", template=wanted).status_code == 404


def test_a_template_of_another_deployment_is_not_found(asha: User, maya: Desk) -> None:
    foreign = template(deploy("fake", "two"))
    assert act(maya, asha, "template", template=foreign.id).status_code == 404


# Which identity


def test_each_identity_has_its_own_answer_of_the_gate(asha: User, maya: Desk, noon: HeldClock) -> None:  # C3
    other = deploy("fake_open", "two")
    identity = Identity.create(user=asha, deployment=other, last_inbound=noon.now())
    IdentityAlias.create(deployment=other, kind="id", value="asha", identity=identity)
    noon.advance(hours=24)
    said = composer(maya, asha)
    assert "Fake closes free messages 24 h after the user’s last message." in said
    assert "Write by Fake open instead" in said
    chosen = f"?via={identity.key}"
    assert "Start Chat" in composer(maya, asha, chosen)
    assert state(act(maya, asha, "start-chat", identity=identity.key)) == "active"
    assert act(maya, asha, "messages", text="hi", identity=identity.key).status_code == 200
    assert Message.get(Message.text == "hi").identity_id == identity.id


def test_an_identity_of_somebody_else_is_not_found(fake: Deployment, asha: User, maya: Desk) -> None:
    says(fake, "leo")
    foreign = Identity.get(Identity.user != asha)
    act(maya, asha, "start-chat")
    answer = act(maya, asha, "messages", text="hi", identity=foreign.key)
    assert answer.status_code == 404
    assert Message.select().where(Message.author == "agent").count() == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"opted_out_at": moment("11:00:00")}, "This user asked for no more messages on Fake."),
        ({"blocked_at": moment("11:00:00")}, "This user is blocked on Fake."),
        ({"unreachable": "The number is not on Fake."}, "The number is not on Fake."),
    ],
)
def test_who_cannot_be_written_to_is_explained(
    asha: User, maya: Desk, changes: dict[str, Any], said: str
) -> None:  # C3
    Identity.update(changes).execute()
    assert said in composer(maya, asha)
    answer = act(maya, asha, "start-chat")
    assert (answer.status_code, state(answer)) == (409, "blocked")


def test_a_paused_deployment_is_explained(fake: Deployment, asha: User, maya: Desk) -> None:
    Deployment.update(paused_reason="The token expired.").execute()
    assert "fake one is paused: The token expired." in composer(maya, asha)


def test_the_role_that_does_not_chat_sees_why_there_is_no_box(app: Flask, asha: User) -> None:
    for role in ("builder", "auditor"):
        page = Desk(app, employ(role)).get(f"/audience/{asha.key}")
        assert state(page) == "readonly"
        assert "Your role reads conversations. Agents and admins write." in words(page)
        assert "<textarea" not in page.text


def test_filter_and_identity_survive_a_post(asha: User, maya: Desk) -> None:
    identity = Identity.get()
    page = maya.get(f"/audience/{asha.key}?author=user&channel=fake")
    action = next(url for url in attributes(page, "action") if "start-chat" in url)
    assert action == f"/audience/{asha.key}/start-chat?author=user&channel=fake"
    answer = maya.post(action, identity=identity.key)
    assert answer.location == f"/audience/{asha.key}?author=user&channel=fake&via={identity.key}"
