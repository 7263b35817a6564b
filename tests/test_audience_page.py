"""The audience page: who is on it, in what order, and what each row says (A1, A7)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from peewee import PeeweeException

from admin.views.audience import MOST_IN_PAGE
from core import (
    Alias,
    Author,
    AuthorKind,
    Echoed,
    Outbound,
    Profile,
    audience,
    definitions,
    handover,
    inbound,
    outbound,
    search,
)
from core.audience import Order
from core.clock import HeldClock
from core.cursor import Cursor
from core.db import database
from core.models import Deployment, Identity, Operator, User
from defining import draft
from fake_channel import BOT, deploy, says, user_of
from fake_channel import employ as hire
from panel import PLUGINS as PANEL
from panel import Desk, attributes, employ, events, words

PLUGINS = PANEL


@pytest.fixture
def fake(app: Flask) -> Deployment:
    """A channel with a window of 24 hours."""
    return deploy()


@pytest.fixture
def desk(app: Flask) -> Desk:
    """An agent at a browser."""
    return Desk(app, employ("agent"))


def crowd(fake: Deployment, clock: HeldClock, size: int) -> None:
    """Let `size` people write, a minute apart: User 1 first."""
    for number in range(1, size + 1):
        clock.advance(minutes=1)
        says(fake, f"u{number}", f"message {number}", profile=Profile(name=f"User {number:03}"))


def names(text: str) -> list[str]:
    """Return the names on a page, from the top."""
    rows = text.split('class="au-user__n"')[1:]
    return [row.split("</bdi>")[0].rpartition("<bdi>")[2] for row in rows]


def rows(text: str) -> list[str]:
    """Return the words of each row."""
    return [words(f"<tr{piece.partition('</tr>')[0]}") for piece in text.split("<tr data-key=")[1:]]


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    """Collect the statements that run in the block."""
    ran: list[str] = []
    original = database.obj.execute_sql

    def execute(sql: str, *args: Any, **kwargs: Any) -> Any:
        ran.append(sql)
        return original(sql, *args, **kwargs)

    database.obj.execute_sql = execute
    try:
        yield ran
    finally:
        del database.obj.execute_sql


# What a row says


def test_a_row_says_who_wrote_what_and_when(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:  # A1
    asha = Profile(name="Asha Rao", phone="+919876543210", language="pt-BR")
    says(fake, "asha", "Has my order\nleft?", profile=asha)
    clock.advance(minutes=21)
    page = desk.get("/audience/")
    said = (
        "AR Asha Rao +91 98765 43210 Open · 23h 39m left 21 min ago Has my order left? 21 min ago Bot India"
    )
    assert rows(page.text) == [said]
    assert 'aria-label="Fake"' in page.text  # the channel badge


def test_the_last_message_names_its_author_unless_it_is_the_user(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:
    accepted = says(fake, "asha", "hello", profile=Profile(name="Asha"))
    assert "now hello now" in rows(desk.get("/audience/").text)[0]
    outbound.send(accepted.identity_id, Outbound(text="Good day"), BOT)
    assert "Robo : Good day" in rows(desk.get("/audience/").text)[0]
    handover.claim(user_of(accepted).id, desk.operator)
    author = Author(AuthorKind.AGENT, "Maya Okonkwo", desk.operator.id)
    outbound.send(accepted.identity_id, Outbound(text="I am here"), author)
    assert "Maya : I am here" in rows(desk.get("/audience/").text)[0]
    assert "With Maya" in rows(desk.get("/audience/").text)[0]


@pytest.mark.parametrize(
    ("after", "pill"),
    [
        ({}, "Open · 24h 0m left"),
        ({"hours": 23, "seconds": 1}, "Open · 59m left"),
        ({"hours": 23, "minutes": 59, "seconds": 59}, "Open · <1m left"),
        ({"hours": 24}, "Expired"),
    ],
)
def test_the_pill_shows_the_window(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock, after: dict[str, int], pill: str
) -> None:
    says(fake, "asha")
    clock.advance(**after)
    assert pill in rows(desk.get("/audience/").text)[0]


@pytest.mark.parametrize(
    ("field", "pill"),
    [("opted_out_at", "Opted out"), ("blocked_at", "Blocked"), ("unreachable", "Unreachable")],
)
def test_the_pill_shows_why_nobody_can_write(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock, field: str, pill: str
) -> None:
    says(fake, "asha")
    Identity.update({field: "gone" if field == "unreachable" else clock.now()}).execute()
    assert pill in rows(desk.get("/audience/").text)[0]


def test_a_channel_without_a_window_has_no_limit(app: Flask, desk: Desk) -> None:
    says(deploy("fake_open"), "asha")
    assert "Open · no limit" in rows(desk.get("/audience/").text)[0]


def test_somebody_without_a_name_is_called_by_what_is_known(app: Flask, fake: Deployment, desk: Desk) -> None:
    user = user_of(says(fake, "asha"))
    assert f"Visitor {user.key[:6]} No contact yet" in rows(desk.get("/audience/").text)[0]
    assert "au-av--anon" in desk.get("/audience/").text
    User.update(email="asha@example.com").execute()
    assert "asha@example.com No contact yet" in rows(desk.get("/audience/").text)[0]
    User.update(phone="+14155550100").execute()
    assert "+1 415-555-0100 asha@example.com" in rows(desk.get("/audience/").text)[0]


def test_imported_people_who_never_wrote_are_marked_and_come_last(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:
    imported = User.create(name="Imported Person", created=clock.now(), handler_since=clock.now())
    search.index(imported.id)
    says(fake, "asha", profile=Profile(name="Asha"))
    page = desk.get("/audience/")
    assert names(page.text) == ["Asha", "Imported Person"]
    assert "Imported" in rows(page.text)[1]
    assert "No message yet Never wrote" in rows(page.text)[1]
    assert "No channel" in rows(page.text)[1]


def test_what_users_write_is_text_and_never_markup(app: Flask, fake: Deployment, desk: Desk) -> None:
    evil = "<script>alert(1)</script>"
    says(fake, "asha", evil, profile=Profile(name=f'"><img src=x onerror=1>{evil}'))
    for path in ("/audience/", f"/audience/{User.get().key}"):
        text = desk.get(path).text
        assert "<script>alert" not in text
        assert "<img" not in text


# Order and pages


def test_the_newest_activity_of_the_user_comes_first_and_ours_does_not_count(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:  # A1
    crowd(fake, clock, 3)
    clock.advance(minutes=1)
    first = Identity.select().order_by(Identity.id).get()
    outbound.send(first.id, Outbound(text="our own words"), BOT)
    assert names(desk.get("/audience/").text) == ["User 003", "User 002", "User 001"]
    says(fake, "u1", "again")
    assert names(desk.get("/audience/").text) == ["User 001", "User 003", "User 002"]


def test_older_and_newer_walk_everybody_once_and_back(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:
    crowd(fake, clock, 120)
    everybody = [f"User {number:03}" for number in range(120, 0, -1)]
    page = desk.get("/audience/")
    pages = [names(page.text)]
    while link := _link(page.text, "next"):
        page = desk.get(link)
        pages.append(names(page.text))
    assert [len(one) for one in pages] == [50, 50, 20]
    assert [name for one in pages for name in one] == everybody
    while link := _link(page.text, "prev"):
        page = desk.get(link)
        pages.append(names(page.text))
    assert pages[3:] == [everybody[50:100], everybody[:50]]


def test_the_pages_of_a_search_are_walked_too(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:
    crowd(fake, clock, 60)
    page = desk.get("/audience/?search=user")
    older = desk.get(_link(page.text, "next") or "")
    assert names(page.text) + names(older.text) == [f"User {number:03}" for number in range(60, 0, -1)]
    assert "60 users" in words(older)


def test_the_pager_says_which_dates_the_page_holds(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:
    crowd(fake, clock, 2)
    day = clock.now()
    assert f"{day.day} {day:%b} {day.year}" in words(desk.get("/audience/"))


def test_a_page_from_which_everybody_moved_away_is_the_first_one(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:
    crowd(fake, clock, 2)
    page = desk.get("/audience/", query_string={"older": "1.1"})
    assert names(page.text) == ["User 002", "User 001"]


@pytest.mark.parametrize("name", audience.SORTED_BY)
@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("searched", [False, True])
def test_every_order_is_walked_whole_in_both_directions(
    app: Flask, fake: Deployment, clock: HeldClock, name: str, descending: bool, searched: bool
) -> None:  # A1
    languages = ["de", "", "pt", "de", "hi"]
    for number in range(13):
        clock.advance(minutes=number % 3)
        profile = Profile(name=f"Walker {'abcba'[number % 5]}", language=languages[number % 5])
        says(fake, f"u{number}", profile=profile)
    for _ in range(3):
        search.index(User.create(name="Walker z", created=clock.now(), handler_since=clock.now()).id)
    order = Order(name, descending)
    condition = search.matching("walker", personal=True) if searched else None

    def page(**where: Any) -> audience.Page:
        return audience.page(condition, order=order, limit=5, **where)

    forth = [page()]
    while forth[-1].older:
        forth.append(page(place=forth[-1].older))
    back = [forth[-1]]
    while back[-1].newer:
        back.append(page(place=back[-1].newer, newer=True))
    seen = [row["id"] for one in forth for row in one.rows]
    assert len(seen) == len(set(seen)) == 16
    assert [row["id"] for row in back[-1].rows] == seen[:5]
    column = order.column.name
    values = {row.id: getattr(row, column) for row in User.select()}
    known = [values[one] for one in seen if values[one] is not None]
    assert known == sorted(known, reverse=descending)
    assert all(values[one] is None for one in seen[len(known) :])


def test_one_sorts_by_a_column_and_the_other_way_round(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:  # A1
    crowd(fake, clock, 3)
    page = desk.get("/audience/")
    by_name = _sorting(page)
    page = desk.get(by_name)
    assert names(page.text) == ["User 001", "User 002", "User 003"]
    assert 'class="c-name" aria-sort="ascending"' in page.text
    assert names(desk.get(_sorting(page)).text) == ["User 003", "User 002", "User 001"]


def test_the_place_in_an_order_by_name_does_not_hold_the_name(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:  # A9
    crowd(fake, clock, 60)
    link = _link(desk.get("/audience/?sort=name").text, "next") or ""
    assert "user" not in link.lower()
    assert names(desk.get(link).text)[0] == "User 051"


def test_a_user_at_the_place_who_is_gone_leads_to_the_beginning(app: Flask, fake: Deployment) -> None:
    says(fake, "a", profile=Profile(name="A"))
    page = audience.page(order=Order("name", False), place=Cursor(None, 99), limit=5)
    assert [row["name"] for row in page.rows] == ["A"]


# Columns


def test_columns_are_chosen_and_kept_per_operator(app: Flask, fake: Deployment, desk: Desk) -> None:  # A1
    says(fake, "asha", profile=Profile(name="Asha", language="hi"))
    answer = desk.post("/audience/columns", column="language", next="/audience/?search=asha")
    assert answer.location == "/audience/?search=asha"
    heads = attributes(desk.get("/audience/"), "scope")
    assert len(heads) == 2
    assert "Hindi" in rows(desk.get("/audience/").text)[0]
    assert len(attributes(Desk(app, hire("Leo")).get("/audience/"), "scope")) == 6


def test_hundreds_of_columns_come_when_they_are_looked_for(app: Flask, fake: Deployment, desk: Desk) -> None:
    definitions.apply(creates=[draft(f"many_{number}", filterable=False) for number in range(MOST_IN_PAGE)])
    page = desk.get("/audience/")
    assert "p.many_7" not in page.text
    assert attributes(page, "data-more") == ["/audience/columns"]
    assert 'value="p.many_7"' in desk.parts("/audience/columns").text
    [link] = [href for href in attributes(page, "href") if "columns=all" in href]
    assert 'value="p.many_7"' in desk.get(link).text  # a browser without scripts follows it


def test_columns_that_do_not_exist_are_not_kept(app: Flask, fake: Deployment, desk: Desk) -> None:
    says(fake, "asha")
    desk.post("/audience/columns", column="password_hash", next="//evil.example")
    assert len(attributes(desk.get("/audience/"), "scope")) == 1


# Count, search, and what is not there


def test_the_count_is_of_all_users_or_of_the_matching_ones(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:
    assert "0 users" in words(desk.get("/audience/"))
    crowd(fake, clock, 12)
    assert "12 users" in words(desk.get("/audience/"))
    assert "1 user Sort" in words(desk.get("/audience/?search=user+003"))


def test_a_large_count_is_remembered_until_somebody_new_comes(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "COUNTED", 3)
    crowd(fake, clock, 5)
    for size in (5, 6, 7):
        assert f"{size} users" in words(desk.get("/audience/")) or "3+ users" in words(desk.get("/audience/"))
        says(fake, f"new {size}")


def test_rows_follow_the_clock_by_themselves(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:
    says(fake, "asha")
    for seconds, said in ((0, "now"), (59, "now"), (1, "1 min ago"), (3599, "1 h ago")):
        clock.advance(seconds=seconds)
        assert f"{said} hello {said}" in rows(desk.get("/audience/").text)[0]
    clock.advance(hours=22, minutes=58, seconds=59)
    assert "Open · <1m left" in rows(desk.get("/audience/").text)[0]
    clock.advance(seconds=2)
    assert "Expired" in rows(desk.get("/audience/").text)[0]


def test_many_matching_users_are_counted_up_to_a_limit(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "COUNTED", 10)
    crowd(fake, clock, 12)
    assert "10+ users" in words(desk.get("/audience/?search=user"))


@pytest.mark.parametrize(
    "query",
    ["asha", "ASHA RAO", "as", "98765", "+91 98765", "919876543210", "asha@ex", "scoped-id", "sha ra"],
)
def test_search_finds_by_name_phone_email_and_external_id(
    app: Flask, fake: Deployment, desk: Desk, query: str
) -> None:  # A7
    profile = Profile(name="Asha Rao", phone="+919876543210", email="asha@example.com")
    says(fake, "scoped-id-of-asha", profile=profile)
    says(fake, "other", profile=Profile(name="Leo Brandt", phone="+4915112345678"))
    assert names(desk.get("/audience/", query_string={"search": query}).text) == ["Asha Rao"]


@pytest.mark.parametrize(
    "query", ["%", "_", "\\", '"', "'", "a\x00b", "(", "*", "%' OR 1=1 --", "x" * 500, "  "]
)
def test_whatever_is_searched_for_is_only_text(app: Flask, fake: Deployment, desk: Desk, query: str) -> None:
    says(fake, "asha", profile=Profile(name="Asha Rao"))
    page = desk.get("/audience/rows", query_string={"search": query})
    assert page.status_code == 200
    assert names(page.text) == (["Asha Rao"] if not query.strip() else [])


def test_an_empty_audience_says_how_users_come(app: Flask, desk: Desk) -> None:
    assert "A user appears here with the first message" in words(desk.get("/audience/"))


def test_a_search_without_a_match_says_what_was_searched(app: Flask, fake: Deployment, desk: Desk) -> None:
    says(fake, "asha")
    page = desk.get("/audience/?search=nobody")
    assert "No user matches “ nobody ”" in words(page)
    assert "Name, phone, email and external id were searched." in words(page)


def test_a_list_that_cannot_be_read_says_so_and_keeps_the_search(
    app: Flask, fake: Deployment, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise PeeweeException("secret detail of the database")

    monkeypatch.setattr("admin.views.audience.audience.page", broken)
    page = desk.get("/audience/?search=asha")
    assert page.status_code == 503
    assert "The list did not load." in words(page)
    assert "Reference" in words(page)
    assert 'value="asha"' in page.text
    assert "secret detail" not in page.text
    assert desk.parts("/audience/rows?search=asha").status_code == 503


# The fragment, the stream, and the cost


def test_the_fragment_is_the_table_of_the_same_page(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:
    crowd(fake, clock, 60)
    fragment = desk.parts("/audience/rows?search=user")
    assert names(fragment.text) == names(desk.get("/audience/?search=user").text)
    assert "<html" not in fragment.text
    assert (_link(fragment.text, "next") or "").startswith("/audience/?search=user&older=")


def test_the_stream_tells_of_everybody(app: Flask, fake: Deployment, desk: Desk) -> None:
    answer = desk.http.get("/audience/live", headers={"Accept": "text/event-stream"})
    assert answer.content_type == "text/event-stream; charset=utf-8"
    stream = events(answer)
    assert next(stream).startswith("retry:")
    accepted = says(fake, "asha", "my secret words")
    said = next(stream)
    assert user_of(accepted).key in said
    assert "secret" not in said
    answer.close()


def test_the_stream_ends_with_the_login(app: Flask, fake: Deployment, desk: Desk) -> None:
    answer = desk.http.get("/audience/live", headers={"Accept": "text/event-stream"})
    stream = events(answer)
    next(stream)
    Operator.update(active=False).where(Operator.id == desk.operator.id).execute()
    says(fake, "asha")
    assert list(stream) == []
    answer.close()


def test_the_number_of_queries_does_not_grow_with_the_rows(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:
    crowd(fake, clock, 55)
    desk.get("/audience/")
    with counted_queries() as many:
        desk.get("/audience/")
    assert len(many) <= 9, many
    with counted_queries() as searched:
        desk.get("/audience/?search=user")
    assert len(searched) <= 9, searched


def test_a_deployment_that_can_no_longer_be_served_shows_at_once(
    fake: Deployment, desk: Desk, clock: HeldClock
) -> None:
    says(fake, "asha")
    clock.advance(seconds=30)
    assert "left" in rows(desk.get("/audience/").text)[0]
    clock.advance(seconds=1)
    Deployment.change(fake.id, channel="gone", changed=clock.now())
    assert "Unreachable" in rows(desk.get("/audience/").text)[0]


def test_an_echo_of_somebody_new_is_no_import(
    app: Flask, fake: Deployment, desk: Desk, clock: HeldClock
) -> None:
    echo = Echoed(id="e1", at=clock.now(), aliases=(Alias("id", "x"),), text="we wrote first")
    inbound.accept(fake, echo, clock.now())
    said = rows(desk.get("/audience/").text)[0]
    assert "Imported" not in said
    assert "we wrote first" in said


def _sorting(page: Any) -> str:
    return next(link for link in attributes(page, "href") if "sort=name" in link and "edit=" not in link)


def _link(text: str, rel: str) -> str | None:
    for piece in text.split("<a ")[1:]:
        tag = piece.partition(">")[0]
        if f'rel="{rel}"' in tag:
            return tag.partition('href="')[2].partition('"')[0].replace("&amp;", "&")
    return None
