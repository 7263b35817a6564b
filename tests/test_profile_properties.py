"""Properties on the profile: editors, conflicts, history, groups, the running session, and who sees what."""

from typing import Any

import pytest
from flask import Flask

from core import Profile
from core import definitions as definition
from core import properties as values
from core.catalogue import Writer
from core.clock import HeldClock
from core.drafts import Draft
from core.models import Deployment, Message, Origin, PropertyChange, Session, User
from core.values import session_values
from core.values import values as stored_values
from fake_channel import deploy, moment, says, user_of
from panel import PLUGINS as PANEL
from panel import Desk, attributes, employ, part, words

PLUGINS = (*PANEL, "channels.web")
BOT = Writer(Origin.BOT, "Order bot", groups=frozenset({"bot"}))
EVERYBODY = ("admin", "builder", "agent", "bot")
PERSON = Profile(name="Asha Raghunathan", phone="+919876543210", email="asha.rg@example.com", language="hi")


@pytest.fixture
def noon(clock: HeldClock) -> HeldClock:
    """The clock at noon of 24 November 2026, a Tuesday."""
    clock.set(moment("12:00:00"))
    return clock


@pytest.fixture
def fake(app: Flask, noon: HeldClock) -> Deployment:
    """A channel with a window of 24 hours."""
    return deploy()


@pytest.fixture
def asha(fake: Deployment) -> User:
    """A user who has written."""
    return user_of(says(fake, "asha", "Has my order left?", profile=PERSON))


@pytest.fixture
def desk(asha: User, app: Flask) -> Desk:
    """An agent at a browser."""
    return Desk(app, employ("agent"))


def define(key: str, type_: str = "text", **more: Any) -> None:
    """Define a property that everybody edits."""
    given = {"key": key, "label": key.capitalize(), "type": type_, "editable_by": EVERYBODY, **more}
    definition.create(Draft(**given))


def value(user: User, key: str) -> Any:
    """Return what a property of a user is, as it is stored."""
    found = {**stored_values(user.id), **session_values(Session.find(newest=True, user=user.id))}
    return found[key].value


def address(user: User, key: str, rest: str = "") -> str:
    """Return the address of a property of a user."""
    return f"/audience/{user.key}/properties/{key}{rest}"


def top(desk: Desk, user: User, query: str = "") -> str:
    """Return the words of the right column."""
    return part(desk.parts(f"/audience/{user.key}/parts{query}"), "props")


# Editing


def test_a_value_is_saved_and_the_page_comes_back(asha: User, desk: Desk) -> None:  # U6
    define("city", pinned=True)
    assert 'data-open="edit"' in desk.get(f"/audience/{asha.key}").text
    answer = desk.post(address(asha, "city", "?at=top"), value=" Delhi ", seen="0")
    assert answer.status_code == 303
    assert answer.location.endswith(f"/audience/{asha.key}?panel=props#property-top-city")
    assert value(asha, "city") == "Delhi"
    assert "City Delhi" in top(desk, asha)
    assert "City edited by Maya Okonkwo , 24 Nov 12:00" in top(desk, asha)


def test_a_script_gets_every_part_of_the_page(asha: User, desk: Desk) -> None:
    define("city", pinned=True)
    answer = desk.post(address(asha, "city", "?at=top"), script=True, value="Delhi", seen="0")
    assert answer.status_code == 200
    assert "City Delhi" in part(answer, "props")


