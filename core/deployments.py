"""Make a channel out of a deployment's row, and write its configuration with its secrets encrypted."""

import threading
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, SecretStr

from core import clock
from core.channel import Channel
from core.context import parley
from core.db import database
from core.models import Deployment, Template

_ENCRYPTED = "encrypted:"
_lock = threading.Lock()


class UnknownChannel(Exception):
    """A deployment whose channel no loaded plugin brings."""


class UnknownDeployment(Exception):
    """A deployment that does not exist, or a label that several have."""


def deployment_called(name: str) -> Deployment:
    """Return the deployment whose key or label is `name`; raises UnknownDeployment, naming all."""
    found = list(Deployment.select().where((Deployment.key == name) | (Deployment.label == name)))
    if len(found) == 1:
        deployment: Deployment = found[0]
        return deployment
    if found:
        keys = ", ".join(one.key for one in found)
        raise UnknownDeployment(f"Several deployments are called “{name}”. Name one by its key: {keys}.")
    labels = ", ".join(f"“{one.label}”" for one in Deployment.select().order_by(Deployment.id)) or "none"
    raise UnknownDeployment(f"No deployment is called “{name}”. There are: {labels}.")


def channel_class(name: str) -> type[Channel]:
    """Return the channel called `name`; raises UnknownChannel, naming those that there are."""
    channels = parley().manager.channels
    if name not in channels:
        known = ", ".join(sorted(channels)) or "none"
        raise UnknownChannel(f"No loaded plugin brings the channel `{name}`. There are: {known}.")
    return channels[name]


def channel_of(deployment: Deployment) -> Channel:
    """Return the channel that serves `deployment`: kept while its configuration stays the same.

    Raises UnknownChannel, and SecretUnreadable when the secret key is another one.
    """
    cache: dict[int, tuple[Any, Channel]] = parley().channels
    with _lock:
        cached = cache.get(deployment.id)
        if cached and cached[0] == deployment.changed:
            return cached[1]
    declared = channel_class(deployment.channel)
    channel = declared(
        declared.Config.model_validate(_decrypted(deployment.config)),
        account=deployment.account,
        key=deployment.key,
        place=deployment.place,
    )
    with _lock:
        cache[deployment.id] = (deployment.changed, channel)
    return channel


def add_deployment(
    channel: str, account: str, label: str, place: str, config: Mapping[str, Any], **fields: Any
) -> Deployment:
    """Put a channel somewhere; `fields` are further columns of the deployment.

    Raises UnknownChannel, pydantic.ValidationError naming the fields of `config`, and peewee.IntegrityError
    when the account is already served.
    """
    declared = channel_class(channel)
    given = {
        "config": _encrypted(declared.Config.model_validate(config)),
        "idle_seconds": int(declared.idle.total_seconds()),
        **fields,
    }
    return Deployment.create(channel=channel, account=account, label=label, place=place, **given)


def sync_templates(deployment: Deployment) -> int:
    """Fetch the provider's templates of `deployment`; those it no longer has are removed.

    Returns how many there are.
    """
    found = channel_of(deployment).templates()
    with database.atomic():
        Template.remove(Template.deployment == deployment)
        for template in found:
            Template.create(
                deployment=deployment,
                name=template.name,
                language=template.language,
                category=template.category,
                status=template.status,
                header=template.header,
                body=template.body,
                footer=template.footer,
                buttons=list(template.buttons),
                parameters=list(template.parameters),
                synced=clock.now(),
            )
    return len(found)


def is_secret(annotation: Any) -> bool:
    """Say whether a field of a Config is a secret, by its annotation."""
    return annotation is SecretStr or SecretStr in get_args(annotation)


def _encrypted(config: BaseModel) -> dict[str, Any]:
    stored = config.model_dump(mode="json")
    for name, field in type(config).model_fields.items():
        secret = getattr(config, name)
        if is_secret(field.annotation) and secret is not None:
            stored[name] = _ENCRYPTED + parley().keys.encrypt(secret.get_secret_value())
    return stored


def _decrypted(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: parley().keys.decrypt(value.removeprefix(_ENCRYPTED))
        if isinstance(value, str) and value.startswith(_ENCRYPTED)
        else value
        for name, value in stored.items()
    }
