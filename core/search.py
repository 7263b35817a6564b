"""Find users by name, phone, email or external id, as one types (A7)."""

import unicodedata
from functools import reduce
from operator import or_
from typing import Any

from peewee import BigIntegerField, Expression, TextField

from core.db import is_sqlite, tuples
from core.masks import masked_name
from core.models import Identity, IdentityAlias, User
from core.models.base import Table
from core.text import clean

LONGEST_QUERY = 200
_TRIGRAM = 3
_AFTER_ALL = "\U0010ffff"


class UserSearch(Table):
    """What a search may find of a user, in lower case: `shown` to all, `personal` only where seen in clear.

    A full-text table with trigrams on SQLite; on PostgreSQL a table with trigram indexes, where that
    extension is there.
    """

    rowid = BigIntegerField(primary_key=True)
    shown = TextField()
    personal = TextField()


def index(user_id: int) -> None:
    """Bring the search row of a user up to date; call it whenever name, email, phone or an alias changed."""
    user = User.get_by_id(user_id)
    aliases = (
        IdentityAlias.select(IdentityAlias.value)
        .join(Identity)
        .where(Identity.user == user_id, IdentityAlias.valid_until.is_null())
        .order_by(IdentityAlias.id)
    )
    parts = [user.name, user.email, user.phone, *(value for (value,) in tuples(aliases))]
    name_key = folded(user.name or "")[:LONGEST_QUERY] or None
    if name_key != user.name_key:
        User.update(name_key=name_key).where(User.id == user_id).execute()
    UserSearch.remove(UserSearch.rowid == user_id)
    UserSearch.insert(
        rowid=user_id,
        shown=folded(masked_name(user.name or "")),
        personal="\n".join(folded(part) for part in parts if part),
    ).execute()


def folded(text: str) -> str:
    """Return `text` as it is compared: in lower case, composed, on one line; accents stay."""
    return " ".join(unicodedata.normalize("NFC", text.lower()).split())


def matching(query: str, *, personal: bool) -> Any:
    """Return a condition on User for those that `query` finds, or None when it asks for nothing.

    `personal` says whether masked data may be searched; without it only what every role sees is.
    """
    text = folded(clean(query)[:LONGEST_QUERY])
    if not text:
        return None
    spellings = _spellings(text)
    if len(spellings[0]) < _TRIGRAM:
        return _beginning(spellings[0], personal)
    column = UserSearch.personal if personal else UserSearch.shown
    wanted = [spelling for spelling in spellings if len(spelling) >= _TRIGRAM]
    if is_sqlite():
        phrases = " OR ".join('"' + spelling.replace('"', '""') + '"' for spelling in wanted)
        found = Expression(column, "MATCH", phrases)
    else:
        likes = [Expression(column, "LIKE", "%" + _literal(spelling) + "%") for spelling in wanted]
        found = reduce(or_, likes)
    return User.id.in_(UserSearch.select(UserSearch.rowid).where(found))


def _spellings(text: str) -> list[str]:
    """Return how what `text` means may be stored: +1 (555) 0100, 001-555-0100 and 15550100 are one number."""
    if any(character.isalpha() for character in text):
        return [text]
    digits = "".join(str(int(character)) for character in text if character.isdecimal())
    if not digits:
        return [text]
    return list(dict.fromkeys([digits, digits.lstrip("0") or digits, text]))


def _beginning(text: str, personal: bool) -> Any:
    """Find the names and numbers that begin with a query too short for trigrams, by index."""
    if not personal:
        # The name in full would give away the letters behind the mask, so only those whose mask begins so are
        # found.
        return User.id.in_(UserSearch.select(UserSearch.rowid).where(_between(UserSearch.shown, text)))
    condition = _between(User.name_key, text)
    return condition | _between(User.phone, f"+{text}") if text.isdigit() else condition


def _between(column: Any, text: str) -> Any:
    return (column >= text) & (column < text + _AFTER_ALL)


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
