"""The filter on the audience page: forms that lead to a view, and what each role can ask (A2-A5, A9)."""

import re
from typing import Any

import pytest
from flask import Flask

from core import Profile, audience, definitions, filters, values
from core.budget import TooSlow
from core.catalogue import catalogue
from core.clock import HeldClock
from core.conditions import Condition
from core.definitions import Draft
from core.filters import Filter, Joining
from core.models import Deployment, StoredView, User
from core.values import Value
from fake_channel import deploy, says, user_of
from panel import PLUGINS as PANEL
from panel import Desk, attributes, employ, words
from test_audience_page import counted_queries

PLUGINS = PANEL
PEOPLE = {"Asha": ("Delhi", 41, "pro"), "Ben": ("Berlin", 7, "free"), "Chi": (None, 99, "pro")}


@pytest.fixture
def desk(app: Flask) -> Desk:
    """An agent at a browser."""
    return Desk(app, employ("agent"))


@pytest.fixture
def people(app: Flask, clock: HeldClock) -> dict[str, User]:
    """Three people with a city, an age, a plan, and a personal secret."""
    choices = {"choices": [{"value": "free", "label": "Free plan"}, {"value": "pro", "label": "Pro plan"}]}
    definitions.apply(
        creates=[
            Draft(key="city", label="City", type="text"),
            Draft(key="age", label="Age", type="integer"),
            Draft(key="plan", label="Plan", type="choice", options=choices),
            Draft(key="paid", label="Paid", type="datetime"),
            Draft(key="home", label="Home", type="location"),
            Draft(key="note", label="Note", type="text", filterable=False),
            Draft(key="secret", label="Secret", type="text", personal=True),
        ]
    )
    known = catalogue(fresh=True).by_key
    fake = deploy()
    found = {}
    for name, (city, age, plan) in PEOPLE.items():
        clock.advance(minutes=1)
        found[name] = user_of(says(fake, name, profile=Profile(name=name)))
        drawn = {"city": city, "age": age, "plan": plan, "secret": f"s-{name}", "note": f"n-{name}"}
        values.store(found[name].id, {known[key]: Value(value) for key, value in drawn.items()})
    return found


def kept(*conditions: tuple[Any, ...], joined: Joining = Joining.ALL, text: str = "") -> str:
    """Return the key of a view."""
    return filters.keep(Filter(tuple(Condition(*one) for one in conditions), joined, text))


def names(answer: Any) -> list[str]:
    """Return the names in the list, from the top."""
    return [row.split("</bdi>")[0].rpartition("<bdi>")[2] for row in answer.text.split("au-user__n")[1:]]


def chips(answer: Any) -> list[str]:
    """Return what the chips say."""
    found = re.findall(r'<li class="au-chip.*?</li>', answer.text, re.DOTALL)
    return [words(one).removeprefix("Edit condition ") for one in found]


def view_in(answer: Any) -> str:
    """Return the key in an address that a form led to."""
    found = re.search(r"[?&]view=(\w+)", answer.location)
    return found[1] if found else ""


# Forms, without scripts


def test_a_filter_is_built_by_forms_alone(people: dict[str, User], desk: Desk) -> None:  # A2, A3, A4
    page = desk.get("/audience/?edit=new")
    link = next(one for one in attributes(page, "href") if "property=age" in one)
    page = desk.get(link)
    assert [one for one in attributes(page, "name") if one == "operator"]
    answer = desk.post("/audience/filter", do="condition", property="age", operator=">", value="8")
    assert answer.status_code == 303
    assert "8" not in answer.location.split("view=")[0]
    page = desk.get(answer.location)
    assert chips(page) == ["1 Age > 8"]
    assert names(page) == ["Chi", "Asha"]
    assert "2 of 3 users" in words(page)
    answer = desk.post(
        "/audience/filter",
        view=view_in(answer),
        do="condition",
        property="city",
        operator="is",
        value="Berlin",
    )
    assert names(desk.get(answer.location)) == []
    assert "No user matches this filter" in words(desk.get(answer.location))
    answer = desk.post("/audience/filter", view=view_in(answer), join="any")
    assert names(desk.get(answer.location)) == ["Chi", "Ben", "Asha"]
    answer = desk.post("/audience/filter", view=view_in(answer), do="expression", text="not 1 and 2")
    page = desk.get(answer.location)
    assert names(page) == ["Ben"]
    assert "not (Age > 8) AND City is Berlin" in words(page)
    answer = desk.post("/audience/filter", view=view_in(answer), remove="1")
    page = desk.get(answer.location)
    assert chips(page) == ["1 City is Berlin"]
    assert 'value="1"' in page.text
    answer = desk.post("/audience/filter", view=view_in(answer), do="clear")
    assert answer.location == "/audience/"


