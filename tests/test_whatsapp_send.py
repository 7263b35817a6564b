"""WhatsApp: what is sent, and what becomes of each answer; the provider is played on loopback."""

from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from channels.whatsapp import WhatsApp
from channels.whatsapp.send import request_body
from core import Alias, Delivery, Outbound, SendError, TemplateCall, clock
from plugins.demo.whatsapp_provider import TEMPLATES, Answer, WhatsAppProvider
from plugins.demo.whatsapp_provider.examine import template

TOKEN = "EAAtoken-of-the-tests"
NUMBER, SCOPED = "919900112233", "IN.4401122334455667"
BY_NUMBER = {"wa_id": NUMBER, "bsuid": SCOPED}


@pytest.fixture
def provider() -> Iterator[WhatsAppProvider]:
    """The played WhatsApp; nobody takes its webhooks here."""
    with WhatsAppProvider(
        app_secret="s3cret", verify_token="verify", access_token=TOKEN, webhook_url="http://127.0.0.1:9/none"
    ) as provider:
        provider.statuses = ()
        yield provider


def configured(provider: WhatsAppProvider, **changes: Any) -> WhatsApp:
    config = {
        "phone_number_id": provider.phone_number_id,
        "waba_id": provider.waba_id,
        "access_token": TOKEN,
        "app_secret": "s3cret",
        "verify_token": "verify",
        "base_url": provider.url,
        **changes,
    }
    return WhatsApp(WhatsApp.Config(**config), account=provider.phone_number_id, key="k")


@pytest.fixture
def whatsapp(provider: WhatsAppProvider) -> Iterator[WhatsApp]:
    """A deployment whose provider is the played one, and which does not wait long for it."""
    channel = configured(provider)
    channel.http.timeout = httpx.Timeout(0.5)
    yield channel
    channel.close()


def refused(whatsapp: WhatsApp, message: Outbound) -> SendError:
    """Send what must not succeed; whatever the error, the token stands nowhere in it."""
    with pytest.raises(SendError) as caught:
        whatsapp.send(message)
    error = caught.value
    for text in (str(error), repr(error), repr(error.failure), repr(whatsapp.config)):
        assert TOKEN not in text
    return error


# ── What goes out ───────────────────────────────────────────────────────────────────────────────────────────


def test_text_goes_to_the_number(provider: WhatsAppProvider, whatsapp: WhatsApp) -> None:
    provider.user_writes(NUMBER, "hi", name="Asha")
    receipt = whatsapp.send(Outbound(text="Hello Asha", to=BY_NUMBER, ref="17", reply_to="wamid.in.1"))
    (taken,) = provider.messages
    assert taken.body == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": NUMBER,
        "type": "text",
        "text": {"preview_url": False, "body": "Hello Asha"},
        "context": {"message_id": "wamid.in.1"},
        "biz_opaque_callback_data": "17",
    }
    assert receipt.provider_id == taken.id
    assert receipt.state is Delivery.SENT
    assert receipt.aliases == (Alias("wa_id", NUMBER),)


@pytest.mark.parametrize(
    "to", [{"bsuid": SCOPED}, {"bsuid": SCOPED, "username": "asha"}, {"bsuid": SCOPED, "wa_id": "<hidden>"}]
)
def test_user_without_a_number_is_the_recipient(
    provider: WhatsAppProvider, whatsapp: WhatsApp, to: dict[str, str]
) -> None:
    receipt = whatsapp.send(Outbound(text="Hello", to=to))
    (taken,) = provider.messages
    assert taken.body["recipient"] == SCOPED
    assert "to" not in taken.body
    assert receipt.aliases == (Alias("bsuid", SCOPED),)


def test_parent_id_is_a_recipient_too() -> None:
    assert (
        request_body(Outbound(text="x", to={"parent_bsuid": "US.ENT.118157"}))["recipient"] == "US.ENT.118157"
    )


