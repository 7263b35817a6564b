"""What the benchmarks measure against, served by the same gunicorn: stock Flask-Admin, and a bare webhook.

Each factory reads what it needs from the environment, as `gunicorn "bench_peers:stock_panel()"` gives it no
arguments.
"""

import hashlib
import hmac
import os
import pickle
import threading
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, redirect, request
from flask_admin import Admin
from flask_admin.contrib.peewee import ModelView
from flask_admin.contrib.peewee.filters import FilterEqual
from flask_admin.form import BaseForm
from flask_login import LoginManager, UserMixin, current_user, login_user
from peewee import TextField

from core.db import connect, database
from core.models import Operator, Property, User

SHOWN = ("name", "phone", "last_message_text", "last_seen", "handler", "country")


class _SignedIn(UserMixin):
    def __init__(self, operator: Operator) -> None:
        self.id = operator.id


class _Users(ModelView):
    """The stock list: nothing overridden but its columns, page size and order."""

    column_list = SHOWN
    column_default_sort = ("last_seen", True)
    page_size = 50
    can_create = can_edit = can_delete = False

    def is_accessible(self) -> bool:
        return bool(current_user.is_authenticated)

    def scaffold_form(self) -> Any:
        """Make no form: nothing is edited here, and the stock converter does not know our fields."""
        return BaseForm


class _Properties(_Users):
    """The stock list of definitions, all on one page."""

    column_list = ("label", "key", "help", "type", "source", "filled", "pinned", "personal")
    column_default_sort = ("key", False)
    page_size = 1000


def stock_panel() -> Flask:
    """Return stock Flask-Admin over our tables of users and properties, with a login.

    It can filter by the columns of users that BENCH_COLUMNS names.
    """
    app = Flask("stock")
    app.config["SECRET_KEY"] = os.environ["PARLEY_SECRET_KEY"]
    connect(os.environ["PARLEY_DATABASE_URL"])
    manager = LoginManager(app)
    manager.user_loader(lambda given: _SignedIn(Operator.get_by_id(int(given))))

    @app.before_request
    def open_connection() -> None:
        database.connect(reuse_if_open=True)

    @app.teardown_request
    def close_connection(error: BaseException | None) -> None:
        database.close()

    @app.post("/login")
    def login() -> Any:
        login_user(_SignedIn(Operator.get(Operator.email == request.form["email"])))
        return redirect("/admin/user/")

    if columns := os.environ.get("BENCH_COLUMNS"):
        filters = []
        for name in columns.split(","):
            User._meta.add_field(name, TextField(null=True))
            filters.append(FilterEqual(User._meta.fields[name], name))
        _Users.column_filters = filters
    admin = Admin(app, name="Stock")
    admin.add_view(_Users(User, name="Users", endpoint="user"))
    admin.add_view(_Properties(Property, name="Properties", endpoint="property"))
    return app


def bare_webhook() -> Flask:
    """Return one route that checks the signature and runs the SQL that ours ran for the same body.

    The statements lie recorded in the file BENCH_STATEMENTS, by the SHA-256 of the body.
    """
    app = Flask("bare")
    recorded: dict[str, list[tuple[str, Any]]] = pickle.loads(
        Path(os.environ["BENCH_STATEMENTS"]).read_bytes()
    )
    secret = os.environ["BENCH_APP_SECRET"].encode()
    connect(os.environ["PARLEY_DATABASE_URL"])
    own = threading.local()

    def connection() -> Any:
        """Return this thread's connection, opened with the settings that ours has."""
        if not hasattr(own, "connection"):
            own.connection = database.obj._connect()
        return own.connection

    @app.post("/webhooks/bare")
    def receive() -> Response:
        body = request.get_data()
        signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, request.headers.get("X-Hub-Signature-256", "")):
            abort(403)
        cursor = connection().cursor()
        for sql, parameters in recorded[hashlib.sha256(body).hexdigest()]:
            cursor.execute(sql, parameters or ())
            if cursor.description:
                cursor.fetchall()
        return Response("", 200)

    return app
