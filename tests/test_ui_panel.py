"""The panel in a real browser: live pages, the composer, two agents at once, and what axe finds."""

import re
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from core import Delivery, Outbound, Profile, handover, outbound
from core.clock import HeldClock
from core.models import Deployment, Handler, Identity, IdentityAlias, Message, Operator, Template, User
from fake_channel import BOT, Fake, deploy, says, status, user_of
from office import PHONE, Office, flaws, seconds_until, sideways
from panel import PASSWORD, employ, with_password
from panel import PLUGINS as PANEL

PLUGINS = (*PANEL, "channels.web", "channels.whatsapp")
ONLY_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

expect.set_options(timeout=15_000)  # of a machine that does much else


@pytest.fixture
def fake(app: Flask) -> Deployment:
    """A channel with a window of 24 hours and a template."""
    fake = deploy()
    Template.create(
        deployment=fake,
        name="talk_again",
        language="en",
        category="utility",
        status="approved",
        body="Hello {{first_name}}, it is about {{1}}.",
        buttons=["Yes", "Not now"],
    )
    return fake


@pytest.fixture
def asha(fake: Deployment) -> User:
    """A user who has written."""
    return write(fake, "asha", "Has my order left?", name="Asha Rao")


@pytest.fixture
def maya(app: Flask) -> Operator:
    """An agent."""
    return employ("agent", name="Maya Okonkwo")


@pytest.fixture
def leo(app: Flask) -> Operator:
    """Another agent."""
    return employ("agent", name="Leo Brandt")


def write(fake: Deployment, who: str, text: str, name: str = "") -> User:
    """Let somebody write."""
    return user_of(says(fake, who, text, profile=Profile(name=name)))


def profile(user: User) -> str:
    """Return the address of a profile."""
    return f"/audience/{user.key}"


def log(page: Page) -> Any:
    """Return the stream of a profile."""
    return page.get_by_role("log")


def composer(page: Page) -> Any:
    """Return what stands under the stream."""
    return page.locator("[data-composer]")


# Login


@ONLY_SQLITE
def test_one_signs_in_and_out(office: Office, maya: Operator) -> None:
    with_password(maya)
    page = office.page(path="/audience/?search=x")
    expect(page).to_have_url(re.compile(r"/login\?next="))
    page.get_by_label("Email").fill(maya.email)
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("The email or the password is not right.")).to_be_visible()
    expect(page.get_by_label("Email")).to_have_value(maya.email)
    office.errors.clear()  # the browser notes the status 401
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/audience/\?search=x"))
    page.get_by_label("Account: Maya Okonkwo").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile("/login"))
    assert office.errors == []


# The audience


def test_who_writes_is_on_the_open_list_at_once(office: Office, fake: Deployment, maya: Operator) -> None:
    page = office.page(maya, "/audience/")
    expect(page.get_by_text("No users yet")).to_be_visible()
    seconds = []
    for number in range(4):
        name = f"Person {number}"
        row = page.locator("tbody tr").first
        seconds.append(
            seconds_until(
                lambda number=number, name=name: write(fake, f"p{number}", f"words {number}", name),
                lambda row=row, name=name: expect(row).to_contain_text(name),
            )
        )
    assert min(seconds) < 1
    expect(page.locator("#count")).to_have_text("4 users")
    assert office.errors == []


@ONLY_SQLITE
def test_search_as_one_types_and_back_to_the_row(
    office: Office, fake: Deployment, maya: Operator
) -> None:  # A7
    for name in ("Asha Rao", "Leo Brandt", "Mia Thompson"):
        write(fake, name, "hello", name)
    page = office.page(maya, "/audience/")
    page.keyboard.press("/")
    page.keyboard.type("mia")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("#count")).to_have_text("1 user")
    assert page.url.endswith("?search=mia")
    page.keyboard.press("Escape")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="Leo Brandt")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Leo Brandt")).to_be_visible()
    page.get_by_label("About this user").wait_for()
    page.wait_for_load_state()  # the script that remembers the row has run
    page.locator("[data-back]").click()
    expect(page.locator("tr.is-cursor")).to_contain_text("Leo Brandt")
    assert office.errors == []


# The profile


