"""Put the API into the app: who calls, how often, and the pages that describe it."""

import json

from flask import Blueprint, Flask, Response, abort, after_this_request, render_template, request

from admin import access, problems
from core.manager import PluginError
from plugins.api import definitions, described, limits, tokens, values
from plugins.api.document import document
from plugins.api.models import Token
from plugins.api.operations import OPERATIONS, VERSION, blueprint
from plugins.api.problems import Problem, of_error

__all__ = ["definitions", "serve", "values"]  # whose routes stand in the blueprint when they are imported

pages = Blueprint(
    "api_docs",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/api/docs/static",
)


def serve(app: Flask) -> None:
    """Add the API and its documentation to `app`; raises PluginError without the panel, which guards both."""
    csrf = app.extensions.get("csrf")
    if csrf is None:
        raise PluginError(
            "Plugin `plugin:api` needs the plugin `admin`. "
            "Add admin to PARLEY_PLUGINS, or take plugins.api out."
        )
    limits.prepare(app)
    app.register_blueprint(blueprint)
    app.register_blueprint(pages)
    csrf.exempt(blueprint)  # no cookie is taken
    access.own_authentication(app, blueprint.name, "The token of an operator, checked before each request.")
    access.own_authentication(app, pages.name, "These pages describe the API; they hold no data.")
    problems.answer_under(app, "/api/", of_error)


@blueprint.before_request
def _authenticate() -> None:
    """Find out whose token this is, count the request, and let it do what its scopes allow."""
    operation = OPERATIONS.get(request.endpoint or "")
    if operation is None:
        abort(403, "Nobody decided who may use this address, so nobody may. Tell an admin.")
    token = _token()
    spent = limits.spend(token.key)

    @after_this_request
    def say_what_is_left(response: Response) -> Response:
        spent.note(response)
        return response

    if operation.scope not in token.scopes:
        challenge = f'Bearer realm="parley", error="insufficient_scope", scope="{operation.scope}"'
        sentence = f"This token does not have the scope `{operation.scope}`. Nothing was changed."
        raise Problem(403, sentence, headers={"WWW-Authenticate": challenge})
    access.act_for(tokens.deputy(token))


def _token() -> Token:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        abort(401)
    try:
        return tokens.find(text.strip())
    except tokens.BadToken as error:
        challenge = 'Bearer realm="parley", error="invalid_token"'
        raise Problem(401, str(error), headers={"WWW-Authenticate": challenge}) from None


@pages.get(f"{VERSION}/openapi.json")
def openapi() -> Response:
    """Return the document of the API, OpenAPI 3.1."""
    return Response(json.dumps(document()), content_type="application/json")


@pages.get("/api/docs")
def docs() -> str:
    """Show the same document to people."""
    said = document()
    return render_template(
        "parley/api_docs.html",
        about=said["info"]["description"],
        calls=list(described.calls(said)),
        shapes=list(described.shapes(said)),
    )
