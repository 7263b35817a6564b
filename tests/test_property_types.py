"""Types of property: what they take, what they refuse and in which words, and how they show it (P2, P5)."""

import contextlib
import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core import Editor, Invalid, PropertyType, types
from core.property_type import INDEXED_TEXT
from core.types.structures import LONGEST_JSON
from plugins import money
from property_values import CASES, DEFAULTS, NEVER, TOPICS, Case, as_form

TYPES = {kind.name: kind for kind in (*types.register_property_types(), *money.register_property_types())}


def of(name: str, *, filterable: bool = False, **options: Any) -> PropertyType:
    kind = TYPES[name]
    return kind(kind.Options.model_validate(DEFAULTS.get(name, {}) | options), filterable=filterable)


def verdict(kind: PropertyType, value: Any) -> Any:
    try:
        return kind.parse(value)
    except Invalid as error:
        return str(error)


# ── What is taken and what is refused (P5)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_type_takes_what_fits_and_says_what_it_takes_otherwise(case: Case) -> None:
    found = verdict(of(case.type, **case.options), case.given)
    assert found == (case.sentence or case.value)
    assert type(found) is type(case.sentence or case.value)


@pytest.mark.parametrize("case", [case for case in CASES if as_form(case) is not None], ids=str)
def test_what_is_typed_gets_the_verdict_of_what_is_sent(case: Case) -> None:
    assert verdict(of(case.type, **case.options), as_form(case)) == (case.sentence or case.value)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("given_", NEVER, ids=lambda value: type(value).__name__)
def test_what_is_no_json_is_refused_in_words(name: str, given_: Any) -> None:
    with pytest.raises(Invalid, match=r"^takes "):
        of(name).parse(given_)


@pytest.mark.parametrize("case", [case for case in CASES if not case.sentence], ids=str)
def test_a_value_is_json_and_can_be_typed_again(case: Case) -> None:
    kind = of(case.type, **case.options)
    assert json.loads(json.dumps(case.value)) == case.value
    assert kind.parse(case.value) == case.value
    assert kind.parse(kind.typed(case.value)) == case.value
    json.dumps(case.value, ensure_ascii=False).encode()


@pytest.mark.parametrize("name", TYPES)
def test_a_refusal_does_not_repeat_the_value(name: str) -> None:
    secret = "tulip"
    kind = of(name, **({"pattern": "[0-9]+"} if name == "text" else {}))
    for value in (
        secret,
        [secret],
        {secret: secret},
        f'{{"lat": "{secret}"}}',
        f"{secret}@{secret}",
        f'["{secret}"',
    ):
        with contextlib.suppress(Invalid):
            kind.parse(value)
            continue
        assert secret not in verdict(kind, value)


@pytest.mark.parametrize("case", [case for case in CASES if case.sentence], ids=str)
def test_a_refusal_is_short(case: Case) -> None:
    assert len(case.sentence) < 120


# ── For any value (what is written is what is read)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
ANYTHING = st.recursive(
    SCALARS | st.text('0123456789.,+-−[]{}":; €TZ()aA\n\t\ud800\x00٤'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | SCALARS, inner, max_size=4),
    max_leaves=8,
)
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(min_size=1),
    "integer": st.integers() | st.integers().map(str) | st.floats(),
    "decimal": st.floats() | st.decimals(allow_nan=False, allow_infinity=False).map(lambda n: format(n, "f")),
    "boolean": st.booleans(),
    "date": st.dates().map(str),
    "datetime": st.datetimes(timezones=st.timezones()).map(datetime.isoformat),
    "phone": st.from_regex(r"\A\+[1-9][0-9 ()-]{6,17}\Z"),
    "email": st.emails() | st.text(max_size=9).map(lambda text: f"a@{text}.Com"),
    "url": st.text().map(lambda rest: f"https://{rest}")
    | st.text().map(lambda path: f"HTTP://İ.Example/{path}"),
    "image": st.text().map(lambda path: f"https://cdn.example/{path}"),
    "choice": st.text(),
    "choices": st.lists(st.text(max_size=9) | st.sampled_from(TOPICS)) | st.text('ab,[]" \n'),
    "location": st.fixed_dictionaries(
        {"lat": st.floats(-90, 90), "lng": st.floats(-180, 180)}, optional={"label": st.text()}
    ),
    "object": st.dictionaries(st.text(), ANYTHING) | st.lists(ANYTHING),
    "money": st.floats(-1e13, 1e13) | st.decimals(-1000, 1000, places=2).map(str),
}
LOOSE: dict[str, dict[str, Any]] = {
    "choice": {"allow_other": True},
    "choices": {"allow_other": True},
    "text": {"several_lines": True, "max_length": 10_000},
}


