"""WhatsApp: what is read of its webhooks, and what proves that they are its own."""

import copy
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.whatsapp import WhatsApp
from channels.whatsapp.errors import MEANINGS, failure
from core import (
    Alias,
    AliasesChanged,
    Author,
    AuthorKind,
    Delivery,
    Echoed,
    Event,
    Noted,
    ReachKind,
    Received,
    StatusChanged,
    VerificationError,
    Webhook,
)

PAYLOADS = Path(__file__).parent / "payloads" / "whatsapp"
FIXTURES = sorted(path.stem for path in PAYLOADS.glob("*.json"))
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ASHA = (Alias("bsuid", "IN.4401122334455667"), Alias("wa_id", "919900112233"))
JULIAN = (Alias("bsuid", "CO.1047000000000001"), Alias("username", "julian.oak"))
CONFIG = {
    "phone_number_id": "106000000000001",
    "waba_id": "102000000000001",
    "access_token": "token-0001",
    "app_secret": "s3cret",
    "verify_token": "wörds of ours",
}


def fixture(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))


def channel() -> WhatsApp:
    return WhatsApp(WhatsApp.Config(**CONFIG), account="106000000000001", key="k")


def webhook(body: bytes, **headers: str) -> Webhook:
    return Webhook("POST", headers, {}, body, NOW)


def events(payload: Any) -> list[Event]:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return list(channel().parse(webhook(body)))


def only(name: str) -> Any:
    (event,) = events(fixture(name))
    return event


# ── Messages of users ───────────────────────────────────────────────────────────────────────────────────────

MESSAGES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "text": ("text", "Is the walnut desk in stock?", {}),
    "text_empty": ("text", "", {}),
    "text_reply": ("text", "Yes, the second one", {}),
    "text_forwarded": ("text", "Look at this", {"forwarded": "once"}),
    "text_forwarded_often": ("text", "Send this to ten friends", {"forwarded": "often"}),
    "text_about_product": (
        "text",
        "Does it come in oak?",
        {"product": {"catalog_id": "770001", "id": "desk-140"}},
    ),
    "text_without_frame": ("text", "No frame at all", {}),
    "image": ("image", "Our room", {"id": "5500002", "mime_type": "image/jpeg", "caption": "Our room"}),
    "video": ("video", "Video", {"id": "5500003"}),
    "audio": ("audio", "Audio", {"id": "5500004"}),
    "voice": ("voice", "Voice message", {"mime_type": "audio/ogg; codecs=opus"}),
    "document": ("file", "The plan", {"filename": "Größe é final", "sha256": "YWJn"}),
    "sticker": ("sticker", "Sticker", {"animated": True}),
    "location": ("location", "J-block, Saket, Delhi 110017", {"latitude": "28.5244", "longitude": "77.2066"}),
    "location_bare": ("location", "-33.9, 18", {"latitude": "-33.9", "longitude": "18"}),
    "contacts_on_request": (
        "contacts",
        "Asha Rao",
        {
            "contacts": [
                {
                    "name": "Asha Rao",
                    "phones": [{"number": "+91 99001 12233", "wa_id": "919900112233"}],
                    "origin": "contact_request",
                    "vcard": "BEGIN:VCARD\nVERSION:3.0\nFN:Asha Rao\nEND:VCARD",
                }
            ]
        },
    ),
    "button": ("picked", "Hold one for me", {"source": "template", "id": "hold:desk-140"}),
    "button_without_context": ("picked", "Not now", {"source": "template", "id": "no"}),
    "interactive_button": ("picked", "Home", {"source": "button", "id": "home", "title": "Home"}),
    "interactive_list": ("picked", "Tuesday", {"source": "list", "id": "slot-2", "description": "9 to 12"}),
    "interactive_flow": (
        "picked",
        "Sent · width: 140, wood: walnut",
        {"source": "flow", "answers": {"flow_token": "t1", "width": "140", "wood": "walnut"}},
    ),
    "interactive_flow_broken": ("picked", "Sent", {"source": "flow", "response": '{"width":'}),
    "interactive_of_tomorrow": (
        "unknown",
        "Message of type interactive in a form that Parley does not show",
        {"type": "interactive"},
    ),
    "reaction": ("reaction", "👍🏽", {"emoji": "👍🏽", "message_id": "wamid.out.001", "removed": False}),
    "reaction_removed": ("reaction", "Reaction removed", {"emoji": "", "removed": True}),
    "reaction_removed_bare": ("reaction", "Reaction removed", {"emoji": "", "removed": True}),
    "order": (
        "order",
        "Order: 1 × desk-140, 2 × lamp · Before Friday",
        {
            "items": [
                {"product": "desk-140", "quantity": "1", "price": "39900", "currency": "INR"},
                {"product": "lamp", "quantity": "2", "price": "1490.5", "currency": "INR"},
            ]
        },
    ),
    "edit": ("edited", "Is the oak desk in stock?", {"original_id": "wamid.in.001", "kind": "text"}),
    "edit_caption": ("edited", "Our living room", {"original_id": "wamid.in.013", "kind": "image"}),
    "revoke": ("deleted", "Message deleted", {"original_id": "wamid.in.001"}),
    "request_welcome": ("system", "Opened the chat", {"event": "request_welcome"}),
    "unsupported": ("unknown", "Message that WhatsApp does not pass on", {"type": "unsupported"}),
    "unsupported_poll": (
        "unknown",
        "Message of a type that Parley does not show: poll_creation",
        {"hint": "poll_creation"},
    ),
    "unsupported_with_text": ("unknown", "A text all the same", {}),
    "type_of_tomorrow": ("unknown", "Message of a type that Parley does not show: hologram", {}),
    "media_failed": ("unknown", "Message of type image that came without its content", {"type": "image"}),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_message_is_read_as_what_it_is(name: str) -> None:
    kind, text, payload = MESSAGES[name]
    event = only(name)
    assert isinstance(event, Received)
    assert (event.kind, event.text) == (kind, text)
    assert {key: event.payload.get(key) for key in payload} == payload
    assert event.aliases == ASHA
    assert event.profile.name == "Asha Rao"
    assert event.profile.phone == "+919900112233"


