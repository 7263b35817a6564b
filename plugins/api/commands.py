"""`parley token`: let programs work for an operator."""

from datetime import datetime

import click

from core import clock
from core.commands.output import print_rows
from core.models import Operator
from plugins.api import tokens
from plugins.api.models import Token
from plugins.api.tokens import Scope


@click.group()
def token() -> None:
    """Tokens with which programs use the API."""


@token.command()
@click.argument("operator")
@click.option("--name", required=True, help="The program that will use it; changes are signed with it.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it is for; may be given several times.",
)
@click.option("--days", default=90, show_default=True, help=f"How long it works, at most {tokens.MOST_DAYS}.")
def add(operator: str, name: str, scopes: tuple[str, ...], days: int) -> None:
    """Make a token of OPERATOR (an email), and print it: it is shown this once.

    It never does more than its owner may, and stops when the owner may not sign in any more.
    """
    owner = Operator.get_or_none(Operator.email == operator.strip().lower())
    if owner is None:
        raise click.ClickException(
            f"There is no operator {operator}. No token was made. `parley operator list` shows them."
        )
    try:
        made, text = tokens.issue(owner, name, {Scope(scope) for scope in scopes}, days)
    except tokens.NoToken as error:
        raise click.ClickException(str(error)) from None
    until = f"{made.expires:%Y-%m-%d}"
    click.echo(f"{made.name} works for {owner.email} until {until}. Keep this token; it is not shown again:")
    click.echo(text)


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the tokens; their secrets are never shown."""
    rows = [
        {
            "key": one.key,
            "name": one.name,
            "operator": one.operator.email,
            "scopes": " ".join(one.scopes),
            "created": _moment(one.created),
            "expires": _moment(one.expires),
            "last_used": _moment(one.last_used) or "never",
            "state": _state(one),
        }
        for one in tokens.tokens()
    ]
    print_rows(rows, as_json=as_json, nothing="There are no tokens. Make one with `parley token add`.")


@token.command()
@click.argument("key")
def revoke(key: str) -> None:
    """End the token KEY, as `parley token list` shows it, at once."""
    try:
        ended = tokens.revoke(key)
    except tokens.NoToken as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{ended.name} ({ended.key}) does not work any more.")


def _moment(at: datetime | None) -> str | None:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else None


def _state(one: Token) -> str:
    if one.revoked is not None:
        return "revoked"
    if clock.now() >= one.expires:
        return "expired"
    return "works" if one.operator.active else "owner may not sign in"
