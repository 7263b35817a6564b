"""What helps an agent to write, fetched as they do: what can be filled in, what is sent then, templates."""

from typing import Any

from flask import Response, jsonify, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose

from admin import access
from admin.access import May
from admin.views import composer, reading
from admin.views.composer import Tried
from core.placeholders import Filling, NotFillable

MOST_SUGGESTED = 7
"""As many as stand over the box without a scroll bar, which no keyboard would reach."""
_LONGEST_SHOWN = 80


class WritingPages:
    """Pages behind the composer; a part of the audience's view."""

    @expose("/<key>/placeholders")
    @access.needs(May.START_CHAT)
    def placeholders(self, key: str) -> Response:
        """Return what can be filled in and begins with `starts`, with this user's values (P8)."""
        subject = reading.read(access.user(key, to="start_chat"), access.operator())
        starts = request.args.get("starts", "")[:_LONGEST_SHOWN]
        found, count = composer.fillable(subject).suggestions(starts, MOST_SUGGESTED)
        return jsonify(found=[_suggestion(one) for one in found], more=count - len(found))

    @expose("/<key>/preview", methods=["POST"])
    @access.needs(May.START_CHAT)
    def preview(self, key: str) -> Response:
        """Return a text as it would be sent, in pieces, or why it cannot be; nothing is sent or kept."""
        subject = reading.read(access.user(key, to="start_chat"), access.operator())
        text = request.form.get("text", "").replace("\r\n", "\n").strip()
        try:
            filled = composer.filled(subject, text)
        except NotFillable as problem:
            return jsonify(pieces=[], missing=[], length=len(text), problem=str(problem))
        missing = {one.key for one in filled.missing}
        pieces = [
            {"text": one.filling.label, "kind": "missing"}
            if one.filling and one.filling.key in missing
            else {"text": one.text, "kind": "value" if one.filling else "text"}
            for one in filled.pieces
        ]
        return jsonify(pieces=pieces, missing=sorted(missing), length=len(filled.text), problem=None)

    @expose("/<key>/templates")
    @access.needs(May.START_CHAT)
    def templates(self, key: str) -> ResponseReturnValue:
        """Return the dialog of templates by itself: every name, and the chosen one in full (C5)."""
        subject = reading.read(access.user(key, to="start_chat"), access.operator())
        chosen = subject.chosen(request.args.get("via", ""))
        arguments: dict[str, Any] = {
            name: value for name in ("author", "channel", "via") if (value := request.args.get(name))
        }
        return render_template(
            "parley/_templates_page.html",
            user={"key": key, "name": subject.person.name},
            urls={"page": url_for(".profile", key=key, **arguments)},
            composer=composer.column(subject, chosen, Tried(), composer.urls(key, arguments)),
            dialogs=composer.dialogs(
                subject, chosen, Tried(), "template", request.args.get("template", type=int)
            ),
            dialog="template",
        )


def _suggestion(one: Filling) -> dict[str, str | None]:
    shown = one.text
    if shown is not None and len(shown) > _LONGEST_SHOWN:
        shown = f"{shown[:_LONGEST_SHOWN].rstrip()}…"
    return {"key": one.key, "label": one.label, "value": shown}
