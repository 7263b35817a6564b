"""Phone numbers as people and providers write them."""

from functools import lru_cache

import phonenumbers

MOST_DIGITS = 15  # ITU-T E.164


def international(text: str) -> str | None:
    """Return `text` as `+` and digits, or None when it holds no number.

    A number is never refused for not being *valid*: providers deliver old formats and test numbers.
    """
    digits = "".join(character for character in text if character.isdigit() and character.isascii())
    return f"+{digits[:MOST_DIGITS]}" if len(digits) >= 4 else None


@lru_cache(maxsize=10_000)
def country_of(phone: str | None) -> str | None:
    """Return the two-letter country of an international number, or None where it cannot be told."""
    if phone is None:
        return None
    try:
        parsed = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return None
    region = phonenumbers.region_code_for_number(parsed)
    if region is None and parsed.country_code is not None:
        region = phonenumbers.region_code_for_country_code(parsed.country_code)
    return None if region in (None, "ZZ", "001") else region


@lru_cache(maxsize=10_000)
def readable(phone: str) -> str:
    """Return a number in the spacing of its country."""
    try:
        return phonenumbers.format_number(
            phonenumbers.parse(phone), phonenumbers.PhoneNumberFormat.INTERNATIONAL
        )
    except phonenumbers.NumberParseException:
        return phone
