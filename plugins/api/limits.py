"""How much one token may ask. Counted in each web process, in memory."""

import math
import time
from dataclasses import dataclass

from flask import Flask, Response, current_app
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from plugins.api.problems import Problem

EACH_MINUTE = 600
_EXTENSION = "parley.api.limits"


@dataclass(frozen=True)
class Spent:
    """What is left to a token in this minute."""

    most: int
    left: int
    seconds: int

    def headers(self) -> dict[str, str]:
        """Return it as headers."""
        return {
            "RateLimit-Limit": str(self.most),
            "RateLimit-Remaining": str(self.left),
            "RateLimit-Reset": str(self.seconds),
        }

    def note(self, response: Response) -> None:
        """Write it into the headers of an answer."""
        response.headers.update(self.headers())


def prepare(app: Flask) -> None:
    """Begin to count."""
    app.extensions[_EXTENSION] = FixedWindowRateLimiter(MemoryStorage())


def spend(token_key: str) -> Spent:
    """Count one request of a token; raises Problem 429, with the seconds to wait, when it had them all."""
    rates: FixedWindowRateLimiter = current_app.extensions[_EXTENSION]
    item = RateLimitItemPerMinute(EACH_MINUTE)
    is_within = rates.hit(item, token_key)
    stats = rates.get_window_stats(item, token_key)
    spent = Spent(
        EACH_MINUTE, max(0, stats.remaining), min(60, max(1, math.ceil(stats.reset_time - time.time())))
    )
    if not is_within:
        detail = (
            f"{EACH_MINUTE} requests a minute are all. Nothing was changed; try again in {spent.seconds} s."
        )
        raise Problem(429, detail, headers={**spent.headers(), "Retry-After": str(spent.seconds)})
    return spent
