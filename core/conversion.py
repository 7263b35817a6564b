"""Give a property another type: every value is brought along, or nothing is changed.

A worker does it in steps while everybody goes on by the old type. Values that stand in a column, or are to,
are copied; what is written meanwhile is copied again. Then, with all writers held for a moment, the rest
follows, and type, options and column change in one transaction. Values that stay in JSON are only checked
before that: `Definition.kept` reads them by the new type until they are rewritten. The history stays as it
was written, in the normal forms of the old type.
"""

import json
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from core import catalogue as catalogues
from core import clock, columns
from core.catalogue import Catalogue, Definition, catalogue, type_of
from core.columns import decoded, encoded, placeholder
from core.context import parley
from core.db import database, is_sqlite, run
from core.definitions import MOVE, BadDefinition, Draft, draft_of, known
from core.drafts import described, problems_of_type, wants_column
from core.models import Job, Property, Scope, Session, User, enqueue
from core.property_type import Invalid
from core.stored import (
    STEP,
    each,
    give_back,
    rewrite_session,
    rewrite_user,
    sessions_with,
    users_with_json,
    write_json,
)
from core.values import pattern_of

CONVERT = "properties.convert"
SETTLE = "properties.settle"
SETTLES_AFTER = timedelta(seconds=5)
"""How long the former column keeps its values: a page may be drawn by the old type for a moment longer."""
_FEW = 50
_MOST_ROUNDS = 50
_MOST_TRIES = 500
_MARGIN = 10_000
"""How far below the newest id a user may be whose transaction is not over."""
_EXAMPLES = 5


def convert(key: str, type_: str, options: Mapping[str, Any] | None = None) -> None:
    """Begin to give `key` another type; raises BadDefinition, LookupError.

    A worker does the rest. Until it is done, and for good where a value does not fit, the property stays as
    it is. `Definition.conversion` says how it stands: None when it is over, else a mapping with the `state`
    (`running`, `settling` or `failed`), the `type` and, of a failed one, the `error`.
    """
    now = catalogue(fresh=True)
    found = known(key, now)
    draft = draft_for(found, type_, options or {})
    _refuse(found, draft, now)
    column = _obtain(draft) if wants_column(draft) else None
    with database.atomic():
        now = catalogues.hold_for_change()
        found = known(key, now)
        _refuse(found, draft, now)
        row = described(draft)
        if column and not columns.claim(column, found.id):
            raise BadDefinition({"type": "Somebody defined a property at the same moment. Try again."})
        state = {
            "state": "running",
            "type": draft.type,
            **{name: row[name] for name in ("options", "initial", "filterable")},
            "column": column,
            **_marks(),
        }
        _note(found.id, state)
        enqueue(CONVERT, {"property": found.id, "column": column})


def forget(key: str) -> None:
    """Take away the note of a conversion that failed; raises LookupError."""
    with database.atomic():
        found = known(key, catalogues.hold_for_change())
        if not found.is_converting:
            _note(found.id, None)


def draft_for(before: Definition, type_: str, options: Mapping[str, Any]) -> Draft:
    """Return the definition that `before` would be with another type."""
    kind = parley().manager.property_types.get(type_)
    changes: dict[str, Any] = {"type": type_, "options": dict(options)}
    if kind is not None and not kind.operators and before.scope == Scope.USER:
        changes["filterable"] = False
    return draft_of(before).model_copy(update=changes)


def said(definition: Definition) -> str:
    """Say how a conversion stands; empty where there is none."""
    if definition.conversion is None:
        return ""
    kind = parley().manager.property_types.get(definition.conversion["type"])
    label = kind.label if kind else definition.conversion["type"]
    if definition.conversion["state"] == "failed":
        return str(definition.conversion["error"])
    return f"Being converted to “{label}”."


def work(job: Job) -> None:
    """Bring the values along, then change the type (the job `properties.convert`)."""
    property_id, column = job.payload["property"], job.payload["column"]
    found = catalogue(fresh=True).by_id.get(property_id)
    if found is None or found.conversion is None or found.conversion["column"] != column:
        if column and (found is None or found.column != column):
            give_back(column, property_id)  # it was purged meanwhile
        return
    if found.conversion["state"] != "running":
        return
    copying = _Copying(found)
    copying.everything()
    copying.catch_up()
    if column and copying.kind.indexed and not copying.unfit:
        columns.index(column)
    for _ in range(_MOST_TRIES):
        if copying.unfit:
            _fail(found, copying.why())
            return
        try:
            copying.switch()
        except _NotNow:
            time.sleep(random.uniform(0.005, 0.05))
            copying.catch_up()
        else:
            return
    raise TimeoutError(f"`{found.key}` is written too much at once to change its type")


