"""What the API takes and answers; the document is made of these."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.models import Origin, Scope, Source

State = Literal["set", "unset", "skipped"]
Editors = Literal["admin", "builder", "agent", "bot", "api"]
_PEOPLE: tuple[Editors, ...] = ("admin", "builder", "agent")


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


# ── Values ────────────────────────────────────────────────────────────────────────────────────────────────


class Value(_Answer):
    """A value as it once stood."""

    state: State
    value: Any = Field(None, description="JSON in the normal form of the type; null without a value.")
    masked: bool = Field(False, description="There is a value, and the token may not see it.")


class By(_Answer):
    """Who or what changed a value."""

    origin: Origin
    name: str | None = None


class Changed(_Answer):
    """When a value last changed, by whom, and by which message, where there is one."""

    at: datetime
    by: By
    message: int | None = None


class PropertyOfUser(_Answer):
    """A property with its value for one user; one of scope `session` is that of the newest session."""

    key: str
    label: str
    type: str
    scope: Scope
    source: Source
    state: State
    value: Any = Field(None, description="JSON in the normal form of the type; null without a value.")
    masked: bool = Field(False, description="There is a value, and the token may not see it.")
    version: int = Field(description="Send it as `seen` to be told when somebody else was quicker.")
    held: bool = Field(description="A person or a program set it, and no bot changes it.")
    locked: bool = Field(description="This token cannot set it, for `reason`.")
    reason: str | None = None
    changed: Changed | None = None


class Properties(_Answer):
    """The active properties of a user: the pinned ones first, then by group."""

    user: str
    properties: list[PropertyOfUser]


class Values(_Body):
    """Values to set, by the keys of their properties: all of them or none."""

    properties: dict[str, Any] = Field(
        min_length=1,
        max_length=1000,
        description="null, an empty text and the word UNSET unset; the word SKIPPED says that the user was "
        "asked, and did not answer.",
        examples=[{"city": "Delhi", "plan": None}],
    )
    seen: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict,
        description="For some of these keys the `version` that you saw. Where another stands by now, nothing "
        "is changed, and the answer 409 says what stands.",
        examples=[{"city": 12}],
    )

    @model_validator(mode="after")
    def _seen_are_set(self) -> "Values":
        if self.seen.keys() - self.properties.keys():
            raise ValueError("`seen` has keys that `properties` does not set")
        return self


class Written(_Answer):
    """What came of setting values: the keys that changed, and each key of the request as it stands now."""

    user: str
    changed: list[str]
    properties: list[PropertyOfUser]


class Place(_Body):
    """Which part of a history; newest changes come first."""

    model_config = ConfigDict(strict=False)

    limit: int = Field(50, ge=1, le=100)
    before: str | None = Field(
        None, pattern=r"^[0-9]{1,18}$", description="The `next` of the page before; without it the newest."
    )


class Change(_Answer):
    """One change of a value; `id` is the version that it made."""

    id: int
    at: datetime
    by: By
    before: Value
    after: Value
    held: bool
    message: int | None = None
    session: int | None = None


class History(_Answer):
    """Changes of one property of one user; `next` leads to older ones, and is null where there are none."""

    user: str
    property: str
    changes: list[Change]
    next: str | None = None


# ── Definitions ───────────────────────────────────────────────────────────────────────────────────────────


class Which(_Body):
    """Which definitions."""

    model_config = ConfigDict(strict=False)

    archived: bool = Field(False, description="Also those that are archived.")


class Definition(_Answer):
    """What a property is."""

    key: str
    label: str
    help: str
    type: str
    scope: Scope
    source: Source
    options: dict[str, Any]
    default: Any = None
    group: str
    pinned: bool
    rank: int | None = Field(description="Its place among the pinned ones.")
    editable_by: list[str]
    personal: bool
    filterable: bool
    promotes_to: str | None = None
    locked: bool = Field(description="Parley computes it, or a channel says it: nobody sets it.")
    archived: datetime | None = None
    changed: datetime


class Definitions(_Answer):
    """Definitions: the pinned ones first, then by group."""

    properties: list[Definition]


class DefinitionChange(_Body):
    """What is to change of a definition; what is left out stays. Key, type and scope stay in any case."""

    label: str = ""
    help: str = ""
    options: dict[str, Any] = Field(
        default_factory=dict, description="What the type asks for, such as `choices`."
    )
    default: Any = None
    group: str = ""
    pinned: bool = False
    editable_by: list[Editors] = Field(default_factory=lambda: list(_PEOPLE))
    personal: bool = False
    filterable: bool = True
    promotes_to: str | None = Field(None, description="The user's property that takes a session's values.")


class NewDefinition(DefinitionChange):
    """A property to define."""

    key: str
    label: str
    type: str = "text"
    scope: Annotated[Scope, Field(strict=False)] = Scope.USER
    source: Literal["custom", "bot"] = "custom"


# ── Errors ────────────────────────────────────────────────────────────────────────────────────────────────


class Error(_Answer):
    """What is wrong with one field; in a conflict, what stands."""

    field: str
    detail: str
    key: str | None = None
    conflict: bool = False
    now: dict[str, Any] | None = None


class ProblemDetails(_Answer):
    """An error as RFC 9457 describes it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[Error] = Field(default_factory=list)
    reference: str | None = Field(None, description="Finds an error of ours in the log.")
