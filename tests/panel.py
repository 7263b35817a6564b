"""Operators at work in the tests: a browser with a login, its forms, and what it reads on a page."""

import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from werkzeug.test import TestResponse

from admin import logins, passwords
from admin.logins import Login
from core import clock
from core.models import Operator

PLUGINS = ("fake_channel", "admin")
PASSWORD = "correct horse battery"
RAW_TOKEN = "the raw token of the tests"
EVERY_ROLE = ("admin", "builder", "agent", "auditor")


class Browser(FlaskClient):
    """A client whose requests each have an app context of their own, as they have in a server.

    Otherwise they would share the one that a test holds, and with it who is signed in.
    """

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        with self.application.app_context():
            return super().open(*args, **kwargs)


def employ(*roles: str, name: str = "Maya Okonkwo", email: str | None = None, **fields: Any) -> Operator:
    """Take on an operator."""
    email = email or f"{name.split()[0].lower()}-{'-'.join(roles) or 'nobody'}@example.com"
    given = {"password_hash": "", "roles": list(roles), **fields}
    return Operator.create(email=email, name=name, **given)


def with_password(operator: Operator, password: str = PASSWORD) -> Operator:
    """Give an operator a password; hashing takes a while, so only the tests of the login do it."""
    Operator.update(password_hash=passwords.hashed(password)).where(Operator.id == operator.id).execute()
    return operator


class Desk:
    """An operator at a browser. Who is `awake` is not signed out for being idle, however the clock moves."""

    def __init__(self, app: Flask, operator: Operator | None, *, awake: bool = True) -> None:
        self.app, self.operator, self.awake = app, operator, awake and operator is not None
        self.http = Browser(app, use_cookies=True)
        self.token = URLSafeTimedSerializer(app.secret_key, salt="wtf-csrf-token").dumps(RAW_TOKEN)
        with self.http.session_transaction() as cookie:
            cookie["csrf_token"] = RAW_TOKEN
            if operator is not None:
                self.login = logins.begin(operator)
                cookie["_user_id"] = self.login

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        """Open a page as a browser does."""
        self._stir()
        return self.http.get(path, **_as_page(kwargs))

    def parts(self, path: str, **kwargs: Any) -> TestResponse:
        """Fetch a fragment as our scripts do."""
        self._stir()
        return self.http.get(path, **_as_script(kwargs))

    def post(self, path: str, *, script: bool = False, **form: Any) -> TestResponse:
        """Send a form with its token: as a browser does, or as our scripts do."""
        self._stir()
        given: dict[str, Any] = {"data": {"csrf_token": self.token, **form}}
        return self.http.post(path, **(_as_script(given) if script else _as_page(given)))

    def _stir(self) -> None:
        if self.awake:
            Login.update(seen=clock.now(), started=clock.now()).where(Login.key == self.login).execute()


def _as_page(kwargs: dict[str, Any]) -> dict[str, Any]:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    return {**kwargs, "headers": {"Accept": accept, **kwargs.get("headers", {})}}


def _as_script(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**kwargs, "headers": {"Accept": "*/*", "X-Parley-Parts": "1", **kwargs.get("headers", {})}}


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.hidden += tag in ("script", "style", "template", "svg")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("script", "style", "template", "svg")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.found.append(data)


def words(answer: TestResponse | str) -> str:
    """Return what a reader reads of a page, in one line."""
    parser = _Words()
    parser.feed(answer if isinstance(answer, str) else answer.text)
    return " ".join(" ".join(parser.found).split())


def part(answer: TestResponse, name: str) -> str:
    """Return the words of one part of a fragment, such as `composer`."""
    found = re.split(r'<div data-part="', answer.text)
    return words(next(piece.partition(">")[2] for piece in found if piece.startswith(f'{name}"')))


def attributes(answer: TestResponse, name: str) -> list[str]:
    """Return the values of an attribute, in the order of the page."""
    return [unescape(value) for value in re.findall(rf'\b{name}="([^"]*)"', answer.text)]


def events(answer: TestResponse) -> Iterator[str]:
    """Yield what a stream says, chunk by chunk."""
    for chunk in answer.response:
        yield chunk.decode() if isinstance(chunk, bytes) else chunk
