"""The widget's files and its API, under `/web/<deployment key>/`."""

from collections.abc import Iterator
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, g, jsonify, request
from flask.blueprints import BlueprintSetupState

from channels.web import feed, tokens, visitors
from channels.web.config import LONGEST_TEXT, WebConfig
from channels.web.footprint import known_zone, language_of, of_device, of_page
from channels.web.limits import EXTENSION, READS_EACH, TOKENS_ALL, TOKENS_EACH, Limits, limits, source
from channels.web.problems import Consent, Nothing, Problem, Seen, Writing, body_as
from channels.web.visitors import VISITOR, Visitor
from core import Alias, Channel, Delivery, Profile, Received, clock
from core.context import parley
from core.db import database
from core.deployments import channel_of
from core.inbound import accept
from core.models import Deployment, Identity, Message, User
from core.secrets import SecretUnreadable

blueprint = Blueprint("web_channel", __name__)

_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_FILES = {
    file.name: (file.read_bytes(), kind)
    for file in files(__package__).joinpath("static").iterdir()
    for suffix, kind in _TYPES.items()
    if file.name.endswith(suffix)
}
_NAMES = ",".join(f'"{name}"' for name in sorted(_FILES))
_PAGE = 40


@blueprint.record_once
def _start_counting(state: BlueprintSetupState) -> None:
    state.app.extensions[EXTENSION] = Limits()


@blueprint.url_value_preprocessor
def _find_deployment(endpoint: str | None, values: dict[str, Any] | None) -> None:
    g.web_key = (values or {}).pop("deployment_key", "")
    g.pop("web_deployment", None)


@blueprint.before_request
def _check_page() -> None:
    """Refuse what is not for this widget.

    The origin keeps the scripts of other sites out; it proves nothing about who asks.
    """
    found = Deployment.get_or_none(
        Deployment.key == g.web_key, Deployment.channel == "web", Deployment.enabled
    )
    if found is None:
        raise Problem(404, "no_chat", "There is no chat at this address. Check the key in the script tag.")
    g.web_deployment = found
    is_file = request.endpoint == f"{blueprint.name}.{asset.__name__}"
    if not is_file and not _is_allowed(request.headers.get("Origin")):
        sentence = "This site may not carry this chat. An admin can add its origin to the widget."
        raise Problem(403, "origin", sentence)


@blueprint.after_request
def _let_pages_read(response: Response) -> Response:
    """Let the pages that may carry the widget read the answer, whatever it is."""
    response.headers.add("Vary", "Origin")
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    origin = request.headers.get("Origin")
    if "web_deployment" in g and origin and _is_allowed(origin):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, POST"
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            response.headers["Access-Control-Max-Age"] = "3600"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


@blueprint.get(f"/<any({_NAMES}):name>")
def asset(name: str) -> Response:
    """Serve a file of the widget.

    The browser asks each time whether it is still the same, so that its parts fit each other.
    """
    content, kind = _FILES[name]
    response = Response(content, content_type=kind)
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.add_etag()
    response.make_conditional(request)
    return response


@blueprint.get("/settings")
def settings() -> Response:
    """Say how the widget looks; nothing here is secret."""
    limits().spend("reads", READS_EACH, _source())
    config = _config()
    return jsonify(
        name=config.name,
        greeting=config.greeting,
        topics=list(config.topics),
        bot_name=config.bot_name,
        note=config.note,
        privacy_url=config.privacy_url,
        accent=config.accent,
        consent=config.consent,
        max_text=LONGEST_TEXT,
    )


@blueprint.post("/token")
def token() -> Response:
    """Give a new visitor a token, or renew the one that is shown.

    No user comes of it: that is for the first message.
    """
    limits().spend("token", TOKENS_EACH, g.web_key, _source())
    limits().spend("token", TOKENS_ALL, g.web_key)
    body_as(Nothing)
    name = tokens.new_visitor() if _bearer() is None else _visitor(renewing=True).name
    issued = tokens.issue(g.web_key, name)
    return jsonify(token=issued.text, expires_at=issued.expires.isoformat())


