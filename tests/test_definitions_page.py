"""The page of definitions: the table, the form of one, what bots propose, and who may (P1-P4, P9)."""

import io
import re
import time
from typing import Any

import pytest
from flask import Flask

from core import definitions, properties, property_jobs, proposals, values
from core.catalogue import Definition, Writer, catalogue
from core.definitions import Draft
from core.models import Job, Origin, User
from core.worker import Worker
from panel import PLUGINS as PANEL
from panel import Desk, attributes, employ, words

PLUGINS = (*PANEL, "plugins.money")
BOT = Writer(Origin.BOT, "Robo", groups=frozenset({"bot"}))
PLAN: dict[str, Any] = {
    "label": "Plan",
    "key": "plan",
    "type": "choice",
    "scope": "user",
    "source": "custom",
    "group": "Commerce",
    "help": "What the user pays for.",
    "options.choices.0.value": "free",
    "options.choices.0.label": "Free",
    "options.choices.1.value": "pro",
    "options.choices.1.label": "",
    "editable_by": ["admin", "builder", "bot"],
    "pinned": "1",
    "filterable": "1",
}


@pytest.fixture
def desk(app: Flask) -> Desk:
    """An admin at a browser."""
    return Desk(app, employ("admin"))


@pytest.fixture
def builder(app: Flask) -> Desk:
    """A builder, who does not see personal data."""
    return Desk(app, employ("builder", name="Leo Brandt"))


@pytest.fixture
def asha(app: Flask) -> User:
    """A user."""
    return User.create(key="asha", name="Asha Rao")


def known(key: str) -> Definition:
    """Return a definition as it is now."""
    return catalogue(fresh=True).by_key[key]


def pinned() -> list[str]:
    """Return the keys of the top panel, in order."""
    return [one.key for one in catalogue(fresh=True).active if one.pinned is not None]


def rows(text: str) -> list[str]:
    """Return the keys of the table, from the top."""
    return re.findall(r'<tr data-key="([^"]+)"', text)


def row(text: str, key: str) -> str:
    """Return the words of one row."""
    return words("<tr" + text.split(f'<tr data-key="{key}"')[1].partition("</tr>")[0])


def seen(desk: Desk, key: str) -> str:
    """Return which version of a definition its form was filled with."""
    found = re.search(r'name="seen" value="([^"]*)"', desk.get(f"/properties/{key}").text)
    assert found
    return found[1]


def field(text: str, name: str) -> str:
    """Return the first tag of a page with this name."""
    found = re.search(rf'<(?:input|select|textarea)[^>]* name="{re.escape(name)}"[^>]*>', text)
    assert found, name
    return found[0]


# The table


def test_the_table_shows_what_a_definition_is(desk: Desk) -> None:  # P4
    definitions.create(Draft(key="nps", label="NPS", type="integer", source="bot", options={"max": 10}))
    said = row(desk.get("/properties/").text, "nps")
    assert said == "NPS nps Whole number · ≤ 10 Bot Operators — Not counted yet"


def test_pinned_ones_come_first_in_order_and_the_others_by_group(desk: Desk) -> None:  # P4, U6
    definitions.create(Draft(key="plan", label="Plan", group="Commerce"))
    definitions.create(Draft(key="city", label="City", group="Commerce"))
    definitions.pin(["plan", "name", "country"])
    page = desk.get("/properties/").text
    assert rows(page)[:3] == ["plan", "name", "country"]
    assert "Top panel · 3 pinned" in page
    assert "Commerce · 1" in page


@pytest.mark.parametrize(
    ("asked", "there", "missing"),
    [
        ("show=bot", "nps", "plan"),
        ("show=custom", "plan", "nps"),
        ("show=system", "country", "plan"),
        ("show=archived", "gone", "plan"),
        ("find=PLA", "plan", "nps"),
        ("type=integer", "nps", "plan"),
    ],
)
def test_tabs_find_and_type_narrow_the_table(desk: Desk, asked: str, there: str, missing: str) -> None:
    definitions.create(Draft(key="plan", label="Plan"))
    definitions.create(Draft(key="nps", label="NPS", type="integer", source="bot"))
    definitions.create(Draft(key="gone", label="Gone"))
    definitions.archive("gone")
    found = rows(desk.get(f"/properties/?{asked}").text)
    assert there in found
    assert missing not in found


