"""The web channel as a visitor meets it: who is stored, and what can be read."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from channels.web import tokens
from core import Author, AuthorKind, Delivery, ReachKind, handover, sessions
from core.clock import HeldClock
from core.conversation import note
from core.db import database
from core.gate import probe
from core.models import (
    Deployment,
    Identity,
    IdentityAlias,
    Message,
    Operator,
    Session,
    User,
    enqueue,
)
from core.worker import Worker
from visitors import EVERY_CALL, Visitor, deploy, new_id, speak

PLUGINS = ("channels.web",)


@pytest.fixture
def widget(app: Flask) -> Deployment:
    """A widget on a shop's page."""
    return deploy("shop", origins=["https://shop.example.com"])


@pytest.fixture
def visitor(app: Flask, widget: Deployment) -> Visitor:
    """A visitor who has a token and has not written."""
    return Visitor(app, widget).arrive()


@pytest.fixture
def maya(app: Flask) -> Operator:
    """An agent."""
    return Operator.create(email="maya@example.com", name="Maya Oliveira", password_hash="")


# Who is stored, and when


def test_looking_at_the_widget_makes_no_user(app: Flask, widget: Deployment, visitor: Visitor) -> None:
    assert visitor.call("GET", "widget.js").status_code == 200
    assert visitor.call("GET", "settings").json["greeting"].startswith("Hello.")
    assert visitor.read() == {
        "messages": [],
        "cursor": "0",
        "more": False,
        "typing": False,
        "handler": {"kind": "bot", "name": "Order bot", "since": None},
    }
    assert visitor.call("GET", "stored").json["messages"] == 0
    assert User.select().count() == IdentityAlias.select().count() == 0


def test_the_first_message_makes_the_user(visitor: Visitor) -> None:
    client_id = new_id()
    answer = visitor.write("Is this in stock?", client_id, language="pt-BR", timezone="America/Sao_Paulo")
    assert answer.status_code == 200
    message = answer.json["message"]
    assert (message["client_id"], message["text"], message["state"]) == (
        client_id,
        "Is this in stock?",
        "sent",
    )
    user = User.get()
    assert (user.language, user.timezone, user.received_count) == ("pt", "America/Sao_Paulo", 1)
    assert visitor.texts == ["Is this in stock?"]
    assert IdentityAlias.get().kind == "visitor"


def test_a_session_ends_after_half_an_hour_without_a_message(clock: HeldClock, visitor: Visitor) -> None:
    visitor.write("hello")
    clock.advance(minutes=29, seconds=59)
    visitor.write("still here")
    clock.advance(minutes=30)
    visitor.write("back again")
    assert Session.select().count() == 2


def test_a_retry_is_no_second_message(visitor: Visitor) -> None:
    client_id = new_id()
    first, second = visitor.write("once", client_id), visitor.write("once", client_id)
    assert first.status_code == second.status_code == 200
    assert first.json["message"]["id"] == second.json["message"]["id"]
    assert Message.select().count() == 1


def test_the_same_message_twice_at_once_is_one(app: Flask, widget: Deployment, visitor: Visitor) -> None:
    client_id = new_id()
    tabs = [Visitor(app, widget) for _ in range(4)]
    barrier = threading.Barrier(len(tabs))

    def send(tab: Visitor) -> TestResponse:
        tab.token = visitor.token
        barrier.wait(10)
        return tab.write("at once", client_id)

    with ThreadPoolExecutor(len(tabs)) as pool:
        answers = list(pool.map(send, tabs))
    assert [answer.status_code for answer in answers] == [200] * len(tabs)
    assert len({answer.json["message"]["id"] for answer in answers}) == 1
    assert (Message.select().count(), User.select().count()) == (1, 1)