@blueprint.get("/messages")
def messages() -> Response:
    """Return the newest messages, those `before` one, or what changed `after` a cursor."""
    limits().spend("reads", READS_EACH, _source())
    visitor = _visitor()
    limit = min(max(_number("limit") or _PAGE, 1), feed.MOST)
    before, after = _number("before"), _number("after")
    if visitor.identity is None:
        nobody = {"kind": "bot", "name": _config().bot_name, "since": None}
        return jsonify(messages=[], cursor="0", more=False, handler=nobody, typing=False)
    upto = _reached(visitor.identity)
    if before is not None:
        oldest = feed.one(visitor.identity, before)
        if oldest is None:
            raise Problem(422, "invalid", "before: this chat has no such message.", field="before")
        found, more = feed.newest(visitor.identity, limit, oldest)
    elif after is not None:
        found, upto, more = feed.changed(visitor.identity, min(after, upto), upto)
    else:
        found, more = feed.newest(visitor.identity, limit)
    name = _config().bot_name
    shown = [feed.as_json(message, name) for message in found]
    return jsonify(messages=shown, cursor=str(upto), more=more, **feed.state_of(visitor.identity, name))


@blueprint.post("/messages")
def write() -> Response:
    """Store what a visitor wrote or chose: once, however often its `client_id` comes."""
    config = _config()
    limits().spend("messages", config.limit_visitor, g.web_key, _source())
    limits().spend("messages", config.limit_all, g.web_key)
    body = body_as(Writing)
    visitor = _visitor()
    provider_id = f"{visitor.name}:{body.client_id}"
    now = clock.now()
    event = Received(
        at=now,
        id=provider_id,
        aliases=(Alias(VISITOR, visitor.name),),
        profile=Profile(language=language_of(body.language), timezone=known_zone(body.timezone)),
        footprint=_footprint(body, config),
        **_content(body, visitor),
    )
    with database.atomic():
        visitors.find(visitor.deployment, visitor.name)  # one ended meanwhile does not begin anew
        accept(visitor.deployment, event, now)
    stored = Message.get(Message.deployment == visitor.deployment, Message.provider_id == provider_id)
    identity = Identity.get_by_id(stored.identity_id)
    return jsonify(message=feed.as_json(stored, config.bot_name), **feed.state_of(identity, config.bot_name))


@blueprint.post("/receipts")
def receipts() -> tuple[str, int]:
    """Record how far the visitor's browser came with what was written to it."""
    limits().spend("reads", READS_EACH, _source())
    body = body_as(Seen)
    identity = _visitor().known
    upto = feed.one(identity, int(body.message))
    if upto is None:
        raise Problem(422, "invalid", "message: this chat has no such message.", field="message")
    feed.acknowledge(identity, upto, Delivery(body.state))
    return "", HTTPStatus.NO_CONTENT


@blueprint.get("/stream")
def stream() -> Response:
    """Tell the page, as long as it stays open, when there is something to fetch."""
    limits().spend("reads", READS_EACH, _source())
    visitor = _visitor()
    identity = visitor.known
    hub, counters, whom = parley().hub, limits(), _source()
    counters.refuse_more_streams(whom)
    user_key = User.get_by_id(identity.user_id).key
    after = _number("after") or 0

    def still_good() -> bool:
        return visitors.is_good(visitor.deployment.id, visitor.name)

    def events() -> Iterator[str]:
        with counters.stream(whom):
            yield from feed.stream(hub, identity, user_key, after, still_good)

    response = Response(events(), content_type="text/event-stream; charset=utf-8")
    response.headers["X-Accel-Buffering"] = "no"  # nginx would hold the stream back until it is full
    return response


@blueprint.post("/end")
def end() -> tuple[str, int]:
    """End the chat: the visitor's tokens are revoked."""
    body_as(Nothing)
    visitors.end(_visitor())
    return "", HTTPStatus.NO_CONTENT


