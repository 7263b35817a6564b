"""Everything that one webhook says, as events: every entry, change, message, status and error.

Nothing is sure to be there, and nothing is lost: what cannot be read is kept as Noted, with its raw form.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from channels.whatsapp import content
from channels.whatsapp.errors import in_words, weightiest
from channels.whatsapp.people import (
    WA_ID,
    Aliases,
    Contacts,
    aliases,
    either,
    in_short,
    person,
    untold,
    whose,
)
from channels.whatsapp.read import as_dict, as_list, as_moment, as_text, decode
from core import AliasesChanged, Delivery, Echoed, Event, Noted, Profile, Received, StatusChanged

_STATUSES = {
    "sent": Delivery.SENT,
    "delivered": Delivery.DELIVERED,
    "read": Delivery.READ,
    "played": Delivery.READ,  # a voice message that was listened to
    "failed": Delivery.FAILED,
}
_PREFERENCES = {"stop": "Stopped marketing messages", "resume": "Resumed marketing messages"}
# Old conversations, a colleague's address book, what another app answers: nobody writes to us there now.
_BYSTANDERS = frozenset({"history", "smb_app_state_sync", "standby"})
_FRAME = frozenset({"messaging_product", "metadata", "contacts"})
_ECHOES = "smb_message_echoes"
_FROM_TO = re.compile(r"changed from (\S+) to (\S+?)\.?$")
_LONGEST_ID = 400


def parse(body: bytes, received_at: datetime) -> list[Event]:
    """Return the events of a webhook's body in its order; raises ValueError when it cannot be read."""
    decoded = decode(body)
    if not isinstance(decoded, dict):
        raise ValueError("The body is JSON, but not an object.")
    try:
        return list(_events(decoded, received_at))
    except RecursionError:
        raise ValueError("The body is nested too deep to be read.") from None


@dataclass(frozen=True)
class _Change:
    """What stands around the messages and statuses of one change."""

    field: str
    account: str | None
    contacts: Contacts
    errors: Any
    received_at: datetime

    def at(self, item: Mapping[str, Any]) -> datetime:
        """Return the time of one item; that of the receipt where it says none that can be."""
        return as_moment(item.get("timestamp"), self.received_at)

    def person(
        self, item: Mapping[str, Any], prefix: str, number: str, alone: bool
    ) -> tuple[Aliases, Profile]:
        """Return the person that `item` names under keys which begin with `prefix`."""
        ids = (item.get(f"{prefix}user_id"), item.get(f"{prefix}parent_user_id"), item.get(number))
        return person(self.contacts, *ids, alone=alone)

    def noted(self, label: str, raw: Any, at: datetime | None = None, who: Aliases = ()) -> Noted:
        """Keep what is no message of a user."""
        kept = raw if isinstance(raw, dict) else {"value": raw}
        return Noted(at=at or self.received_at, account=self.account, raw=kept, label=label, aliases=who)


def _events(body: Mapping[str, Any], received_at: datetime) -> Iterator[Event]:
    outside = _Change("", None, Contacts(None), None, received_at)
    entries: Any = body.get("entry")
    if not entries and "changes" in body:
        entries = [body]
    elif not entries and "value" in body:  # the sample that the app dashboard shows for a field
        entries = [{"changes": [body]}]
    if not as_list(entries):
        yield outside.noted("Webhook without an entry", body)
    for entry in as_list(entries):
        changes = as_list(as_dict(entry).get("changes"))
        if not changes:
            yield outside.noted("Entry without a change", entry)
        for change in changes:
            if isinstance(change, dict) and isinstance(change.get("value"), dict):
                yield from _change(as_text(change.get("field")), change["value"], received_at)
            else:
                yield outside.noted("Change without a value", change)


def _change(field: str, value: Mapping[str, Any], received_at: datetime) -> Iterator[Event]:
    change = _Change(
        field=field,
        account=as_text(as_dict(value.get("metadata")).get("phone_number_id")) or None,
        contacts=Contacts(value.get("contacts")),
        errors=value.get("errors"),
        received_at=received_at,
    )
    readers = {} if field in _BYSTANDERS else _READERS
    for name in value:
        if name not in readers:
            continue
        unreadable = f"Unreadable {name.replace('_', ' ')}"
        items = as_list(value[name])
        if not items and value[name] != []:
            yield change.noted(unreadable, {name: value[name]})
        alone = len({whose(item) for item in items}) <= 1
        for item in items:
            if isinstance(item, dict):
                yield from readers[name](change, item, alone)
            else:
                yield change.noted(unreadable, item)
    if any(name not in _FRAME and name not in readers for name in value) or not any(map(value.get, readers)):
        who, _ = person(change.contacts, None, None, None, alone=True)
        yield change.noted(_label(field, value), value, who=who)


def _message(change: _Change, item: Mapping[str, Any], alone: bool) -> Iterator[Event]:
    if change.field == _ECHOES:
        yield from _echo(change, item, alone)
        return
    if item.get("group_id"):
        yield change.noted("Message in a group", item, change.at(item))
        return
    moved = _moved(change, item)
    if moved:
        yield moved
        return
    who, profile = change.person(item, "from_", "from", alone)
    if not who:
        yield change.noted("Message without a sender", item, change.at(item))
        return
    said = content.read(item)
    payload = dict(said.payload)
    if said.kind == "unknown" and "errors" not in payload and (errors := in_words(change.errors)):
        payload["errors"] = errors
    yield Received(
        at=change.at(item),
        account=change.account,
        raw=item,
        id=_id(item),
        aliases=who,
        kind=said.kind,
        text=said.text,
        payload=payload,
        profile=profile,
        footprint=content.referral(item),
        reply_to=said.reply_to,
        resets_window=said.writes,
    )


