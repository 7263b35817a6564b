"""The profile: who a user is, where they came from, when they last acted, and the one stream (U1-U4, U6)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask

from core import (
    Alias,
    Author,
    AuthorKind,
    Delivery,
    Failure,
    Outbound,
    Profile,
    conversation,
    handover,
    outbound,
)
from core.channel import Received
from core.clock import HeldClock
from core.db import database
from core.inbound import accept
from core.models import Deployment, Identity, IdentityAlias, Message, Session, User
from fake_channel import BOT, deploy, message_of, moment, says, status, user_of
from panel import PLUGINS as PANEL
from panel import Desk, attributes, employ, events, part, words
from visitors import deploy as put_widget

PLUGINS = (*PANEL, "channels.web", "channels.whatsapp")
FULL = Profile(
    name="Asha Rao", phone="+919876543210", email="asha@example.com", language="hi", timezone="Asia/Kolkata"
)


@pytest.fixture
def fake(app: Flask) -> Deployment:
    """A channel with a window of 24 hours."""
    return deploy()


@pytest.fixture
def desk(app: Flask) -> Desk:
    """An agent at a browser."""
    return Desk(app, employ("agent"))


@pytest.fixture
def noon(clock: HeldClock) -> HeldClock:
    """The clock at noon of 24 November 2026, a Tuesday."""
    clock.set(moment("12:00:00"))
    return clock


def column(desk: Desk, user: User, name: str, query: str = "") -> str:
    """Return the words of one column."""
    return part(desk.parts(f"/audience/{user.key}/parts{query}"), name)


def stream(desk: Desk, user: User, query: str = "") -> str:
    """Return the words of the stream."""
    return words(desk.parts(f"/audience/{user.key}/stream{query}"))


def say(deployment: Deployment, kind: str, text: str = "", **payload: Any) -> User:
    """Let Asha send a message of any kind."""
    return user_of(says(deployment, "asha", text, kind=kind, payload=payload))


# U1 Who is your user


def test_the_left_column_says_who_it_is(fake: Deployment, desk: Desk, noon: HeldClock) -> None:  # U1
    user = user_of(says(fake, "asha", profile=FULL))
    User.update(gender="Female").execute()
    said = column(desk, user, "who")
    assert "Asha Rao India · 17:30 local Open · 24h 0m left Bot" in said
    assert "Email asha@example.com Phone IN +91 98765 43210 Gender Female Language Hindi" in said


def test_what_is_not_known_is_said_to_be_not_known(fake: Deployment, desk: Desk) -> None:
    user = user_of(says(fake, "asha"))
    said = column(desk, user, "who")
    assert f"Visitor {user.key[:6]} Place not known" in said
    assert "Email Not known Phone Not known Gender Not known Language Not known" in said


def test_an_imported_person_has_a_profile(app: Flask, desk: Desk, noon: HeldClock) -> None:
    user = User.create(name="Imported Person", created=noon.now(), handler_since=noon.now())
    page = desk.get(f"/audience/{user.key}")
    assert page.status_code == 200
    assert "Imported. This person has never written." in words(page)
    assert "No identity on any channel yet." in words(page)
    assert "This user is on no channel yet, so nobody can write to them." in words(page)
    assert "No messages yet" in words(page)


# U3 Where did they come from


def test_every_identity_is_there_with_its_channel_its_place_and_its_aliases(
    fake: Deployment, desk: Desk, noon: HeldClock
) -> None:  # U3
    user = user_of(says(fake, "asha", aliases=(Alias("id", "asha-1"), Alias("phone", "919876543210"))))
    widget = put_widget("shop")
    Identity.create(user=user, deployment=widget, created=noon.now())
    IdentityAlias.create(
        deployment=widget,
        kind="visitor",
        value="v-77",
        identity=Identity.select().order_by(Identity.id.desc()).get(),
    )
    said = column(desk, user, "who")
    assert "2 identities Fake place of one Current Id asha-1 Phone 919876543210" in said
    assert "Web widget shop.example.com Visitor v-77" in said


def test_first_and_last_touch_are_shown_as_the_channel_names_them(
    app: Flask, desk: Desk, noon: HeldClock
) -> None:  # U3
    widget = put_widget("shop")

    def visits(page: str, text: str) -> User:
        event = Received(
            id=text,
            at=noon.now(),
            aliases=(Alias("visitor", "v1"),),
            text=text,
            footprint={"page": page, "utm_campaign": "desk-launch", "system": "Android 15"},
        )
        return user_of(accept(widget, event, noon.now()))

    visits("https://shop.example.com/desks?colour=oak", "one")
    noon.advance(days=1)
    user = visits("javascript:alert(1)", "two")
    said = column(desk, user, "who")
    assert "First touch · 1 d ago Page shop.example.com/desks?colour=oak UTM campaign desk-launch" in said
    assert "Last touch · now Page javascript:alert(1)" in said
    assert 'href="javascript' not in desk.get(f"/audience/{user.key}").text


# U4 When did they last interact


def test_the_last_interaction_is_the_users_own(fake: Deployment, desk: Desk, noon: HeldClock) -> None:  # U4
    accepted = says(fake, "asha")
    noon.advance(hours=20)
    outbound.send(accepted.identity_id, Outbound(text="our words"), BOT)
    said = column(desk, user_of(accepted), "who")
    assert "Last message 20 h ago Yesterday, 12:00. You can reply on Fake until today, 12:00." in said
    noon.advance(hours=4)
    said = column(desk, user_of(accepted), "who")
    assert "Last message 1 d ago Yesterday, 12:00. The window closed today, 12:00." in said


def test_the_ring_shows_the_share_that_is_left(fake: Deployment, desk: Desk, noon: HeldClock) -> None:
    user = user_of(says(fake, "asha"))
    noon.advance(hours=18)
    page = desk.get(f"/audience/{user.key}")
    assert 'stroke-dasharray="34.5 138.2"' in page.text  # a quarter
    assert attributes(page, "data-opened") == ["2026-11-24T12:00:00+00:00"]
    assert "2026-11-25T12:00:00+00:00" in attributes(page, "data-closes")


def test_a_channel_without_a_window_has_no_ring(app: Flask, desk: Desk) -> None:
    user = user_of(says(deploy("fake_open"), "asha"))
    assert "data-ring" not in desk.get(f"/audience/{user.key}").text


def test_sessions_are_listed_with_length_handlers_and_messages(
    fake: Deployment, desk: Desk, noon: HeldClock
) -> None:  # U4
    accepted = says(fake, "asha")
    noon.advance(minutes=14)
    outbound.send(accepted.identity_id, Outbound(text="hi"), BOT)
    noon.advance(days=2)
    says(fake, "asha")
    handover.claim(user_of(accepted).id, desk.operator)
    author = Author(AuthorKind.AGENT, "Maya Okonkwo", desk.operator.id)
    outbound.send(accepted.identity_id, Outbound(text="hi"), author)
    said = column(desk, user_of(accepted), "who")
    assert "Session #2 · under 1 min Maya Okonkwo · 2 messages Open" in said
    assert "Session #1 · 14 min Bot · 2 messages · expired 2 d ago" in said


def test_of_many_sessions_the_newest_are_listed(fake: Deployment, desk: Desk, noon: HeldClock) -> None:
    for _ in range(9):
        user = user_of(says(fake, "asha"))
        noon.advance(days=3)
    said = column(desk, user, "who")
    assert "Session #9" in said
    assert "Session #4" in said
    assert "Session #3" not in said
    assert "and 3 earlier" in said


# U6 Properties


def test_the_system_properties_are_shown_locked_with_the_reason(
    fake: Deployment, desk: Desk, noon: HeldClock
) -> None:  # U6
    user = user_of(says(fake, "asha", profile=FULL))
    page = desk.parts(f"/audience/{user.key}/parts")
    said = part(page, "props")
    assert "Country India" in said
    assert "Local time 17:30" in said
    assert "Messages received 1" in said
    assert "Parley computes this property, so nobody can edit it." in said
    assert page.text.count("Locked: Parley computes this property") >= 7


# U2 One stream


def test_the_stream_has_days_sessions_authors_and_system_events(
    fake: Deployment, desk: Desk, noon: HeldClock
) -> None:  # U2
    accepted = says(fake, "asha", "hello", profile=FULL)
    outbound.send(accepted.identity_id, Outbound(text="I am a bot"), BOT)
    noon.advance(days=2)
    says(fake, "asha", "again")
    handover.claim(user_of(accepted).id, desk.operator)
    author = Author(AuthorKind.AGENT, "Maya Okonkwo", desk.operator.id)
    outbound.send(accepted.identity_id, Outbound(text="I am Maya"), author)
    assert stream(desk, user_of(accepted)) == (
        "Tuesday, 24 November Session #1 · place of one · under 1 min Asha Rao 12:00 AR hello "
        "Robo 12:00 I am a bot Queued "
        "Today Session #2 · place of one · under 1 min Asha Rao 12:00 AR again "
        "Maya Okonkwo started the chat. The bot is paused. · 12:00 "
        "Maya Okonkwo 12:00 MO I am Maya Queued"
    )


def test_a_session_that_another_interrupts_is_announced_again(
    fake: Deployment, desk: Desk, noon: HeldClock
) -> None:
    accepted = says(fake, "asha", "one")
    user = user_of(accepted)
    other = deploy("fake_open", "two")
    identity = Identity.create(user=user, deployment=other, created=noon.now())
    IdentityAlias.create(deployment=other, kind="id", value="asha", identity=identity)
    noon.advance(minutes=1)
    says(other, "asha", "two")
    noon.advance(minutes=1)
    says(fake, "asha", "three")
    page = desk.parts(f"/audience/{user.key}/stream")
    dividers = [key for key in attributes(page, "data-id") if key.startswith("session-")]
    assert len(dividers) == len(set(dividers)) == 3
    said = words(page)
    assert said.index("Session #1") < said.index("Session #2") < said.rindex("Session #1")


def test_the_conversation_pages_upwards_through_ten_thousand_messages(
    fake: Deployment, desk: Desk, noon: HeldClock
) -> None:  # U2
    accepted = says(fake, "asha", "message 0")
    user = user_of(accepted)
    row = Message.select().dicts().get()
    copies = [
        {**row, "id": 100 + number, "provider_id": None, "text": f"message {number}"}
        for number in range(1, 10_000)
    ]
    with database.atomic():
        for start in range(0, len(copies), 500):
            Message.insert_many(copies[start : start + 500]).execute()
    with counted_queries() as ran:
        page = desk.get(f"/audience/{user.key}")
    assert "message 9999" in page.text
    assert page.text.count("<article") == 50
    assert len(ran) <= 16, "\n".join(one[:110] for one in ran)
    older = attributes(page, "data-older")[0]
    fragment = desk.parts(f"/audience/{user.key}/stream?before={older}")
    assert fragment.text.count("<article") == 50
    assert "message 9949" in fragment.text
    assert "message 9950<" not in fragment.text
    without_script = desk.get(f"/audience/{user.key}?before={older}")
    assert "message 9949" in without_script.text
    assert "Newest messages" in words(without_script)


def test_pages_join_without_a_gap_or_a_repetition(fake: Deployment, desk: Desk, noon: HeldClock) -> None:
    for number in range(120):
        noon.advance(seconds=number % 2)
        user = user_of(says(fake, "asha", f"message {number}."))
    page = desk.parts(f"/audience/{user.key}/stream")
    texts: list[str] = []
    while True:
        texts = [text for text in words(page).split() if text.endswith(".") and text[0].isdigit()] + texts
        older = attributes(page, "data-older")[0]
        if not older:
            break
        page = desk.parts(f"/audience/{user.key}/stream?before={older}")
    assert texts == [f"{number}." for number in range(120)]


def test_the_stream_is_read_downwards_too(fake: Deployment, desk: Desk, noon: HeldClock) -> None:
    accepted = says(fake, "asha", "first")
    place = conversation.place_of(conversation.page(user_of(accepted).id)[0])
    says(fake, "asha", "second")
    said = stream(desk, user_of(accepted), f"?after={place}")
    assert "second" in said
    assert "first" not in said


def test_author_and_channel_can_be_filtered(fake: Deployment, desk: Desk, noon: HeldClock) -> None:  # U2
    accepted = says(fake, "asha", "from the user")
    outbound.send(accepted.identity_id, Outbound(text="from the bot"), BOT)
    user = user_of(accepted)
    widget = put_widget("shop")
    identity = Identity.create(user=user, deployment=widget, created=noon.now())
    IdentityAlias.create(deployment=widget, kind="visitor", value="v", identity=identity)
    event = Received(id="9", at=noon.now(), aliases=(Alias("visitor", "v"),), text="from the web")
    accept(widget, event, noon.now())
    found = {
        query: [text for text in ("the user", "the bot", "the web") if text in stream(desk, user, query)]
        for query in (
            "",
            "?author=user",
            "?author=bot",
            "?author=agent",
            "?channel=web",
            "?channel=fake&author=user",
        )
    }
    assert found == {
        "": ["the user", "the bot", "the web"],
        "?author=user": ["the user", "the web"],
        "?author=bot": ["the bot"],
        "?author=agent": [],
        "?channel=web": ["the web"],
        "?channel=fake&author=user": ["the user"],
    }
    assert "Nothing under this filter" in stream(desk, user, "?channel=telegram")
    page = desk.get(f"/audience/{user.key}?author=user&channel=web")
    assert f"/audience/{user.key}?author=bot&channel=web" in attributes(page, "href")
    assert 'value="web" selected' in page.text


def test_every_delivery_state_has_its_words(fake: Deployment, desk: Desk, noon: HeldClock) -> None:  # U2
    accepted = says(fake, "asha")
    user = user_of(accepted)

    def sent(text: str) -> Message:
        return message_of(outbound.send(accepted.identity_id, Outbound(text=text), BOT))

    for number, (state, said) in enumerate(
        {
            Delivery.SENT: "Sent 12:00",
            Delivery.DELIVERED: "Delivered 12:00",
            Delivery.READ: "Read 12:00",
        }.items()
    ):
        message = sent(f"text {number}.")
        status(fake, Message.get_by_id(message.id), state) if message.provider_id else None
        Message.update(provider_id=f"fake-{message.id}").where(Message.id == message.id).execute()
        status(fake, message, state)
        assert f"text {number}. {said}" in stream(desk, user)
    failing = sent("text 3.")
    Message.update(provider_id=f"fake-{failing.id}").where(Message.id == failing.id).execute()
    status(fake, failing, Delivery.FAILED, failure=Failure("The number is not on WhatsApp.", "131026"))
    assert "text 3. Failed: The number is not on WhatsApp. (131026)" in stream(desk, user)
    handover.claim(user.id, desk.operator)
    sent("text 4.")
    assert "text 4. Not sent: The bot’s answer was held back: Maya Okonkwo has this chat" in stream(
        desk, user
    )
    Message.update(state=Delivery.UNCONFIRMED, error="It may have arrived.").where(
        Message.id == failing.id
    ).execute()
    assert "text 3. Unconfirmed: It may have arrived." in stream(desk, user)


@pytest.mark.parametrize(
    ("kind", "text", "payload", "said"),
    [
        ("text", "plain words", {}, "plain words"),
        ("image", "Photo", {"mime_type": "image/jpeg"}, "Picture JPEG"),
        ("image", "My desk", {"mime_type": "image/jpeg", "caption": "My desk"}, "Picture JPEG My desk"),
        ("file", "a.pdf", {"mime_type": "application/pdf", "filename": "a.pdf"}, "a.pdf File · PDF"),
        ("voice", "Voice message", {}, "Voice message Type and size not known"),
        ("sticker", "Sticker", {"mime_type": "image/webp"}, "Sticker WEBP"),
        (
            "location",
            "Saket",
            {"name": "Saket", "address": "Delhi", "latitude": "28.5", "longitude": "77.2"},
            "Saket Delhi 28.5, 77.2",
        ),
        (
            "contacts",
            "Uncle",
            {"contacts": [{"name": "Uncle", "phones": [{"number": "+1 555"}], "emails": ["u@example.com"]}]},
            "Uncle +1 555 u@example.com",
        ),
        ("picked", "Yes", {"title": "Yes", "source": "button"}, "Picked: Yes"),
        ("reaction", "👍", {"emoji": "👍"}, "👍 Reacted"),
        ("reaction", "Reaction removed", {"emoji": ""}, "Took a reaction back"),
        ("order", "2 × desk", {"items": [{}, {}]}, "Order with 2 products 2 × desk Raw form"),
        ("edited", "new words", {"original_id": "1"}, "Edited message new words Raw form"),
        ("deleted", "Message deleted", {}, "Message deleted"),
        ("unknown", "odd", {"hint": "poll"}, "A message that Parley does not show yet (poll) odd Raw form"),
        ("hologram", "odd", {}, "A message that Parley does not show yet odd Raw form"),
    ],
)
def test_every_kind_of_message_is_shown(
    fake: Deployment, desk: Desk, noon: HeldClock, kind: str, text: str, payload: dict[str, Any], said: str
) -> None:  # U2
    assert said in stream(desk, say(fake, kind, text, **payload))


def test_odd_payloads_are_shown_without_failing(fake: Deployment, desk: Desk, noon: HeldClock) -> None:
    junk: list[Any] = [None, 7, "text", [], [1, None, "x"], {}, {"title": None}, [{"phones": 5}], True]
    names = (
        "contacts",
        "buttons",
        "items",
        "template",
        "referral",
        "emoji",
        "title",
        "mime_type",
        "caption",
        "url",
    )
    for kind in (
        "text",
        "image",
        "location",
        "contacts",
        "picked",
        "reaction",
        "template",
        "order",
        "unknown",
    ):
        for value in junk:
            user = say(fake, kind, "odd", **dict.fromkeys(names, value))
    assert desk.get(f"/audience/{user.key}").status_code == 200
    before = attributes(desk.parts(f"/audience/{user.key}/stream"), "data-older")[0]
    assert desk.parts(f"/audience/{user.key}/stream?before={before}").status_code == 200


def test_offered_buttons_show_which_was_picked(fake: Deployment, desk: Desk, noon: HeldClock) -> None:
    accepted = says(fake, "asha")
    buttons = {"buttons": [{"title": "Yes", "payload": "/yes"}, {"title": "No", "payload": "/no"}]}
    outbound.send(accepted.identity_id, Outbound(text="Shall we?", payload=buttons), BOT)
    user = say(fake, "picked", "Yes", title="Yes", source="button")
    assert "Shall we? Queued Picked: Yes No" in stream(desk, user)


def test_a_reply_quotes_and_a_reaction_stands_on_its_message(
    fake: Deployment, desk: Desk, noon: HeldClock
) -> None:
    accepted = says(fake, "asha", profile=FULL)
    message = message_of(outbound.send(accepted.identity_id, Outbound(text="Oak or walnut?"), BOT))
    Message.update(provider_id="p1").where(Message.id == message.id).execute()
    says(fake, "asha", "Oak", reply_to="p1")
    says(fake, "asha", "❤", kind="reaction", payload={"emoji": "❤"}, reply_to="p1")
    said = stream(desk, user_of(accepted))
    assert "Oak or walnut? Queued ❤ by Asha Rao" in said
    assert "AR Robo Oak or walnut? Oak" in said
    assert "❤ Reacted to “ Oak or walnut? ”" in said


def test_the_ad_that_brought_a_user_is_shown_and_its_link_is_safe(
    fake: Deployment, desk: Desk, noon: HeldClock
) -> None:
    referral = {
        "source": "ad",
        "source_id": "120",
        "headline": "Oak that lasts",
        "body": "Desks for life",
        "source_url": "https://ads.example.com/1",
    }
    user = say(fake, "text", "hi", referral=referral)
    page = desk.parts(f"/audience/{user.key}/stream")
    assert "Ad that brought this user · 120 Oak that lasts Desks for life https://ads.example.com/1" in words(
        page
    )
    assert 'rel="nofollow noopener noreferrer"' in page.text
    other = say(fake, "text", "hi", referral={**referral, "source_url": "javascript:alert(1)"})
    assert 'href="javascript' not in desk.parts(f"/audience/{other.key}/stream").text


# Live


def test_the_stream_of_a_user_tells_of_that_user_only(fake: Deployment, desk: Desk) -> None:
    user = user_of(says(fake, "asha"))
    answer = desk.http.get(f"/audience/{user.key}/live", headers={"Accept": "text/event-stream"})
    stream = events(answer)
    next(stream)
    says(fake, "somebody else")
    says(fake, "asha", "again")
    assert f'"user": "{user.key}"' in next(stream)
    answer.close()


def test_a_stream_that_comes_back_is_told_what_it_missed(fake: Deployment, desk: Desk) -> None:
    user = user_of(says(fake, "asha"))
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(user.event_seq)}
    says(fake, "asha", "meanwhile")
    answer = desk.http.get(f"/audience/{user.key}/live", headers=headers)
    stream = events(answer)
    said = next(stream)
    assert "resync" in said
    assert f"id: {User.get().event_seq}\n" in said
    answer.close()


def test_a_stream_that_missed_nothing_is_told_nothing(fake: Deployment, desk: Desk) -> None:
    user = user_of(says(fake, "asha"))
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(User.get().event_seq)}
    answer = desk.http.get(f"/audience/{user.key}/live", headers=headers)
    stream = events(answer)
    next(stream)
    says(fake, "asha", "now")
    assert "resync" not in next(stream)
    answer.close()


# Times


def test_times_are_written_in_the_zone_of_the_reader(fake: Deployment, desk: Desk, noon: HeldClock) -> None:
    user = user_of(says(fake, "asha", "hello"))
    desk.http.set_cookie("parley_zone", "Asia/Kolkata")
    page = desk.get(f"/audience/{user.key}")
    assert "17:30" in words(page)
    assert "Tue 24 Nov 2026, 17:30 IST" in attributes(page, "title")
    desk.http.set_cookie("parley_zone", "../../etc/passwd")
    assert "12:00" in stream(desk, user)


def test_a_place_that_cannot_be_read_is_refused_with_a_sentence(fake: Deployment, desk: Desk) -> None:
    user = user_of(says(fake, "asha"))
    for place in ("x", "-.1", "999999999999999999.1", "1.1'--"):
        page = desk.get(f"/audience/{user.key}/stream", query_string={"before": place})
        assert page.status_code == 400
        assert "cannot be read" in words(page) or "out of range" in words(page)


def test_the_queries_of_a_profile_do_not_grow_with_what_it_shows(
    fake: Deployment, desk: Desk, noon: HeldClock
) -> None:
    user = user_of(says(fake, "asha", profile=FULL))
    with counted_queries() as few:
        desk.get(f"/audience/{user.key}")
    for number in range(60):
        noon.advance(hours=25)
        says(fake, "asha", str(number), reply_to=f"r{number}")
    other = put_widget("shop")
    Identity.create(user=user, deployment=other, created=noon.now())
    assert Session.select().count() > 20
    with counted_queries() as many:
        desk.get(f"/audience/{user.key}")
    assert len(many) <= len(few) + 2, (len(few), len(many))  # the quoted messages are one more


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    """Collect the statements that run in the block."""
    ran: list[str] = []
    original = database.obj.execute_sql

    def execute(sql: str, *args: Any, **kwargs: Any) -> Any:
        ran.append(sql)
        return original(sql, *args, **kwargs)

    database.obj.execute_sql = execute
    try:
        yield ran
    finally:
        del database.obj.execute_sql
