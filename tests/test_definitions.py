"""Definitions (P4): what can be one, what is in use at once, and what archiving and purging leave."""

import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from pydantic import BaseModel

from core import catalogue as catalogues
from core import columns, definitions, properties, stored
from core.catalogue import MissingType, catalogue, tells_consent
from core.context import parley
from core.db import database, run
from core.definitions import MOST_PINNED, BadDefinition, draft_of
from core.models import Job, Property, PropertyChange, PropertySkipped, Session, Source
from core.property_type import Storage
from core.values import SKIPPED, UNSET, Value
from defining import ROBO, SYSTEM, define, draft, person, problems, put, value
from fake_channel import deploy, says, user_of

PLUGINS = ("fake_channel", "plugins.money")
WORDS_OF_SQL = (
    "select",
    "drop",
    "user",
    "table",
    "order",
    "null",
    "true",
    "id",
    "properties",
    "group",
    "p_1",
)


def someone():
    return user_of(says(deploy()))


# ── What can be a definition


NO_KEYS = """|Plan|1st|a b|a-b|a"b|a'b|a;--|~5|plan$|_plan|ａ|\N{ARABIC LETTER ALEF}|\N{GRINNING FACE}"""
OTHERS = ("x" * 64, "x" * 200, "plan\n", "plan\x00", "\ud800")


@pytest.mark.parametrize("key", [*NO_KEYS.split("|"), *OTHERS])
def test_what_is_no_key_is_refused_with_the_rule(app, key):
    assert problems(draft(key, label="Plan")) == {"key": definitions.KEY_RULE}


def test_words_of_sql_are_keys_like_others(app):
    asha = someone()
    for key in WORDS_OF_SQL:
        define(key)
    put(asha.id, person(), **{key: f"the {key}" for key in WORDS_OF_SQL})
    assert {key: value(asha.id, key).value for key in WORDS_OF_SQL} == {
        key: f"the {key}" for key in WORDS_OF_SQL
    }


