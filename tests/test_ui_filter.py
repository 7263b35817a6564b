"""The filter of the audience in a real browser: by mouse, by keyboard alone, and what axe finds."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from admin.views.audience import MOST_IN_PAGE
from core import Profile, definitions, values
from core.catalogue import catalogue
from core.definitions import Draft
from core.models import Deployment, Operator
from core.values import Value
from fake_channel import deploy, says, user_of
from office import Office, flaws, sideways
from panel import PLUGINS as PANEL
from panel import employ

PLUGINS = PANEL
ONLY_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PEOPLE = {
    "Asha": ("pro", "Delhi", 300),
    "Ben": ("pro", "Berlin", 2000),
    "Chi": ("pro", "Lagos", 10),
    "Dee": ("free", "Delhi", 5000),
}

expect.set_options(timeout=15_000)  # of a machine that does much else


@pytest.fixture
def office(app: Flask, browser: Browser) -> Iterator[Office]:
    """The panel under a server, with people who have a plan, a city and a value."""
    fake = deploy()
    choices = {"choices": ["free", "pro"]}
    definitions.apply(
        creates=[
            Draft(key="plan", label="Plan", type="choice", options=choices),
            Draft(key="city", label="City", type="text"),
            Draft(key="ltv", label="Lifetime value", type="integer"),
        ]
    )
    for name, drawn in PEOPLE.items():
        add(fake, name, *drawn)
    office = Office(app, browser)
    yield office
    office.close()


@pytest.fixture
def maya(app: Flask) -> Operator:
    """An agent."""
    return employ("agent", name="Maya Okonkwo")


def add(fake: Deployment, name: str, plan: str, city: str, ltv: int) -> None:
    """Let somebody write of whom three properties are known."""
    user = user_of(says(fake, name, profile=Profile(name=name)))
    known = catalogue(fresh=True).by_key
    given = {"plan": plan, "city": city, "ltv": ltv}
    values.store(user.id, {known[key]: Value(value) for key, value in given.items()})


def chips(page: Page) -> list[str]:
    """Return what the chips say, with their counts."""
    return [" ".join(one.split()) for one in page.locator(".au-chip > a").all_inner_texts()]


def names(page: Page) -> list[str]:
    """Return who is listed."""
    return page.locator("tbody .au-user__n bdi").all_inner_texts()


def pick(page: Page, label: str) -> None:
    """Pick a property for a new condition, by mouse."""
    page.get_by_role("button", name="Add filter").click()
    page.get_by_role("dialog", name="Pick a property").get_by_role("link", name=re.compile(label)).click()
    expect(page.get_by_role("dialog", name="New condition")).to_be_visible()


@ONLY_SQLITE
def test_a_filter_is_built_by_mouse_with_live_counts(
    office: Office, maya: Operator
) -> None:  # A2, A3, A4, A9
    page = office.page(maya, "/audience/")
    pick(page, "Plan")
    page.get_by_label("Value", exact=True).select_option("pro")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#filter-count")).to_have_text("3 of 4 users")
    pick(page, "City")
    page.get_by_label("Value", exact=True).fill("Delhi")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#filter-count")).to_have_text("1 of 4 users")
    pick(page, "Lifetime value")
    page.get_by_label("Operator").select_option(">")
    page.get_by_label("Value", exact=True).fill("1000")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#filter-count")).to_have_text("0 of 4 users")
    expect(page.get_by_text("No user matches this filter")).to_be_visible()
    page.get_by_role("button", name="Custom").click()
    expect(page.locator("#expression")).to_be_focused()
    expect(page.locator("#expression")).to_have_value("1 AND 2 AND 3")
    page.locator("#expression").fill("1 AND (2 OR 3)")
    expect(page.locator("#filter-count")).to_have_text("2 of 4 users")
    assert names(page) == ["Ben", "Asha"]
    expect(page.locator("#expression-h")).to_contain_text(
        "Plan is pro AND (City is Delhi OR Lifetime value > 1000)"
    )
    expect(page.locator("[data-groups]")).to_have_text("2 OR 3: 3")
    expect(page.locator('[data-count-of="3"]')).to_have_text("2")
    assert [one.removeprefix("Edit condition ") for one in chips(page)] == [
        "1 Plan is pro 3",
        "2 City is Delhi 2",
        "3 Lifetime value > 1000 2",
    ]
    assert re.search(r"/audience/\?view=\w+$", page.url)
    page.get_by_label("Remove condition 2").click()
    expect(page.locator("#expression")).to_have_value("1 AND 2")
    expect(page.locator("#filter-count")).to_have_text("1 of 4 users")
    page.go_back()
    expect(page.locator("#expression")).to_have_value("1 AND (2 OR 3)")
    expect(page.locator("#filter-count")).to_have_text("2 of 4 users")
    page.reload()
    expect(page.locator("#expression")).to_have_value("1 AND (2 OR 3)")
    assert names(page) == ["Ben", "Asha"]
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#count")).to_have_text("4 users")
    assert page.url.endswith("/audience/")
    assert office.errors == []


@ONLY_SQLITE
def test_a_filter_is_built_by_keyboard_alone(office: Office, maya: Operator) -> None:  # A2, A4
    page = office.page(maya, "/audience/")
    keys = page.keyboard

    def add_condition(find: str, steps: list[str]) -> None:
        page.locator("#add-condition").focus()
        keys.press("Enter")
        expect(page.locator("[data-find-property]")).to_be_focused()
        keys.type(find)
        keys.press("ArrowDown")
        keys.press("Enter")
        expect(page.locator("#condition-v1")).to_be_focused()
        for step in steps:
            if step.startswith(":"):
                keys.type(step[1:])
            else:
                keys.press(step)
        expect(page.locator("[data-filter-pop]")).to_have_count(0)
        expect(page.locator("#add-condition")).to_be_focused()

    add_condition("plan", [":pro", "Tab", "Enter"])
    add_condition("city", [":Delhi", "Enter"])
    page.locator("#add-condition").focus()
    keys.press("Enter")
    expect(page.locator("[data-find-property]")).to_be_focused()
    keys.type("lifetime")
    keys.press("Enter")
    expect(page.locator("#condition-v1")).to_be_focused()
    keys.press("Shift+Tab")
    keys.type(">")
    expect(page.locator("#condition-o")).to_be_focused()
    keys.press("Tab")
    keys.type("1000")
    keys.press("Enter")
    expect(page.locator(".au-chip")).to_have_count(3)
    expect(page.locator("#filter-count")).to_have_text("0 of 4 users")
    page.locator("tbody, .au-empty").first.evaluate("() => document.activeElement.blur()")
    keys.press("/")
    expect(page.locator("#expression")).to_be_focused()
    keys.press("Control+a")
    keys.type("1 and (2 or 3)", delay=20)
    expect(page.locator("#filter-count")).to_have_text("2 of 4 users")
    expect(page.locator("#expression")).to_have_value("1 and (2 or 3)")
    expect(page.locator("#expression")).to_be_focused()
    expect(page.get_by_role("button", name="Custom")).to_have_attribute("aria-pressed", "true")
    page.locator("#condition-2").focus()
    keys.press("Enter")
    expect(page.locator("#condition-v1")).to_be_focused()
    keys.press("Escape")
    expect(page.locator("[data-filter-pop]")).to_have_count(0)
    expect(page.locator("#condition-2")).to_be_focused()
    assert office.errors == []


@ONLY_SQLITE
def test_an_expression_that_is_wrong_keeps_the_list_and_names_the_place(
    office: Office, maya: Operator
) -> None:  # A4
    page = office.page(maya, "/audience/")
    pick(page, "Plan")
    page.get_by_label("Value", exact=True).select_option("pro")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#filter-count")).to_have_text("3 of 4 users")
    page.locator("#expression").fill("1 AND 7")
    expect(page.get_by_text("There is no condition 7, at character 7")).to_be_visible()
    expect(page.locator(".au-exprat mark")).to_have_text("7")
    assert names(page) == ["Chi", "Ben", "Asha"]
    expect(page.locator("#expression")).to_have_value("1 AND 7")
    page.locator("#condition-1").click()
    page.get_by_label("Operator").select_option("is one of")
    page.get_by_label("pro", exact=True).uncheck()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("`plan` is compared with 1 to 200 values")).to_be_visible()
    assert names(page) == ["Chi", "Ben", "Asha"]
    page.get_by_label("free", exact=True).check()
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#filter-count")).to_have_text("1 of 4 users")
    office.errors.clear()  # the browser notes the status 422


@ONLY_SQLITE
def test_somebody_new_appears_under_a_filter_only_if_it_picks_them(office: Office, maya: Operator) -> None:
    page = office.page(maya, "/audience/")
    pick(page, "Messages received")
    page.get_by_label("Operator").select_option(">")
    page.get_by_label("Value", exact=True).fill("1")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#filter-count")).to_have_text("0 of 4 users")
    says(Deployment.get(), "Asha", "again")
    expect(page.locator("#filter-count")).to_have_text("1 of 4 users")
    says(Deployment.get(), "Eve", profile=Profile(name="Eve"))
    expect(page.locator("#filter-count")).to_have_text("1 of 5 users")
    assert names(page) == ["Asha"]
    page.get_by_label("Search users").fill("ben")
    expect(page.locator("#filter-count")).to_have_text("0 of 5 users")
    assert "view=" in page.url
    assert office.errors == []


@ONLY_SQLITE
def test_columns_are_put_in_order_by_keyboard(office: Office, maya: Operator) -> None:  # A1
    page = office.page(maya, "/audience/")
    page.locator("#columns summary").click()
    page.get_by_label("Find a column").fill("lifetime")
    page.get_by_label("Lifetime value").check()
    page.get_by_role("button", name="Show these columns").click()
    expect(page.locator("th").last).to_have_text("Lifetime value")
    page.locator("#columns summary").click()
    grip = page.get_by_label("Move Lifetime value up")
    grip.focus()
    page.keyboard.press("Alt+ArrowUp")
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#said")).to_have_text("Lifetime value: column 4 of 6")
    page.get_by_role("button", name="Show these columns").click()
    expect(page.locator("th").nth(4)).to_have_text("Lifetime value")
    page.get_by_role("link", name="Lifetime value").first.click()
    expect(page.locator("th[aria-sort]")).to_have_text("Lifetime value")
    assert names(page) == ["Dee", "Ben", "Asha", "Chi"]
    assert office.errors == []


@ONLY_SQLITE
def test_one_of_hundreds_of_columns_is_found_and_shown(office: Office, maya: Operator) -> None:  # A1
    definitions.apply(
        creates=[
            Draft(key=f"many_{number}", label=f"Many {number}", filterable=False)
            for number in range(MOST_IN_PAGE)
        ]
    )
    page = office.page(maya, "/audience/")
    page.locator("#columns summary").click()
    page.get_by_label("Find a column").fill("many 77")
    page.get_by_label("Many 77").check()
    page.get_by_role("button", name="Show these columns").click()
    expect(page.get_by_role("columnheader", name="Many 77")).to_be_visible()
    assert office.errors == []


@ONLY_SQLITE
@pytest.mark.parametrize("size", [(1440, 900), (1280, 720), (390, 844)])
def test_the_filter_is_usable_by_everybody(office: Office, maya: Operator, size: tuple[int, int]) -> None:
    page = office.page(maya, "/audience/", viewport={"width": size[0], "height": size[1]})
    for label, value in (("City", "Delhi"), ("Lifetime value", "300")):
        pick(page, label)
        page.get_by_label("Value", exact=True).fill(value)
        page.get_by_role("button", name="Apply").click()
        expect(page.locator("[data-filter-pop]")).to_have_count(0)
    expect(page.locator("#filter-count")).to_have_text("1 of 4 users")
    expect(page.locator('[data-count-of="2"]')).to_have_text("1")
    assert flaws(page) == []
    page.locator("#condition-1").click()
    expect(page.locator("#condition-v1")).to_be_focused()
    assert sideways(page) == 0
    assert flaws(page) == []
    box = page.locator("[data-filter-pop]").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= size[0]
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add filter").click()
    expect(page.locator("[data-find-property]")).to_be_focused()
    assert flaws(page) == []