def test_two_first_messages_at_once_make_one_user(app: Flask, widget: Deployment, visitor: Visitor) -> None:
    tabs = [Visitor(app, widget) for _ in range(4)]
    barrier = threading.Barrier(len(tabs))

    def send(tab: Visitor) -> int:
        tab.token = visitor.token
        barrier.wait(10)
        return tab.write("me too").status_code

    with ThreadPoolExecutor(len(tabs)) as pool:
        assert list(pool.map(send, tabs)) == [200] * len(tabs)
    assert (Message.select().count(), User.select().count()) == (len(tabs), 1)


def test_a_client_id_of_somebody_else_hides_nothing(app: Flask, widget: Deployment, visitor: Visitor) -> None:
    client_id = new_id()
    other = Visitor(app, widget).arrive()
    visitor.write("mine", client_id)
    assert other.write("also mine", client_id).json["message"]["text"] == "also mine"
    assert (visitor.texts, other.texts) == (["mine"], ["also mine"])


# Tokens


def test_a_token_opens_its_own_deployment_only(app: Flask, visitor: Visitor) -> None:
    elsewhere = Visitor(app, deploy("other"))
    elsewhere.token = visitor.token
    for method, path, body in EVERY_CALL:
        answer = elsewhere.call(method, path, body)
        assert (answer.status_code, answer.json["code"]) == (401, "bad_token"), path
    assert Message.select().count() == 0


def test_a_forged_token_opens_nothing(visitor: Visitor) -> None:
    visitor.write("secret")
    good = visitor.token
    for forged in (f"x{good}", f"{good}x", f"{good}.", "a.b.c", "é", f"{good}{good}", "nonsense"):
        visitor.token = forged
        answer = visitor.call("GET", "messages")
        assert (answer.status_code, answer.json["code"]) == (401, "bad_token"), forged
        assert visitor.call("POST", "token", {}).status_code == 401


def test_a_token_of_another_secret_key_opens_nothing(visitor: Visitor, monkeypatch: Any) -> None:
    from itsdangerous import URLSafeSerializer

    parts = tokens._signer().loads(visitor.token)
    visitor.token = URLSafeSerializer("another key", salt="parley.web").dumps(parts)
    assert visitor.call("GET", "messages").status_code == 401


def test_without_a_token_nothing_can_be_read(app: Flask, widget: Deployment) -> None:
    nobody = Visitor(app, widget)
    for method, path, body in EVERY_CALL:
        answer = nobody.call(method, path, body)
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_expired_token_is_renewed_for_the_same_visitor(clock: HeldClock, visitor: Visitor) -> None:
    visitor.write("before")
    clock.advance(seconds=(tokens.LIFE + timedelta(seconds=1)).total_seconds())
    answer = visitor.call("GET", "messages")
    assert (answer.status_code, answer.json["code"]) == (401, "expired")
    visitor.arrive()
    assert visitor.texts == ["before"]
    visitor.write("after")
    assert User.select().count() == 1


def test_a_token_expired_for_long_is_not_renewed(clock: HeldClock, visitor: Visitor) -> None:
    clock.advance(seconds=(tokens.LIFE + tokens.GRACE).total_seconds())
    assert visitor.call("POST", "token", {}).status_code == 401


def test_ending_the_chat_revokes_every_token_of_the_visitor(visitor: Visitor) -> None:
    visitor.write("bye")
    first = visitor.token
    visitor.arrive()
    assert visitor.call("POST", "end", {}).status_code == 204
    for token in (first, visitor.token):
        visitor.token = token
        for method, path, body in [*EVERY_CALL, ("POST", "token", {})]:
            answer = visitor.call(method, path, body)
            assert (answer.status_code, answer.json["code"]) == (401, "ended"), path
    assert [message.author for message in Message.select().order_by(Message.id)] == ["user", "system"]
    assert not sessions.is_running(Session.get(), Session.get().closed)


