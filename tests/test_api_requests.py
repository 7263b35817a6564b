"""Requests of every kind to the API: definitions, junk, what a fuzzer thinks of, and what the docs show."""

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from werkzeug.test import EnvironBuilder, run_wsgi_app

from core import definitions, properties
from core.catalogue import Writer, catalogue
from core.models import Operator, Origin, User
from core.settings import SHIPPED
from panel import Browser, employ, words
from plugins.api import document, problems
from plugins.api.service import OPERATIONS
from programs import Program, define, known_user, problem

PLUGINS = ("fake_channel", *SHIPPED)
DOCUMENT = (Path(__file__).parent.parent / "docs" / "api.md").read_text()


@pytest.fixture
def asha(app: Flask) -> User:
    """A user who wrote once."""
    return known_user()


@pytest.fixture
def maya(app: Flask) -> Operator:
    """An admin, who may everything."""
    return employ("admin")


@pytest.fixture
def crm(app: Flask, maya: Operator) -> Program:
    """A program that may everything that the API can."""
    return Program(app, maya)


# ── Definitions ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_definition_is_in_use_when_the_answer_comes(asha: User, crm: Program) -> None:  # P4
    body = {"key": "plan", "label": "Plan", "type": "integer", "editable_by": ["api"], "pinned": True}
    made = crm.send("POST", "/properties", body)
    assert (made.status_code, made.json["rank"]) == (201, 8)
    assert crm.set(asha, plan=3).json["changed"] == ["plan"]
    changed = crm.send("PATCH", "/properties/plan", {"label": "Plan number", "pinned": False}).json
    assert (changed["label"], changed["rank"], changed["type"]) == ("Plan number", None, "integer")
    assert changed["editable_by"] == ["api"]
    assert changed in crm.get("/properties").json["properties"]


def test_archived_definitions_are_listed_when_asked_for(crm: Program) -> None:
    define()
    definitions.archive("city")
    listed = [
        [one["key"] for one in crm.get("/properties", archived=word).json["properties"]] for word in "10"
    ]
    assert ["city" in keys for keys in listed] == [True, False]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"key": "select ", "label": "x"}, "key"),
        ({"key": "name", "label": "x"}, "key"),
        ({"key": "last_seen", "label": "x"}, "key"),
        ({"key": "👍", "label": "x"}, "key"),
        ({"key": "a" * 200, "label": "x"}, "key"),
        ({"key": "a\x00", "label": "x"}, "key"),
        ({"key": "a", "label": ""}, "label"),
        ({"key": "a"}, "label"),
        ({"key": "a", "label": 3}, "label"),
        ({"key": "a", "label": None}, "label"),
        ({"key": "a", "label": "x", "type": "nonsense"}, "type"),
        ({"key": "a", "label": "x", "scope": "world"}, "scope"),
        ({"key": "a", "label": "x", "source": "system"}, "source"),
        ({"key": "a", "label": "x", "editable_by": ["auditor"]}, "editable_by.0"),
        ({"key": "a", "label": "x", "pinned": "yes"}, "pinned"),
        ({"key": "a", "label": "x", "colour": "red"}, "colour"),
        ({"key": "a", "label": "x", "options": {"pattern": "(a+"}}, "options.pattern"),
        ({"key": "a", "label": "x", "options": {"\ud800": 1}}, "options"),
        ({"key": "a", "label": "x", "type": "integer", "default": "old"}, "default"),
    ],
)
def test_a_definition_that_cannot_be_names_the_field(crm: Program, body: dict[str, Any], field: str) -> None:
    before = set(catalogue(fresh=True).by_key)
    answer = problem(crm.send("POST", "/properties", body), 422)
    assert answer["errors"][0]["field"].startswith(field)
    assert answer["detail"].endswith("Nothing was changed.")
    assert set(catalogue(fresh=True).by_key) == before


def test_of_what_code_declares_only_the_pin_changes(crm: Program) -> None:  # P3
    [error] = problem(crm.send("PATCH", "/properties/last_seen", {"label": "x"}), 422)["errors"]
    assert error["field"] == "label"
    assert crm.send("PATCH", "/properties/last_seen", {"pinned": False}).json["pinned"] is False


class Isolated:
    """The app as a server runs it: an app context of its own for each request."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Serve a request."""
        with self.app.app_context():
            return self.app(environ, start_response)


# ── Junk ──────────────────────────────────────────────────────────────────────────────────────────────────

