"""Values (P5-P7): one way to write them, who wins, what is remembered, and that nothing of it is lost."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from core import definitions, properties, values
from core.catalogue import catalogue
from core.columns import decoded, encoded
from core.context import parley
from core.db import database, is_sqlite
from core.models import Event, Message, PropertySkipped, Session, User
from core.property_type import Storage
from core.types.texts import Text
from core.values import SKIPPED, UNSET, Value
from defining import CHANNEL, IMPORT, ROBO, SYSTEM, define, person, put, value
from fake_channel import Alias, AliasesChanged, deploy, employ, inbound, says, user_of
from property_values import CASES

PLUGINS = ("fake_channel", "plugins.money")


@pytest.fixture
def asha(app):
    return user_of(says(deploy()))


def holder(user, key):
    """Return whether a person holds a value."""
    return properties.standing(user.id, [catalogue().by_key[key]])[key].holds


def changes(user, key):
    return properties.history(user.id, catalogue().by_key[key])


# ── Who wins (P6)


def test_a_persons_value_stays_until_it_is_released(asha):
    define("city")
    put(asha.id, ROBO, city="Delhi")
    put(asha.id, person(), city="Pune")
    assert put(asha.id, ROBO, city="Delhi").changed == ()
    assert value(asha.id, "city") == Value("Pune")
    assert properties.release(asha.id, "city", person())
    assert not properties.release(asha.id, "city", person())
    assert put(asha.id, ROBO, city="Delhi").changed == ("city",)


@pytest.mark.parametrize("by", [person(), SYSTEM, IMPORT])
def test_who_decides_for_a_person_is_one(asha, by):
    define("city")
    put(asha.id, by, city="Pune")
    assert put(asha.id, ROBO, city="Delhi").changed == ()


def test_what_a_person_unset_no_bot_fills(asha):
    define("city")
    put(asha.id, ROBO, city="Delhi")
    put(asha.id, person(), city="")
    put(asha.id, ROBO, city="Delhi")
    put(asha.id, CHANNEL, city="Delhi")
    assert value(asha.id, "city") == UNSET


def test_a_person_who_confirms_what_the_bot_said_holds_it(asha):
    define("city")
    put(asha.id, ROBO, city="Delhi")
    events = Event.select().count()
    assert put(asha.id, person(), city="Delhi").changed == ()
    assert holder(asha, "city")
    assert Event.select().count() == events + 1  # open pages show that it is held
    assert put(asha.id, ROBO, city="Pune").changed == ()


def test_a_channel_fills_what_is_unset_and_changes_nothing(asha):
    define("city")
    put(asha.id, CHANNEL, city="Delhi")
    put(asha.id, CHANNEL, city="Pune")
    assert value(asha.id, "city") == Value("Delhi")
    assert put(asha.id, ROBO, city="Goa").changed == ("city",)


def test_a_number_that_moved_stays_the_persons(app):
    shop = deploy()
    old, new = (Alias("phone", "919876543210"),), (Alias("phone", "919876500000"),)
    asha = user_of(says(shop, aliases=old))
    put(asha.id, person(), phone="+919876543210")
    now = datetime.now(UTC)
    inbound.accept(shop, AliasesChanged(id="x", at=now, before=old, after=new), now)
    assert value(asha.id, "phone") == Value("+919876500000")
    assert holder(asha, "phone")
    assert put(asha.id, ROBO, phone="+919876511111").changed == ()


def test_words_of_bot_and_api_unset_and_skip_and_are_text_to_people(asha):
    define("city")
    put(asha.id, ROBO, city="SKIPPED")
    assert value(asha.id, "city") == SKIPPED
    put(asha.id, ROBO, city="UNSET")
    assert value(asha.id, "city") == UNSET
    put(asha.id, person(), city="UNSET")
    assert value(asha.id, "city") == Value("UNSET")


def test_a_bot_writes_only_what_is_open_to_it(asha):
    define("city", editable_by=("admin",))
    define("opt_in", "boolean", editable_by=("admin",))
    written = properties.write(
        asha.id, {"city": "x", "opt_in": True, "created": 1, "later": 1}, ROBO, whole=False
    )
    assert {one.key for one in written.refused} == {"city", "opt_in", "created"}
    assert written.unknown == ("later",)
    assert written.changed == ()


def test_who_may_not_see_a_personal_value_may_not_set_it(asha):
    define("diet", personal=True)
    with pytest.raises(properties.Refused, match="does not see"):
        put(asha.id, person(None, "builder", sees_personal=False), diet="none")


def test_all_or_nothing(asha):
    define("city")
    define("age", "integer")
    with pytest.raises(properties.Refused, match="`age` takes a whole number"):
        put(asha.id, person(), city="Delhi", age="many")
    assert value(asha.id, "city") == UNSET
    written = properties.write(asha.id, {"city": "Delhi", "age": "many"}, ROBO, whole=False)
    assert (written.changed, [one.key for one in written.refused]) == (("city",), ["age"])


class Fragile(Text):
    """A plugin's type that falls over what it did not expect."""

    name = "fragile"

    def parse(self, given):
        """Fail at a word."""
        return 1 / 0 if given == "zero" else super().parse(given)


