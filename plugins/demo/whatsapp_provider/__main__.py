"""Run the played WhatsApp as a program, for the demo workspace."""

import json
import signal
import threading
from typing import TextIO

import click

from plugins.demo.whatsapp_provider import WhatsAppProvider

_PREFIX = "PARLEY_PLAY"


@click.command(context_settings={"auto_envvar_prefix": _PREFIX, "help_option_names": ["-h", "--help"]})
@click.option("--port", type=int, default=0, show_default=True, help="0 takes a free one.")
@click.option("--webhook-url", required=True, help="Where Parley takes webhooks of this number.")
@click.option("--app-secret", required=True, help="Signs the webhooks. Better given in the environment.")
@click.option("--verify-token", default="", help="For the handshake. Better given in the environment.")
@click.option("--access-token", required=True, help="What Parley shows. Better given in the environment.")
@click.option("--phone-number-id", default="106540352242922", show_default=True)
@click.option("--waba-id", default="102290129340398", show_default=True)
@click.option("--number", default="+1 555-010-0000", show_default=True, help="The number as people read it.")
@click.option("--verified-name", default="Lumen & Oak", show_default=True)
@click.option("--templates", type=click.File(encoding="utf-8"), help="JSON: templates as the API lists them.")
@click.option("--pace", default=0.6, show_default=True, help="Seconds between sent, delivered and read.")
@click.option("--senders", default=4, show_default=True, help="Webhooks that are posted side by side.")
@click.option(
    "--strict/--trusting", default=False, help="Whether the window of an unheard-of user is closed."
)
def main(strict: bool, templates: TextIO | None, **settings: object) -> None:
    """Play one WhatsApp number on 127.0.0.1 until told to stop.

    Each option can come from the environment, such as PARLEY_PLAY_ACCESS_TOKEN. The address is printed as one
    line of JSON once the number answers. POST /play/writes {"wa_id", "text", "name"} lets a user write; it
    needs the access token.
    """
    more = {"templates": json.load(templates)} if templates else {}
    provider = WhatsAppProvider(trusting=not strict, **settings, **more)  # type: ignore[arg-type]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with provider:
        click.echo(json.dumps({"url": provider.url}))
        stop.wait()


if __name__ == "__main__":
    main()
