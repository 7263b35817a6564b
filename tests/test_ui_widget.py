"""The widget in a real browser, on somebody else's page."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, Locator, Page, Route, expect

from core.models import Identity, IdentityAlias, Message, User
from website import Website

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
ONLY_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


PLUGINS = ("channels.web", "admin", "plugins.bots")
expect.set_options(timeout=15_000)  # of a machine that does much else


@pytest.fixture
def site(app: Flask) -> Iterator[Website]:
    """A website that carries the widget."""
    site = Website(app)
    yield site
    site.close()


class Chat:
    """The widget as a visitor sees it in one tab."""

    def __init__(self, page: Page, site: Website) -> None:
        self.page = page
        self.site = site
        self.errors: list[str] = []
        page.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.host = page.locator("parley-chat")
        self.launcher = page.locator("parley-chat .pw-launch")
        self.log = page.get_by_role("log")
        self.field = page.get_by_role("textbox", name="Message")

    def visit(self, path: str = "") -> "Chat":
        """Open the page and wait for the launcher."""
        self.page.goto(self.site.url + path)
        expect(self.launcher).to_be_visible()
        return self

    def begin(self) -> "Chat":
        """Open the chat, ready to write."""
        self.launcher.click()
        self.page.get_by_role("button", name="Start a conversation").click()
        self.page.get_by_role("button", name="Chat without").click()
        return self

    def write(self, text: str) -> None:
        """Write a message and send it with Enter."""
        self.field.fill(text)
        self.field.press("Enter")

    def bubble(self, text: str) -> Locator:
        """The bubble that says exactly this."""
        return self.log.locator(".pw-b").filter(has_text=re.compile(f"^{re.escape(text)}$"))

    def state_of(self, text: str) -> Locator:
        """What stands below a bubble of the visitor."""
        bubble = self.page.locator(".pw-b").filter(has_text=re.compile(f"^{re.escape(text)}$"))
        return self.log.locator(".pw-m").filter(has=bubble).locator(".pw-st")

    def menu(self, name: str) -> None:
        """Choose from the menu."""
        self.page.get_by_role("button", name="Chat options").click()
        self.page.get_by_role("menuitem", name=name).click()

    def close(self) -> None:
        """Close the panel by its own button."""
        self.page.locator("parley-chat header").get_by_role("button", name="Close chat").click()


@pytest.fixture
def chat(site: Website, page: Page) -> Chat:
    """A visitor on the page."""
    page.set_default_timeout(15_000)
    page.set_viewport_size(DESKTOP)
    return Chat(page, site).visit()


def eventually(look: Callable[[], str], wanted: str = "read") -> str:
    """Look until it is as wanted, for ten seconds at most; return what was seen last."""
    ends = time.monotonic() + 10
    while (seen := look()) != wanted and time.monotonic() < ends:
        time.sleep(0.05)
    return seen


# The main job


def test_a_visitor_writes_the_bot_answers_a_person_joins_and_leaves(chat: Chat, site: Website) -> None:
    chat.begin()
    chat.write("Where is my order?")
    expect(chat.bubble("You said: Where is my order?")).to_be_visible()
    expect(chat.state_of("Where is my order?")).to_contain_text("Read")
    site.claim()
    expect(chat.log.get_by_text("Maya joined")).to_be_visible()
    expect(chat.page.get_by_role("heading", name="Maya")).to_be_visible()
    site.say("Hi, I am Maya.")
    expect(chat.bubble("Hi, I am Maya.")).to_be_visible()
    chat.write("Thank you, Maya")
    expect(chat.state_of("Thank you, Maya")).to_contain_text("Sent")
    site.settle()  # the bot was told of it, and kept silent
    site.release()
    expect(chat.page.get_by_role("heading", name="Order bot")).to_be_visible()
    chat.write("Bot again?")
    expect(chat.bubble("You said: Bot again?")).to_be_visible()
    assert site.texts() == [
        ("user", "Where is my order?"),
        ("bot", "You said: Where is my order?"),
        ("agent", "Hi, I am Maya."),
        ("user", "Thank you, Maya"),
        ("user", "Bot again?"),
        ("bot", "You said: Bot again?"),
    ]
    assert chat.errors == []  # the page's strict policy was not in the way, nor the origin


@ONLY_SQLITE
def test_looking_around_stores_nothing(chat: Chat) -> None:
    chat.begin()
    chat.page.get_by_role("button", name="Back to start").click()
    chat.page.keyboard.press("Escape")
    assert User.select().count() == 0
    assert "token" not in str(chat.page.evaluate("Object.keys(localStorage)"))


@ONLY_SQLITE
def test_a_topic_is_asked_with_a_click(chat: Chat, site: Website) -> None:
    chat.launcher.click()
    chat.page.get_by_role("button", name="Showroom hours").click()
    expect(chat.bubble("You said: Showroom hours")).to_be_visible()


@ONLY_SQLITE
def test_choices_are_buttons_until_one_is_picked(chat: Chat, site: Website) -> None:
    site.answers = lambda text: (
        [{"text": "What next?", "buttons": [{"title": "Check delivery", "payload": "/check"}]}]
        if text == "hello"
        else [{"text": f"You chose {text}"}]
    )
    chat.begin()
    chat.write("hello")
    chat.page.get_by_role("button", name="Check delivery").click()
    expect(chat.bubble("You chose /check")).to_be_visible()
    expect(chat.bubble("Check delivery")).to_be_visible()
    expect(chat.page.get_by_role("button", name="Check delivery")).to_have_count(0)


@ONLY_SQLITE
def test_dots_show_while_the_bot_is_at_work_and_only_then(chat: Chat, site: Website) -> None:
    dots = chat.page.get_by_role("img", name="Order bot is writing")
    site.thinking.clear()
    chat.begin()
    expect(dots).to_have_count(0)
    chat.write("hello")
    expect(dots).to_be_visible()
    site.thinking.set()
    expect(chat.bubble("You said: hello")).to_be_visible()
    expect(dots).to_have_count(0)
    site.answers = lambda text: []  # a bot that has nothing to say
    chat.write("and now?")
    expect(chat.state_of("and now?")).to_contain_text("Sent")
    expect(dots).to_have_count(0)


@ONLY_SQLITE
def test_what_others_write_is_text_and_never_markup(chat: Chat, site: Website) -> None:
    site.answers = lambda text: [
        {"text": "<img src=x onerror=alert(1)> see https://shop.example.com/a?b=1, or javascript:alert(1)"}
    ]
    chat.begin()
    chat.write("<b>hello</b>")
    expect(chat.bubble("<b>hello</b>")).to_be_visible()
    link = chat.log.get_by_role("link")
    expect(link).to_have_count(1)
    assert link.get_attribute("href") == "https://shop.example.com/a?b=1"
    assert "noopener" in (link.get_attribute("rel") or "")
    assert chat.log.locator("img, b b, script").count() == 0


@ONLY_SQLITE
def test_a_picture_is_shown_and_one_that_fails_is_a_link(chat: Chat, site: Website) -> None:
    site.answers = lambda text: [{"text": "A desk", "image": f"{site.url}desk.svg"}]
    chat.begin()
    chat.write("picture")
    expect(chat.log.get_by_role("img", name="A desk")).to_be_visible()
    site.answers = lambda text: [{"text": "Elsewhere", "image": "https://elsewhere.example/x.png"}]
    chat.write("picture")  # the page's policy lets no other site's pictures in
    expect(chat.log.get_by_role("link", name="Open the image")).to_be_visible()


# Nothing is lost


@ONLY_SQLITE
def test_the_chat_survives_a_reload_and_unread_words_are_counted(chat: Chat, site: Website) -> None:
    chat.begin()
    chat.write("remember me")
    expect(chat.bubble("You said: remember me")).to_be_visible()
    chat.close()
    site.claim()
    message = site.say("Are you still there?")
    expect(chat.launcher).to_have_attribute("aria-label", "Open chat, 1 unread message")
    expect(chat.page.locator(".pw-teaser")).to_contain_text("Are you still there?")
    chat.visit("other-page")
    expect(chat.page.locator(".pw-badge")).to_have_text("1")
    assert eventually(lambda: Message.get_by_id(message.id).state, "delivered") == "delivered"
    chat.launcher.click()
    expect(chat.bubble("remember me")).to_be_visible()
    expect(chat.bubble("Are you still there?")).to_be_visible()
    chat.close()
    expect(chat.page.locator(".pw-badge")).to_have_count(0)
    assert eventually(lambda: Message.get_by_id(message.id).state) == "read"
    assert User.select().count() == 1


@ONLY_SQLITE
def test_without_a_connection_words_wait_and_none_is_lost(chat: Chat, site: Website) -> None:
    chat.begin()
    chat.write("first")
    expect(chat.bubble("You said: first")).to_be_visible()
    chat.page.context.set_offline(True)
    chat.write("second")
    expect(chat.page.get_by_text("No connection.")).to_be_visible()
    expect(chat.state_of("second")).to_contain_text("Waits for a connection")
    chat.write("third")
    chat.page.context.set_offline(False)
    chat.page.get_by_role("button", name="Try now").click()
    expect(chat.bubble("You said: third")).to_be_visible()
    expect(chat.page.get_by_text("No connection.")).to_be_hidden()
    assert [text for author, text in site.texts() if author == "user"] == ["first", "second", "third"]


@ONLY_SQLITE
def test_a_receipt_that_was_lost_is_said_again(chat: Chat, site: Website) -> None:
    chat.begin()
    chat.write("hello")
    expect(chat.bubble("You said: hello")).to_be_visible()
    chat.page.route("**/receipts", lambda route: route.abort())
    site.claim()
    message = site.say("Seen?")
    expect(chat.bubble("Seen?")).to_be_visible()
    chat.page.unroute_all()
    assert Message.get_by_id(message.id).state == "sent"
    chat.write("yes")
    assert eventually(lambda: Message.get_by_id(message.id).state) == "read"


@ONLY_SQLITE
def test_the_line_comes_back_by_itself(chat: Chat, site: Website) -> None:
    chat.begin()
    chat.page.context.set_offline(True)
    chat.write("hello")
    expect(chat.page.get_by_text("No connection.")).to_be_visible()
    chat.page.context.set_offline(False)
    expect(chat.bubble("You said: hello")).to_be_visible()


@ONLY_SQLITE
def test_what_waits_survives_a_reload(chat: Chat, site: Website) -> None:
    chat.page.route("**/messages", lambda route: route.abort())
    chat.page.route("**/token", lambda route: route.abort())
    chat.begin()
    chat.write("kept")
    expect(chat.state_of("kept")).to_contain_text("Waits for a connection")
    assert Message.select().count() == 0
    chat.page.unroute_all()
    chat.visit()
    expect(chat.bubble("You said: kept")).to_be_visible()
    assert [text for author, text in site.texts() if author == "user"] == ["kept"]


@ONLY_SQLITE
def test_an_answer_that_was_lost_is_asked_for_again_and_the_message_is_there_once(
    chat: Chat, site: Website
) -> None:
    lost = []

    def lose_the_first_answer(route: Route) -> None:
        if route.request.method == "POST" and not lost:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    chat.page.route("**/messages", lose_the_first_answer)
    chat.begin()
    chat.write("only once")
    expect(chat.bubble("You said: only once")).to_be_visible()
    expect(chat.bubble("only once")).to_have_count(1)
    assert lost == [200]
    assert Message.select().where(Message.text == "only once").count() == 1


@ONLY_SQLITE
def test_a_refused_message_says_why_and_can_be_removed(chat: Chat, site: Website) -> None:
    chat.begin()
    chat.field.fill("x" * 4097)
    expect(chat.page.get_by_text("4,097 of 4,096 characters")).to_be_visible()
    expect(chat.page.get_by_role("button", name="Send")).to_be_disabled()
    refusal = {"status": 422, "code": "invalid", "detail": "This word is not welcome.", "field": "text"}
    chat.page.route("**/messages", lambda route: route.fulfill(status=422, json=refusal))
    chat.write("word")
    expect(chat.state_of("word")).to_contain_text("Not sent: This word is not welcome.")
    chat.page.get_by_role("button", name="Remove").click()
    expect(chat.bubble("word")).to_have_count(0)


@ONLY_SQLITE
def test_too_much_at_once_waits_for_its_turn(app: Flask, page: Page) -> None:
    site = Website(app, limit_visitor=2)
    try:
        chat = Chat(page, site).visit().begin()
        for text in ("one", "two", "three"):
            chat.write(text)
        expect(chat.page.get_by_text("Too many messages at once.")).to_be_visible()
        expect(chat.state_of("three")).to_contain_text("Waits a moment")
        site.claim()
        site.say("I can still be heard")
        expect(chat.bubble("I can still be heard")).to_be_visible()
        assert [text for author, text in site.texts() if author == "user"] == ["one", "two"]
    finally:
        site.close()


@ONLY_SQLITE
def test_where_streams_do_not_get_through_words_still_arrive(chat: Chat, site: Website) -> None:
    chat.page.route("**/stream?**", lambda route: route.fulfill(status=404, json={"detail": "no streams"}))
    chat.begin()
    chat.write("hello")
    expect(chat.bubble("You said: hello")).to_be_visible()
    site.claim()
    site.say("By asking now and then")
    expect(chat.bubble("By asking now and then")).to_be_visible()


@ONLY_SQLITE
def test_two_tabs_are_one_chat(chat: Chat, site: Website) -> None:
    chat.begin()
    chat.write("from the first tab")
    expect(chat.bubble("You said: from the first tab")).to_be_visible()
    second = Chat(chat.page.context.new_page(), site).visit()
    second.launcher.click()
    expect(second.bubble("from the first tab")).to_be_visible()
    second.write("from the second tab")
    expect(chat.bubble("from the second tab")).to_be_visible()
    expect(chat.bubble("You said: from the second tab")).to_be_visible()
    assert User.select().count() == 1


@ONLY_SQLITE
def test_a_chat_ended_in_one_tab_is_ended_in_the_other(chat: Chat, site: Website) -> None:
    chat.begin()
    chat.write("hello")
    expect(chat.bubble("You said: hello")).to_be_visible()
    second = Chat(chat.page.context.new_page(), site).visit()
    second.launcher.click()
    expect(second.bubble("hello")).to_be_visible()
    chat.menu("End this chat")
    chat.page.get_by_role("alertdialog").get_by_role("button", name="End this chat").click()
    start = second.page.get_by_role("button", name="Start a conversation")
    start.click()
    expect(second.bubble("hello")).to_have_count(0)
    second.write("a new one")
    expect(second.bubble("You said: a new one")).to_be_visible()
    chat.page.get_by_role("button", name="Write a message").click()
    expect(chat.bubble("a new one")).to_be_visible()
    expect(chat.bubble("hello")).to_have_count(0)


@ONLY_SQLITE
def test_older_messages_come_in_above_without_a_jump(chat: Chat, site: Website) -> None:
    site.answers = lambda text: [{"text": f"line {number}\n\n"} for number in range(20)]
    chat.begin()
    for text in ("a", "b", "c"):
        chat.write(text)
        expect(chat.log.locator(".pw-b").filter(has_text=re.compile(r"^line 19"))).to_have_count(
            "abc".index(text) + 1
        )
    chat.visit()  # a panel that was open is open again on the next page
    expect(chat.log.locator(".pw-m")).to_have_count(40)
    chat.log.evaluate("log => { log.scrollTop = 40; }")
    expect(chat.log.locator(".pw-m")).to_have_count(63)
    assert chat.log.evaluate("log => log.scrollTop") > 500  # what was read stays where it was


# The menu


@ONLY_SQLITE
def test_ending_the_chat_revokes_the_token_and_forgets(chat: Chat, site: Website) -> None:
    chat.begin()
    chat.write("goodbye")
    expect(chat.bubble("You said: goodbye")).to_be_visible()
    token = chat.page.evaluate(
        "JSON.parse(Object.entries(localStorage).find(([k]) => k.endsWith(':token'))[1]).token"
    )
    chat.menu("End this chat")
    chat.page.get_by_role("button", name="Keep it").click()
    chat.menu("End this chat")
    chat.page.get_by_role("alertdialog").get_by_role("button", name="End this chat").click()
    expect(chat.page.get_by_role("button", name="Start a conversation")).to_be_visible()
    assert IdentityAlias.get().valid_until is not None
    answer = chat.page.request.get(
        f"{site.parley_url}/web/{site.deployment.key}/messages", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status == 401
    assert ":token" not in str(chat.page.evaluate("Object.keys(localStorage)"))
    chat.page.get_by_role("button", name="Start a conversation").click()
    chat.write("a new chat")
    expect(chat.bubble("You said: a new chat")).to_be_visible()
    expect(chat.bubble("goodbye")).to_have_count(0)
    assert User.select().count() == 2


@ONLY_SQLITE
def test_the_transcript_holds_the_whole_chat(chat: Chat, site: Website, tmp_path: Path) -> None:
    chat.begin()
    chat.write("for the record")
    expect(chat.bubble("You said: for the record")).to_be_visible()
    with chat.page.expect_download() as download:
        chat.menu("Download this chat")
    text = Path(download.value.path()).read_text()
    assert "You: for the record" in text
    assert "Order bot: You said: for the record" in text


@ONLY_SQLITE
def test_the_visitor_sees_what_is_stored_and_takes_consent_back(chat: Chat, site: Website) -> None:
    chat.launcher.click()
    chat.page.get_by_role("button", name="Start a conversation").click()
    chat.page.get_by_role("button", name="Allow").click()
    chat.write("hello")
    expect(chat.bubble("You said: hello")).to_be_visible()
    chat.menu("What is stored about me")
    stored = chat.page.get_by_role("region", name="What is stored about me")
    expect(stored).to_contain_text("2 messages since today")
    expect(stored).to_contain_text("127.0.0.1")
    stored.get_by_role("button", name="Stop, and remove them").click()
    expect(stored).to_contain_text("are not kept")
    expect(stored).not_to_contain_text("127.0.0.1")
    chat.page.reload()
    expect(chat.page.get_by_role("region", name="Device data")).to_have_count(0)  # it is asked once


@ONLY_SQLITE
def test_the_footprint_says_which_page(chat: Chat, site: Website) -> None:
    chat.visit("desks?utm_source=news&token=secret#top")
    chat.visit("cart")
    chat.begin()
    chat.write("hello")
    expect(chat.bubble("You said: hello")).to_be_visible()
    footprint = Identity.get().first_footprint
    assert footprint["page"] == f"{site.url}cart"
    assert footprint["title"] == "Walnut desk 140"
    assert footprint["language"] == "en-US"
    assert "browser" not in footprint


@ONLY_SQLITE
def test_sounds_stay_muted(chat: Chat) -> None:
    chat.begin()
    chat.menu("Mute sounds")
    chat.visit()
    chat.page.get_by_role("button", name="Start a conversation").click()
    chat.page.get_by_role("button", name="Chat options").click()
    expect(chat.page.get_by_role("menuitem", name="Turn sounds on")).to_be_visible()
    expect(chat.page.get_by_role("menuitem", name="End this chat")).to_have_count(0)  # there is none yet


# Keyboard, phone, themes


@ONLY_SQLITE
def test_escape_closes_the_menu_then_the_panel_and_the_focus_returns(chat: Chat) -> None:
    chat.launcher.focus()
    chat.page.keyboard.press("Enter")
    chat.page.get_by_role("button", name="Start a conversation").click()
    expect(chat.field).to_be_focused()
    options = chat.page.get_by_role("button", name="Chat options")
    options.focus()
    chat.page.keyboard.press("Enter")
    expect(chat.page.get_by_role("menuitem", name="Mute sounds")).to_be_focused()
    chat.page.keyboard.press("ArrowDown")
    expect(chat.page.get_by_role("menuitem", name="What is stored")).to_be_focused()
    chat.page.keyboard.press("ArrowDown")
    expect(chat.page.get_by_role("menuitem", name="Mute sounds")).to_be_focused()
    chat.page.keyboard.press("Escape")
    expect(options).to_be_focused()
    chat.page.keyboard.press("Escape")
    expect(chat.launcher).to_be_focused()
    expect(chat.launcher).to_have_attribute("aria-expanded", "false")


@ONLY_SQLITE
def test_shift_enter_breaks_the_line(chat: Chat, site: Website) -> None:
    chat.begin()
    chat.field.press_sequentially("one")
    chat.field.press("Shift+Enter")
    chat.field.press_sequentially("two")
    chat.field.press("Enter")
    expect(chat.state_of("one\ntwo")).to_contain_text("M")
    assert site.texts()[0] == ("user", "one\ntwo")


@pytest.fixture
def phone(site: Website, browser: Browser) -> Iterator[Chat]:
    """A visitor with a phone."""
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield Chat(page, site).visit()
    context.close()


@ONLY_SQLITE
def test_on_a_phone_the_panel_fills_the_screen_and_targets_are_large(phone: Chat, site: Website) -> None:
    site.answers = lambda text: [{"text": "Next?", "buttons": [{"title": "Yes", "payload": "y"}]}]

    def check() -> None:
        assert phone.page.locator(".pw-panel").bounding_box() == {"x": 0, "y": 0, **PHONE}
        small = phone.page.evaluate(SMALL_TARGETS)
        assert small == []

    phone.launcher.tap()
    check()
    phone.page.get_by_role("button", name="Start a conversation").tap()
    check()
    phone.page.get_by_role("button", name="Allow").tap()
    phone.write("hello")
    expect(phone.page.get_by_role("button", name="Yes")).to_be_visible()
    check()
    phone.page.get_by_role("button", name="Chat options").tap()
    check()
    phone.page.keyboard.press("Escape")
    phone.page.context.set_offline(True)
    phone.write("wait")
    expect(phone.page.get_by_text("No connection.")).to_be_visible()
    check()


SMALL_TARGETS = """() => {
    const root = document.querySelector("parley-chat").shadowRoot;
    return [...root.querySelectorAll("button, textarea")]
        .filter((node) => node.checkVisibility())
        .map((node) => [node.ariaLabel || node.textContent, node.getBoundingClientRect()])
        .filter(([, box]) => box.height < 43.9 || box.width < 43.9)
        .map(([name, box]) => `${name}: ${box.width} x ${box.height}`);
}"""


@ONLY_SQLITE
def test_on_a_phone_the_focus_stays_inside(phone: Chat) -> None:
    phone.launcher.tap()
    names = set()
    for _ in range(12):
        phone.page.keyboard.press("Tab")
        names.add(phone.page.evaluate("document.activeElement.localName"))
    assert names == {"parley-chat"}


@ONLY_SQLITE
def test_the_page_themes_it_and_its_rules_do_not_come_through(chat: Chat, site: Website) -> None:
    site.element = '<parley-chat theme="dark" side="left" id="themed"></parley-chat>'
    chat.visit()
    assert chat.page.locator("parley-chat").count() == 1
    look = chat.launcher.evaluate(
        "node => { const s = getComputedStyle(node);"
        " return [s.backgroundColor, s.borderTopWidth, s.letterSpacing, s.colorScheme]; }"
    )
    assert look == ["rgb(40, 85, 207)", "0px", "normal", "dark"]
    box = chat.launcher.bounding_box()
    assert box is not None
    assert box["x"] == 20
    chat.host.evaluate("node => node.style.setProperty('--pw-accent', '#7a1f5c')")
    expect(chat.launcher).to_have_css("background-color", "rgb(122, 31, 92)")


@ONLY_SQLITE
def test_the_accent_of_the_settings_gets_a_text_that_can_be_read_on_it(app: Flask, page: Page) -> None:
    site = Website(app, accent="#ffd400")
    try:
        chat = Chat(page, site).visit()
        expect(chat.launcher).to_have_css("background-color", "rgb(255, 212, 0)")
        expect(chat.launcher).to_have_css("color", "rgb(16, 19, 24)")
    finally:
        site.close()


@ONLY_SQLITE
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_in_any_state(
    site: Website, browser: Browser, size: dict[str, int], theme: str
) -> None:
    context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(15_000)
    chat = Chat(page, site).visit()

    def check(state: str) -> None:
        found = Axe().run(page)
        assert found.violations_count == 0, f"{state}:\n{found.generate_report()}"

    check("closed")
    chat.launcher.click()
    check("welcome")
    page.get_by_role("button", name="Start a conversation").click()
    check("consent")
    page.get_by_role("button", name="Allow").click()
    site.thinking.clear()
    chat.write("hello https://shop.example.com")
    expect(page.get_by_role("img", name="Order bot is writing")).to_be_visible()
    check("typing")
    site.answers = lambda text: [{"text": "Next?", "buttons": [{"title": "Yes", "payload": "y"}]}]
    site.thinking.set()
    expect(page.get_by_role("button", name="Yes")).to_be_visible()
    check("choices")
    site.claim()
    site.say("Hi, I am Maya.")
    expect(chat.bubble("Hi, I am Maya.")).to_be_visible()
    check("a person")
    page.get_by_role("button", name="Chat options").click()
    check("menu")
    page.get_by_role("menuitem", name="What is stored").click()
    expect(page.get_by_role("region", name="What is stored about me")).to_contain_text("IP address")
    check("what is stored")
    page.get_by_role("button", name="Back to the chat").click()
    chat.menu("End this chat")
    check("ending")
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Back to start").click()
    check("welcome back")
    page.get_by_role("button", name="Write a message").click()
    context.set_offline(True)
    chat.write("waits")
    expect(page.get_by_text("No connection.")).to_be_visible()
    check("offline")
    context.set_offline(False)
    expect(page.get_by_text("No connection.")).to_be_hidden()
    chat.close()
    site.say("One more thing")
    expect(page.locator(".pw-teaser")).to_be_visible()
    check("unread")
    context.close()