def test_who_ended_the_chat_cannot_be_written_to(clock: HeldClock, visitor: Visitor) -> None:
    visitor.write()
    assert probe(Identity.get(), None, clock.now()).kind is ReachKind.FREE_FORM
    clock.advance(days=400)
    assert probe(Identity.get(), None, clock.now()).kind is ReachKind.FREE_FORM  # no window
    visitor.token = tokens.issue(Deployment.get().key, IdentityAlias.get().value).text
    visitor.call("POST", "end", {})
    reach = probe(Identity.get(), None, clock.now())
    assert (reach.kind, "ended" in reach.sentence) == (ReachKind.UNREACHABLE, True)


# What can be read


def test_a_visitor_reads_their_own_messages_only(app: Flask, widget: Deployment, visitor: Visitor) -> None:
    other = Visitor(app, widget).arrive()
    visitor.write("mine")
    theirs = other.write("theirs").json["message"]["id"]
    assert visitor.texts == ["mine"]
    assert visitor.call("GET", f"messages?before={theirs}").status_code == 422
    assert visitor.call("POST", "receipts", {"message": theirs, "state": "read"}).json["field"] == "message"
    picked = {"message": theirs, "index": 0}
    assert visitor.call("POST", "messages", {"client_id": new_id(), "picked": picked}).status_code == 422


def test_the_same_user_elsewhere_is_not_read(visitor: Visitor) -> None:
    visitor.write("here")
    mine = Identity.get()
    elsewhere = Identity.create(
        user=mine.user, deployment=deploy("elsewhere"), last_inbound=mine.last_inbound
    )
    speak("there", elsewhere)
    Message.update(state=Delivery.SENT).where(Message.text == "there").execute()
    assert visitor.texts == ["here"]
    assert [m["text"] for m in visitor.read("?after=0")["messages"]] == ["here"]


def test_notes_events_and_what_was_not_sent_are_never_read(
    visitor: Visitor, worker: Worker, maya: Operator
) -> None:
    visitor.write("hello")
    identity = Identity.get()
    with database.atomic():
        note(identity.user, identity, "claimed", "SECRET note")
    for state in (Delivery.QUEUED, Delivery.NOT_SENT, Delivery.FAILED):
        hidden = speak(f"SECRET {state}", identity)
        Message.update(state=state).where(Message.id == hidden.id).execute()
    assert visitor.texts == ["hello"]
    assert "SECRET" not in json.dumps(visitor.read("?after=0"))
    handover.claim(identity.user_id, maya)
    speak("SECRET answer of a bot that a person has replaced", identity)
    worker.run_until_idle()
    assert "SECRET" not in json.dumps(visitor.read())


def test_what_was_sent_is_there_and_what_changed_is_told_once(visitor: Visitor, worker: Worker) -> None:
    cursor = visitor.write("hello") and visitor.read()["cursor"]
    speak("Good morning")
    assert visitor.read(f"?after={cursor}")["messages"] == []
    worker.run_until_idle()
    news = visitor.read(f"?after={cursor}")
    assert [(m["text"], m["state"], m["author"]) for m in news["messages"]] == [
        ("Good morning", "sent", {"kind": "bot", "name": "Order bot"})
    ]
    assert visitor.read(f"?after={news['cursor']}")["messages"] == []


def test_long_histories_are_read_in_pages(app: Flask) -> None:
    visitor = Visitor(app, deploy("busy", limit_visitor=1000)).arrive()
    wanted = [f"line {number}" for number in range(25)]
    for text in wanted:
        visitor.write(text)
    page = visitor.read("?limit=10")
    found = [m["text"] for m in page["messages"]]
    while page["more"]:
        page = visitor.read(f"?limit=10&before={page['messages'][0]['id']}")
        found = [m["text"] for m in page["messages"]] + found
    assert found == wanted


def test_changes_that_are_too_many_for_one_answer_come_in_several(visitor: Visitor, worker: Worker) -> None:
    visitor.write("hello")
    for number in range(70):  # two events each
        speak(f"answer {number}")
    worker.run_until_idle()
    seen: dict[str, str] = {}
    cursor, more = "0", True
    while more:
        news = visitor.read(f"?after={cursor}")
        seen |= {m["id"]: m["text"] for m in news["messages"]}
        cursor, more = news["cursor"], news["more"]
    assert len(seen) == 71


