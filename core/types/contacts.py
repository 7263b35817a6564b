"""Phone numbers and email addresses."""

import re
import unicodedata
from datetime import UTC, tzinfo
from typing import Any

from core.masks import masked_email, masked_phone
from core.phones import MOST_DIGITS, readable
from core.property_type import (
    TEXT_OPERATORS,
    Editor,
    Invalid,
    PropertyType,
    Rendered,
    Storage,
)

_FEWEST_DIGITS = 7
_LONGEST_TYPED = 100
_NO_COUNTRY = "takes a number with its country, such as +91 98765 43210"
_TRUNK_ZERO = re.compile(r"\(\s*0\s*\)")  # +49 (0)30: dialled inside the country alone

LONGEST_EMAIL = 254  # RFC 5321, by the erratum 1690
_LONGEST_NAME = 64
_LONGEST_PART = 63
_NOT_IN_NAME = frozenset('"(),:;<>[]\\@')
_NO_EMAIL = "takes an email address, such as name@example.com"


class Phone(PropertyType):
    """A phone number with its country: `+` and 7 to 15 digits.

    It is not asked whether somebody could have it: providers deliver old formats and test numbers.
    """

    name = "phone"
    label = "Phone"
    icon = "phone"
    storage = Storage.TEXT
    editor = Editor.PHONE
    operators = TEXT_OPERATORS

    def parse(self, given: Any) -> str:
        """Take a number that begins with + or 00, however it is spaced; digits of any script."""
        digits = _international(given) if isinstance(given, str) and len(given) <= _LONGEST_TYPED else None
        if digits is None or digits.startswith("0"):
            raise Invalid(_NO_COUNTRY)
        if not _FEWEST_DIGITS <= len(digits) <= MOST_DIGITS:
            raise Invalid(f"takes a number of {_FEWEST_DIGITS} to {MOST_DIGITS} digits")
        return f"+{digits}"

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Space the digits as the number's country does."""
        return Rendered(readable(value), title=value)

    def masked(self, value: Any) -> str:
        """Return the last four digits."""
        return masked_phone(value)


def _international(text: str) -> str | None:
    """Return the digits after + or 00, or None where neither is there or something else is in between."""
    text = _TRUNK_ZERO.sub("", text.strip())
    digits, has_plus = "", False
    for character in text:
        category = unicodedata.category(character)
        if category == "Nd":
            digits += str(unicodedata.digit(character))
        elif character in "+＋" and not digits and not has_plus:
            has_plus = True
        elif category not in ("Zs", "Cf", "Pd") and character not in "\t().[]/":
            return None
    if has_plus:
        return digits or None
    return digits[2:] if digits.startswith("00") else None


class Email(PropertyType):
    """An email address: what it takes is what a mail server could, with a dot in the domain."""

    name = "email"
    label = "Email"
    icon = "mail"
    storage = Storage.TEXT
    editor = Editor.EMAIL
    operators = TEXT_OPERATORS

    def parse(self, given: Any) -> str:
        """Take one address and nothing around it; its domain becomes lower case."""
        text = given.strip() if isinstance(given, str) else ""
        if len(text) > LONGEST_EMAIL:
            raise Invalid(f"takes at most {LONGEST_EMAIL} characters")
        name, _, domain = text.rpartition("@")
        domain = domain.lower()
        value = f"{name}@{domain}"
        if not _is_name(name) or not _is_domain(domain) or len(value) > LONGEST_EMAIL:
            raise Invalid(_NO_EMAIL)
        return value

    def masked(self, value: Any) -> str:
        """Return the first letter and the domain."""
        return masked_email(value)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_NAME and not any(
        character in _NOT_IN_NAME or unicodedata.category(character)[0] in "CZ" for character in text
    )


def _is_domain(text: str) -> bool:
    parts = text.split(".")
    return len(parts) > 1 and all(map(_is_part, parts)) and not parts[-1].isdecimal()


def _is_part(text: str) -> bool:
    return (
        0 < len(text) <= _LONGEST_PART
        and text[0] != "-" != text[-1]
        and all(character == "-" or unicodedata.category(character)[0] in "LMN" for character in text)
    )
