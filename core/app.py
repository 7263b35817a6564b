"""Put an app together."""

import logging
from pathlib import Path

import structlog
from flask import Flask, Response, jsonify, request
from werkzeug.middleware.proxy_fix import ProxyFix

from core import definitions, webhooks
from core.context import EXTENSION, Parley
from core.db import connect, database, migrate
from core.live import Hub
from core.manager import PluginManager
from core.secrets import Keys
from core.settings import Settings, SettingsError, load_settings

MIGRATIONS = Path(__file__).parent / "migrations"
BUILT_IN = "core.types"
_OPENED = "parley.opened"


def create_app(settings: Settings | None = None) -> Flask:
    """Return a Parley ready to serve: database migrated, plugins loaded.

    Raises SettingsError and PluginError, whose texts say what to do.
    """
    settings = settings or load_settings()
    app = Flask("parley", root_path=str(Path(__file__).parent), static_folder=None, template_folder=None)
    _configure(app, settings)
    _load_plugins(app)
    _open_database(app)
    _serve_core(app)
    _serve_channels(app)
    app.extensions[EXTENSION].manager.ask("prepare_app", app=app)
    return app


def _configure(app: Flask, settings: Settings) -> None:
    keys = Keys(settings.secret_key.get_secret_value())
    app.extensions[EXTENSION] = Parley(settings, PluginManager(), keys, Hub())
    app.config.update(
        SECRET_KEY=keys.derive("cookies"),
        SESSION_COOKIE_NAME="parley",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.public_url.startswith("https://"),
        MAX_CONTENT_LENGTH=settings.max_body,
        TRAP_BAD_REQUEST_ERRORS=False,
    )
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, hops, hops, hops)  # type: ignore[method-assign]
    structlog.configure(logger_factory=structlog.stdlib.LoggerFactory())
    logging.getLogger("httpx").setLevel(
        logging.WARNING
    )  # its INFO lines hold URLs, and some providers put tokens there


def _load_plugins(app: Flask) -> None:
    parts: Parley = app.extensions[EXTENSION]
    parts.manager.load((BUILT_IN, *parts.settings.modules))


def _open_database(app: Flask) -> None:
    parts: Parley = app.extensions[EXTENSION]
    try:
        connect(parts.settings.database_url, parts.settings.database_connections)
    except ValueError as error:
        raise SettingsError(f"PARLEY_DATABASE_URL: {error}") from None
    migrate([("core", MIGRATIONS), *parts.manager.migrations()])
    with app.app_context(), database.connection_context():
        definitions.declare()

    @app.before_request
    def open_connection() -> None:
        request.environ[_OPENED] = database.connect(reuse_if_open=True)

    @app.teardown_request
    def close_connection(error: BaseException | None) -> None:
        if request.environ.get(_OPENED) and not database.is_closed():
            database.close()  # only its own: a test's request runs inside the test's connection


def _serve_core(app: Flask) -> None:
    app.register_blueprint(webhooks.blueprint)

    @app.get("/healthz")
    def healthz() -> Response:
        """Say that the process serves."""
        return jsonify(status="ok")

    @app.get("/readyz")
    def readyz() -> Response:
        """Say that the database answers."""
        database.execute_sql("SELECT 1")
        return jsonify(status="ok")

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        return response


def _serve_channels(app: Flask) -> None:
    for name, channel in app.extensions[EXTENSION].manager.channels.items():
        if (blueprint := channel.routes()) is not None:
            app.register_blueprint(blueprint, url_prefix=f"/{name}/<deployment_key>")
