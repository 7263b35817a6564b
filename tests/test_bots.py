"""Bots, asked over HTTP by a real worker; a server on loopback plays them."""

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask

from core import Capabilities, Profile, handover
from core.channel import Delivery
from core.cli import parley as command
from core.clock import HeldClock
from core.db import database
from core.deployments import add_deployment
from core.models import Deployment, Event, Identity, Job, Message, Operator, User
from core.worker import Worker
from played_bot import PlayedBot, said, set_bot, write
from plugins.bots import rasa, turn
from plugins.bots.models import Bot


@pytest.fixture
def web(app: Flask) -> Deployment:
    """A web deployment."""
    return add_deployment("web", "shop.example.com", "Shop", "shop.example.com", {})


@pytest.fixture
def deployment(web: Deployment, bot: PlayedBot) -> Deployment:
    """The same, with the bot set by the command."""
    set_bot(web, bot.url, "--name", "Order bot")
    return web


def test_a_message_is_answered_once_however_often_the_event_is_told(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:
    bot.answer = [{"recipient_id": "x", "text": "Hello."}, {"recipient_id": "x", "text": "How can I help?"}]
    write(deployment, "hi")
    worker.run_until_idle()
    assert said() == [("text", "Hello.", "sent"), ("text", "How can I help?", "sent")]
    Event.update(handed_on=False).execute()
    worker.run_until_idle()
    assert len(bot.asked) == 1
    assert len(said()) == 2
    assert not Job.select().exists()


def test_the_question_is_rasas(deployment: Deployment, bot: PlayedBot, worker: Worker) -> None:
    message = write(deployment, "Wo ist meine Bestellung?", profile=Profile(language="de"))
    worker.run_until_idle()
    (question,) = bot.asked
    assert question.keys() == {"sender", "message", "metadata"}
    assert question["sender"] == Identity.get().key
    assert question["message"] == "Wo ist meine Bestellung?"
    expected = {
        "message_id": str(message.id),
        "kind": "text",
        "channel": "web",
        "deployment": "Shop",
        "user_key": User.get().key,
        "language": "de",
    }
    assert expected.items() <= question["metadata"].items()


def test_a_picked_button_is_asked_by_its_payload(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:
    write(deployment, "Check delivery", kind="picked", payload={"id": "/delivery", "title": "Check delivery"})
    worker.run_until_idle()
    assert bot.asked[0]["message"] == "/delivery"


@pytest.mark.parametrize("kind", ["reaction", "system"])
def test_what_calls_for_no_answer_is_not_asked(
    deployment: Deployment, bot: PlayedBot, worker: Worker, kind: str
) -> None:
    write(deployment, "👍", kind=kind)
    worker.run_until_idle()
    assert bot.asked == []


def test_without_a_bot_nothing_happens(web: Deployment, bot: PlayedBot, worker: Worker) -> None:
    write(web)
    worker.run_until_idle()
    assert bot.asked == []
    assert not Job.select().exists()


def test_the_bot_is_silent_while_a_person_has_the_user(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:
    write(deployment)
    worker.run_until_idle()
    maya = Operator.create(email="maya@example.com", name="Maya", password_hash="")
    handover.claim(User.get().id, maya)
    write(deployment, "are you there?", "2")
    worker.run_until_idle()
    assert len(bot.asked) == 1
    handover.release(User.get().id, maya)
    write(deployment, "and now?", "3")
    worker.run_until_idle()
    assert [question["message"] for question in bot.asked] == ["hi", "and now?"]


def test_a_turn_that_finds_a_person_at_work_asks_nothing(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:
    write(deployment)
    turn.begin(Message.get(), User.get(), Identity.get())
    handover.claim(User.get().id, Operator.create(email="m@example.com", name="Maya", password_hash=""))
    worker.run_until_idle()
    assert bot.asked == []
    assert not Job.select().exists()


def test_answers_that_come_after_a_claim_are_held_back(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:
    write(deployment)
    user_id, maya = User.get().id, Operator.create(email="m@example.com", name="Maya", password_hash="")

    def claim() -> None:
        with database.connection_context():
            handover.claim(user_id, maya)

    bot.before_answer = in_app(worker, claim)
    worker.run_until_idle()
    ((kind, text, state),) = said("bot")
    assert (kind, text, state) == ("text", "Hello.", Delivery.NOT_SENT)
    assert "Maya has this chat" in Message.get(Message.author == "bot").error


def in_app(worker: Worker, function: Callable[[], None]) -> Callable[[], None]:
    """Let `function` run in another thread, inside the app."""

    def wrapped() -> None:
        with worker._app.app_context():
            function()

    return wrapped


def test_a_worker_that_died_after_asking_leaves_a_visible_failure_and_no_second_question(
    deployment: Deployment, bot: PlayedBot, worker: Worker, clock: HeldClock
) -> None:
    message = write(deployment)
    bot.before_answer = lambda: time.sleep(0)

    class Killed(BaseException):
        pass

    def die(*args: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turn, "_answer", die)  # what SIGKILL does just after the bot has answered
        with pytest.raises(Killed):
            worker.run_until_idle()
    database.connect(reuse_if_open=True)
    assert len(bot.asked) == 1
    clock.advance(minutes=1)  # the dead worker's lease runs out
    worker.run_until_idle()
    assert len(bot.asked) == 1
    (note,) = said()
    assert note[0] == "bot_failed"
    assert "the worker stopped while the bot was at work" in note[1]
    assert Message.get(Message.kind == "bot_failed").payload["message"] == message.id
    assert not Job.select().exists()


def test_a_bot_that_cannot_be_reached_is_tried_again_and_then_shown_as_failed(
    deployment: Deployment, bot: PlayedBot, worker: Worker, clock: HeldClock
) -> None:
    port = closed_port()
    set_bot(deployment, f"http://127.0.0.1:{port}/")
    write(deployment)
    worker.run_until_idle()
    assert said() == []
    waits = []
    while (job := Job.get_or_none()) is not None:
        waits.append((job.due - clock.now()).total_seconds())
        clock.set(job.due)
        worker.run_until_idle()
    assert waits == [1, 2, 4, 8, 16]
    ((kind, text, _),) = said()
    assert kind == "bot_failed"
    assert text == "Bot did not answer: it cannot be reached; it was tried 6 times."


def test_a_bot_that_comes_back_answers_in_order(
    deployment: Deployment, bot: PlayedBot, worker: Worker, clock: HeldClock
) -> None:
    set_bot(deployment, f"http://127.0.0.1:{closed_port()}/")
    write(deployment, "first")
    write(deployment, "second", "2")
    worker.run_until_idle()
    set_bot(deployment, bot.url)
    clock.advance(seconds=2)
    worker.run_until_idle()
    assert [question["message"] for question in bot.asked] == ["first", "second"]


def closed_port() -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.server_close()
    return server.server_port


JUNK = {
    "html": (b"<html>Bad gateway</html>", "its answer is not JSON"),
    "object": ({"text": "hi"}, "its answer is not a list"),
    "text": ("hi", "its answer is not a list"),
    "null": (None, "its answer is not a list"),
    "deep": (b"[" * 100_000, "its answer is not JSON"),
    "not UTF-8": (b'[{"text": "\xff"}]', "its answer is not JSON"),
    "wrong entries": ([1, None, "x", [], {}], "5 of its 5 answers could not be read"),
    "wrong types": ([{"text": 1, "image": {}, "buttons": "x"}], "1 of its 1 answers could not be read"),
    "10 MB": (b'[{"text": "' + b"a" * 10_000_000 + b'"}]', "its answer is larger than 1 MB"),
}


@pytest.mark.parametrize(("answer", "reason"), JUNK.values(), ids=JUNK.keys())
def test_junk_is_a_visible_failure_and_is_not_asked_for_again(
    deployment: Deployment, bot: PlayedBot, worker: Worker, clock: HeldClock, answer: Any, reason: str
) -> None:
    bot.answer = answer
    write(deployment)
    worker.run_until_idle()
    clock.advance(minutes=10)
    worker.run_until_idle()
    assert said() == [("bot_failed", f"Order bot did not answer: {reason}.", "received")]
    assert len(bot.asked) == 1
    assert not Job.select().exists()


@pytest.mark.parametrize("status", [204, 301, 404, 500, 503])
def test_another_status_than_200_is_a_visible_failure(
    deployment: Deployment, bot: PlayedBot, worker: Worker, status: int
) -> None:
    bot.status, bot.answer = status, b""
    write(deployment)
    worker.run_until_idle()
    assert said() == [
        ("bot_failed", f"Order bot did not answer: it answered with status {status}.", "received")
    ]
    assert len(bot.asked) == 1


def test_a_bot_that_is_too_slow_is_a_visible_failure(
    deployment: Deployment, bot: PlayedBot, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rasa, "_TIMEOUT", 0.2)
    bot.before_answer = lambda: time.sleep(0.6)
    write(deployment)
    worker.run_until_idle()
    ((kind, text, _),) = said()
    assert (kind, text) == ("bot_failed", "Order bot did not answer: it took longer than 12 s.")


def test_an_answer_that_drips_is_given_up(
    deployment: Deployment, bot: PlayedBot, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rasa, "ANSWER_SECONDS", 0.0)
    write(deployment)
    worker.run_until_idle()
    assert said()[0][0] == "bot_failed"


def test_an_empty_list_is_shown_as_no_answer(deployment: Deployment, bot: PlayedBot, worker: Worker) -> None:
    bot.answer = []
    write(deployment)
    worker.run_until_idle()
    assert said() == [("bot_silent", "Order bot gave no answer.", "received")]


def test_what_no_database_stores_is_cleaned(deployment: Deployment, bot: PlayedBot, worker: Worker) -> None:
    bot.answer = rb'[{"text": "a\u0000b\ud800c", "buttons": [{"title": "x\u0000", "payload": "/y\udfff"}]}]'
    write(deployment)
    worker.run_until_idle()
    answer = Message.get(Message.author == "bot")
    assert answer.text == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert answer.payload["buttons"] == [
        {"title": "x\N{REPLACEMENT CHARACTER}", "payload": "/y\N{REPLACEMENT CHARACTER}"}
    ]


def test_readable_answers_among_junk_are_kept_and_the_rest_is_named(
    deployment: Deployment, bot: PlayedBot, worker: Worker
) -> None:
    bot.answer = [{"text": "Here is one"}, 7, {"custom": {"chart": [1, 2]}}]
    write(deployment)
    worker.run_until_idle()
    first, extra, rest = said()
    assert first == ("text", "Here is one", "sent")
    assert extra[0] == "bot_extra"
    assert "custom" in extra[1]
    assert Message.get(Message.kind == "bot_extra").payload["raw"] == {"custom": {"chart": [1, 2]}}
    assert rest[1] == "Order bot: 1 of its 3 answers could not be read."


def test_too_many_answers_are_cut(deployment: Deployment, bot: PlayedBot, worker: Worker) -> None:
    bot.answer = [{"text": str(number)} for number in range(25)]
    write(deployment)
    worker.run_until_idle()
    assert [text for _, text, _ in said("bot")] == [str(number) for number in range(20)]
    assert said("system")[0][1] == "Order bot: of its 25 answers only the first 20 were taken."


def test_the_token_is_sent_and_kept_encrypted(web: Deployment, bot: PlayedBot, worker: Worker) -> None:
    set_bot(web, bot.url, "--token", "s3cret-token")
    assert "s3cret" not in (Bot.get().token or "")
    write(web)
    worker.run_until_idle()
    assert bot.headers[0]["Authorization"] == "Bearer s3cret-token"
    listed = CliRunner().invoke(command, ["bot", "list"])
    assert "s3cret" not in listed.output
    assert bot.url[:20] in listed.output


def test_the_command_refuses_what_is_no_address(web: Deployment) -> None:
    result = CliRunner().invoke(command, ["bot", "set", "Shop", "--url", "file:///etc/passwd"])
    assert result.exit_code == 2
    assert "must start with http:// or https://" in result.output
    assert not Bot.select().exists()


FULL = Capabilities(text=100, buttons=3, image=True)
PLAIN = Capabilities(text=100)
LINK = "https://shop.example.com/desk.png"
CHOICES = (("Yes", "/yes"), ("No", "/no"))
AS_PAYLOAD = {"buttons": [{"title": "Yes", "payload": "/yes"}, {"title": "No", "payload": "/no"}]}


@pytest.mark.parametrize(
    ("answer", "capabilities", "expected"),
    [
        (rasa.Answer("Sure?", "", CHOICES), FULL, [("text", "Sure?", AS_PAYLOAD)]),
        (rasa.Answer("Sure?", "", CHOICES), PLAIN, [("text", "Sure?\n\n• Yes\n• No", {})]),
        (rasa.Answer("", LINK), FULL, [("image", "", {"url": LINK})]),
        (rasa.Answer("", LINK), PLAIN, [("text", LINK, {})]),
        (rasa.Answer("Our desk", LINK), FULL, [("image", "Our desk", {"url": LINK})]),
        (rasa.Answer("Our desk", LINK), PLAIN, [("text", f"Our desk\n{LINK}", {})]),
        (rasa.Answer("Take it?", LINK, CHOICES), FULL, [("image", "Take it?", {"url": LINK, **AS_PAYLOAD})]),
        (rasa.Answer("", "", CHOICES), FULL, [("text", "…", AS_PAYLOAD)]),
        (rasa.Answer("", "", CHOICES * 2), FULL, [("text", "• Yes\n• No\n• Yes\n• No", {})]),
        (rasa.Answer("a" * 90 + " " + "b" * 30), PLAIN, [("text", "a" * 90, {}), ("text", "b" * 30, {})]),
    ],
)
def test_an_answer_becomes_what_the_channel_can_carry(
    answer: rasa.Answer, capabilities: Capabilities, expected: list[tuple[str, str, dict[str, Any]]]
) -> None:
    found = [(one.kind, one.text, dict(one.payload)) for one in turn.messages_of(answer, capabilities)]
    assert found == expected


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        ("short", 10, ["short"]),
        ("", 10, []),
        ("first part\n\nsecond part", 14, ["first part", "second part"]),
        ("One sentence. Another one here.", 20, ["One sentence.", "Another one here."]),
        ("words that go on and on", 11, ["words that", "go on and", "on"]),
        ("x" * 25, 10, ["x" * 10, "x" * 10, "x" * 5]),
        ("ab" * 4 + "e\u0301" + "z", 9, ["ab" * 4, "e\u0301z"]),
        ("aaaaaa👩\u200d👩\u200d👧bb", 9, ["aaaaaa", "👩\u200d👩\u200d👧bb"]),
    ],
)
def test_long_texts_are_cut_where_it_reads_well(text: str, limit: int, parts: list[str]) -> None:
    assert rasa.split(text, limit) == parts


def test_no_part_is_longer_than_the_limit_and_nothing_is_lost() -> None:
    text = "".join(chr(0x300 + number % 5) if number % 7 else "word. " for number in range(5000))
    parts = rasa.split(text, 100)
    assert all(0 < len(part) <= 100 for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


@pytest.mark.parametrize("attachment", [LINK, {"type": "video", "payload": {"src": LINK}}, {"url": LINK}])
def test_an_attachment_with_a_link_is_sent_as_the_link(attachment: Any) -> None:
    (answer,) = rasa.read(json.dumps([{"attachment": attachment}]).encode()).answers
    assert answer.text == LINK


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "data:image/png;base64,AA", "/relative", "http://[", 5, "http://a b"]
)
def test_only_links_of_the_web_are_links(link: Any) -> None:
    assert rasa.web_address(link) == ""
