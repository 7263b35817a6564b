"""Set up the demo workspace: operators, deployments, people; and at each start, where its provider and its
bot are.
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from datetime import datetime
from io import StringIO
from typing import Any

import click

from admin.passwords import hashed
from core import clock, property_jobs
from core.context import parley
from core.db import database
from core.deployments import add_deployment, channel_of, sync_templates
from core.environment import write_private
from core.models import Deployment, Operator, Role, User, read_setting, write_setting
from core.models.base import public_key
from core.programs import Companions, Program
from plugins.demo import properties
from plugins.demo.cast import drafts
from plugins.demo.draft import BOT
from plugins.demo.numbers import SETTING, Number
from plugins.demo.store import store
from plugins.demo.whatsapp_provider import WhatsAppProvider

LOADED = "demo.loaded"
DEPLOYMENTS = "demo.deployments"

OPERATORS = (
    ("admin@example.com", "Nora Bergström", Role.ADMIN),
    ("maya@example.com", "Maya Okonkwo", Role.AGENT),
    ("theo@example.com", "Théo Marchand", Role.AGENT),
    ("builder@example.com", "Inés Duarte", Role.BUILDER),
    ("auditor@example.com", "Samir Haddad", Role.AUDITOR),
)
NUMBERS = {
    "support": ("Support line", "+1 555 0100", "106540352242922"),
    "delhi": ("Showroom Delhi", "+91 55500 10000", "106540352242933"),
}
WABA = "102290129340398"
WIDGET: dict[str, Any] = {
    "name": "Lumen & Oak",
    "greeting": "Hello.\nWhat can we help you with?",
    "topics": (
        "When does my order arrive?",
        "Can someone assemble it?",
        "I want to return something",
        "Showroom hours",
    ),
    "bot_name": BOT,
    "note": "We are here Mon–Sat, 9–19 h",
}
_NOWHERE = "http://127.0.0.1:9"  # until a run says where the provider is


def is_loaded() -> bool:
    """Say whether this database holds the demo workspace."""
    return read_setting(LOADED) is not None


def load(now: datetime | None = None) -> int:
    """Load the demo workspace into an empty database; returns how many people there are.

    Raises ClickException when the database holds anything else.
    """
    check_empty()
    now = now or clock.now()
    properties.define()
    with database.atomic():
        deployments = begin(now)
        agents = [one for one in Operator.select().order_by(Operator.id) if Role.AGENT in one.roles]
        count = store(drafts(agents, now), deployments, now)
    property_jobs.count_soon()
    return count


def check_empty() -> None:
    """Raise ClickException when the database holds anything."""
    if User.select().exists() or Deployment.select().exists() or Operator.select().exists():
        raise click.ClickException(
            "This database is not empty, so the demo workspace was not loaded: made-up people do not mix "
            "with real ones. Point PARLEY_DATABASE_URL to a new database."
        )


def begin(now: datetime) -> Mapping[str, Deployment]:
    """Make the operators and deployments of an empty database, by their names in the demo."""
    _operators(password())
    deployments = _deployments()
    write_setting(LOADED, now.isoformat())
    write_setting(DEPLOYMENTS, {name: one.key for name, one in deployments.items()})
    return deployments


def prepare(url: str) -> Companions:
    """Load the demo where it is missing, and start its WhatsApp and its bot on free ports."""
    if not is_loaded():
        load()
    numbers_port, bot_port = _free_port(), _free_port()
    deployments = {name: named(key) for name, key in read_setting(DEPLOYMENTS).items()}
    for place, name in enumerate(NUMBERS):
        _point_to(deployments[name], f"http://127.0.0.1:{numbers_port + place}")
    for one in deployments.values():
        _set_bot(one, f"http://127.0.0.1:{bot_port}/webhooks/rest/webhook")
    numbers = [_number(deployments[name], numbers_port + place, url) for place, name in enumerate(NUMBERS)]
    return Companions(
        programs=[
            Program("whatsapp", "plugins.demo.numbers", environment={SETTING: json.dumps(numbers)}),
            Program("bot", "plugins.demo.bot", ["--port", str(bot_port), "--shop", f"{url}/demo/"]),
        ],
        lines=_welcome(url),
        environment={} if "PARLEY_ORGANISATION" in os.environ else {"PARLEY_ORGANISATION": "Lumen & Oak"},
    )


def shop_key() -> str:
    """Return the key of the web deployment, or an empty text before the demo is loaded."""
    return str(read_setting(DEPLOYMENTS, {}).get("shop", ""))


def password() -> str:
    """Return the password of all demo logins: random, one for each installation, in a file that only its
    owner reads.

    Where the file is new and the operators are not, they get its password.
    """
    path = parley().settings.data_dir / "demo-password"
    if not path.is_file():
        text = public_key(16)
        write_private(path, "-".join(text[start : start + 4] for start in range(0, 16, 4)))
        Operator.update(password_hash=hashed(path.read_text().strip())).where(Operator.demo).execute()
    return path.read_text().strip()


def _operators(secret: str) -> None:
    stored = hashed(secret)
    for email, name, role in OPERATORS:
        Operator.create(email=email, name=name, roles=[role], password_hash=stored, demo=True)


def _deployments() -> dict[str, Deployment]:
    """Add the deployments; their templates come from the played provider as they would from the real one."""
    made: dict[str, Deployment] = {}
    secrets: dict[str, Any] = {
        name: public_key(24) for name in ("app_secret", "verify_token", "access_token")
    }
    with WhatsAppProvider(waba_id=WABA, **secrets) as played:
        for name, (label, number, account) in NUMBERS.items():
            config = {**secrets, "phone_number_id": account, "waba_id": WABA, "base_url": played.url}
            made[name] = add_deployment("whatsapp", account, label, f"{number} · {label}", config)
            sync_templates(made[name])
    for one in made.values():
        _point_to(one, _NOWHERE)
    made["shop"] = add_deployment(
        "web", "shop.example.com", "Online shop", "shop.example.com", WIDGET, idle_seconds=1800
    )
    return made


def named(key: str) -> Deployment:
    """Return a deployment of the demo; raises ClickException where it is gone."""
    found: Deployment | None = Deployment.get_or_none(Deployment.key == key)
    if found is None:
        raise click.ClickException(
            "A deployment of the demo is gone. Start with a new database to have it again."
        )
    return found


def _point_to(deployment: Deployment, address: str) -> None:
    deployment.config = {**deployment.config, "base_url": address}
    deployment.changed = clock.now()
    deployment.save(only=[Deployment.config, Deployment.changed])


def _set_bot(deployment: Deployment, address: str) -> None:
    """Run `parley bot set`, as anybody would; without that plugin nobody answers."""
    group = click.Group()
    parley().manager.ask("register_commands", group=group)
    if "bot" in group.commands:
        with redirect_stdout(StringIO()):
            group.main(["bot", "set", deployment.key, "--url", address, "--name", BOT], standalone_mode=False)


def _number(deployment: Deployment, port: int, url: str) -> Number:
    config: Any = channel_of(deployment).config
    number, _, _ = deployment.place.partition(" · ")
    return Number(
        port=port,
        number=number,
        phone_number_id=config.phone_number_id,
        waba_id=config.waba_id,
        app_secret=config.app_secret.get_secret_value(),
        verify_token=config.verify_token.get_secret_value(),
        access_token=config.access_token.get_secret_value(),
        webhook_url=f"{url}/webhooks/{deployment.key}",
    )


def _free_port() -> int:
    """Return the first of two neighbouring ports that nobody uses."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise click.ClickException("No free ports were found for the demo. Nothing was started.")


def _welcome(url: str) -> Sequence[str]:
    secret = password()
    width = max(len(email) for email, _, _ in OPERATORS)
    return (
        "The people in it are made up. Write as a visitor of the shop:",
        f"  {url}/demo/shop",
        f"and sign in at {url}/login with the password {secret} as one of:",
        *(f"  {email:<{width}}  {name}, {role}" for email, name, role in OPERATORS),
    )
