"""What the API can do: each operation is said once, for its route and for the document.

A view takes the parts of its path by name, its `body` and its `query` as models, and returns a model.
"""

import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response
from pydantic import BaseModel

from plugins.api.problems import body_as, query_as
from plugins.api.tokens import Scope

VERSION = "/api/v1"
blueprint = Blueprint("api", __name__, url_prefix=VERSION)

View = Callable[..., BaseModel]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing that a program can ask for; `refuses` are the statuses it answers beside the usual ones."""

    name: str
    method: str
    path: str
    scope: Scope
    summary: str
    answer: type[BaseModel]
    status: int
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    refuses: tuple[int, ...]


OPERATIONS: dict[str, Operation] = {}
"""By endpoint. A route of the blueprint that is not in here is refused to everybody."""


def operation(
    method: str,
    path: str,
    *,
    scope: Scope,
    answer: type[BaseModel],
    status: int = 200,
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    refuses: tuple[int, ...] = (),
) -> Callable[[View], View]:
    """Serve a view at `path`; the first line of its docstring is the summary."""

    def serve(view: View) -> View:
        name = view.__name__
        summary = (inspect.getdoc(view) or "").partition("\n")[0]
        OPERATIONS[f"{blueprint.name}.{name}"] = Operation(
            name=name,
            method=method,
            path=path,
            scope=scope,
            summary=summary,
            answer=answer,
            status=status,
            body=body,
            query=query,
            refuses=refuses,
        )

        @functools.wraps(view)
        def answered(**given: Any) -> Response:
            if query is not None:
                given["query"] = query_as(query)
            if body is not None:
                given["body"] = body_as(body)
            said = json.dumps(view(**given).model_dump(mode="json"))
            return Response(said, status, content_type="application/json")

        blueprint.add_url_rule(path, name, answered, methods=[method])
        return view

    return serve
