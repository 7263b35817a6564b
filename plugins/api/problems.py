"""What the API answers when it cannot do what was asked, and how it reads a body: strictly.

Every error is `application/problem+json` (RFC 9457). None repeats a value that was sent.
"""

import json
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

from flask import Response, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from core.text import clean, snippet

LARGEST_BODY = 1_000_000
DEEPEST = 32
KIND = "application/problem+json"
_KEPT = "Nothing was changed."

# What pydantic says in the words of Python, in those of whoever sends JSON.
_IN_WORDS = {
    "bool_parsing": "is true or false",
    "bool_type": "is true or false",
    "dict_type": "is an object",
    "enum": "is not one of the words that it can be",
    "extra_forbidden": "is not known here",
    "int_parsing": "is a whole number",
    "int_parsing_size": "is too large",
    "int_type": "is a whole number",
    "list_type": "is a list",
    "literal_error": "is not one of the words that it can be",
    "missing": "is missing",
    "model_type": "is an object",
    "string_type": "is text",
    "tuple_type": "is a list",
}

_SAID = {
    400: "The request cannot be read. Nothing was changed.",
    401: "A token is missing. Send it as `Authorization: Bearer parley_...`.",
    403: "The owner of this token may not do that. Nothing was changed.",
    404: "There is nothing at this address, or nothing that this token may see. Nothing was changed.",
    405: "This address does not take that method. Nothing was changed.",
    413: f"The body is larger than {LARGEST_BODY:,} bytes. Nothing was changed.",
    500: "Parley could not do this. What was changed is not certain: look before you repeat it.",
    503: "Parley is starting or too busy. Nothing was changed. Try again in a few seconds.",
}

T = TypeVar("T", bound=BaseModel)


class Problem(HTTPException):
    """A refusal; `errors` say for each field, named as it is reached in the body, what is wrong with it."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[dict[str, Any]] = (),
        *,
        headers: dict[str, str] | None = None,
    ) -> None:
        more = {"errors": list(errors)} if errors else {}
        response = answer(status, detail, **more)
        response.headers.update(headers or {})
        super().__init__(detail, response)
        self.code = status


def answer(status: int, detail: str | None, **more: Any) -> Response:
    """Return a problem as a response."""
    title = HTTPStatus(status).phrase
    said = detail or _SAID.get(status, f"The request was not carried out. {_KEPT}")
    body = {"type": "about:blank", "title": title, "status": status, "detail": said, **more}
    response = Response(json.dumps(body), status, content_type=KIND)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="parley"'
    return response


def of_error(code: int, said: str | None, reference: str | None) -> Response:
    """Return the problem of an error that nobody here foresaw, such as an address without a route."""
    return answer(code, said, **({"reference": reference} if reference else {}))


def body_as(model: type[T]) -> T:
    """Read the request's body, a JSON object; raises Problem."""
    # A body that comes in chunks is not refused at the limit, but cut off there: so read one byte more.
    request.max_content_length = LARGEST_BODY + 1
    if request.mimetype != "application/json":
        raise Problem(415, f"The body must be JSON, sent as application/json. {_KEPT}")
    try:
        raw = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise Problem(413, _SAID[413]) from None
    if len(raw) > LARGEST_BODY:
        raise Problem(413, _SAID[413])
    try:
        decoded = json.loads(
            raw.decode(), parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_once_each
        )
    except _Twice as error:
        raise Problem(400, f"{error} {_KEPT}") from None
    except (ValueError, RecursionError):
        raise Problem(400, f"The body cannot be read as JSON in UTF-8. {_KEPT}") from None
    if not isinstance(decoded, dict):
        raise Problem(422, f"The body must be a JSON object. {_KEPT}")
    if _depth(decoded) > DEEPEST:
        raise Problem(422, f"The body is nested deeper than {DEEPEST} levels. {_KEPT}")
    return _valid(model, decoded)


def query_as(model: type[T]) -> T:
    """Read what stands behind the `?`; raises Problem."""
    return _valid(model, request.args.to_dict())


def _valid(model: type[T], given: dict[str, Any]) -> T:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        errors = [{"field": _place(one["loc"]), "detail": _sentence(one)} for one in found[:100]]
        raise Problem(422, f"{errors[0]['detail']} {_KEPT}", errors) from None


def _place(location: Sequence[Any]) -> str:
    return ".".join(snippet(clean(str(part)), 64) for part in location)


def _sentence(error: Any) -> str:
    words = _IN_WORDS.get(error["type"]) or f"cannot be used: {error['msg'].removeprefix('Value error, ')}"
    return f"`{_place(error['loc'])}` {words.rstrip('.')}."


class _Twice(ValueError):
    pass


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice("The body names a key twice, so it is not clear which value counts.")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError("that is no number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("the number is too large")
    return number


def _depth(value: Any) -> int:
    """Return how deep lists and objects are nested, without going deeper than it has to be known."""
    depth, level = 0, [value]
    while level and depth <= DEEPEST:
        depth += 1
        level = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, dict | list)
        ]
    return depth
