"""One user with their identities, read once for all columns of the profile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from admin import words
from admin.views import shown
from core.channel import Channel, Reach
from core.gate import probe
from core.models import Deployment, Identity, IdentityAlias, Operator, Session, User
from core.values import Value, everything


@dataclass(frozen=True)
class Known:
    """One identity: where it is, by what it is known there, and what the gate says about writing to it."""

    identity: Identity
    deployment: Deployment
    served: Channel | None
    aliases: Sequence[IdentityAlias]
    reach: Reach

    @property
    def channel(self) -> dict[str, str]:
        """Return the channel for its badge."""
        return shown.channel(self.deployment.channel)

    @property
    def place(self) -> str:
        """Return where the channel is implemented."""
        return self.deployment.place or self.deployment.label


@dataclass(frozen=True)
class Subject:
    """The user of a profile, as of `now`, for one operator; `known` begins with the identity used last."""

    user: User
    operator: Operator
    now: words.Now
    agent: Operator | None
    known: Sequence[Known]

    @cached_property
    def person(self) -> shown.Person:
        """Return the user as this operator may see them."""
        profile_name = next(
            (one.identity.profile_name for one in self.known if one.identity.profile_name), None
        )
        return shown.person(self.user.key, self.user.name or profile_name, self.user.phone, self.user.email)

    @cached_property
    def session(self) -> Session | None:
        """Return the newest session."""
        return Session.find(newest=True, user=self.user.id)

    @cached_property
    def values(self) -> Mapping[str, Value]:
        """Return every property by key, whether this operator may see it or not."""
        identities = [one.identity for one in self.known]
        return everything(self.user, identities, self.session, self.now.at)

    @property
    def current(self) -> Known | None:
        """Return the identity that wrote last."""
        return self.known[0] if self.known else None

    def chosen(self, key: str) -> Known | None:
        """Return the identity called `key`, or the current one where it is no identity of this user."""
        return next((one for one in self.known if one.identity.key == key), self.current)

    def known_by(self, identity_id: int) -> Known | None:
        """Return an identity by its id."""
        return next((one for one in self.known if one.identity.id == identity_id), None)


def read(user: User, operator: Operator) -> Subject:
    """Read everything that the columns share, in three queries however much there is."""
    now = shown.now()
    identities = list(
        Identity.select(Identity, Deployment)
        .join(Deployment)
        .where(Identity.user == user)
        .order_by(Identity.last_inbound.desc(nulls="last"), Identity.id)
    )
    identities.sort(key=lambda one: one.id != user.last_identity_id)
    if identities and identities[0].id == user.last_identity_id:
        user.last_identity = identities[0]  # so that what is computed of it needs no query
    aliases: dict[int, list[IdentityAlias]] = {}
    found = IdentityAlias.select().where(
        IdentityAlias.identity.in_([one.id for one in identities]), IdentityAlias.valid_until.is_null()
    )
    for alias in found.order_by(IdentityAlias.id):
        aliases.setdefault(alias.identity_id, []).append(alias)
    return Subject(
        user,
        operator,
        now,
        Operator.get_or_none(Operator.id == user.agent_id) if user.agent_id else None,
        [
            Known(
                one,
                one.deployment,
                shown.serving(one.deployment),
                aliases.get(one.id, []),
                probe(one, operator.id, now.at),
            )
            for one in identities
        ],
    )
