"""Who is signed in: the login page, logins that end when they should, and tries that are counted."""

import secrets
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from itsdangerous import BadSignature, URLSafeSerializer

from admin import access, logins, passwords
from admin.blueprint import panel
from core import clock
from core.context import parley
from core.models import Operator

_DEVICE_COOKIE = "parley_device"
_DEVICE_SECONDS = 180 * 24 * 3600
_LOOPBACK = ("127.", "::1", "::ffff:127.")

_WRONG = {
    "title": "The email or the password is not right.",
    "text": "Nobody was signed in. Check both and try again; an admin can set a new password.",
}
_TOO_MANY = {
    "title": "Too many tries to sign in.",
    "text": "Nobody was signed in. Wait 15 minutes, or use a browser in which you signed in before.",
}


class SignedIn(UserMixin):
    """An operator with the login that says so."""

    def __init__(self, login: logins.Login) -> None:
        self.key = login.key
        self.operator: Operator = login.operator

    def get_id(self) -> str:
        """Return what the cookie holds: the key of the login, which means nothing once that has ended."""
        return str(self.key)


def prepare(app: Flask) -> None:
    """Let Flask-Login find the login that a request belongs to."""
    manager = LoginManager(app)
    manager.session_protection = (
        None  # an address that changes on the way ends no login; the server's own list does
    )
    manager.user_loader(_load)


@panel.get("/login")
@access.public("One signs in here.")
def login() -> ResponseReturnValue:
    """Show the login page; who is signed in already goes on."""
    wanted = own_path(request.args.get("next", ""))
    if current_user.is_authenticated:
        return redirect(wanted)
    return _login_page(wanted)


@panel.post("/login")
@access.public("One signs in here.")
def sign_in() -> ResponseReturnValue:
    """Check email and password, and begin a login."""
    email = request.form.get("email", "").strip().lower()
    wanted = own_path(request.form.get("next", ""))
    found: Operator | None = Operator.get_or_none(Operator.email == email) if "\x00" not in email else None
    device = _device_of(found)
    counted = logins.attempt(email, request.remote_addr, device)
    if counted is None:
        return _login_page(wanted, email, _TOO_MANY), 429
    right = passwords.is_right(request.form.get("password", ""), found.password_hash if found else None)
    if found is None or not right or not found.active or not may_be_here(found):
        return _login_page(wanted, email, _WRONG), 401
    logins.succeeded(counted)
    _note(found, request.form["password"])
    session.clear()  # nothing from before the login, such as its form's token, is worth anything after it
    login_user(SignedIn(logins.find(logins.begin(found), active=True)))  # type: ignore[arg-type]  # just begun
    response = redirect(wanted)
    _remember_device(response, found, device)
    return response


@panel.post("/logout")
@access.signed_in()
def logout() -> ResponseReturnValue:
    """End this login, also for a copy of its cookie."""
    logins.end(current_user.key)
    logout_user()
    session.clear()
    flash("You are signed out.", "info")
    return redirect(url_for("panel.login"))


def own_path(wanted: str) -> str:
    """Return `wanted` when it is a path of this panel, else its first page: a login never leads elsewhere."""
    parts = urlsplit(wanted) if wanted.isprintable() and "\\" not in wanted else None
    if parts is None or parts.scheme or parts.netloc or not wanted.startswith("/") or wanted.startswith("//"):
        return url_for("admin.index")
    return wanted


def still_signed_in(key: str, permission: access.May) -> bool:
    """Say whether the login called `key` holds and its operator has `permission`; streams ask often."""
    found = logins.find(key, active=False)
    return found is not None and permission in access.permissions(found.operator)


def _load(key: str) -> SignedIn | None:
    # What a page fetches by itself keeps nobody signed in.
    active = access.wants_page() or request.method == "POST"
    login = logins.find(key, active=active)
    return SignedIn(login) if login is not None and may_be_here(login.operator) else None


def may_be_here(operator: Operator) -> bool:
    """Say whether an operator may use this address: demo logins work on this machine only.

    Only the address of the connection counts. A header can make it stricter: it shows that a proxy passes on
    what others send.
    """
    if not operator.demo:
        return True
    passed_on = not parley().settings.trusted_proxies and (
        "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    )
    return (request.remote_addr or "").startswith(_LOOPBACK) and not passed_on


def _note(operator: Operator, password: str) -> None:
    """Note the login, and make the stored hash anew when it was made with other parameters."""
    changes: dict[str, Any] = {"last_login": clock.now()}
    if passwords.is_outdated(operator.password_hash):
        changes["password_hash"] = passwords.hashed(password)
    Operator.update(changes).where(Operator.id == operator.id).execute()


def _login_page(wanted: str, email: str = "", problem: dict[str, str] | None = None) -> str:
    demo = parley().settings.demo
    return render_template(
        "parley/login.html",
        action=url_for("panel.sign_in"),
        next=wanted,
        email=email,
        problem=problem,
        hint="This is a demo. Its logins stand where Parley was started." if demo else None,
    )


def _device_of(operator: Operator | None) -> str | None:
    """Return the name of this browser, if `operator` has signed in with it before."""
    try:
        known = _devices().loads(request.cookies.get(_DEVICE_COOKIE, ""))
    except BadSignature:
        return None
    return str(known["device"]) if operator is not None and known.get("operator") == operator.id else None


def _remember_device(response: Response | Any, operator: Operator, device: str | None) -> None:
    name = device or secrets.token_urlsafe(16)
    response.set_cookie(
        _DEVICE_COOKIE,
        _devices().dumps({"operator": operator.id, "device": name}),
        max_age=_DEVICE_SECONDS,
        path=url_for("panel.sign_in"),
        httponly=True,
        samesite="Lax",
        secure=current_app.config["SESSION_COOKIE_SECURE"],
    )


def _devices() -> URLSafeSerializer:
    return URLSafeSerializer(parley().keys.derive("devices"), salt="device")
