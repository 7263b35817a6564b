"""Must-show 6: the web process and the worker are killed at random while messages go both ways, and nothing
is lost.

gunicorn, worker and supervisor are the real ones; WhatsApp and the bot are played in the test's own process,
which nobody kills, so that what they saw can be counted.
"""

import io
import json
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core import Alias, Author, AuthorKind, Outbound, Received, clock, handover, outbound, supervisor
from core.commands.run import listening, web_program
from core.db import database
from core.deployments import add_deployment
from core.inbound import accept
from core.models import (
    Deployment,
    Event,
    Handler,
    HeldStatus,
    Identity,
    Job,
    LogState,
    Message,
    Operator,
    Session,
    User,
    WebhookLog,
)
from core.programs import Program
from core.settings import Settings
from core.supervisor import Supervisor
from plugins.bots.models import Bot
from plugins.demo.whatsapp_provider import WhatsAppProvider
from running import environment, is_alive, wait_for

SECRETS = {"app_secret": "an-app-secret", "verify_token": "words", "access_token": "a-token"}
PEOPLE = 24  # the first half has the bot, the second half an agent
SEED = 6


class PlayedBot:
    """A bot that answers twice, and remembers by which message it was asked."""

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()
        owner = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                number = int(question["metadata"]["message_id"])
                owner.asked[number] += 1
                time.sleep(random.random() * 0.1)
                body = json.dumps([{"text": f"first of {number}"}, {"text": f"second of {number}"}]).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # type: ignore[method-assign]  # whoever asked was killed
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Arena:
    """A running Parley, its played surroundings, and a hand that kills."""

    def __init__(self, app: Flask, settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.2)
        monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.2)
        self.app = app
        self.killed: Counter[str] = Counter()
        self.provider = WhatsAppProvider(senders=3, trusting=True, **SECRETS)
        self.bot = PlayedBot()
        self.deployment = self._deploy()
        self.identities = [self._person(number) for number in range(PEOPLE)]
        self.said = io.StringIO()
        self.socket = listening("127.0.0.1", 0)
        self.provider.webhook_url = (
            f"http://127.0.0.1:{self.socket.getsockname()[1]}/webhooks/{self.deployment.key}"
        )
        self.provider.start()
        variables = {"PARLEY_DATABASE_URL": settings.database_url}
        self.supervisor = Supervisor(environment(folder, **variables), self.said)
        self.supervisor.settled = True
        self.supervisor.start([web_program(self.socket), Program("worker", "core.cli", ["worker"])])
        self.runner = threading.Thread(target=self.supervisor.run)
        self.runner.start()

    def _deploy(self) -> Deployment:
        account = self.provider.phone_number_id
        config = {"phone_number_id": account, "waba_id": self.provider.waba_id, "base_url": self.provider.url}
        made = add_deployment("whatsapp", account, "Line", "+1 555 0100", {**config, **SECRETS})
        Bot.create(deployment=made, name="Order bot", url=self.bot.url)
        self.agent = Operator.create(email="m@example.com", name="Maya", password_hash="", roles=["agent"])
        return made

    def _person(self, number: int) -> Identity:
        """Let somebody have written before; the second half are claimed by the agent."""
        aliases = (Alias("wa_id", number_of(number)),)
        accepted = accept(
            self.deployment,
            Received(id=f"first{number}", aliases=aliases, text="hi", at=clock.now()),
            clock.now(),
        )
        Event.update(handed_on=True).execute()
        identity = Identity.get_by_id(accepted.identity_id)
        if number >= PEOPLE // 2:
            handover.claim(identity.user_id, self.agent)
        return identity

    def pids(self) -> dict[str, int]:
        """Return the processes as they are now: the web's master and its serving child, and the worker."""
        log = self.said.getvalue()
        found = {name: int(pid) for name, pid in re.findall(r"(\w+) started \(pid (\d+)\)", log)}
        found["serving"] = int((re.findall(r"Booting worker with pid: (\d+)", log) or ["0"])[-1])
        return found

    def kill(self, source: random.Random) -> None:
        """Kill one of the processes at once."""
        name, pid = source.choice(sorted(self.pids().items()))
        if pid and is_alive(pid):
            os.kill(pid, signal.SIGKILL)
            self.killed[name] += 1

    def write_in(self, numbers: range) -> None:
        """Let users write; what nobody acknowledges is posted again by the provider."""
        for number in numbers:
            self.provider.user_writes(number_of(number % PEOPLE), f"in {number}")

    def write_out(self, numbers: range) -> list[int]:
        """Let the agent write to those whom she has; returns the ids of the messages."""
        mine = self.identities[PEOPLE // 2 :]
        author = Author(AuthorKind.AGENT, "Maya", self.agent.id)
        sent = []
        with self.app.app_context(), database.connection_context():
            for number in numbers:
                identity = mine[number % len(mine)]
                one = outbound.send(identity.id, Outbound(text=f"out {number}"), author, f"out:{number}")
                assert one.message is not None
                sent.append(one.message.id)
                time.sleep(0.02)
        return sent

    def let_leases_run_out(self) -> None:
        """Let the time pass that a dead process's work is waited for, without waiting."""
        worker = self.pids()["worker"]
        past = clock.now() - timedelta(seconds=1)
        leased = Job.leased_by.is_null(False) & ~Job.leased_by.contains(f":{worker}:")
        Job.update(leased_until=past).where(leased).execute()
        WebhookLog.update(received=clock.now() - timedelta(minutes=1)).where(
            WebhookLog.state == LogState.RECEIVED, WebhookLog.received < clock.now() - timedelta(seconds=2)
        ).execute()

    def is_drained(self) -> bool:
        """Say whether nothing is left to do."""
        self.let_leases_run_out()
        left = (
            Job.select().where(Job.failed.is_null()).exists()
            or Event.select().where(~Event.handed_on).exists()
            or WebhookLog.select().where(WebhookLog.state == LogState.RECEIVED).exists()
            or HeldStatus.select().exists()
        )
        return not left and self.provider.flush(0.1)

    def stop(self) -> None:
        self.supervisor.end()
        self.runner.join(40)
        self.socket.close()
        self.provider.stop()
        self.bot.stop()


def number_of(person: int) -> str:
    return f"1555010{person:04}"


@pytest.fixture
def arena(app: Flask, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Arena]:
    arena = Arena(app, settings, tmp_path, monkeypatch)
    yield arena
    arena.stop()


@pytest.mark.parametrize(
    ("count", "kills"),
    [(150, 9), pytest.param(1000, 45, marks=pytest.mark.long)],
)
def test_nothing_is_lost_or_said_twice_when_processes_are_killed(
    arena: Arena, count: int, kills: int
) -> None:
    source = random.Random(SEED)
    wait_for(lambda: "the worker is ready" in arena.said.getvalue(), 30, arena.said.getvalue)
    wait_for(lambda: arena.provider.subscribe(), 30, arena.said.getvalue)
    writers = [threading.Thread(target=arena.write_in, args=(range(start, count, 3),)) for start in range(3)]
    sent: list[int] = []
    writers.append(threading.Thread(target=lambda: sent.extend(arena.write_out(range(count)))))
    for writer in writers:
        writer.start()
    for _ in range(kills):
        time.sleep(source.uniform(0.3, 1.2))
        arena.kill(source)
    for writer in writers:
        writer.join()
    wait_for(arena.is_drained, 120, lambda: f"{left()}\n{arena.said.getvalue()[-4000:]}")

    uncertain = Message.select().where(Message.state == "unconfirmed").count()
    failed = Message.select().where(Message.kind == "bot_failed").count()
    print(f"killed {dict(arena.killed)}; {uncertain} messages unconfirmed, {failed} turns failed")
    assert sum(arena.killed.values()) >= kills // 2, arena.killed
    assert len(sent) == count
    every_inbound_is_there_once(arena, count)
    every_outbound_was_sent_once_or_is_shown_as_unconfirmed(arena, sent)
    every_turn_of_the_bot_has_its_answers_once_or_a_visible_failure(arena)
    what_lists_show_agrees_with_the_messages()


def left() -> Mapping[str, Any]:
    """Return what keeps the run from being drained."""
    return {
        "jobs": list(Job.select().where(Job.failed.is_null()).dicts()),
        "events": Event.select().where(~Event.handed_on).count(),
        "webhooks": list(WebhookLog.select(WebhookLog.state, WebhookLog.error).dicts())[-3:],
        "held": HeldStatus.select().count(),
    }


def every_inbound_is_there_once(arena: Arena, count: int) -> None:
    acknowledged = set()
    for status, body in arena.provider.delivered:
        if status == 200:
            value = json.loads(body)["entry"][0]["changes"][0]["value"]
            acknowledged |= {message["id"] for message in value.get("messages", ())}
    stored = Counter(
        provider_id
        for (provider_id,) in Message.select(Message.provider_id)
        .where(Message.text.startswith("in "))
        .tuples()
    )
    assert len(acknowledged) == count
    assert stored == Counter(dict.fromkeys(acknowledged, 1))
    assert not WebhookLog.select().where(WebhookLog.state == LogState.FAILED).exists()


def every_outbound_was_sent_once_or_is_shown_as_unconfirmed(arena: Arena, sent: list[int]) -> None:
    taken = Counter(int(message.ref) for message in arena.provider.messages)
    assert max(taken.values()) == 1
    ours = Message.select().where(Message.author.in_(["agent", "bot"]))
    states = {message.id: message for message in ours}
    assert set(sent) <= states.keys()
    assert taken.keys() <= states.keys()
    for number, message in states.items():
        if message.state == "unconfirmed":
            assert "It may have arrived" in message.error
            assert number not in taken, "its status came, and should have settled it"
        else:
            assert message.state == "read", f"{message.text} is {message.state}: {message.error}"
            assert taken[number] == 1


def every_turn_of_the_bot_has_its_answers_once_or_a_visible_failure(arena: Arena) -> None:
    assert max(arena.bot.asked.values()) == 1
    asking = Message.select().join(User).where(User.handler == Handler.BOT, Message.text.startswith("in "))
    assert asking.count() > 0
    failed = 0
    for question in asking:
        found = Message.select().where(Message.request_key.startswith(f"bots:{question.id}:"))
        entries = [(one.author, one.text) for one in found.order_by(Message.request_key)]
        if entries[0][0] == "system":
            failed += 1
            assert len(entries) == 1
            assert "did not answer" in entries[0][1]
        else:
            assert entries == [("bot", f"first of {question.id}"), ("bot", f"second of {question.id}")]
            assert arena.bot.asked[question.id] == 1
    assert failed < asking.count() / 2


def what_lists_show_agrees_with_the_messages() -> None:
    for user in User.select():
        written = Message.select().where(Message.user == user, Message.author == "user").count()
        ours = Message.select().where(Message.user == user, Message.author.in_(["agent", "bot"])).count()
        assert (user.received_count, user.sent_count) == (written, ours)
        numbers = [
            seq for (seq,) in Event.select(Event.seq).where(Event.user == user).order_by(Event.seq).tuples()
        ]
        assert numbers == list(range(1, user.event_seq + 1))
        (session,) = Session.select().where(Session.user == user)
        assert session.message_count == written + ours
