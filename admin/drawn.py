"""Pieces of a page that are shown again and again, drawn once for as long as they show the same."""

from typing import Any

from jinja2 import Environment
from markupsafe import Markup

MOST_KEPT = 2_000


class Drawn:
    """The macro `draw` of a template that depends on its arguments alone, with a memory of what it drew.

    The arguments are values, sequences and dictionaries of these, and are what the memory goes by: nothing
    that one operator may not see can be shown from what was drawn for another.
    """

    def __init__(self, environment: Environment, template: str) -> None:
        self._environment = environment
        self._template = template
        self._kept: dict[str, Markup] = {}

    def __call__(self, *arguments: Any) -> Markup:
        """Return the macro's HTML for these arguments."""
        key = repr(arguments)  # the quickest way in Python to see whether nested values are the same
        drawn = self._kept.get(key)
        if drawn is None:
            module: Any = self._environment.get_template(self._template).module
            drawn = module.draw(*arguments)
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = drawn
        return drawn
