"""The web widget: visitors of a website write in a chat of our own.

Nobody stands between the visitor's browser and Parley, so there is no webhook: the widget calls
`/web/<deployment key>/...` (routes.py) with a token that names the visitor. Browser code is in static/, one
small ES module a concern.

Payload keys of its messages: kind `text` has none; kind `picked` (a button of the bot) has `source`
("button"), `title` and `id` (what the bot called the choice). Outgoing messages may carry `buttons` (`title`,
and `payload` or `url`) and, for kind `image`, `url`.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import ClassVar

from flask import Blueprint

from channels.web import routes
from channels.web.config import LONGEST_TEXT, WebConfig
from channels.web.footprint import WebFootprint
from channels.web.visitors import VISITOR
from core import Capabilities, Channel, Health, Outbound, Receipt, Rules, Side, hookimpl


class Web(Channel):
    """A widget on somebody's website."""

    name = "web"
    label = "Web widget"
    rules = Rules(
        starts=Side.USER,
        window=None,
        in_words="While the visitor’s browser is known: delivered when present, stored otherwise.",
        source="Parley’s own widget",
        as_of=date(2026, 11, 24),
    )
    capabilities = Capabilities(text=LONGEST_TEXT, receipts=True, buttons=20, image=True)
    alias_labels: ClassVar[dict[str, str]] = {VISITOR: "Visitor"}
    idle = timedelta(minutes=30)
    Config = WebConfig
    Footprint = WebFootprint

    def send(self, message: Outbound) -> Receipt:
        """Let the visitor's browser have it: what is marked sent is what the widget may fetch."""
        return Receipt(provider_id=None)

    def check(self) -> Health:
        """Say where the widget goes; there is no provider that could be asked."""
        detail = f"Ready. Put /web/{self.key}/widget.js on the page."
        return Health(True, detail, place=self.place, account=self.account)

    @classmethod
    def routes(cls) -> Blueprint:
        """Return the widget's files and its API."""
        return routes.blueprint


@hookimpl
def register_channels() -> Sequence[type[Channel]]:
    """Bring the web widget."""
    return [Web]