def test_an_agent_starts_writes_and_hears_the_answer_live(
    office: Office, fake: Deployment, asha: User, maya: Operator
) -> None:  # C1, C6
    page = office.page(maya, profile(asha))
    page.get_by_role("button", name="Start Chat").click()
    expect(composer(page)).to_have_attribute("data-state", "active")
    field = page.get_by_label("Message to Asha Rao")
    field.press_sequentially("Hello Asha,")
    field.press("Shift+Enter")
    field.press_sequentially("I am Maya.")
    field.press("Enter")
    sent = log(page).locator(".au-msg--human")
    expect(sent).to_contain_text("I am Maya.")
    expect(sent).to_contain_text("Sent")  # the worker took it, and the page heard of it
    assert Fake.provider.texts == ["Hello Asha,\nI am Maya."]
    expect(field).to_have_value("")
    message = Message.get(Message.author == "agent")
    status(fake, message, Delivery.READ)
    expect(sent).to_contain_text("Read")
    took = seconds_until(
        lambda: write(fake, "asha", "Thank you"), lambda: expect(log(page)).to_contain_text("Thank you")
    )
    assert took < 3
    assert office.errors == []


def test_of_two_agents_who_press_at_the_same_moment_one_gets_the_user(
    office: Office, asha: User, maya: Operator, leo: Operator
) -> None:  # C1
    pages = [office.page(one, profile(asha)) for one in (maya, leo)]
    press = """moment => new Promise(done => setTimeout(() => {
        document.querySelector('form[action*="start-chat"] button').click();
        done();
    }, moment - Date.now()))"""
    moment = pages[0].evaluate("Date.now() + 700")
    for page in pages:
        page.evaluate(f"moment => {{ ({press})(moment); }}", moment)
    for page in pages:
        expect(composer(page)).to_have_attribute("data-state", re.compile("active|taken"))
    states = sorted(composer(page).get_attribute("data-state") for page in pages)
    assert states == ["active", "taken"]
    holder = Operator.get_by_id(User.get_by_id(asha.id).agent_id)
    winner, loser = sorted(pages, key=lambda page: composer(page).get_attribute("data-state"))
    expect(composer(winner)).to_contain_text("You have this chat. The bot is paused.")
    expect(composer(loser)).to_contain_text(f"{holder.name} has this chat")
    expect(loser.locator(".au-who, .au-side--l")).to_contain_text(f"With {holder.name.split()[0]}")
    assert Message.select().where(Message.kind == "claimed").count() == 1


def test_at_the_last_second_the_composer_closes_and_keeps_the_draft(
    office: Office, fake: Deployment, maya: Operator, clock: HeldClock
) -> None:  # C4
    user = write(fake, "asha", "hello", "Asha Rao")
    clock.advance(hours=23, minutes=59, seconds=57)
    page = office.page(maya, profile(user))
    page.get_by_role("button", name="Start Chat").click()
    page.get_by_label("Message to Asha Rao").fill("a thought that took too long")
    expect(page.locator(".au-side--l .au-pill").first).to_have_text("Open · <1m left")
    clock.advance(seconds=3)
    expect(composer(page)).to_have_attribute("data-state", "blocked")
    expect(composer(page)).to_contain_text("closes free messages 24 h after the user’s last message.")
    expect(composer(page)).to_contain_text("Closed since today")
    expect(page.get_by_label("Your text is kept")).to_have_value("a thought that took too long")
    expect(page.locator(".au-side--l .au-pill").first).to_have_text("Expired")
    write(fake, "asha", "I am back")
    expect(page.get_by_label("Message to Asha Rao")).to_have_value("a thought that took too long")
    assert office.errors == []


@ONLY_SQLITE
def test_a_template_is_chosen_filled_and_sent(
    office: Office, fake: Deployment, maya: Operator, clock: HeldClock
) -> None:  # C5
    user = write(fake, "asha", "hello", "Asha Rao")
    clock.advance(hours=25)
    page = office.page(maya, profile(user))
    composer(page).get_by_role("button", name="Send a template").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("First name")).to_have_value("Asha")
    expect(dialog.get_by_role("button", name="Send template")).to_be_disabled()
    dialog.get_by_label("Value 1").fill("your desk")
    expect(dialog.locator(".au-wab")).to_contain_text("Hello Asha, it is about your desk.")
    dialog.get_by_role("button", name="Send template").click()
    expect(dialog).to_be_hidden()
    expect(log(page)).to_contain_text("Hello Asha, it is about your desk.")
    expect(composer(page)).to_contain_text("An approved template can start the chat again.")
    expect(page.locator(".au-side--l")).to_contain_text("With Maya")
    assert office.errors == []