def test_the_tabs_count(desk: Desk) -> None:
    definitions.create(Draft(key="nps", label="NPS", source="bot"))
    page = words(desk.get("/properties/"))
    assert re.search(r"All \d+ System \d+ Channel 0 Bot 1 Custom 6 Proposed 0 Archived 0", page)


def test_how_many_users_have_a_value_is_counted_when_the_page_opens(
    desk: Desk, asha: User, worker: Worker
) -> None:
    User.create(key="leo")
    definitions.create(Draft(key="plan", label="Plan", editable_by=("bot",)))
    properties.write(asha.id, {"plan": "pro"}, BOT)
    assert "—" in row(desk.get("/properties/").text, "plan")
    worker.run_until_idle()
    page = desk.get("/properties/").text
    assert "50%" in row(page, "plan")
    assert re.search(r'title="1 of 2 users, as of [^"]+"', page)
    assert not Job.select().where(Job.kind == property_jobs.COUNT).count()


def test_five_hundred_definitions_are_drawn_quickly(desk: Desk) -> None:
    definitions.apply([Draft(key=f"p{at}", label=f"Property {at}", filterable=False) for at in range(500)])
    desk.get("/properties/")
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        assert len(rows(desk.get("/properties/").text)) > 500
        took.append(time.perf_counter() - begun)
    assert min(took) < 0.25  # an order below what hurts, on a machine that does much else


# What a click saves


def test_a_switch_pins_and_unpins(desk: Desk) -> None:  # P4
    definitions.create(Draft(key="plan", label="Plan"))
    assert desk.post("/properties/plan/pinned", on="1").status_code == 303
    assert pinned()[-1] == "plan"
    desk.post("/properties/plan/pinned", on="0")
    assert "plan" not in pinned()


def test_what_parley_computes_can_be_pinned_and_nothing_else(desk: Desk) -> None:  # P3
    desk.post("/properties/handler/pinned", on="1")
    assert pinned()[-1] == "handler"
    answer = desk.post("/properties/handler/personal", on="1", script=True)
    assert answer.status_code == 409
    assert words(answer) == "Parley computes this property, so only its place can be changed."
    assert not known("handler").personal
    page = words(desk.get("/properties/handler"))
    assert "Parley computes this property" in page
    assert "Who answers the user now" in page


def test_a_switch_makes_a_property_personal(desk: Desk) -> None:
    definitions.create(Draft(key="plan", label="Plan", type="choice", options={"choices": ["a", "b"]}))
    answer = desk.post("/properties/plan/personal", on="1", script=True)
    assert words(answer) == "“Plan” is personal data now."
    assert known("plan").personal
    assert [one.value for one in known("plan").type.choices()] == ["a", "b"]


@pytest.mark.parametrize(
    ("moved", "before", "order"),
    [("c", "a", "cab"), ("a", "c", "bac"), ("a", "", "bca"), ("c", "", "abc")],
)
def test_a_pinned_one_moves_before_another(desk: Desk, moved: str, before: str, order: str) -> None:
    for key in "abc":
        definitions.create(Draft(key=key, label=key.upper()))
    definitions.pin(["a", "b", "c"])
    answer = desk.post(f"/properties/{moved}/move", before=before, script=True)
    assert words(answer) == f"{moved.upper()} is number {order.index(moved) + 1} of 3."
    assert pinned() == list(order)


def test_a_move_beside_one_that_is_not_pinned_any_more_moves_nothing(desk: Desk) -> None:
    for key in "abc":
        definitions.create(Draft(key=key, label=key.upper()))
    definitions.pin(["a", "b"])
    answer = desk.post("/properties/a/move", before="c", script=True)
    assert answer.status_code == 409
    assert "Nothing was moved" in words(answer)
    assert pinned() == ["a", "b"]


def test_archived_and_restored(desk: Desk) -> None:  # P4
    definitions.create(Draft(key="plan", label="Plan"))
    desk.post("/properties/plan/archive")
    assert rows(desk.get("/properties/?show=archived").text) == ["plan"]
    desk.post("/properties/plan/restore")
    assert known("plan").archived is None
    refused = desk.post("/properties/name/archive", script=True)
    assert refused.status_code == 409
    assert "belongs to Parley" in words(refused)