def test_time_of_a_message_is_the_providers() -> None:
    assert only("text").at == datetime.fromtimestamp(1780000060, UTC)
    assert only("text_without_scoped_id").at == datetime.fromtimestamp(
        1780000000, UTC
    )  # a number in place of text


@pytest.mark.parametrize(
    "absurd", [None, "", "soon", "0", "-5", "99999999999999999999", 1e300, True, [], "1980000000", "NaN"]
)
def test_absurd_time_is_that_of_the_receipt(absurd: Any) -> None:
    payload = fixture("text")
    payload["entry"][0]["changes"][0]["value"]["messages"][0]["timestamp"] = absurd
    assert events(payload)[0].at == NOW


def test_unknown_message_keeps_its_raw_form() -> None:
    event = only("type_of_tomorrow")
    assert event.payload["raw"]["hologram"] == {"id": "h1", "depth": 3}


def test_contacts_keep_what_their_cards_say() -> None:
    event = only("contacts")
    assert event.text == "Ravi Menon, Lena Ek"
    ravi, lena = event.payload["contacts"]
    assert ravi == {
        "name": "Ravi Menon",
        "phones": [{"number": "+91 99001 12244", "wa_id": "919900112244", "type": "cell"}],
        "emails": ["ravi@example.com"],
        "urls": ["https://menon.example"],
        "addresses": ["1 MG Road, Bengaluru, India"],
        "organisation": "Owner, Menon Interiors",
        "birthday": "1980-02-29",
    }
    assert lena == {"name": "Lena Ek", "phones": [{"number": "+46 70 000 00 00"}]}


@pytest.mark.parametrize(
    ("name", "answered"),
    [
        ("text_reply", "wamid.out.001"),
        ("interactive_button", "wamid.out.004"),
        ("reaction", "wamid.out.001"),
        ("edit", "wamid.in.001"),
        ("revoke", "wamid.in.001"),
        ("text", None),
    ],
)
def test_message_names_the_one_it_is_about(name: str, answered: str | None) -> None:
    assert only(name).reply_to == answered


def test_only_an_act_of_writing_resets_the_window() -> None:
    # PRODUCT: edits, deletions, system notices and echoes do not reset it
    received = [event for name in FIXTURES for event in events(fixture(name)) if isinstance(event, Received)]
    silent = {event.kind for event in received if not event.resets_window}
    assert silent == {"edited", "deleted", "system", "reaction", "unknown"}
    assert [event.text for event in received if not event.resets_window and event.kind == "reaction"] == [
        "Reaction removed",
        "Reaction removed",
    ]
    assert [
        event.payload["hint"] for event in received if not event.resets_window and event.kind == "unknown"
    ] == ["edit"]


