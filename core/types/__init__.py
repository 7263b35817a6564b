"""The types of property that Parley brings, registered by the hook that plugins use as well (P2)."""

from collections.abc import Sequence

from core.hookspecs import hookimpl
from core.property_type import PropertyType
from core.types.choices import ManyChoices, OneChoice
from core.types.contacts import Email, Phone
from core.types.links import Image, Link
from core.types.numbers import Boolean, Number, Whole
from core.types.structures import Location, Structure
from core.types.texts import Text
from core.types.times import Day, Moment


@hookimpl
def register_property_types() -> Sequence[type[PropertyType]]:
    """Bring the built-in types, in the order in which the panel offers them."""
    return (
        Text,
        Whole,
        Number,
        Boolean,
        Day,
        Moment,
        Phone,
        Email,
        Link,
        OneChoice,
        ManyChoices,
        Location,
        Structure,
        Image,
    )
