"""Definitions from a file, with a plan before anything changes, and all of them as a file."""

import base64
import binascii
import zlib
from typing import TYPE_CHECKING, Any

from flask import Response, make_response, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose

from admin import access, words
from admin.access import May
from core import property_files, property_texts
from core.context import parley
from core.drafts import BadDefinition
from core.property_files import Plan, PlanRefused
from core.property_texts import Unreadable

if TYPE_CHECKING:

    class _View:
        def done(self, said: str, key: str = "", **arguments: Any) -> ResponseReturnValue: ...

        def render(self, template: str, **arguments: Any) -> Any: ...

else:
    _View = object

_MOST_PACKED = 400_000
"""The server reads no field of a form that is much larger."""


class ImportPages(_View):
    """Import and export; a part of the view of definitions."""

    @expose("/import-file", methods=["GET", "POST"])
    @access.needs(May.DEFINE_PROPERTIES)
    def import_file(self) -> ResponseReturnValue:
        """Read a file, show what it would change, and change that once it was looked at."""
        if request.method == "GET":
            return self._import()
        try:
            text = _text()
            plan = property_files.plan(property_texts.read(text))
        except Unreadable as error:
            return self._import(problem=str(error), status=422)
        if not request.form.get("seal"):
            return self._import(plan, text)
        if request.form["seal"] != plan.seal:
            notice = (
                "The properties changed since this plan was made. Nothing was applied. Look at the new plan."
            )
            return self._import(plan, text, notice, status=409)
        try:
            property_files.apply(plan, skip_conflicts=request.form.get("skip") == "1")
        except (BadDefinition, PlanRefused) as error:
            return self._import(property_files.plan(plan.source), text, str(error), status=409)
        return self.done(f"{_in_words(plan)}. All of it is in use.")

    @expose("/export-file")
    @access.needs(May.DEFINE_PROPERTIES)
    def export_file(self) -> Response:
        """Return the definitions as the file that an import reads."""
        response = make_response(property_files.export())
        response.content_type = "application/json; charset=utf-8"
        response.headers["Content-Disposition"] = 'attachment; filename="properties.json"'
        return response

    def _import(
        self,
        plan: Plan | None = None,
        text: str = "",
        notice: str = "",
        *,
        problem: str = "",
        status: int = 200,
    ) -> ResponseReturnValue:
        packed = _packed(text) if plan else ""
        if len(packed) > _MOST_PACKED:
            plan, problem, status = (
                None,
                "The file is too large for this page. Use `parley property import`.",
                413,
            )
        context = {
            "plan": _described(plan) if plan else None,
            "packed": packed,
            "notice": notice,
            "problem": problem,
            "pasted": request.form.get("text", "") if problem else "",
            "urls": {"list": url_for(".index"), "import": url_for(".import_file")},
        }
        return make_response(self.render("parley/definitions_import.html", **context), status)


def _text() -> str:
    """Return the text of the file that was chosen, of what was pasted, or of the plan that was looked at."""
    if packed := request.form.get("packed"):
        return _unpacked(packed)
    chosen = request.files.get("file")
    if chosen is None or not chosen.filename:
        text = request.form.get("text", "")
        if not text.strip():
            raise Unreadable("There is nothing to read. Choose a file, or paste its text.")
        return text
    read = chosen.stream.read(property_texts.LARGEST + 1)
    try:
        return read.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("The file is not text in UTF-8. Nothing was read.") from None


def _packed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"))).decode()


def _unpacked(packed: str) -> str:
    try:
        reader = zlib.decompressobj()
        return reader.decompress(base64.b64decode(packed), property_texts.LARGEST * 4 + 1).decode()
    except (binascii.Error, zlib.error, UnicodeDecodeError):
        raise Unreadable(
            "The plan was changed on its way. Nothing was applied. Choose the file again."
        ) from None


def _in_words(plan: Plan) -> str:
    done = []
    if plan.created:
        done.append(f"{words.counted(len(plan.created), 'property', 'properties')} created")
    if plan.changed:
        done.append(f"{words.counted(len(plan.changed), 'property', 'properties')} changed")
    if plan.pinned is not None:
        done.append("the top panel put in order")
    return words.upper_first(words.joined(done)) or "Nothing had to be changed"


def _described(plan: Plan) -> dict[str, Any]:
    types = parley().manager.property_types
    return {
        "seal": plan.seal,
        "is_empty": plan.is_empty,
        "created": [
            {
                "key": one.key,
                "label": one.label,
                "type": types[one.type].label if one.type in types else one.type,
                "icon": types[one.type].icon if one.type in types else "alert",
                "source": str(one.source),
                "scope": str(one.scope),
            }
            for one in plan.created
        ],
        "changed": plan.changed,
        "conflicts": plan.conflicts,
        "same": plan.same,
        "pinned": plan.pinned,
        "remarks": plan.remarks,
    }
