"""Who someone is: by aliases that come, change hands, rotate and end."""

import itertools
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from peewee import IntegrityError

from core import Alias, AliasesChanged, Delivery, Profile, identities, inbound, search
from core.models import Deployment, Event, Identity, IdentityAlias, User
from fake_channel import at_once, deploy, message_of, says, status, user_of

PLUGINS = ("fake_channel",)


def scoped(value):
    return Alias("id", value)


def phone(value):
    return Alias("phone", value)


def valid(accepted):
    """Return the aliases by which an identity is known now."""
    rows = IdentityAlias.select().where(
        IdentityAlias.identity == accepted.identity_id, IdentityAlias.valid_until.is_null()
    )
    return sorted((row.kind, row.value) for row in rows)


def found_by(query):
    return {user.id for user in User.select().where(search.matching(query, personal=True))}


def test_a_number_without_a_scoped_id_and_then_with_one_is_the_same_person(app):
    shop = deploy()
    first = says(shop, aliases=(phone("100"),))
    second = says(shop, aliases=(scoped("s1"), phone("100")))
    third = says(shop, aliases=(scoped("s1"),))
    assert first.identity_id == second.identity_id == third.identity_id
    assert valid(first) == [("id", "s1"), ("phone", "100")]


def test_a_scoped_id_and_then_a_number_is_the_same_person(app):
    shop = deploy()
    first = says(shop, aliases=(scoped("s1"),))
    second = says(shop, aliases=(scoped("s1"), phone("100")))
    third = says(shop, aliases=(phone("100"),))
    assert first.identity_id == second.identity_id == third.identity_id


def test_a_number_that_another_person_has_now_is_another_person(app):
    shop = deploy()
    asha = says(shop, aliases=(scoped("s1"), phone("100")))
    ben = says(shop, aliases=(scoped("s2"), phone("100")))
    assert asha.identity_id != ben.identity_id
    assert valid(asha) == [("id", "s1")]
    assert valid(ben) == [("id", "s2"), ("phone", "100")]
    assert says(shop, aliases=(phone("100"),)).identity_id == ben.identity_id
    assert says(shop, aliases=(scoped("s1"),)).identity_id == asha.identity_id


def test_the_former_owner_is_no_longer_found_by_the_number(app):
    shop = deploy()
    asha = user_of(says(shop, aliases=(scoped("s1"), phone("555100"))))
    assert found_by("555100") == {asha.id}
    ben = user_of(says(shop, aliases=(scoped("s2"), phone("555100"))))
    assert found_by("555100") == {ben.id}


def test_a_new_number_of_a_known_person_ends_the_old_one(app):
    shop = deploy()
    first = says(shop, aliases=(scoped("s1"), phone("100")))
    says(shop, aliases=(scoped("s1"), phone("200")))
    assert valid(first) == [("id", "s1"), ("phone", "200")]
    assert says(shop, aliases=(phone("100"),)).identity_id != first.identity_id


def test_two_aliases_of_two_people_in_one_message_are_the_one_of_the_stronger(app):
    shop = deploy()
    asha = says(shop, aliases=(scoped("s1"),))
    ben = says(shop, aliases=(phone("100"),))
    both = says(shop, aliases=(scoped("s1"), phone("100")))
    assert both.identity_id == asha.identity_id
    assert valid(asha) == [("id", "s1"), ("phone", "100")]
    assert valid(ben) == []
    assert User.select().count() == 2


def test_two_aliases_of_one_kind_stand_beside_each_other(app):
    shop = deploy()
    both = (phone("100"), phone("200"), phone("100"))
    first = says(shop, aliases=both)
    for _ in range(2):
        assert says(shop, aliases=both).identity_id == first.identity_id
        assert valid(first) == [("phone", "100"), ("phone", "200")]
    assert IdentityAlias.select().count() == 2


def test_the_same_alias_on_two_deployments_is_two_people(app):
    first = says(deploy(account="one"), aliases=(phone("100"),))
    second = says(deploy(account="two"), aliases=(phone("100"),))
    assert first.identity_id != second.identity_id


def test_a_kind_of_alias_is_part_of_it(app):
    shop = deploy()
    assert says(shop, aliases=(phone("100"),)).identity_id != says(shop, aliases=(scoped("100"),)).identity_id
    crossed = says(shop, aliases=(phone("s1"), scoped("100")))
    assert crossed.identity_id == says(shop, aliases=(scoped("100"),)).identity_id


def test_an_alias_is_unique_while_it_is_valid(app, clock):
    shop = deploy()
    first = says(shop, aliases=(scoped("s1"),))
    with pytest.raises(IntegrityError):
        identities.create(shop, [scoped("s1")], Profile(), clock.now())
    IdentityAlias.update(valid_until=clock.now()).execute()
    assert says(shop, aliases=(scoped("s1"),)).identity_id != first.identity_id


def test_many_who_take_one_number_at_once_leave_one_who_has_it(app):
    shop = deploy()
    results = at_once(
        app, *[lambda n=n: says(shop, aliases=(scoped(f"s{n}"), phone("100"))) for n in range(4)]
    )
    assert len({result.identity_id for result in results}) == 4
    holders = IdentityAlias.select().where(IdentityAlias.kind == "phone", IdentityAlias.valid_until.is_null())
    assert holders.count() == 1
    assert [len(valid(result)) for result in results].count(2) == 1


# ── Changes that the provider tells of


def change(shop, at, before, after, **more):
    given = {"id": f"c{at}{after}", "at": at, "before": before, "after": after}
    return inbound.accept(shop, AliasesChanged(**{**given, **more}), at)


