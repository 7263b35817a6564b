"""What each type of property takes and refuses: one table for the types, and for form, API and bot (P5).

Every `given` can be sent as JSON; `as_form` says what the panel's form sends for it. `NEVER` is what no JSON
says and no type may choke on.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class Case(NamedTuple):
    """What is given, and what becomes of it: the value in normal form, or the sentence after the key."""

    type: str
    given: Any
    value: Any = None
    sentence: str = ""
    options: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return f"{self.type}-{json.dumps(self.given)[:40]}"


def takes(kind: str, given: Any, value: Any, **options: Any) -> Case:
    return Case(kind, given, value, options=DEFAULTS.get(kind, {}) | options)


def refuses(kind: str, given: Any, sentence: str, **options: Any) -> Case:
    return Case(kind, given, sentence=sentence, options=DEFAULTS.get(kind, {}) | options)


def as_form(case: Case) -> str | list[str] | None:
    """Return what the panel's form sends to set this value, or None for what nobody can type into it."""
    given = case.given
    if isinstance(given, str):
        return None if any("\ud800" <= one <= "\udfff" for one in given) else given
    if isinstance(given, bool):
        return json.dumps(given) if case.type == "boolean" else None
    if isinstance(given, int | float):
        typed = json.dumps(given)
        return typed if case.type in ("integer", "decimal", "money") and "e" not in typed else None
    if case.type == "choices" and isinstance(given, list):
        return list(given) if all(isinstance(one, str) for one in given) else None
    return json.dumps(given) if case.type in ("location", "object") else None


PLANS = [
    {"value": "free", "label": "Free plan"},
    {"value": "pro", "label": "Pro"},
    {"value": "enterprise", "label": "Enterprise"},
    {"value": "gold", "label": "Gold", "retired": True},
]
TWINS = [{"value": "a", "label": "Same"}, {"value": "b", "label": "same"}]
GONE = [{"value": "a", "retired": True}]
DIGIT_WORDS = [str(number) for number in range(12)]
MANY = [str(number) for number in range(51)]
YEAR = {"min": "2026-01-01", "max": "2026-12-31"}
ANY = {"choices": [], "allow_other": True}
TOPICS = ["desks", "lamps", "shelves, large", "café"]
DEFAULTS: dict[str, dict[str, Any]] = {
    "choice": {"choices": PLANS},
    "choices": {"choices": TOPICS},
    "money": {"currency": "EUR"},
}

NOT_EMPTY = "takes text that is not empty"
WHOLE, NUMBER = "takes a whole number", "takes a number, such as 12.5"
RANGE = "takes a whole number between -9007199254740991 and 9007199254740991"
DIGITS = "takes a number of at most 15 digits before the point"
YES_NO = "takes yes or no"
DATE = "takes a date, such as 2026-11-24"
MOMENT = "takes a date and time with its zone, such as 2026-11-24T18:00:00Z"
YEARS = "takes a year between 2 and 9998"
PHONE = "takes a number with its country, such as +91 98765 43210"
PHONE_DIGITS = "takes a number of 7 to 15 digits"
EMAIL = "takes an email address, such as name@example.com"
LINK = "takes a web address, such as https://example.com/page"
ONE_OF = "takes one of: free, pro, enterprise"
ANY_OF = "takes any of: desks, lamps, shelves, large, café"
PLACE = "takes a latitude and a longitude, such as 28.6139, 77.2090"
GLOBE = "takes a latitude between -90 and 90 and a longitude between -180 and 180"
JSON = "takes an object or a list, as JSON"
MONEY = "takes an amount, such as 489.00 or € 489.00"


def nested(levels: int) -> Any:
    """Return a list in a list, so many levels deep."""
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


