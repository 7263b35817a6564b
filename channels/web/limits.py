"""How much one address, and all together, may ask of a widget. Counted in each web process, in memory."""

import ipaddress
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from flask import current_app
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from channels.web.problems import Problem

TOKENS_EACH, TOKENS_ALL = 60, 3000
READS_EACH = 600
STREAMS_EACH = 30
"""Open streams of one address: an office behind one address has many visitors, but not thousands."""

EXTENSION = "parley.web.limits"


class Limits:
    """The counters of one app."""

    def __init__(self) -> None:
        self._rates = FixedWindowRateLimiter(MemoryStorage())
        self._streams: Counter[str] = Counter()
        self._lock = threading.Lock()

    def spend(self, what: str, most: int, *who: str) -> None:
        """Count one `what` of `who`.

        Raises Problem 429, with the seconds to wait, when there were `most` in this minute.
        """
        item = RateLimitItemPerMinute(most)
        if self._rates.hit(item, what, *who):
            return
        wait = math.ceil(self._rates.get_window_stats(item, what, *who).reset_time - time.time())
        wait = min(60, max(1, wait))
        sentence = f"Too many at once. Nothing was kept; try again in {wait} s."
        raise Problem(429, "too_many", sentence, retry_after=wait)

    def refuse_more_streams(self, ip: str) -> None:
        """Raise Problem 429 when this address has all the streams it may have; its widgets then poll."""
        if self._streams[ip] >= STREAMS_EACH:
            sentence = "This address has many chats open; its widgets now ask once in a while."
            raise Problem(429, "too_many", sentence, retry_after=60)

    @contextmanager
    def stream(self, ip: str) -> Iterator[None]:
        """Count one open stream of an address for as long as the block lasts."""
        with self._lock:
            self._streams[ip] += 1
        try:
            yield
        finally:
            with self._lock:
                self._streams[ip] -= 1
                if self._streams[ip] <= 0:
                    del self._streams[ip]


def source(address: str) -> str:
    """Return whom an address stands for: a household has a whole /64 of IPv6, and may use any of it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.IPv6Network((int(parsed), 64), strict=False).network_address)


def limits() -> Limits:
    """Return the counters of the current app."""
    found: Limits = current_app.extensions[EXTENSION]
    return found
