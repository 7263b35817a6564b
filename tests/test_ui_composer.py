"""`{{key}}` in the composer, in a real browser: suggested, previewed, asked for, sent; templates (P8, C5)."""

from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Locator, Page, expect

from core import Profile, handover
from core.catalogue import Writer
from core.clock import HeldClock
from core.definitions import Draft, create
from core.models import Deployment, Message, Operator, Origin, Template, User
from core.properties import write
from fake_channel import Fake, deploy, says, user_of
from office import PHONE, Office, flaws, sideways
from panel import PLUGINS as PANEL
from panel import employ

PLUGINS = PANEL
ONLY_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ADA = Writer(Origin.OPERATOR, "Ada", groups=frozenset({"admin"}))

expect.set_options(timeout=15_000)  # of a machine that does much else


@pytest.fixture
def fake(app: Flask) -> Deployment:
    """A channel with a window of 24 hours."""
    return deploy()


@pytest.fixture
def maya(app: Flask) -> Operator:
    """An agent."""
    return employ("agent", name="Maya Okonkwo")


@pytest.fixture
def asha(fake: Deployment, maya: Operator) -> User:
    """A user whom Maya has, with a plan and no city."""
    create(Draft(key="city", label="City", help="Where the user lives."))
    create(Draft(key="plan", label="Plan"))
    user = user_of(says(fake, "asha", "hello", profile=Profile(name="Asha Rao")))
    write(user.id, {"plan": "Pro"}, ADA)
    handover.claim(user.id, maya)
    return user


def box(page: Page) -> Locator:
    """Return the field in which one writes."""
    return page.get_by_label("Message to Asha Rao")


def options(page: Page) -> Any:
    """Return what is suggested."""
    return page.get_by_role("option")


def open_profile(office: Office, maya: Operator, user: User, **given: Any) -> Page:
    """Open a profile, with the field ready."""
    page = office.page(maya, f"/audience/{user.key}", **given)
    box(page).click()
    return page


def test_a_key_is_suggested_taken_previewed_and_sent_filled(
    office: Office, asha: User, maya: Operator
) -> None:  # P8
    page = open_profile(office, maya, asha)
    field = box(page)
    field.press_sequentially("You are on {{pl")
    expect(options(page).first).to_contain_text("Plan")
    expect(options(page).first).to_contain_text("Pro")
    expect(field).to_have_attribute("aria-activedescendant", "suggestion-0")
    field.press("Enter")
    expect(field).to_have_value("You are on {{plan}}")
    expect(options(page)).to_have_count(0)
    expect(page.locator(".au-preview")).to_contain_text("You are on Pro")
    field.press("Enter")
    expect(page.get_by_role("log")).to_contain_text("You are on Pro")
    expect(page.get_by_role("log").locator(".au-msg--human")).to_contain_text("Sent")
    assert Fake.provider.texts == ["You are on Pro"]
    expect(field).to_have_value("")
    expect(page.locator(".au-preview")).to_be_hidden()
    assert office.errors == []


def test_a_missing_value_is_asked_for_and_the_draft_stays(
    office: Office, fake: Deployment, asha: User, maya: Operator
) -> None:  # P8
    page = open_profile(office, maya, asha)
    field = box(page)
    field.fill("Delivered in {{city}}")
    expect(page.locator(".au-preview")).to_contain_text("City: not set")
    field.press("Enter")
    expect(page.get_by_text("City has no value for this user.")).to_be_visible()
    city = page.get_by_label("City")
    expect(city).to_be_focused()
    expect(field).to_have_value("Delivered in {{city}}")
    assert Message.select().where(Message.author == "agent").count() == 0
    city.press_sequentially("Pu")
    says(fake, "asha", "are you there?")  # the page shows its news, and takes nothing away
    expect(page.get_by_role("log")).to_contain_text("are you there?")
    expect(page.get_by_text("City has no value for this user.")).to_be_hidden()
    expect(city).to_have_value("Pu")
    expect(city).to_be_focused()
    city.press_sequentially("ne")
    expect(page.locator(".au-preview")).to_contain_text("Delivered in Pune")
    city.press("Enter")
    expect(page.get_by_role("log")).to_contain_text("Delivered in Pune")
    expect(city).to_have_count(0)
    expect(field).to_have_value("")
    office.errors[:] = [one for one in office.errors if "422" not in one]  # the browser notes the status
    assert office.errors == []