def test_a_type_that_fails_refuses_its_value_and_no_other(asha, caplog):
    parley().manager.property_types["fragile"] = Fragile
    define("share", "fragile")
    define("city")
    put(asha.id, ROBO, share="half")
    written = properties.write(asha.id, {"share": "zero", "city": "Delhi"}, ROBO, whole=False)
    assert written.changed == ("city",)
    assert [one.sentence for one in written.refused] == [
        "`share` was not taken: its type `fragile` failed. Tell an admin; the reason is in the log."
    ]
    assert value(asha.id, "share") == Value("half")
    assert "ZeroDivisionError" in caplog.text
    assert "zero'" not in caplog.text  # the value stays out of the log
    with pytest.raises(properties.Refused, match="its type `fragile` failed"):
        put(asha.id, person(), share="zero")


@pytest.mark.parametrize("key", ["\ud800", "a\nb" * 50, "'; --", "\x00", "~1"])
def test_a_key_that_nobody_defined_is_refused_in_storable_words(asha, key):
    with pytest.raises(properties.Refused) as refused:
        properties.write(asha.id, {key: 1}, SYSTEM)
    [one] = refused.value.refusals
    assert one.sentence.encode()
    assert "\n" not in one.sentence
    assert len(one.sentence) < 130


# ── Two at once (P7)


def test_a_stale_page_reverts_nothing(asha):
    define("city")
    put(asha.id, person(), city="Delhi")
    seen = {"city": changes(asha, "city")[0].id}
    put(asha.id, person(), city="Pune")
    with pytest.raises(properties.Refused) as refused:
        properties.write(asha.id, {"city": "Goa"}, person(), seen=seen)
    [one] = refused.value.refusals
    assert one.conflict
    assert one.now.value == Value("Pune")
    assert value(asha.id, "city") == Value("Pune")
    properties.write(asha.id, {"city": "Goa"}, person(), seen={"city": one.now.version})
    assert value(asha.id, "city") == Value("Goa")


def test_a_page_that_saw_it_unset_is_stale_as_well(asha):
    define("city")
    put(asha.id, ROBO, city="Delhi")
    with pytest.raises(properties.Refused, match="a moment ago"):
        properties.write(asha.id, {"city": "Goa"}, person(), seen={"city": 0})


def test_who_wanted_the_same_is_in_no_conflict(asha):
    define("city")
    put(asha.id, person(), city="Delhi")
    assert properties.write(asha.id, {"city": "Delhi"}, person(), seen={"city": 0}).changed == ()


# ── What is remembered


def test_the_history_says_what_by_whom_and_why(asha):
    define("city")
    maya = employ()
    message = Message.get()
    properties.write(asha.id, {"city": "Delhi"}, ROBO, message_id=message.id)
    put(asha.id, person(maya), city="Pune")
    by_person, by_bot = changes(asha, "city")
    assert (by_bot.before, by_bot.after, by_bot.actor, by_bot.message_id, by_bot.holds) == (
        {},
        {"value": "Delhi"},
        "Robo",
        message.id,
        False,
    )
    assert (by_person.before, by_person.after) == ({"value": "Delhi"}, {"value": "Pune"})
    assert (by_person.operator_id, by_person.origin, by_person.holds) == (maya.id, "operator", True)
    assert by_person.at >= by_bot.at


def test_values_stand_in_no_entry_event_or_log(asha, caplog):
    caplog.set_level("INFO")
    define("diet", personal=True, label="Diet")
    put(asha.id, person(), diet="secretvalue")
    with pytest.raises(properties.Refused) as refused:
        properties.write(asha.id, {"diet": "othersecret"}, person(), seen={"diet": 0})
    entry = Message.select().where(Message.kind == "properties_changed").get()
    assert entry.text == "Maya changed Diet."
    told = [entry.text, entry.payload, [one.reference for one in Event.select()], str(refused.value)]
    assert "secret" not in json.dumps(told) + caplog.text.replace("secret_key", "")


