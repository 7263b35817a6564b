"""WhatsApp from end to end: signed webhooks in, messages out through the worker, the provider played."""

import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from core import Author, AuthorKind, Outbound, ReachKind, TemplateCall, conversation, outbound
from core import clock as clocks
from core.clock import HeldClock
from core.deployments import add_deployment, sync_templates
from core.gate import probe
from core.models import (
    Deployment,
    HeldStatus,
    Identity,
    IdentityAlias,
    LogState,
    Message,
    Session,
    User,
    WebhookLog,
)
from core.worker import Worker
from plugins.demo.whatsapp_provider import Answer, WhatsAppProvider

PLUGINS = ("channels.whatsapp",)
PAYLOADS = sorted((Path(__file__).parent / "payloads" / "whatsapp").glob("*.json"))
ASHA = "919900112233"
BOT = Author(AuthorKind.BOT, "Order bot")


@dataclass
class Number:
    """A WhatsApp number of ours, with the provider behind it and the door in front."""

    deployment: Deployment
    provider: WhatsAppProvider
    client: FlaskClient

    def post(self, payload: Any, **headers: str) -> int:
        """Post a webhook, signed if nothing else is said; returns the HTTP status."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        signed = {"X-Hub-Signature-256": self.provider.signature(body), "Content-Type": "application/json"}
        answer = self.client.post(
            f"/webhooks/{self.deployment.key}", data=body, headers={**signed, **headers}
        )
        return answer.status_code

    def message(self, text: str, number: str = ASHA, **more: Any) -> dict[str, Any]:
        """Return a webhook in which a user writes `text`."""
        now = str(int(clocks.now().timestamp()))
        sender = {"from": number, "from_user_id": f"IN.{number}", "id": f"wamid.{text}", "timestamp": now}
        contact = {"profile": {"name": "Asha Rao"}, "wa_id": number, "user_id": f"IN.{number}"}
        message = {**sender, "type": "text", "text": {"body": text}, **more}
        return self.provider.envelope({"contacts": [contact], "messages": [message]})

    def status(self, word: str, message_id: str, **more: Any) -> dict[str, Any]:
        """Return a webhook that says how far a message of ours came."""
        status = {"id": message_id, "status": word, "timestamp": str(int(clocks.now().timestamp())), **more}
        return self.provider.envelope({"statuses": [status]})


@pytest.fixture
def number(app: Flask, client: FlaskClient) -> Iterator[Number]:
    """A number whose provider is played, and posts to this app."""
    provider = WhatsAppProvider(
        app_secret="s3cret",
        verify_token="verify",
        access_token="EAAtoken",
        phone_number_id="106000000000001",
        senders=3,
    )
    deployment = add_deployment(
        "whatsapp",
        provider.phone_number_id,
        "Support line",
        "+1 555 0100",
        {
            "phone_number_id": provider.phone_number_id,
            "waba_id": provider.waba_id,
            "access_token": provider.access_token,
            "app_secret": provider.app_secret,
            "verify_token": provider.verify_token,
            "base_url": provider.url,
        },
    )
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    provider.webhook_url = f"http://127.0.0.1:{server.server_port}/webhooks/{deployment.key}"
    with provider:
        yield Number(deployment, provider, client)
    server.shutdown()
    thread.join()
    server.server_close()


def entries(user: User | None = None) -> list[dict[str, Any]]:
    """The conversation of the one user there is."""
    return conversation.page((user or User.get()).id, limit=200)


def answer(text: str) -> Message:
    """Let the bot answer the one user there is."""
    sent = outbound.send(Identity.get().id, Outbound(text=text), BOT)
    assert sent.message is not None
    return sent.message


# ── Every webhook ───────────────────────────────────────────────────────────────────────────────────────────


def test_each_payload_gets_a_200_and_is_stored_or_noted(app: Flask, number: Number) -> None:
    for path in PAYLOADS:
        before = Message.select().count()
        assert number.post(path.read_bytes()) == 200, path.stem
        log = WebhookLog.select().order_by(WebhookLog.id.desc()).first()
        assert (log.state, log.error) == (LogState.PROCESSED, None), path.stem
        stored = Message.select().count()
        assert stored > before or log.notes, path.stem
        assert "x-hub-signature-256" not in log.headers
        # once more: nothing new
        assert number.post(path.read_bytes()) == 200
        assert Message.select().count() == stored, path.stem
    assert {row.text for row in Message.select()} >= {"Is the walnut desk in stock?", "שלום", "Hola"}


def test_handshake(number: Number) -> None:
    assert number.provider.subscribe()
    number.provider.verify_token = "another"
    assert not number.provider.subscribe()


def test_unsigned_webhook_is_refused_and_leaves_nothing(number: Number) -> None:
    signature = number.provider.signature(b"something else")
    assert number.post(number.message("hi"), **{"X-Hub-Signature-256": signature}) == 403
    assert number.post(number.message("hi"), **{"X-Hub-Signature-256": "sha256=\xe9"}) == 403
    assert WebhookLog.select().count() == Message.select().count() == 0


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"entry":' * 50_000, b'{"entry": "\x00"}', b"\xff"])
def test_signed_junk_is_logged_as_failed(number: Number, body: bytes) -> None:
    assert number.post(body) == 200
    log = WebhookLog.get()
    assert (log.state, bytes(log.body)) == (LogState.FAILED, body)
    assert User.select().count() == 0


def test_nul_and_lone_surrogates_are_stored_readably(number: Number) -> None:
    payload = number.message("a\x00b")
    value = payload["entry"][0]["changes"][0]["value"]
    value["contacts"][0]["profile"] = {"name": "As\x00ha\ud83d", "username": "a\udc00"}
    value["messages"][0].update({"type": "hologram", "hologram": {"\x00key": ["\ud83d", float("nan")]}})
    assert number.post(payload) == 200
    assert WebhookLog.get().state == LogState.PROCESSED
    assert User.get().name == "As\N{REPLACEMENT CHARACTER}ha\N{REPLACEMENT CHARACTER}"
    (entry,) = entries()
    assert entry["kind"] == "unknown"
    assert entry["payload"]["raw"]["hologram"] == {
        "\N{REPLACEMENT CHARACTER}key": ["\N{REPLACEMENT CHARACTER}", "nan"]
    }


# ── Once, whatever comes ────────────────────────────────────────────────────────────────────────────────────


def test_many_at_once_are_one_message_of_one_user(app: Flask, number: Number) -> None:
    body = json.dumps(number.message("hello"))
    others = [json.dumps(number.message(f"hello {place}")) for place in range(3)]

    def post(text: str) -> int:
        return Number(number.deployment, number.provider, app.test_client()).post(text.encode())

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(post, [body] * 5 + others)) == {200}
    assert User.select().count() == Identity.select().count() == 1
    assert sorted(entry["text"] for entry in entries()) == ["hello", "hello 0", "hello 1", "hello 2"]
    assert IdentityAlias.select().count() == 2
    assert User.get().received_count == 4


def test_late_message_moves_no_window_back(clock: HeldClock, number: Number) -> None:
    now = clock.now()
    number.post(number.message("newer"))
    window = Identity.get().last_inbound
    late = str(int((now - timedelta(hours=20)).timestamp()))
    number.post(number.message("older", timestamp=late))
    assert Identity.get().last_inbound == window
    assert [entry["text"] for entry in entries()] == ["older", "newer"]
    assert User.get().last_message_text == "newer"


def test_window_begins_at_the_providers_time(clock: HeldClock, number: Number) -> None:  # C3
    wrote = (clock.now() - timedelta(hours=3)).replace(microsecond=0)
    number.post(number.message("hi", timestamp=str(int(wrote.timestamp()))))
    assert Identity.get().last_inbound == wrote
    assert probe(Identity.get(), None, clock.now()).until == wrote + timedelta(hours=24)


def test_edits_deletions_and_notices_are_shown_and_open_nothing(clock: HeldClock, number: Number) -> None:
    number.post(number.message("hi"))
    before = Identity.get().last_inbound, User.get().last_seen
    clock.advance(hours=25)
    edit = {"original_message_id": "wamid.hi", "message": {"type": "text", "text": {"body": "hi all"}}}
    number.post(number.message("e", type="edit", edit=edit))
    number.post(number.message("r", type="revoke", revoke={"original_message_id": "wamid.hi"}))
    notice = {"type": "customer_identity_changed", "body": "Changed"}
    number.post(number.message("s", type="system", system=notice))
    assert (Identity.get().last_inbound, User.get().last_seen) == before
    assert [entry["kind"] for entry in entries()] == ["text", "edited", "deleted", "system"]
    assert probe(Identity.get(), None, clock.now()).kind is ReachKind.TEMPLATE_ONLY


def test_number_is_found_by_its_account(number: Number) -> None:
    config = {**number.deployment.config, "phone_number_id": "106000000000002"}
    other = Deployment.create(
        channel="whatsapp", account="106000000000002", label="Sales", place="+1 555 0101", config=config
    )
    payload = number.message("for the other")
    payload["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = "106000000000002"
    number.post(payload)
    assert Message.get().deployment_id == other.id


def test_message_for_a_number_that_is_not_here_is_noted(number: Number) -> None:
    payload = number.message("hi")
    payload["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = "999"
    assert number.post(payload) == 200
    assert Message.select().count() == 0
    assert "999" in WebhookLog.get().notes[0]


# ── Who it is ───────────────────────────────────────────────────────────────────────────────────────────────


def system(number: Number, **notice: Any) -> dict[str, Any]:
    """A notice of WhatsApp, which comes without contacts."""
    named = {"id": f"wamid.{notice['type']}", "timestamp": str(int(clocks.now().timestamp()))}
    return number.provider.envelope({"messages": [{**named, "type": "system", "system": notice}]})


def write(number: Number, text: str, **ids: str) -> None:
    """Let somebody write who is known by just these ids: `wa_id`, `user_id`."""
    sender = {"from": ids.get("wa_id"), "from_user_id": ids.get("user_id")}
    message = {"id": f"wamid.{text}", "type": "text", "text": {"body": text}, **sender}
    number.post(
        number.provider.envelope(
            {
                "contacts": [{"profile": {"name": "Asha"}, **ids}],
                "messages": [{k: v for k, v in message.items() if v}],
            }
        )
    )


def test_user_who_hides_the_number_stays_the_same(number: Number) -> None:
    write(number, "one", wa_id=ASHA)
    write(number, "two", wa_id=ASHA, user_id="IN.1")
    write(number, "three", user_id="IN.1")
    assert User.select().count() == 1
    assert [entry["text"] for entry in entries()] == ["one", "two", "three"]


def test_new_owner_of_a_number_is_somebody_else(number: Number) -> None:
    write(number, "mine", wa_id=ASHA, user_id="IN.1")
    write(number, "mine now", wa_id=ASHA, user_id="IN.2")
    assert User.select().count() == 2
    holder = IdentityAlias.get(IdentityAlias.value == ASHA, IdentityAlias.valid_until.is_null())
    assert holder.identity_id == Message.get(Message.text == "mine now").identity_id


def test_new_number_keeps_the_user(clock: HeldClock, number: Number) -> None:
    write(number, "before", wa_id=ASHA, user_id="IN.1")
    clock.advance(seconds=1)
    notice = system(
        number, type="user_changed_number", body="User A changed from 1 to 2", wa_id="919900112299"
    )
    notice["entry"][0]["changes"][0]["value"]["messages"][0]["from"] = ASHA
    number.post(notice)
    clock.advance(seconds=1)
    write(number, "after", wa_id="919900112299", user_id="IN.2")
    assert User.select().count() == 1
    assert [entry["author"] for entry in entries()] == ["user", "system", "user"]


def test_hidden_new_number_leaves_no_way_to_the_old_one(number: Number, worker: Worker) -> None:
    write(number, "before", wa_id=ASHA, user_id="IN.1")
    number.post(system(number, type="user_changed_user_id", previous_user_id="IN.1", user_id="IN.2"))
    answer("hello")
    worker.run_until_idle()
    (taken,) = number.provider.messages
    assert (taken.body.get("to"), taken.body.get("recipient")) == (None, "IN.2")
    write(number, "after", user_id="IN.2")
    assert User.select().count() == 1


def test_ad_is_the_first_touch_and_stays_it(clock: HeldClock, number: Number) -> None:
    ad = {"source_type": "ad", "source_id": "120", "headline": "Oak that lasts", "ctwa_clid": "clid"}
    number.post(number.message("hi", referral=ad))
    clock.advance(hours=1)
    number.post(number.message("and"))
    clock.advance(hours=1)
    number.post(number.message("again", referral={**ad, "source_id": "121"}))
    identity = Identity.get()
    assert identity.first_footprint["source_id"] == "120"
    assert identity.last_footprint["source_id"] == "121"
    assert Session.get().footprint["headline"] == "Oak that lasts"


def test_colleague_in_the_app_pauses_the_bot(number: Number, worker: Worker) -> None:
    number.post(number.message("hi"))
    echo = {"from": "15550100000", "to": ASHA, "id": "wamid.e", "type": "text", "text": {"body": "On it"}}
    number.post(number.provider.envelope({"message_echoes": [echo]}, field="smb_message_echoes"))
    assert User.get().handler != "bot"
    assert [entry["text"] for entry in entries() if entry["author"] == "agent"] == ["On it"]
    assert answer("from the bot").state == "not_sent"


# ── Out, and back ───────────────────────────────────────────────────────────────────────────────────────────


def test_answer_goes_out_and_its_statuses_come_back(number: Number, worker: Worker) -> None:
    number.provider.user_writes(ASHA, "hi", name="Asha")
    message = answer("Hello Asha")
    worker.run_until_idle()
    assert number.provider.flush()
    assert number.provider.texts == ["Hello Asha"]
    stored = Message.get_by_id(message.id)
    assert stored.state == "read"
    assert stored.provider_id == number.provider.messages[0].id
    assert stored.sent
    assert stored.delivered
    assert stored.read


@pytest.mark.parametrize("seed", range(4))
def test_statuses_in_any_order_climb_only(number: Number, worker: Worker, seed: int) -> None:
    number.provider.statuses = ()
    number.provider.user_writes(ASHA, "hi")
    message = answer("Hello")
    worker.run_until_idle()
    words = ["sent", "delivered", "delivered", "read", "sent"]
    random.Random(seed).shuffle(words)
    ladder = ["queued", "sent", "delivered", "read"]
    reached = 0
    for word in words:
        number.post(number.status(word, number.provider.messages[0].id))
        state = Message.get_by_id(message.id).state
        assert ladder.index(state) >= reached
        reached = ladder.index(state)
    assert Message.get_by_id(message.id).state == "read"


def test_statuses_before_their_message_wait_for_it(number: Number, worker: Worker) -> None:
    number.provider.user_writes(ASHA, "hi")
    number.provider.statuses_first = True  # the first one even before the answer to our request
    number.provider.statuses = ("read", "delivered", "sent")
    message = answer("Hello")
    worker.run_until_idle()
    assert number.provider.flush()
    assert Message.get_by_id(message.id).state == "read"
    assert HeldStatus.select().count() == 0


def test_status_of_an_unknown_message_is_held(number: Number) -> None:
    assert number.post(number.status("delivered", "wamid.nobody")) == 200
    assert HeldStatus.get().provider_id == "wamid.nobody"


def test_status_finds_a_message_whose_answer_was_lost(number: Number, worker: Worker) -> None:
    number.provider.user_writes(ASHA, "hi")
    number.provider.answer_next(Answer(lost=True))
    message = answer("Hello")
    worker.run_until_idle()
    assert number.provider.flush()
    stored = Message.get_by_id(message.id)
    assert (stored.state, stored.provider_id) == ("read", number.provider.messages[0].id)
    assert len(number.provider.messages) == 1


def test_reference_of_another_program_touches_no_message_of_ours(number: Number, worker: Worker) -> None:
    number.provider.user_writes(ASHA, "hi")
    number.provider.statuses = ()
    message = answer("Hello")
    worker.run_until_idle()
    number.post(number.status("read", "wamid.theirs", biz_opaque_callback_data=str(message.id)))
    assert Message.get_by_id(message.id).state == "sent"


def test_lost_answer_without_a_status_is_shown_as_unconfirmed(number: Number, worker: Worker) -> None:
    number.provider.user_writes(ASHA, "hi")
    number.provider.statuses = ()
    number.provider.answer_next(Answer(lost=True))
    message = answer("Hello")
    worker.run_until_idle()
    assert Message.get_by_id(message.id).state == "unconfirmed"
    worker.run_until_idle()
    assert len(number.provider.messages) == 1


def test_window_that_whatsapp_sees_closed_is_closed(
    clock: HeldClock, number: Number, worker: Worker
) -> None:  # C3
    number.post(number.message("hi"))  # the provider itself never heard of it
    message = answer("Hello")
    worker.run_until_idle()
    assert number.provider.flush()
    stored = Message.get_by_id(message.id)
    assert stored.state == "failed"
    assert "131047" in stored.error
    assert probe(Identity.get(), None, clocks.now()).kind is ReachKind.TEMPLATE_ONLY
    clock.advance(seconds=1)
    number.provider.user_writes(ASHA, "again")
    assert probe(Identity.get(), None, clocks.now()).kind is ReachKind.FREE_FORM


def test_template_goes_out_when_the_window_is_closed(
    clock: HeldClock, number: Number, worker: Worker
) -> None:  # C5
    number.provider.user_writes(ASHA, "hi")
    clock.advance(hours=24)
    assert sync_templates(number.deployment) == len(number.provider.templates)
    assert answer("too late").state == "not_sent"
    call = TemplateCall("talk_again", "en", {"first_name": "Asha"})
    campaign = Author(AuthorKind.CAMPAIGN, "Spring")
    assert outbound.send(Identity.get().id, Outbound(template=call), campaign).message is not None
    worker.run_until_idle()
    (taken,) = number.provider.messages
    assert taken.template["name"] == "talk_again"


def test_busy_number_gets_its_message_later(clock: HeldClock, number: Number, worker: Worker) -> None:
    number.provider.user_writes(ASHA, "hi")
    number.provider.answer_next(Answer(status=429, code=130429, retry_after="20"))
    message = answer("Hello")
    worker.run_until_idle()
    assert Message.get_by_id(message.id).state == "queued"
    clock.advance(seconds=19)
    worker.run_until_idle()
    assert number.provider.texts == []
    clock.advance(seconds=2)
    worker.run_until_idle()
    assert number.provider.texts == ["Hello"]


def test_revoked_token_pauses_the_number(number: Number, worker: Worker) -> None:
    number.provider.user_writes(ASHA, "hi")
    number.provider.access_token = "another"
    message = answer("Hello")
    worker.run_until_idle()
    assert Deployment.get().paused_reason
    stored = Message.get_by_id(message.id)
    assert stored.state == "failed"
    assert "EAAtoken" not in f"{stored.error} {Deployment.get().paused_reason}"


def test_opt_out_by_error_is_honoured(number: Number, worker: Worker) -> None:
    number.provider.user_writes(ASHA, "hi")
    number.provider.fail_later(131050)
    answer("Sale")
    worker.run_until_idle()
    assert number.provider.flush()
    assert probe(Identity.get(), None, clocks.now()).kind is ReachKind.OPTED_OUT


def test_provider_repeats_until_it_is_heard(number: Number) -> None:
    url = number.provider.webhook_url
    number.provider.webhook_url = "http://127.0.0.1:9/nobody"
    number.provider.user_writes(ASHA, "hi")
    assert User.select().count() == 0
    number.provider.webhook_url = url
    assert number.provider.flush()
    assert [entry["text"] for entry in entries()] == ["hi"]
