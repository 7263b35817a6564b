"""The page of definitions in a real browser: define, order, mend, adopt; what axe finds, and a phone."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, Dialog, Locator, Page, expect

from core import definitions, properties, proposals
from core.catalogue import Writer, catalogue
from core.definitions import Draft
from core.models import Operator, Origin, User
from office import PHONE, Office, flaws, sideways
from panel import PLUGINS as PANEL
from panel import employ

PLUGINS = PANEL
ONLY_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
LIST = "/properties/"
BOT = Writer(Origin.BOT, "Robo", groups=frozenset({"bot"}))


@pytest.fixture
def office(app: Flask, browser: Browser) -> Iterator[Office]:
    """The panel under a server, with a worker."""
    office = Office(app, browser)
    yield office
    office.close()


@pytest.fixture
def admin(app: Flask) -> Operator:
    """An admin."""
    return employ("admin", name="Nadia Bell")


@pytest.fixture
def abc(app: Flask) -> None:
    """Three pinned properties and one that is not."""
    definitions.apply([Draft(key=key, label=key.upper()) for key in "abcd"])
    definitions.pin(["a", "b", "c"])


def pinned() -> list[str]:
    """Return the keys of the top panel, in order."""
    return [one.key for one in catalogue(fresh=True).active if one.pinned is not None]


def shown(page: Page) -> list[str]:
    """Return the keys of the top panel, as the page has them."""
    rows = page.locator('tbody[data-group="pinned"] tr[data-key]')
    return [row.get_attribute("data-key") or "" for row in rows.all()]


def row(page: Page, key: str) -> Locator:
    """Return a row of the table."""
    return page.locator(f'tr[data-key="{key}"]')


def drawer(page: Page) -> Locator:
    """Return the open drawer."""
    return page.locator("#drawer[open]")


def said(page: Page) -> Locator:
    """Return what screen readers are told."""
    return page.locator("dialog[open] [data-said], body:not(:has(dialog[open])) [data-said]")


def fill_choice(page: Page, number: int, value: str, label: str) -> None:
    """Add a choice and fill it in."""
    drawer(page).get_by_role("button", name="Add choice").click()
    page.get_by_label(f"Value {number}", exact=True).fill(value)
    page.get_by_label(f"Shown as {number}", exact=True).fill(label)


@ONLY_SQLITE
def test_an_admin_defines_plan_and_mends_what_was_wrong(office: Office, admin: Operator) -> None:  # P2, P4
    page = office.page(admin, LIST)
    page.get_by_role("link", name="New property").click()
    page.get_by_label("Label", exact=True).fill("Plan")
    expect(page.get_by_label("Key", exact=True)).to_have_value("plan")
    expect(drawer(page).get_by_text("Free. Cannot change later.")).to_be_visible()
    page.get_by_role("radio", name="Choice", exact=True).check()
    expect(drawer(page).get_by_role("group", name="Choices")).to_be_visible()
    fill_choice(page, 1, "free", "Free")
    fill_choice(page, 2, "free", "Pro")
    drawer(page).get_by_role("switch", name="Pin to the top panel").check()
    drawer(page).get_by_role("button", name="Create property").last.click()
    expect(drawer(page).get_by_text("“free” is used twice")).to_be_visible()
    expect(drawer(page).get_by_text("1 problem to fix")).to_be_visible()
    expect(page.get_by_label("Value 2", exact=True)).to_be_focused()
    page.get_by_label("Value 2", exact=True).fill("pro")
    expect(drawer(page).get_by_text("one of free, pro")).to_be_visible()
    drawer(page).get_by_role("button", name="Create property").last.click()
    expect(page.get_by_text("“Plan” is defined, and in use.")).to_be_visible()
    expect(row(page, "plan").get_by_role("switch", name="Pin Plan")).to_be_checked()
    assert pinned()[-1] == "plan"
    [failed] = office.errors  # the browser's own note of the 422 that was meant
    assert "422" in failed


@ONLY_SQLITE
def test_pinned_ones_are_put_in_order_by_keys_and_by_mouse(
    office: Office, admin: Operator, abc: None
) -> None:
    page = office.page(admin, LIST)
    grip = row(page, "c").get_by_role("button", name="Move C")
    grip.focus()
    with page.expect_response("**/properties/c/move"):
        grip.press("Alt+ArrowUp")
    expect(said(page)).to_have_text("C, 2 of 3")
    expect(grip).to_be_focused()
    assert shown(page) == pinned() == ["a", "c", "b"]

    start = row(page, "a").get_by_role("button", name="Move A").bounding_box()
    end = row(page, "b").bounding_box()
    assert start is not None
    assert end is not None
    page.mouse.move(start["x"] + 8, start["y"] + 8)
    page.mouse.down()
    with page.expect_response("**/properties/a/move"):
        page.mouse.move(end["x"] + 20, end["y"] + end["height"] / 4, steps=4)
        page.mouse.move(end["x"] + 20, end["y"] + end["height"] * 0.8, steps=4)
        page.mouse.up()
    assert shown(page) == pinned() == ["c", "b", "a"]
    assert office.errors == []


@ONLY_SQLITE
def test_a_switch_saves_at_once_and_the_row_finds_its_group(
    office: Office, admin: Operator, abc: None
) -> None:
    page = office.page(admin, LIST)
    row(page, "d").get_by_role("switch", name="Pin D").press(" ")
    expect(page.locator('tbody[data-group="pinned"] tr[data-key="d"]')).to_be_visible()
    expect(row(page, "d").get_by_role("switch", name="Pin D")).to_be_focused()
    assert pinned() == ["a", "b", "c", "d"]
    personal = row(page, "d").get_by_role("switch", name="D is personal data")
    personal.click()
    expect(personal).to_be_checked()
    expect(said(page)).to_have_text("“D” is personal data now.")
    assert catalogue(fresh=True).by_key["d"].personal
    personal.click()
    expect(said(page)).to_have_text("“D” is no personal data now.")
    assert office.errors == []


@ONLY_SQLITE
def test_found_as_one_types_archived_restored_and_purged(office: Office, admin: Operator, abc: None) -> None:
    page = office.page(admin, LIST)
    page.get_by_role("searchbox", name="Find a property by label or key").fill("handler_s")
    expect(row(page, "handler_since")).to_be_visible()
    expect(row(page, "a")).to_be_hidden()
    page.keyboard.press("Escape")
    row(page, "d").get_by_role("button", name="Actions for D").press("Enter")
    page.get_by_role("menuitem", name="Archive").press("Enter")
    expect(page.get_by_text("“D” is archived. Its values are kept.")).to_be_visible()
    expect(row(page, "d")).to_have_count(0)
    page.get_by_role("link", name="Archived").click()
    page.wait_for_url("**/?show=archived")
    row(page, "d").get_by_role("button", name="Actions for D").click()
    page.get_by_role("menuitem", name="Purge…").click()
    page.get_by_label("Type d to confirm").fill("d")
    page.get_by_role("button", name="Purge property").click()
    expect(page.get_by_text("“D” is purged.")).to_be_visible()
    assert "d" not in catalogue(fresh=True).by_key
    assert office.errors == []


@ONLY_SQLITE
def test_choices_are_put_in_order_and_one_in_use_is_retired(office: Office, admin: Operator) -> None:
    choices = {"choices": ["s", "m", "l"]}
    definitions.create(Draft(key="size", label="Size", type="choice", options=choices, editable_by=("bot",)))
    properties.write(User.create(key="asha").id, {"size": "s"}, BOT)
    page = office.page(admin, LIST)
    row(page, "size").get_by_role("link", name="Size").click()
    drawer(page).get_by_role("button", name=re.compile("^Move choice 3")).press("Alt+ArrowUp")
    expect(said(page)).to_have_text("Choice 2 of 3")
    drawer(page).get_by_role("button", name="Remove choice 1").click()
    expect(page.get_by_label("Value 1", exact=True)).to_have_value("l")
    drawer(page).get_by_role("button", name="Save changes").last.click()
    expect(drawer(page).get_by_text("“s” is in use by 1 user.")).to_be_visible()
    drawer(page).get_by_role("button", name="Retire it").click()
    expect(page.get_by_role("checkbox", name="Retired 1")).to_be_checked()
    drawer(page).get_by_role("button", name="Save changes").last.click()
    expect(page.get_by_text("“Size” is saved.")).to_be_visible()
    found = catalogue(fresh=True).by_key["size"].type.choices()
    assert [(one.value, one.retired) for one in found] == [("s", True), ("l", False), ("m", False)]


@ONLY_SQLITE
def test_a_proposal_is_adopted(office: Office, admin: Operator) -> None:  # P9
    for key, size in (("asha", "38"), ("leo", "about 40")):
        proposals.offer(User.create(key=key).id, {"shoe_size": size}, BOT, None)
    page = office.page(admin, f"{LIST}?show=proposed")
    page.get_by_role("link", name="Adopt shoe_size").click()
    expect(drawer(page).get_by_text("All of them fit, and are taken over.")).to_be_visible()
    page.get_by_role("radio", name="Whole number").check()
    expect(drawer(page).get_by_text("1 does not fit and is dropped.")).to_be_visible()
    drawer(page).get_by_role("button", name="Adopt property").last.click()
    expect(page.get_by_text("“Shoe size” is adopted.")).to_be_visible()
    assert catalogue(fresh=True).by_key["shoe_size"].source == "bot"
    assert office.errors == []


@ONLY_SQLITE
def test_everything_is_accessible_and_nothing_scrolls_sideways(
    office: Office, admin: Operator, abc: None
) -> None:
    for viewport in ({"width": 1280, "height": 720}, PHONE):
        page = office.page(admin, LIST, viewport=viewport)
        assert flaws(page) == []
        assert sideways(page) == 0
        page.get_by_role("link", name="New property").click()
        page.get_by_role("radio", name="Choice", exact=True).check()
        expect(drawer(page).get_by_role("group", name="Choices")).to_be_visible()
        assert flaws(page) == []
        assert sideways(page) == 0
        page.goto("/properties/import-file")
        assert flaws(page) == []
    assert office.errors == []


@ONLY_SQLITE
def test_it_all_works_without_scripts(office: Office, admin: Operator, abc: None) -> None:
    page = office.page(admin, LIST, java_script_enabled=False)
    row(page, "d").get_by_role("switch", name="Pin D").click()
    assert pinned() == ["a", "b", "c", "d"]
    page.get_by_role("link", name="New property").click()
    page.get_by_label("Label", exact=True).fill("Plan")
    page.get_by_role("radio", name="Choice", exact=True).check()
    page.get_by_role("button", name="Show the options of this type").click()
    page.get_by_role("button", name="Add choice").click()
    page.get_by_label("Value 1", exact=True).fill("free")
    page.get_by_label("Value 1", exact=True).press("Enter")
    expect(page.get_by_text("“Plan” is defined, and in use.")).to_be_visible()
    assert [one.value for one in catalogue(fresh=True).by_key["plan"].type.choices()] == ["free"]


@ONLY_SQLITE
def test_what_was_typed_is_not_lost_by_escape(office: Office, admin: Operator, abc: None) -> None:
    page = office.page(admin, LIST)
    asked: list[str] = []
    answers = iter([False, True])

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        if next(answers):
            dialog.accept()
        else:
            dialog.dismiss()

    page.on("dialog", answer)
    row(page, "a").get_by_role("link", name="A", exact=True).click()
    page.get_by_label("Label", exact=True).press("Escape")
    expect(drawer(page)).to_have_count(0)
    assert asked == []  # nothing was typed
    row(page, "a").get_by_role("link", name="A", exact=True).click()
    page.get_by_label("Label", exact=True).fill("Alpha")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Label", exact=True)).to_have_value("Alpha")
    drawer(page).get_by_role("button", name="Close", exact=True).click()
    expect(drawer(page)).to_have_count(0)
    assert asked == ["Close without saving? What you typed is not kept."] * 2


@ONLY_SQLITE
def test_a_property_gets_another_type_in_the_drawer(office: Office, admin: Operator, abc: None) -> None:
    page = office.page(admin, LIST)
    row(page, "d").get_by_role("link", name="D", exact=True).click()
    drawer(page).get_by_role("link", name="Give it another type").click()
    expect(drawer(page).get_by_role("heading", name="Convert D")).to_be_visible()
    page.get_by_role("radio", name="Choice", exact=True).check()
    fill_choice(page, 1, "oak", "Oak")
    assert flaws(page) == []
    drawer(page).get_by_role("button", name="Convert property").last.click()
    expect(page.get_by_text("“D” is being converted to “Choice”.")).to_be_visible()
    expect(row(page, "d")).to_be_visible()
    for _ in range(50):
        if catalogue(fresh=True).by_key["d"].type.name == "choice":
            break
        page.wait_for_timeout(100)
    page.reload()
    expect(row(page, "d")).to_contain_text("Choice · 1")
    assert office.errors == []
