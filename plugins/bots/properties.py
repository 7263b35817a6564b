"""Properties and bots: what a bot is told of a user, and what is kept of what it says."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core import clock, properties, proposals, values
from core.catalogue import BOT, Definition, Writer, catalogue
from core.models import Origin, Session, Source, User
from core.properties import SKIPPED_WORD

MOST_KEYS = 50
MOST_TOLD = 16_000
"""In characters of JSON: all the values that a question carries."""
_MOST_SENTENCES = 10
_LONGEST_KEY = 63


@dataclass(frozen=True)
class Refused:
    """What a bot sent and Parley did not take: `keys`, cut short, and a sentence for each, never a value."""

    keys: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sentences)


def open_to_bots(user: User, session_id: int | None) -> dict[str, Any]:
    """Return the properties that a bot may know, by key: those that it may set, and what Parley computes.

    What is unset is left out, and what was skipped is the word SKIPPED. Personal ones that Parley computes
    are not told, and those that bots may set are: whoever lets a bot set a value lets it know that value.
    Beyond 16,000 characters the later ones are left out; pinned ones come first.
    """
    session = Session.find(id=session_id) if session_id else None
    stored = {**values.values(user.id), **values.session_values(session)}
    stored |= values.computed(user, [], clock.now())
    told: dict[str, Any] = {}
    left = MOST_TOLD
    for one in catalogue().active:
        value = stored.get(one.key, values.UNSET)
        if not _is_open(one) or value == values.UNSET:
            continue
        said = SKIPPED_WORD if value.is_skipped else value.value
        size = len(one.key) + len(_encoded(said))
        if size <= left:
            left -= size
            told[one.key] = said
    return told


def keep(user_id: int, given: Mapping[str, Any], bot: str, message_id: int) -> Refused:
    """Write what a bot said of a user, in the transaction of its answer; returns what was not taken.

    `message_id` is the user's message that the bot answers. A key that nobody defined is proposed.
    """
    taken = dict(list(given.items())[:MOST_KEYS])
    refused: list[tuple[str, str]] = []
    if len(given) > MOST_KEYS:
        refused.append(("", f"Of {len(given)} properties only the first {MOST_KEYS} were looked at."))
    if taken:
        by = Writer(Origin.BOT, bot, groups=frozenset({BOT}))
        written = properties.write(user_id, taken, by, message_id=message_id, whole=False)
        refused += [(one.key, one.sentence) for one in written.refused]
        for key in sorted(written.unknown):  # in one order, so that no two answers lock each other out
            complaints = proposals.offer(user_id, {key: taken[key]}, by, message_id)
            refused += [(key, sentence) for sentence in complaints]
    sentences = [sentence for _, sentence in refused]
    if len(sentences) > _MOST_SENTENCES:
        more = len(sentences) - _MOST_SENTENCES
        sentences = [*sentences[:_MOST_SENTENCES], f"The same goes for {more} more."]
    return Refused(tuple(key[:_LONGEST_KEY] for key, _ in refused if key), tuple(sentences))


def _is_open(one: Definition) -> bool:
    return BOT in one.editable_by or (one.source == Source.SYSTEM and not one.personal)


def _encoded(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