def test_the_agent_appears_by_given_name(visitor: Visitor, worker: Worker, maya: Operator) -> None:
    visitor.write("A person, if I may")
    handover.claim(User.get().id, maya)
    assert visitor.read()["handler"]["name"] == "Maya"
    speak("Hi, I am Maya.", author=Author(AuthorKind.AGENT, maya.name, maya.id))
    worker.run_until_idle()
    last = visitor.read()
    assert last["messages"][-1]["author"] == {"kind": "agent", "name": "Maya"}
    assert "Oliveira" not in json.dumps(last)


def test_typing_is_said_only_while_the_bot_has_a_turn(visitor: Visitor, worker: Worker) -> None:
    assert visitor.write("hello").json["typing"] is True  # the worker has not yet told the plugins
    worker.run_until_idle()
    assert visitor.read()["typing"] is False  # no plugin took it
    visitor.write("hello?")
    enqueue("bots.turn", {}, lane=f"bot:{Identity.get().id}")
    assert visitor.read()["typing"] is True
    speak("Here")
    assert visitor.read()["typing"] is False


def test_typing_stops_when_a_person_has_the_user(visitor: Visitor, maya: Operator) -> None:
    visitor.write("hello")
    handover.claim(User.get().id, maya)
    assert visitor.read()["typing"] is False


# Choices


def test_a_choice_is_made_by_its_place_and_the_bots_word_stays_on_the_server(
    visitor: Visitor, worker: Worker
) -> None:
    visitor.write("hello")
    buttons = [
        {"title": "Check delivery", "payload": "/check{'order': 7}"},
        {"title": "Site", "url": "https://x.example"},
    ]
    asked = speak("What would you like?", payload={"buttons": buttons})
    worker.run_until_idle()
    shown = visitor.read()["messages"][-1]
    assert shown["buttons"] == [
        {"title": "Check delivery", "url": None},
        {"title": "Site", "url": "https://x.example"},
    ]
    assert "/check" not in json.dumps(shown)
    choice = {"client_id": new_id(), "picked": {"message": shown["id"], "index": 0}}
    assert visitor.call("POST", "messages", choice).json["message"]["text"] == "Check delivery"
    stored = Message.get(Message.kind == "picked")
    assert stored.payload == {"source": "button", "title": "Check delivery", "id": "/check{'order': 7}"}
    choice = {"client_id": new_id(), "picked": {"message": str(asked.id), "index": 2}}
    assert visitor.call("POST", "messages", choice).json["field"] == "picked"


def test_junk_that_a_bot_put_into_a_message_breaks_nothing(visitor: Visitor, worker: Worker) -> None:
    visitor.write("hello")
    for junk in ("text", 5, [None, 1, {"title": 3}, {"title": "ok", "url": "javascript:alert(1)"}], {"a": 1}):
        speak("odd", payload={"buttons": junk})
    speak("picture", kind="image", payload={"url": "javascript:alert(1)"})
    worker.run_until_idle()
    found = visitor.read()["messages"]
    assert found[3]["buttons"] == [{"title": "ok", "url": None}]
    assert found[-1]["image"] is None


# Receipts


def test_receipts_climb_for_all_up_to_the_one_named(visitor: Visitor, worker: Worker) -> None:
    visitor.write("hello")
    first, second, third = speak("one"), speak("two"), speak("three")
    worker.run_until_idle()

    def states() -> list[str]:
        return [Message.get_by_id(one.id).state for one in (first, second, third)]

    assert visitor.call("POST", "receipts", {"message": str(second.id), "state": "read"}).status_code == 204
    assert states() == ["read", "read", "sent"]
    visitor.call("POST", "receipts", {"message": str(third.id), "state": "delivered"})
    assert states() == ["read", "read", "delivered"]
    visitor.call("POST", "receipts", {"message": str(third.id), "state": "read"})
    assert states() == ["read"] * 3