@ONLY_SQLITE
def test_assign_to_bot_asks_for_a_last_message(office: Office, asha: User, maya: Operator) -> None:  # C2
    handover.claim(asha.id, maya)
    page = office.page(maya, profile(asha))
    composer(page).get_by_role("button", name="Assign to bot").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Last message").fill("The bot goes on.")
    dialog.get_by_role("button", name="Assign to bot").click()
    expect(composer(page)).to_have_attribute("data-state", "start")
    expect(log(page)).to_contain_text("The bot goes on.")
    assert User.get().handler == Handler.BOT
    assert office.errors == []


@ONLY_SQLITE
def test_one_pages_upwards_and_filters(office: Office, fake: Deployment, maya: Operator) -> None:  # U2
    for number in range(130):
        accepted = says(fake, "asha", f"message {number}.", profile=Profile(name="Asha Rao"))
    outbound.send(accepted.identity_id, Outbound(text="said by the bot"), BOT)
    page = office.page(maya, profile(user_of(accepted)))
    expect(log(page)).to_contain_text("said by the bot")
    expect(log(page).get_by_text("message 129.")).to_be_in_viewport()  # it opens at the newest
    for _ in range(40):
        log(page).hover()
        page.mouse.wheel(0, -4000)
        if log(page).get_by_text("message 0.", exact=True).count():
            break
        page.wait_for_timeout(100)
    expect(log(page).get_by_text("message 0.", exact=True)).to_have_count(1)
    expect(log(page).locator(".au-msg")).to_have_count(131)
    page.locator("#authors").get_by_text("Bot").click()
    expect(log(page).locator(".au-msg")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"\?author=bot"))
    assert office.errors == []


@ONLY_SQLITE
def test_everything_works_without_scripts(
    office: Office, fake: Deployment, asha: User, maya: Operator
) -> None:
    page = office.page(maya, "/audience/", java_script_enabled=False)
    page.get_by_role("link", name="Asha Rao").click()
    page.get_by_role("button", name="Start Chat").click()
    page.get_by_label("Message to Asha Rao").fill("Written without scripts")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(log(page)).to_contain_text("Written without scripts")
    page.get_by_role("button", name="Assign to bot").first.click()
    page.get_by_role("dialog").get_by_label("Last message").fill("Bye")
    page.get_by_role("dialog").get_by_role("button", name="Assign to bot").click()
    expect(log(page)).to_contain_text("assigned the chat to the bot.")
    expect(log(page)).to_contain_text("Bye")


@ONLY_SQLITE
def test_who_is_signed_out_meanwhile_is_told_and_keeps_the_draft(
    office: Office, asha: User, maya: Operator
) -> None:
    handover.claim(asha.id, maya)
    page = office.page(maya, profile(asha))
    page.get_by_label("Message to Asha Rao").fill("half a thought")
    Operator.update(active=False).execute()
    page.get_by_label("Message to Asha Rao").press("Enter")
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    expect(page.get_by_text("half a thought")).to_be_visible()


# Looks


def crowd(fake: Deployment) -> None:
    """Let people of many kinds write."""
    people = {
        "Asha Rao": "Can I change the delivery address?",
        "佐藤 美咲": "ご注文ありがとうございます。",
        "فاطمة الهاشمي": "هل الطاولة متوفرة باللون الأبيض؟",
        "Oleksandr Kovalenko": "The replacement drawer runners are on the way",
        "": "Somebody whom nothing names",
        "A name that is so long that it can hardly stand in any column whatever its width is": "word " * 60,
    }
    for number, (name, text) in enumerate(people.items()):
        write(fake, f"c{number}", text, name)
    User.update(handler=Handler.WAITING).where(User.name == "Oleksandr Kovalenko").execute()