def test_error_of_a_change_is_kept_and_explains_the_message_without_content() -> None:
    message, error = events(fixture("interactive_missing"))
    assert message.kind == "unknown"
    assert message.payload["errors"][0]["code"] == "131000"
    assert isinstance(error, Noted)
    assert error.label == "Error 131000: Something went wrong"


def test_ad_that_brought_the_user_is_footprint_and_payload() -> None:
    event = only("text_from_ad")
    assert event.footprint == {
        "source": "ad",
        "source_id": "120210000000001",
        "headline": "Oak that lasts",
        "body": "Desks made to measure",
        "source_url": "https://fb.me/4Sample",
        "ctwa_clid": "ARsampleclickid",
        "media_type": "image",
        "media_url": "https://scontent.example/desk.jpg",
        "welcome": "Ask us anything",
    }
    assert event.payload["referral"] == event.footprint
    assert event.footprint.keys() <= WhatsApp.Footprint.model_fields.keys()
    rows = dict(channel().footprint_card(event.footprint))
    assert rows["Came from"] == "ad"
    assert rows["Ad or post id"] == "120210000000001"


def test_post_brings_a_picture_too() -> None:
    event = only("image_from_post")
    assert (event.kind, event.footprint["source"], event.footprint["headline"]) == (
        "image",
        "post",
        "New in the showroom",
    )
    assert only("text").footprint == {}


# ── Who it is ───────────────────────────────────────────────────────────────────────────────────────────────


def test_user_without_a_number_is_known_by_the_scoped_id() -> None:
    event = only("text_without_number")
    assert event.aliases == JULIAN
    assert (event.profile.name, event.profile.phone, event.profile.username) == ("Julián", "", "julian.oak")


def test_user_without_a_scoped_id_is_known_by_the_number() -> None:
    assert only("text_without_scoped_id").aliases == (Alias("wa_id", "972500000001"),)


def test_parent_id_stands_between() -> None:
    assert [alias.kind for alias in only("text_parent_id").aliases] == ["bsuid", "parent_bsuid", "wa_id"]


def test_a_channel_declares_its_aliases_strongest_first() -> None:
    assert list(WhatsApp.alias_labels) == ["bsuid", "parent_bsuid", "wa_id", "username"]


def test_contact_of_another_lends_no_id() -> None:
    payload = fixture("batch")
    first = payload["entry"][0]["changes"][0]["value"]
    first["contacts"].pop()  # Bo wrote as well, but only Asha is described
    asha, bo, *_ = events(payload)
    assert asha.aliases == ASHA
    assert bo.aliases == (Alias("bsuid", "SE.3300000000000001"), Alias("wa_id", "46700000001"))
    assert bo.profile.name == ""


def test_only_contact_stands_for_a_number_written_in_another_way() -> None:
    payload = fixture("text_without_scoped_id")
    value = payload["entry"][0]["changes"][0]["value"]
    value["contacts"][0]["wa_id"], value["messages"][0]["from"] = "5215512345678", "525512345678"
    (event,) = events(payload)
    assert event.aliases == (Alias("wa_id", "5215512345678"),)
    assert event.profile.phone == "+525512345678"  # the old mobile prefix of Mexico is no part of the number


def test_scoped_id_in_place_of_a_number_is_seen() -> None:
    payload = fixture("text_without_number")
    message = payload["entry"][0]["changes"][0]["value"]["messages"][0]
    message["from"] = message.pop("from_user_id")
    assert events(payload)[0].aliases == JULIAN


def test_message_without_a_sender_is_noted() -> None:
    payload = fixture("text")
    value = payload["entry"][0]["changes"][0]["value"]
    del value["messages"][0]["from"], value["messages"][0]["from_user_id"], value["contacts"]
    (event,) = events(payload)
    assert isinstance(event, Noted)
    assert event.label == "Message without a sender"
    assert event.raw["text"] == {"body": "Is the walnut desk in stock?"}


OLD, NEW = Alias("bsuid", "IN.4401122334455667"), Alias("bsuid", "IN.5500000000000001")
OLD_NUMBER, NEW_NUMBER = Alias("wa_id", "919900112233"), Alias("wa_id", "919900112299")