@pytest.mark.parametrize("to", [{}, {"username": "asha"}, {"wa_id": "+١٢٣٤٥"}, {"bsuid": "not one"}])
def test_user_whom_no_id_reaches_is_refused_here(
    provider: WhatsAppProvider, whatsapp: WhatsApp, to: dict[str, str]
) -> None:
    error = refused(whatsapp, Outbound(text="x", to=to))
    assert (error.uncertain, error.failure.permanent) == (False, True)
    assert provider.messages == provider.dropped == []


def test_played_whatsapp_drops_a_scoped_id_in_to(provider: WhatsAppProvider) -> None:
    body = {"messaging_product": "whatsapp", "to": SCOPED, "type": "text", "text": {"body": "x"}}
    answer = httpx.post(
        f"{provider.url}/v23.0/{provider.phone_number_id}/messages",
        json=body,
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    assert answer.status_code == 200
    assert provider.messages == []
    assert provider.dropped == [body]


def test_text_of_exactly_the_limit_passes(provider: WhatsAppProvider, whatsapp: WhatsApp) -> None:
    whatsapp.send(Outbound(text="é" * 4096, to=BY_NUMBER))
    assert len(provider.texts[0]) == 4096 == WhatsApp.capabilities.text


@pytest.mark.parametrize(
    "message", [Outbound(text="x" * 4097), Outbound(text="  \n"), Outbound(kind="hologram", text="x")]
)
def test_what_whatsapp_cannot_carry_is_refused_here(
    provider: WhatsAppProvider, whatsapp: WhatsApp, message: Outbound
) -> None:
    error = refused(whatsapp, Outbound(kind=message.kind, text=message.text, to=BY_NUMBER))
    assert (error.uncertain, error.failure.permanent) == (False, True)
    assert provider.messages == provider.refused == []


def test_template_with_numbers_goes_in_their_order(provider: WhatsAppProvider, whatsapp: WhatsApp) -> None:
    call = TemplateCall("order_on_its_way", "de", {"2": "A-4711", "1": "Asha"})
    whatsapp.send(Outbound(kind="template", text="Hallo", template=call, to=BY_NUMBER))
    (taken,) = provider.messages
    assert taken.template == {
        "name": "order_on_its_way",
        "language": {"code": "de"},
        "components": [
            {
                "type": "body",
                "parameters": [{"type": "text", "text": "Asha"}, {"type": "text", "text": "A-4711"}],
            }
        ],
    }


def test_template_with_names_says_them(provider: WhatsAppProvider, whatsapp: WhatsApp) -> None:
    whatsapp.send(Outbound(template=TemplateCall("talk_again", "en", {"first_name": "Asha"}), to=BY_NUMBER))
    (parameter,) = provider.messages[0].template["components"][0]["parameters"]
    assert parameter == {"type": "text", "parameter_name": "first_name", "text": "Asha"}


def test_template_without_parameters_has_no_components(
    provider: WhatsAppProvider, whatsapp: WhatsApp
) -> None:
    provider.templates.append(template("hello", "Hello"))
    whatsapp.send(Outbound(template=TemplateCall("hello", "en"), to=BY_NUMBER))
    assert "components" not in provider.messages[0].template


def test_parameters_of_header_and_button_have_their_own_place() -> None:
    call = TemplateCall(
        "t", "en", {"1": "b1", "header.1": "h1", "button.0": "A-1", "2": "b2", "button.1": "B-1"}
    )
    components = request_body(Outbound(template=call, to=BY_NUMBER))["template"]["components"]
    text = [[parameter["text"] for parameter in part["parameters"]] for part in components]
    assert [(part["type"], part.get("index")) for part in components] == [
        ("body", None),
        ("button", "0"),
        ("button", "1"),
        ("header", None),
    ]
    assert text == [["b1", "b2"], ["A-1"], ["B-1"], ["h1"]]


def test_picture_in_a_header_is_a_link() -> None:
    call = TemplateCall("t", "en", {"header.image": "https://shop.example.com/desk.jpg"})
    (part,) = request_body(Outbound(template=call, to=BY_NUMBER))["template"]["components"]
    assert part["parameters"] == [{"type": "image", "image": {"link": "https://shop.example.com/desk.jpg"}}]


# ── What comes back ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (TemplateCall("order_on_its_way", "en", {"1": "Asha"}), "132000"),
        (TemplateCall("talk_again", "en", {"name": "Asha"}), "132000"),
        (TemplateCall("order_on_its_way", "fr", {"1": "Asha", "2": "A-1"}), "132001"),
        (TemplateCall("spring_sale", "en", {"1": "Asha"}), "132001"),  # rejected
        (TemplateCall("how_was_it", "en", {"1": "Asha"}), "132015"),  # paused
        (TemplateCall("order_on_its_way", "en", {"1": "Asha\nRao", "2": "A-1"}), "132018"),
    ],
)
def test_refused_template_says_why(
    provider: WhatsAppProvider, whatsapp: WhatsApp, call: TemplateCall, code: str
) -> None:
    error = refused(whatsapp, Outbound(template=call, to=BY_NUMBER))
    assert (error.failure.code, error.failure.permanent, error.uncertain) == (code, True, False)
    assert provider.messages == []


