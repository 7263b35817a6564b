"""What WhatsApp's error codes mean, and what follows from them.

Source: Meta, WhatsApp Business Platform, "Error codes", as of 2026-11-23. The same codes come as the answer
to a request and as the reason of a `failed` status; 131047, 131026, 131049 and 130472 mostly follow a 200.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from channels.whatsapp.read import as_dict, as_list, as_text, present
from core import Failure


class Then(Enum):
    """What follows from an error."""

    STOP = "nothing helps this message"
    RETRY = "the same message may pass later"
    CLOSE_WINDOW = "the window is closed, whatever our own clock says"
    OPT_OUT = "the user wants no more of this"
    PAUSE = "nothing passes until an admin acts"


@dataclass(frozen=True)
class Meaning:
    """One row of the table. `after` is the least time to wait before another attempt."""

    words: str
    then: Then = Then.STOP
    after: timedelta | None = None


def _retry(words: str, seconds: int) -> Meaning:
    return Meaning(words, Then.RETRY, timedelta(seconds=seconds))


def _pause(words: str) -> Meaning:
    return Meaning(words, Then.PAUSE)


_TOKEN = _pause("WhatsApp does not accept the access token any more")
_PERMISSION = _pause("The access token lacks a permission for this number")

MEANINGS: Mapping[int, Meaning] = {
    0: _TOKEN,
    1: _retry("WhatsApp had an unknown fault", 10),
    2: _retry("WhatsApp was not available", 10),
    3: _PERMISSION,
    4: _retry("The app has made too many calls", 60),
    10: _PERMISSION,
    33: _pause("WhatsApp does not know this phone number id any more"),
    100: Meaning("WhatsApp refused a part of the message"),
    190: _TOKEN,
    **dict.fromkeys(range(200, 300), _PERMISSION),
    368: _pause("WhatsApp has blocked this account for a breach of its policy"),
    80007: _retry("The WhatsApp account has made too many calls", 60),
    130429: _retry("This number sends too fast for WhatsApp", 10),
    130472: Meaning("WhatsApp held this message back: the user takes part in an experiment of WhatsApp’s"),
    # Holds for one country, not for the number: pausing would silence the users of all others.
    130497: Meaning("WhatsApp does not let this account write to the country of this user"),
    131000: _retry("Something went wrong at WhatsApp", 10),
    131005: _PERMISSION,
    131008: Meaning("WhatsApp misses a part of the message"),
    131009: Meaning("WhatsApp refused a value in the message"),
    131016: _retry("WhatsApp is overloaded", 30),
    131021: Meaning("A number cannot write to itself"),
    131026: Meaning(
        "WhatsApp could not deliver: the user has no WhatsApp, an old version of it, or does not want this"
    ),
    131030: Meaning("A test number may write only to the numbers on its list, and this one is not on it"),
    131031: _pause("WhatsApp has locked this account"),
    131037: _pause("The display name of this number is not approved yet"),
    131042: _pause("WhatsApp waits for a payment of this account"),
    131045: _pause("This number is not registered with WhatsApp"),
    131047: Meaning("More than 24 h have passed since the user’s last message", Then.CLOSE_WINDOW),
    131048: Meaning("WhatsApp limits this number, because too many users blocked or reported its messages"),
    131049: Meaning("WhatsApp held this message back: the user has had many such messages lately"),
    131050: Meaning("The user has stopped marketing messages of this number", Then.OPT_OUT),
    131051: Meaning("WhatsApp does not carry this kind of message"),
    131052: Meaning("WhatsApp could not fetch the user’s file"),
    131053: Meaning("WhatsApp could not take the file"),
    131056: _retry("This user has had too many messages within seconds", 6),
    131057: _retry("WhatsApp is being maintained", 300),
    131062: Meaning("This kind of message needs the user’s phone number, and only a scoped id is known"),
    132000: Meaning("The template has another number of parameters"),
    132001: Meaning("WhatsApp has no approved template of this name in this language"),
    132005: Meaning("The template is too long with its parameters filled in"),
    132007: Meaning("The template breaks WhatsApp’s policy"),
    132008: Meaning("A parameter of the template is missing, or has the wrong form"),
    132012: Meaning("A parameter of the template has another type than the template asks for"),
    132015: Meaning("WhatsApp has paused this template, because users rated it low"),
    132016: Meaning("WhatsApp has disabled this template for good"),
    132018: Meaning("A parameter of the template holds a line break, a tab or too many spaces"),
    133010: _pause("This number is not registered with WhatsApp"),
}

# Here WhatsApp's details say which part is meant; elsewhere they say again what the table says.
_NAMES_THE_PART = frozenset({100, 131008, 131009, *range(132000, 132100)})


def failure(error: Mapping[str, Any]) -> Failure:
    """Turn one error object of WhatsApp's into a Failure; a code that is in no table ends the message."""
    code = _code(error)
    meaning = MEANINGS.get(code) if code is not None else None
    if meaning is None:
        said = as_text(error.get("message")) or as_text(error.get("title"))
        meaning = Meaning(said or "WhatsApp refused the message and did not say why")
    details = _details(error) if code in _NAMES_THE_PART or code not in MEANINGS else ""
    reason = f"{meaning.words}: {details}" if details and details != meaning.words else meaning.words
    return Failure(
        reason if reason.endswith(".") else f"{reason}.",
        code="" if code is None else str(code),
        retry_after=meaning.after,
        permanent=meaning.then is not Then.RETRY,
        closes_window=meaning.then is Then.CLOSE_WINDOW,
        opts_out=meaning.then is Then.OPT_OUT,
        pauses_deployment=meaning.then is Then.PAUSE,
    )


def known(error: Mapping[str, Any]) -> bool:
    """Say whether the table has the code of `error`."""
    return _code(error) in MEANINGS


def weightiest(errors: Any) -> Failure:
    """Return the failure that a status speaks of: of several errors the first that the table knows."""
    found = [error for error in as_list(errors) if isinstance(error, dict)]
    chosen = next(filter(known, found), found[0] if found else {})
    return failure(chosen)


def in_words(errors: Any) -> list[dict[str, str]]:
    """Return the errors of a message as code, title and details, for the payload."""
    return [
        present(
            code=as_text(error.get("code")),
            title=as_text(error.get("title")) or as_text(error.get("message")),
            details=_details(error),
        )
        for error in as_list(errors)
        if isinstance(error, dict)
    ]


def _details(error: Mapping[str, Any]) -> str:
    return as_text(as_dict(error.get("error_data")).get("details")) or as_text(error.get("details"))


def _code(error: Mapping[str, Any]) -> int | None:
    code = error.get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 10:
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None
