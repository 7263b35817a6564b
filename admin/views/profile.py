"""One user in three columns, and what an agent can do there (U1-U4, U6, U7, C1-C6)."""

from typing import Any

from flask import Response, abort, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from peewee import DoesNotExist

from admin import access, words
from admin.access import May
from admin.views import composer, live, properties, reading, shown, stream, who
from admin.views.composer import Tried
from admin.views.property_pages import PropertyPages, opened_by_address
from admin.views.property_rows import CLOSED, Opened, Rows
from admin.views.reading import Known, Subject
from core import handover, outbound
from core.catalogue import catalogue
from core.channel import Author, AuthorKind, Outbound, Reach, TemplateCall
from core.cursor import Cursor
from core.handover import Refused
from core.models import Message, Template, User
from core.outbound import BadMessage, NotYours
from core.placeholders import NotFillable

_PANELS = ("who", "chat", "props")
_KEPT = "Your text is kept."


class ProfilePages(PropertyPages):
    """The pages behind a name of the audience; a part of the audience's view."""

    @expose("/<key>")
    @access.needs(May.READ_AUDIENCE)
    def profile(self, key: str) -> ResponseReturnValue:
        """Show who a user is, what was said, and what can be done."""
        return self._show(access.user(key, to="read_audience"), Tried())

    @expose("/<key>/parts")
    @access.needs(May.READ_AUDIENCE)
    def parts(self, key: str) -> ResponseReturnValue:
        """Return everything of a profile that can change, for an open page."""
        return self._show(access.user(key, to="read_audience"), Tried(), parts=True)

    @expose("/<key>/stream")
    @access.needs(May.READ_AUDIENCE)
    def stream(self, key: str) -> ResponseReturnValue:
        """Return a page of the conversation by itself: before a place, after one, or the newest."""
        subject = reading.read(access.user(key, to="read_audience"), access.operator())
        found = stream.column(subject, _filter(), before=_place("before"), after=_place("after"))
        return render_template(
            "parley/_stream_page.html",
            user={"key": key, "name": subject.person.name, "avatar": subject.person.avatar},
            urls={"page": url_for(".profile", key=key)},
            stream=found,
        )

    @expose("/<key>/live")
    @access.needs(May.READ_AUDIENCE)
    def live_profile(self, key: str) -> Response:
        """Stream that something happened to this user."""
        return live.of_user(access.user(key, to="read_audience"))

    @expose("/<key>/start-chat", methods=["POST"])
    @access.needs(May.START_CHAT)
    def start_chat(self, key: str) -> ResponseReturnValue:
        """Claim this user for the operator who clicked (C1), where the gate lets them write."""
        user = access.user(key, to="start_chat")
        subject, chosen = _subject_and_identity(user)
        if not chosen.reach.allows(Outbound(), _author(subject)):
            return self._show(user, _refused("The chat was not started.", chosen.reach))
        claim = handover.claim(user.id, subject.operator)
        if not claim.is_mine:
            return self._show(user, _taken(claim, "Nothing was changed."))
        return self._done(user)

    @expose("/<key>/messages", methods=["POST"])
    @access.needs(May.START_CHAT)
    def send(self, key: str) -> ResponseReturnValue:
        """Queue what the agent wrote; what may not go out is explained, and kept for them."""
        user = access.user(key, to="start_chat")
        subject, chosen = _subject_and_identity(user)
        text = request.form.get("text", "").replace("\r\n", "\n")
        try:
            filled = composer.filled(subject, text.strip())
            if filled.missing:
                return self._show(user, composer.asks(filled.missing, text))
            sent = outbound.send(
                chosen.identity.id, Outbound(text=filled.text), _author(subject), _request_key(subject)
            )
        except (BadMessage, NotFillable) as error:
            return self._show(user, Tried("bad", str(error), _KEPT, draft=text, status=422))
        except NotYours as error:
            return self._show(user, Tried("warn", "The message was not sent.", f"{error} {_KEPT}", text, 409))
        if sent.message is None:
            return self._show(user, _refused("The message was not sent.", sent.reach, draft=text))
        return self._done(user)

    @expose("/<key>/template", methods=["POST"])
    @access.needs(May.START_CHAT)
    def send_template(self, key: str) -> ResponseReturnValue:
        """Send an approved template; outside the window this is what starts the chat (C3, C5)."""
        user = access.user(key, to="start_chat")
        subject, chosen = _subject_and_identity(user)
        template = _approved(chosen)
        given = {name: request.form.get(f"param-{name}", "").strip() for name in outbound.variables(template)}
        typed: dict[str, Any] = {"template_id": template.id, "parameters": given}
        message = Outbound(template=TemplateCall(template.name, template.language, given))
        try:
            claim, _ = handover.claim_with_template(
                user.id, chosen.identity.id, subject.operator, message, _request_key(subject)
            )
        except BadMessage as error:
            return self._show(
                user, Tried("bad", str(error), "The template was not sent.", status=422, **typed)
            )
        except Refused as refused:
            return self._show(user, _refused("The template was not sent.", refused.reach, **typed))
        if not claim.is_mine:
            return self._show(user, _taken(claim, "The template was not sent."))
        return self._done(user)

    @expose("/<key>/release", methods=["POST"])
    @access.needs(May.START_CHAT)
    def release(self, key: str) -> ResponseReturnValue:
        """Give the conversation back to the bot, with a last message if there is one (C2)."""
        user = access.user(key, to="start_chat")
        subject, chosen = _subject_and_identity(user)
        text = request.form.get("text", "").replace("\r\n", "\n").strip()
        not_done = "The chat was not assigned to the bot."
        try:
            filled = composer.filled(subject, text)
            if filled.missing:
                return self._show(user, composer.asks(filled.missing, text, not_done))
            handover.release(
                user.id,
                subject.operator,
                filled.text,
                identity_id=chosen.identity.id,
                anyone=access.may(May.RELEASE_OTHERS),
            )
        except (BadMessage, NotFillable) as error:
            return self._show(user, Tried("bad", str(error), f"{not_done} {_KEPT}", text, 422))
        except NotYours as error:
            return self._show(user, Tried("warn", not_done, str(error), text, 409))
        except Refused as refused:
            return self._show(user, _refused(not_done, refused.reach, draft=text))
        return self._done(user)

    def _done(self, user: User) -> ResponseReturnValue:
        """Answer what was done: a script with the new state, a browser without one by the page again."""
        if request.headers.get("X-Parley-Parts"):
            return self._show(user, Tried())
        return redirect(url_for(".profile", key=user.key, **_page_arguments()), 303)

    def _show(
        self, user: User, tried: Tried, *, parts: bool = False, opened: Opened | None = None
    ) -> ResponseReturnValue:
        """Render a profile, or its parts, as it is after `tried`, with the property that is `opened`."""
        user = User.get_by_id(user.id)
        subject = reading.read(user, access.operator())
        chosen = subject.chosen(_via())
        parts = parts or bool(request.headers.get("X-Parley-Parts"))
        if parts:
            catalogue(fresh=True)  # the page may have been woken because a definition changed
        arguments = _page_arguments()
        page_url = url_for(".profile", key=user.key)
        wanted = _filter()
        before = None if parts else _place("before")
        after = None if parts or before else _place("after")
        around = None if parts or before or after else _message(user)
        if opened is None:
            opened = CLOSED if parts else opened_by_address()
        rows = Rows(subject, opened)
        asked = request.args.get("dialog", "")
        dialog = "template" if tried.template_id else asked if asked in ("assign", "template") else ""
        context: dict[str, Any] = {
            "user": {"key": user.key, "name": subject.person.name, "avatar": subject.person.avatar},
            "who": who.column(subject, rows),
            "stream": _with_links(
                stream.column(subject, wanted, before=before, after=after, around=around),
                user.key,
                arguments,
                newest=parts or not (before or after or around),
            ),
            "composer": composer.column(subject, chosen, tried, composer.urls(user.key, arguments)),
            "dialogs": composer.dialogs(
                subject, chosen, tried, dialog, request.args.get("template", type=int)
            ),
            "props": properties.column(subject, properties.asked(), rows),
            "filters": _filters(subject, wanted, user.key),
            "shown": request.args.get("panel") if request.args.get("panel") in _PANELS else "chat",
            "dialog": dialog,
            "urls": {
                "page": page_url,
                "stream": url_for(".stream", key=user.key),
                "parts": url_for(".parts", key=user.key),
                "properties": url_for(".properties", key=user.key),
                "live": url_for(".live_profile", key=user.key),
                "audience": url_for(".index_view"),
            },
        }
        template = "parley/_parts.html" if parts else "parley/profile.html"
        status = opened.status if opened.status != 200 else tried.status
        return make_response(self.render(template, **context), status)  # type: ignore[attr-defined]