def test_busy_number_is_tried_later(provider: WhatsAppProvider, whatsapp: WhatsApp) -> None:
    provider.answer_next(Answer(status=429, code=130429, retry_after="7"))
    error = refused(whatsapp, Outbound(text="x", to=BY_NUMBER))
    assert (error.failure.code, error.failure.permanent, error.uncertain) == ("130429", False, False)
    assert error.failure.retry_after == timedelta(seconds=7)


def test_pair_limit_waits_by_the_table(provider: WhatsAppProvider, whatsapp: WhatsApp) -> None:
    provider.answer_next(Answer(status=400, code=131056))
    assert refused(whatsapp, Outbound(text="x", to=BY_NUMBER)).failure.retry_after == timedelta(seconds=6)


def test_retry_after_may_be_a_date(provider: WhatsAppProvider, whatsapp: WhatsApp) -> None:
    with clock.held() as held:
        held.set(clock.now().replace(microsecond=0))
        when = format_datetime(clock.now() + timedelta(minutes=5), usegmt=True)
        provider.answer_next(Answer(status=503, html="<h1>Busy</h1>", retry_after=when))
        error = refused(whatsapp, Outbound(text="x", to=BY_NUMBER))
    assert (error.uncertain, error.failure.permanent) == (False, False)
    assert error.failure.retry_after == timedelta(minutes=5)


@pytest.mark.parametrize("given", ["soon", "-3", "99999999999999999999", "٣"])
def test_absurd_retry_after_is_bounded(provider: WhatsAppProvider, whatsapp: WhatsApp, given: str) -> None:
    provider.answer_next(Answer(status=429, code=130429, retry_after=given.encode().decode("latin-1")))
    waits = refused(whatsapp, Outbound(text="x", to=BY_NUMBER)).failure.retry_after
    assert waits is not None
    assert timedelta() <= waits <= timedelta(hours=24)


def test_closed_window_is_said_at_once_or_later(provider: WhatsAppProvider, whatsapp: WhatsApp) -> None:
    provider.answer_next(Answer(status=400, code=131047))
    assert refused(whatsapp, Outbound(text="x", to=BY_NUMBER)).failure.closes_window


@pytest.mark.parametrize(("status", "code"), [(401, 190), (401, 0), (403, 10), (400, 131042)])
def test_trouble_of_the_whole_number_pauses_it(
    provider: WhatsAppProvider, whatsapp: WhatsApp, status: int, code: int
) -> None:
    provider.answer_next(Answer(status=status, code=code, details="Expired"))
    error = refused(whatsapp, Outbound(text="x", to=BY_NUMBER))
    assert (error.failure.pauses_deployment, error.uncertain) == (True, False)


def test_wrong_token_pauses_and_is_not_shown(provider: WhatsAppProvider) -> None:
    channel = configured(provider, access_token=f"{TOKEN}-old")
    assert refused(channel, Outbound(text="x", to=BY_NUMBER)).failure.pauses_deployment
    channel.close()


