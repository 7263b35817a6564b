"""`parley deployment`: put a channel somewhere."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from peewee import IntegrityError
from pydantic import BaseModel, ValidationError

from core.channel import Channel, Health
from core.commands.output import print_rows
from core.context import parley
from core.deployments import add_deployment, channel_class, deployment_called, is_secret, sync_templates
from core.models import Deployment, Template
from core.models.base import public_key


@click.group()
def deployment() -> None:
    """Deployments: a channel put somewhere, such as one WhatsApp number."""


@deployment.command()
@click.argument("channel")
@click.option("--label", required=True, help="How the panel calls it, such as “Support line”.")
@click.option("--place", default="", help="Where it is; found out by the check where the provider tells it.")
@click.option("--account", default="", help="What the provider's events name; found out by the check.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="One field of the configuration.")
@click.option("--set-file", "files", multiple=True, metavar="NAME=PATH", help="A field, read from a file.")
@click.option(
    "--set-env", "variables", multiple=True, metavar="NAME=VARIABLE", help="A field, from the environment."
)
@click.option("--idle-hours", type=float, help="A session ends after this time without a message.")
@click.option("--check/--no-check", default=True, help="Ask the provider before anything is saved.")
def add(
    channel: str, label: str, place: str, account: str, idle_hours: float | None, check: bool, **sources: Any
) -> None:
    """Put CHANNEL somewhere.

    Secrets come from a file or the environment, or are asked for; they are never shown. The provider is asked
    whether the configuration is right, and nothing is saved when it is not.
    """
    declared = channel_class(channel)
    config = _config(declared, sources["given"], sources["files"], sources["variables"])
    key = public_key(20)
    health = _checked(declared, config, account or key, key, place) if check else Health(True, "")
    fields = {"idle_seconds": int(idle_hours * 3600)} if idle_hours else {}
    account = account or health.account or key
    try:
        made = add_deployment(
            channel, account, label, place or health.place or label, _plain(config), key=key, **fields
        )
    except IntegrityError as error:
        raise click.ClickException(
            f"{declared.label} already has a deployment for the account {account}. Nothing was added."
        ) from error
    click.echo(f"Added {made.label}: {made.place}. {health.detail}".rstrip())
    if declared.capabilities.templates and check:
        click.echo(f"It has {sync_templates(made)} templates.")
    click.echo(_how_to_connect(declared, made))


@deployment.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(as_json: bool) -> None:
    """List the deployments; their configuration is not shown."""
    rows = [
        {
            "label": one.label,
            "channel": one.channel,
            "place": one.place,
            "key": one.key,
            "state": f"paused: {one.paused_reason}" if one.paused_reason else "on" if one.enabled else "off",
        }
        for one in Deployment.select().order_by(Deployment.id)
    ]
    print_rows(
        rows, as_json=as_json, nothing="There are no deployments. Add one with `parley deployment add`."
    )


@deployment.command()
@click.argument("name", metavar="DEPLOYMENT")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def templates(name: str, as_json: bool) -> None:
    """Fetch the templates of DEPLOYMENT (its key or its label) from the provider, and list them."""
    found = deployment_called(name)
    sync_templates(found)
    rows = [
        {
            "name": one.name,
            "language": one.language,
            "status": one.status,
            "category": one.category,
            "body": one.body,
        }
        for one in Template.select()
        .where(Template.deployment == found)
        .order_by(Template.name, Template.language)
    ]
    print_rows(rows, as_json=as_json, nothing=f"{found.label} has no templates.")


def _config(
    declared: type[Channel], given: Iterable[str], files: Iterable[str], variables: Iterable[str]
) -> BaseModel:
    """Collect the fields of a channel's configuration, ask for the secrets that are missing, and validate
    them.
    """
    fields = declared.Config.model_fields
    values: dict[str, str] = {}
    for name, value in map(_pair, given):
        if name in fields and is_secret(fields[name].annotation):
            raise click.UsageError(
                f"{name} is a secret, and others see a command line. Use --set-file or --set-env, "
                "or leave it out to be asked."
            )
        values[name] = value
    for name, path in map(_pair, files):
        try:
            values[name] = Path(path).read_text().strip()
        except (OSError, ValueError) as error:
            raise click.UsageError(f"{name}: {path} cannot be read: {error}") from error
    for name, variable in map(_pair, variables):
        if variable not in os.environ:
            raise click.UsageError(f"{name}: the environment has no {variable}.")
        values[name] = os.environ[variable].strip()
    if unknown := values.keys() - fields.keys():
        known = ", ".join(fields) or "none"
        raise click.UsageError(
            f"{declared.label} has no field {', '.join(sorted(unknown))}. Its fields: {known}."
        )
    for name, field in fields.items():
        if name not in values and field.is_required() and is_secret(field.annotation):
            values[name] = click.prompt(field.title or name, hide_input=True)
    try:
        return declared.Config.model_validate(values)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise click.ClickException("\n".join(["The configuration is not complete:", *lines])) from None


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise click.UsageError(f"“{name}” is not of the form NAME=VALUE.")
    return name.strip(), value


def _plain(config: BaseModel) -> dict[str, Any]:
    """Return the values for storage, secrets included."""
    return {name: getattr(config, name) for name in type(config).model_fields}


def _checked(declared: type[Channel], config: BaseModel, account: str, key: str, place: str) -> Health:
    channel = declared(config, account=account, key=key, place=place)
    try:
        health = channel.check()
    finally:
        channel.close()
    if not health.ok:
        raise click.ClickException(
            f"{health.detail}\nNothing was added. Mend it, or add it unchecked with --no-check."
        )
    return health


def _how_to_connect(declared: type[Channel], made: Deployment) -> str:
    address = parley().settings.public_url
    if declared.routes() is not None:
        return f"It is served at {address}/{made.channel}/{made.key}/"
    return f"Webhook for the provider: {address}/webhooks/{made.key}"
