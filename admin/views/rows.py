"""The rows of the audience: what each of them says, and its HTML, drawn anew only when that changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from flask import url_for
from markupsafe import Markup

from admin import access, words
from admin.drawn import ALWAYS, Drawn
from admin.views import columns as columns_
from admin.views import shown
from admin.views.columns import Column
from core import clock
from core.catalogue import Definition, catalogue
from core.channel import Channel
from core.models import Deployment
from core.user_rows import value_in

Columns = Sequence[Column]

_PLACES = "SELECT * FROM deployment"  # as text, it need not be generated for every page


@dataclass(frozen=True)
class _Place:
    """A deployment as rows show it; what it serves is the same until it was `changed`."""

    channel: dict[str, str]
    serving: Channel | None
    changed: datetime


@dataclass(frozen=True)
class _Around:
    """What all rows of a page have in common."""

    columns: Columns
    now: words.Now
    here: str
    places: Mapping[int, _Place]
    properties: Mapping[str, Definition]
    key: tuple[Any, ...]


class Rows:
    """The rows of one app, with the memory of those that were drawn."""

    def __init__(self) -> None:
        self._row = Drawn("parley/_audience_row.html")
        self._loading = Drawn("parley/_audience_loading.html")
        self._others = Drawn("parley/_audience_columns.html")

    def drawn(self, found: Sequence[Mapping[str, Any]], columns: Columns) -> Markup:
        """Return the rows of a page, as the current operator may see them."""
        now, here = shown.now(), url_for(".index_view")
        properties = {one.name: known for one in columns if (known := columns_.definition(one.name))}
        around = _Around(
            columns,
            now,
            here,
            {
                one.id: _Place(shown.channel(one.channel), shown.serving(one), one.changed)
                for one in Deployment.raw(_PLACES)
            },
            properties,
            # A definition says how its values look, and who may see them.
            (access.sight().clear, here, str(now.zone), catalogue().number if properties else 0, *columns),
        )
        return Markup("").join([self._one(row, around) for row in found])

    def others(self, columns: Columns) -> Markup:
        """Return the columns that can be chosen beside `columns`, drawn anew when a definition changed."""
        key = (catalogue().number, *columns)
        return self._others(
            key, clock.now(), lambda: (ALWAYS, (columns_.others(columns), columns_.MOST_PROPERTIES))
        )

    def loading(self, columns: Columns) -> Markup:
        """Return rows that stand for those that are being fetched."""
        return self._loading(tuple(columns), clock.now(), lambda: (ALWAYS, (columns,)))

    def _one(self, row: Mapping[str, Any], around: _Around) -> Markup:
        """Draw a row: the same until user or deployment change, or one of its texts that follow the clock."""
        place = around.places.get(row["deployment_id"])
        key = (*row.values(), place.changed if place else None, around.key)
        return self._row(key, around.now.at, lambda: _said(row, place, around))


def _said(
    row: Mapping[str, Any], place: _Place | None, around: _Around
) -> tuple[datetime, tuple[dict[str, Any], Columns]]:
    """Return what parley/_audience_row.html shows, and until when it does."""
    now = around.now
    reach = shown.rule_says(place.serving, SimpleNamespace(**row), now) if place else None
    # A rule of a channel's own may follow the clock in a way that its answer does not tell.
    changes = [now.at + words.MINUTE, words.window_changes(reach, now)]
    if row["last_seen"]:
        changes.append(words.ago_changes(row["last_seen"], now))
    who = shown.person(row["key"], row["name"] or row["profile_name"], row["phone"], row["email"])
    country, language = row["country"], row["language"]
    said = {
        "key": row["key"],
        "url": around.here + row["key"],
        "name": who.name,
        "contact": who.contact,
        "avatar": who.avatar,
        "channel": place.channel if place else None,
        "window": words.window(reach, now),
        "last": _last(row),
        "seen": words.moment(row["last_seen"], now) if row["last_seen"] else None,
        "handler": words.handler(row["handler"], row["agent_name"]),
        "country": words.country(country) if country else None,
        "language": words.language(language) if language else None,
        "created": {**words.moment(row["created"], now), "text": words.date(row["created"], now)},
        "imported": row["last_seen"] is None and row["last_message_at"] is None,
        "cells": {name: _cell(row, one, now) for name, one in around.properties.items()},
    }
    return min(one for one in changes if one), (said, around.columns)


def _cell(row: Mapping[str, Any], one: Definition, now: words.Now) -> dict[str, Any] | None:
    """Return what a property is for a user, as the current operator may see it; None where it is unset."""
    value = value_in(row, one)
    if value is None:
        return None
    if not access.sees(one):
        return {"text": one.type.masked(value), "masked": True}
    if one.key == "phone" and one.is_built_in:
        return {"text": access.sight().phone(value)}
    rendered = one.type.render(value, now.zone)
    return {"text": rendered.text, "tags": rendered.tags, "title": rendered.title}


def _last(row: Mapping[str, Any]) -> dict[str, str] | None:
    if row["last_message_at"] is None:
        return None
    author = row["last_message_author"]
    name = row["last_message_name"] or words.author(author)
    return {
        "author": author,
        "name": words.first_name(name) if author == "agent" else name,
        "text": row["last_message_text"],
    }