def test_a_condition_is_edited_in_its_place(people: dict[str, User], desk: Desk) -> None:
    view = kept(("age", ">", (8,)), ("city", "exists"))
    page = desk.get(f"/audience/?view={view}&edit=1")
    assert 'id="condition-v1" name="value" type="text" value="8"' in page.text
    answer = desk.post(
        "/audience/filter", view=view, do="condition", number="1", property="age", operator="between",
        value=["5", "10"],
    )  # fmt: skip
    page = desk.get(answer.location)
    assert chips(page) == ["1 Age is between 5 and 10", "2 City exists"]
    assert names(page) == ["Ben"]


def test_another_operator_shows_its_fields_and_keeps_what_was_typed(
    people: dict[str, User], desk: Desk
) -> None:
    form = {"do": "look", "property": "age", "value": "8"}
    assert desk.post("/audience/filter", operator=">", **form).text.count('name="value"') == 1
    page = desk.post("/audience/filter", operator="between", **form)
    assert page.status_code == 200
    assert page.text.count('name="value" type="text"') == 2
    assert 'value="8"' in page.text
    assert (
        'name="value"'
        not in desk.post("/audience/filter", operator="exists", **form).text.split("au-find")[0]
    )
    assert StoredView.select().count() == 0


@pytest.mark.parametrize(
    ("form", "said", "found"),
    [
        ({"property": "plan", "operator": "is", "value": "pro"}, "Plan is Pro plan", ["Chi", "Asha"]),
        ({"property": "plan", "operator": "is one of", "value": ["free", "pro"]}, "Free plan, Pro plan", 3),
        ({"property": "city", "operator": "is one of", "lines": "Delhi\r\n\nBerlin "}, "Delhi, Berlin", 2),
        ({"property": "city", "operator": "is not", "value": "Delhi"}, "City is not Delhi", ["Chi", "Ben"]),
        ({"property": "city", "operator": "does not exist"}, "City does not exist", ["Chi"]),
        ({"property": "handler", "operator": "is", "value": "bot"}, "Handler is Bot", 3),
        ({"property": "last_channel", "operator": "is", "value": "fake"}, "Last channel is Fake", 3),
        (
            {"property": "last_seen", "operator": "in the last", "value": "90", "unit": "minutes"},
            "90 minutes",
            3,
        ),
        ({"property": "paid", "operator": "is after", "value": "2026-01-01", "time": ""}, "2026-01-01", 0),
        (
            {"property": "home", "operator": "is within", "value": ["5", "28.6, 77.2 Saket"]},
            "5 km of Saket",
            0,
        ),
        ({"property": "name", "operator": "starts with", "value": "as"}, "Name starts with as", ["Asha"]),
        ({"property": "labels", "operator": "has none of", "lines": "vip"}, "Labels has none of vip", 3),
    ],
)
def test_each_kind_of_value_has_its_fields(
    people: dict[str, User], desk: Desk, form: dict[str, Any], said: str, found: Any
) -> None:  # A5
    answer = desk.post("/audience/filter", do="condition", **form)
    page = desk.get(answer.location)
    assert said in chips(page)[0]
    assert names(page) == found if isinstance(found, list) else len(names(page)) == found
    again = desk.get(f"{answer.location}&edit=1")
    assert again.status_code == 200
    editor = again.text.split("data-condition")[1].split("</form>")[0]
    for value in [form.get("value", [])] if isinstance(form.get("value"), str) else form.get("value", []):
        assert value in editor


