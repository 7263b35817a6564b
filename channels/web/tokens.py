"""A visitor's token: signed, bound to one deployment and one visitor, and good for a time.

It holds no right of its own: whether its visitor was revoked is asked of the database at each request.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from itsdangerous import BadData, URLSafeSerializer

from core import clock
from core.context import parley

LIFE = timedelta(days=30)
NO_GRACE = timedelta(0)
GRACE = timedelta(days=7)
"""How long an expired token can still be renewed."""


class BadToken(Exception):
    """A token that opens nothing; `expired` when it was good, and may be renewed."""

    def __init__(self, sentence: str, *, expired: bool = False) -> None:
        super().__init__(sentence)
        self.expired = expired


@dataclass(frozen=True)
class Token:
    """A token as text, the visitor it names, and when it stops being good."""

    text: str
    visitor: str
    expires: datetime


def new_visitor() -> str:
    """Return a random name for a visitor."""
    return secrets.token_urlsafe(18)


def issue(deployment_key: str, visitor: str) -> Token:
    """Make a token for `visitor` of this deployment."""
    expires = (clock.now() + LIFE).replace(microsecond=0)
    text = _signer().dumps([deployment_key, visitor, int(expires.timestamp())])
    return Token(str(text), visitor, expires)


def read(text: str, deployment_key: str, *, grace: timedelta = NO_GRACE) -> Token:
    """Return what a token says.

    Raises BadToken when it is forged, of another deployment, or expired for longer than `grace`.
    """
    try:
        key, visitor, seconds = _signer().loads(text)
        expires = datetime.fromtimestamp(seconds, UTC)
    except (BadData, ValueError, TypeError, OverflowError):
        raise BadToken("This token is not one of ours.") from None
    if key != deployment_key:
        raise BadToken("This token belongs to another chat.")
    if clock.now() >= expires + grace:
        raise BadToken("This token has expired.", expired=True)
    return Token(text, visitor, expires)


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(parley().keys.derive("visitor-tokens"), salt="parley.web")
