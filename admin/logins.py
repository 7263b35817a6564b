"""Logins, kept on the server so that signing out ends them, and attempts, counted for all processes."""

import hashlib
import ipaddress
import secrets
from datetime import datetime, timedelta

from peewee import BigAutoField, BigIntegerField, ForeignKeyField, TextField

from core import clock
from core.db import MomentField, database, is_sqlite
from core.models import Operator
from core.models.base import Table

IDLE = timedelta(hours=2)
LONGEST = timedelta(hours=12)
REFRESHED = timedelta(minutes=1)
"""How exactly `seen` is kept: one write a minute and login, at most."""

WITHIN = timedelta(minutes=15)
PER_ACCOUNT = 10
PER_ADDRESS = 30


class Login(Table):
    """One signed-in browser. `epoch` is the operator's login epoch when it began: it ends when that moves."""

    id = BigAutoField()
    key = TextField(unique=True)
    operator = ForeignKeyField(Operator, backref="+")
    operator_id: int
    epoch = BigIntegerField()
    started = MomentField()
    seen = MomentField()

    class Meta:
        table_name = "panel_login"


class Attempt(Table):
    """A try to sign in that did not succeed; `key` says for what it counts: device, account, address."""

    id = BigAutoField()
    key = TextField()
    at = MomentField()

    class Meta:
        table_name = "panel_attempt"


def begin(operator: Operator) -> str:
    """Start a login of `operator` and return its key; logins that ended by time are cleared away."""
    now = clock.now()
    Login.remove((Login.seen <= now - IDLE) | (Login.started <= now - LONGEST))
    key = secrets.token_urlsafe(32)
    Login.insert(key=key, operator=operator.id, epoch=operator.login_epoch, started=now, seen=now).execute()
    return key


def find(key: str, *, active: bool) -> Login | None:
    """Return the login called `key` with its operator, if it holds; `active` keeps it from idling out."""
    login = Login.find(key=key)
    operator = Operator.find(id=login.operator_id) if login else None
    now = clock.now()
    if login is None or operator is None or not _holds(login, operator, now):
        return None
    login.operator = operator
    if active and now - login.seen >= REFRESHED:
        Login.update(seen=now).where(Login.id == login.id).execute()
    return login


def end(key: str) -> None:
    """End one login: a copy of its cookie is worth nothing from now on."""
    Login.remove(Login.key == key)


def end_all(operator: Operator) -> None:
    """End every login of `operator`, as when the roles or the password change."""
    Operator.update(login_epoch=Operator.login_epoch + 1).where(Operator.id == operator.id).execute()
    Login.remove(Login.operator == operator.id)


def _holds(login: Login, operator: Operator, now: datetime) -> bool:
    return bool(
        operator.active
        and operator.login_epoch == login.epoch
        and now - login.seen < IDLE
        and now - login.started < LONGEST
    )


def attempt(account: str, address: str | None, device: str | None) -> list[int] | None:
    """Count one try to sign in before it is made, so that tries made at once count; None for one too many.

    A browser that this account has used before (`device`) is counted by itself. Thus nobody can keep others
    out of their accounts: the tries of strangers exhaust what strangers may do, for one account and from one
    address, and nothing else.
    """
    most = {f"device:{device}": PER_ACCOUNT} if device else _strangers(account, address)
    now = clock.now()
    with database.atomic():
        if not is_sqlite():  # there one transaction writes at a time anyway
            database.execute_sql("SELECT pg_advisory_xact_lock(hashtext(%s))", (min(most),))
        Attempt.remove(Attempt.at < now - WITHIN)
        counted: list[int] = []
        for key, limit in most.items():
            if Attempt.select().where(Attempt.key == key, Attempt.at > now - WITHIN).count() >= limit:
                Attempt.remove(Attempt.id.in_(counted))
                return None
            counted.append(Attempt.insert(key=key, at=now).execute())
    return counted


def succeeded(counted: list[int]) -> None:
    """Take back what `attempt` counted: this try was a good one."""
    Attempt.remove(Attempt.id.in_(counted))


def _strangers(account: str, address: str | None) -> dict[str, int]:
    named = hashlib.sha256(
        account.encode(errors="replace")
    ).hexdigest()  # whatever was typed there, it is not kept
    return {f"account:{named}": PER_ACCOUNT, f"address:{_network(address)}": PER_ADDRESS}


def _network(address: str | None) -> str:
    """Return what counts as one address: of IPv6 the first 64 bits, as one customer has them all."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
