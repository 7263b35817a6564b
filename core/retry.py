"""How a job asks to run again."""

from datetime import timedelta


class Retry(Exception):
    """Raised by a job that should run again, `after` a while, and why."""

    def __init__(self, reason: str, after: timedelta) -> None:
        super().__init__(reason)
        self.after = after