def test_numbers_and_truth_are_told_apart_in_json(asha):
    define("facts", "object")
    for facts in ({"vip": True}, {"vip": 1}, {"vip": 1.0}, {"vip": "1"}):
        assert put(asha.id, ROBO, facts=facts).changed == ("facts",)
        assert repr(value(asha.id, "facts").value) == repr(facts)


# ── Sessions


def test_a_session_keeps_its_values_and_the_next_begins_without(app, clock):
    shop = deploy()
    asha = user_of(says(shop))
    define("mood", scope="session")
    put(asha.id, person(), mood="glad")
    assert put(asha.id, ROBO, mood="sad").changed == ()
    first = Session.get()
    clock.advance(days=3)
    says(shop)
    second = Session.select().order_by(Session.id.desc()).get()
    assert second.id != first.id
    assert values.session_values(Session.get_by_id(first.id))["mood"] == Value("glad")
    assert values.session_values(second)["mood"] == UNSET
    assert put(asha.id, ROBO, mood="sad").changed == ("mood",)  # held in the first one alone


def test_a_session_property_is_handed_on_to_the_user(asha):
    define("plan", editable_by=("admin", "bot"))
    define("wish", scope="session", promotes_to="plan")
    assert set(put(asha.id, ROBO, wish="pro").changed) == {"wish", "plan"}
    put(asha.id, ROBO, wish="UNSET")
    assert value(asha.id, "plan") == Value("pro")
    put(asha.id, ROBO, wish="SKIPPED")
    assert value(asha.id, "plan") == Value("pro")
    put(asha.id, person(), plan="free")
    put(asha.id, ROBO, wish="gold")
    assert value(asha.id, "plan") == Value("free")


def test_what_the_user_does_not_take_leaves_the_session_its_value(asha):
    define("plan", editable_by=("admin",), options={"max_length": 3})
    define("wish", scope="session", promotes_to="plan")
    assert put(asha.id, person(None, "agent"), wish="pro").changed == ("wish",)
    assert put(asha.id, person(), wish="platinum").changed == ("wish",)
    assert value(asha.id, "plan") == UNSET


def test_what_the_session_refuses_is_not_handed_on(asha):
    define("plan")
    define("wish", scope="session", promotes_to="plan", editable_by=("admin",))
    written = properties.write(asha.id, {"wish": "pro"}, ROBO, whole=False)
    assert written.changed == ()
    assert value(asha.id, "plan") == UNSET


# ── What is written is what is read, for every type, in a column and in JSON


TAKEN = [case for case in CASES if not case.sentence]


@pytest.mark.parametrize("filterable", [True, False])
def test_what_is_written_is_what_is_read(app, asha, filterable):
    kinds = app.extensions["parley"].manager.property_types
    seen = {}
    for case in TAKEN:
        wanted = filterable and bool(kinds[case.type].operators)
        shape = (case.type, json.dumps(case.options, sort_keys=True))
        if shape not in seen:
            seen[shape] = define(f"k{len(seen)}", case.type, options=case.options, filterable=wanted).key
        with_column = kinds[case.type](
            kinds[case.type].Options.model_validate(case.options), filterable=wanted
        )
        try:
            expected = with_column.parse(case.given)
        except ValueError:
            continue  # too long for an index
        put(asha.id, ROBO, **{seen[shape]: case.given})
        found = value(asha.id, seen[shape])
        if case.given in ("UNSET", "SKIPPED", "", []):
            continue
        assert found == Value(expected), (case.type, case.given)
    assert len(seen) > 20


def test_json_text_in_json_comes_back_on_both_databases(app):
    for one in ("text", '"quoted"', 5, True, [1], {"a": None}):
        written = encoded(one, Storage.JSON)
        assert decoded(written if is_sqlite() else json.loads(written), Storage.JSON) == one


# ── Whatever is done, in whatever order: the values of a plain dictionary


KEYS = ("text", "kept", "age", "mood")
BY = {"bot": ROBO, "person": person(), "api": SYSTEM, "import": IMPORT, "channel": CHANNEL}
STEPS = st.one_of(
    st.tuples(
        st.just("write"),
        st.sampled_from(sorted(BY)),
        st.sampled_from(KEYS),
        st.sampled_from(["1", "2", "", "UNSET", "SKIPPED", "no number"]),
        st.sampled_from(["unseen", "fresh", "stale"]),
    ),
    st.tuples(st.just("release"), st.sampled_from(KEYS)),
    st.tuples(st.sampled_from(["archive", "restore"]), st.sampled_from(KEYS)),
    st.tuples(st.just("undo"), st.sampled_from(KEYS)),
    st.tuples(st.just("session")),
)