def _echo(change: _Change, item: Mapping[str, Any], alone: bool) -> Iterator[Event]:
    who, profile = change.person(item, "to_", "to", alone)
    if not who or item.get("group_id"):
        label = "Echo in a group" if item.get("group_id") else "Echo without a recipient"
        yield change.noted(label, item, change.at(item))
        return
    said = content.read(item)
    yield Echoed(
        at=change.at(item),
        account=change.account,
        raw=item,
        id=_id(item),
        aliases=who,
        kind=said.kind,
        text=said.text,
        payload=said.payload,
        profile=profile,
        reply_to=said.reply_to,
    )


def _status(change: _Change, item: Mapping[str, Any], alone: bool) -> Iterator[Event]:
    word = as_text(item.get("status"))
    provider_id = _id(item)
    ref = as_text(item.get("biz_opaque_callback_data")) or None
    if item.get("recipient_type") == "group":
        yield change.noted(f"Status of a message in a group: {word}", item, change.at(item))
        return
    if provider_id is None and ref is None:
        yield change.noted(f"Status of a message that it does not name: {word}", item, change.at(item))
        return
    status = _STATUSES.get(word.lower())
    who, _ = change.person(item, "recipient_", "recipient_id", alone)
    yield StatusChanged(
        at=change.at(item),
        account=change.account,
        raw=item,
        id=provider_id,
        status=status,
        word=word,
        ref=ref,
        failure=weightiest(item.get("errors")) if status is Delivery.FAILED else None,
        aliases=who,
    )


def _error(change: _Change, item: Mapping[str, Any], alone: bool) -> Iterator[Event]:
    said = (in_words(item) or [{}])[0]
    label = " ".join(filter(None, ("Error", said.get("code"))))
    yield change.noted(f"{label}: {said['title']}" if "title" in said else label, item)


def _preference(change: _Change, item: Mapping[str, Any], alone: bool) -> Iterator[Event]:
    who, _ = change.person(item, "", "wa_id", alone)
    word = as_text(item.get("value"))
    label = _PREFERENCES.get(word, f"Preference: {word or as_text(item.get('detail'))}")
    yield change.noted(label, item, change.at(item), who)


def _moved(change: _Change, item: Mapping[str, Any]) -> AliasesChanged | None:
    """Read a notice of a new number or scoped id; None where it is none, or says only half of it.

    A new number always comes with new scoped ids, and new scoped ids with a new number. What WhatsApp does
    not tell of them (it hides the number of whoever has a username) ends: it is a stranger's soon.
    """
    system = as_dict(item.get("system"))
    event, words = as_text(system.get("type")), as_text(system.get("body"))
    if not event.endswith(("_changed_number", "_changed_user_id")):
        return None
    said = _FROM_TO.search(words) or ("", "", "")
    number = item.get("from") or system.get("customer")
    previous = aliases(system.get("previous_user_id"), system.get("previous_parent_user_id"), number)
    current = aliases(
        system.get("user_id"), system.get("parent_user_id"), system.get("wa_id") or system.get("new_wa_id")
    )
    after = either(current, aliases(None, None, said[2]))
    before = tuple(alias for alias in either(previous, aliases(None, None, said[1])) if alias not in after)
    if not before or not after:
        return None
    kept = event.endswith("_changed_user_id") and number  # the number is that of now, not the one before
    return AliasesChanged(
        at=change.at(item),
        account=change.account,
        raw=item,
        id=_id(item),
        before=before,
        after=after,
        ended=tuple(kind for kind in untold(after) if not (kind == WA_ID and kept)),
        text=words,
        payload={"event": event, **in_short(before, after)},
    )


def _rotated(change: _Change, item: Mapping[str, Any], alone: bool) -> Iterator[Event]:
    """Read a row of `user_id_update`, which some numbers get in place of the notice."""
    own, parent = as_dict(item.get("user_id")), as_dict(item.get("parent_user_id"))
    before = aliases(own.get("previous"), parent.get("previous"), item.get("wa_id"))
    after = aliases(own.get("current"), parent.get("current"), None)
    if not before or not after:
        yield change.noted("User id update that cannot be read", item, change.at(item))
        return
    yield AliasesChanged(
        at=change.at(item),
        account=change.account,
        raw=item,
        id=_id(item),
        before=before,
        after=after,
        ended=tuple(kind for kind in untold(after) if not (kind == WA_ID and item.get("wa_id"))),
        text=as_text(item.get("detail")),
        payload={"event": "user_id_update", **in_short(before, after)},
    )


_READERS: Mapping[str, Callable[[_Change, Mapping[str, Any], bool], Iterator[Event]]] = {
    "messages": _message,
    "message_echoes": _echo,
    "statuses": _status,
    "errors": _error,
    "user_preferences": _preference,
    "user_id_update": _rotated,
}


def _id(item: Mapping[str, Any]) -> str | None:
    """Return the provider's id; None where there is none, and core makes one of what the item says."""
    given = as_text(item.get("id"))
    return given if given and len(given) <= _LONGEST_ID else None


def _label(field: str, value: Mapping[str, Any]) -> str:
    words = field.replace("_", " ").strip().capitalize() or "Webhook of a kind that Parley does not know"
    event = as_text(value.get("event")).replace("_", " ").lower()
    return f"{words}: {event}" if event else words
