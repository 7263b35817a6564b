"""What the widget's API accepts, and what it answers when it cannot do what was asked."""

import json
from typing import Annotated, Any, Literal, NoReturn, TypeVar
from uuid import UUID

from flask import Response, request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from core.text import clean

LARGEST_BODY = 64_000  # 4,096 characters at 12 bytes each as JSON escapes, and the page beside them

# What pydantic says in the words of Python, in those of whoever sends JSON.
_IN_WORDS = {
    "bool_type": "true or false is expected",
    "int_type": "a whole number is expected",
    "missing": "it is missing",
    "model_type": "an object is expected",
    "string_pattern_mismatch": "it does not have the expected form",
    "string_type": "a text is expected",
    "uuid_parsing": "a UUID is expected",
    "uuid_type": "a UUID is expected",
}

T = TypeVar("T", bound=BaseModel)


class Problem(HTTPException):
    """A refusal as `application/problem+json` (RFC 9457).

    It says what happened and in which field, with a code that programs can read.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, field: str | None = None, retry_after: int | None = None
    ) -> None:
        body: dict[str, Any] = {"status": status, "code": code, "detail": detail}
        if field is not None:
            body["field"] = field
        response = Response(json.dumps(body), status, content_type="application/problem+json")
        if retry_after is not None:
            response.headers["Retry-After"] = str(retry_after)
        if status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        super().__init__(detail, response)
        self.code = status


def _storable(text: str) -> str:
    if clean(text) != text:
        raise ValueError("holds NUL or half of a character")
    return text


Identifier = Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]
Address = Annotated[str, Field(max_length=8000), AfterValidator(_storable)]
Title = Annotated[str, Field(max_length=300), AfterValidator(_storable)]
Tag = Annotated[str, Field(max_length=60), AfterValidator(_storable)]
Size = Annotated[str, Field(pattern=r"^([0-9]{1,5}x[0-9]{1,5})?$")]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class Page(_Body):
    """The page that the visitor writes from, and the one on which this visit began."""

    url: Address = ""
    title: Title = ""
    referrer: Address = ""
    landing: Address = ""
    landing_referrer: Address = ""


class Picked(_Body):
    """A button that a message offered, by its place: what the bot calls it never leaves the server."""

    message: Identifier
    index: Annotated[int, Field(ge=0, le=100)]


class Writing(_Body):
    """One message of a visitor: a text, or a choice."""

    client_id: Annotated[UUID, Field(strict=False)]
    text: Annotated[str, AfterValidator(_storable)] = ""
    picked: Picked | None = None
    page: Page = Page()
    language: Tag = ""
    timezone: Tag = ""
    screen: Size = ""
    consent: bool | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Writing":
        if self.picked is None and not self.text.strip():
            raise ValueError("the message is empty")
        return self


class Seen(_Body):
    """How far the visitor's browser came with what was written to it: this message, and all before it."""

    message: Identifier
    state: Literal["delivered", "read"]


class Consent(_Body):
    """Whether device data may be kept."""

    device: bool
    screen: Size = ""


class Nothing(_Body):
    """A request that says all by its address."""


def body_as(model: type[T]) -> T:
    """Read the request's JSON body.

    Raises Problem, which names the field that is wrong and never repeats its value.
    """
    request.max_content_length = LARGEST_BODY
    if request.mimetype != "application/json":
        raise Problem(415, "not_json", "The body must be JSON, sent as application/json.")
    try:
        raw = request.get_data(cache=False)
    except RequestEntityTooLarge:
        sentence = f"The body is larger than {LARGEST_BODY:,} bytes. Nothing was kept."
        raise Problem(413, "too_large", sentence) from None
    try:
        decoded = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Problem(400, "not_json", "The body cannot be read as JSON. Nothing was kept.") from None
    if not isinstance(decoded, dict):
        raise Problem(422, "invalid", "The body must be a JSON object. Nothing was kept.", field="body")
    try:
        return model.model_validate(decoded)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "text"
        reason = _IN_WORDS.get(first["type"], first["msg"].removeprefix("Value error, "))
        sentence = f"{field}: {reason}. Nothing was kept."
        raise Problem(422, "invalid", sentence, field=field) from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")
