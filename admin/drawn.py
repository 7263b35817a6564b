"""Pieces of a page that are shown again and again, drawn once for as long as they show the same."""

from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Any

from flask import current_app
from markupsafe import Markup

MOST_KEPT = 2_000
ALWAYS = datetime.max.replace(tzinfo=UTC)

_NOTHING = (ALWAYS, ALWAYS, Markup(""))


class Drawn:
    """The macro `draw` of a template that depends on its arguments alone, with a memory of what it drew.

    Whoever calls says by a key what the drawing depends on, and until when it is good: with what an operator
    may see among the key, nothing can be shown from what was drawn for another.
    """

    def __init__(self, template: str) -> None:
        self._template = template
        self._kept: dict[Hashable, tuple[datetime, datetime, Markup]] = {}

    def __call__(
        self, key: Hashable, now: datetime, arguments: Callable[[], tuple[datetime, tuple[Any, ...]]]
    ) -> Markup:
        """Return the macro's HTML for `arguments`, which say first until when they are good.

        They are asked for only when there is nothing good in memory.
        """
        since, until, known = self._kept.get(key, _NOTHING)
        if since <= now < until:
            return known
        until, given = arguments()
        module: Any = current_app.jinja_env.get_template(self._template).module
        drawn: Markup = module.draw(*given)
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = now, until, drawn
        return drawn
