"""Put the panel together: login, guard, headers, Flask-Admin with its screens, what every template knows."""

from functools import cached_property
from typing import Any
from zlib import crc32

from flask import Flask, current_app, request, url_for
from flask_admin import Admin
from flask_wtf import CSRFProtect
from markupsafe import Markup

from admin import access, auth, headers, problems, words
from admin.blueprint import panel
from admin.views.audience import AudienceView
from admin.views.definitions import DefinitionsView
from admin.views.home import Home
from core import clock
from core.context import parley
from core.models import Operator, User

_DEMO_NOTICE = "Demo workspace: these people are made up, and nothing leaves this machine."


def build(app: Flask) -> None:
    """Add the panel to `app`."""
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # a form is good for as long as the login is
    auth.prepare(app)
    app.before_request(access.guard)
    _protect_forms(app)
    headers.prepare(app)
    problems.prepare(app)
    app.register_blueprint(panel)  # before Flask-Admin, so that our templates are found first
    _screens(app)
    app.context_processor(_in_every_template)


def _protect_forms(app: Flask) -> None:
    """Want a token with every POST, except from those who use no cookie and prove otherwise who they are."""
    csrf = CSRFProtect(app)
    csrf.exempt(app.blueprints["webhooks"])
    access.own_authentication(app, "webhooks", "The provider's signature, checked by the channel.")
    for name in access.channel_blueprints(app):
        csrf.exempt(app.blueprints[name])
        access.own_authentication(app, name, "The visitor's token, checked by the channel.")


def _screens(app: Flask) -> None:
    app.jinja_env.globals["panel_file"] = panel_file
    admin = Admin(app, name="Parley", url="/", index_view=Home(url="/"))
    admin.add_view(
        AudienceView(
            User,
            name="Audience",
            endpoint="audience",
            url="/audience",
            menu_icon_type="parley",
            menu_icon_value="users",
        )
    )
    admin.add_view(
        DefinitionsView(
            name="Properties",
            endpoint="definitions",
            url="/properties",
            category="Configure",
            menu_icon_type="parley",
            menu_icon_value="props",
        )
    )


def _in_every_template() -> dict[str, Any]:
    return {"panel": Frame(), "admin_csp_nonce_attribute": ""}


def panel_file(name: str) -> str:
    """Return the address of a file in admin/static."""
    return f"{request.script_root}{panel.static_url_path}/{name}"


class Frame:
    """What stands around every screen (see parley/skeleton.html); read only when a template uses it."""

    @property
    def organisation(self) -> str:
        """Return whose users these are."""
        return parley().settings.organisation

    @property
    def now(self) -> str:
        """Return the server's moment, so that countdowns follow the server's clock."""
        return clock.now().isoformat()

    @cached_property
    def operator(self) -> dict[str, Any] | None:
        """Return who is signed in."""
        signed_in = access.current_operator()
        return described(signed_in) if signed_in else None

    @property
    def sign_out_url(self) -> str:
        """Return where the sign-out form posts."""
        return url_for("panel.logout")

    @property
    def notice(self) -> str | None:
        """Return what stands on top of every screen."""
        if not parley().settings.demo:
            return None
        if "demo.shop" not in current_app.view_functions:
            return _DEMO_NOTICE
        link = Markup('{} <a href="{}">Write as a visitor of the shop</a>')
        return link.format(_DEMO_NOTICE, url_for("demo.shop"))


def described(operator: Operator) -> dict[str, Any]:
    """Return an operator for the account menu."""
    return {
        "name": operator.name,
        "email": operator.email,
        "roles": words.joined([str(role).capitalize() for role in operator.roles]) or "No role",
        "initials": words.initials(operator.name),
        "tone": crc32(operator.email.encode()) % 7,
    }
