"""`parley webhook`: what providers sent, what became of it, and another try."""

import json

import click

from core.commands.output import print_rows
from core.deployments import channel_of
from core.models import Deployment, LogState, WebhookLog
from core.text import snippet
from core.webhooks import process


@click.group()
def webhook() -> None:
    """The log of webhooks: verified bodies as they came."""


@webhook.command("list")
@click.option(
    "--state", type=click.Choice([state.value for state in LogState]), help="Only those in this state."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="How many, the newest first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(state: str | None, limit: int, as_json: bool) -> None:
    """List what came in, the newest first."""
    query = (
        WebhookLog.select(WebhookLog, Deployment).join(Deployment).order_by(WebhookLog.id.desc()).limit(limit)
    )
    if state:
        query = query.where(WebhookLog.state == state)
    rows = [
        {
            "id": entry.id,
            "received": entry.received.isoformat(timespec="seconds"),
            "deployment": entry.deployment.label,
            "state": entry.state,
            "bytes": len(entry.body),
            "remark": snippet(entry.error or "; ".join(entry.notes), 120),
        }
        for entry in query
    ]
    print_rows(rows, as_json=as_json, nothing="Nothing is there.")


@webhook.command()
@click.argument("number", metavar="ID", type=int)
def show(number: int) -> None:
    """Show one body with everything that is known of it. It may hold personal data."""
    entry = _entry(number)
    click.echo(
        f"{entry.method} for {entry.deployment.label}, received {entry.received.isoformat()}: {entry.state}"
    )
    if entry.error:
        click.echo(entry.error)
    for note in entry.notes:
        click.echo(f"- {note}")
    for name, value in {**entry.query, **entry.headers}.items():
        click.echo(f"{name}: {value}")
    click.echo()
    click.echo(_readable(bytes(entry.body)))


@webhook.command()
@click.argument("number", metavar="[ID]", type=int, required=False)
@click.option("--all-failed", is_flag=True, help="All that failed, the oldest first.")
def replay(number: int | None, all_failed: bool) -> None:
    """Read a logged body again: what is stored already stays as it is, what was not stored is tried again."""
    if (number is None) != all_failed:
        raise click.UsageError("Give the ID of one webhook, or --all-failed.")
    if number is not None:
        chosen = [_entry(number)]
    else:
        failed = WebhookLog.select().where(WebhookLog.state == LogState.FAILED)
        chosen = list(failed.order_by(WebhookLog.id))
    still = 0
    with click.progressbar(chosen, label="Replaying", hidden=len(chosen) < 10) as entries:
        for entry in entries:
            process(entry, channel_of(entry.deployment))
            still += WebhookLog.get_by_id(entry.id).state == LogState.FAILED
    click.echo(f"{len(chosen) - still} of {len(chosen)} webhooks are processed now.")
    if still:
        raise click.ClickException(f"{still} failed again; `parley webhook list --state failed` says why.")


def _entry(number: int) -> WebhookLog:
    entry: WebhookLog | None = WebhookLog.get_or_none(WebhookLog.id == number)
    if entry is None:
        raise click.ClickException(f"There is no webhook {number}. `parley webhook list` shows the newest.")
    return entry


def _readable(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), ensure_ascii=False, indent=2).encode(errors="replace").decode()
    except (ValueError, RecursionError):
        return body.decode(errors="backslashreplace")