def test_a_purge_says_what_goes_and_wants_the_key_typed(desk: Desk, asha: User) -> None:
    definitions.create(Draft(key="plan", label="Plan", editable_by=("bot",)))
    properties.write(asha.id, {"plan": "pro"}, BOT)
    definitions.archive("plan")
    question = words(desk.get("/properties/plan/purge"))
    assert "The values of 1 user and their history (1 change) are deleted." in question
    wrong = desk.post("/properties/plan/purge", confirm="plans")
    assert wrong.status_code == 422
    assert "Nothing was deleted" in words(wrong)
    assert known("plan")
    desk.post("/properties/plan/purge", confirm="plan")
    assert "plan" not in catalogue(fresh=True).by_key


def test_only_an_archived_property_is_purged(desk: Desk) -> None:
    definitions.create(Draft(key="plan", label="Plan"))
    assert desk.post("/properties/plan/purge", confirm="plan", script=True).status_code == 409
    assert known("plan")


# The form


def test_a_property_is_defined_and_in_use(desk: Desk) -> None:  # P1, P2, P4
    assert desk.post("/properties/new-property", **PLAN).status_code == 303
    made = known("plan")
    assert (made.label, made.section, made.help) == ("Plan", "Commerce", "What the user pays for.")
    assert [(one.value, one.label) for one in made.type.choices()] == [("free", "Free"), ("pro", "pro")]
    assert made.editable_by == {"admin", "builder", "bot"}
    assert made.column
    assert made.pinned
    page = desk.get("/properties/plan").text
    assert 'value="free"' in field(page, "options.choices.0.value")
    assert "checked" in field(page, "pinned")


def test_a_key_is_made_from_the_label(desk: Desk) -> None:
    desk.post("/properties/new-property", **{**PLAN, "label": "Größe (cm)", "key": ""})
    assert known("grosse_cm").label == "Größe (cm)"


def test_a_clash_names_both_and_keeps_what_was_typed(desk: Desk) -> None:
    answer = desk.post("/properties/new-property", **{**PLAN, "key": "email"})
    assert answer.status_code == 422
    said = words(answer)
    assert "`email` is the key of the property “Email” already. Take another key." in said
    assert "1 problem to fix" in said
    assert 'value="free"' in field(answer.text, "options.choices.0.value")
    assert 'aria-invalid="true"' in field(answer.text, "key")


@pytest.mark.parametrize("key", ["select", "new", "import", "purge", "x" * 63])
def test_any_key_can_be_opened(desk: Desk, key: str) -> None:
    assert desk.post("/properties/new-property", **{**PLAN, "key": key}).status_code == 303
    assert f'value="{key}"' in field(desk.get(f"/properties/{key}").text, "key")


@pytest.mark.parametrize(
    "key", ['a"b', "x" * 200, "\N{GRINNING FACE}", "\N{HEBREW LETTER ALEF}b", "A b", "1a"]
)
def test_a_key_that_cannot_be_is_explained(desk: Desk, key: str) -> None:
    answer = desk.post("/properties/new-property", **{**PLAN, "key": key})
    assert answer.status_code == 422
    assert "A key is made of a–z, 0–9 and _" in words(answer)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("plan", "Free. Cannot change later."),
        ("country", "`country` is the key of Parley’s own property “Country” already. Take another key."),
    ],
)
def test_a_key_is_checked_while_it_is_typed(desk: Desk, key: str, says: str) -> None:
    looked = desk.post("/properties/new-property", script=True, look="1", **{**PLAN, "key": key})
    assert looked.status_code == 200
    assert says in words(looked)
    assert "plan" not in catalogue(fresh=True).by_key