@pytest.mark.parametrize(
    ("type_", "options", "form", "stored", "shown"),
    [
        ("text", {}, {"value": "Delhi"}, "Delhi", "Delhi"),
        ("text", {"several_lines": True}, {"value": "a\r\nb"}, "a\nb", "a b"),
        ("integer", {"unit": "kg"}, {"value": "12"}, 12, "12 kg"),
        ("decimal", {}, {"value": "1.5"}, 1.5, "1.5"),
        ("boolean", {}, {"value": "true"}, True, "Yes"),
        ("date", {}, {"value": "2026-11-24"}, "2026-11-24", "24 Nov 2026"),
        ("datetime", {}, {"value": "2026-11-24T18:00"}, "2026-11-24T18:00:00+00:00", "24 Nov 2026, 18:00"),
        (
            "datetime",
            {},
            {"value": "2026-11-24T18:00", "zone": "Asia/Kolkata"},
            "2026-11-24T12:30:00+00:00",
            "24 Nov 2026, 12:30",
        ),
        ("phone", {}, {"value": "+91 98765 43210"}, "+919876543210", "+91 98765 43210"),
        ("email", {}, {"value": "a@EXAMPLE.com"}, "a@example.com", "a@example.com"),
        ("url", {}, {"value": "https://example.com/a"}, "https://example.com/a", "example.com/a"),
        ("choice", {"choices": ["pro", "trade"]}, {"value": "pro"}, "pro", "pro"),
        ("choices", {"choices": ["a", "b", "c"]}, {"value": ["", "a", "c"]}, ["a", "c"], "a c"),
        (
            "choices",
            {"choices": ["a"], "allow_other": True},
            {"value": ["", "a"], "more": "x, y"},
            ["a", "x", "y"],
            "a x y",
        ),
        (
            "location",
            {},
            {"value": "28.6, 77.2 Delhi"},
            {"lat": 28.6, "lng": 77.2, "label": "Delhi"},
            "Delhi",
        ),
        ("object", {}, {"value": '{"a": [1]}'}, {"a": [1]}, '{"a":[1]}'),
    ],
)
def test_every_editor_saves_what_was_typed(
    asha: User, desk: Desk, type_: str, options: dict[str, Any], form: dict[str, Any], stored: Any, shown: str
) -> None:  # P2
    define("thing", type_, options=options, pinned=True, filterable=False)
    editor = desk.parts(address(asha, "thing", "?at=top&show=edit"))
    assert 'name="value"' in editor.text
    assert desk.post(address(asha, "thing"), seen="0", **form).status_code == 303
    assert value(asha, "thing") == stored
    assert f"Thing {shown}" in top(desk, asha)
    again = desk.parts(address(asha, "thing", "?at=top&show=edit"))
    assert again.status_code == 200  # what is stored can be typed


def test_an_emptied_field_unsets(asha: User, desk: Desk) -> None:
    define("city", pinned=True)
    desk.post(address(asha, "city"), value="Delhi")
    desk.post(address(asha, "city"), value="")
    assert value(asha, "city") is None
    assert "City Not set" in top(desk, asha)


def test_a_moment_that_was_not_touched_keeps_its_fractions(asha: User, desk: Desk) -> None:
    define("met", "datetime")
    exact = "2026-11-24T18:00:01.123456+00:00"
    values.write(asha.id, {"met": exact}, BOT)
    editor = desk.parts(address(asha, "met", "?show=edit"))
    shown = attributes(editor, "value")
    assert "2026-11-24T18:00:01" in shown
    desk.post(address(asha, "met"), value="2026-11-24T18:00:01", zone="UTC")
    assert value(asha, "met") == exact


def test_what_is_not_taken_is_kept_in_its_field_with_the_reason(asha: User, desk: Desk) -> None:  # P5
    define("age", "integer")
    answer = desk.post(address(asha, "age", "?at=all"), value="very old", seen="0")
    assert answer.status_code == 422
    assert "`age` takes a whole number" in words(answer)
    assert "very old" in attributes(answer, "value")
    script = desk.post(address(asha, "age", "?at=all"), script=True, value="very old", seen="0")
    assert script.status_code == 422
    assert 'data-fragment="property"' in script.text
    assert "very old" in attributes(script, "value")
    assert value(asha, "age") is None