def test_an_id_that_rotates_is_the_same_person(app, clock):
    shop = deploy()
    first = says(shop, aliases=(scoped("s1"), phone("100")))
    changed = change(shop, clock.now(), (scoped("s1"),), (scoped("s2"),))
    assert changed.identity_id == first.identity_id
    assert valid(first) == [("id", "s2"), ("phone", "100")]
    assert says(shop, aliases=(scoped("s2"), phone("100"))).identity_id == first.identity_id
    assert change(shop, clock.now(), (scoped("s1"),), (scoped("s2"),)).repeated


def test_a_new_number_is_the_same_person_and_is_said_in_the_conversation(app, clock):
    shop = deploy()
    first = says(shop, aliases=(phone("555100"),))
    message = message_of(change(shop, clock.now(), (phone("555100"),), (phone("555200"),)))
    assert (message.author, message.text) == ("system", "This user is now known by another number or id.")
    assert valid(first) == [("phone", "555200")]
    assert (len(found_by("555200")), len(found_by("555100"))) == (1, 0)


def test_the_phone_on_record_follows_a_new_number_and_one_that_differs_stays(app, clock):
    shop = deploy()
    asha = says(shop, aliases=(phone("15550100"),), profile=Profile(phone="15550100"))
    ben = says(shop, aliases=(phone("15550111"),), profile=Profile(phone="+44 20 7946 0000"))
    change(shop, clock.now(), (phone("15550100"),), (phone("447700900001"),))
    change(shop, clock.now(), (phone("15550111"),), (phone("15550122"),))
    assert (user_of(asha).phone, user_of(asha).country) == ("+447700900001", "GB")
    assert user_of(ben).phone == "+442079460000"


def test_a_new_number_that_somebody_has_changes_hands(app, clock):
    shop = deploy()
    asha = says(shop, aliases=(phone("100"),))
    ben = says(shop, aliases=(phone("200"),))
    change(shop, clock.now(), (phone("100"),), (phone("200"),))
    assert (valid(asha), valid(ben)) == ([("phone", "200")], [])


def test_kinds_that_ended_hold_no_longer(app, clock):
    shop = deploy()
    first = says(shop, aliases=(scoped("s1"), phone("555100")))
    change(shop, clock.now(), (scoped("s1"),), (scoped("s2"),), ended=("phone",))
    assert valid(first) == [("id", "s2")]
    assert found_by("555100") == set()


def test_a_change_of_somebody_unknown_is_a_remark(app, clock):
    accepted = change(deploy(), clock.now(), (phone("100"),), (phone("200"),))
    assert "not known here" in accepted.remark
    assert IdentityAlias.select().count() == 0


def test_a_status_that_names_the_user_teaches_the_id(app, clock):
    shop = deploy()
    first = says(shop, aliases=(phone("100"),))
    for number, known in enumerate((None, Delivery.READ)):
        revealed = (scoped(f"s{number}"), phone(""))
        status(shop, message_of(first), known, id=None, ref=str(first.message_id), aliases=revealed)
        assert valid(first) == [("id", f"s{number}"), ("phone", "100")]


# ── What is learnt of a person


def test_a_profile_fills_what_is_not_known_and_overwrites_nothing(app):
    shop = deploy()
    first = says(shop, profile=Profile(name="Asha", phone="+44 20 7946 0001"))
    says(shop, profile=Profile(name="Asha Rao", email="asha@example.com", phone="15550100", language="hi"))
    user, identity = user_of(first), Identity.get()
    assert (user.name, user.email, user.phone, user.country, user.language) == (
        "Asha",
        "asha@example.com",
        "+442079460001",
        "GB",
        "hi",
    )
    assert identity.profile_name == "Asha Rao"
    assert found_by("asha@example") == {user.id}


def test_a_user_is_told_of_once(app):
    shop = deploy()
    for _ in range(3):
        says(shop)
    assert Event.select().where(Event.kind == "user_created").count() == 1


# ── Whatever comes


ALIASES = st.lists(
    st.sampled_from([scoped("s1"), scoped("s2"), phone("p1"), phone("p2")]), min_size=1, max_size=3
).map(lambda chosen: tuple(sorted(dict.fromkeys(chosen), key=lambda alias: alias.kind)))


@effort(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories=st.lists(st.tuples(st.booleans(), ALIASES, ALIASES), max_size=10))
def test_whatever_comes_an_alias_names_one_and_a_message_has_somebody(app, clock, histories):
    shop = Deployment.create(
        channel="fake", account=str(next(_accounts)), label="", place="", config=deploy_config()
    )
    for written, before, after in histories:
        clock.advance(seconds=1)
        if written:
            accepted = says(shop, aliases=before)
            assert ("id" not in {alias.kind for alias in before}) or all(
                (alias.kind, alias.value) in valid(accepted) for alias in before
            )
            assert says(shop, aliases=before).identity_id == accepted.identity_id
        else:
            change(shop, clock.now(), before, after)
    rows = IdentityAlias.select().where(IdentityAlias.deployment == shop, IdentityAlias.valid_until.is_null())
    names = [(row.kind, row.value) for row in rows]
    assert len(names) == len(set(names))
    for row in IdentityAlias.select().where(IdentityAlias.deployment == shop):
        assert row.valid_until is None or row.valid_until - row.valid_from >= timedelta(0)


_accounts = itertools.count(1)


def deploy_config():
    first = Deployment.get_or_none()
    return first.config if first else deploy(account="first").config