CASES: list[Case] = [
    # ── Text
    takes("text", "Delhi", "Delhi"),
    takes("text", "  Delhi \n", "Delhi"),
    takes("text", "New\r\n  Delhi\x0bCity\u2028India", "New Delhi City India"),
    takes("text", "a\r\nb\rc ", "a\nb\nc", several_lines=True),
    takes("text", 110017, "110017"),
    takes("text", "x" * 500, "x" * 500),
    takes("text", "x" * 10_000, "x" * 10_000, max_length=10_000),
    takes("text", "नमस्ते \u202eabc 👩‍👩‍👧", "नमस्ते \u202eabc 👩‍👩‍👧"),
    takes("text", "a\x00b", "a\ufffdb"),
    takes("text", "a\ud800b", "a\ufffdb"),
    takes("text", "<script>alert(1)</script>", "<script>alert(1)</script>"),
    takes("text", "'; DROP TABLE user; --", "'; DROP TABLE user; --"),
    takes("text", "AB-12", "AB-12", pattern=r"[A-Z]{2}-\d+"),
    takes("text", "aaaa", "aaaa", pattern="(a+)+$"),
    refuses("text", "AB-12 ", "takes text that matches the pattern `[A-Z]{2}`", pattern="[A-Z]{2}"),
    refuses("text", "a" * 499 + "!", "takes text that matches the pattern `(a+)+$`", pattern="(a+)+$"),
    refuses("text", "x" * 501, "takes at most 500 characters"),
    refuses("text", "é" * 11, "takes at most 10 characters", max_length=10),
    refuses("text", "xy", "takes at most 1 character", max_length=1),
    refuses("text", True, "takes text"),
    refuses("text", 1.5, "takes text"),
    refuses("text", ["a"], "takes text"),
    refuses("text", {"a": 1}, "takes text"),
    # ── Whole numbers
    takes("integer", 42, 42),
    takes("integer", 42.0, 42),
    takes("integer", "42", 42),
    takes("integer", "42.0", 42),
    takes("integer", " +42 ", 42),
    takes("integer", "−7", -7),
    takes("integer", "007", 7),
    takes("integer", "-0", 0),
    takes("integer", 0, 0),
    takes("integer", 2**53 - 1, 2**53 - 1),
    takes("integer", -(2**53) + 1, -(2**53) + 1),
    takes("integer", 10, 10, min=0, max=10),
    takes("integer", 0, 0, min=0, max=10),
    refuses("integer", 11, "takes a number between 0 and 10", min=0, max=10),
    refuses("integer", -1, "takes a number of at least 0", min=0),
    refuses("integer", 1, "takes a number of at most 0", max=0),
    refuses("integer", 2**53, RANGE),
    refuses("integer", 1e300, RANGE),
    refuses("integer", 10**4_000, RANGE),
    refuses("integer", "9" * 50, RANGE),
    refuses("integer", "9" * 5_000, RANGE),
    refuses("integer", 4.2, WHOLE),
    refuses("integer", "4_2", WHOLE),
    refuses("integer", "1,000", WHOLE),
    refuses("integer", "1e3", WHOLE),
    refuses("integer", "٤٢", WHOLE),
    refuses("integer", "0x2a", WHOLE),
    refuses("integer", "4 2", WHOLE),
    refuses("integer", "forty", WHOLE),
    refuses("integer", "NaN", WHOLE),
    refuses("integer", "\x0042", WHOLE),
    refuses("integer", "\ud800", WHOLE),
    refuses("integer", True, WHOLE),
    refuses("integer", [42], WHOLE),
    refuses("integer", {}, WHOLE),
    # ── Numbers
    takes("decimal", 12.5, 12.5),
    takes("decimal", "12.5", 12.5),
    takes("decimal", "12.", 12.0),
    takes("decimal", ".5", 0.5),
    takes("decimal", 3, 3.0),
    takes("decimal", -0.0, 0.0),
    takes("decimal", "-0", 0.0),
    takes("decimal", 0.1 + 0.2, 0.3),
    takes("decimal", "3.14159265358979323846", 3.14159265358979),
    takes("decimal", 1e-15, 1e-15),
    takes("decimal", "0." + "0" * 20 + "1", 0.0),
    takes("decimal", 999_999_999_999_999, 999_999_999_999_999.0),
    takes("decimal", 5, 5.0, min=0.1, max=5),
    refuses("decimal", 0.09, "takes a number between 0.1 and 5", min=0.1, max=5),
    refuses("decimal", 10**15, DIGITS),
    refuses("decimal", "999999999999999.9", DIGITS),
    refuses("decimal", 1e300, DIGITS),
    refuses("decimal", -(10**4_000), DIGITS),
    refuses("decimal", "1e3", NUMBER),
    refuses("decimal", "1,5", NUMBER),
    refuses("decimal", "1_0.5", NUMBER),
    refuses("decimal", "Infinity", NUMBER),
    refuses("decimal", "nan", NUMBER),
    refuses("decimal", ".", NUMBER),
    refuses("decimal", "1.2.3", NUMBER),
    refuses("decimal", "٣.٥", NUMBER),
    refuses("decimal", False, NUMBER),
    refuses("decimal", [1.5], NUMBER),
    # ── Yes or no
    *(takes("boolean", yes, True) for yes in (True, 1, 1.0, "true", "YES", " on ", "1")),
    *(takes("boolean", no, False) for no in (False, 0, "False", "no", "OFF", "0")),
    *(refuses("boolean", what, YES_NO) for what in (2, -1, 0.5, "maybe", "2", "ja", "yes\x00", [True], {})),
    # ── Dates
    takes("date", "2026-11-24", "2026-11-24"),
    takes("date", " 2024-02-29 ", "2024-02-29"),
    takes("date", "0001-01-01", "0001-01-01"),
    takes("date", "9999-12-31", "9999-12-31"),
    takes("date", "2026-01-01", "2026-01-01", **YEAR),
    refuses("date", "2027-01-01", "takes a date from 2026-01-01 to 2026-12-31", **YEAR),
    refuses("date", "2025-12-31", "takes a date from 2026-01-01 on", min="2026-01-01"),
    refuses("date", "2026-01-02", "takes a date up to 2026-01-01", max="2026-01-01"),
    refuses("date", "2026-02-29", DATE),
    refuses("date", "0000-01-01", DATE),
    refuses("date", "10000-01-01", DATE),
    refuses("date", "2026-11-24T18:00:00Z", DATE),
    refuses("date", "20261124", DATE),
    refuses("date", "2026-W48-2", DATE),
    refuses("date", "24.11.2026", DATE),
    refuses("date", "11/24/2026", DATE),
    refuses("date", "٢٠٢٦-١١-٢٤", DATE),
    refuses("date", 20261124, DATE),
    refuses("date", 1795544366.7, DATE),
    refuses("date", True, DATE),
    refuses("date", ["2026-11-24"], DATE),
    # ── Moments
    takes("datetime", "2026-11-24T18:00:00Z", "2026-11-24T18:00:00+00:00"),
    takes("datetime", "2026-11-24t18:00z", "2026-11-24T18:00:00+00:00"),
    takes("datetime", "2026-11-24 23:30:00+05:30", "2026-11-24T18:00:00+00:00"),
    takes("datetime", "2026-11-24T18:00:00 +0000", "2026-11-24T18:00:00+00:00"),
    takes("datetime", "2026-11-24T18:00:00.5-01", "2026-11-24T19:00:00.500000+00:00"),
    takes("datetime", "2026-11-24T18:00:00.123456789Z", "2026-11-24T18:00:00.123456+00:00"),
    takes("datetime", "0002-01-01T00:00:00Z", "0002-01-01T00:00:00+00:00"),
    takes("datetime", "9998-12-31T23:59:59.999999Z", "9998-12-31T23:59:59.999999+00:00"),
    refuses("datetime", "0001-01-01T00:00:00+14:00", YEARS),
    refuses("datetime", "0002-01-01T00:00:00+00:01", YEARS),
    refuses("datetime", "9999-12-31T23:59:59-12:00", YEARS),
    refuses("datetime", "9998-12-31T23:59:59-00:01", YEARS),
    refuses("datetime", "2026-11-24T18:00:00", MOMENT),
    refuses("datetime", "2026-11-24", MOMENT),
    refuses("datetime", "2026-11-24T24:00:00Z", MOMENT),
    refuses("datetime", "2026-11-24T18:60:00Z", MOMENT),
    refuses("datetime", "2026-11-24T18:00:60Z", MOMENT),
    refuses("datetime", "2026-02-30T18:00:00Z", MOMENT),
    refuses("datetime", "0000-01-01T00:00:00Z", MOMENT),
    refuses("datetime", "2026-11-24T18:00:00+25:00", MOMENT),
    refuses("datetime", "2026-11-24T18:00:00 Europe/Berlin", MOMENT),
    refuses("datetime", "tomorrow", MOMENT),
    refuses("datetime", 1795544366, MOMENT),
    refuses("datetime", "1795544366", MOMENT),
    refuses("datetime", {"at": "2026-11-24T18:00:00Z"}, MOMENT),
    # ── Phones
    takes("phone", "+91 98765 43210", "+919876543210"),
    takes("phone", "0091-98765-43210", "+919876543210"),
    takes("phone", "+15550100", "+15550100"),
    takes("phone", "+1 (555) 010.0123", "+15550100123"),
    takes("phone", "+49 (0)30 901820", "+4930901820"),
    takes("phone", "\u202a+49\u00a030\u2011901820\u202c", "+4930901820"),
    takes("phone", "+٩١ ٩٨٧٦٥ ٤٣٢١٠", "+919876543210"),
    takes("phone", "＋９１ ９８７６５４３２１０", "+919876543210"),
    takes("phone", "+1234567", "+1234567"),
    takes("phone", "+123456789012345", "+123456789012345"),
    refuses("phone", "+123456", PHONE_DIGITS),
    refuses("phone", "+1234567890123456", PHONE_DIGITS),
    refuses("phone", "98765 43210", PHONE),
    refuses("phone", "030 901820", PHONE),
    refuses("phone", "+0 98765 43210", PHONE),
    refuses("phone", "000 98765 43210", PHONE),
    refuses("phone", 919876543210, PHONE),
    refuses("phone", "++91 98765 43210", PHONE),
    refuses("phone", "+91+98765 43210", PHONE),
    refuses("phone", "+91 98765 43210 ext. 5", PHONE),
    refuses("phone", "+91 98765 FLOWERS", PHONE),
    refuses("phone", "+91 98765\x0043210", PHONE),
    refuses("phone", "+91\ud80098765", PHONE),
    refuses("phone", "+", PHONE),
    refuses("phone", "+" + "9" * 100_000, PHONE),
    refuses("phone", True, PHONE),
    refuses("phone", ["+919876543210"], PHONE),
    # ── Email addresses
    takes("email", "asha@example.com", "asha@example.com"),
    takes("email", " Asha.Rao+shop@Mail.EXAMPLE.com ", "Asha.Rao+shop@mail.example.com"),
    takes("email", "o'hara@example.co.uk", "o'hara@example.co.uk"),
    takes("email", "संपर्क@भारत.example", "संपर्क@भारत.example"),
    takes("email", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
    takes("email", "a" * 64 + "@example.com", "a" * 64 + "@example.com"),
    refuses("email", "a" * 65 + "@example.com", EMAIL),
    refuses("email", "a@" + "b" * 250 + ".com", "takes at most 254 characters"),
    refuses("email", "a@" + "b" * 64 + ".com", EMAIL),
    refuses("email", "asha", EMAIL),
    refuses("email", "asha@localhost", EMAIL),
    refuses("email", "asha@example..com", EMAIL),
    refuses("email", "asha@.example.com", EMAIL),
    refuses("email", "asha@-example.com", EMAIL),
    refuses("email", "asha@example.com.", EMAIL),
    refuses("email", "asha@127.0.0.1", EMAIL),
    refuses("email", "@example.com", EMAIL),
    refuses("email", "a@b@example.com", EMAIL),
    refuses("email", "asha rao@example.com", EMAIL),
    refuses("email", "Asha <asha@example.com>", EMAIL),
    refuses("email", "a@example.com, b@example.com", EMAIL),
    refuses("email", "a@example.com\nBcc: b@example.com", EMAIL),
    refuses("email", "a\x00@example.com", EMAIL),
    refuses("email", "a\u202e@example.com", EMAIL),
    refuses("email", "a\ud800@example.com", EMAIL),
    refuses("email", 5, EMAIL),
    refuses("email", ["a@example.com"], EMAIL),
    # ── Web addresses
    takes("url", "https://example.com", "https://example.com"),
    takes("url", " HTTPS://Shop.Example.COM/Path?q=A#F ", "https://shop.example.com/Path?q=A#F"),
    takes("url", "http://127.0.0.1:8000/x", "http://127.0.0.1:8000/x"),
    takes("url", "http://[::1]/", "http://[::1]/"),
    takes("url", "https://भारत.example/दिल्ली", "https://भारत.example/दिल्ली"),
    takes("url", "https://example.com/a@b", "https://example.com/a@b"),
    takes("url", "https://example.com?x=1", "https://example.com?x=1"),
    refuses("url", "javascript:alert(1)", LINK),
    refuses("url", "JaVaScRiPt:alert(1)//https://example.com", LINK),
    refuses("url", "java\nscript:alert(1)", LINK),
    refuses("url", "data:text/html,<script>alert(1)</script>", LINK),
    refuses("url", "ftp://example.com", LINK),
    refuses("url", "//example.com", LINK),
    refuses("url", "example.com", LINK),
    refuses("url", "https:example.com", LINK),
    refuses("url", "https:///path", LINK),
    refuses("url", "https://", LINK),
    refuses("url", "https://..", LINK),
    refuses("url", "https://example.com\\@evil.example", LINK),
    refuses("url", 'https://example.com/"onclick="x', LINK),
    refuses("url", "https://exam ple.com", LINK),
    refuses("url", "https://example.com/\x00", LINK),
    refuses("url", "https://example.com/\u202egpj.exe", LINK),
    refuses("url", "https://example.com/\ud800", LINK),
    refuses("url", "https://example.com:99999/", LINK),
    refuses("url", "https://example.com:x/", LINK),
    refuses("url", "https://[::1", LINK),
    refuses("url", "https://ex%61mple.com/", LINK),
    refuses("url", "https://user:secret@example.com/", "takes a web address without a user name in it"),
    refuses("url", "https://@example.com/", "takes a web address without a user name in it"),
    refuses("url", 5, LINK),
    refuses("url", {"url": "https://example.com"}, LINK),
    # ── Images
    takes("image", "https://cdn.example.com/a/Desk%20oak.JPG?w=1", "https://cdn.example.com/a/Desk%20oak.JPG?w=1"),
    refuses("image", "data:image/png;base64,AAAA", LINK),
    refuses("image", "javascript:alert(1)", LINK),
    refuses("image", "https://example.com/" + "a" * 2_000, "takes at most 2,000 characters"),
    # ── One choice
    takes("choice", "pro", "pro"),
    takes("choice", " PRO\n", "pro"),
    takes("choice", "free plan", "free"),
    takes("choice", "gold", "gold"),
    takes("choice", "other", "other", allow_other=True),
    takes("choice", "PRO", "pro", allow_other=True),
    takes("choice", 5, "5", choices=["5", "6"]),
    takes("choice", "A", "A", choices=["a", "A"]),
    takes("choice", "x" * 100, "x" * 100, choices=["x" * 100]),
    refuses("choice", "same", "takes one of: a, b", choices=TWINS),
    refuses("choice", "plus", ONE_OF),
    refuses("choice", "pro\x00", ONE_OF),
    refuses("choice", "pro\ud800", ONE_OF),
    refuses("choice", "' OR 1=1 --", ONE_OF),
    refuses("choice", "x" * 100_000, ONE_OF),
    refuses("choice", True, ONE_OF),
    refuses("choice", 1.5, ONE_OF),
    refuses("choice", ["pro"], ONE_OF),
    refuses("choice", {"value": "pro"}, ONE_OF),
    refuses("choice", "x" * 101, "takes at most 100 characters", allow_other=True),
    refuses("choice", "z", "takes one of: 0, 1, 2, 3, 4, 5, 6, 7 and 4 more", choices=DIGIT_WORDS),
    refuses("choice", "z", "takes no new value: all choices are retired", choices=GONE),
    # ── Several choices
    takes("choices", ["lamps", "desks", "lamps"], ["desks", "lamps"]),
    takes("choices", "lamps, DESKS", ["desks", "lamps"]),
    takes("choices", "lamps,,", ["lamps"]),
    takes("choices", "lamps", ["lamps"]),
    takes("choices", '["lamps", "café"]', ["lamps", "café"]),
    takes("choices", "shelves, large", ["shelves, large"]),
    takes("choices", ["vip", "Beta", "desks"], ["desks", "Beta", "vip"], allow_other=True),
    takes("choices", "[x", ["[x"], **ANY),
    takes("choices", [7], ["7"], **ANY),
    takes("choices", MANY[:50], sorted(MANY[:50]), **ANY),
    refuses("choices", MANY, "takes at most 50 values", **ANY),
    refuses("choices", ["a"] * 100_000, "takes at most 50 values", **ANY),
    refuses("choices", "a," * 100_000, "takes at most 50 values", **ANY),
    refuses("choices", ["x" * 101], "takes at most 100 characters", **ANY),
    refuses("choices", ["lamps", ""], ANY_OF),
    refuses("choices", ["lamps", "sofas"], ANY_OF),
    refuses("choices", ",", ANY_OF),
    refuses("choices", "[" * 10_000, ANY_OF),
    refuses("choices", [["lamps"]], ANY_OF),
    refuses("choices", {"lamps": True}, ANY_OF),
    refuses("choices", True, ANY_OF),
    refuses("choices", ["lamps", None], ANY_OF),
    # ── Places
    takes("location", {"lat": 28.6139, "lng": 77.209}, {"lat": 28.6139, "lng": 77.209}),
    takes(
        "location",
        {"latitude": "28.5244", "longitude": 77, "name": " Saket,\nDelhi ", "address": "-"},
        {"lat": 28.5244, "lng": 77.0, "label": "Saket, Delhi"},
    ),
    takes("location", {"lat": 1, "lon": 2, "label": None}, {"lat": 1.0, "lng": 2.0}),
    takes("location", "28.61, 77.20", {"lat": 28.61, "lng": 77.2}),
    takes("location", "28.61 77.20", {"lat": 28.61, "lng": 77.2}),
    takes("location", "-28.61; -77.20, Saket, Delhi", {"lat": -28.61, "lng": -77.2, "label": "Saket, Delhi"}),
    takes("location", '{"lat": 28.61, "lng": 77.2}', {"lat": 28.61, "lng": 77.2}),
    takes("location", "90, -180", {"lat": 90.0, "lng": -180.0}),
    takes("location", {"lat": -1e-9, "lng": 12.345678949}, {"lat": 0.0, "lng": 12.345679}),
    refuses("location", "90.0001, 0", GLOBE),
    refuses("location", {"lat": 0, "lng": 180.1}, GLOBE),
    refuses("location", {"lat": 10**4_000, "lng": 0}, GLOBE),
    refuses("location", {"lat": 0, "lng": 0, "label": "x" * 201}, "takes a label of at most 200 characters"),
    refuses("location", {"lat": 0, "lng": 0, "label": 5}, "takes a label that is text"),
    refuses("location", "0, 0 " + "x" * 100_000, "takes a label of at most 200 characters"),
    refuses("location", {"lat": 28.61}, PLACE),
    refuses("location", {"lat": True, "lng": False}, PLACE),
    refuses("location", {"lat": "NaN", "lng": "Infinity"}, PLACE),
    refuses("location", {"lat": [1], "lng": {}}, PLACE),
    refuses("location", [28.61, 77.2], PLACE),
    refuses("location", "28.61", PLACE),
    refuses("location", "28° 36′ N, 77° 12′ E", PLACE),
    refuses("location", "Saket, Delhi", PLACE),
    refuses("location", '{"lat": 28.61', PLACE),
    refuses("location", '{"a":' * 5_000, PLACE),
    refuses("location", 5, PLACE),
    # ── JSON
    takes("object", {"b": 1, "a": [True, None, 1.5]}, {"b": 1, "a": [True, None, 1.5]}),
    takes("object", ["desk"], ["desk"]),
    takes("object", '{"items": [{"sku": "LO-1", "n": 2}]}', {"items": [{"sku": "LO-1", "n": 2}]}),
    takes("object", {}, {}),
    takes("object", '{"a": 1, "a": 2}', {"a": 2}),
    takes("object", {"a\x00": "b\ud800"}, {"a\ufffd": "b\ufffd"}),
    takes("object", {"__proto__": {"x": "</script>"}}, {"__proto__": {"x": "</script>"}}),
    takes("object", nested(20), nested(20)),
    takes("object", {"n": 10**299}, {"n": 10**299}),
    takes("object", ["x" * 19_996], ["x" * 19_996]),
    refuses("object", ["x" * 19_997], "takes at most 20 kB of JSON"),
    refuses("object", ["é" * 9_999], "takes at most 20 kB of JSON"),
    refuses("object", [0] * 30_000, "takes at most 20 kB of JSON"),
    refuses("object", "[" + " " * 300_000 + "]", "takes at most 20 kB of JSON"),
    refuses("object", nested(21), "takes JSON of at most 20 levels"),
    refuses("object", "[" * 100_000 + "]" * 100_000, "takes JSON of at most 20 levels"),
    refuses("object", '{"n": NaN}', "takes JSON whose numbers are finite, of at most 300 digits"),
    refuses("object", '[1e999]', "takes JSON whose numbers are finite, of at most 300 digits"),
    refuses("object", {"n": 10**300}, "takes JSON whose numbers are finite, of at most 300 digits"),
    refuses("object", "[" + "9" * 5_000 + "]", JSON),
    refuses("object", "{'a': 1}", JSON),
    refuses("object", '{"a": 1', JSON),
    refuses("object", '"text"', JSON),
    refuses("object", "5", JSON),
    refuses("object", 5, JSON),
    refuses("object", True, JSON),
    # ── Money
    takes("money", 489, 489.0),
    takes("money", "489.00", 489.0),
    takes("money", "€ 489.00", 489.0),
    takes("money", "489 EUR", 489.0),
    takes("money", "eur 489.5", 489.5),
    takes("money", "€ 2,410.00", 2410.0),
    takes("money", "-€ 5", -5.0),
    takes("money", "€ −5.00", -5.0),
    takes("money", 0.1 + 0.2, 0.3),
    takes("money", "-0.00", 0.0),
    takes("money", {"amount": "489.00", "currency": "EUR"}, 489.0),
    takes("money", "¥ 489", 489.0, currency="JPY"),
    takes("money", "1.234", 1.234, currency="KWD"),
    takes("money", 999_999_999_999.99, 999_999_999_999.99),
    refuses("money", 10**12, "takes an amount under a million millions"),
    refuses("money", 999_999_999_999.9999, "takes an amount with at most 2 decimals"),
    refuses("money", 10**4_000, "takes an amount under a million millions"),
    refuses("money", "489.005", "takes an amount with at most 2 decimals"),
    refuses("money", 4.5, "takes an amount without decimals", currency="JPY"),
    refuses("money", "489 USD", "takes an amount in EUR"),
    refuses("money", "$489", "takes an amount in EUR"),
    refuses("money", {"amount": 489, "currency": "USD"}, "takes an amount in EUR"),
    refuses("money", {"amount": 489, "currency": ["EUR"]}, "takes an amount in EUR"),
    refuses("money", {"currency": "EUR"}, MONEY),
    refuses("money", "1,000", MONEY),
    refuses("money", "489,00", MONEY),
    refuses("money", "1e3", MONEY),
    refuses("money", "--5", MONEY),
    refuses("money", "-€ -5", MONEY),
    refuses("money", "four", MONEY),
    refuses("money", "9" * 5_000, "takes an amount under a million millions"),
    refuses("money", "4\x0089", MONEY),
    refuses("money", True, MONEY),
    refuses("money", [489], MONEY),
]  # fmt: skip

_itself: list[Any] = []
_itself.append(_itself)
NEVER: list[Any] = [
    None, b"42", bytearray(b"x"), {1, 2}, frozenset({"a"}), object(), int, float("nan"), float("inf"),
    float("-inf"), 1j, range(3), {1: 2}, {None: 1}, _itself, [_itself, _itself],
    {"lat": float("nan"), "lng": 1}, {"amount": float("inf")}, 10**5_000, (x for x in "ab"),
]  # fmt: skip
