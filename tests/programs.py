"""Programs in the tests: each with the token of an operator."""

from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

import defining
from core import Profile
from core.models import Operator, User
from fake_channel import deploy, says, user_of
from panel import Browser
from plugins.api import tokens
from plugins.api.tokens import Scope

PEOPLE = ("admin", "builder", "agent")


class Program:
    """A program with a token."""

    def __init__(
        self, app: Flask, owner: Operator, *scopes: Scope, days: int = 30, name: str = "CRM"
    ) -> None:
        self.http = Browser(app)
        self.token, self.text = tokens.issue(owner, name, scopes or tuple(Scope), days)
        self.headers = {"Authorization": f"Bearer {self.text}"}

    def get(self, path: str, **query: Any) -> TestResponse:
        """Read."""
        return self.http.get(f"/api/v1{path}", query_string=query, headers=self.headers)

    def send(self, method: str, path: str, body: Any) -> TestResponse:
        """Send JSON."""
        return self.http.open(f"/api/v1{path}", method=method, json=body, headers=self.headers)

    def set(self, user: User, seen: dict[str, int] | None = None, **values: Any) -> TestResponse:
        """Set properties of a user."""
        body = {"properties": values} | ({"seen": seen} if seen is not None else {})
        return self.send("PATCH", f"/users/{user.key}/properties", body)

    def one(self, user: User, key: str) -> dict[str, Any]:
        """Read one property of a user."""
        found = self.get(f"/users/{user.key}/properties").json["properties"]
        return next(one for one in found if one["key"] == key)


def known_user() -> User:
    """Return a user who wrote once, and of whom name and email are known."""
    profile = Profile(name="Asha Raghunathan", email="asha@example.com")
    return user_of(says(deploy(), profile=profile))


def define(key: str = "city", type: str = "text", **fields: Any) -> None:  # noqa: A002
    """Define a property that everybody may edit."""
    defining.define(key, type, **fields)


def problem(answer: TestResponse, status: int) -> dict[str, Any]:
    """Return a problem, which has the form that it must have."""
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert {"type", "title", "status", "detail"} <= answer.json.keys()
    assert answer.json["status"] == status
    found: dict[str, Any] = answer.json
    return found
