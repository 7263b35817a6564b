"""The shop's page with the web widget: one can write as a visitor, and watch oneself appear in the panel."""

from flask import Blueprint, Flask, Response, render_template, url_for

from admin import access
from plugins.demo import workspace

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

blueprint = Blueprint(
    "demo", __name__, url_prefix="/demo", template_folder="templates", static_folder="static"
)


@blueprint.get("/shop")
def shop() -> Response:
    """Show a product, with the widget in its corner."""
    key = workspace.shop_key()
    page = Response(render_template("demo/shop.html", widget=f"/web/{key}/widget.js" if key else None))
    page.headers["Content-Security-Policy"] = _POLICY
    return page


def serve(app: Flask) -> None:
    """Add the page to `app`; everybody may see it, and only this machine is listened to."""
    access.own_authentication(app, "demo", "The page of a made-up shop, without any data.")
    app.register_blueprint(blueprint)


def page_url() -> str:
    """Return where the page is."""
    return url_for("demo.shop")
