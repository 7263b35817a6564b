"""What an operator sees when a request cannot be served: what happened, and never a traceback."""

import logging
import secrets
from collections.abc import Callable

from flask import Flask, Response, current_app, jsonify, make_response, render_template, request, url_for
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, InternalServerError

from admin import access
from admin.headers import POLICY

log = logging.getLogger(__name__)

_EXTENSION = "parley.problems"
Form = Callable[[int, str | None, str | None], Response]
"""Makes the answer of an error: its code, what is to be said or None, and what finds it in the log."""

_OLD_FORM = "The form was too old. Nothing was saved. Go back, reload the page and send it again."


def prepare(app: Flask) -> None:
    """Answer HTTP errors with a page where a page was asked for, else with one sentence."""
    app.register_error_handler(HTTPException, _answer)


def answer_under(app: Flask, path: str, form: Form) -> None:
    """Let errors below `path`, which ends with a slash, be answered in the form of a plugin."""
    app.extensions.setdefault(_EXTENSION, {})[path] = form


def _form() -> Form:
    forms: dict[str, Form] = current_app.extensions.get(_EXTENSION, {})
    for path, form in forms.items():
        if request.path.startswith(path):
            return form
    return _as_page if access.wants_page() else _as_json


def _answer(error: HTTPException) -> HTTPException | Response:
    if error.response is not None or (error.code or 500) < 400:
        return error
    code = error.code or 500
    reference = None
    if isinstance(error, InternalServerError):
        reference = secrets.token_hex(4)
        log.error("reference %s: %s %s failed", reference, request.method, request.path)
    said = error.description if error.description != type(error).description else None
    if isinstance(error, CSRFError):
        said = _OLD_FORM
    response = _form()(code, said, reference)
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response


def _as_page(code: int, said: str | None, reference: str | None) -> Response:
    home = url_for("panel.login") if code == 401 else url_for("admin.index")
    try:
        page = render_template(
            "parley/error.html", code=code, title=None, text=said, reference=reference, home=home
        )
    except Exception:  # the page of an error must not be the next error
        log.exception("the page of the error %d failed", code)
        response = make_response(f"Error {code}. Reference {reference or 'none'}.\n", code)
        response.content_type = "text/plain; charset=utf-8"
        response.headers["Content-Security-Policy"] = POLICY
        return response
    return make_response(page, code)


def _as_json(code: int, said: str | None, reference: str | None) -> Response:
    return make_response(jsonify(error=code, text=said, reference=reference), code)
