"""Addresses on the web."""

import unicodedata
from datetime import UTC, tzinfo
from ipaddress import IPv6Address
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from core.property_type import (
    INDEXED_TEXT,
    TEXT_OPERATORS,
    Editor,
    Invalid,
    Operator,
    PropertyType,
    Rendered,
    Storage,
)
from core.text import clean, snippet

LONGEST = 2_000
_SHOWN = 60
_NO_LINK = "takes a web address, such as https://example.com/page"
_NEVER = frozenset('\\<>"`')


class Link(PropertyType):
    """An address that a browser may open: http or https, with a host, and no password in it."""

    name = "url"
    label = "URL"
    icon = "globe"
    storage = Storage.TEXT
    editor = Editor.URL
    operators: ClassVar[tuple[Operator, ...]] = TEXT_OPERATORS

    def parse(self, given: Any) -> str:
        """Take an http or https address; scheme and host become lower case, the rest stays as it is."""
        text = given.strip() if isinstance(given, str) else ""
        most = INDEXED_TEXT if self.filterable else LONGEST
        if len(text) > most:
            raise Invalid(f"takes at most {most:,} characters")
        if any(character in _NEVER or unicodedata.category(character)[0] in "CZ" for character in text):
            raise Invalid(_NO_LINK)
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError:  # a port or a bracket that is none
            raise Invalid(_NO_LINK) from None
        if parts.scheme not in ("http", "https") or not _is_host(host) or port == 0:
            raise Invalid(_NO_LINK)
        if "@" in parts.netloc:
            raise Invalid("takes a web address without a user name in it")
        value = f"{parts.scheme}://{parts.netloc.lower()}{text[len(parts.scheme) + 3 + len(parts.netloc) :]}"
        if len(value) > most:
            raise Invalid(f"takes at most {most:,} characters")
        return value

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Return a link by its host and path."""
        return Rendered(snippet(value.partition("://")[2].rstrip("/"), _SHOWN), title=value, url=value)


class Image(Link):
    """The address of an image; the image itself stays where it is."""

    name = "image"
    label = "Image"
    icon = "image"
    operators = ()

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Return a link by the name of the file."""
        parts = urlsplit(value)
        name = clean(unquote(parts.path.rpartition("/")[2])).strip()
        return Rendered(snippet(name or parts.netloc, _SHOWN), title=value, url=value)


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            return False
        return "%" not in host
    return all(
        part and all(one in "-_" or unicodedata.category(one)[0] in "LMN" for one in part)
        for part in host.removesuffix(".").split(".")
    )