@pytest.mark.parametrize(
    ("typed", "place", "says"),
    [
        ({"type": "integer", "options.min": "ten"}, "options.min", "Type a whole number."),
        ({"type": "decimal", "options.min": "ten"}, "options.min", "Type a number."),
        ({"type": "date", "options.min": "soon"}, "options.min", "Type a date, such as 2026-11-24."),
        ({"type": "text", "options.pattern": "("}, "options.pattern", "pattern cannot be used"),
        ({"type": "integer", "default": "ten"}, "default", "The default takes a whole number."),
        ({"label": " "}, "label", "A label has 1 to 80 characters."),
    ],
)
def test_a_problem_stands_at_its_field(desk: Desk, typed: dict[str, str], place: str, says: str) -> None:
    answer = desk.post("/properties/new-property", **{**PLAN, **typed})
    assert answer.status_code == 422
    assert says in words(answer)
    assert 'aria-invalid="true"' in field(answer.text, place)
    if typed.get(place, "").strip():
        assert f'value="{typed[place]}"' in field(answer.text, place)


def test_an_option_that_is_needed_is_asked_for(desk: Desk) -> None:
    answer = desk.post("/properties/new-property", **{**PLAN, "type": "money"})
    assert answer.status_code == 422
    assert "This is needed." in words(answer)


def test_options_of_several_fields_are_checked_together(desk: Desk) -> None:
    typed = {"type": "integer", "options.min": "10", "options.max": "1"}
    answer = desk.post("/properties/new-property", **{**PLAN, **typed})
    assert "The smallest value is larger than the largest." in words(answer)


def test_a_value_that_is_used_twice_is_marked_where_it_repeats(desk: Desk) -> None:
    answer = desk.post("/properties/new-property", **{**PLAN, "options.choices.1.value": "free"})
    assert "“free” is used twice; each value must be different." in words(answer)
    assert "aria-invalid" not in field(answer.text, "options.choices.0.value")
    assert 'aria-invalid="true"' in field(answer.text, "options.choices.1.value")


def test_the_form_of_a_plugins_type_is_made_from_its_options(desk: Desk) -> None:
    typed = {"label": "Budget", "key": "budget", "type": "money", "look": "1"}
    page = desk.post("/properties/new-property", **{**PLAN, **typed})
    kind = desk.app.extensions["parley"].manager.property_types["money"]
    for name, declared in kind.Options.model_fields.items():
        assert field(page.text, f"options.{name}")
        assert declared.title is None or declared.title in words(page)


def test_rows_are_added_moved_and_removed_without_scripts(desk: Desk) -> None:
    def values_after(**pressed: str) -> list[str]:
        page = desk.post("/properties/new-property", **{**PLAN, **pressed}).text
        page = re.sub(r"<template.*?</template>", "", page, flags=re.S)
        return re.findall(r'value="([^"]*)"[^>]* name="options\.choices\.\d+\.value"', page)

    assert values_after(add="choices") == ["free", "pro", ""]
    assert values_after(remove="choices.0") == ["pro"]
    assert values_after(move="choices.1.up") == ["pro", "free"]
    assert "plan" not in catalogue(fresh=True).by_key


def test_a_type_that_nothing_can_ask_of_cannot_be_filtered_by(desk: Desk) -> None:
    typed = {"label": "Cart", "key": "cart", "type": "object"}
    looked = desk.post("/properties/new-property", look="1", **{**PLAN, **typed})
    assert "JSON cannot be filtered by." in words(looked)
    desk.post("/properties/new-property", **{**PLAN, **typed})
    assert known("cart").filterable is False


def test_a_session_property_is_promoted_to_one_of_the_same_type(desk: Desk) -> None:  # P1
    definitions.create(Draft(key="topic", label="Topic"))
    definitions.create(Draft(key="score", label="Score", type="integer"))
    typed = {"label": "Asked about", "key": "asked", "type": "text", "scope": "session"}
    looked = desk.post("/properties/new-property", look="1", **{**PLAN, **typed})
    assert 'value="topic"' in looked.text
    assert 'value="score"' not in looked.text
    desk.post("/properties/new-property", promotes_to="topic", **{**PLAN, **typed})
    assert known("asked").promotes_to == "topic"


def test_an_edit_changes_what_it_may_and_keeps_the_key(desk: Desk) -> None:
    desk.post("/properties/new-property", **PLAN)
    changed = {**PLAN, "label": "Tier", "key": "other", "seen": seen(desk, "plan")}
    assert "The key stays `plan`" in words(desk.post("/properties/plan", **changed))
    desk.post("/properties/plan", **{**changed, "key": "plan"})
    assert known("plan").label == "Tier"


