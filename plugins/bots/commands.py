"""`parley bot`: say which bot answers on which deployment."""

import click

from core import clock
from core.commands.output import print_rows
from core.context import parley
from core.deployments import deployment_called
from core.models import Deployment
from plugins.bots.models import Bot
from plugins.bots.rasa import web_address


@click.group()
def bot() -> None:
    """Bots that answer the users of a deployment."""


@bot.command("set")
@click.argument("deployment")
@click.option(
    "--url",
    required=True,
    help="Where the bot is asked, such as http://127.0.0.1:5005/webhooks/rest/webhook.",
)
@click.option("--name", default="Bot", show_default=True, help="How the bot is called in conversations.")
@click.option(
    "--token",
    prompt="Token",
    prompt_required=False,
    hide_input=True,
    envvar="PARLEY_BOT_TOKEN",
    help="Sent to the bot as a bearer token. Without a value it is asked for, and not shown.",
)
def set_bot(deployment: str, url: str, name: str, token: str | None) -> None:
    """Let the bot at URL answer on DEPLOYMENT (its key or its label), in Rasa's REST dialect.

    A bot that was set before is replaced.
    """
    found = deployment_called(deployment)
    if not web_address(url):
        raise click.BadParameter("must start with http:// or https://", param_hint="--url")
    values = {
        "name": name.strip() or "Bot",
        "url": url,
        "token": parley().keys.encrypt(token) if token else None,
        "changed": clock.now(),
    }
    Bot.insert(deployment=found.id, **values).on_conflict(
        conflict_target=[Bot.deployment], update=values
    ).execute()
    click.echo(f"{values['name']} answers on {found.label} now.")


@bot.command("remove")
@click.argument("deployment")
def remove_bot(deployment: str) -> None:
    """Let no bot answer on DEPLOYMENT (its key or its label) any more."""
    found = deployment_called(deployment)
    known = Bot.get_or_none(Bot.deployment == found.id)
    if known is None:
        raise click.ClickException(f"{found.label} has no bot.")
    known.delete_instance()
    click.echo(f"No bot answers on {found.label} now.")


@bot.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_bots(as_json: bool) -> None:
    """List the bots; tokens are never shown."""
    rows = [
        {
            "deployment": one.deployment.label,
            "key": one.deployment.key,
            "name": one.name,
            "url": one.url,
            "token": "yes" if one.token else "no",
        }
        for one in Bot.select(Bot, Deployment).join(Deployment).order_by(Bot.id)
    ]
    print_rows(rows, as_json=as_json, nothing="There are no bots. Add one with `parley bot set`.")
