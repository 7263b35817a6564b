"""The properties of the demo's shop, defined as an admin would do it in the panel."""

from collections.abc import Mapping
from typing import Any

from core import definitions
from core.catalogue import catalogue
from core.context import parley
from core.declared import LABELS
from core.definitions import Draft
from core.models import Role, Scope, Source

SLUGS = {
    "Walnut desk 140": "walnut-desk-140",
    "Oak shelf 80": "oak-shelf-80",
    "Lumen floor lamp": "lumen-floor-lamp",
    "Ash dining table": "ash-dining-table",
    "Reading chair": "reading-chair",
    "Linen sofa": "linen-sofa",
}
GROUPS = {
    "Walnut desk 140": "Desks",
    "Oak shelf 80": "Shelving",
    "Lumen floor lamp": "Lighting",
    "Ash dining table": "Tables",
    "Reading chair": "Chairs",
    "Linen sofa": "Sofas",
}
WOODS = ("walnut", "oak", "ash", "beech", "cherry")
TEAM_LABELS = ("VIP", "Home office", "Trade", "Showroom visitor", "Needs a call")

_PEOPLE = (Role.ADMIN, Role.BUILDER, Role.AGENT)
_AND_BOTS = (*_PEOPLE, "bot")


def _choices(*values: str, **more: Any) -> Mapping[str, Any]:
    return {"choices": [{"value": value, "label": value.capitalize()} for value in values], **more}


PROPERTIES: tuple[Draft, ...] = (
    Draft(
        key="plan",
        label="Plan",
        help="Subscription tier, set at checkout",
        type="choice",
        options=_choices("pro", "starter", "trade"),
        group="Commerce",
        editable_by=(Role.ADMIN, Role.BUILDER, "api"),
    ),
    Draft(
        key="city",
        label="City",
        help="Town used for delivery quotes",
        source=Source.BOT,
        options={"max_length": 80},
        group="About",
        editable_by=_AND_BOTS,
    ),
    Draft(
        key="ltv",
        label="Lifetime value",
        help="Sum of paid orders, refunds taken off",
        type="money",
        options={"currency": "EUR"},
        group="Commerce",
        editable_by=("api",),
    ),
    Draft(
        key="last_order_at",
        label="Last order",
        help="Day of the latest paid order",
        type="date",
        group="Commerce",
        editable_by=("api",),
    ),
    Draft(
        key="marketing_consent",
        label="Marketing consent",
        help="May we send campaigns?",
        type="boolean",
        group="Consent",
        editable_by=_PEOPLE,
    ),
    Draft(
        key="nps",
        label="NPS",
        help="Last answer to the NPS question",
        type="integer",
        source=Source.BOT,
        options={"min": 0, "max": 10},
        group="Engagement",
        editable_by=_AND_BOTS,
    ),
    Draft(
        key="interests",
        label="Interests",
        help="Product groups the user asked about",
        type="choices",
        options=_choices("Desks", "Lighting", "Shelving", "Chairs", "Tables", "Sofas", "Beds", "Outdoor"),
        group="Commerce",
        editable_by=_AND_BOTS,
    ),
    Draft(
        key="birthday",
        label="Birthday",
        help="For the birthday voucher",
        type="date",
        group="About",
        editable_by=_AND_BOTS,
        personal=True,
    ),
    Draft(
        key="street_address",
        label="Street address",
        help="Delivery address given in a chat",
        source=Source.BOT,
        options={"max_length": 300},
        group="About",
        editable_by=_AND_BOTS,
        personal=True,
    ),
    Draft(
        key="back_in_stock",
        label="Back in stock alert",
        help="Article to announce when it returns",
        source=Source.BOT,
        options={"max_length": 80},
        group="Commerce",
        editable_by=("bot",),
    ),
    Draft(
        key="cart_json",
        label="Cart contents",
        help="Open cart, as sent by the shop",
        type="object",
        source=Source.BOT,
        group="Commerce",
        editable_by=("bot",),
        filterable=False,
    ),
    Draft(
        key="preferred_wood",
        label="Preferred wood",
        help="Asked once by the style quiz",
        type="choice",
        options=_choices(*WOODS),
        group="Commerce",
        editable_by=_AND_BOTS,
    ),
    Draft(
        key="topic",
        label="Topic",
        help="What the session is about, as the bot understood it",
        type="choice",
        scope=Scope.SESSION,
        source=Source.BOT,
        options=_choices("order", "stock", "hours", "assembly", "return", "damage", "person"),
        group="Bot memory",
        editable_by=_AND_BOTS,
    ),
)
PINNED = (
    "plan",
    "city",
    "ltv",
    "last_order_at",
    "marketing_consent",
    "nps",
    "interests",
    "birthday",
)


def define() -> None:
    """Define what is not there yet, pin what the design pins, and list the team's labels.

    Call it with no transaction open: properties that can be filtered by get columns.
    """
    known = catalogue(fresh=True).by_key
    definitions.apply(creates=[_possible(draft) for draft in PROPERTIES if draft.key not in known])
    definitions.pin(PINNED)
    labels = definitions.draft_of(definitions.known(LABELS))
    offered = {"choices": [{"value": label} for label in TEAM_LABELS], "allow_other": True}
    definitions.edit(LABELS, labels.model_copy(update={"options": offered}))


def _possible(draft: Draft) -> Draft:
    """Return `draft`, or its stand-in where the plugin of its type was left out."""
    if draft.type == "money" and "money" not in parley().manager.property_types:
        return draft.model_copy(update={"type": "decimal", "options": {"places": 2, "unit": "EUR"}})
    return draft