@pytest.mark.parametrize("loose", [False, True], ids=["strict", "loose"])
@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_what_was_taken_once_is_taken_again(name: str, loose: bool, data: st.DataObject) -> None:
    kind = of(name, **(LOOSE.get(name, {}) if loose else {}))
    value = verdict(kind, data.draw(LIKELY[name] | ANYTHING))
    if isinstance(value, str) and value.startswith("takes "):
        return
    assert value is not None
    assert kind.parse(value) == value
    assert kind.parse(kind.typed(value)) == value
    written = json.dumps(value, ensure_ascii=False)
    written.encode()
    assert json.loads(written) == value
    assert type(kind.parse(json.loads(written))) is type(value)
    assert kind.render(value, ZoneInfo("Pacific/Kiritimati")).text
    assert kind.masked(value)


@given(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(0, 15))
def test_fifteen_digits_come_back_as_they_were_written(digits: int, places: int) -> None:
    sign, text = "-" if digits < 0 else "", str(abs(digits)).rjust(places + 1, "0")
    typed = f"{sign}{text[: len(text) - places]}.{text[len(text) - places :]}" if places else f"{sign}{text}"
    kind = of("decimal")
    shown = typed.rstrip("0").rstrip(".") if "." in typed else typed
    assert kind.typed(kind.parse(typed)) == ("0" if shown in ("-0", "") else shown)


# ── Text and its patterns


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+$", r"(.*)*x", r"^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_a_pattern_that_hangs_other_engines_ends_at_once(pattern: str) -> None:
    kind = of("text", pattern=pattern, max_length=10_000)
    began = time.perf_counter()
    verdict(kind, "a" * 5_000 + "!")
    verdict(kind, "a" * 5_000)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "the pattern cannot be used (missing ): (); it is RE2"),
        ("a**", "bad repetition operator"),
        (r"(?=a)b", "without look-around and back references"),
        (r"(a)\1", "without look-around and back references"),
        ("a\x00", "holds a character that cannot be stored"),
        ("((a{30}){30}){30}", "cannot be used"),
        (r"(\pL{1,500}\pN{1,400})", "the pattern is too large"),
        ("((.?){30}){30}", "the pattern is too large for texts of 10,000 characters"),
        ("a" * 201, "at most 200 characters"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_where_it_is_defined(pattern: str, why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        of("text", pattern=pattern, max_length=10_000)
    [problem] = caught.value.errors()
    assert why in problem["msg"]


def test_a_pattern_of_letters_in_any_script_is_no_large_one() -> None:
    assert of("text", pattern=r"[\pL\pM]{1,20}( [\pL\pM]{1,20})?").parse("संपर्क Łódź") == "संपर्क Łódź"


@pytest.mark.parametrize("name", ["text", "url"])
def test_what_is_filtered_by_fits_the_index(name: str) -> None:
    value = "https://example.com/" + "a" * INDEXED_TEXT
    kind = of(name, filterable=True, **({"max_length": 10_000} if name == "text" else {}))
    assert verdict(kind, value) == "takes at most 500 characters"
    assert kind.parse(value[:INDEXED_TEXT]) == value[:INDEXED_TEXT]


@pytest.mark.parametrize("start", ["", "https://a.b/", "a@b."])
@pytest.mark.parametrize("name", ["text", "phone", "email", "url", "choice"])
def test_no_text_is_too_long_for_an_index(name: str, start: str) -> None:
    kind = of(name, filterable=True, **LOOSE.get(name, {}))
    for length in (60, 100, 240, 480, 500, 2_000):
        assert len(verdict(kind, start + "𐍈" * length).encode()) < 2_704


def test_several_lines_are_typed_into_a_larger_field() -> None:
    assert of("text").editor is Editor.LINE
    assert of("text", several_lines=True).editor is Editor.PARAGRAPH


# ── Options


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("text", {"max_length": 0}, "greater than or equal to 1"),
        ("text", {"max_length": 10_001}, "less than or equal to 10000"),
        ("text", {"minimum": 1}, "Extra inputs"),
        ("integer", {"min": 2, "max": 1}, "the smallest value is larger than the largest"),
        ("integer", {"max": 2**53}, "less than or equal to"),
        ("decimal", {"min": float("nan")}, "finite number"),
        ("decimal", {"places": 11}, "less than or equal to 10"),
        ("date", {"min": "2026-01-02", "max": "2026-01-01"}, "the earliest date is after the latest"),
        ("choice", {"choices": ["a", "b", "a "]}, "“a” is used twice; each value must be different"),
        ("choice", {"choices": ["\n"]}, "a choice has a value"),
        ("choice", {"choices": ["x" * 101]}, "a choice has at most 100 characters"),
        ("choice", {"choices": [str(n) for n in range(201)]}, "at most 200 items"),
        ("choice", {"choices": []}, "there is nothing to choose"),
        ("choices", {"choices": "a, b"}, "valid tuple"),
        ("money", {"currency": "euro"}, "three capital letters"),
    ],
)
def test_options_that_cannot_be_are_refused(name: str, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        of(name, **options)
    assert why in str(caught.value)


@pytest.mark.parametrize("name", TYPES)
def test_options_are_kept_as_json_and_labelled_for_the_form(name: str) -> None:
    kind = of(name)
    kept = json.loads(json.dumps(kind.options.model_dump(mode="json", exclude_unset=True)))
    assert TYPES[name].Options.model_validate(kept) == kind.options
    assert all(field.title for field in TYPES[name].Options.model_fields.values())


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("text", {}, ""),
        ("text", {"pattern": "[A-Z]+"}, "[A-Z]+"),
        ("integer", {"min": 0, "max": 10}, "0–10"),
        ("integer", {"min": -5, "max": 10, "unit": "°C"}, "-5 to 10 °C"),
        ("integer", {"min": 0}, "≥ 0"),
        ("decimal", {"max": 2.5, "unit": "kg"}, "≤ 2.5 kg"),
        ("decimal", {"unit": "kg"}, "kg"),
        ("date", {"min": "2026-01-01"}, "from 2026-01-01"),
        ("choice", {}, "3"),
        ("choices", {"choices": [], "allow_other": True}, ""),
        ("money", {}, "EUR"),
    ],
)
def test_the_options_are_summed_up_after_the_label(name: str, options: dict[str, Any], words: str) -> None:
    assert of(name, **options).summary() == words


