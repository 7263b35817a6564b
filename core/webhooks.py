"""Where providers call: `/webhooks/<deployment key>`: cap, verify, log, answer 200.

What it says is read from the log. Before the log a request can be refused; after it, it is answered 200
whatever it holds, so that no provider repeats it for ever, and nothing of it is lost: what cannot be read or
stored stays in the log, marked, and can be replayed.
"""

import logging
from datetime import timedelta
from typing import NoReturn

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from core import clock
from core.channel import Channel, VerificationError, Webhook
from core.context import parley
from core.db import database, run
from core.deployments import UnknownChannel, channel_of
from core.inbound import Accepted, accept_all
from core.models import Deployment, LogState, WebhookLog, WebhookRefusal
from core.secrets import SecretUnreadable
from core.text import clean, clean_json, snippet

log = logging.getLogger(__name__)
blueprint = Blueprint("webhooks", __name__)

_NEVER_STORED = {"authorization", "cookie", "proxy-authorization"}
_NOTES_A_MINUTE = 10
_LEFT_BEHIND = timedelta(seconds=30)
_NAMES = "INSERT INTO webhook_log_identity (log_id, identity_id) VALUES (?, ?) ON CONFLICT DO NOTHING"


@blueprint.route("/webhooks/<key>", methods=["GET", "POST"])
def receive(key: str) -> Response:
    """Take one request of a provider."""
    deployment = Deployment.find(key=clean(key), enabled=True)
    if deployment is None:
        _refuse(None, 404, "No deployment is called so.")
    try:
        channel = channel_of(deployment)
    except (UnknownChannel, SecretUnreadable) as error:
        log.error("webhook for %s: %s", deployment.label, error)
        _refuse(deployment, 503, "This deployment cannot be served now. Send it again later.")
    webhook = _read(deployment, channel)
    try:
        reply = channel.verify(webhook)
    except VerificationError as error:
        _refuse(deployment, 403, f"Not verified: {error}")
    if reply is not None:
        return Response(reply.body, reply.status, content_type=reply.content_type)
    if webhook.method != "POST":
        _refuse(deployment, 405, "Webhooks are sent with POST.")
    entry = _log(deployment, channel, webhook)
    try:
        process(entry, channel)
    except Exception:  # it is in the log, so it is not lost
        log.exception("webhook %d of %s is left to the worker", entry.id, deployment.label)
    return Response("", 200, content_type="text/plain; charset=utf-8")


def process(entry: WebhookLog, channel: Channel) -> None:
    """Read a logged body and store what it says; whatever fails is marked in the log.

    Doing it again is harmless.
    """
    webhook = Webhook(entry.method, entry.headers, entry.query, bytes(entry.body), entry.received)
    try:
        events = list(channel.parse(webhook))
    except Exception as error:  # a parser's bug must lose neither the body nor the provider's next request
        log.warning(
            "webhook %d of %s could not be read: %s", entry.id, entry.deployment.label, snippet(str(error))
        )
        _mark(entry, LogState.FAILED, f"It could not be read: {snippet(clean(str(error)), 300)}", [], set())
        return
    results = accept_all(entry.deployment, events, entry.received)
    failures = [result for result in results if isinstance(result, Exception)]
    accepted = [result for result in results if isinstance(result, Accepted)]
    what_failed = None
    if failures:
        named = snippet(clean(f"{type(failures[0]).__name__}: {failures[0]}"), 300)
        what_failed = f"{len(failures)} of {len(results)} events were not stored: {named}"
    _mark(
        entry,
        LogState.FAILED if failures else LogState.PROCESSED,
        what_failed,
        [result.remark for result in accepted if result.remark],
        {result.identity_id for result in accepted if result.identity_id},
    )


def process_left_behind() -> int:
    """Process what a process logged and then died over; returns how many there were.

    One that cannot be processed keeps no other from it.
    """
    left = WebhookLog.select().where(
        WebhookLog.state == LogState.RECEIVED, WebhookLog.received < clock.now() - _LEFT_BEHIND
    )
    entries = list(left.order_by(WebhookLog.id).limit(100))
    for entry in entries:
        try:
            process(entry, channel_of(entry.deployment))
        except (UnknownChannel, SecretUnreadable) as error:
            _mark(entry, LogState.FAILED, f"It could not be read: {error}", [], set())
        except Exception:  # such as a database that is away: it is tried again
            log.exception("webhook %d of %s is left behind", entry.id, entry.deployment.label)
    return len(entries)


def _read(deployment: Deployment, channel: Channel) -> Webhook:
    """Take the request apart; its size is checked before its body is read."""
    most = parley().settings.max_body
    request.max_content_length = most + 1  # a chunked body is cut off there without a word
    if request.method == "POST" and request.mimetype != channel.content_type:
        _refuse(deployment, 415, f"The body must be {channel.content_type}.")
    try:
        body = request.get_data(cache=False)
        if len(body) > most:
            raise RequestEntityTooLarge
    except RequestEntityTooLarge:
        _refuse(deployment, 413, f"The body is larger than {most:,} bytes.")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Webhook(request.method, headers, request.args.to_dict(), body, clock.now())


def _log(deployment: Deployment, channel: Channel, webhook: Webhook) -> WebhookLog:
    secret = _NEVER_STORED | channel.secret_headers
    return WebhookLog.add(
        deployment=deployment,
        received=webhook.received_at,
        method=webhook.method,
        headers={name: clean(value) for name, value in webhook.headers.items() if name not in secret},
        query={clean(name): clean(value) for name, value in webhook.query.items()},
        body=webhook.body,
    )


def _mark(
    entry: WebhookLog, state: LogState, error: str | None, remarks: list[str], identity_ids: set[int]
) -> None:
    with database.atomic():
        WebhookLog.change(entry.id, state=state, error=error, notes=clean_json(remarks))
        for identity_id in sorted(identity_ids):
            run(_NAMES, entry.id, identity_id)


def _refuse(deployment: Deployment | None, status: int, reason: str) -> NoReturn:
    """Refuse a request with a sentence. A note of it is kept, a few a minute at most; its body is not."""
    minute = clock.now().replace(second=0, microsecond=0)
    reason = snippet(clean(reason), 200)
    where = (WebhookRefusal.at == minute) & (WebhookRefusal.reason == reason)
    where &= (
        WebhookRefusal.deployment.is_null()
        if deployment is None
        else WebhookRefusal.deployment == deployment.id
    )
    with database.atomic():
        if not WebhookRefusal.update(count=WebhookRefusal.count + 1).where(where).execute():
            notes = WebhookRefusal.select().where(WebhookRefusal.at == minute).count()
            if notes < _NOTES_A_MINUTE:
                WebhookRefusal.create(deployment=deployment, at=minute, reason=reason)
    raise _Refused(status, reason)


class _Refused(HTTPException):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason, Response(f"{reason}\n", status, content_type="text/plain; charset=utf-8"))
        self.code = status