def test_an_older_form_does_not_revert_a_newer_definition(desk: Desk, builder: Desk) -> None:
    desk.post("/properties/new-property", **PLAN)
    older = seen(desk, "plan")
    builder.post("/properties/plan", **{**PLAN, "label": "Tier", "seen": older})
    stale = desk.post("/properties/plan", **{**PLAN, "help": "Mine.", "seen": older})
    assert stale.status_code == 409
    assert "Somebody changed this property while it was open here." in words(stale)
    assert "Mine." in stale.text
    assert (known("plan").label, known("plan").help) == ("Tier", "What the user pays for.")


def test_of_a_built_in_property_only_some_things_change(desk: Desk) -> None:
    page = desk.get("/properties/gender").text
    assert "options.choices.0.value" in page
    assert 'name="source"' not in page
    typed: dict[str, Any] = {
        "label": "Sex",
        "key": "gender",
        "type": "choice",
        "scope": "user",
        "seen": seen(desk, "gender"),
    }
    typed |= {"options.choices.0.value": "f", "options.allow_other": "1", "group": "About", "default": "f"}
    desk.post("/properties/gender", **typed, filterable="1", editable_by=["admin"])
    changed = known("gender")
    assert (changed.label, changed.initial) == ("Sex", None)
    assert changed.editable_by == {"admin"}
    assert [one.value for one in changed.type.choices()] == ["f"]
    assert changed.is_built_in
    assert changed.filterable


def test_a_choice_in_use_is_retired_with_one_click(desk: Desk, asha: User) -> None:
    desk.post("/properties/new-property", **PLAN)
    properties.write(asha.id, {"plan": "free"}, BOT)
    without = {name: value for name, value in PLAN.items() if ".choices.0." not in name}
    without["seen"] = seen(desk, "plan")
    refused = desk.post("/properties/plan", **without)
    assert refused.status_code == 422
    assert "`plan`: “free” is in use by 1 user." in words(refused)
    assert re.search(r'name="retire" value="free"', refused.text)
    offered = desk.post("/properties/plan", retire="free", **without)
    assert 'value="free"' in field(offered.text, "options.choices.0.value")
    assert "checked" in field(offered.text, "options.choices.0.retired")
    desk.post("/properties/plan", **{**PLAN, "options.choices.0.retired": "1", "seen": without["seen"]})
    assert [one.retired for one in known("plan").type.choices()] == [True, False]
    assert values.values(asha.id)["plan"].value == "free"


# What bots propose


@pytest.fixture
def sizes(asha: User) -> User:
    """A user whose bot sent keys that nobody defined."""
    leo = User.create(key="leo")
    proposals.offer(asha.id, {"shoe_size": "38", "junk": 1}, BOT, None)
    proposals.offer(leo.id, {"shoe_size": "about 40"}, BOT, None)
    proposals.offer(leo.id, {"shoe_size": "about 40"}, BOT, None)
    return asha


def test_a_proposal_shows_what_the_bot_sent(desk: Desk, sizes: User) -> None:  # P9
    page = desk.get("/properties/?show=proposed").text
    assert "Proposed 2" in words(page)
    said = row(page, "shoe_size")
    assert [
        one for one in ("from Robo", "2 users 3 times", "Text", "about 40", "38") if one not in said
    ] == []


def test_examples_are_hidden_from_who_does_not_see_personal_data(builder: Desk, sizes: User) -> None:
    page = builder.get("/properties/?show=proposed")
    assert "about 40" not in page.text
    assert "Hidden from your role" in words(page)
    looked = builder.post(
        "/properties/new-property", look="1", adopts="shoe_size", key="shoe_size", type="integer"
    )
    assert "1 does not fit" in words(looked)
    assert "about 40" not in looked.text