# ── How a value looks


@pytest.mark.parametrize(
    ("name", "value", "text", "options"),
    [
        ("text", "Delhi", "Delhi", {}),
        ("integer", 1987, "1987", {}),
        ("integer", 1234567, "1,234,567", {}),
        ("integer", -12, "-12 kg", {"unit": "kg"}),
        ("decimal", 2410.5, "2,410.50", {"places": 2}),
        ("decimal", 2410.5, "2,410.5", {}),
        ("decimal", 1e-05, "0.00001", {}),
        ("boolean", True, "Yes", {}),
        ("boolean", False, "No", {}),
        ("date", "0987-03-04", "4 Mar 987", {}),
        ("phone", "+919876543210", "+91 98765 43210", {}),
        ("phone", "+9999999999", "+9999999999", {}),
        ("url", "https://example.com/a/", "example.com/a", {}),
        ("image", "https://cdn.example.com/a/Desk%20oak.jpg?w=1", "Desk oak.jpg", {}),
        ("image", "https://cdn.example.com/", "cdn.example.com", {}),
        ("choice", "free", "Free plan", {}),
        ("choice", "gone", "gone", {}),
        ("location", {"lat": 28.5, "lng": 77.0, "label": "Saket"}, "Saket", {}),
        ("location", {"lat": 28.5, "lng": -0.000001}, "28.5, -0.000001", {}),
        ("object", {"sku": "LO-1"}, '{"sku":"LO-1"}', {}),
        ("money", 2410.0, "€ 2,410.00", {}),
        ("money", -5.0, "-€ 5.00", {}),
        ("money", 2410.0, "¥ 2,410", {"currency": "JPY"}),
        ("money", 5.0, "CHF 5.00", {"currency": "CHF"}),
    ],
)
def test_a_value_is_shown_as_people_write_it(
    name: str, value: Any, text: str, options: dict[str, Any]
) -> None:
    assert of(name, **options).render(value).text == text


