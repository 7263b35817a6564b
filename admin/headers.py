"""Headers that keep a page to itself: it loads nothing from elsewhere, and runs nothing that stands in it."""

from flask import Flask, Response, request

from admin.access import channel_blueprints
from core.context import parley

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


def prepare(app: Flask) -> None:
    """Set the headers of every answer that brings none; what channels serve is meant for other sites."""
    elsewhere = {*channel_blueprints(app), "webhooks"}

    @app.after_request
    def shield(response: Response) -> Response:
        if request.blueprint in elsewhere:
            return response
        headers = response.headers
        headers.setdefault("Content-Security-Policy", POLICY)
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        if not (request.endpoint or "").endswith(".static"):
            headers.setdefault("Cache-Control", "no-store")
        if parley().settings.public_url.startswith("https://"):
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        return response
