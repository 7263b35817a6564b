"""What is configured for one widget."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, StringConstraints, field_validator

LONGEST_TEXT = 4096

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)]
Name = Annotated[Line, StringConstraints(min_length=1)]


class WebConfig(BaseModel):
    """One widget: how it looks, where it may stand, what it may keep."""

    name: Name = Field("Chat", title="Name", description="Whom the visitor writes to.")
    greeting: str = Field("Hello.\nWhat can we help you with?", title="Greeting", max_length=200)
    topics: tuple[Line, ...] = Field(
        (), title="Often asked", max_length=6, description="A click sends the words."
    )
    bot_name: Line = Field("", title="Bot’s name", description="Leave empty where no bot answers.")
    note: Line = Field("", title="Note", description="One line under the welcome, such as your hours.")
    privacy_url: str = Field("", title="Privacy page", max_length=2000)
    accent: str = Field(
        "", title="Accent", pattern=r"^(#[0-9a-fA-F]{6})?$", description="A colour such as #2855cf."
    )
    consent: Literal["ask", "given", "never"] = Field(
        "ask",
        title="Device, browser and IP address",
        description="Ask the visitor; keep them, as your site has asked; or never keep them.",
    )
    origins: tuple[str, ...] = Field(
        (),
        title="Sites",
        description="Origins that may carry it, such as https://shop.example.com; this server always may.",
    )
    limit_visitor: int = Field(60, title="Messages a minute from one address", ge=1)
    limit_all: int = Field(3000, title="Messages a minute from all", ge=1)

    @field_validator("topics", "origins", mode="before")
    @classmethod
    def _one_a_line(cls, value: Any) -> Any:
        """Take one a line, as a form or a command line gives them."""
        if isinstance(value, str):
            return tuple(line.strip() for line in value.splitlines() if line.strip())
        return value

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_origin(given) for given in value)

    @field_validator("privacy_url")
    @classmethod
    def _is_a_page(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value


def _origin(text: str) -> str:
    if text == "*":
        return text
    parts = urlsplit(text)
    beyond = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not parts.hostname or beyond:
        raise ValueError(
            f"“{text}” is no origin. Write scheme and host only, such as https://shop.example.com."
        )
    return f"{parts.scheme}://{parts.netloc}".lower()
