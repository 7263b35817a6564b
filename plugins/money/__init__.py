"""Money: a type of property for amounts in one currency, and the example of a plugin that brings a type."""

from collections.abc import Sequence

from core import PropertyType, hookimpl
from plugins.money.money import Money


@hookimpl
def register_property_types() -> Sequence[type[PropertyType]]:
    """Bring `money`."""
    return (Money,)
