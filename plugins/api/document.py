"""The description of the API, OpenAPI 3.1, made of the operations and of what they take and answer."""

import functools
import re
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from plugins.api.operations import OPERATIONS, VERSION, Operation
from plugins.api.problems import KIND
from plugins.api.schemas import ProblemDetails
from plugins.api.tokens import Scope

_ALWAYS = (401, 403, 429)
_WITH_BODY = (400, 413, 415, 422)
_PARTS = {
    "user": "The key of a user, as it stands in the address of the profile.",
    "key": "The key of a property.",
}
_FOR = {
    Scope.USERS_READ: "Read users and their properties, as far as the owner of the token may.",
    Scope.PROPERTIES_WRITE: "Set properties that are open to the API.",
    Scope.PROPERTIES_DEFINE: "Define properties and change definitions, where the owner may.",
}
_ABOUT = (
    "Send a token as `Authorization: Bearer parley_...`; `parley token add` makes one. A token does what its "
    "scopes say, and never more than its owner may at the moment. Errors are `application/problem+json`."
)


@functools.cache
def document() -> dict[str, Any]:
    """Return the whole document."""
    schemas, references = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS.values():
        paths.setdefault(_path(one), {})[one.method.lower()] = _operation(one, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Parley", "version": version("parley"), "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": " ".join(f"`{scope}`: {what}" for scope, what in _FOR.items()),
                }
            },
        },
    }


References = dict[tuple[type[BaseModel], JsonSchemaMode], dict[str, Any]]


def _schemas() -> tuple[dict[str, Any], References]:
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(ProblemDetails, "serialization")]
    for one in OPERATIONS.values():
        wanted.append((one.answer, "serialization"))
        if one.body is not None:
            wanted.append((one.body, "validation"))
    references, found = models_json_schema(wanted, ref_template="#/components/schemas/{model}")
    return found["$defs"], references  # type: ignore[return-value]  # the stubs narrow the key


def _path(one: Operation) -> str:
    return VERSION + re.sub(r"<(\w+)>", r"{\1}", one.path)


def _operation(one: Operation, references: References) -> dict[str, Any]:
    said = {
        "operationId": one.name,
        "summary": one.summary.rstrip("."),
        "description": f"Scope `{one.scope}`.",
        "security": [{"token": [one.scope.value]}],
        "parameters": [*_path_parameters(one), *_query_parameters(one)],
        "responses": _responses(one, references),
    }
    if one.body is not None:
        schema = references[one.body, "validation"]
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return said


def _path_parameters(one: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PARTS[name],
            "schema": {"type": "string", "minLength": 1},
        }
        for name in re.findall(r"<(\w+)>", one.path)
    ]


def _query_parameters(one: Operation) -> list[dict[str, Any]]:
    if one.query is None:
        return []
    found = []
    for name, schema in one.query.model_json_schema()["properties"].items():
        schema = {key: value for key, value in schema.items() if key != "title"}
        if "anyOf" in schema:  # what stands behind the `?` is there or not, and never null
            schema = {key: value for key, value in schema.items() if key not in ("anyOf", "default")} | next(
                kind for kind in schema["anyOf"] if kind.get("type") != "null"
            )
        description = schema.pop("description", "")
        found.append({"name": name, "in": "query", "description": description, "schema": schema})
    return found


def _responses(one: Operation, references: References) -> dict[str, Any]:
    statuses = {*_ALWAYS, *one.refuses, *(_WITH_BODY if one.body else ()), *((422,) if one.query else ())}
    problem = {"schema": references[ProblemDetails, "serialization"]}
    answers = {
        one.status: {
            "description": HTTPStatus(one.status).phrase,
            "content": {"application/json": {"schema": references[one.answer, "serialization"]}},
        }
    }
    refusals = {
        status: {"description": HTTPStatus(status).phrase, "content": {KIND: problem}} for status in statuses
    }
    return {str(status): answer for status, answer in sorted({**answers, **refusals}.items())}