def test_a_time_is_that_of_the_reader(people: dict[str, User], desk: Desk) -> None:
    desk.http.set_cookie("parley_zone", "Asia/Kolkata")
    form = {"property": "paid", "operator": "is before", "value": "2026-11-24", "time": "05:30"}
    answer = desk.post("/audience/filter", do="condition", **form)
    given = filters.kept(view_in(answer))
    assert given is not None
    assert given.conditions[0].operands == ("2026-11-24T00:00:00+00:00",)
    page = desk.get(f"{answer.location}&edit=1")
    assert chips(page) == ["1 Paid is before 24 Nov 2026, 05:30"]
    assert 'value="05:30"' in page.text


# Search, order, pages, columns


def test_search_order_and_filter_go_together(people: dict[str, User], desk: Desk) -> None:  # A7, A9
    view = kept(("plan", "is", ("pro",)))
    page = desk.get(f"/audience/?view={view}&search=as")
    assert names(page) == ["Asha"]
    assert f'name="view" value="{view}"' in page.text
    page = desk.get(f"/audience/?view={view}&sort=name")
    assert names(page) == ["Asha", "Chi"]
    answer = desk.post("/audience/filter", view=view, join="any", search="a", sort="name", desc="1")
    assert re.fullmatch(r"/audience/\?view=\w+&search=a&sort=name&desc=1", answer.location)
    assert names(desk.parts(f"/audience/rows?view={view}&sort=p.age&desc=1")) == ["Chi", "Asha"]