def test_a_rounded_number_says_all_of_it_in_its_title() -> None:
    assert of("decimal", places=1).render(12345.678).title == "12,345.678"
    assert of("decimal", places=1).render(12.5).title == ""


def test_a_moment_is_shown_in_the_zone_of_the_reader() -> None:
    shown = of("datetime").render("2026-11-24T20:00:00+00:00", ZoneInfo("Asia/Kolkata"))
    assert (shown.text, shown.title) == ("25 Nov 2026, 01:30", "Wed 25 Nov 2026, 01:30 IST")


@pytest.mark.parametrize("value", ["0002-01-01T00:00:00+00:00", "9998-12-31T23:59:59.999999+00:00"])
@pytest.mark.parametrize("hours", [-23, 23])
def test_no_zone_leads_out_of_the_calendar(value: str, hours: int) -> None:
    assert of("datetime").render(value, timezone(timedelta(hours=hours))).text


def test_labels_stand_for_several_choices() -> None:
    shown = of("choices", choices=[{"value": "d", "label": "Desks"}, "lamps"]).render(["d", "lamps", "gone"])
    assert shown.tags == ("Desks", "lamps", "gone")
    assert shown.text == "Desks, lamps, gone"


@pytest.mark.parametrize("name", ["url", "image"])
def test_a_link_leads_where_its_title_says(name: str) -> None:
    shown = of(name).render("https://example.com/page")
    assert shown.url == shown.title == "https://example.com/page"


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        ("phone", "+919876543210", "•••• 3210"),
        ("email", "priya@example.com", "p••••••@example.com"),
        ("date", "2026-11-24", "•• ••• ••••"),
    ],
)
def test_a_mask_leaves_what_the_house_leaves(name: str, value: str, left: str) -> None:
    assert of(name).masked(value) == left


@pytest.mark.parametrize("case", [case for case in CASES if not case.sentence], ids=str)
def test_a_mask_leaves_no_more_than_a_domain_or_four_digits(case: Case) -> None:
    if len(str(case.value)) > 5 and case.type not in ("email", "phone"):
        assert set(of(case.type, **case.options).masked(case.value)) <= set("• ")


# ── Choices


def test_a_retired_choice_stays_a_value_and_is_not_named_as_one_to_take() -> None:
    kind = of("choice")
    assert kind.parse("gold") == "gold"
    assert [one.value for one in kind.choices() if not one.retired] == ["free", "pro", "enterprise"]
    assert "gold" not in verdict(kind, "silver")


def test_a_label_that_a_retired_choice_had_means_the_one_in_use() -> None:
    former, current = {"value": "p1", "label": "Pro", "retired": True}, {"value": "p2", "label": "Pro"}
    kind = of("choice", choices=[former, current])
    assert kind.parse("pro") == "p2"
    assert kind.parse("p1") == "p1"


def test_values_with_commas_are_typed_so_that_they_come_back() -> None:
    kind = of("choices", choices=["a", "b", "a, b"], allow_other=True)
    for value in (["a", "b"], ["a, b"], ["a", "b", "a, b"], ['["x"]'], ["x,y", "z"]):
        assert kind.parse(kind.typed(value)) == value


# ── The set


@pytest.mark.parametrize("name", TYPES)
def test_every_type_says_what_the_panel_needs(name: str) -> None:
    kind = TYPES[name]
    assert kind.label[0].isupper()
    assert kind.icon
    assert kind.__doc__
    assert kind.editor in Editor
    assert len(set(kind.operators)) == len(kind.operators)


def test_the_types_of_the_house_are_all_there() -> None:  # P2
    assert list(TYPES) == [
        "text", "integer", "decimal", "boolean", "date", "datetime", "phone", "email", "url", "choice",
        "choices", "location", "object", "image", "money",
    ]  # fmt: skip


def test_the_limits_are_the_same_for_text_and_object_of_json() -> None:
    kind = of("object")
    value = ["x" * (LONGEST_JSON - 4)]
    assert kind.parse(json.dumps(value, indent=4)) == kind.parse(value) == value


def test_a_moment_in_the_reader_s_zone_is_the_same_moment() -> None:
    kind = of("datetime")
    there = datetime(2026, 11, 24, 18, tzinfo=UTC).astimezone(ZoneInfo("Asia/Kolkata"))
    assert kind.parse(there.isoformat()) == "2026-11-24T18:00:00+00:00"
