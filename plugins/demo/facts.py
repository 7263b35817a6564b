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
    _say(draft, SHOP, min(first + timedelta(seconds=2), now), _from_the_shop(draft))
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


def _from_the_shop(draft: Draft) -> dict[str, Any]:
    if draft.luck.random() > 0.94:
        return {}
    return {"plan": draft.luck.choices(("starter", "pro", "trade"), (70, 22, 8))[0]}


def _from_the_crm(draft: Draft) -> dict[str, Any]:
    person, known = draft.person, dict[str, Any]()
    if draft.named:
        known["gender"] = person.gender
    if draft.chance(0.15):
        born = date(1950, 1, 1) + timedelta(days=draft.luck.randrange(56 * 365))
        known["birthday"] = born.isoformat()
    if draft.chance(0.2):
        known["preferred_wood"] = draft.luck.choices(WOODS, (45, 30, 12, 8, 5))[0]
    if draft.chance(0.12):
        known["city"] = person.locale.city
    if draft.luck.random() < 0.7:
        known["marketing_consent"] = draft.luck.random() < 0.62
    return known


def _from_the_newsletter(draft: Draft) -> dict[str, Any]:
    return {"marketing_consent": True} if draft.luck.random() < 0.3 else {}
