"""What a bot says and nobody defined (P9): offered, adopted with all its values, or refused for good."""

import json

import pytest

from core import definitions, properties, proposals
from core.catalogue import catalogue
from core.db import database
from core.models import Job, PropertyOffer, PropertyProposal
from core.values import UNSET, Value
from defining import ROBO, define, draft, person, put, value
from fake_channel import at_once, deploy, says, user_of

PLUGINS = ("fake_channel",)


@pytest.fixture
def people(app):
    shop = deploy()
    return [user_of(says(shop, f"u{number}")) for number in range(3)]


def offer(user, **given):
    with database.atomic():
        return proposals.offer(user.id, given, ROBO, None)


def test_what_nobody_defined_is_proposed_with_examples_and_counts(people):
    for number, one in enumerate(people):
        offer(one, age=30 + number)
        offer(one, age=40 + number)
    [found] = proposals.proposals()
    assert (found.key, found.offers, found.users, found.looks_like) == ("age", 6, 3, "integer")
    assert sorted(found.examples) == ["40", "41", "42"]


def test_adopting_gives_everybody_the_last_value_as_the_bots(people, worker):
    for number, one in enumerate(people):
        offer(one, age=30 + number)
    [found] = proposals.proposals()
    proposals.adopt(proposals.draft_for(found))
    assert proposals.proposals() == []
    put(people[0].id, person(), age="99")
    put(people[1].id, ROBO, age=50)
    put(people[1].id, person(), age="")
    worker.run_until_idle()
    assert [value(one.id, "age") for one in people] == [Value(99), UNSET, Value(32)]
    last = properties.history(people[2].id, catalogue().by_key["age"])[0]
    assert (last.origin, last.actor, last.holds) == ("bot", "Robo", False)
    assert not PropertyProposal.select().exists()


def test_whoever_defines_the_key_adopts_what_the_bot_said(people, worker):
    offer(people[0], city="Delhi")
    define("city")
    worker.run_until_idle()
    assert value(people[0].id, "city") == Value("Delhi")


def test_a_definition_that_is_not_open_to_bots_takes_nothing_over(people, worker):
    offer(people[0], city="Delhi")
    definitions.create(draft("city", editable_by=("admin",)))
    worker.run_until_idle()
    assert value(people[0].id, "city") == UNSET
    assert proposals.proposals() == []


def test_adopting_goes_on_after_a_crash(people, worker, clock, monkeypatch):
    for one in people:
        offer(one, city="Delhi")
    proposals.adopt(draft("city"))
    write, calls = properties.write, []

    def breaks(*arguments, **more):
        calls.append(arguments)
        if len(calls) == 2:
            raise RuntimeError("killed")
        return write(*arguments, **more)

    with monkeypatch.context() as broken:
        broken.setattr(properties, "write", breaks)
        worker.run_until_idle()
    assert PropertyOffer.select().count() == 2
    clock.advance(seconds=600)
    worker.run_until_idle()
    assert [value(one.id, "city").value for one in people] == ["Delhi"] * 3
    assert not Job.select().exists()


def test_what_is_archived_before_it_was_adopted_loses_nothing(people, worker, clock):
    offer(people[0], city="Delhi")
    proposals.adopt(draft("city"))
    definitions.archive("city")
    worker.run_until_idle()
    assert PropertyOffer.select().count() == 1
    definitions.restore("city")
    clock.advance(seconds=120)
    worker.run_until_idle()
    assert value(people[0].id, "city") == Value("Delhi")


def test_what_does_not_fit_is_foretold_and_left_out(people, worker):
    offer(people[0], age="many")
    offer(people[1], age=30)
    wanted = draft("age", "integer")
    assert proposals.unfit(wanted) == (1, ["many"])
    proposals.adopt(wanted)
    worker.run_until_idle()
    assert [value(one.id, "age") for one in people] == [UNSET, Value(30), UNSET]


def test_refused_is_for_good_until_somebody_thinks_again(people):
    offer(people[0], city="Delhi")
    proposals.refuse("city")
    offer(people[1], city="Pune")
    assert proposals.proposals() == []
    assert not PropertyOffer.select().exists()
    assert [one.key for one in proposals.proposals(refused=True)] == ["city"]
    proposals.reconsider("city")
    offer(people[1], city="Pune")
    assert proposals.proposals()[0].examples == ["Pune"]


def test_what_is_unset_is_offered_no_more_and_skipped_is_no_value(people):
    offer(people[0], city="Delhi")
    offer(people[1], city="SKIPPED")
    offer(people[0], city="UNSET")
    assert proposals.proposals()[0].users == 0


@pytest.mark.parametrize("key", ["", "A", "\ud800", "a b", "x" * 200, "~1", '"', "opt_in", "consent"])
def test_what_cannot_be_a_key_is_said_in_storable_words(people, key):
    [sentence] = offer(people[0], **{key: "x"})
    assert sentence.encode()
    assert len(sentence) < 200
    assert not PropertyProposal.select().exists()


def test_too_many_and_too_large_are_not_kept(people, monkeypatch):
    monkeypatch.setattr(proposals, "MOST_PROPOSALS", 1)
    assert offer(people[0], one="1") == []
    assert "not kept" in offer(people[0], two="2")[0]
    assert "too large" in offer(people[0], one="x" * 3000)[0]
    proposals.refuse("one")
    assert offer(people[0], two="2") == []  # what was refused takes nobody's place


def test_hostile_values_are_kept_as_they_can_be(people):
    nested = []
    for _ in range(200):
        nested = [nested]
    for given in ("\x00\ud800", float("nan"), {"\ud800": 1}, nested, 10**400, "<script>"):
        offer(people[0], odd=given)
        json.dumps(proposals.proposals()[0].examples).encode()


def test_answers_that_name_the_same_keys_in_other_orders_lock_nobody_out(app, people):
    keys = [f"k{number}" for number in range(12)]

    def answer(user, order):
        for _ in range(5):
            offer(user, **dict.fromkeys(order, "x"))
        return True

    orders = [keys, keys[::-1], keys[6:] + keys[:6]]
    runs = [
        lambda user=user, order=order: answer(user, order) for user, order in zip(people, orders, strict=True)
    ]
    assert at_once(app, *runs) == [True] * 3
    assert {one.offers for one in proposals.proposals()} == {15}