def test_adopting_says_what_does_not_fit_and_takes_the_rest(desk: Desk, sizes: User, worker: Worker) -> None:
    page = desk.get("/properties/new-property?adopts=shoe_size")
    assert "2 users have a value from the bot. All of them fit, and are taken over." in words(page)
    typed: dict[str, Any] = {
        "adopts": "shoe_size",
        "key": "shoe_size",
        "label": "Shoe size",
        "type": "integer",
        "source": "bot",
        "editable_by": ["admin", "bot"],
    }
    typed |= {"scope": "user", "filterable": "1"}
    looked = words(desk.post("/properties/new-property", look="1", **typed))
    assert "1 does not fit and is dropped." in looked
    assert "about 40" in looked
    assert desk.post("/properties/new-property", **typed).status_code == 303
    worker.run_until_idle()
    assert values.values(sizes.id)["shoe_size"].value == 38
    assert "shoe_size" not in desk.get("/properties/?show=proposed").text
    assert desk.get("/properties/new-property?adopts=shoe_size").status_code == 404


def test_refused_for_good_and_reconsidered(desk: Desk, sizes: User) -> None:
    desk.post("/properties/proposed-keys/junk/refuse")
    page = words(desk.get("/properties/?show=proposed"))
    assert "Refused · 1 junk" in page
    assert "Proposed 1" in page
    proposals.offer(sizes.id, {"junk": 2}, BOT, None)
    assert "Proposed 1" in words(desk.get("/properties/?show=proposed"))
    desk.post("/properties/proposed-keys/junk/reconsider")
    assert "Proposed 2" in words(desk.get("/properties/?show=proposed"))
    assert desk.post("/properties/proposed-keys/nothing/refuse").status_code == 404


# Files


FILE = """
[{"key": "plan", "type": "choice", "label": "Tier", "choices": ["free", "pro"]},
 {"key": "city", "type": "text"},
 {"key": "country", "type": "text"}]
"""


def hidden(text: str, name: str) -> str:
    """Return what a hidden field carries."""
    found = re.search(r'value="([^"]*)"', field(text, name))
    assert found
    return found[1]


def test_a_file_is_planned_and_applied(desk: Desk) -> None:
    desk.post("/properties/new-property", **PLAN)
    plan = desk.post("/properties/import-file", text=FILE)
    said = words(plan)
    assert "Created 1 Changed 1 In conflict 1 Left alone 0" in said
    assert "`country` is the key of the property “Country”" in said
    assert "label Plan Tier" in said
    assert "city" not in catalogue(fresh=True).by_key
    looked_at: dict[str, Any] = {"seal": hidden(plan.text, "seal"), "packed": hidden(plan.text, "packed")}
    refused = desk.post("/properties/import-file", **looked_at)
    assert refused.status_code == 409
    assert "Nothing was changed" in words(refused)
    assert desk.post("/properties/import-file", **looked_at, skip="1").status_code == 303
    assert known("city").type.name == "text"
    assert known("plan").label == "Tier"


def test_a_plan_that_grew_old_is_shown_anew(desk: Desk) -> None:
    plan = desk.post("/properties/import-file", text='[{"key": "city", "type": "text"}]')
    looked_at: dict[str, Any] = {"seal": hidden(plan.text, "seal"), "packed": hidden(plan.text, "packed")}
    definitions.create(Draft(key="city", label="Town"))
    stale = desk.post("/properties/import-file", **looked_at)
    assert stale.status_code == 409
    assert "The properties changed since this plan was made." in words(stale)
    assert known("city").label == "Town"


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"text": " "}, "There is nothing to read."),
        ({"text": "{"}, "The file was not read."),
        ({"packed": "nonsense", "seal": "x"}, "The plan was changed on its way."),
    ],
)
def test_a_file_that_cannot_be_read_is_explained(desk: Desk, form: dict[str, Any], says: str) -> None:
    answer = desk.post("/properties/import-file", **form)
    assert answer.status_code == 422
    assert says in words(answer)


def test_the_slots_of_a_domain_are_uploaded(desk: Desk) -> None:
    domain = b"slots:\n  shoe_size:\n    type: float\n"
    plan = desk.post("/properties/import-file", file=(io.BytesIO(domain), "domain.yml"))
    assert "Created 1" in words(plan)
    assert "shoe_size" in words(plan)