@pytest.mark.parametrize(
    ("name", "before", "after", "ended"),
    [
        ("number_changed", (OLD, OLD_NUMBER), (NEW, NEW_NUMBER), ("parent_bsuid",)),
        ("number_changed_as_before_2026", (OLD_NUMBER,), (NEW_NUMBER,), ("bsuid", "parent_bsuid")),
        ("user_id_changed", (OLD,), (NEW,), ("parent_bsuid", "wa_id")),  # the new number is hidden
        ("user_id_changed_in_words", (OLD,), (NEW,), ("parent_bsuid", "wa_id")),
        ("user_id_update", (OLD, NEW_NUMBER), (NEW,), ("parent_bsuid",)),
    ],
)
def test_new_number_or_id_ends_the_old_ones(name: str, before: Any, after: Any, ended: Any) -> None:
    event = only(name)
    assert isinstance(event, AliasesChanged)
    assert (event.before, event.after, event.ended) == (before, after, ended)


def test_identity_notice_is_a_system_entry() -> None:
    event = only("identity_changed")
    assert (event.kind, event.payload["event"], event.payload["acknowledged"], event.resets_window) == (
        "system",
        "customer_identity_changed",
        True,
        False,
    )


# ── Echoes, statuses, and the rest ──────────────────────────────────────────────────────────────────────────


def test_echo_is_a_colleagues_message_to_the_user() -> None:
    event = only("echo")
    assert isinstance(event, Echoed)
    assert (event.id, event.text, event.aliases) == ("wamid.echo.001", "I will call you at five", ASHA)


def test_echo_without_contacts_knows_the_user_by_number() -> None:
    event = only("echo_without_contacts")
    assert isinstance(event, Echoed)
    assert (event.kind, event.aliases) == ("image", (Alias("wa_id", "919900112233"),))
    template = only("echo_template")
    assert template.payload["template"] == {"name": "back_in_stock_v3", "language": "en"}


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("status_sent", Delivery.SENT),
        ("status_delivered", Delivery.DELIVERED),
        ("status_read", Delivery.READ),
        ("status_played", Delivery.READ),
        ("status_failed_window", Delivery.FAILED),
        ("status_warning", None),
        ("status_deleted", None),
    ],
)
def test_status_words(name: str, status: Delivery | None) -> None:
    event = only(name)
    assert isinstance(event, StatusChanged)
    assert (event.id, event.status) == ("wamid.out.001", status)
    assert event.word in name


def test_status_brings_our_own_reference_back() -> None:
    assert only("status_sent").ref == "17"


def test_status_without_a_number_names_the_user_by_scoped_id() -> None:
    assert only("status_without_number").aliases == JULIAN


def test_window_error_closes_the_window() -> None:
    failed = only("status_failed_window").failure
    assert failed is not None
    assert (failed.code, failed.closes_window, failed.permanent) == ("131047", True, True)
    assert "24 h" in failed.reason


def test_stopped_marketing_is_an_opt_out() -> None:
    assert only("status_failed_opt_out").failure.opts_out


def test_unknown_error_keeps_the_providers_words() -> None:
    failed = only("status_failed_unknown").failure
    assert (failed.code, failed.reason) == ("139999", "A fault of tomorrow: The moon was in the way.")


@pytest.mark.parametrize("code", [0, 3, 10, 190, 200, 299, 368, 131031, 131042])
def test_errors_that_stop_the_whole_number(code: int) -> None:
    assert failure({"code": code}).pauses_deployment


@pytest.mark.parametrize("code", [1, 2, 4, 80007, 130429, 131000, 131016, 131056, 131057])
def test_errors_that_pass(code: int) -> None:
    found = failure({"code": code})
    assert not found.permanent
    assert found.retry_after is not None


@pytest.mark.parametrize("code", [130472, 131021, 131026, 131030, 131049, 131051, 131062, 132000, 132015])
def test_errors_that_end_one_message(code: int) -> None:
    found = failure({"code": str(code)})
    assert found.permanent
    assert not found.pauses_deployment


def test_error_table_speaks_in_sentences() -> None:
    for code in MEANINGS:
        said = failure({"code": code}).reason
        assert said.endswith(".")
        assert said[0].isupper()


def test_every_part_of_a_batch_is_read_and_routed() -> None:
    found = events(fixture("batch"))
    messages = [(event.text, event.account) for event in found if isinstance(event, Received)]
    assert messages == [
        ("first", "106000000000001"),
        ("second", "106000000000001"),
        ("third, to the other number", "106000000000002"),
        ("fourth, to another account", "106000000000003"),
    ]
    statuses = [(event.id, event.status) for event in found if isinstance(event, StatusChanged)]
    assert statuses == [("wamid.out.001", Delivery.DELIVERED), ("wamid.out.002", Delivery.READ)]
    assert [event.label for event in found if isinstance(event, Noted)] == [
        "Error 131000: Something went wrong"
    ]


