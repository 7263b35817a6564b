"""Flask-Admin's ModelView, made fit for Parley: read-only, and without its traps."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint
from flask_admin import Admin
from flask_admin.contrib.peewee import ModelView
from flask_admin.form import BaseForm

from admin import access


class ReadOnlyView(ModelView):
    """A list of a model that is read here and written through core.

    Flask-Admin's routes for forms, export, bulk actions and look-ups do not exist: only the list, and what a
    subclass exposes.
    """

    can_create = can_edit = can_delete = can_export = can_view_details = False
    column_display_actions = False
    form_base_class = BaseForm

    _urls: list[tuple[str, str, Any]]

    exposed: tuple[str, ...] = ("index_view",)
    """Those of Flask-Admin's own views that are routed."""

    def create_blueprint(self, admin: Admin) -> Blueprint:
        """Register the routes that are meant to be there."""
        stock = {name for name in dir(ModelView) if hasattr(getattr(ModelView, name), "_urls")}
        hidden = stock - set(self.exposed)
        self._urls = [rule for rule in self._urls if rule[1] not in hidden]
        blueprint: Blueprint = super().create_blueprint(admin)
        return blueprint

    def scaffold_form(self) -> type[BaseForm]:
        """Return an empty form: nothing is written here."""
        empty: type[BaseForm] = BaseForm
        return empty

    def is_accessible(self) -> bool:
        """Show the menu entry to whoever may open the list."""
        return access.may(access.May.READ_AUDIENCE)

    def _run_view(self, view: Callable[..., Any], *args: Any, **arguments: Any) -> Any:
        # Flask-Admin calls a view that raises TypeError again, otherwise: that hides where it comes from.
        return view(self, *args, **arguments)
