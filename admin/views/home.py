"""The first page: it leads to the audience."""

from flask import redirect, url_for
from flask.typing import ResponseReturnValue
from flask_admin import AdminIndexView, expose

from admin import access


class Home(AdminIndexView):
    """The panel's address without anything behind it. It is no entry of the menu."""

    def is_visible(self) -> bool:
        """Keep it out of the menu."""
        return False

    @expose("/")
    @access.signed_in()
    def index(self) -> ResponseReturnValue:
        """Go to the audience."""
        return redirect(url_for("audience.index_view"))