def test_account_is_unknown_without_metadata() -> None:
    assert only("text_without_frame").account is None


@pytest.mark.parametrize(
    ("name", "label", "aliases"),
    [
        ("account_update", "Account update: account restriction", ()),
        ("template_status", "Message template status update: approved", ()),
        ("number_quality", "Phone number quality update: flagged", ()),
        ("preference_stop", "Stopped marketing messages", ASHA),
        ("preference_resume", "Resumed marketing messages", ASHA),
        ("call", "Calls", ASHA),
        ("history", "History", ()),
        ("standby", "Standby", ASHA),
        ("group_created", "Group lifecycle update", ()),
        ("message_in_group", "Message in a group", ()),
        ("status_in_group", "Status of a message in a group: read", ()),
        ("status_without_id", "Status of a message that it does not name: read", ()),
        ("field_of_tomorrow", "Weather update", ()),
        ("errors", "Error 130429: Rate limit hit", ()),
    ],
)
def test_what_is_no_message_is_noted(name: str, label: str, aliases: Any) -> None:
    event = only(name)
    assert isinstance(event, Noted)
    assert (event.label, event.aliases) == (label, aliases)
    assert event.raw


def test_every_fixture_is_in_some_table_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in FIXTURES if f'"{name}"' not in source and name != "unsupported_edit"] == []


# ── Bodies that nobody should send ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'"text"',
        b"12",
        b"null",
        b'{"entry": "\x00"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"entry": [' + b"[" * 50_000 + b"]" * 50_000 + b"]}",
        b"1" * 10_000,
    ],
)
def test_unreadable_body_raises_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        events(body)


def test_edits_of_edits_do_not_overflow() -> None:
    inner: dict[str, Any] = {"type": "text", "text": {"body": "x"}}
    for _ in range(150):
        inner = {"type": "edit", "edit": {"original_message_id": "a", "message": inner}}
    payload = fixture("edit")
    payload["entry"][0]["changes"][0]["value"]["messages"][0]["edit"]["message"] = inner
    assert events(payload)[0].kind == "unknown"


def test_numbers_that_json_does_not_know_are_let_through() -> None:
    body = json.dumps(fixture("location")).replace("28.5244", "NaN").replace("77.2066", "Infinity").encode()
    (event,) = events(body)
    assert event.text == "J-block, Saket, Delhi 110017"


def test_keys_written_twice_lose_no_message() -> None:
    body = json.dumps(fixture("text")).encode()
    more = (
        b'"messages": [{"from": "1555", "id": "m2", "type": "text", "text": {"body": "also"}}], "messages":'
    )
    found = events(body.replace(b'"messages":', more, 1))
    assert [event.text for event in found if isinstance(event, Received)] == [
        "also",
        "Is the walnut desk in stock?",
    ]


def test_escaped_nul_and_lone_surrogates_are_read() -> None:
    payload = fixture("text")
    payload["entry"][0]["changes"][0]["value"]["messages"][0]["text"]["body"] = "a\x00b\ud83d"
    assert events(payload)[0].text == "a\x00b\ud83d"  # core replaces them where it stores


def test_entries_of_another_product_are_kept() -> None:
    page = {"object": "page", "entry": [{"id": "1", "messaging": [{"message": {"text": "hi"}}]}]}
    (event,) = events(page)
    assert isinstance(event, Noted)
    assert event.raw["messaging"]


def test_sample_of_the_dashboard_is_read() -> None:
    change = fixture("text")["entry"][0]["changes"][0]
    assert events(change)[0].text == "Is the walnut desk in stock?"


OTHERS: tuple[Any, ...] = (None, "", "x", 0, -1, 1.5, True, [], {}, [[]], [{}], {"a": 1}, "9" * 500)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutants(payload: Any) -> Iterator[tuple[str, Any]]:
    """The payload with each key dropped in turn, and with each value replaced by one of another type."""
    for path in places(payload):
        for other in ("drop", *OTHERS):
            mutant = copy.deepcopy(payload)
            around = mutant
            for key in path[:-1]:
                around = around[key]
            if other == "drop":
                del around[path[-1]]
            else:
                around[path[-1]] = other
            yield f"{path} {other!r}"[:200], mutant


