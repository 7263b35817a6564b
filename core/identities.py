"""Find out who someone is by the aliases that a channel names, and keep those aliases true."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import properties, search
from core.catalogue import Writer
from core.channel import Alias, Profile
from core.models import Deployment, Identity, IdentityAlias, Origin, User, record
from core.phones import country_of, international
from core.text import clean

LONGEST_NAME = 200


@dataclass(frozen=True)
class Match:
    """Who was found; `complete` when every alias that was asked for is already theirs."""

    identity_id: int
    complete: bool


def named(aliases: Iterable[Alias]) -> list[Alias]:
    """Return the aliases that name somebody: an empty one would be everybody's."""
    return [alias for alias in aliases if alias.value.strip()]


def find(deployment: Deployment, aliases: Sequence[Alias]) -> Match | None:
    """Find the identity that the strongest known alias names; `aliases` come strongest first.

    A scoped id decides over a phone number: when someone known by a number comes with a scoped id that
    differs from the one on record, it is somebody else who has the number now.
    """
    known = _valid(deployment, aliases)
    for place, alias in enumerate(aliases):
        row = known.get((alias.kind, alias.value))
        if row is None:
            continue
        stronger = [given.kind for given in aliases[:place]]
        taken = (
            stronger
            and IdentityAlias.select()
            .where(
                IdentityAlias.identity == row.identity_id,
                IdentityAlias.kind.in_(stronger),
                IdentityAlias.valid_until.is_null(),
            )
            .exists()
        )
        if not taken:
            owners = [given.identity_id for given in known.values()]
            return Match(row.identity_id, owners.count(row.identity_id) == len(aliases))
    return None


def create(deployment: Deployment, aliases: Sequence[Alias], profile: Profile, now: datetime) -> Match:
    """Make a user and its identity on `deployment`.

    Raises peewee.IntegrityError when the same person is being created elsewhere at this moment; the caller
    begins anew.
    """
    said = _said(profile)
    user = User.add(
        **said,
        country=country_of(said.get("phone")),
        timezone=clean(profile.timezone) or None,
        created=now,
        handler_since=now,
    )
    identity = Identity.add(
        user=user, deployment=deployment, profile_name=clean(profile.name) or None, created=now
    )
    # Nobody was known by the strongest alias: whoever has it now was created at this moment, and is the same
    # person. So it is never taken from them, as a weaker one may be.
    _give(identity, aliases[0], now)
    keep_aliases(identity, aliases, now)
    search.index(user.id)
    properties.begin(user.id, said, _of(deployment), now)
    record(user.id, "user_created", identity=identity.id)
    return Match(identity.id, complete=True)


def keep_aliases(identity: Identity, aliases: Sequence[Alias], now: datetime) -> bool:
    """Make `aliases` the valid ones of their kinds for `identity`.

    Stale ones end, here and with whoever had them before, who is then no longer found by them. Returns
    whether anything changed.
    """
    known = _valid(identity.deployment, aliases)
    given = [clean(alias.value) for alias in aliases]
    changed = False
    for alias in dict.fromkeys(aliases):
        row = known.get((alias.kind, alias.value))
        if row is not None and row.identity_id == identity.id:
            continue
        stale = (
            (IdentityAlias.identity == identity.id)
            & (IdentityAlias.kind == alias.kind)
            & IdentityAlias.value.not_in(given)
        )
        if row is not None:
            stale = stale | (IdentityAlias.id == row.id)
        IdentityAlias.update(valid_until=now).where(IdentityAlias.valid_until.is_null(), stale).execute()
        _give(identity, alias, now)
        if row is not None:
            search.index(row.identity.user_id)
        changed = True
    return changed


def end_aliases(identity: Identity, kinds: Sequence[str], now: datetime) -> bool:
    """End the aliases of these kinds; returns whether there were any."""
    if not kinds:
        return False
    ended = IdentityAlias.update(valid_until=now).where(
        IdentityAlias.identity == identity.id,
        IdentityAlias.kind.in_(list(kinds)),
        IdentityAlias.valid_until.is_null(),
    )
    return bool(ended.execute())


def follow_number(user: User, before: Sequence[Alias], after: Sequence[Alias]) -> bool:
    """Give the user the new number when the old one is the phone on record; returns whether it was."""
    moved = {old.value: new.value for old in before for new in after if old.kind == new.kind}
    for old, new in moved.items():
        phone = international(new) if new.isdecimal() else None
        if phone and old.isdecimal() and international(old) == user.phone:
            follows = Writer(Origin.SYSTEM, "A change of number")
            return bool(properties.write(user.id, {"phone": phone}, follows, whole=False).changed)
    return False


def learn(identity: Identity, user: User, profile: Profile) -> None:
    """Fill what is not known of the user from what the provider says; what is known stays as it is."""
    name = clean(profile.name)
    if name and name != identity.profile_name:
        Identity.change(identity.id, profile_name=name)
    news = {key: value for key, value in _said(profile).items() if getattr(user, key) is None}
    if news:
        properties.write(user.id, news, _of(identity.deployment), whole=False)
    timezone = clean(profile.timezone)
    if timezone and user.timezone is None:
        User.change(user.id, timezone=timezone)


def _said(profile: Profile) -> dict[str, Any]:
    """Return what a provider says of a user as properties take it."""
    return properties.valid(
        {
            "name": clean(profile.name).strip()[:LONGEST_NAME],
            "email": clean(profile.email),
            "phone": international(profile.phone),
            "language": clean(profile.language),
        }
    )


def _of(deployment: Deployment) -> Writer:
    return Writer(Origin.CHANNEL, deployment.label)


def _valid(deployment: Deployment, aliases: Sequence[Alias]) -> dict[tuple[str, str], IdentityAlias]:
    """Return whose each of `aliases` is now, by kind and value; they are few, one or two as a rule."""
    found = {}
    for alias in aliases:
        row = IdentityAlias.find(
            deployment=deployment.id, kind=alias.kind, value=clean(alias.value), valid_until=None
        )
        if row is not None:
            found[alias.kind, alias.value] = row
    return found


def _give(identity: Identity, alias: Alias, now: datetime) -> None:
    """Make `alias` a valid one of `identity`; raises peewee.IntegrityError when somebody has it."""
    IdentityAlias.add(
        deployment=identity.deployment_id,
        kind=alias.kind,
        value=clean(alias.value),
        identity=identity,
        valid_from=now,
    )