def settle(job: Job) -> None:
    """Clear away what a conversion left, in steps (the job `properties.settle`)."""
    property_id, column = job.payload["property"], job.payload["column"]
    found = catalogue(fresh=True).by_id.get(property_id)
    if found is not None and found.conversion is not None and found.conversion["state"] == "settling":
        if found.scope == Scope.SESSION:
            key = found.key
            each(lambda last: sessions_with(key, last), lambda one: rewrite_session(one, found), alone=True)
        else:
            each(lambda last: users_with_json(found.id, last), lambda one: rewrite_user(one, found))
        with database.atomic():
            catalogues.hold_for_change()
            _note(property_id, None)
    if column:
        give_back(column, property_id)


KINDS: Mapping[str, Callable[[Job], None]] = {CONVERT: work, SETTLE: settle}


class _NotNow(Exception):
    """A user whose value changed is at work right now; nobody waits for them while all are held."""


class _Copying:
    """One run of the job: up to where values were brought along, and whose value does not fit.

    What is brought along is whose value it is: users, or sessions, by id.
    """

    def __init__(self, definition: Definition) -> None:
        state: Mapping[str, Any] = definition.conversion or {}
        self.definition = definition
        self.kind = type_of(state["type"], state["options"], filterable=state["filterable"])
        self.unfit: dict[int, None] = {}
        self._state = state
        self._column: str | None = state["column"]
        self._change, self._user = state["change"], state["user"]
        self._of_session = definition.scope == Scope.SESSION
        self._copies = bool(self._column or definition.column)

    def everything(self) -> None:
        """Bring every value along, in the order of the ids."""
        last = 0
        while ids := self._with_value(last):
            self._bring(ids)
            last = ids[-1]

    def catch_up(self) -> None:
        """Bring along what changed since, until that is little."""
        for _ in range(_MOST_ROUNDS):
            with database.atomic():
                catalogues.hold_for_change()  # so that no change with a lower id is still to come
                marks = _marks()
            ids = self._changed()
            for start in range(0, len(ids), STEP):
                self._bring(ids[start : start + STEP])
            self._change, self._user = marks["change"], marks["user"]
            if len(ids) <= _FEW:
                return

    def switch(self) -> None:
        """Hold all writers, bring the rest along, and change the type; raises _NotNow.

        Writers lock their user first and wait for us then, so those of whom we know are locked first as
        well, and for no other do we wait. What does not fit is noted, and nothing changed.
        """
        with database.atomic():
            locked = self._lock(self._changed()) if self._copies else set()
            found = catalogues.hold_for_change().by_id.get(self.definition.id)
            if found is None or found.conversion != self._state:
                return  # it was purged; the next run gives the column back
            rest = self._changed()
            if self._copies:
                others = [one for one in rest if one not in locked]
                if self._lock(others, skip=True) != set(others):
                    raise _NotNow
            self._copy(rest)
            if not self.unfit:
                self._change_type(found)

    def why(self) -> str:
        """Say how many values do not fit, and whose they are."""
        number = len(self.unfit)
        owners = ids = sorted(self.unfit)[:_EXAMPLES]
        if self._of_session:
            owners = [one.user_id for one in Session.select().where(Session.id.in_(ids))]
        keys = [one.key for one in User.select(User.key).where(User.id.in_(owners)).order_by(User.id)]
        noun = "session" if self._of_session else "user"
        who = f"{number:,} {noun}s have" if number != 1 else f"1 {noun} has"
        return (
            f"{who} a value that “{self.kind.label}” does not take: "
            f"{', '.join(keys)}{' and others' if number > len(keys) else ''}. Nothing was changed."
        )

    def _bring(self, ids: Sequence[int]) -> None:
        if not self._copies:
            self._copy(ids)
            return
        with database.atomic():
            self._lock(ids)
            self._copy(ids)

    def _copy(self, ids: Sequence[int]) -> None:
        for one, value in self._values(ids):
            try:
                after = None if value is None else self.kind.take(value)
            except Invalid:
                self.unfit[one] = None
                continue
            self.unfit.pop(one, None)
            if self._column:
                sql = f'UPDATE "user" SET "{self._column}" = {placeholder(self.kind.storage)} WHERE id = ?'  # noqa: S608
                run(sql, encoded(after, self.kind.storage), one)
            elif self._copies:
                write_json(one, self.definition.id, after)

    def _values(self, ids: Sequence[int]) -> Iterable[tuple[int, Any]]:
        for some in range(0, len(ids), STEP):
            numbers = ", ".join(str(int(one)) for one in ids[some : some + STEP])
            if self._of_session:
                rows = run(f"SELECT id, properties FROM session WHERE id IN ({numbers})")  # noqa: S608
                for one, kept in rows:
                    stored = (json.loads(kept) if kept else {}).get(self.definition.key) or {}
                    yield one, stored.get("value")
                continue
            column = f'"{self.definition.column}"' if self.definition.column else "NULL"
            rows = run(f'SELECT id, properties, {column} FROM "user" WHERE id IN ({numbers})')  # noqa: S608
            for one, kept, value in rows:
                if self.definition.column:
                    yield one, decoded(value, self.definition.type.storage)
                else:
                    yield one, (json.loads(kept) if kept else {}).get(str(self.definition.id))

    def _with_value(self, after: int) -> list[int]:
        if self._of_session:
            return sessions_with(self.definition.key, after)
        if self.definition.column is None:
            return users_with_json(self.definition.id, after)
        has = f'"{self.definition.column}" IS NOT NULL'
        sql = f'SELECT id FROM "user" WHERE id > ? AND {has} ORDER BY id LIMIT ?'  # noqa: S608
        return [one for (one,) in run(sql, after, STEP)]

    def _changed(self) -> list[int]:
        """Return whose value changed since the marks, in order; with the new users who are not copied yet."""
        whose = "session_id" if self._of_session else "user_id"
        sql = f"SELECT DISTINCT {whose} FROM property_change WHERE property_id = ? AND id > ?"  # noqa: S608
        found = {one for (one,) in run(sql, self.definition.id, self._change) if one is not None}
        if self._copies:
            has = f'"{self.definition.column}" IS NOT NULL' if self.definition.column else "properties LIKE ?"
            not_yet = f'"{self._column}" IS NULL' if self._column else "properties NOT LIKE ?"
            sql = f'SELECT id FROM "user" WHERE id > ? AND {has} AND {not_yet}'  # noqa: S608
            patterns = [pattern_of(self.definition.id)] * sql.count("LIKE")
            if not self._column:
                sql = sql.replace(not_yet, f"(properties IS NULL OR {not_yet})")
            found |= {one for (one,) in run(sql, self._user - _MARGIN, *patterns)}
        return sorted(found)

    @staticmethod
    def _lock(ids: Collection[int], *, skip: bool = False) -> set[int]:
        """Lock users in order, and return those that are; with `skip` but those whom others have."""
        if not ids or is_sqlite():
            return set(ids)
        numbers = ", ".join(str(int(one)) for one in ids)
        how = "FOR NO KEY UPDATE SKIP LOCKED" if skip else "FOR NO KEY UPDATE"
        return {one for (one,) in run(f'SELECT id FROM "user" WHERE id IN ({numbers}) ORDER BY id {how}')}  # noqa: S608

    def _change_type(self, found: Definition) -> None:
        Property.update(
            type=self._state["type"],
            options=self._state["options"],
            initial=self._state["initial"],
            filterable=self._state["filterable"],
            storage_column=self._column,
            changed=clock.now(),
        ).where(Property.id == found.id).execute()
        _note(found.id, {**self._state, "state": "settling"})
        due = clock.now() + SETTLES_AFTER
        enqueue(SETTLE, {"property": found.id, "column": found.column}, due=due)


