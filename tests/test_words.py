"""Times, lengths, names and counts in the words of the house."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from admin import words
from admin.words import Now
from core import Reach, ReachKind

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOW = Now(NOON)
DELHI = Now(NOON, ZoneInfo("Asia/Kolkata"))


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        ({"seconds": -5}, "now"),
        ({"seconds": 59}, "now"),
        ({"seconds": 60}, "1 min ago"),
        ({"minutes": 59, "seconds": 59}, "59 min ago"),
        ({"hours": 1}, "1 h ago"),
        ({"hours": 23, "minutes": 59}, "23 h ago"),
        ({"days": 1}, "1 d ago"),
        ({"days": 6, "hours": 23}, "6 d ago"),
        ({"days": 7}, "17 Nov"),
        ({"days": 365}, "24 Nov 2025"),
    ],
)
def test_a_moment_is_relative_under_seven_days(passed: dict[str, int], said: str) -> None:
    assert words.ago(NOON - timedelta(**passed), NOW) == said


@pytest.mark.parametrize("passed", [0, 59, 60, 3599, 3600, 86_399, 86_400, 604_799])
def test_how_long_ago_is_said_in_the_same_words_until_it_changes(passed: int) -> None:
    at = NOON - timedelta(seconds=passed)
    changes = words.ago_changes(at, NOW)
    assert words.ago(at, Now(changes - timedelta(seconds=1))) == words.ago(at, NOW)
    assert words.ago(at, Now(changes)) != words.ago(at, NOW)


def test_a_window_is_said_in_the_same_words_until_it_changes() -> None:
    for seconds in (1, 59, 61, 3599, 3601, 86_399):
        reach = Reach(ReachKind.FREE_FORM, "", until=NOON + timedelta(seconds=seconds))
        changes = words.window_changes(reach, NOW)
        assert changes is not None
        assert words.window(reach, Now(changes - timedelta(microseconds=1))) == words.window(reach, NOW)
    assert words.window_changes(Reach(ReachKind.FREE_FORM, ""), NOW) is None
    assert words.window_changes(None, NOW) is None


def test_a_moment_is_exact_in_the_zone_of_the_reader() -> None:
    assert words.exact(NOON, NOW) == "Tue 24 Nov 2026, 12:00 UTC"
    assert words.exact(NOON, DELHI) == "Tue 24 Nov 2026, 17:30 IST"
    assert words.moment(NOON, DELHI) == {
        "text": "now",
        "iso": "2026-11-24T12:00:00+00:00",
        "exact": "Tue 24 Nov 2026, 17:30 IST",
    }


def test_days_are_those_of_the_reader() -> None:
    late = NOON + timedelta(hours=9)
    assert words.day(late, NOW) == "Today"
    assert words.day(late, DELHI) == "Wednesday, 25 November"
    assert words.local_day(late, DELHI) == "2026-11-25"
    assert words.day(NOON - timedelta(days=400), NOW) == "Monday, 20 October 2025"
    assert words.clock(late, DELHI) == "02:30"


@pytest.mark.parametrize(
    ("days", "said"),
    [(0, "today, 12:00"), (1, "tomorrow, 12:00"), (-1, "yesterday, 12:00"), (-2, "Sun 22 Nov, 12:00")],
)
def test_a_day_near_is_called_by_its_name(days: int, said: str) -> None:
    assert words.day_and_clock(NOON + timedelta(days=days), NOW) == said


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (date(2026, 11, 24), date(2026, 11, 24), "24 Nov 2026"),
        (date(2026, 11, 23), date(2026, 11, 11), "11–23 Nov 2026"),
        (date(2026, 11, 3), date(2026, 10, 28), "28 Oct – 3 Nov 2026"),
        (date(2026, 1, 2), date(2025, 12, 30), "30 Dec 2025 – 2 Jan 2026"),
    ],
)
def test_a_page_of_a_list_says_its_dates(first: date, last: date, said: str) -> None:
    ends = (datetime(one.year, one.month, one.day, tzinfo=UTC) for one in (first, last))
    assert words.span(*ends, NOW) == said


@pytest.mark.parametrize(
    ("minutes", "left", "length"),
    [
        (0.5, "<1m", "under 1 min"),
        (1, "1m", "1 min"),
        (59.9, "59m", "59 min"),
        (192, "3h 12m", "3 h"),
        (24 * 60, "24h 0m", "1 d"),
    ],
)
def test_lengths(minutes: float, left: str, length: str) -> None:
    of = timedelta(minutes=minutes)
    assert (words.left(of), words.length(of)) == (left, length)


@pytest.mark.parametrize(
    ("reach", "tone", "text"),
    [
        (Reach(ReachKind.FREE_FORM, "", until=NOON + timedelta(hours=1)), "ok", "Open · 1h 0m left"),
        (Reach(ReachKind.FREE_FORM, "", until=NOON + timedelta(minutes=59)), "warn", "Open · 59m left"),
        (Reach(ReachKind.FREE_FORM, ""), "ok", "Open · no limit"),
        (
            Reach(ReachKind.HUMAN_ONLY, "", until=NOON + timedelta(hours=2)),
            "warn",
            "Agents only · 2h 0m left",
        ),
        (Reach(ReachKind.TEMPLATE_ONLY, ""), "off", "Expired"),
        (Reach(ReachKind.NEEDS_USER_FIRST, ""), "off", "Expired"),
        (Reach(ReachKind.UNREACHABLE, ""), "off", "Unreachable"),
        (Reach(ReachKind.BLOCKED, ""), "off", "Blocked"),
        (Reach(ReachKind.OPTED_OUT, ""), "off", "Opted out"),
        (None, "none", "No channel"),
    ],
)
def test_every_answer_of_the_gate_has_a_pill(reach: Reach | None, tone: str, text: str) -> None:
    pill = words.window(reach, NOW)
    assert (pill["tone"], pill["text"]) == (tone, text)


def test_the_ring_is_empty_when_the_window_is_closed() -> None:
    half = words.ring(NOON - timedelta(hours=12), NOON + timedelta(hours=12), NOW)
    assert (half["share"], half["text"], half["tone"]) == (0.5, "12h 0m", "ok")
    over = words.ring(NOON - timedelta(hours=24), NOON, NOW)
    assert (over["share"], over["text"], over["tone"]) == (0, "0h", "off")
    assert words.ring(NOON, NOON, NOW)["share"] == 0


@pytest.mark.parametrize(
    ("name", "initials"),
    [
        ("Asha Rao", "AR"),
        ("Asha", "A"),
        ("Léa de la Tour", "LT"),
        ("佐藤 美咲", "佐"),
        ("김민준", "김"),
        ("فاطمة الهاشمي", "فا"),
        ("(Mr.) O'Neil", "MO"),
        ("+91 99001", "?"),
        ("🙂", "?"),
        ("", "?"),
    ],
)
def test_initials(name: str, initials: str) -> None:
    assert words.initials(name) == initials


def test_names_and_counts() -> None:
    assert words.counted(1, "message") == "1 message"
    assert words.counted(1200, "message") == "1,200 messages"
    assert words.counted("10,000+", "user") == "10,000+ users"
    assert words.joined([]) == ""
    assert words.joined(["Bot"]) == "Bot"
    assert words.joined(["Bot", "Maya", "Théo"]) == "Bot, Maya and Théo"
    assert words.first_name("Maya Okonkwo") == "Maya"
    assert words.handler("agent", "Maya Okonkwo")["label"] == "With Maya"
    assert words.handler("waiting", None)["label"] == "Waiting"
    assert words.author("bot") == "Bot"
    assert words.author("bot", "Order bot") == "Order bot"


def test_codes_have_names_and_unknown_ones_stay() -> None:
    assert words.country("IN") == "India"
    assert words.country("de") == "Germany"
    assert words.country("XX") == "XX"
    assert words.language("hi") == "Hindi"
    assert words.language("pt_BR") == "Portuguese (BR)"
    assert words.language("tlh") == "tlh"


def test_file_types() -> None:
    assert words.file_type("application/pdf") == "PDF"
    assert words.file_type("audio/ogg; codecs=opus") == "OGG"
    assert (
        words.file_type("application/vnd.openxmlformats-officedocument.wordprocessingml.document")
        == "Document"
    )
    assert words.file_type("") is None
    assert words.file_type(None) is None