def said(value: Any) -> set[str]:
    """All texts in a JSON value."""
    if isinstance(value, dict):
        return {text for inner in value.values() for text in said(inner)}
    if isinstance(value, list | tuple):
        return {text for inner in value for text in said(inner)}
    return {value} if isinstance(value, str) else set()


def said_by_users_and_statuses(payload: Any) -> set[str]:
    """All texts of the body but those of the envelope, which events carry in other ways."""
    texts: set[str] = set()
    for entry in rows(payload, "entry"):
        for change in rows(entry, "changes"):
            value = change.get("value")
            for name, part in value.items() if isinstance(value, dict) else []:
                if name not in ("messaging_product", "metadata", "contacts"):
                    texts |= said(part)
    return texts


def rows(value: Any, name: str) -> list[dict[str, Any]]:
    listed = value.get(name)
    return [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []


@pytest.mark.parametrize("name", FIXTURES)
def test_no_mutation_raises_or_loses_anything(name: str) -> None:
    for what, mutant in mutants(fixture(name)):
        found = events(mutant)  # anything but events fails here
        assert found, what
        kept = {text for event in found for text in said(dict(event.raw))}
        assert said_by_users_and_statuses(mutant) <= kept, what


@pytest.mark.parametrize("name", [name for name in MESSAGES if name != "text_without_frame"])
def test_message_stays_a_message_without_any_one_of_its_keys(name: str) -> None:
    whole = fixture(name)
    for key in whole["entry"][0]["changes"][0]["value"]["messages"][0]:
        mutant = copy.deepcopy(whole)
        del mutant["entry"][0]["changes"][0]["value"]["messages"][0][key]
        (event,) = events(mutant)
        assert isinstance(event, Received), key
        assert event.aliases == ASHA, key


# ── Proof, and rules ────────────────────────────────────────────────────────────────────────────────────────


def signed(body: bytes, secret: str = "s3cret") -> str:
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def test_signature_over_the_raw_bytes_is_accepted() -> None:
    body = b'{"object": "whatsapp_business_account",   "entry": ["\\u00e9"]}'
    assert channel().verify(webhook(body, **{"x-hub-signature-256": signed(body)})) is None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "sha256=",
        "sha256=00",
        signed(b"other"),
        signed(b"{}", "other"),
        "sha256=é",
        "\udcff",
        "💥",
        signed(b"{}")[7:],
    ],
)
def test_other_signatures_are_refused(header: str) -> None:
    with pytest.raises(VerificationError):
        channel().verify(webhook(b"{}", **{"x-hub-signature-256": header}))


def test_request_without_a_signature_is_refused() -> None:
    with pytest.raises(VerificationError):
        channel().verify(webhook(b"{}"))


def handshake(**changes: str) -> Webhook:
    query = {"hub.mode": "subscribe", "hub.verify_token": "wörds of ours", "hub.challenge": "1158201444"}
    return Webhook("GET", {}, {**query, **changes}, b"", NOW)


def test_handshake_gives_the_challenge_back() -> None:
    reply = channel().verify(handshake())
    assert reply is not None
    assert (reply.status, reply.body) == (200, "1158201444")
    assert reply.content_type.startswith("text/plain")


@pytest.mark.parametrize(
    "changes",
    [
        {"hub.verify_token": "other"},
        {"hub.verify_token": ""},
        {"hub.mode": "unsubscribe"},
        {"hub.verify_token": "\udcff"},
    ],
)
def test_other_handshakes_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(VerificationError):
        channel().verify(handshake(**changes))


class Someone:
    """An identity, as the rule sees it."""

    window_closed_at = opted_out_at = blocked_at = unreachable = None

    def __init__(self, last_inbound: datetime | None) -> None:
        self.last_inbound = last_inbound


@pytest.mark.parametrize(
    ("wrote", "kind"),
    [
        (timedelta(hours=24, seconds=-1), ReachKind.FREE_FORM),
        (timedelta(hours=24), ReachKind.TEMPLATE_ONLY),  # exactly 24 h is closed
        (timedelta(days=30), ReachKind.TEMPLATE_ONLY),
        (None, ReachKind.TEMPLATE_ONLY),
    ],
)
def test_window_is_24_hours(wrote: timedelta | None, kind: ReachKind) -> None:  # C3
    identity = Someone(None if wrote is None else NOW - wrote)
    assert channel().reach(identity, Author(AuthorKind.AGENT), NOW).kind is kind