def _refuse(found: Definition, draft: Draft, now: Catalogue) -> None:
    """Raise BadDefinition where this cannot begin."""
    key = found.key
    linked = [one.key for one in now.by_key.values() if one.promotes_to == key]
    linked += [found.promotes_to] if found.promotes_to else []
    problems: Mapping[str, str] = {}
    if found.declared is not None or found.is_locked:
        problems = {"type": f"`{key}` belongs to Parley or to a channel, and keeps its type."}
    elif found.archived is not None:
        problems = {"type": f"`{key}` is archived. Restore it to give it another type."}
    elif found.is_converting or _is_moving(found.id):
        problems = {"type": f"The values of `{key}` are being moved already. Try again when that is done."}
    elif draft.type == found.type.name:
        problems = {"type": f"`{key}` has this type. Edit it to change its options."}
    elif linked:
        problems = {
            "type": f"`{key}` and `{linked[0]}` hand values on, and so have one type. Part them first."
        }
    if problems := problems or problems_of_type(draft):
        raise BadDefinition(problems)


def _is_moving(property_id: int) -> bool:
    moves = Job.select(Job.payload).where(Job.kind == MOVE)
    return any(one.payload["property"] == property_id for one in moves)


def _obtain(draft: Draft) -> str:
    try:
        return columns.obtain(parley().manager.property_types[draft.type].storage)
    except columns.NoColumnLeft:
        raise BadDefinition(
            {
                "type": f"{columns.MOST_COLUMNS} properties can be filtered by, and one more is needed while "
                "values are converted. Nothing was changed. Purge an archived property."
            }
        ) from None


def _marks() -> dict[str, int]:
    """Return the newest change and the newest user: all that is older is there, while writers are held."""
    [(change,)] = run("SELECT MAX(id) FROM property_change")
    [(user,)] = run('SELECT MAX(id) FROM "user"')
    return {"change": change or 0, "user": user or 0}


def _note(property_id: int, state: Mapping[str, Any] | None) -> None:
    Property.update(conversion=state).where(Property.id == property_id).execute()
    catalogues.changed()


def _fail(found: Definition, error: str) -> None:
    with database.atomic():
        catalogues.hold_for_change()
        _note(found.id, {**(found.conversion or {}), "state": "failed", "error": error})
    column = (found.conversion or {})["column"]
    if column:
        give_back(column, found.id)
    elif found.column:  # copies in JSON, which the column has hidden
        each(lambda last: users_with_json(found.id, last), lambda one: write_json(one, found.id, None))
