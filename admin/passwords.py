"""Hash and check the passwords of operators, with argon2."""

import secrets
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

SHORTEST = 10
LONGEST = 500

# Each check takes 64 MiB for a moment: more of them at once would be a way to bring the server down.
_AT_ONCE = threading.BoundedSemaphore(4)
_hasher = PasswordHasher()


class WeakPassword(ValueError):
    """A password that is not taken; the text says why."""


def hashed(password: str) -> str:
    """Hash `password` for storage; raises WeakPassword for one that is too short or too long."""
    if len(password) < SHORTEST:
        raise WeakPassword(f"The password has {len(password)} characters; {SHORTEST} are the least.")
    if len(password) > LONGEST:
        raise WeakPassword(f"The password has {len(password)} characters; {LONGEST} are the most.")
    with _AT_ONCE:
        return _hasher.hash(password)


def is_right(password: str, stored: str | None) -> bool:
    """Say whether `password` is the one that `stored` was made of.

    Without a stored hash, as for an account that does not exist, it takes the same time and says no.
    """
    with _AT_ONCE:
        try:
            right = _hasher.verify(stored or _nobodys(), password[: LONGEST + 1])
        except (Argon2Error, InvalidHashError):
            return False
    return right and stored is not None


def is_outdated(stored: str) -> bool:
    """Say whether the hash was made with other parameters than those of today, and should be made anew."""
    return _hasher.check_needs_rehash(stored)


@cache
def _nobodys() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))