@ONLY_SQLITE
def test_suggestions_follow_the_keys_and_the_mouse(office: Office, asha: User, maya: Operator) -> None:  # P8
    page = open_profile(office, maya, asha)
    field = box(page)
    field.press_sequentially("{{")
    expect(options(page)).to_have_count(7)
    field.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", "suggestion-1")
    field.press("ArrowUp")
    field.press("ArrowUp")
    expect(field).to_have_attribute("aria-activedescendant", "suggestion-6")
    field.press_sequentially("cit")
    expect(options(page)).to_have_count(1)
    expect(options(page)).to_contain_text("not set")
    field.press("Escape")
    expect(options(page)).to_have_count(0)
    field.press("y")
    page.wait_for_timeout(300)
    expect(options(page)).to_have_count(0)  # it was closed for this one
    field.fill("")
    field.press_sequentially("{{first")
    options(page).first.click()
    expect(field).to_have_value("{{first_name}}")
    expect(field).to_be_focused()
    field.press_sequentially(" {{plan")
    expect(options(page)).to_have_count(1)
    field.press("Tab")
    expect(field).to_have_value("{{first_name}} {{plan}}")
    expect(field).to_be_focused()
    expect(page.locator(".au-preview")).to_contain_text("Asha Pro")
    field.press_sequentially(" {{nmae}}")
    expect(page.locator(".au-preview")).to_contain_text("`nmae` is not a property. Did you mean `name`?")
    assert office.errors == []


@ONLY_SQLITE
def test_without_scripts_a_missing_value_is_asked_for_too(office: Office, asha: User, maya: Operator) -> None:
    page = office.page(maya, f"/audience/{asha.key}", java_script_enabled=False)
    box(page).fill("{{plan}} in {{city}}")
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_label("City").fill("Pune")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("log")).to_contain_text("Pro in Pune")


@ONLY_SQLITE
@pytest.mark.parametrize("size", [{}, {"viewport": PHONE}], ids=["desktop", "phone"])
def test_axe_finds_nothing_while_one_fills(
    office: Office, asha: User, maya: Operator, size: dict[str, Any]
) -> None:
    page = open_profile(office, maya, asha, **size)
    box(page).fill("{{city}} {{plan}} {{email}}")
    box(page).press("Enter")
    expect(page.get_by_label("City")).to_be_focused()
    assert flaws(page) == []
    box(page).press("End")
    box(page).press_sequentially(" {{")
    expect(options(page)).to_have_count(7)
    assert flaws(page) == []
    assert sideways(page) <= 0


@ONLY_SQLITE
def test_a_template_is_looked_for_chosen_and_kept_while_another_is_looked_at(
    office: Office, fake: Deployment, asha: User, maya: Operator, clock: HeldClock
) -> None:  # C5
    for name, body in {"a_first": "Come to {{city}}.", "b_second": "Your plan is {{plan}}."}.items():
        Template.create(
            deployment=fake, name=name, language="en", category="utility", status="approved", body=body
        )
    clock.advance(hours=25)
    page = office.page(maya, f"/audience/{asha.key}")
    opener = page.locator("[data-composer]").get_by_role("button", name="Send a template")
    opener.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Choose a template.")
    dialog.get_by_role("link", name="a_first").click()
    city = dialog.get_by_label("City")
    expect(city).to_be_focused()
    expect(dialog.locator(".au-err:visible")).to_have_count(0)  # nothing was tried yet
    expect(dialog).to_contain_text("Fill in one value to send.")
    city.press("Tab")
    expect(dialog.locator(".au-err:visible")).to_have_text(
        "City is not set for this user. Fill it in to send."
    )
    assert flaws(page) == []
    city.fill("Pune")
    dialog.get_by_role("link", name="b_second").click()
    expect(dialog.get_by_label("Plan")).to_have_value("Pro")
    dialog.get_by_role("link", name="a_first").click()
    expect(city).to_have_value("Pune")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(opener).to_be_focused()
    opener.click()
    dialog.get_by_role("link", name="b_second").click()
    dialog.get_by_role("button", name="Send template").click()
    expect(page.get_by_role("log")).to_contain_text("Your plan is Pro.")
    assert office.errors == []