def test_somebody_quicker_is_shown_with_both_values(asha: User, desk: Desk, app: Flask) -> None:  # P7
    define("city", pinned=True)
    leo = Desk(app, employ("agent", name="Leo Brandt"))
    leo.post(address(asha, "city"), value="Noida", seen="0")
    answer = desk.post(address(asha, "city", "?at=top"), value="Delhi", seen="0")
    said = words(answer)
    assert answer.status_code == 409
    assert "`city` was changed by somebody else a moment ago." in said
    assert "Yours Delhi Theirs Noida Leo Brandt , 24 Nov 12:00" in said
    assert "Use mine Keep theirs" in said
    assert value(asha, "city") == "Noida"
    seen = attributes(answer, "value")[attributes(answer, "name").index("seen")]
    change = PropertyChange.select().order_by(PropertyChange.id.desc()).get()
    assert f'name="seen" value="{change.id}"' in answer.text, seen
    assert desk.post(address(asha, "city"), value="Delhi", seen=str(change.id)).status_code == 303
    assert value(asha, "city") == "Delhi"


def test_the_same_value_from_two_people_is_no_conflict(asha: User, desk: Desk) -> None:
    define("city")
    values.write(asha.id, {"city": "Delhi"}, BOT)
    assert desk.post(address(asha, "city"), value="Delhi", seen="0").status_code == 303


def test_a_label_is_taken_away_by_itself(asha: User, desk: Desk) -> None:  # U1
    desk.post(address(asha, "labels", "?at=who"), value=["", "vip"], more="b2b, new")
    said = part(desk.parts(f"/audience/{asha.key}/parts"), "who")
    assert "Labels b2b new vip" in said
    answer = desk.post(address(asha, "labels", "?at=who"), remove="new")
    assert answer.location.endswith("?panel=who#property-who-labels")
    assert value(asha, "labels") == ["b2b", "vip"]


def test_the_left_column_edits_who_it_is(asha: User, desk: Desk) -> None:  # U1
    page = desk.get(f"/audience/{asha.key}")
    for key in ("name", "email", "phone", "gender", "language", "labels"):
        assert f'id="property-who-{key}"' in page.text
    desk.post(address(asha, "name", "?at=who"), value="Asha Rao")
    desk.post(address(asha, "gender", "?at=who"), value="Female")
    said = part(desk.parts(f"/audience/{asha.key}/parts"), "who")
    assert "Asha Rao India" in said
    assert "Gender Female Language Hindi" in said


def test_without_scripts_a_link_opens_the_editor(asha: User, desk: Desk) -> None:
    define("city", pinned=True)
    page = desk.get(f"/audience/{asha.key}?edit=city&at=top&panel=props")
    assert "data-editor" in page.text
    assert 'id="edit-top-city"' in page.text
    assert 'data-show="props"' in page.text


def test_a_switch_says_what_it_would_be_and_needs_no_editor(asha: User, desk: Desk) -> None:
    define("subscribed", "boolean", pinned=True)
    page = desk.get(f"/audience/{asha.key}")
    assert 'role="switch" aria-checked="false"' in page.text
    desk.post(address(asha, "subscribed"), value="true", seen="0")
    page = desk.get(f"/audience/{asha.key}")
    assert 'role="switch" aria-checked="true"' in page.text
    assert 'name="value" value="false"' in page.text


def test_skipped_is_said(asha: User, desk: Desk) -> None:
    define("age", "integer", pinned=True)
    values.write(asha.id, {"age": "SKIPPED"}, BOT)
    assert "Age Skipped" in top(desk, asha)


# Who edits


def test_a_builder_edits_and_an_agent_cannot(asha: User, desk: Desk, app: Flask) -> None:  # P3
    define("plan", "choice", options={"choices": ["pro", "trade"]}, editable_by=("builder",), pinned=True)
    page = desk.get(f"/audience/{asha.key}")
    assert "Locked: Only builders may edit this." in page.text
    assert "Plan · Only builders may edit this." in words(page)
    assert 'aria-label="Edit Plan"' not in page.text
    refused = desk.post(address(asha, "plan", "?at=top"), value="pro")
    assert refused.status_code == 403
    assert "Only builders may edit this." in words(refused)
    assert desk.parts(address(asha, "plan", "?show=edit")).status_code == 403
    assert desk.get(f"/audience/{asha.key}?edit=plan").status_code == 403
    script = desk.post(address(asha, "plan", "?at=top"), script=True, value="pro")
    assert script.status_code == 403
    assert 'data-fragment="property"' in script.text
    assert value(asha, "plan") is None
    builder = Desk(app, employ("builder"))
    assert builder.post(address(asha, "plan"), value="pro").status_code == 303
    assert value(asha, "plan") == "pro"