def test_token_that_whatsapp_repeats_is_hidden(provider: WhatsAppProvider, whatsapp: WhatsApp) -> None:
    provider.answer_next(Answer(status=400, code=100, details=f"Malformed access token {TOKEN}"))
    assert "Malformed access token …" in str(refused(whatsapp, Outbound(text="x", to=BY_NUMBER)))


def test_error_of_tomorrow_ends_the_message_in_its_own_words(
    provider: WhatsAppProvider, whatsapp: WhatsApp
) -> None:
    provider.answer_next(Answer(status=400, code=139999, details="The moon was in the way"))
    error = refused(whatsapp, Outbound(text="x", to=BY_NUMBER))
    assert (error.failure.permanent, error.uncertain) == (True, False)
    assert "The moon was in the way" in str(error)


def test_fault_at_whatsapp_that_it_admits_is_tried_again(
    provider: WhatsAppProvider, whatsapp: WhatsApp
) -> None:
    provider.answer_next(Answer(status=500, code=131000), Answer(status=500, code=139999))
    for _ in range(2):
        error = refused(whatsapp, Outbound(text="x", to=BY_NUMBER))
        assert (error.failure.permanent, error.uncertain) == (False, False)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=502, html="<html><h1>502 Bad Gateway</h1></html>"),
        Answer(status=504, html="<html>"),
        Answer(status=503, html="<html>"),
        Answer(status=200, html="<html>Log in to this network</html>"),
        Answer(wait=1.5),
        Answer(lost=True),
    ],
)
def test_what_nobody_knows_is_uncertain(
    provider: WhatsAppProvider, whatsapp: WhatsApp, answer: Answer
) -> None:
    provider.answer_next(answer)
    assert refused(whatsapp, Outbound(text="x", to=BY_NUMBER)).uncertain


def test_lost_answer_had_its_effect(provider: WhatsAppProvider, whatsapp: WhatsApp) -> None:
    provider.answer_next(Answer(lost=True))
    refused(whatsapp, Outbound(text="once", to=BY_NUMBER))
    assert provider.texts == ["once"]


@pytest.mark.parametrize("status", [408, 429])
def test_gateway_that_asks_to_wait_is_obeyed(
    provider: WhatsAppProvider, whatsapp: WhatsApp, status: int
) -> None:
    provider.answer_next(Answer(status=status, html="<html>"))
    error = refused(whatsapp, Outbound(text="x", to=BY_NUMBER))
    assert (error.uncertain, error.failure.permanent) == (False, False)


@pytest.mark.parametrize("status", [302, 404, 418])
def test_other_refusals_without_words_end_the_message(
    provider: WhatsAppProvider, whatsapp: WhatsApp, status: int
) -> None:
    provider.answer_next(Answer(status=status, html="<html>"))
    error = refused(whatsapp, Outbound(text="x", to=BY_NUMBER))
    assert (error.uncertain, error.failure.permanent) == (False, True)


def test_nobody_there_means_not_sent(provider: WhatsAppProvider) -> None:
    channel = configured(provider, base_url="http://127.0.0.1:9")
    error = refused(channel, Outbound(text="x", to=BY_NUMBER))
    assert (error.uncertain, error.failure.permanent) == (False, False)
    assert "cannot be reached" in str(error)
    channel.close()


# ── Check and templates ─────────────────────────────────────────────────────────────────────────────────────


def test_check_names_the_place(whatsapp: WhatsApp) -> None:
    health = whatsapp.check()
    assert health.ok
    assert health.place == "+1 555-010-0000 · Lumen & Oak"
    assert health.account == whatsapp.config.phone_number_id


@pytest.mark.parametrize(
    "changes", [{"access_token": "other"}, {"phone_number_id": "1"}, {"base_url": "http://127.0.0.1:9"}]
)
def test_check_says_what_is_wrong(provider: WhatsAppProvider, changes: dict[str, str]) -> None:
    channel = configured(provider, **changes)
    health = channel.check()
    assert not health.ok
    assert health.detail.endswith(".")
    channel.close()


