"""The values of properties: read them, and the one function through which every value is written (P5-P7).

Form, bot, API, import and channel all call `write`. It checks, settles who wins, keeps the history, and tells
whoever listens, in one transaction under the user's lock.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import clock, conversation
from core.catalogue import Definition, Writer, catalogue, hold
from core.channel import AuthorKind
from core.conversation import Entry
from core.db import database, run
from core.models import Identity, Origin, PropertyChange, Scope, Session, User, record
from core.property_type import Invalid
from core.text import clean, snippet
from core.values import SKIPPED, UNSET, Value, read, session_value, store

UNSET_WORD, SKIPPED_WORD = "UNSET", "SKIPPED"
CHANGED = "properties_changed"
"""The event, and the kind of the entry in the conversation."""
LONGEST_HISTORY = 100


@dataclass(frozen=True)
class Refusal:
    """Why one value was not taken: a `sentence` that names the key.

    In a `conflict` somebody else was quicker; `now` is what stands.
    """

    key: str
    sentence: str
    conflict: bool = False
    now: "Standing | None" = None


@dataclass(frozen=True)
class Standing:
    """A value as it stands, with the change that made it so; `version` is that change's id, 0 without one."""

    value: Value
    change: PropertyChange | None

    @property
    def version(self) -> int:
        """Return what a form remembers, to be told when somebody else was quicker (P7)."""
        return self.change.id if self.change else 0

    @property
    def is_held(self) -> bool:
        """Say whether a person set it, so that no bot changes it until it is released (P6)."""
        return bool(self.change and self.change.holds)


@dataclass(frozen=True)
class Written:
    """What came of a write: the keys that changed, what was refused, and keys that nobody defined."""

    changed: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    unknown: tuple[str, ...] = ()


class Refused(Exception):
    """Values that were not taken; nothing was changed."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__(" ".join(one.sentence for one in refusals))
        self.refusals = tuple(refusals)


# ── History ───────────────────────────────────────────────────────────────────────────────────────────────


def standing(user_id: int, definitions: Collection[Definition]) -> dict[str, PropertyChange]:
    """Return the last change of each of these properties that ever changed, by key."""
    ids = {one.id: one.key for one in definitions}
    if not ids:
        return {}
    wanted = ", ".join(str(one) for one in ids)  # numbers of ours
    # A seek each: a bot may have written ten thousand changes of one user.
    own = "SELECT MAX(id) FROM property_change WHERE user_id = ? AND property_id = p.id"
    sql = f"SELECT ({own}) FROM property p WHERE p.id IN ({wanted})"  # noqa: S608
    latest = [change_id for (change_id,) in run(sql, user_id) if change_id is not None]
    if not latest:
        return {}
    found = PropertyChange.select().where(PropertyChange.id.in_(latest))
    return {ids[one.property_id]: one for one in found}


def history(
    user_id: int, definition: Definition, limit: int = LONGEST_HISTORY, *, before: int | None = None
) -> list[PropertyChange]:
    """Return the changes of one property, newest first: all, or those `before` the change with this id."""
    found = PropertyChange.select().where(
        PropertyChange.user == user_id, PropertyChange.property == definition.id
    )
    if before is not None:
        found = found.where(PropertyChange.id < before)
    return list(found.order_by(PropertyChange.id.desc()).limit(limit))


# ── Writing ───────────────────────────────────────────────────────────────────────────────────────────────


def write(
    user_id: int,
    given: Mapping[str, Any],
    by: Writer,
    *,
    seen: Mapping[str, int] | None = None,
    message_id: int | None = None,
    whole: bool = True,
    quiet: bool = False,
) -> Written:
    """Set properties of a user, and those of the running session.

    `seen` holds the versions that a form was made with. `whole` takes all or nothing, and raises Refused;
    without it each key is on its own, as for a bot that cannot be asked again. An empty text or None unsets;
    from bot and API the words UNSET and SKIPPED do what they say. A key that nobody defined is returned for a
    bot, and refused for everybody else. `quiet` leaves no entry in the conversation.
    """
    with database.atomic():
        user = conversation.lock_user(user_id)
        attempt = _Attempt(user, by, seen or {}, message_id)
        written = attempt.write(given)
        if whole and written.refused:
            raise Refused(written.refused)
        attempt.tell(in_conversation=not quiet and by.origin in _SHOWN)
        return written


def release(user_id: int, key: str, by: Writer) -> bool:
    """Let the bot manage a property again that a person set (P6); returns whether anything changed.

    Raises Refused where `by` may not edit it.
    """
    with database.atomic():
        conversation.lock_user(user_id)
        definition = hold().by_key.get(key)
        if definition is None:
            raise Refused([_no_such(key)])
        if reason := definition.lock(by):
            raise Refused([Refusal(key, f"`{key}` is locked. {reason}")])
        last = standing(user_id, [definition]).get(key)
        if last is None or not last.holds:
            return False
        PropertyChange.add(
            user=user_id,
            property=definition.id,
            session=last.session_id,
            before=last.after,
            after=last.after,
            origin=by.origin,
            actor=by.name,
            operator=by.operator_id,
            at=clock.now(),
            holds=False,
        )
        record(user_id, CHANGED, keys=[key])
        return True


def valid(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `given` that their properties take, in normal form; what they refuse is left out."""
    found = {}
    for key, value in given.items():
        definition = catalogue().by_key.get(key)
        if definition is not None and value:
            with suppress(Invalid):
                found[key] = definition.type.take(value)
    return found