def test_an_auditor_has_no_editor_and_no_address_gives_one(asha: User, app: Flask) -> None:
    define("city", pinned=True)
    values.write(asha.id, {"city": "Delhi"}, BOT)
    auditor = Desk(app, employ("auditor"))
    page = auditor.get(f"/audience/{asha.key}")
    assert 'data-open="edit"' not in page.text
    assert "data-property-form" not in page.text
    assert auditor.get(f"/audience/{asha.key}?edit=city").status_code == 403
    assert auditor.parts(address(asha, "city", "?show=edit")).status_code == 403
    for rest in ("", "/release", "/restore"):
        assert auditor.post(address(asha, "city", rest), value="x", change="1").status_code == 403
    assert "Order bot" in words(auditor.parts(address(asha, "city", "?show=history")))


def test_who_may_not_see_a_value_finds_it_nowhere(asha: User, desk: Desk, app: Flask) -> None:
    define("nickname", personal=True, pinned=True)
    define("session_note", personal=True, scope="session")
    desk.post(address(asha, "nickname"), value="SecretOne")
    desk.post(address(asha, "nickname"), value="SecretTwo")
    desk.post(address(asha, "session_note"), value="SecretThree")
    builder = Desk(app, employ("builder"))
    change = PropertyChange.select().order_by(PropertyChange.id).get()
    for answer in (
        builder.get(f"/audience/{asha.key}?panel=props"),
        builder.parts(f"/audience/{asha.key}/parts"),
        builder.parts(f"/audience/{asha.key}/properties?find=nick"),
        builder.parts(address(asha, "nickname", "?at=top")),
        builder.parts(address(asha, "nickname", "?show=history")),
        builder.get(f"/audience/{asha.key}?history=nickname"),
        builder.parts(address(asha, "nickname", "?show=edit")),
        builder.post(address(asha, "nickname"), value="••••", seen="0"),
        builder.post(address(asha, "nickname"), script=True, value="••••", seen="0"),
        builder.post(address(asha, "nickname", "/restore"), script=True, change=str(change.id)),
        builder.post(address(asha, "nickname", "/release"), script=True),
    ):
        assert "Secret" not in answer.text
    assert builder.parts(address(asha, "nickname", "?show=history")).status_code == 403
    assert value(asha, "nickname") == "SecretTwo"


def test_what_is_not_there_is_not_found(asha: User, desk: Desk) -> None:
    assert desk.parts(address(asha, "nothing")).status_code == 404
    assert desk.post(address(asha, "nothing"), value="x").status_code == 404
    assert desk.post("/audience/nobody/properties/name", value="x").status_code == 404
    assert desk.post(address(asha, "email"), other="x").status_code == 400


def test_an_archived_property_is_locked(asha: User, desk: Desk) -> None:
    define("city")
    definition.archive("city")
    refused = desk.post(address(asha, "city"), value="Delhi")
    assert refused.status_code == 403
    assert "This property is archived." in words(refused)


# History


def test_the_history_says_who_when_and_from_what_to_what(
    asha: User, desk: Desk, fake: Deployment, noon: HeldClock
) -> None:  # P6
    define("city", pinned=True)
    message = Message.select().order_by(Message.id).get()
    values.write(asha.id, {"city": "Noida"}, BOT, message_id=message.id)
    noon.advance(hours=2)
    desk.post(address(asha, "city"), value="Delhi")
    answer = desk.parts(address(asha, "city", "?at=top&show=history"))
    said = words(answer)
    assert "City 2 changes" in said
    assert "MO Noida → Delhi Maya Okonkwo · now" in said
    assert "Set to Noida Order bot · 2 h ago · Message" in said
    link = f"/audience/{asha.key}?message={message.id}#message-{message.id}"
    assert link in attributes(answer, "href")


