"""Hands that define properties and set values as bots, people, other systems and channels do."""

from typing import Any

from core import definitions, properties, values
from core.catalogue import API, BOT, Definition, Writer
from core.definitions import EDITORS, BadDefinition, Draft
from core.models import Operator, Origin
from core.values import Value

ROBO = Writer(Origin.BOT, "Robo", groups=frozenset({BOT}))
SYSTEM = Writer(Origin.API, "CRM", groups=frozenset({API}))
IMPORT = Writer(Origin.IMPORT, "people.csv", groups=frozenset({API}))
CHANNEL = Writer(Origin.CHANNEL, "Fake one")


def person(operator: Operator | None = None, *roles: str, **more: Any) -> Writer:
    """Return an operator who sets values."""
    name = operator.name if operator else "Maya"
    return Writer(
        Origin.OPERATOR, name, operator.id if operator else None, frozenset(roles or ("admin",)), **more
    )


def draft(key: str, kind: str = "text", **more: Any) -> Draft:
    """Return a definition that everybody may fill."""
    given = {"label": key.capitalize() or "Empty", "editable_by": EDITORS, "filterable": kind != "object"}
    return Draft(key=key, type=kind, **{**given, **more})


def define(key: str, kind: str = "text", **more: Any) -> Definition:
    """Define a property that everybody may fill."""
    return definitions.create(draft(key, kind, **more))


def problems(wanted: Draft) -> dict[str, str]:
    """Return why a definition cannot be."""
    try:
        definitions.create(wanted)
    except BadDefinition as error:
        return dict(error.problems)
    return {}


def put(user_id: int, by: Writer, **given: Any) -> properties.Written:
    """Set values, all or none."""
    return properties.write(user_id, given, by)


def value(user_id: int, key: str) -> Value:
    """Return what a user's property is."""
    return values.values(user_id)[key]