class Plain:
    """What a property must be: a value, who holds it, and every change there was."""

    def __init__(self) -> None:
        self.value, self.held, self.archived, self.changes = UNSET, False, False, []

    def write(self, origin, given, stale):
        """Do what core.properties does; returns whether it is taken."""
        if self.archived:
            return
        word = origin in ("bot", "api")
        if given == "" or (word and given == "UNSET"):
            new = UNSET
        elif word and given == "SKIPPED":
            new = SKIPPED
        elif self.whole:
            if not given.isdigit():
                return
            new = Value(int(given))
        else:
            new = Value(given)
        if origin == "channel" and self.value.is_set:
            return
        if origin in ("bot", "channel") and self.held:
            return
        if stale and new != self.value:
            return
        people = origin in ("person", "api", "import")
        if new != self.value or (people and not self.held and new.is_set):
            self.changes.append((self.value, new, people))
            self.value, self.held = new, people

    whole = False


@effort(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, max_size=12))
def test_whatever_is_done_the_values_are_those_of_a_dictionary(four, steps):
    with database.atomic() as transaction:
        shop = deploy(account="model")
        asha = user_of(says(shop, "model"))
        plain = {key: Plain() for key in KEYS}
        plain["age"].whole = True
        for step in steps:
            follow(step, plain, asha, shop)
        check(plain, asha)
        transaction.rollback()


@pytest.fixture
def four(app):
    define("text")
    define("kept", filterable=False)
    define("age", "integer")
    define("mood", scope="session")


def follow(step, plain, asha, shop):
    """Do one step in the database and in the dictionary."""
    match step:
        case ("write", origin, key, given_, how):
            version = plain_version(asha, key)
            seen = {} if how == "unseen" else {key: version if how == "fresh" else version + 1}
            properties.write(asha.id, {key: given_}, BY[origin], seen=seen, whole=False)
            plain[key].write(origin, given_, how == "stale")
        case ("release", key):
            one = plain[key]
            if not one.archived and one.changes:
                released = properties.release(asha.id, key, person())
                assert released == one.held
                if released:
                    one.changes.append((one.value, one.value, False))
                    one.held = False
        case ("archive" | "restore" as what, key):
            getattr(definitions, what)(key)
            plain[key].archived = what == "archive"
        case ("undo", key):
            done = changes_of(asha, key)
            if done and Value.of(done[0].before).is_set:
                before = Value.of(done[0].before).value
                properties.write(asha.id, {key: before}, person(), whole=False)
                plain[key].write("person", str(before), False)
        case ("session",):
            identity = Message.select().where(Message.user == asha.id).get().identity
            Session.update(closed=datetime(2020, 1, 1, tzinfo=UTC)).where(
                Session.identity == identity.id
            ).execute()
            says(shop, "model")
            fresh = Plain()
            fresh.archived = plain["mood"].archived
            plain["mood"] = fresh


def changes_of(asha, key):
    """Return the changes of a property; those of earlier sessions are not of this one."""
    found = properties.history(asha.id, catalogue(fresh=True).by_key[key], 1000)
    if key != "mood":
        return found
    latest = Session.select().where(Session.user == asha.id).order_by(Session.id.desc()).get()
    return [one for one in found if one.session_id == latest.id]


def plain_version(asha, key):
    done = changes_of(asha, key)
    return done[0].id if done else 0


def check(plain, asha):
    stored = values.values(asha.id)
    latest = Session.select().where(Session.user == asha.id).order_by(Session.id.desc()).get()
    kept = latest.properties or {}
    for key, one in plain.items():
        found = Value.of(kept.get(key)) if key == "mood" else stored[key]
        assert found == one.value, key
        done = changes_of(asha, key)[::-1]
        assert [(Value.of(it.before), Value.of(it.after), it.holds) for it in done] == one.changes, key
        assert bool(done and done[-1].holds) == one.held
        assert [it.id for it in done] == sorted(it.id for it in done)
    skipped = PropertySkipped.select().where(PropertySkipped.user == asha.id).count()
    assert skipped == sum(one.value.is_skipped for key, one in plain.items() if key != "mood")
    assert User.get_by_id(asha.id).event_seq == Event.select().where(Event.user == asha.id).count()
