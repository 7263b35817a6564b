"""What is known of each of the crowd: values of the demo's properties, as the table of users takes them."""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from core.catalogue import Definition, MissingType, catalogue
from core.columns import encoded
from core.declared import LABELS
from core.models import Scope, Session
from core.property_type import Invalid
from core.values import Value
from plugins.demo.people import Locale
from plugins.demo.properties import GROUPS, PROPERTIES, SLUGS, TEAM_LABELS, WOODS
from plugins.demo.stories import PRICES

_DAY = 86_400_000_000
_FIRST_DAY = date(1970, 1, 1)
_BIRTHDAYS = date(1950, 1, 1)
_STREETS = ("Station Road", "Mill Lane", "Harbour Street", "Park Avenue", "Church Street", "Garden Row")
_CARTS = tuple(
    {"items": [{"product": SLUGS[product], "quantity": 1}], "total": price}
    for product, price in PRICES.items()
)
_SUMS = tuple(price * count for price in PRICES.values() for count in (1, 1, 1, 2, 2, 3, 4, 9))
_SLUGS = tuple(SLUGS.values())
_INTERESTS = tuple(GROUPS.values())


class Knowledge:
    """Draws what is known of users; values that a type refuses by now are left out."""

    def __init__(self) -> None:
        known = catalogue(fresh=True).by_key
        usable = {
            key: known[key]
            for key in (LABELS, *(draft.key for draft in PROPERTIES))
            if key in known and known[key].archived is None and not isinstance(known[key].type, MissingType)
        }
        self._users = {key: one for key, one in usable.items() if one.scope == Scope.USER}
        in_columns = [one for one in self._users.values() if one.column]
        self._place = {one.key: place for place, one in enumerate(in_columns)}
        self._width = len(in_columns) + 1
        self._encoded: dict[tuple[str, Any], Any] = {}
        self.columns = (*(str(one.column) for one in in_columns), "properties")
        """The columns of the values that `of` returns."""
        self.topics = _topics(usable.get("topic"))
        """What a session keeps of each topic."""

    def of(
        self, chance: random.Random, locale: Locale, sessions: int, last: int
    ) -> tuple[Sequence[Any], Sequence[int]]:
        """Return a user's values, one for each of `columns`, and the ids of the properties they skipped.

        More is known of those with more `sessions`; `last` is when the last one began.
        """
        found, skipped = self._drawn(chance, locale, min(1 + sessions / 10, 3), last)
        values: list[Any] = [None] * self._width
        others: dict[str, Any] = {}
        for key, value in found.items():
            place = self._place.get(key)
            if place is not None:
                values[place] = self._in_column(key, value)
            elif key in self._users:
                others[str(self._users[key].id)] = value
        if others:
            values[-1] = json.dumps(others, ensure_ascii=False, separators=(",", ":"))
        return values, [self._users[key].id for key in skipped if key in self._users]

    def _drawn(
        self, chance: random.Random, locale: Locale, more: float, last: int
    ) -> tuple[dict[str, Any], list[str]]:
        found = {**_from_the_shop(chance, more, last), **_from_chats(chance, locale, more)}
        skipped = []
        for key, answers in (("nps", _GRADES), ("preferred_wood", WOODS)):
            if (luck := chance.random()) < 0.1 * more:
                found[key] = chance.choice(answers)
            elif luck > 0.96:
                skipped.append(key)
        return found, skipped

    def _in_column(self, key: str, value: Any) -> Any:
        """Return a value as its column takes it; the same ones come again and again."""
        known = (key, value)
        if known not in self._encoded:
            type_ = self._users[key].type
            try:
                normal = type_.parse(list(value) if isinstance(value, tuple) else value)
            except Invalid:
                normal = None
            self._encoded[known] = encoded(normal, type_.storage)
        return self._encoded[known]


def _from_the_shop(chance: random.Random, more: float, last: int) -> dict[str, Any]:
    random_ = chance.random
    found: dict[str, Any] = {}
    if random_() < 0.94:
        luck = random_()
        found["plan"] = "starter" if luck < 0.7 else "pro" if luck < 0.92 else "trade"
    if random_() < 0.18 * more:
        found["ltv"] = chance.choice(_SUMS)
        day = last // _DAY - int(300 * random_() ** 2)
        found["last_order_at"] = (_FIRST_DAY + timedelta(days=day)).isoformat()
    if random_() < 0.4:
        found["marketing_consent"] = random_() < 0.62
    if random_() < 0.05 * more:
        found[LABELS] = (chance.choice(TEAM_LABELS),)
    if random_() < 0.02:
        found["cart_json"] = chance.choice(_CARTS)
    return found


def _from_chats(chance: random.Random, locale: Locale, more: float) -> dict[str, Any]:
    random_ = chance.random
    found: dict[str, Any] = {}
    if random_() < 0.2 * more:
        found["city"] = locale.city
    if random_() < 0.1:
        found["birthday"] = (_BIRTHDAYS + timedelta(days=int(random_() * 56 * 365))).isoformat()
    if random_() < 0.15 * more:
        found["interests"] = tuple(dict.fromkeys(chance.choices(_INTERESTS, k=1 + int(random_() * 3))))
    if random_() < 0.04:
        found["street_address"] = f"{chance.choice(_STREETS)} {1 + int(random_() * 90)}, {locale.city}"
    if random_() < 0.03:
        found["back_in_stock"] = chance.choice(_SLUGS)
    return found


_GRADES = (10, 10, 9, 9, 9, 8, 8, 7, 6, 5, 3, 0)


def _topics(topic: Definition | None) -> Mapping[str, str]:
    if topic is None or topic.scope != Scope.SESSION:
        return {}
    words = ("order", "stock", "hours", "assembly", "return", "damage", "person")
    return {
        word: Session._meta.fields["properties"].db_value({topic.key: Value(word).stored()}) for word in words
    }