HOSTILE = [
    "<script>alert(1)</script>",
    '\'; DROP TABLE "user"; --',
    "\N{RIGHT-TO-LEFT OVERRIDE}evil",
    "\N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET}",
    "{{ 7 * 7 }}",
    "%s ? :a",
    "a" * 80,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_label_is_any_text_and_comes_back_as_it_was(app, text):
    made = define("plan", label=text, help=text, group=text[:40])
    assert (made.label, made.help, made.section) == (text, text, text[:40].strip())


def test_what_a_database_cannot_store_is_replaced(app):
    made = define("plan", label="a\x00b\ud800c", help="\x00", group="\ud800")
    assert made.label == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


@pytest.mark.parametrize("label", ["", "  ", "a" * 81, "a" * 200])
def test_a_label_has_one_to_eighty_characters(app, label):
    assert problems(draft("plan", label=label)) == {"label": "A label has 1 to 80 characters."}


@effort(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.text(max_size=70), label=st.text(max_size=90), help_=st.text(max_size=20))
def test_whatever_is_typed_there_is_an_answer(app, key, label, help_):
    found = problems(draft(key, label=label, help=help_))
    assert all(sentence.endswith(".") and len(sentence) < 300 for sentence in found.values())
    if not found:
        definitions.archive(key)
        definitions.purge(key)


def test_a_clash_names_both(app):
    assert "Parley’s own property “Country”" in problems(draft("country"))["key"]
    define("plan", label="Plan")
    assert "“Plan”" in problems(draft("plan"))["key"]
    definitions.archive("plan")
    assert "archived property “Plan”" in problems(draft("plan"))["key"]


def test_one_key_twice_in_one_change_is_refused(app):
    with pytest.raises(BadDefinition) as refused:
        definitions.apply([draft("plan"), draft("plan")])
    assert "2 times" in refused.value.problems["key"]
    assert "plan" not in catalogue(fresh=True).by_key


def test_several_of_one_type_are_defined_in_one_change(app):
    made = definitions.apply([draft(f"text_{number}") for number in range(3)])
    assert len({one.column for one in made}) == 3


def test_a_key_of_a_channel_that_is_not_loaded_says_so(app):
    Property.create(
        key="gone_page", label="Page", type="text", source=Source.CHANNEL, owner="gone", section="Gone"
    )
    assert "“Page” of Gone, which is not loaded" in problems(draft("gone_page"))["key"]


def test_the_thousand_and_first_is_refused(app, monkeypatch):
    monkeypatch.setattr("core.drafts.MOST_PROPERTIES", len(catalogue().by_key) + 1)
    define("last")
    assert "as many as there can be" in problems(draft("one_more"))["key"]


def test_one_more_pinned_than_there_can_be_is_refused(app):
    pinned = sum(one.pinned is not None for one in catalogue().active)
    for number in range(MOST_PINNED - pinned):
        define(f"p{number}", pinned=True, filterable=False)
    assert "At most 30" in problems(draft("one_more", pinned=True))["pinned"]


def test_an_archived_property_is_not_pinned(app):
    define("plan")
    definitions.archive("plan")
    with pytest.raises(BadDefinition, match="archived"):
        definitions.pin(["plan"])


CLAIMS = "consent marketing_consent consents gdprconsent email_verified is_verified phone_verification"
OPTS = "opt_in sms_optout opted_out unsubscribed"


@pytest.mark.parametrize("key", [*CLAIMS.split(), *OPTS.split()])
def test_no_bot_claims_consent_or_verification(app, key):
    assert tells_consent(key)
    assert "consent nor verification" in problems(draft(key))["editable_by"]


@pytest.mark.parametrize("key", ["option", "opt", "options_in", "city", "adopting", "optimum"])
def test_other_words_are_open_to_bots(app, key):
    assert not tells_consent(key)


# ── In use at once


def test_a_definition_is_in_use_in_another_process_within_a_second(app, settings, tmp_path):
    code = f"""
import sys, time
from conftest import settings_for
from core.app import create_app
from core.catalogue import catalogue
from core.db import database
app = create_app(settings_for({settings.database_url!r}, __import__("pathlib").Path({str(tmp_path)!r}),
                              plugins=("fake_channel",)))
with app.app_context(), database.connection_context():
    print("ready", flush=True)
    until = time.monotonic() + 20
    while "plan" not in catalogue().by_key and time.monotonic() < until:
        time.sleep(0.01)
    print(time.time(), "plan" in catalogue().by_key, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd="tests",
        env={"PYTHONPATH": "..:.", "PATH": ""},
    ) as other:
        try:
            assert other.stdout.readline() == "ready\n"
            define("plan")
            defined = time.time()
            at, known = other.stdout.readline().split()
        finally:
            other.kill()
    assert known == "True"
    assert float(at) - defined < 1


def test_what_is_rolled_back_was_never_there(app):
    define("plan")
    before = catalogue(fresh=True)
    with database.atomic() as transaction:
        definitions.archive("plan")
        assert catalogue(fresh=True).by_key["plan"].archived
        transaction.rollback()
    with database.atomic():
        catalogues.changed()
    now = catalogue()
    assert now.number == before.number + 1
    assert now.by_key["plan"].archived is None


# ── Archived, restored, purged


def test_archiving_keeps_the_values_and_restoring_brings_them_back(app):
    asha = someone()
    define("plan")
    put(asha.id, person(), plan="pro")
    definitions.archive("plan")
    with pytest.raises(properties.Refused, match="archived"):
        put(asha.id, person(), plan="free")
    definitions.restore("plan")
    assert value(asha.id, "plan") == Value("pro")


@pytest.mark.parametrize("filterable", [True, False])
def test_purging_leaves_nothing_of_it(app, worker, filterable):
    asha, ben = someone(), user_of(says(deploy(account="two"), "ben"))
    made = define("plan", filterable=filterable)
    put(asha.id, person(), plan="pro")
    put(ben.id, SYSTEM, plan="SKIPPED")
    definitions.archive("plan")
    definitions.purge("plan")
    define("plan", filterable=filterable)  # the key is free before the job ran
    assert value(asha.id, "plan") == UNSET
    put(asha.id, ROBO, plan="new")
    worker.run_until_idle()
    assert value(asha.id, "plan") == Value("new")
    assert not Property.select().where(Property.id == made.id).exists()
    assert not PropertyChange.select().where(PropertyChange.property == made.id).exists()
    assert not PropertySkipped.select().exists()
    if made.column:
        assert run(f'SELECT COUNT("{made.column}") FROM "user"') == [(0,)]


def test_purging_reaches_sessions_before_the_key_is_free(app, worker):
    asha = someone()
    define("mood", scope="session")
    put(asha.id, person(), mood="glad")
    definitions.archive("mood")
    definitions.purge("mood")
    assert "still being deleted" in problems(draft("mood", scope="session"))["key"]
    worker.run_until_idle()
    assert Session.get().properties is None
    assert problems(draft("mood", scope="session")) == {}


def test_ids_of_purged_changes_are_never_used_again(app, worker):
    asha = someone()
    define("plan")
    put(asha.id, person(), plan="pro")
    last = PropertyChange.select().order_by(PropertyChange.id.desc()).get().id
    definitions.archive("plan")
    definitions.purge("plan")
    worker.run_until_idle()
    define("plan")
    put(asha.id, person(), plan="pro")
    assert PropertyChange.select().order_by(PropertyChange.id.desc()).get().id > last


def test_a_freed_column_rests_and_is_taken_over(app, worker, clock):
    column = define("plan").column
    definitions.archive("plan")
    definitions.purge("plan")
    worker.run_until_idle()
    assert define("other").column != column
    clock.advance(seconds=columns.REST.total_seconds() + 1)
    assert define("third").column == column
    assert define("whole", "integer").column != column


@pytest.mark.parametrize("after", ["stored._empty", "property_jobs._delete_history", "columns.unindex"])
def test_purging_goes_on_after_a_crash(app, worker, monkeypatch, clock, after):
    asha = someone()
    made = define("plan")
    put(asha.id, person(), plan="pro")
    worker.run_until_idle()
    definitions.archive("plan")
    definitions.purge("plan")
    with monkeypatch.context() as broken:
        broken.setattr(f"core.{after}", lambda *_: 1 / 0)
        worker.run_until_idle()
    assert Job.select().count() == 1
    clock.advance(seconds=600)
    worker.run_until_idle()
    assert not Property.select().where(Property.id == made.id).exists()
    assert run(f'SELECT COUNT("{made.column}") FROM "user"') == [(0,)]


def test_a_column_is_given_back_once_though_its_job_runs_again(app, worker, clock):
    asha = someone()
    made = define("plan")
    definitions.archive("plan")
    definitions.purge("plan")
    worker.run_until_idle()
    clock.advance(seconds=60)
    assert define("city").column == made.column
    put(asha.id, person(), city="Delhi")
    stored.give_back(made.column, made.id)
    assert value(asha.id, "city") == Value("Delhi")


# ── Into a column of its own


def test_values_move_into_a_column_and_stay_readable_meanwhile(app, worker):
    people = [user_of(says(deploy(account=f"a{number}"), f"u{number}")) for number in range(4)]
    define("plan", filterable=False)
    for number, one in enumerate(people):
        put(one.id, person(), plan=f"plan {number}")
    made = definitions.edit("plan", draft("plan", filterable=True))
    assert made.column
    assert not made.filterable
    assert [value(one.id, "plan").value for one in people] == [f"plan {number}" for number in range(4)]
    put(people[0].id, person(), plan="written meanwhile")
    put(people[1].id, person(), plan="")
    worker.run_until_idle()
    assert catalogue(fresh=True).by_key["plan"].filterable
    assert [value(one.id, "plan").value for one in people] == ["written meanwhile", None, "plan 2", "plan 3"]
    assert run('SELECT COUNT(properties) FROM "user"') == [(0,)]


def test_texts_too_long_for_an_index_move_and_no_message_is_refused(app, worker):
    shop = deploy()
    asha = user_of(says(shop))
    define("note", filterable=False, options={"max_length": 10_000})
    essay = "".join(chr(0x4E00 + number % 20_000) for number in range(9_000))
    put(asha.id, person(), note=essay)
    definitions.edit("note", draft("note", filterable=True, options={"max_length": 10_000}))
    worker.run_until_idle()
    assert not Job.select().exists()
    assert value(asha.id, "note").value == essay
    says(shop)


def test_a_move_stops_when_its_property_is_purged(app, worker):
    asha = someone()
    define("plan", filterable=False)
    put(asha.id, person(), plan="pro")
    column = definitions.edit("plan", draft("plan", filterable=True)).column
    definitions.archive("plan")
    definitions.purge("plan")
    worker.run_until_idle()
    assert run(f'SELECT COUNT("{column}") FROM "user"') == [(0,)]


def test_two_who_make_it_filterable_at_once_move_it_once(app, worker, monkeypatch):
    asha = someone()
    define("plan", filterable=False)
    put(asha.id, person(), plan="pro")
    obtain, again = columns.obtain, []

    def slow(*arguments):
        found = obtain(*arguments)
        if not again:
            again.append(True)
            definitions.edit("plan", draft("plan", filterable=True))
            worker.run_until_idle()
        return found

    monkeypatch.setattr(columns, "obtain", slow)
    definitions.edit("plan", draft("plan", filterable=True))
    worker.run_until_idle()
    assert value(asha.id, "plan") == Value("pro")


def test_no_index_is_made_that_no_operator_uses(app, worker):
    define("tags", "choices", options={"choices": ["a"]})
    definitions.edit("tags", draft("tags", "choices", options={"choices": ["a"]}, filterable=False))
    definitions.edit("tags", draft("tags", "choices", options={"choices": ["a"]}, filterable=True))
    worker.run_until_idle()
    column = catalogue(fresh=True).by_key["tags"].column
    assert f"user_{column}" not in {index.name for index in database.get_indexes("user")}


# ── Types and channels that are not there


def test_a_type_that_is_gone_leaves_its_values_readable_and_ingest_at_work(app, worker):
    shop = deploy()
    asha = user_of(says(shop))
    define("budget", "money", options={"currency": "EUR"}, default="5.00")
    define("place", "location")
    put(asha.id, person(), budget="489.00", place="28.6, 77.2")
    worker.run_until_idle()
    kinds = parley().manager.property_types
    gone = {name: kinds.pop(name) for name in ("money", "location")}
    with database.atomic():
        catalogues.changed()
    found = catalogue(fresh=True).by_key["budget"]
    assert isinstance(found.type, MissingType)
    assert (found.type.name, found.type.storage) == ("money", Storage.REAL)
    assert draft_of(found).options == {"currency": "EUR"}
    assert value(asha.id, "budget") == Value(489.0)
    assert value(asha.id, "place") == Value({"lat": 28.6, "lng": 77.2})
    with pytest.raises(properties.Refused, match="No loaded plugin brings the type `money`"):
        put(asha.id, person(), budget="1.00")
    ben = user_of(says(shop, "ben"))
    assert value(ben.id, "budget") == UNSET
    kinds.update(gone)
    with database.atomic():
        catalogues.changed()
    assert value(user_of(says(shop, "cara")).id, "budget") == Value(5.0)


def test_options_that_a_type_does_not_take_any_more_can_be_mended(app):
    define("age", "integer")
    Property.update(options={"bygone": 1}).where(Property.key == "age").execute()
    with database.atomic():
        catalogues.changed()
    assert "Edit the property" in catalogue(fresh=True).by_key["age"].type.reason
    assert not isinstance(definitions.edit("age", draft("age", "integer")).type, MissingType)


def test_a_key_that_an_admin_has_stays_the_admins_when_a_channel_declares_it(app, monkeypatch, caplog):
    define("fake_page", label="Ours")

    class Footprint(BaseModel):
        page: str = ""

    monkeypatch.setattr(parley().manager.channels["fake"], "Footprint", Footprint)
    definitions.declare()
    found = catalogue(fresh=True).by_key["fake_page"]
    assert (found.label, found.is_locked) == ("Ours", False)
    assert "`fake_page` of Fake is left out" in caplog.text


# ── What new users and sessions begin with


def test_new_users_and_sessions_begin_with_the_default(app):
    define("plan", default="free")
    define("mood", default="calm", scope="session")
    asha = someone()
    assert value(asha.id, "plan") == Value("free")
    assert Session.get().properties == {"mood": {"value": "calm"}}
    put(asha.id, ROBO, plan="pro")
    assert value(asha.id, "plan") == Value("pro")


def test_skipped_is_no_value(app):
    asha = someone()
    define("plan")
    put(asha.id, SYSTEM, plan="SKIPPED")
    assert value(asha.id, "plan") == SKIPPED
    put(asha.id, SYSTEM, plan="UNSET")
    assert value(asha.id, "plan") == UNSET
