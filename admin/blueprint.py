"""The panel's own blueprint: its templates, which come before Flask-Admin's, its files, and login."""

from flask import Blueprint

panel = Blueprint(
    "panel",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/static/panel",
)