def test_a_recent_change_shows_the_history_in_the_place_of_the_pencil(
    asha: User, desk: Desk, noon: HeldClock, app: Flask
) -> None:
    define("city", pinned=True)
    desk.post(address(asha, "city"), value="Delhi")
    page = desk.get(f"/audience/{asha.key}").text
    assert "City: changed by Maya Okonkwo now. Show history" in page
    assert 'aria-label="Edit City"' not in page
    noon.advance(days=7)
    page = Desk(app, desk.operator).get(f"/audience/{asha.key}").text
    assert "City: changed by" not in page
    assert 'aria-label="Edit City"' in page


def test_an_earlier_value_is_restored(asha: User, desk: Desk) -> None:
    define("city", pinned=True)
    for text in ("Noida", "Delhi"):
        desk.post(address(asha, "city"), value=text)
    first, second = (
        PropertyChange.select().where(PropertyChange.actor == "Maya Okonkwo").order_by(PropertyChange.id)
    )
    assert "Restore “ Noida ”" in words(desk.parts(address(asha, "city", "?at=top&show=history")))
    stale = desk.post(address(asha, "city", "/restore"), change=str(first.id), seen=str(first.id))
    assert stale.status_code == 409
    assert (
        desk.post(address(asha, "city", "/restore"), change=str(first.id), seen=str(second.id)).status_code
        == 303
    )
    assert value(asha, "city") == "Noida"


def test_a_change_of_somebody_else_is_not_restored(asha: User, desk: Desk, fake: Deployment) -> None:
    define("city")
    leo = user_of(says(fake, "leo", "hello"))
    values.write(leo.id, {"city": "LeosCity"}, BOT)
    change = (
        PropertyChange.select()
        .where(PropertyChange.user == leo.id, PropertyChange.actor == "Order bot")
        .get()
    )
    assert desk.post(address(asha, "city", "/restore"), change=str(change.id)).status_code == 404
    assert value(asha, "city") is None


def test_a_person_holds_a_value_until_it_is_given_back(asha: User, desk: Desk) -> None:  # P6
    define("city", pinned=True)
    desk.post(address(asha, "city"), value="Delhi")
    values.write(asha.id, {"city": "Noida"}, BOT, whole=False)
    assert value(asha, "city") == "Delhi"
    editor = words(desk.parts(address(asha, "city", "?at=top&show=edit")))
    assert "Edited by Maya Okonkwo , 24 Nov 12:00" in editor
    assert "Maya Okonkwo set this, so the bot does not change it. Let the bot manage it" in editor
    assert desk.post(address(asha, "city", "/release?at=top")).status_code == 303
    assert "Given back to the bot" in words(desk.parts(address(asha, "city", "?at=top&show=history")))
    values.write(asha.id, {"city": "Noida"}, BOT, whole=False)
    assert value(asha, "city") == "Noida"


# The stream


def test_the_entry_in_the_stream_leads_to_the_history(asha: User, desk: Desk) -> None:
    define("city")
    desk.post(address(asha, "city"), value="Delhi")
    page = desk.get(f"/audience/{asha.key}")
    assert "Maya Okonkwo changed City · 12:00" in words(page)
    assert f"/audience/{asha.key}?history=city&panel=props" in attributes(page, "href")
    opened = desk.get(f"/audience/{asha.key}?history=city&panel=props")
    assert "City 1 change" in words(opened)


def test_many_changes_at_once_are_counted(asha: User, desk: Desk) -> None:
    for number in range(8):
        define(f"fact_{number}", filterable=False)
    values.write(asha.id, {f"fact_{number}": "x" for number in range(8)}, BOT)
    said = words(desk.parts(f"/audience/{asha.key}/stream"))
    assert "Order bot changed Fact_0 , Fact_1 , Fact_2 , Fact_3 , Fact_4 , Fact_5 and 2 more · 12:00" in said