JUNK = {
    "nothing": (b"", 400),
    "no JSON": (b"{", 400),
    "not UTF-8": (b'{"properties": {"city": "\xff"}}', 400),
    "UTF-16": ('{"properties": {"city": "x"}}'.encode("utf-16"), 400),
    "NaN": (b'{"properties": {"city": NaN}}', 400),
    "infinite": (b'{"properties": {"city": 1e999}}', 400),
    "endless number": (b'{"properties": {"city": ' + b"9" * 5000 + b"}}", 400),
    "deep": (b'{"properties": {"city": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", 400),
    "deep objects": (b'{"properties": {"city": ' + b'{"a":' * 50 + b"1" + b"}" * 50 + b"}}", 422),
    "twice": (b'{"properties": {"city": "a", "city": "b"}}', 400),
    "a list": (b"[]", 422),
    "a text": (b'"{}"', 422),
    "null": (b"null", 422),
    "empty": (b"{}", 422),
    "no object": (b'{"properties": [1]}', 422),
    "no values": (b'{"properties": {}}', 422),
    "a wrong version": (b'{"properties": {"city": "a"}, "seen": {"city": "1"}}', 422),
    "a version below zero": (b'{"properties": {"city": "a"}, "seen": {"city": -1}}', 422),
    "something else": (b'{"properties": {"city": "a"}, "propertys": {}}', 422),
    "a key with NUL": (b'{"properties": {"ci\\u0000ty": "a"}}', 422),
    "half a character": (b'{"properties": {"\\ud800": "\\ud800"}}', 422),
    "a large number": (b'{"properties": {"city": 1' + b"0" * 4000 + b"}}", 422),
    "an object": (b'{"properties": {"city": {"a": 1}}}', 422),
    "too long": (b'{"properties": {"city": "' + b"a" * 900_000 + b'"}}', 422),
    "too large": (b'{"properties": {"city": "' + b"a" * problems.LARGEST_BODY + b'"}}', 413),
}


@pytest.mark.parametrize("name", JUNK)
def test_junk_is_refused_with_a_sentence_and_changes_nothing(asha: User, crm: Program, name: str) -> None:
    define()
    body, status = JUNK[name]
    path = f"/api/v1/users/{asha.key}/properties"
    answer = crm.http.patch(path, data=body, headers=crm.headers, content_type="application/json")
    assert problem(answer, status)["detail"].endswith("Nothing was changed.")
    assert len(answer.data) < 2000
    assert crm.one(asha, "city")["state"] == "unset"


def test_a_body_in_chunks_has_the_same_limit(asha: User, crm: Program) -> None:
    define()
    answers = []
    for length in (400, problems.LARGEST_BODY):
        body = json.dumps({"properties": {"city": "a" * length}}).encode()
        chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        environ = EnvironBuilder(
            f"/api/v1/users/{asha.key}/properties",
            method="PATCH",
            headers=crm.headers,
            content_type="application/json",
            input_stream=BytesIO(body),
            environ_overrides=chunked,
        ).get_environ()
        environ.pop("CONTENT_LENGTH", None)
        answers.append(run_wsgi_app(Isolated(crm.http.application), environ)[1])
    assert answers == ["200 OK", "413 REQUEST ENTITY TOO LARGE"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_only_json_is_taken(asha: User, crm: Program, kind: str) -> None:
    path = f"/api/v1/users/{asha.key}/properties"
    answer = crm.http.patch(
        path, data=b'{"properties": {"city": "x"}}', headers=crm.headers, content_type=kind
    )
    problem(answer, 415)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=" + "9" * 5000, "before=-1", "before=", "befor=3"]
)
def test_a_page_that_cannot_be_is_refused(asha: User, crm: Program, query: str) -> None:
    answer = crm.http.get(f"/api/v1/users/{asha.key}/properties/name/history?{query}", headers=crm.headers)
    assert problem(answer, 422)["errors"][0]["field"] == query.partition("=")[0]


def test_addresses_and_methods_that_are_not_there_are_problems_too(app: Flask, crm: Program) -> None:
    for path in ("/api/", "/api/v1/", "/api/v1/nothing", "/api/v2/users", "/api/v1/users/%FF/properties/"):
        problem(crm.http.get(path, headers={"Accept": "text/html"}), 404)
    answer = crm.http.delete("/api/v1/properties")
    problem(answer, 405)
    assert "GET" in answer.headers["Allow"]


def test_an_error_of_ours_is_a_problem_with_a_reference(
    app: Flask, crm: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setitem(app.view_functions, "api.definitions_of_properties", lambda: 1 / 0)
    answer = problem(crm.get("/properties"), 500)
    assert re.fullmatch("[0-9a-f]{8}", answer["reference"])
    assert "division" not in json.dumps(answer)


# ── The document, and what is made of it ──────────────────────────────────────────────────────────────────


def test_the_document_shows_every_operation_to_anybody(app: Flask) -> None:
    found = Browser(app).get("/api/v1/openapi.json").json
    said = {one["operationId"] for path in found["paths"].values() for one in path.values()}
    assert found["openapi"] == "3.1.0"
    assert said == {one.name for one in OPERATIONS.values()}
    assert all(one.summary for one in OPERATIONS.values())


def test_the_page_for_people_loads_nothing_from_elsewhere(app: Flask) -> None:
    page = Browser(app).get("/api/docs")
    for one in OPERATIONS.values():
        assert f"{one.method} /api/v1" in words(page)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page.text)
    assert "style=" not in page.text


QUICK = settings(
    max_examples=25,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.name)
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_fuzzer_finds_nothing(
    asha: User, crm: Program, app: Flask, name: str, mode: GenerationMode
) -> None:
    """Hold every answer to the document: its status, its kind, its form; and never a 5xx.

    What properties there are and what they take stands in no document, so a value of the right form may well
    be refused.
    """
    define()
    known = document.document()
    schema = schemathesis.openapi.from_dict(known)
    schema.app = Isolated(app)
    one = OPERATIONS[name]
    path = "/api/v1" + re.sub(r"<(\w+)>", r"{\1}", one.path)

    @QUICK
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        case = data.draw(schema[path][one.method].as_strategy(generation_mode=mode))
        known_parts = {"user": asha.key, "key": "city"}
        if data.draw(st.booleans()):
            case.path_parameters |= {part: known_parts[part] for part in case.path_parameters or ()}
        case.call_and_validate(headers=crm.headers, excluded_checks=[positive_data_acceptance])

    fuzz()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


_A = {"choices": [{"value": "a", "label": "A"}]}
NEEDED = {"choice": _A, "choices": _A, "money": {"currency": "EUR"}}
"""Options of the types that cannot do without."""


@settings(QUICK, max_examples=60)
@given(data=st.data())
def test_any_json_for_any_type_is_taken_or_refused(
    data: st.DataObject, app: Flask, asha: User, crm: Program
) -> None:
    for kind in app.extensions["parley"].manager.property_types:
        if f"any_{kind}" not in catalogue(fresh=True).by_key:
            options = NEEDED.get(kind, {})
            define(f"any_{kind}", type=kind, options=options, filterable=False)
    given_ = data.draw(
        st.dictionaries(st.sampled_from([key for key in catalogue().by_key if key.startswith("any_")]), JSON)
    )
    answer = crm.set(asha, **given_)
    assert answer.status_code in (200, 422)
    if answer.status_code == 200:
        again = {one["key"]: one["value"] for one in answer.json["properties"]}
        assert crm.set(asha, **again).json["changed"] == []


# ── The examples of the docs ──────────────────────────────────────────────────────────────────────────────


def test_the_examples_of_the_docs_are_answered_so(app: Flask, asha: User, maya: Operator) -> None:
    define("city", source="bot")
    define("plan")
    define("age", type="integer")
    User.update(key="q4mzk7w2nd8c").where(User.id == asha.id).execute()
    program = Program(app, maya, name="CRM sync")
    bot = Writer(Origin.BOT, "Order bot", groups=frozenset({"bot"}))
    properties.write(asha.id, {"city": "Pune"}, bot)
    pairs = re.findall(
        r"```http\n(\w+) (\S+)\n.*?\n(?:\n(.*?)\n)?```.*?```json\n(.*?)```", DOCUMENT, re.DOTALL
    )
    assert len(pairs) >= 6
    versions: dict[int, int] = {}
    for method, path, body, shown in pairs:
        sent = json.loads(body) if body else None
        answer = program.http.open(path, method=method, json=_real(sent, versions), headers=program.headers)
        holds(json.loads(shown), answer.json, versions)


def _real(sent: Any, versions: dict[int, int]) -> Any:
    """Return a request with the versions that this database has."""
    if sent and "seen" in sent:
        sent["seen"] = {key: versions[number] for key, number in sent["seen"].items()}
    return sent


def holds(shown: Any, found: Any, versions: dict[int, int], name: str = "") -> None:
    """Check that an answer holds all that the document shows; versions and moments are those of the day."""
    if name in ("version", "id", "next"):
        assert versions.setdefault(int(shown), int(found)) == int(found)
    elif name == "at":
        assert found.endswith("Z")
    elif isinstance(shown, dict):
        for key, value in shown.items():
            holds(value, found[key], versions, key)
    elif isinstance(shown, list) and shown and isinstance(shown[0], dict) and "key" in shown[0]:
        for one in shown:
            holds(one, next(other for other in found if other["key"] == one["key"]), versions)
    elif isinstance(shown, list):
        assert len(shown) == len(found)
        for one, other in zip(shown, found, strict=True):
            holds(one, other, versions)
    else:
        assert shown == found, name