def _subject_and_identity(user: User) -> tuple[Subject, Known]:
    subject = reading.read(user, access.operator())
    wanted = request.form.get("identity", "")
    chosen = subject.chosen(wanted)
    if chosen is None or (wanted and chosen.identity.key != wanted):
        abort(
            404,
            "This user has no such identity any more. Nothing was sent. Reload the page and choose another.",
        )
    return subject, chosen


def _author(subject: Subject) -> Author:
    return Author(AuthorKind.AGENT, subject.operator.name, subject.operator.id)


def _request_key(subject: Subject) -> str | None:
    return composer.request_key(subject.user.id, subject.operator.id, request.form.get("client_id", ""))


def _approved(chosen: Known) -> Template:
    wanted = request.form.get("template", type=int)
    try:
        found: Template = Template.get(Template.id == wanted, Template.deployment == chosen.deployment)
    except DoesNotExist:
        abort(
            404, "This template is not there any more. Nothing was sent. Reload the page and choose another."
        )
    return found


def _refused(title: str, reach: Reach, draft: str = "", **typed: Any) -> Tried:
    since = f" Closed since {words.day_and_clock(reach.since, shown.now())}." if reach.since else ""
    kept = f" {_KEPT}" if draft else ""
    return Tried("warn", title, f"{reach.sentence}{since} {reach.next_step}{kept}", draft, 409, **typed)