def test_the_pages_of_a_filter_keep_it(
    people: dict[str, User], desk: Desk, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Deployment.get()
    for number in range(60):
        clock.advance(seconds=1)
        says(fake, f"u{number}", profile=Profile(name=f"User {number:02}"))
    view = kept(("age", "does not exist"))
    seen = []
    for counted in (10_000, 5):
        monkeypatch.setattr(audience, "COUNTED", counted)
        page = desk.get(f"/audience/?view={view}")
        older = next(one for one in attributes(page, "href") if "older=" in one)
        seen.append(names(page) + names(desk.get(older)))
    assert seen[0] == seen[1] == [f"User {number:02}" for number in range(59, -1, -1)]
    assert "5+ of" in words(page)
    exact = next(one for one in attributes(page, "href") if "count=exact" in one)
    assert "60 of" in words(desk.get(exact))


def test_any_property_is_a_column_in_the_order_that_was_chosen(
    people: dict[str, User], desk: Desk
) -> None:  # A1
    chosen = ["p.plan", "p.note", "country", "p.age", "p.secret", "p.nothing", "p.city"]
    desk.post("/audience/columns", column=chosen, next="/audience/")
    page = desk.get("/audience/")
    heads = re.findall(r'<th scope="col".*?</th>', page.text, re.DOTALL)
    assert [words(one) for one in heads] == ["User", "Plan", "Note", "Country", "Age", "Secret", "City"]
    row = re.findall(r"<tr data-key.*?</tr>", page.text, re.DOTALL)[2]
    assert words(row).split("contact yet ")[1] == "Pro plan n-Asha – 41 s-Asha Delhi"
    assert "sort=p.age&amp;desc=1" in page.text
    assert "sort=p.note" not in page.text
    desk.post("/audience/columns", column=["p.plan", "p.age"], up="p.age", next="/audience/")
    heads = re.findall(r'<th scope="col".*?</th>', desk.get("/audience/").text, re.DOTALL)
    assert [words(one) for one in heads] == ["User", "Age", "Plan"]


def test_a_changed_value_or_definition_shows_at_once(people: dict[str, User], desk: Desk) -> None:
    desk.post("/audience/columns", column=["p.plan"], next="/audience/")
    assert "Pro plan" in words(desk.get("/audience/"))
    known = catalogue(fresh=True).by_key
    for user in people.values():
        values.store(user.id, {known["plan"]: Value("free")})
    assert "Pro plan" not in desk.get("/audience/rows").text
    assert "Free plan" in desk.get("/audience/rows").text


# What is refused


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (
            {"do": "condition", "property": "age", "operator": ">", "value": "abc"},
            "`age` takes a whole number.",
        ),
        ({"do": "condition", "property": "nothing", "operator": ">", "value": "1"}, "Pick another."),
        ({"do": "expression", "text": "1 AND (1 OR"}, "Expected a number or ( after OR, at the end."),
        ({"do": "expression", "text": "1 AND 9"}, "There is no condition 9, at character 7"),
        ({"do": "expression", "text": "1 OR " * 2048}, "2,000 are read"),
        ({"do": "expression", "text": ""}, "Expected a number or (, at the end."),
        (
            {"do": "expression", "text": "1;<script>alert(1)</script>"},
            "Expected AND or OR after 1, at character 2.",
        ),
        ({"do": "explode"}, "the form does not say what to do"),
        ({}, "the form does not say what to do"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_the_list_before_it_stands(
    people: dict[str, User], desk: Desk, form: dict[str, str], sentence: str
) -> None:
    view = kept(("plan", "is", ("pro",)))
    stored = StoredView.select().count()
    page = desk.post("/audience/filter", view=view, **form)
    assert page.status_code == 422
    assert sentence in words(page)
    assert names(page) == ["Chi", "Asha"]
    assert "<script>alert" not in page.text
    fragment = desk.post("/audience/filter", script=True, view=view, **form)
    assert fragment.status_code == 422
    assert sentence in words(fragment)
    assert "<html" not in fragment.text
    assert StoredView.select().count() == stored


@pytest.mark.parametrize(
    "text", ['\'; DROP TABLE "user"; --', "%_\\", "\u202exyz", "\ud800", "a\x00b", "x" * 5000]
)
@pytest.mark.parametrize(
    "field", ["view", "property", "operator", "value", "number", "text", "remove", "join", "do"]
)
def test_hostile_text_in_every_field_is_no_error_of_the_server(
    people: dict[str, User], desk: Desk, field: str, text: str
) -> None:
    text = text.encode("utf-8", "replace").decode()
    form = {
        "view": kept(("age", ">", (1,))),
        "do": "condition",
        "property": "city",
        "operator": "is",
        "value": "x",
    }
    assert desk.post("/audience/filter", **{**form, field: text}).status_code in (303, 422)
    assert desk.post("/audience/filter", **{**form, "do": "expression", field: text}).status_code in (
        303,
        422,
    )
    for argument in ("view", "edit", "property", "sort", "count"):
        assert desk.get("/audience/", query_string={argument: text, "edit": "new"}).status_code == 200
    assert User.select().count() == 3


def test_a_link_to_a_view_that_is_not_there_says_so(people: dict[str, User], desk: Desk) -> None:
    page = desk.get("/audience/?view=0123456789abcdef0123")
    assert "The filter of this link is not there any more." in words(page)
    assert names(page) == []


def test_a_property_that_was_archived_since_is_named_and_the_rest_can_be_kept(
    people: dict[str, User], desk: Desk
) -> None:
    view = kept(("city", "is", ("Delhi",)), ("age", ">", (8,)))
    assert names(desk.get(f"/audience/?view={view}")) == ["Asha"]
    definitions.archive("city")
    catalogue(fresh=True)
    page = desk.get(f"/audience/?view={view}")
    assert page.status_code == 200
    assert "Condition 1: there is no property `city` any more. Pick another." in words(page)
    assert names(page) == []
    assert chips(page) == ["1 City", "2 Age > 8"]
    assert desk.get(f"/audience/?view={view}&edit=1").status_code == 200
    answer = desk.post("/audience/filter", view=view, remove="1")
    assert names(desk.get(answer.location)) == ["Chi", "Asha"]


def test_a_list_for_which_there_is_no_time_says_so(
    people: dict[str, User], desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any, **__: Any) -> None:
        raise TooSlow(10)

    monkeypatch.setattr("admin.views.audience.audience.page", slow)
    page = desk.get(f"/audience/?view={kept(('age', '>', (8,)))}")
    assert page.status_code == 503
    assert "The database took longer than 10 s to answer. Your filter is kept." in words(page)
    assert chips(page) == ["1 Age > 8"]


# Roles


@pytest.mark.parametrize("key", ["secret", "phone", "email", "name"])
def test_who_does_not_see_a_value_does_not_filter_sort_or_count_by_it(
    app: Flask, people: dict[str, User], desk: Desk, key: str
) -> None:
    User.update(phone="+4915112345678", email="asha@example.com").where(User.name == "Asha").execute()
    auditor = Desk(app, employ("auditor"))
    value = {"secret": "s-Asha", "phone": "+4915112345678", "email": "asha@example.com", "name": "Asha"}[key]
    view = kept((key, "is", (value,)), ("age", ">", (8,)))
    assert names(desk.get(f"/audience/?view={view}")) == ["Asha"]
    for path in ("/audience/", "/audience/rows", "/audience/filter", "/audience/counts"):
        page = auditor.get(f"{path}?view={view}")
        assert page.status_code == 200
        assert value not in page.text
        assert names(page) == []
        assert not re.search(r"\b1 of 3 users|data-condition=", page.text)
    assert f"your role does not see `{key}`" in words(auditor.get(f"/audience/?view={view}"))
    assert chips(auditor.get(f"/audience/?view={view}"))[0] == "1 Hidden from your role"
    assert value not in auditor.get(f"/audience/?view={view}&edit=1").text
    form = {"do": "condition", "property": key, "operator": "is", "value": value}
    assert auditor.post("/audience/filter", **form).status_code == 422
    changed = auditor.post("/audience/filter", view=view, do="expression", text="1 OR 2")
    assert names(auditor.get(changed.location)) == []
    picker = auditor.get("/audience/?edit=new").text
    assert f"property={key}" not in picker
    assert "property=age" in picker
    plain = names(auditor.get("/audience/"))
    assert (
        names(auditor.get(f"/audience/?sort=p.{key}"))
        == names(auditor.get(f"/audience/?sort={key}"))
        == plain
    )
    auditor.post("/audience/columns", column=["p.secret", "p.phone", "p.email"], next="/audience/")
    masked = auditor.get("/audience/").text
    assert "••" in masked
    assert "s-Asha" not in masked
    assert "asha@example.com" not in masked
    assert "5112345" not in masked


def test_a_filter_needs_a_login(app: Flask, people: dict[str, User]) -> None:
    stranger = Desk(app, None)
    assert stranger.post("/audience/filter", do="clear").status_code in (302, 401)
    assert stranger.get("/audience/counts").status_code == 302


# Counts and cost


def test_counts_come_by_a_request_of_their_own(people: dict[str, User], desk: Desk) -> None:  # A3
    conditions = (("age", ">", (8,)), ("city", "is", ("Berlin",)), ("plan", "is", ("pro",)))
    view = kept(*conditions, joined=Joining.CUSTOM, text="1 AND (2 OR 3)")
    answer = desk.parts(f"/audience/counts?view={view}").text
    assert re.findall(r'data-condition="(\d)">([^<]+)<', answer) == [("1", "2"), ("2", "1"), ("3", "2")]
    assert re.findall(r'data-group="([^"]+)">([^<]+)<', answer) == [("2 OR 3", "3")]
    assert f"/audience/counts?view={view}" in desk.get(f"/audience/?view={view}").text.replace("&amp;", "&")


def test_columns_and_conditions_cost_no_query_per_row(people: dict[str, User], desk: Desk) -> None:
    desk.post("/audience/columns", column=["p.plan", "p.note", "p.age"], next="/audience/")
    for number in range(40):
        says(Deployment.get(), f"u{number}")
    ran = []
    for condition in (("age", ">", (1,)), ("age", "does not exist")):
        address = f"/audience/?view={kept(condition)}"
        desk.get(address)
        with counted_queries() as queries:
            desk.get(address)
        ran.append([one for one in queries if "property_version" not in one])
    assert len(ran[0]) == len(ran[1]) <= 14, ran
