"""What is known of a person of the demo from elsewhere: from the shop, and from files that were imported."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from core.catalogue import Writer
from core.models import Origin, Role
from plugins.demo.draft import SHOP, Draft, Placed, Sets, setting
from plugins.demo.properties import WOODS

CRM, CRM_AGO = "crm-2026-10", timedelta(days=33)
NEWSLETTER, NEWSLETTER_AGO = "newsletter-2026-11", timedelta(days=4)


def add(draft: Draft, now: datetime) -> None:
    """Add what the shop and the imports said of somebody who was known by then."""
    first = min(one.entry.at for one in draft.placed)
    _say(draft, SHOP, min(first + timedelta(seconds=2), now), _from_the_shop(draft, first))
    for name, ago, known in (
        (CRM, CRM_AGO, _from_the_crm(draft)),
        (NEWSLETTER, NEWSLETTER_AGO, _from_the_newsletter(draft)),
    ):
        if (at := now - ago) > first:
            by = Writer(Origin.IMPORT, name, groups=frozenset({Role.ADMIN}))
            _say(draft, by, at + timedelta(milliseconds=draft.luck.randrange(9_000)), known)


def _say(draft: Draft, by: Writer, at: datetime, given: Mapping[str, Any]) -> None:
    if given:
        draft.placed.append(Placed(draft.identities[0], setting(at), Sets(by, given, quiet=True)))


def _from_the_shop(draft: Draft, first: datetime) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if draft.is_known or draft.luck.random() < 0.94:
        known["plan"] = draft.luck.choices(("starter", "pro", "trade"), (70, 22, 8))[0]
    if draft.paid_before:
        ordered = first - timedelta(days=draft.luck.randint(2, 300))
        known |= {"ltv": draft.paid_before, "last_order_at": f"{ordered:%Y-%m-%d}"}
    return known


def _from_the_crm(draft: Draft) -> dict[str, Any]:
    person = draft.person
    known: dict[str, Any] = {}
    if draft.named:
        known["gender"] = person.gender
    if draft.chance(0.15):
        known["birthday"] = _birthday(draft)
    if draft.chance(0.2):
        known["preferred_wood"] = draft.luck.choices(WOODS, (45, 30, 12, 8, 5))[0]
    if draft.chance(0.12):
        known["city"] = person.locale.city
    if draft.luck.random() < 0.7:
        known["marketing_consent"] = draft.luck.random() < 0.62
    return known


def _from_the_newsletter(draft: Draft) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if draft.chance(0.33):
        known["marketing_consent"] = True
    if draft.chance(0.04):
        known["birthday"] = _birthday(draft)
    return known


def _birthday(draft: Draft) -> str:
    return (date(1950, 1, 1) + timedelta(days=draft.luck.randrange(56 * 365))).isoformat()
