"""The WhatsApp numbers of the demo, played by one process: `python -m plugins.demo.numbers`."""

import json
import logging
import os
import signal
import threading
from contextlib import ExitStack
from typing import TypedDict

from plugins.demo.whatsapp_provider import WhatsAppProvider

SETTING = "PARLEY_DEMO_NUMBERS"
PACE_SECONDS = 0.6


class Number(TypedDict):
    """One number: where it listens, its ids and secrets, and where its webhooks go."""

    port: int
    number: str
    phone_number_id: str
    waba_id: str
    app_secret: str
    verify_token: str
    access_token: str
    webhook_url: str


def main() -> None:
    """Play the numbers that the environment describes, until told to stop."""
    logging.basicConfig(level=logging.WARNING)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with ExitStack() as playing:
        for number in json.loads(os.environ[SETTING]):
            # The people of the demo wrote before this process began, so it cannot know their windows.
            playing.enter_context(WhatsAppProvider(trusting=True, pace=PACE_SECONDS, senders=2, **number))
        stop.wait()


if __name__ == "__main__":
    main()