@blueprint.get("/stored")
def stored() -> Response:
    """Tell a visitor what is kept about them."""
    limits().spend("reads", READS_EACH, _source())
    identity = _visitor().identity
    if identity is None:
        return jsonify(messages=0, since=None, rows=[])
    kept = Message.select().where(feed.visible(identity))
    rows = _channel().footprint_card({**identity.first_footprint, **identity.last_footprint})
    return jsonify(messages=kept.count(), since=identity.created.isoformat(), rows=rows)


@blueprint.post("/consent")
def consent() -> tuple[str, int]:
    """Keep or remove device data, as the visitor has just decided."""
    limits().spend("messages", _config().limit_visitor, g.web_key, _source())
    body = body_as(Consent)
    visitor = _visitor()
    if visitor.identity is not None:
        allowed = body.device and _config().consent == "ask"
        visitors.keep_device(visitor, of_device(_user_agent(), body.screen, _ip()) if allowed else {})
    return "", HTTPStatus.NO_CONTENT


def _content(body: Writing, visitor: Visitor) -> dict[str, Any]:
    if body.picked is None:
        if len(body.text) > LONGEST_TEXT:
            length = f"{len(body.text):,} characters; {LONGEST_TEXT:,} fit"
            sentence = f"The message has {length}. Shorten it to send."
            raise Problem(422, "too_long", sentence, field="text")
        return {"kind": "text", "text": body.text}
    asked = feed.one(visitor.known, int(body.picked.message))
    offered = feed.buttons(asked) if asked else []
    if body.picked.index >= len(offered):
        raise Problem(422, "invalid", "picked: this choice was not offered.", field="picked")
    title, button = offered[body.picked.index]
    identifier = button.get("payload")
    payload = {"source": "button", "title": title, "id": identifier if isinstance(identifier, str) else title}
    return {"kind": "picked", "text": title, "payload": payload}


def _footprint(body: Writing, config: WebConfig) -> dict[str, str]:
    footprint = of_page(body.page.model_dump(), body.language, body.timezone)
    if config.consent == "given" or (config.consent == "ask" and body.consent is True):
        footprint |= of_device(_user_agent(), body.screen, _ip())
    return footprint


def _visitor(*, renewing: bool = False) -> Visitor:
    """Return who sends this request, by the token in its header; raises Problem 401."""
    text = _bearer()
    if text is None:
        raise Problem(401, "no_token", "A token is missing: ask for one at /token.")
    try:
        token = tokens.read(text, g.web_key, grace=tokens.GRACE if renewing else tokens.NO_GRACE)
    except tokens.BadToken as error:
        raise Problem(401, "expired" if error.expired else "bad_token", str(error)) from None
    return visitors.find(g.web_deployment, token.visitor)


def _bearer() -> str | None:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" and text.strip() else None


def _number(name: str) -> int | None:
    text = request.args.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Problem(422, "invalid", f"{name}: a number is expected.", field=name)
    return int(text)


def _reached(identity: Identity) -> int:
    return int(User.select(User.event_seq).where(User.id == identity.user_id).scalar())


def _is_allowed(origin: str | None) -> bool:
    if origin is None:
        return True
    public = urlsplit(parley().settings.public_url)
    own = (request.host_url.rstrip("/"), f"{public.scheme}://{public.netloc}")
    return origin.lower() in (*own, *_config().origins) or "*" in _config().origins


def _channel() -> Channel:
    try:
        return channel_of(g.web_deployment)
    except SecretUnreadable:
        current_app.logger.exception("the widget %s cannot be served", g.web_deployment.label)
        raise Problem(503, "unavailable", "This chat cannot be served now.", retry_after=60) from None


def _config() -> WebConfig:
    config: WebConfig = _channel().config
    return config


def _ip() -> str:
    return request.remote_addr or ""


def _source() -> str:
    return source(_ip())


def _user_agent() -> str:
    return request.headers.get("User-Agent", "")
