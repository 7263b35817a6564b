"""Properties on the profile in a real browser: editors, live news, conflicts, history, and keys alone."""

from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from core import Profile, definitions
from core import properties as values
from core.catalogue import Writer
from core.drafts import Draft
from core.models import Deployment, Message, Operator, Origin, User
from fake_channel import deploy, says, user_of
from office import PHONE, Office, flaws, seconds_until, sideways
from panel import PLUGINS as PANEL
from panel import employ

PLUGINS = (*PANEL, "channels.web")
ONLY_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
BOT = Writer(Origin.BOT, "Order bot", groups=frozenset({"bot"}))
EVERYBODY = ("admin", "builder", "agent", "bot")


@pytest.fixture
def fake(app: Flask) -> Deployment:
    """A channel with a window of 24 hours."""
    return deploy()


@pytest.fixture
def asha(fake: Deployment) -> User:
    """A user who has written."""
    return user_of(says(fake, "asha", "Has my order left?", profile=Profile(name="Asha Rao")))


@pytest.fixture
def maya(app: Flask) -> Operator:
    """An agent."""
    return employ("agent", name="Maya Okonkwo")


def define(key: str, type_: str = "text", **more: Any) -> None:
    """Define a pinned property that everybody edits."""
    given = {"key": key, "label": key.capitalize(), "type": type_, "editable_by": EVERYBODY, "pinned": True}
    definitions.create(Draft(**{**given, **more}))


def profile(user: User) -> str:
    """Return the address of a profile."""
    return f"/audience/{user.key}"


def row(page: Page, key: str, place: str = "top") -> Any:
    """Return the row of a property."""
    return page.locator(f"#property-{place}-{key}")


