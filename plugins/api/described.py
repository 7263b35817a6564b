"""The document of the API as rows of tables, for people to read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any


@dataclass(frozen=True)
class Field:
    """One field or parameter: what it is called, of what kind it is, and what it means."""

    name: str
    kind: str
    required: bool
    meaning: str


@dataclass(frozen=True)
class Shape:
    """A named object, with its fields."""

    name: str
    meaning: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Call:
    """One operation."""

    name: str
    method: str
    path: str
    summary: str
    scope: str
    parameters: tuple[Field, ...]
    takes: str | None
    answers: str
    status: int
    refusals: tuple[tuple[int, str], ...]


def calls(document: Mapping[str, Any]) -> Iterator[Call]:
    """Yield the operations in the order of the document."""
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            codes = [int(code) for code in said["responses"]]
            [done] = [code for code in codes if code < 400]
            answer = said["responses"][str(done)]["content"]["application/json"]["schema"]
            body = said.get("requestBody")
            yield Call(
                name=said["operationId"],
                method=method.upper(),
                path=path,
                summary=said["summary"],
                scope=said["security"][0]["token"][0],
                parameters=tuple(
                    Field(
                        one["name"],
                        _kind(one["schema"]),
                        one.get("required", False),
                        one.get("description", ""),
                    )
                    for one in said["parameters"]
                ),
                takes=_kind(body["content"]["application/json"]["schema"]) if body else None,
                answers=_kind(answer),
                status=done,
                refusals=tuple((code, HTTPStatus(code).phrase) for code in codes if code >= 400),
            )


def shapes(document: Mapping[str, Any]) -> Iterator[Shape]:
    """Yield the named objects, in alphabetical order."""
    for name, schema in sorted(document["components"]["schemas"].items()):
        required = schema.get("required", ())
        yield Shape(
            name=name,
            meaning=schema.get("description", "") or _words(schema),
            fields=tuple(
                Field(field, _kind(said), field in required, said.get("description", ""))
                for field, said in schema.get("properties", {}).items()
            ),
        )


def _words(schema: Mapping[str, Any]) -> str:
    return f"One of {', '.join(map(str, schema['enum']))}." if "enum" in schema else ""


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(f"“{word}”" for word in schema.get("enum", [schema.get("const")]))
    kind = schema.get("format") or schema.get("type") or "any JSON"
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    return str(kind)