def begin(user_id: int, given: Mapping[str, Any], by: Writer, at: datetime) -> None:
    """Give a new user, who was created with what a channel said, the values that definitions begin with."""
    now = hold()
    for key, value in given.items():
        _note(user_id, now.by_key[key], UNSET, Value(value), by, at)
    initial = {one: Value(one.initial) for one in now.with_initial if one.key not in given}
    if initial:
        store(user_id, initial)


class _Attempt:
    """One call of `write`, under the user's lock."""

    def __init__(self, user: User, by: Writer, seen: Mapping[str, int], message_id: int | None) -> None:
        self._user, self._by, self._seen, self._message_id = user, by, seen, message_id
        self._at = clock.now()
        self._catalogue = hold()
        self._identity_id, self._session = self._around()
        self._changes: list[tuple[Definition, int]] = []
        self._confirmed: list[str] = []

    def write(self, given: Mapping[str, Any]) -> Written:
        """Take what can be taken, and say what not."""
        definitions = {key: self._catalogue.by_key[key] for key in given if key in self._catalogue.by_key}
        unknown = tuple(key for key in given if key not in definitions)
        refused = [] if self._by.origin == Origin.BOT else [_no_such(key) for key in unknown]
        targets = {key: target for key in definitions if (target := self._target(definitions[key], given))}
        before = self._standing([*definitions.values(), *targets.values()])
        news: dict[Definition, Value] = {}
        for key, definition in definitions.items():
            try:
                value = self._taken(definition, given[key], before[key])
            except _NotTaken as error:
                refused.append(error.refusal)
                continue
            self._note_news(news, definition, value, before[key])
            if key in targets and value is not None and value.is_set:
                self._promote(news, targets[key], value, before[targets[key].key])
        self._keep(news, before)
        changed = tuple(one.key for one, value in news.items() if value != before[one.key].value)
        return Written(changed, tuple(refused), unknown)

    def tell(self, *, in_conversation: bool) -> None:
        """Record the event, and show in the conversation what was changed by whom: never the values."""
        if not self._changes:
            if self._confirmed:
                record(self._user.id, CHANGED, keys=self._confirmed)
            return
        keys = [definition.key for definition, _ in self._changes]
        identity = Identity.find(id=self._identity_id) if self._identity_id else None
        if identity is None or not in_conversation:
            record(self._user.id, CHANGED, keys=keys)
            return
        labels = ", ".join(definition.label for definition, _ in self._changes)
        entry = Entry(
            author=AuthorKind.SYSTEM,
            kind=CHANGED,
            at=self._at,
            text=f"{self._by.name or _SHOWN[self._by.origin]} changed {labels}.",
            payload={"keys": keys, "changes": [change for _, change in self._changes]},
            counts=False,
        )
        conversation.append(self._user, identity, entry, CHANGED)

    def _target(self, definition: Definition, given: Mapping[str, Any]) -> Definition | None:
        """Return the user's property that a session's hands its values on to, unless that is given too."""
        target = self._catalogue.by_key.get(definition.promotes_to or "")
        return None if target is None or target.key in given else target

    def _promote(
        self, news: dict[Definition, Value], target: Definition, value: Value, before: Standing
    ) -> None:
        """Hand a value of the session on; where the user's property does not take it, that stays as it is."""
        with suppress(_NotTaken):
            self._note_news(news, target, self._taken(target, value.value, before), before)

    def _note_news(
        self, news: dict[Definition, Value], definition: Definition, value: Value | None, before: Standing
    ) -> None:
        if value is None:
            return
        if value != before.value:
            news[definition] = value
        elif self._by.origin.is_person and not before.is_held and value.is_set:
            news[definition] = value  # a person who confirms what the bot set holds it

    def _standing(self, definitions: Collection[Definition]) -> dict[str, Standing]:
        stored = read(
            self._user.id, [one for one in definitions if one.scope == Scope.USER and not one.is_locked]
        )
        skipped = {
            one for (one,) in run("SELECT property_id FROM property_skipped WHERE user_id = ?", self._user.id)
        }
        of_session = (self._session.properties if self._session else None) or {}
        changes = standing(self._user.id, definitions)
        found = {}
        for one in definitions:
            value = stored.get(one.key, UNSET)
            if one.scope == Scope.SESSION:
                value = session_value(of_session, one)
            elif one.id in skipped and not value.is_set:
                value = SKIPPED
            change = changes.get(one.key)
            if change and change.session_id not in (None, self._session and self._session.id):
                change = None  # of an earlier session
            found[one.key] = Standing(value, change)
        return found

    def _taken(self, definition: Definition, given: Any, before: Standing) -> Value | None:
        """Return the value to keep, or None where what stands wins; raises _NotTaken."""
        key = definition.key
        if reason := definition.lock(self._by):
            raise _NotTaken(key, f"`{key}` is locked. {reason}")
        if definition.scope == Scope.SESSION and self._session is None:
            raise _NotTaken(key, f"`{key}` belongs to a session, and this user has none yet.")
        value = self._parsed(definition, given)
        if self._by.origin == Origin.CHANNEL and before.value.is_set:
            return None
        if self._by.origin in (Origin.BOT, Origin.CHANNEL) and before.is_held:
            return None
        if key in self._seen and self._seen[key] != before.version and value != before.value:
            raise _NotTaken(
                key, f"`{key}` was changed by somebody else a moment ago.", conflict=True, now=before
            )
        return value

    def _parsed(self, definition: Definition, given: Any) -> Value:
        if given is None or (isinstance(given, str) and not given.strip()) or given == []:
            return UNSET
        if self._by.origin in (Origin.BOT, Origin.API) and isinstance(given, str):
            if given == UNSET_WORD:
                return UNSET
            if given == SKIPPED_WORD:
                return SKIPPED
        try:
            return Value(definition.type.take(given))
        except Invalid as error:
            raise _NotTaken(definition.key, f"`{definition.key}` {error}.") from None

    def _keep(self, news: Mapping[Definition, Value], before: Mapping[str, Standing]) -> None:
        of_user = {one: value for one, value in news.items() if one.scope == Scope.USER}
        of_session = {one: value for one, value in news.items() if one.scope == Scope.SESSION}
        if of_user:
            store(self._user.id, of_user)
        if of_session and self._session is not None:
            kept = {**(self._session.properties or {})}
            kept |= {one.key: value.stored() for one, value in of_session.items()}
            Session.change(self._session.id, properties=kept)
        for one, value in news.items():
            was = before[one.key].value
            session_id = self._session.id if one in of_session and self._session else None
            holds = self._by.origin.is_person or (
                self._by.origin == Origin.SYSTEM and before[one.key].is_held
            )
            change = _note(
                self._user.id, one, was, value, self._by, self._at, self._message_id, session_id, holds=holds
            )
            if value != was:
                self._changes.append((one, change))
            else:
                self._confirmed.append(one.key)

    def _around(self) -> tuple[int | None, Session | None]:
        """Return where this happens: at the message that caused it, else where the user was last."""
        if self._message_id is not None:
            where = run("SELECT identity_id, session_id FROM message WHERE id = ?", self._message_id)
            if where:
                identity_id, session_id = where[0]
                return identity_id, Session.find(id=session_id) if session_id else None
        return self._user.last_identity_id, Session.find(newest=True, user=self._user.id)


_SHOWN = {
    Origin.OPERATOR: "An operator",
    Origin.API: "The API",
    Origin.IMPORT: "An import",
    Origin.BOT: "The bot",
}
"""Whose changes are shown in the conversation, and what they are called without a name."""


class _NotTaken(Exception):
    def __init__(self, key: str, sentence: str, **more: Any) -> None:
        super().__init__(sentence)
        self.refusal = Refusal(key, sentence, **more)


def _no_such(key: str) -> Refusal:
    return Refusal(key, f"There is no property `{snippet(clean(key), 63)}`. Define it first.")


def _note(
    user_id: int,
    definition: Definition,
    before: Value,
    after: Value,
    by: Writer,
    at: datetime,
    message_id: int | None = None,
    session_id: int | None = None,
    *,
    holds: bool = False,
) -> int:
    change = PropertyChange.add(
        user=user_id,
        property=definition.id,
        session=session_id,
        before=before.stored(),
        after=after.stored(),
        origin=by.origin,
        actor=by.name,
        operator=by.operator_id,
        message=message_id,
        at=at,
        holds=holds,
    )
    return int(change.id)
