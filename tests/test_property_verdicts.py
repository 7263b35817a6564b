"""One validator: form, API and bot get the same verdict on the same value, in the same words (P5)."""

import re
from html import unescape
from typing import Any

import pytest
from flask import Flask

from core import definitions, values
from core.definitions import EDITORS, Draft
from core.deployments import add_deployment
from core.models import Deployment, Message, User
from core.settings import SHIPPED
from core.worker import Worker
from panel import Desk, employ
from played_bot import PlayedBot, set_bot, write
from programs import Program
from property_values import CASES, Case, as_form

LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)
"""What a browser's field for date and time sends: the form adds the zone of whoever reads the page."""

NOTED = 10
"""How many refusals the conversation shows of one answer, each with its sentence."""

PLUGINS = ("fake_channel", *SHIPPED)


@pytest.fixture
def web(app: Flask, bot: PlayedBot) -> Deployment:
    made = add_deployment("web", "shop.example.com", "Online shop", "shop.example.com", {})
    set_bot(made, bot.url, "--name", "Order bot")
    return made


def is_empty(given: Any) -> bool:
    """Say whether this unsets, however it comes."""
    return given == [] or (isinstance(given, str) and not given.strip())


def define(cases: list[Case]) -> dict[str, Case]:
    """Define a property for each case, by its own key."""
    keyed = {f"v_{number}": case for number, case in enumerate(cases)}
    definitions.apply(
        creates=[
            Draft(
                key=key,
                label=key,
                type=case.type,
                options=case.options,
                filterable=False,
                editable_by=EDITORS,
            )
            for key, case in keyed.items()
        ]
    )
    return keyed


def by_bot(keyed: dict[str, Case], web: Deployment, bot: PlayedBot, worker: Worker) -> dict[str, Any]:
    """Let a bot set them all; return what was taken, or the sentence that the conversation shows."""
    found: dict[str, Any] = {}
    rows = list(keyed.items())
    for start in range(0, len(rows), NOTED):
        part = dict(rows[start : start + NOTED])
        bot.answer = [{"metadata": {"properties": {key: case.given for key, case in part.items()}}}]
        user_id = write(web, "hi", str(start)).user_id
        worker.run_until_idle()
        taken = values.values(user_id)
        found |= {key: taken[key].value for key in part}
        note = Message.get_or_none(Message.kind == "bot_property_refused", Message.user == user_id)
        if note is not None:
            for sentence in re.split(r" (?=`v_\d+` )", note.text):
                if key := re.match(r"`(v_\d+)` ", sentence):
                    assert found[key[1]] is None
                    found[key[1]] = sentence
            Message.delete().where(Message.id == note.id).execute()
    return found


def by_api(keyed: dict[str, Case], program: Program, user: User) -> dict[str, Any]:
    """Let a program set them, one by one."""
    found: dict[str, Any] = {}
    for key, case in keyed.items():
        answer = program.set(user, **{key: case.given})
        if answer.status_code == 200:
            found[key] = values.values(user.id)[key].value
        else:
            assert answer.status_code == 422, answer.text
            [found[key]] = [one["detail"] for one in answer.json["errors"]]
    return found


def by_form(keyed: dict[str, Case], desk: Desk, user: User) -> dict[str, Any]:
    """Let a person type them, as far as one can."""
    found: dict[str, Any] = {}
    for key, case in keyed.items():
        typed = as_form(case)
        if typed is None or (case.type == "datetime" and LOCAL.fullmatch(str(typed))):
            continue
        if case.type == "choices" and (isinstance(typed, str) or "" in typed):
            continue  # the form sends each tick by itself, and none for what is left empty
        answer = desk.post(f"/audience/{user.key}/properties/{key}", value=typed, script=True)
        if answer.status_code == 200:
            found[key] = values.values(user.id)[key].value
        else:
            assert answer.status_code == 422, answer.text
            found[key] = unescape(answer.text)
    return found


@pytest.mark.parametrize("kind", sorted({case.type for case in CASES}))
def test_form_api_and_bot_get_the_same_verdict_in_the_same_words(
    app: Flask, kind: str, web: Deployment, bot: PlayedBot, worker: Worker
) -> None:  # P5
    keyed = define([case for case in CASES if case.type == kind])
    maya = employ("admin", "agent")
    api_user, form_user = User.add(name="Asha"), User.add(name="Mia")
    said_to_bot = by_bot(keyed, web, bot, worker)
    said_to_api = by_api(keyed, Program(app, maya), api_user)
    said_to_form = by_form(keyed, Desk(app, maya), form_user)
    for key, case in keyed.items():
        refused = bool(case.sentence) and not is_empty(case.given)
        verdict = f"`{key}` {case.sentence}." if refused else case.value
        assert said_to_bot[key] == verdict, f"bot: {case}"
        assert said_to_api[key] == verdict, f"API: {case}"
        if key in said_to_form:
            shown = said_to_form[key]
            matches = verdict in shown if refused else shown == verdict
            assert matches, f"form: {case}"