def rich(fake: Deployment, maya: Operator) -> User:
    """Return a user with every kind of entry in the conversation."""
    asha = write(fake, "asha", "Hello", "Asha Rao")
    identity = Identity.get(Identity.user == asha)
    says(
        fake, "asha", "", kind="location", payload={"name": "Saket", "latitude": "28.5", "longitude": "77.2"}
    )
    says(fake, "asha", "a.pdf", kind="file", payload={"filename": "a.pdf", "mime_type": "application/pdf"})
    says(fake, "asha", "odd", kind="unknown", payload={"hint": "poll", "raw": {"question": "Oak?"}})
    referral = {"source": "ad", "headline": "Oak that lasts", "source_url": "https://ads.example.com/1"}
    says(fake, "asha", "hi", payload={"referral": referral})
    buttons = {"buttons": [{"title": "Yes"}, {"title": "No"}]}
    outbound.send(identity.id, Outbound(text="Shall we?", payload=buttons), BOT)
    says(fake, "asha", "Yes", kind="picked", payload={"title": "Yes"})
    says(fake, "asha", "❤", kind="reaction", payload={"emoji": "❤"})
    handover.claim(asha.id, maya)
    outbound.send(identity.id, Outbound(text="held back"), BOT)
    IdentityAlias.create(deployment=fake, kind="phone", value="919900112233", identity=identity)
    User.update(phone="+919900112233", email="asha@example.com", country="IN", language="hi").execute()
    return User.get_by_id(asha.id)


@ONLY_SQLITE
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_axe_finds_nothing_on_login_audience_and_errors(
    office: Office, fake: Deployment, maya: Operator, phone: bool
) -> None:
    size = {"viewport": PHONE} if phone else {}
    login = office.page(path="/login", **size)
    assert flaws(login) == []
    login.get_by_label("Email").fill("x@example.com")
    login.get_by_label("Password", exact=True).fill("wrong password")
    login.get_by_role("button", name="Sign in").click()
    expect(login.get_by_role("alert")).to_be_visible()
    assert flaws(login) == []
    page = office.page(maya, "/audience/", **size)
    expect(page.get_by_text("No users yet")).to_be_visible()
    assert flaws(page) == []
    crowd(fake)
    expect(page.locator("tbody tr")).to_have_count(6)
    assert flaws(page) == []
    assert sideways(page) == 0
    page.goto("/audience/?search=nobody")
    assert flaws(page) == []
    page.goto("/audience/no-such-user")
    assert flaws(page) == []


@ONLY_SQLITE
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_axe_finds_nothing_on_a_profile_in_any_state(
    office: Office, fake: Deployment, maya: Operator, leo: Operator, clock: HeldClock, phone: bool
) -> None:
    size = {"viewport": PHONE} if phone else {}
    auditor = employ("auditor", name="Ada Auditor")
    asha = rich(fake, maya)

    def look(page: Page, state: str) -> None:
        page.goto(profile(asha))
        expect(composer(page)).to_have_attribute("data-state", state)
        assert flaws(page) == [], state
        assert sideways(page) == 0

    page = office.page(maya, **size)
    look(page, "active")
    composer(page).get_by_role("button", name="Assign to bot").click()
    assert flaws(page) == []
    if phone:
        for panel in ("User", "Properties"):
            page.goto(profile(asha))
            page.get_by_role("tab", name=panel).click()
            assert flaws(page) == [], panel
    for other, state in ((leo, "taken"), (auditor, "readonly")):
        theirs = office.page(other, **size)
        look(theirs, state)
        theirs.context.close()
    handover.release(asha.id, maya)
    look(page, "start")
    User.update(handler=Handler.WAITING).execute()
    look(page, "start")
    page.context.close()  # logins end with the day, and a browser would note that it was refused
    clock.advance(hours=25)
    page = office.page(maya, **size)
    look(page, "blocked")
    composer(page).get_by_role("button", name="Send a template").click()
    assert flaws(page) == []
    assert office.errors == []


@ONLY_SQLITE
def test_on_a_phone_the_navigation_is_a_drawer_and_panels_are_tabs(
    office: Office, fake: Deployment, maya: Operator
) -> None:
    asha = rich(fake, maya)
    page = office.page(maya, "/audience/", viewport=PHONE)
    page.get_by_role("button", name="Open navigation").click()
    expect(
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Audience")
    ).to_be_in_viewport()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Asha Rao").click()
    expect(page).to_have_url(re.compile(asha.key))
    expect(log(page)).to_be_visible()
    page.get_by_role("tab", name="User").click()
    expect(page.get_by_role("heading", name="Who is your user")).to_be_visible()
    expect(log(page)).to_be_hidden()
    assert office.errors == []