def test_a_receipt_settles_what_was_unconfirmed(visitor: Visitor, worker: Worker) -> None:
    visitor.write("hello")
    message = speak("did it arrive?")
    Message.update(state=Delivery.UNCONFIRMED).where(Message.id == message.id).execute()
    assert visitor.read()["messages"][-1]["state"] == "sent"
    visitor.call("POST", "receipts", {"message": str(message.id), "state": "delivered"})
    assert Message.get_by_id(message.id).state == "delivered"


def test_a_receipt_for_what_cannot_be_seen_is_refused(visitor: Visitor) -> None:
    visitor.write("hello")
    queued = speak("not sent yet")
    assert visitor.call("POST", "receipts", {"message": str(queued.id), "state": "read"}).status_code == 422
    assert Message.get_by_id(queued.id).state == "queued"


# The stream


def events_of(response: TestResponse) -> Iterator[str]:
    """Yield what a stream sends, beginning after its greeting."""
    sent = (chunk.decode() for chunk in response.response)
    assert next(sent) == "retry: 2000\n\n"
    return sent


def next_wake(events: Iterator[str]) -> str:
    """Return the next event that is no ping."""
    return next((event for event in events if event.startswith("event: wake")), "the stream ended")


def test_a_stream_tells_that_something_came_and_nothing_more(visitor: Visitor, worker: Worker) -> None:
    visitor.write("hello")
    cursor = visitor.read()["cursor"]
    response = visitor.call("GET", f"stream?after={cursor}")
    assert response.mimetype == "text/event-stream"
    events = events_of(response)
    speak("Good morning")
    worker.run_until_idle()
    wake = next_wake(events)
    assert wake.splitlines()[2] == "data: {}"
    assert visitor.read(f"?after={cursor}")["messages"][0]["text"] == "Good morning"
    response.close()


def test_a_stream_begins_with_what_was_missed(visitor: Visitor, worker: Worker) -> None:
    visitor.write("hello")
    cursor = visitor.read()["cursor"]
    speak("while you were away")
    worker.run_until_idle()
    response = visitor.call("GET", f"stream?after={cursor}")
    assert next(events_of(response)).startswith("event: wake")
    response.close()


def test_a_stream_says_nothing_of_the_users_other_chats(visitor: Visitor, maya: Operator) -> None:
    visitor.write("hello")
    mine = Identity.get()
    elsewhere = Identity.create(
        user=mine.user, deployment=deploy("elsewhere"), last_inbound=mine.last_inbound
    )
    cursor = visitor.read()["cursor"]
    response = visitor.call("GET", f"stream?after={cursor}")
    events = events_of(response)
    speak("elsewhere", elsewhere)
    handover.claim(mine.user_id, maya)  # who answers does concern this page
    last = int(visitor.read()["cursor"])
    wake = next_wake(events)
    assert f"id: {last}" in wake
    response.close()


def test_a_stream_ends_with_the_chat(visitor: Visitor) -> None:
    visitor.write("hello")
    cursor = visitor.read()["cursor"]
    response = visitor.call("GET", f"stream?after={cursor}")
    events = events_of(response)
    visitor.call("POST", "end", {})
    assert next_wake(events) == "the stream ended"


def test_there_is_nothing_to_follow_before_the_first_message(visitor: Visitor) -> None:
    assert visitor.call("GET", "stream").status_code == 409


def test_one_address_holds_only_so_many_streams(visitor: Visitor) -> None:
    visitor.write("hello")
    open_ones = []
    for _ in range(30):
        response = visitor.call("GET", "stream")
        next(iter(response.response))
        open_ones.append(response)
    assert visitor.call("GET", "stream").status_code == 429
    for response in open_ones:
        response.close()
    last = visitor.call("GET", "stream")
    assert last.status_code == 200
    last.close()
