"""Who a message or a status is about: the ids by which WhatsApp knows a user, any of which may be missing."""

import re
from collections.abc import Mapping
from typing import Any

from channels.whatsapp.read import as_dict, as_list, as_text
from core import Alias, Profile

BSUID, PARENT_BSUID, WA_ID, USERNAME = KINDS = ("bsuid", "parent_bsuid", "wa_id", "username")
SCOPED_ID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]+")

_LONGEST = 200
_NAMES = (
    "from_user_id",
    "from",
    "to_user_id",
    "to",
    "recipient_user_id",
    "recipient_id",
    "user_id",
    "wa_id",
)

Contact = Mapping[str, Any]
Aliases = tuple[Alias, ...]


def aliases(user_id: Any, parent: Any, number: Any) -> Aliases:
    """Return the aliases that these ids are, strongest first.

    An id in the place of another kind is known by its shape; one that is longer than any id is none.
    """
    found: dict[str, Alias] = {}
    for place, given in ((BSUID, user_id), (PARENT_BSUID, parent), (WA_ID, number)):
        kind, value = place, as_text(given).strip()
        if not value or len(value) > _LONGEST:
            continue
        shape = SCOPED_ID.fullmatch(value)
        if place == WA_ID and shape:
            kind = PARENT_BSUID if shape[1] else BSUID
        elif place == WA_ID:
            value = _digits(value)
        found.setdefault(kind, Alias(kind, value))
    return _in_order(found)


class Contacts:
    """Whom a change describes, to be found by any of their ids."""

    def __init__(self, given: Any) -> None:
        rows = [row for row in as_list(given) if isinstance(row, dict)]
        self._only: Contact = rows[0] if len(rows) == 1 else {}
        self._by_alias: dict[Alias, Contact] = {}
        for row in rows:
            for alias in _of(row):
                self._by_alias.setdefault(alias, row)

    def of(self, own: Aliases, alone: bool) -> Contact:
        """Return the contact of whoever has the aliases `own`, or the only one where they are `alone`."""
        for alias in own:
            if alias in self._by_alias:
                return self._by_alias[alias]
        scoped = {alias for side in (own, _of(self._only)) for alias in side if alias.kind == BSUID}
        return self._only if alone and len(scoped) < 2 else {}


def person(
    contacts: Contacts, user_id: Any, parent: Any, number: Any, *, alone: bool
) -> tuple[Aliases, Profile]:
    """Return whoever is known by these ids: the aliases, strongest first, and what `contacts` say of them.

    `alone` says that the change speaks of one person only. Whom no id names has no alias, a username or not.
    """
    own = aliases(user_id, parent, number)
    contact = contacts.of(own, alone)
    theirs = _of(contact)
    merged = {alias.kind: alias for alias in (*theirs, *own)}
    # The message's own ids stand; but a number may be written in two ways, and statuses have that of `wa_id`.
    merged |= {alias.kind: alias for alias in theirs if alias.kind == WA_ID}
    profile = as_dict(contact.get("profile"))
    username = as_text(profile.get("username")).strip()
    if merged and username and len(username) <= _LONGEST:
        merged[USERNAME] = Alias(USERNAME, username)
    number_now = merged[WA_ID].value if WA_ID in merged else ""
    name = as_text(profile.get("name")).strip()
    return _in_order(merged), Profile(name=name, phone=_phone(number_now), username=username)


def in_short(before: Aliases, after: Aliases) -> dict[str, str]:
    """Return the old and the new value of one kind, where there are both."""
    old, new = ({alias.kind: alias.value for alias in side} for side in (before, after))
    shared = next((kind for kind in (WA_ID, BSUID, PARENT_BSUID) if kind in old and kind in new), "")
    return {"before": old.get(shared, before[0].value), "after": new.get(shared, after[0].value)}


def either(first: Aliases, second: Aliases) -> Aliases:
    """Return the aliases of both, `first` where they have the same kind."""
    return _in_order({alias.kind: alias for alias in (*second, *first)})


def untold(after: Aliases) -> tuple[str, ...]:
    """Return the kinds of id that a new number changes, and of which the notice does not tell the new one."""
    told = {alias.kind for alias in after}
    return tuple(kind for kind in (BSUID, PARENT_BSUID, WA_ID) if kind not in told)


def whose(item: Any) -> str:
    """Return whatever tells the person of one item from that of another."""
    given = as_dict(item)
    return next((value for name in _NAMES if (value := as_text(given.get(name)))), "")


def _of(contact: Contact) -> Aliases:
    return aliases(contact.get("user_id"), contact.get("parent_user_id"), contact.get("wa_id"))


def _in_order(found: Mapping[str, Alias]) -> Aliases:
    return tuple(found[kind] for kind in KINDS if kind in found)


def _digits(number: str) -> str:
    """Return a number without punctuation; what is no number stays: an id is never refused for its form."""
    bare = re.sub(r"[\s+().-]", "", number)
    return bare if bare.isascii() and bare.isdigit() else number


def _phone(wa_id: str) -> str:
    """Return a wa_id as a phone number; those of Mexico carry the 1 that the country gave up in 2019."""
    if not (wa_id.isascii() and wa_id.isdigit()):
        return ""
    return f"+52{wa_id[3:]}" if wa_id.startswith("521") and len(wa_id) == 13 else f"+{wa_id}"