def test_a_message_is_opened_with_what_stands_around_it(
    asha: User, desk: Desk, fake: Deployment, noon: HeldClock
) -> None:
    for number in range(130):
        noon.advance(seconds=1)
        says(fake, "asha", f"number {number}.")
    wanted = Message.select().where(Message.text == "number 60.").get()
    page = desk.get(f"/audience/{asha.key}?message={wanted.id}")
    assert f'id="message-{wanted.id}"' in page.text
    assert "number 36." in page.text
    assert "number 85." in page.text
    assert "number 35." not in page.text
    assert "number 86." not in page.text
    [newer] = attributes(page, "data-newer")
    below = desk.parts(f"/audience/{asha.key}/stream?after={newer}")
    assert "number 86." in below.text
    assert attributes(below, "data-newer") == [""]
    assert "number 129." in below.text
    later = desk.get(f"/audience/{asha.key}?after={newer}")
    assert "number 86." in later.text
    assert "Newest messages" in words(page)


def test_a_message_of_somebody_else_is_not_opened(asha: User, desk: Desk, fake: Deployment) -> None:
    says(fake, "leo", "A secret of Leo")
    other = Message.select().order_by(Message.id.desc()).get()
    for wanted in (other.id, "x", 10**30, -1):
        page = desk.get(f"/audience/{asha.key}?message={wanted}")
        assert page.status_code == 200
        assert "A secret of Leo" not in page.text


# Groups, search


def test_a_group_is_drawn_when_it_is_opened(asha: User, desk: Desk) -> None:
    for number in range(20):
        define(f"trait_{number}", group="Traits", filterable=False)
    values.write(asha.id, {"trait_3": "here"}, BOT)
    page = desk.get(f"/audience/{asha.key}")
    assert "Traits 1 of 20" in words(page)
    assert "property-all-trait_3" not in page.text
    [group] = [
        one
        for one in attributes(page, "data-group")
        if f"groups={one}#" in page.text and one in _group(page.text)
    ]
    opened = desk.parts(f"/audience/{asha.key}/properties?groups={group}")
    assert "Trait_3 here and 19 not set" in words(opened)
    assert "Trait_3 here" in words(desk.get(f"/audience/{asha.key}?groups={group}&panel=props"))


def _group(text: str) -> str:
    """Return the id of the group of traits."""
    return text.split(">Traits<")[0].rpartition('data-group="')[2].partition('"')[0]


def test_properties_are_found_by_label_or_key(asha: User, desk: Desk) -> None:
    define("wood", label="Preferred material", group="Traits")
    for find in ("material", "WOOD", "pref wood"):
        said = words(desk.parts(f"/audience/{asha.key}/properties?find={find}"))
        assert "1 property found. Preferred material" in said
    assert "No property has that name." in words(desk.get(f"/audience/{asha.key}?find=zzz&panel=props"))


def test_a_profile_with_many_properties_draws_few(asha: User, desk: Desk) -> None:
    size = len(desk.get(f"/audience/{asha.key}").data)
    for number in range(60):
        define(f"many_{number}", group=f"Group {number % 3}", filterable=False)
    grown = len(desk.get(f"/audience/{asha.key}").data) - size
    assert grown < 5_000


# Sessions


def test_the_running_session_has_its_own_section(asha: User, desk: Desk) -> None:  # P1
    define("topic", scope="session")
    values.write(asha.id, {"topic": "delivery"}, BOT)
    assert "This session #1 Topic delivery" in top(desk, asha)
    desk.post(address(asha, "topic", "?at=session"), value="returns")
    assert value(asha, "topic") == "returns"


def test_a_session_that_is_over_is_kept_as_it_ended(
    asha: User, desk: Desk, noon: HeldClock, app: Flask
) -> None:  # U4
    define("topic", scope="session")
    define("mood", scope="session", personal=True)
    values.write(asha.id, {"topic": "delivery", "mood": "SecretMood"}, BOT)
    noon.advance(days=2)
    page = Desk(app, desk.operator).parts(f"/audience/{asha.key}/parts")
    assert "This session" not in part(page, "props")
    assert "As it ended Topic delivery Mood SecretMood" in part(page, "who")
    masked = Desk(app, employ("builder")).parts(f"/audience/{asha.key}/parts")
    assert "Topic delivery Mood ••••" in part(masked, "who")
