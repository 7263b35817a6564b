"""A choice is not taken away from those who have it, wherever their values are kept (P4)."""

from typing import Any

import pytest
from flask import Flask

from core import clock, definitions, properties
from core.catalogue import Writer
from core.definitions import BadDefinition, Draft
from core.deployments import add_deployment
from core.models import Identity, Origin, Session, User

ADMIN = Writer(Origin.OPERATOR, "Maya Okonkwo", groups=frozenset({"admin"}))
PLANS: tuple[str, ...] = ("free", "pro", "team")


def people(number: int) -> list[int]:
    return [int(User.add(name=f"User {one}").id) for one in range(number)]


def in_session(user_id: int) -> Session:
    deployment = add_deployment("web", f"shop-{user_id}", "Shop", "shop.example", {})
    identity = Identity.create(user=user_id, deployment=deployment)
    now = clock.now()
    times = dict.fromkeys(("opened", "last_inbound", "last_message", "expires"), now)
    made: Session = Session.create(user=user_id, identity=identity, deployment=deployment, number=1, **times)
    return made


def define(type_: str, **more: Any) -> Draft:
    draft = Draft(key="plan", label="Plan", type=type_, options={"choices": PLANS}, **more)
    definitions.create(draft)
    return draft


def without(draft: Draft, *choices: str, **options: Any) -> Draft:
    kept = [one for one in PLANS if one not in choices]
    return draft.model_copy(update={"options": {"choices": kept, **options}})


@pytest.mark.parametrize("filterable", [True, False], ids=["column", "json"])
@pytest.mark.parametrize("type_", ["choice", "choices"])
def test_a_choice_that_users_have_is_not_taken_away(app: Flask, type_: str, filterable: bool) -> None:
    draft = define(type_, filterable=filterable)
    first, second, third = people(3)
    for user_id in (first, second):
        properties.write(user_id, {"plan": "pro"}, ADMIN)
    properties.write(third, {"plan": "team"}, ADMIN)
    with pytest.raises(BadDefinition) as caught:
        definitions.edit("plan", without(draft, "pro", "team"))
    assert caught.value.problems == {
        "options.choices": "`plan`: “pro” is in use by 2 users, “team” is in use by 1 user. Nothing was "
        "changed. Retire them: they stay where they are, and nobody can pick them any more."
    }
    definitions.edit("plan", without(draft, "free"))
    properties.write(third, {"plan": ""}, ADMIN)
    definitions.edit("plan", without(draft, "free", "team"))
    with pytest.raises(BadDefinition, match=r"“pro” is in use by 2 users\. Nothing was changed\. Retire it"):
        definitions.edit("plan", without(draft, *PLANS).model_copy(update={"options": {"choices": ["x"]}}))


@pytest.mark.parametrize("type_", ["choice", "choices"])
def test_a_choice_that_a_session_ended_with_is_not_taken_away(app: Flask, type_: str) -> None:
    draft = define(type_, scope="session")
    [user_id] = people(1)
    in_session(user_id)
    properties.write(user_id, {"plan": "pro"}, ADMIN)
    with pytest.raises(BadDefinition, match="“pro” is in use by 1 session"):
        definitions.edit("plan", without(draft, "pro"))
    definitions.edit("plan", without(draft, "free"))


def test_how_many_have_a_personal_choice_is_not_said(app: Flask) -> None:
    draft = define("choice", personal=True)
    [user_id] = people(1)
    properties.write(user_id, {"plan": "pro"}, ADMIN)
    with pytest.raises(BadDefinition, match=r"`plan`: “pro” is in use\. Nothing"):
        definitions.edit("plan", without(draft, "pro"))


def test_a_choice_goes_where_it_is_retired_or_others_are_allowed(app: Flask) -> None:
    draft = define("choice")
    [user_id] = people(1)
    properties.write(user_id, {"plan": "pro"}, ADMIN)
    definitions.edit("plan", without(draft, "pro", allow_other=True))
    retired = [{"value": "pro", "retired": True}, "free"]
    definitions.edit("plan", draft.model_copy(update={"options": {"choices": retired}}))
    with pytest.raises(BadDefinition, match="in use"):
        definitions.edit("plan", without(draft, "pro"))


def test_labels_in_use_are_found_in_their_own_column(app: Flask) -> None:
    labels = definitions.draft_of(definitions.known("labels"))
    definitions.edit("labels", labels.model_copy(update={"options": {"choices": ["vip", "new"]}}))
    [user_id] = people(1)
    properties.write(user_id, {"labels": ["vip"]}, ADMIN)
    with pytest.raises(BadDefinition, match="“vip” is in use by 1 user"):
        definitions.edit("labels", labels.model_copy(update={"options": {"choices": ["new"]}}))


def test_several_definitions_made_at_once_have_a_column_each(app: Flask) -> None:
    for key in ("a", "b", "c"):
        definitions.create(Draft(key=key, label=key))
    made = definitions.apply([Draft(key=f"n{one}", label="N", pinned=True) for one in range(4)])
    assert len({one.column for one in made}) == 4
    assert len({one.pinned for one in made}) == 4


def test_a_session_property_is_made_together_with_what_it_is_promoted_to(app: Flask) -> None:
    session = Draft(key="topic", label="Topic", scope="session", promotes_to="last_topic")
    definitions.apply([session, Draft(key="last_topic", label="Last topic")])
    assert definitions.known("topic").promotes_to == "last_topic"
    with pytest.raises(BadDefinition, match="has another type"):
        definitions.apply(
            [
                session.model_copy(update={"key": "mood", "promotes_to": "last_mood"}),
                Draft(key="last_mood", label="Last mood", type="integer"),
            ]
        )
