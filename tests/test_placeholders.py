"""`{{key}}` in a text: what is filled in, what is asked for, and what nobody gets who may not see it (P8)."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import Profile, clock
from core.catalogue import Writer
from core.definitions import Draft, archive, create
from core.models import Deployment, Identity, Origin, Session, User
from core.placeholders import LONGEST, Known, NotFillable
from core.properties import write
from core.values import everything
from fake_channel import deploy, says, user_of

PLUGINS = ("fake_channel",)
MAYA = Writer(Origin.OPERATOR, "Maya Okonkwo", groups=frozenset({"admin", "builder", "agent"}))
BLIND = Writer(Origin.OPERATOR, "Bo Builder", groups=frozenset({"builder"}), sees_personal=False)
KOLKATA = ZoneInfo("Asia/Kolkata")


@pytest.fixture
def fake(app: Flask) -> Deployment:
    """A channel."""
    return deploy()


@pytest.fixture
def asha(fake: Deployment) -> User:
    """A user of whom a name and a phone number are known."""
    return user_of(says(fake, "asha", profile=Profile(name="Asha Rao", phone="+919876543210")))


def known(user: User, author: Writer = MAYA, zone: ZoneInfo | None = None) -> Known:
    """Return what a text to a user can be filled with."""
    user = User.get_by_id(user.id)
    identities = list(Identity.select(Identity, Deployment).join(Deployment).where(Identity.user == user))
    session = Session.find(newest=True, user=user.id)
    return Known(everything(user, identities, session, clock.now()), author, zone)


def filled(user: User, text: str, **values: str) -> str:
    """Return a text to a user, filled."""
    return known(user).fill(text, values).text


def define(key: str, type_: str = "text", value: Any = None, user: User | None = None, **more: Any) -> None:
    """Define a property, and give a user a value."""
    create(Draft(key=key, label=more.pop("label", key.replace("_", " ").capitalize()), type=type_, **more))
    if user is not None:
        write(user.id, {key: value}, MAYA)


# What is filled in


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello {{name}}", "Hello Asha Rao"),
        ("{{ name }},{{name}}", "Asha Rao,Asha Rao"),
        ("{{NAME}}", "Asha Rao"),
        ("Hi {{first_name}}", "Hi Asha"),
        ("{{{name}}}", "{Asha Rao}"),
        ("Call {{phone}}", "Call +91 98765 43210"),
    ],
)
def test_a_text_is_filled_from_the_profile(asha: User, text: str, said: str) -> None:  # P8
    assert filled(asha, text) == said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no braces",
        "{name}",
        "{{}}",
        "{{ }}",
        "{{#each}}",
        "{{na\nme}}",
        "{{ x | upper }}",
        "{{naïve}}",
        "}}{{",
    ],
)
def test_what_is_no_placeholder_stays_as_it_is(asha: User, text: str) -> None:
    assert filled(asha, text) == text


@pytest.mark.parametrize(
    ("type_", "options", "value", "said"),
    [
        ("text", {}, "word " * 60 + "end", "word " * 60 + "end"),  # in full, however long
        ("text", {}, "{{name}} of {{", "{{name}} of {{"),  # filled once
        ("integer", {"unit": "kg"}, 12500, "12,500 kg"),
        ("boolean", {}, False, "No"),
        ("integer", {}, 0, "0"),
        ("date", {}, "2026-11-24", "24 Nov 2026"),
        ("choice", {"choices": [{"value": "pro", "label": "Parley Pro"}]}, "pro", "Parley Pro"),
        ("choices", {"choices": ["tea", "rice"]}, ["tea", "rice"], "tea, rice"),
        ("url", {}, "https://example.com/a?b=c", "https://example.com/a?b=c"),
        ("location", {}, {"lat": 28.6, "lng": 77.2, "label": "Saket"}, "Saket"),
    ],
)
def test_a_value_is_said_in_the_words_of_its_type(
    asha: User, type_: str, options: Mapping[str, Any], value: Any, said: str
) -> None:
    define("thing", type_, value, asha, options=options)
    assert filled(asha, "<{{thing}}>") == f"<{said}>"


def test_a_moment_is_said_as_the_clock_of_the_user_has_it(asha: User) -> None:
    define("due", "datetime", "2026-11-24T18:00:00Z", asha)
    assert known(asha, zone=KOLKATA).fill("{{due}}").text == "24 Nov 2026, 23:30"
    assert known(asha).fill("{{due}}").text == "24 Nov 2026, 18:00 UTC"  # whose clock is not known


def test_computed_and_session_properties_are_filled_in_too(asha: User) -> None:
    define("topic", value="delivery", user=asha, scope="session")
    assert filled(asha, "{{topic}}, {{messages_received}}") == "delivery, 1"


def test_a_country_and_a_language_are_said_by_name(asha: User) -> None:
    write(asha.id, {"language": "pt_BR"}, MAYA)
    assert filled(asha, "{{country}}, {{language}}") == "India, Portuguese (BR)"


def test_a_channel_and_a_handler_are_said_in_words(asha: User) -> None:
    assert filled(asha, "{{last_channel}}, {{handler}}") == "Fake, Bot"


def test_an_admin_can_define_the_first_name(asha: User) -> None:
    define("first_name", value="Ashu", user=asha)
    assert filled(asha, "{{first_name}}") == "Ashu"


# What is missing


def test_what_the_user_has_no_value_for_is_missing(asha: User) -> None:  # P8
    define("city", help="Where the user lives.")
    define("plan")
    found = known(asha).fill("{{city}} {{name}} {{plan}} {{ City }}")
    assert [(one.key, one.label, one.help) for one in found.missing] == [
        ("city", "City", "Where the user lives."),
        ("plan", "Plan", ""),
    ]
    assert found.text == "{{city}} Asha Rao {{plan}} {{ City }}"


def test_a_skipped_property_is_missing(asha: User) -> None:
    define("city", editable_by=("bot", "admin"))
    write(asha.id, {"city": "SKIPPED"}, Writer(Origin.BOT, "Bot", groups=frozenset({"bot"})))
    assert [one.key for one in known(asha).fill("{{city}}").missing] == ["city"]


def test_a_given_value_is_for_this_text_alone(asha: User) -> None:
    define("city")
    assert filled(asha, "{{city}}!", city=" Delhi {{name}} ") == "Delhi {{name}}!"
    assert [one.key for one in known(asha).fill("{{city}}", {"city": " "}).missing] == ["city"]
    assert [one.key for one in known(asha).fill("{{city}}").missing] == ["city"]


# What cannot be filled in


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{frist_name}}", "`frist_name` is not a property. Did you mean `first_name`?"),
        ("{{first name}}", "`first name` is not a property. Did you mean `first_name`?"),
        ("{{qqqq}}", "`qqqq` is not a property. Write it out, or choose one from the list."),
        ("{{1}}", "`1` is not a property."),
    ],
)
def test_a_key_that_nobody_defined_is_named(asha: User, text: str, said: str) -> None:
    with pytest.raises(NotFillable) as refused:
        filled(asha, text)
    assert said in str(refused.value)


def test_every_key_that_nobody_defined_is_named_once(asha: User) -> None:
    with pytest.raises(NotFillable) as refused:
        filled(asha, "{{aaaa}} {{bbbb}} {{aaaa}} {{name}}")
    assert str(refused.value).count("`aaaa`") == str(refused.value).count("`bbbb`") == 1


def test_an_archived_property_cannot_be_filled_in(asha: User) -> None:
    define("city", value="Delhi", user=asha)
    archive("city")
    with pytest.raises(NotFillable, match="`city` is archived"):
        filled(asha, "{{city}}")


@pytest.mark.parametrize("key", ["phone", "name", "first_name", "email", "PHONE"])
def test_personal_data_is_refused_to_who_may_not_see_it(asha: User, key: str) -> None:  # P8
    with pytest.raises(NotFillable) as refused:
        known(asha, BLIND).fill(f"{{{{{key}}}}}", {key: "x"})
    assert str(refused.value) == f"`{key.lower()}` is not shown to your role, so you cannot send it."


def test_personal_data_is_neither_suggested_nor_named_to_who_may_not_see_it(asha: User) -> None:
    found, count = known(asha, BLIND).suggestions("", 100)
    assert count == len(found)
    assert {"name", "first_name", "phone", "email"}.isdisjoint(one.key for one in found)
    assert "Asha" not in repr(found)
    with pytest.raises(NotFillable) as refused:
        known(asha, BLIND).fill("{{phoen}}")
    assert "`phone`" not in str(refused.value)


def test_a_text_that_grows_without_end_is_refused(asha: User) -> None:
    define("bio", value="x" * 450, user=asha)
    with pytest.raises(NotFillable, match="more than 100,000 characters"):
        filled(asha, "{{bio}}" * (LONGEST // 450 + 1))


# Suggestions


def test_what_begins_so_is_suggested_first(asha: User) -> None:
    for key, label in {
        "ship_city": "Shipping",
        "city": "City",
        "x": "Home city",
        "velocity": "Speed",
    }.items():
        define(key, label=label)
    found, count = known(asha).suggestions("ci", 10)
    assert [one.key for one in found] == ["city", "x", "ship_city", "velocity"]
    assert count == 4
    assert [one.key for one in known(asha).suggestions("home ci", 10)[0]] == ["x"]
    assert known(asha).suggestions("zzz", 10) == ([], 0)


def test_a_suggestion_has_the_value_of_the_user(asha: User) -> None:
    found, _ = known(asha).suggestions("name", 10)
    assert (found[0].key, found[0].label, found[0].text) == ("name", "Name", "Asha Rao")
    assert next(one.text for one in known(asha).suggestions("email", 1)[0]) is None


def test_however_many_there_are_a_few_are_suggested(asha: User) -> None:
    for number in range(30):
        define(f"field_{number:02}", filterable=False)
    found, count = known(asha).suggestions("field", 20)
    assert (len(found), count) == (20, 30)


# Whatever the text


QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            ["{", "}", "{{", "}}", "{{name}}", "{{ first_name }}", "name", " ", "\n", "{{phone}}"]
        ),
        st.text(max_size=12),
    ),
    max_size=12,
).map("".join)


@QUICK
@given(text=st.text().filter(lambda text: "{{" not in text))
def test_a_text_without_placeholders_is_unchanged(asha: User, text: str) -> None:
    found = known(asha).fill(text)
    assert (found.text, found.missing) == (text, ())


@QUICK
@given(text=PIECES)
def test_nothing_known_is_left_in_a_filled_text(asha: User, text: str) -> None:
    try:
        found = known(asha).fill(text)
    except NotFillable:
        return
    for key in ("{{name}}", "{{ first_name }}", "{{phone}}"):
        assert key not in found.text
    assert found.missing == ()
    outside = "".join(piece.text for piece in found.pieces if piece.filling is None)
    assert len(outside) <= len(text)
