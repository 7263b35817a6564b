"""Issue tokens, find the one that a request shows, and end it.

A token reads `parley_<key>_<secret>`, so that scanners for leaked secrets know it. The secret is random and
shown once; what is kept is its HMAC under a key derived from the secret key.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum

from admin import access
from admin.access import May
from admin.auth import may_be_here
from core import clock
from core.context import parley
from core.models import Operator
from core.models.base import public_key
from core.text import clean
from plugins.api.models import Token

PREFIX = "parley_"
MOST_DAYS = 730
LONGEST_NAME = 60
_KEY, _SECRET = 8, 32
_FORM = re.compile(rf"{PREFIX}([a-z2-9]{{{_KEY}}})_([A-Za-z0-9_-]{{43}})", re.ASCII)
_NOTED_EVERY = timedelta(minutes=1)


class Scope(StrEnum):
    """What a token is for. Whoever writes values is told what stands, for the keys that the request names."""

    USERS_READ = "users:read"
    PROPERTIES_WRITE = "properties:write"
    PROPERTIES_DEFINE = "properties:define"


ALLOWS: Mapping[Scope, frozenset[May]] = {
    Scope.USERS_READ: frozenset({May.READ_AUDIENCE, May.SEE_PERSONAL}),
    Scope.PROPERTIES_WRITE: frozenset({May.READ_AUDIENCE, May.SEE_PERSONAL}),
    Scope.PROPERTIES_DEFINE: frozenset({May.DEFINE_PROPERTIES}),
}
"""The most that each scope lets a token do; its owner's roles may allow less."""

_WANTS: Mapping[Scope, May] = {
    Scope.USERS_READ: May.READ_AUDIENCE,
    Scope.PROPERTIES_WRITE: May.READ_AUDIENCE,
    Scope.PROPERTIES_DEFINE: May.DEFINE_PROPERTIES,
}


class BadToken(Exception):
    """A token that opens nothing; the text says why, as far as its holder may know."""


class NoToken(Exception):
    """A token that cannot be issued, or that is not there; the text says why."""


def issue(operator: Operator, name: str, scopes: Collection[Scope], days: int) -> tuple[Token, str]:
    """Give `operator` a token, and return it with its text, which nobody can be shown again.

    Raises NoToken where name, scopes or days cannot be, or where the operator may not do what a scope is for.
    """
    name = " ".join(clean(name).split())
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise NoToken(f"The name of a token has 1 to {LONGEST_NAME} characters. No token was made.")
    if not 1 <= days <= MOST_DAYS:
        raise NoToken(f"A token is good for 1 to {MOST_DAYS} days. No token was made.")
    if not operator.active:
        raise NoToken(f"{operator.email} may not sign in, so no token of theirs works. No token was made.")
    for scope in scopes:
        if not _covers(operator, scope):
            raise NoToken(f"The roles of {operator.email} do not cover `{scope}`. No token was made.")
    secret = secrets.token_urlsafe(_SECRET)
    made = Token.create(
        key=public_key(_KEY),
        operator=operator,
        name=name,
        hash=_hash(secret),
        scopes=[scope.value for scope in Scope if scope in scopes],
        expires=clock.now() + timedelta(days=days),
    )
    return made, f"{PREFIX}{made.key}_{secret}"


def find(text: str) -> Token:
    """Return the token whose text this is, with its operator as of now; raises BadToken.

    It is dead when it was revoked, when its time is over, and when its owner may not be here.
    """
    form = _FORM.fullmatch(text)
    found = (
        Token.select(Token, Operator).join(Operator).where(Token.key == form[1]).get_or_none()
        if form is not None
        else None
    )
    if form is None or found is None or not hmac.compare_digest(found.hash, _hash(form[2])):
        raise BadToken("This token is not one of ours.")
    now = clock.now()
    if found.revoked is not None:
        raise BadToken("This token was revoked.")
    if now >= found.expires:
        raise BadToken("This token has expired. Ask an admin for another.")
    if not found.operator.active or not may_be_here(found.operator):
        raise BadToken("The owner of this token may not sign in here, so the token does not work.")
    if found.last_used is None or now - found.last_used >= _NOTED_EVERY:
        Token.update(last_used=now).where(Token.id == found.id).execute()
    token: Token = found
    return token


def deputy(token: Token) -> access.Deputy:
    """Return the token as one who works for its owner."""
    allowed = frozenset[May]().union(*(ALLOWS[scope] for scope in Scope if scope in token.scopes))
    return access.Deputy(token.operator, token.name, allowed)


def tokens() -> Sequence[Token]:
    """Return every token, the newest first."""
    return list(Token.select(Token, Operator).join(Operator).order_by(Token.id.desc()))


def revoke(key: str) -> Token:
    """End the token called `key` at once; raises NoToken where there is none, or where it has ended."""
    found: Token | None = Token.get_or_none(Token.key == key)
    if found is None:
        raise NoToken(f"There is no token {key}. Nothing was changed. `parley token list` shows them.")
    if found.revoked is not None:
        raise NoToken(f"The token {key} was revoked already. Nothing was changed.")
    Token.update(revoked=clock.now()).where(Token.id == found.id).execute()
    return found


def _covers(operator: Operator, scope: Scope) -> bool:
    if scope == Scope.PROPERTIES_WRITE and not access.edits_values(operator):
        return False
    return _WANTS[scope] in access.permissions(operator)


def _hash(secret: str) -> str:
    return hmac.new(parley().keys.derive("api-tokens"), secret.encode(), hashlib.sha256).hexdigest()
