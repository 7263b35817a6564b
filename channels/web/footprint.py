"""Where a visitor came from and with what: cut, cleaned of secrets, the device only with consent."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from zoneinfo import ZoneInfo

import ua_parser
from pydantic import BaseModel, Field, JsonValue

LONGEST_URL = 2048
TAGS = (
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "gclid",
    "fbclid",
    "msclkid",
)
DEVICE = ("device", "system", "browser", "screen", "ip")

# A parameter so named is somebody's secret, or names a person, and has no place in a footprint.
_SECRET = re.compile(
    r"token|mail|pass|pwd|secret|key|auth|session|sid$|^sig|signature|^code$|otp|jwt|phone|^tel",
    re.IGNORECASE,
)

_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(-[A-Za-z0-9]{1,8})*")


_PERSONAL: dict[str, JsonValue] = {"personal": True}  # the panel masks it for roles that see no personal data


class WebFootprint(BaseModel):
    """What a widget may know of where a visitor came from."""

    page: str = Field("", title="Page")
    title: str = Field("", title="Page title")
    referrer: str = Field("", title="Referrer")
    landing: str = Field("", title="Landing page")
    landing_referrer: str = Field("", title="Came to the site from")
    utm_source: str = Field("", title="UTM source")
    utm_medium: str = Field("", title="UTM medium")
    utm_campaign: str = Field("", title="UTM campaign")
    utm_term: str = Field("", title="UTM term")
    utm_content: str = Field("", title="UTM content")
    gclid: str = Field("", title="Google click id", json_schema_extra=_PERSONAL)
    fbclid: str = Field("", title="Meta click id", json_schema_extra=_PERSONAL)
    msclkid: str = Field("", title="Microsoft click id", json_schema_extra=_PERSONAL)
    language: str = Field("", title="Browser language")
    timezone: str = Field("", title="Time zone")
    device: str = Field("", title="Device")
    system: str = Field("", title="System")
    browser: str = Field("", title="Browser")
    screen: str = Field("", title="Screen")
    ip: str = Field("", title="IP address", json_schema_extra=_PERSONAL)


def of_page(page: Mapping[str, str], language: str, timezone: str) -> dict[str, str]:
    """Return the footprint of the page and the site.

    Campaign tags are those of the page or, where it has none of a name, of the landing page.
    """
    found = {
        "page": without_secrets(page["url"]),
        "title": page["title"],
        "referrer": without_secrets(page["referrer"]),
        "language": language,
        "timezone": timezone,
    }
    landing = without_secrets(page["landing"])
    if landing and landing != found["page"]:
        found |= {"landing": landing, "landing_referrer": without_secrets(page["landing_referrer"])}
    found |= {**_tags(page["landing"]), **_tags(page["url"])}
    return {name: value for name, value in found.items() if value}


def of_device(user_agent: str, screen: str, ip: str) -> dict[str, str]:
    """Return the footprint of the visitor's device; call it only with their consent."""
    parsed = ua_parser.parse(user_agent[:1000])
    device = parsed.device
    names = (device.brand, device.model) if device else ()
    found = {
        "device": " ".join(dict.fromkeys(name for name in names if name)),
        "system": _versioned(parsed.os),
        "browser": _versioned(parsed.user_agent),
        "screen": screen,
        "ip": ip,
    }
    return {name: value for name, value in found.items() if value}


def language_of(tag: str) -> str:
    """Return the language of a browser's tag, `pt` of `pt-BR`; "" for what is none."""
    found = _LANGUAGE.fullmatch(tag)
    return found[1].lower() if found else ""


@lru_cache(maxsize=1000)
def known_zone(name: str) -> str:
    """Return `name` when it is a time zone that can be computed with, else ""."""
    try:
        return ZoneInfo(name).key
    except (ValueError, KeyError, OSError):  # OSError: a folder of zones, such as "America"
        return ""


def without_device(footprint: Mapping[str, Any]) -> dict[str, Any]:
    """Return `footprint` without what is kept with consent only."""
    return {name: value for name, value in footprint.items() if name not in DEVICE}


def without_secrets(url: str) -> str:
    """Return a web address without user name, fragment and secret parameters, at most 2 kB long.

    Anything else becomes "".
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host:
        return ""
    place = f"[{host}]" if ":" in host else host
    place = f"{place}:{port}" if port else place
    kept = [(name, value) for name, value in _parameters(parts.query) if not _SECRET.search(name)]
    return urlunsplit((parts.scheme, place, parts.path, urlencode(kept), ""))[:LONGEST_URL]


def _tags(url: str) -> dict[str, str]:
    try:
        given = dict(_parameters(urlsplit(url).query))
    except ValueError:
        return {}
    return {name: given[name][:200] for name in TAGS if given.get(name)}


def _parameters(query: str) -> list[tuple[str, str]]:
    """Split a query; of one with absurdly many parameters nothing is kept."""
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return []


def _versioned(found: Any) -> str:
    if found is None or found.family == "Other":
        return ""
    return f"{found.family} {found.major}" if found.major else str(found.family)
