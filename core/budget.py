"""Give a query a certain time, and end it when that is over: a page must not wait for an endless one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from peewee import OperationalError

from core.db import database, is_sqlite

_STEPS_BETWEEN_LOOKS = 20_000
"""Of SQLite's virtual machine: about a millisecond."""

_LIMITED = "SELECT set_config('statement_timeout', %s, true), set_config('plan_cache_mode', %s, true)"
_CUSTOM = "force_custom_plan"
"""A statement that ran ten times gets a plan for any values, which walks the table for a rare one."""


class TooSlow(Exception):
    """A query was ended because it took longer than `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The database took longer than {seconds:g} s to answer.")
        self.seconds = seconds


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Run queries that may take `seconds` altogether; raises TooSlow for the one that would take longer.

    Each is planned for its own values. Only for reading: on PostgreSQL the block is a transaction, which ends
    with what was too slow.
    """
    deadline = time.monotonic() + seconds
    try:
        if is_sqlite():
            connection = database.connection()
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
            try:
                yield
            finally:
                connection.set_progress_handler(None, 0)
        else:
            with database.atomic():
                # `SET` takes no bound value; this does. It ends with the transaction.
                database.execute_sql(_LIMITED, (str(max(1, round(seconds * 1000))), _CUSTOM))
                yield
                if database.transaction_depth() > 1:
                    database.execute_sql(_LIMITED, ("0", "auto"))
    except OperationalError as error:
        if time.monotonic() < deadline:
            raise
        raise TooSlow(seconds) from error