def test_a_value_is_edited_by_keys_alone_and_seen_by_others_at_once(
    office: Office, asha: User, maya: Operator
) -> None:  # U6
    define("city")
    leo = office.page(employ("agent", name="Leo Brandt"), profile(asha))
    expect(row(leo, "city")).to_contain_text("Not set")
    page = office.page(maya, profile(asha))
    page.get_by_role("button", name="Edit City").first.focus()
    page.keyboard.press("e")
    field = page.get_by_label("City", exact=True).first
    expect(field).to_be_focused()
    page.keyboard.type("Delhi")
    page.keyboard.press("Escape")
    expect(row(page, "city")).to_contain_text("Not set")
    expect(page.get_by_role("button", name="Edit City").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(field).to_be_focused()
    page.keyboard.type("Delhi")
    seconds = seconds_until(
        lambda: page.keyboard.press("Enter"), lambda: expect(row(leo, "city")).to_contain_text("Delhi")
    )
    assert seconds < 3
    expect(row(page, "city")).to_contain_text("Delhi")
    expect(row(page, "city").get_by_role("button")).to_be_focused()
    assert office.errors == []


@ONLY_SQLITE
def test_what_is_not_taken_stays_in_the_field_with_the_reason_under_it(
    office: Office, asha: User, maya: Operator
) -> None:
    define("age", "integer")
    page = office.page(maya, profile(asha))
    row(page, "age").get_by_role("button", name="Edit Age").click()
    expect(page.locator("#edit-top-age")).to_be_focused()
    page.keyboard.type("very old")
    page.keyboard.press("Enter")
    expect(row(page, "age").get_by_role("alert")).to_contain_text("`age` takes a whole number")
    field = page.locator("#edit-top-age")
    expect(field).to_have_value("very old")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    page.keyboard.type("36")
    page.keyboard.press("Enter")
    expect(row(page, "age")).to_contain_text("36")
    office.errors.clear()  # the browser notes the status 422


@ONLY_SQLITE
def test_an_open_editor_outlives_what_happens_around_it_and_shows_both_values(
    office: Office, asha: User, fake: Deployment, maya: Operator
) -> None:  # P7
    define("city")
    define("plan", "choice", options={"choices": ["pro", "trade"]})
    page = office.page(maya, profile(asha))
    row(page, "plan").get_by_role("button", name="Edit Plan").click()
    page.locator("#edit-top-plan").select_option("trade")
    row(page, "city").get_by_role("button", name="Edit City").click()
    page.locator("#edit-top-city").fill("Delhi")
    values.write(asha.id, {"city": "Noida", "plan": "pro"}, BOT)
    says(fake, "asha", "Something else")
    expect(page.get_by_role("log")).to_contain_text("Something else")
    expect(page.locator("#edit-top-city")).to_have_value("Delhi")
    expect(page.locator("#edit-top-city")).to_be_focused()
    expect(page.locator("#edit-top-plan")).to_have_value("trade")
    page.keyboard.press("Enter")
    expect(row(page, "city").get_by_role("alert")).to_contain_text("was changed by somebody else")
    expect(row(page, "city")).to_contain_text("Noida")
    assert flaws(page) == []
    row(page, "city").get_by_role("button", name="Use mine").click()
    expect(row(page, "city").locator(".v")).to_have_text("Delhi")
    page.locator("#edit-top-plan").focus()
    page.keyboard.press("Escape")
    expect(row(page, "plan").locator(".v")).to_have_text("pro")
    office.errors.clear()  # the browser notes the status 409


@ONLY_SQLITE
def test_a_switch_saves_at_once_and_is_undone(office: Office, asha: User, maya: Operator) -> None:
    define("subscribed", "boolean")
    page = office.page(maya, profile(asha))
    switch = page.get_by_role("switch", name="Subscribed").first
    switch.focus()
    page.keyboard.press("Space")
    expect(switch).to_have_attribute("aria-checked", "true")
    expect(row(page, "subscribed")).to_contain_text("Yes")
    page.get_by_role("button", name="Undo").click()
    expect(row(page, "subscribed")).to_contain_text("Not set")
    assert office.errors == []


@ONLY_SQLITE
def test_labels_are_added_and_taken_away(office: Office, asha: User, maya: Operator) -> None:  # U1
    page = office.page(maya, profile(asha))
    labels = row(page, "labels", "who")
    labels.get_by_role("button", name="Edit Labels").click()
    expect(page.locator("#edit-who-labels")).to_be_focused()
    page.keyboard.type("vip, b2b")
    page.keyboard.press("Enter")
    expect(labels.locator(".au-tag")).to_have_text(["b2b", "vip"])
    labels.get_by_role("button", name="Remove vip from Labels").click()
    expect(labels.locator(".au-tag")).to_have_text(["b2b"])
    page.get_by_role("button", name="Undo").click()
    expect(labels.locator(".au-tag")).to_have_text(["b2b", "vip"])
    assert office.errors == []


@ONLY_SQLITE
def test_json_is_checked_in_a_dialog(office: Office, asha: User, maya: Operator) -> None:
    define("prefs", "object", filterable=False)
    page = office.page(maya, profile(asha))
    row(page, "prefs").get_by_role("button", name="Edit Prefs").click()
    dialog = page.get_by_role("dialog", name="Prefs")
    dialog.get_by_role("textbox").fill('{"a": ')
    expect(dialog).to_contain_text("This is not JSON yet.")
    dialog.get_by_role("textbox").fill('{"a": 1}')
    expect(dialog.get_by_text("This is not JSON yet.")).to_be_hidden()
    assert flaws(page) == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    row(page, "prefs").get_by_role("button", name="Edit Prefs").click()
    dialog.get_by_role("textbox").fill('{"a": 1}')
    page.keyboard.press("Control+Enter")
    expect(row(page, "prefs")).to_contain_text('{"a":1}')
    expect(dialog).to_be_hidden()
    assert office.errors == []


@ONLY_SQLITE
def test_the_history_leads_to_the_message_and_restores(
    office: Office, asha: User, fake: Deployment, maya: Operator
) -> None:  # P6
    define("city")
    first = Message.select().order_by(Message.id).get()
    values.write(asha.id, {"city": "Noida"}, BOT, message_id=first.id)
    for number in range(140):
        says(fake, "asha", f"number {number}.")
    page = office.page(maya, profile(asha))
    row(page, "city").get_by_role("button").click()
    history = page.get_by_role("dialog", name="History of City")
    expect(history).to_contain_text("Set to Noida")
    assert flaws(page) == []
    history.get_by_role("link", name="Message").click()
    message = page.get_by_text("Has my order left?")
    expect(message).to_be_in_viewport()
    assert page.evaluate("document.querySelector(':target')?.id") == f"message-{first.id}"
    newest = page.get_by_role("button", name="Newest messages")
    expect(newest).to_be_visible()
    log = page.get_by_role("log")
    for _ in range(12):
        log.evaluate("log => { log.scrollTop = 0; }")
        page.wait_for_timeout(150)
    expect(log.get_by_text("number 139.")).to_be_in_viewport()
    assert log.get_by_text("number 70.").count() == 1
    says(fake, "asha", "The very last")
    expect(log.get_by_text("The very last")).to_be_in_viewport()
    assert office.errors == []


@ONLY_SQLITE
def test_one_goes_from_an_old_message_to_the_newest(
    office: Office, asha: User, fake: Deployment, maya: Operator
) -> None:
    first = Message.select().order_by(Message.id).get()
    for number in range(140):
        says(fake, "asha", f"number {number}.")
    page = office.page(maya, f"{profile(asha)}?message={first.id}#message-{first.id}")
    expect(page.get_by_text("Has my order left?")).to_be_in_viewport()
    says(fake, "asha", "The very last")
    page.get_by_role("button", name="Newest messages").click()
    expect(page.get_by_text("The very last")).to_be_in_viewport()
    assert office.errors == []


def test_a_new_definition_and_a_new_order_come_without_a_reload(
    office: Office, asha: User, maya: Operator
) -> None:  # P4
    define("city")
    page = office.page(maya, profile(asha))
    expect(row(page, "city")).to_be_visible()
    row(page, "city").get_by_role("button", name="Edit City").click()
    page.locator("#edit-top-city").fill("Delhi")
    seconds = seconds_until(lambda: define("plan"), lambda: expect(row(page, "plan")).to_be_visible())
    assert seconds < 3
    expect(page.locator("#edit-top-city")).to_have_value("Delhi")
    definitions.pin(["plan", "city"])
    top = page.locator("section:has(#h-top) [data-property]")
    expect(top.first).to_have_attribute("data-property", "plan")
    definitions.archive("plan")
    expect(row(page, "plan")).to_have_count(0)
    expect(page.locator("#edit-top-city")).to_be_focused()
    assert office.errors == []


@ONLY_SQLITE
def test_groups_are_fetched_when_they_are_opened_and_found_by_name(
    office: Office, asha: User, fake: Deployment, maya: Operator
) -> None:
    for number in range(20):
        define(f"trait_{number}", group="Traits", filterable=False, pinned=False)
    values.write(asha.id, {"trait_3": "here"}, BOT)
    page = office.page(maya, profile(asha))
    page.get_by_text("Traits").click()
    expect(row(page, "trait_3", "all")).to_contain_text("here")
    page.get_by_text("and 19 not set").click()
    expect(row(page, "trait_4", "all")).to_be_visible()
    values.write(asha.id, {"trait_3": "there"}, BOT)
    expect(row(page, "trait_3", "all")).to_contain_text("there")
    expect(row(page, "trait_4", "all")).to_be_visible()
    find = page.get_by_label("Find a property")
    find.press_sequentially("trait_1", delay=30)
    expect(page.get_by_text("11 properties found.")).to_be_visible()
    expect(find).to_be_focused()
    expect(find).to_have_value("trait_1")
    page.keyboard.press("Escape")
    expect(page.get_by_text("Traits")).to_be_visible()
    assert flaws(page) == []
    assert office.errors == []


@ONLY_SQLITE
def test_on_a_phone_one_edits_and_nothing_scrolls_sideways(
    office: Office, asha: User, maya: Operator
) -> None:
    define("seen_at", "datetime", label="Seen at")
    page = office.page(maya, profile(asha), viewport=PHONE, has_touch=True)
    page.get_by_role("tab", name="Properties").click()
    row(page, "seen_at").get_by_role("button", name="Edit Seen at").tap()
    page.locator("#edit-top-seen_at").fill("2026-11-24T18:00")
    assert sideways(page) == 0
    assert flaws(page) == []
    row(page, "seen_at").get_by_role("button", name="Save").tap()
    expect(row(page, "seen_at")).to_contain_text("24 Nov 2026, 18:00")
    assert office.errors == []