def test_what_is_exported_changes_nothing_when_it_is_imported(desk: Desk) -> None:
    desk.post("/properties/new-property", **PLAN)
    exported = desk.get("/properties/export-file")
    assert exported.headers["Content-Disposition"] == 'attachment; filename="properties.json"'
    assert "There is nothing to apply." in words(desk.post("/properties/import-file", text=exported.text))


# Who may


def test_who_may_define_sees_the_menu(desk: Desk, builder: Desk, app: Flask) -> None:
    for one in (desk, builder):
        assert 'href="/properties/"' in one.get("/audience/").text
    for role in ("agent", "auditor"):
        other = Desk(app, employ(role))
        assert "/properties/" not in attributes(other.get("/audience/"), "href")
        assert other.get("/properties/").status_code == 403
        assert other.post("/properties/new-property", **PLAN).status_code == 403
        assert other.post("/properties/country/pinned", on="0").status_code == 403
    assert "country" in pinned()


def test_only_an_admin_purges(builder: Desk) -> None:
    definitions.create(Draft(key="plan", label="Plan"))
    definitions.archive("plan")
    assert "Purge" not in words(builder.get("/properties/plan"))
    assert builder.get("/properties/plan/purge").status_code == 403
    assert builder.post("/properties/plan/purge", confirm="plan").status_code == 403
    assert known("plan")


def test_a_key_that_is_not_there_is_no_page(desk: Desk) -> None:
    assert desk.get("/properties/nothing").status_code == 404
    assert desk.get("/properties/new").location == "/properties/new-property"


# ── Another type ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_property_gets_another_type(desk: Desk, asha: User, worker: Worker) -> None:  # P4
    definitions.create(Draft(key="size", label="Size", editable_by=("admin", "bot")))
    properties.write(asha.id, {"size": "42"}, BOT)
    assert "/properties/size/convert" in desk.get("/properties/size").text
    asked = desk.get("/properties/size/convert").text
    assert 'value="integer"' in asked
    assert 'name="type" value="text"' not in asked
    answer = desk.post("/properties/size/convert", type="integer", **{"options.max": "60"})
    assert answer.status_code == 303
    assert "Being converted to “Whole number”." in desk.get("/properties/").text
    assert "It can be edited when that is done." in words(desk.get("/properties/size"))
    worker.run_until_idle()
    found = known("size")
    assert (found.type.name, found.type.summary()) == ("integer", "≤ 60")
    assert values.values(asha.id)["size"].value == 42


def test_a_conversion_that_failed_says_whose_value_does_not_fit(
    desk: Desk, asha: User, worker: Worker
) -> None:
    definitions.create(Draft(key="size", label="Size", editable_by=("admin", "bot")))
    properties.write(asha.id, {"size": "large"}, BOT)
    desk.post("/properties/size/convert", type="integer")
    worker.run_until_idle()
    assert "1 user has a value that “Whole number” does not take: asha." in words(
        desk.get("/properties/size")
    )
    assert "does not take: asha." in desk.get("/properties/").text
    desk.post("/properties/size/forget")
    assert known("size").conversion is None
    assert "does not take" not in desk.get("/properties/").text


def test_choices_are_brought_along_to_another_type(desk: Desk) -> None:
    desk.post("/properties/new-property", **PLAN)
    asked = desk.post("/properties/plan/convert", type="choices", look="1").text
    assert 'value="free"' in asked
    assert 'value="pro"' in asked


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({}, "Choose the type that it is to have."),
        ({"type": "text"}, "has this type"),
        ({"type": "mood"}, "There is no type"),
        ({"type": "money"}, "This is needed."),
    ],
)
def test_a_conversion_that_cannot_begin_is_explained(desk: Desk, typed: dict[str, str], says: str) -> None:
    definitions.create(Draft(key="size", label="Size", editable_by=("admin", "bot")))
    answer = desk.post("/properties/size/convert", **typed)
    assert answer.status_code == 422
    assert says in words(answer)
    assert known("size").conversion is None


def test_what_parley_brings_keeps_its_type(desk: Desk) -> None:  # P3
    assert "/properties/name/convert" not in desk.get("/properties/name").text
    answer = desk.post("/properties/name/convert", type="integer")
    assert answer.status_code == 422
    assert "keeps its type" in words(answer)