def test_templates_of_all_pages_approved_or_not(provider: WhatsAppProvider, whatsapp: WhatsApp) -> None:
    provider.templates += [template(f"t{number}", "Hello {{1}}") for number in range(240)]
    found = whatsapp.templates()
    assert len(found) == 240 + len(TEMPLATES)
    assert len({(row.name, row.language) for row in found}) == len(found)
    assert {row.status for row in found} == {"approved", "rejected", "paused"}


def test_template_says_what_it_asks_for(provider: WhatsAppProvider, whatsapp: WhatsApp) -> None:
    found = {(row.name, row.language): row for row in whatsapp.templates()}
    stock = found["back_in_stock_v3", "en"]
    assert (stock.header, stock.footer, stock.category) == (
        "It is back",
        "Reply STOP to opt out",
        "marketing",
    )
    assert stock.buttons == ("Hold one for me", "Not now")
    assert stock.parameters == ("1", "2")
    assert found["talk_again", "en"].parameters == ("first_name",)


def test_template_that_cannot_be_filled_is_not_offered(
    provider: WhatsAppProvider, whatsapp: WhatsApp
) -> None:
    def with_parts(name: str, *parts: dict[str, Any]) -> dict[str, Any]:
        return {
            **template(name, "Hello {{1}}"),
            "components": [{"type": "BODY", "text": "Hello {{1}}"}, *parts],
        }

    link = {"type": "URL", "text": "Track", "url": "https://shop.example.com/{{1}}"}
    provider.templates[:] = [
        with_parts("picture", {"type": "HEADER", "format": "IMAGE"}),
        with_parts("heading", {"type": "HEADER", "format": "TEXT", "text": "For {{1}}"}),
        with_parts("track", {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Ok"}, link]}),
        with_parts("place", {"type": "HEADER", "format": "LOCATION"}),
        with_parts("code", {"type": "BUTTONS", "buttons": [{"type": "OTP", "text": "Copy"}]}),
        with_parts("cards", {"type": "CAROUSEL", "cards": []}),
    ]
    found = {row.name: (row.status, row.parameters) for row in whatsapp.templates()}
    assert found == {
        "picture": ("approved", ("header.image", "1")),
        "heading": ("approved", ("header.1", "1")),
        "track": ("approved", ("1", "button.1")),
        "place": ("unsupported", ("1",)),
        "code": ("unsupported", ("1",)),
        "cards": ("unsupported", ("1",)),
    }


def test_list_of_templates_that_does_not_come_raises(provider: WhatsAppProvider, whatsapp: WhatsApp) -> None:
    provider.answer_next(Answer(status=502, html="<html>"))
    with pytest.raises(SendError):
        whatsapp.templates()


# ── Configuration ───────────────────────────────────────────────────────────────────────────────────────────


def test_pasted_blanks_are_taken_off(provider: WhatsAppProvider) -> None:
    channel = configured(
        provider, access_token=f" {TOKEN}\n", phone_number_id=" 106 ", base_url="https://x.test/"
    )
    assert channel.config.access_token.get_secret_value() == TOKEN
    assert (channel.config.phone_number_id, channel.config.base_url) == ("106", "https://x.test")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "http://graph.facebook.com"),
        ("base_url", "http://127.0.0.1.evil.test"),
        ("base_url", "graph.facebook.com"),
        ("base_url", "https://x.test/?token=1"),
        ("api_version", "23"),
        ("api_version", "v23.0/../.."),
        ("phone_number_id", "  "),
        ("access_token", "two words"),
        ("access_token", ""),
        ("app_secret", "geheimnüs"),
        ("verify_token", ""),
    ],
)
def test_config_that_would_fail_or_leak_is_refused(
    provider: WhatsAppProvider, field: str, value: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        configured(provider, **{field: value})
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]
    assert "two words" not in str(caught.value)