def _taken(claim: handover.Claim, not_done: str) -> Tried:
    since = words.day_and_clock(claim.since, shown.now())
    return Tried("info", f"{claim.name} has this chat since {since}.", not_done, status=409)


def _via() -> str:
    return request.form.get("identity") or request.args.get("via", "")


def _filter() -> stream.Filter:
    author = request.args.get("author", "")
    return stream.Filter(author if author in stream.AUTHORS else "", request.args.get("channel", ""))


def _place(argument: str) -> Cursor | None:
    text = request.args.get(argument)
    if not text:
        return None
    try:
        place = Cursor.parse(text)
    except ValueError as error:
        abort(400, str(error))
    if place.at is None:
        abort(400, "The place in the conversation cannot be read. Open the conversation again.")
    return place


def _message(user: User) -> Cursor | None:
    """Return the place of the message that the address names, or None where this user has no such message."""
    wanted = request.args.get("message", "")
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 19):
        return None
    found = Message.find(id=int(wanted), user=user.id)
    return Cursor(found.at, found.id) if found is not None else None


def _page_arguments() -> dict[str, Any]:
    """Return what a link of the page keeps: the filter, and the identity that is written to."""
    wanted = _filter()
    kept = {"author": wanted.author, "channel": wanted.channel, "via": _via()}
    return {name: value for name, value in kept.items() if value}


def _filters(subject: Subject, wanted: stream.Filter, key: str) -> dict[str, Any]:
    channels = {one.channel["name"]: one.channel for one in subject.known}
    kept: dict[str, Any] = {"channel": wanted.channel} if wanted.channel else {}
    return {
        "author": wanted.author,
        "channel": wanted.channel,
        "channels": list(channels.values()),
        "author_urls": {
            author: url_for(".profile", key=key, author=author or None, **kept)
            for author in ("", *stream.AUTHORS)
        },
    }


def _with_links(
    found: dict[str, Any], key: str, arguments: dict[str, Any], *, newest: bool
) -> dict[str, Any]:
    """Add the links by which a browser without scripts walks the conversation."""
    older, newer = found["older"], found["newer"]
    return {
        **found,
        "older_url": url_for(".profile", key=key, **arguments, before=older) if older else None,
        "newer_url": url_for(".profile", key=key, **arguments, after=newer) if newer else None,
        "newest_url": None if newest else url_for(".profile", key=key, **arguments),
    }
