"""`parley operator`: who may sign in, and in which roles."""

import sys

import click
from peewee import IntegrityError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from admin import logins, passwords
from core.models import Operator, Role

_ROLES = click.Choice([role.value for role in Role])


@click.group()
def operator() -> None:
    """Add operators, list them, and set their passwords."""


@operator.command()
@click.argument("email")
@click.option("--name", required=True, help="As users and colleagues see it.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=_ROLES,
    help="May be given several times; roles combine.",
)
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it."
)
def add(email: str, name: str, roles: tuple[str, ...], password_stdin: bool) -> None:
    """Let someone sign in as EMAIL."""
    email = email.strip().lower()
    if "@" not in email:
        raise click.ClickException(f"“{email}” is no email address. Nobody was added.")
    if Operator.get_or_none(Operator.email == email):
        raise click.ClickException(f"{email} is an operator already. Nothing was changed.")
    try:
        Operator.create(
            email=email,
            name=name.strip(),
            roles=list(dict.fromkeys(roles)),
            password_hash=_new_password(password_stdin),
        )
    except IntegrityError:  # added elsewhere while the password was typed
        raise click.ClickException(f"{email} is an operator already. Nothing was changed.") from None
    click.echo(f"{email} may sign in: {', '.join(dict.fromkeys(roles))}.")


@operator.command("list")
def list_() -> None:
    """Show everyone who may sign in."""
    table = Table("Email", "Name", "Roles", "Last login", "State")
    for one in Operator.select().order_by(Operator.email):
        last = f"{one.last_login:%Y-%m-%d %H:%M} UTC" if one.last_login else "never"
        state = "demo, this machine only" if one.demo else "active" if one.active else "may not sign in"
        table.add_row(escape(one.email), escape(one.name), ", ".join(one.roles), last, state)
    Console(soft_wrap=not sys.stdout.isatty()).print(table)


@operator.command()
@click.argument("email")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it."
)
def password(email: str, password_stdin: bool) -> None:
    """Set a new password for EMAIL, and end all logins of that operator."""
    found = Operator.get_or_none(Operator.email == email.strip().lower())
    if found is None:
        raise click.ClickException(
            f"There is no operator {email}. Nothing was changed. `parley operator list` shows them."
        )
    Operator.update(password_hash=_new_password(password_stdin)).where(Operator.id == found.id).execute()
    logins.end_all(found)
    click.echo(f"{found.email} has a new password, and is signed out everywhere.")


def _new_password(from_stdin: bool) -> str:
    typed = (
        sys.stdin.readline().rstrip("\r\n")
        if from_stdin
        else click.prompt("Password", hide_input=True, confirmation_prompt=True)
    )
    try:
        return passwords.hashed(typed)
    except passwords.WeakPassword as error:
        raise click.ClickException(f"{error} Nothing was changed.") from None
