"""What bots send and nobody defined: shown, adopted, refused for good, and reconsidered (P9)."""

from typing import TYPE_CHECKING, Any

from flask import abort, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose

from admin import access, words
from admin.access import May
from core import proposals
from core.context import parley
from core.proposals import Proposal

if TYPE_CHECKING:

    class _View:
        def done(self, said: str, key: str = "", **arguments: Any) -> ResponseReturnValue: ...

else:
    _View = object


class ProposalPages(_View):
    """The tab of proposals; a part of the view of definitions."""

    def proposed(self, at: words.Now) -> dict[str, Any]:
        """Return what the tab shows; examples are values of users, so not every role sees them."""
        return {
            "proposals": [_described(one, at) for one in proposals.proposals()],
            "refused": [_described(one, at) for one in proposals.proposals(refused=True)],
            "shows_examples": access.sight().clear,
        }

    @expose("/proposed-keys/<key>/refuse", methods=["POST"])
    @access.needs(May.DEFINE_PROPERTIES)
    def refuse(self, key: str) -> ResponseReturnValue:
        """Propose a key never again."""
        try:
            proposals.refuse(key)
        except LookupError as error:
            abort(404, str(error))
        return self.done(f"`{key}` is refused, and its values are forgotten.", show="proposed")

    @expose("/proposed-keys/<key>/reconsider", methods=["POST"])
    @access.needs(May.DEFINE_PROPERTIES)
    def reconsider(self, key: str) -> ResponseReturnValue:
        """Let a refused key be proposed again."""
        try:
            proposals.reconsider(key)
        except LookupError as error:
            abort(404, str(error))
        return self.done(f"`{key}` is proposed again as soon as the bot sends it.", show="proposed")


def adopted(key: str) -> Proposal | None:
    """Return the proposal of a key that is to be adopted; None where none is asked for."""
    if not key:
        return None
    found = next((one for one in proposals.proposals() if one.key == key), None)
    if found is None:
        abort(
            404,
            "The bot’s key is not proposed any more: somebody adopted or refused it. Nothing was changed.",
        )
    return found


def _described(one: Proposal, at: words.Now) -> dict[str, Any]:
    kind = parley().manager.property_types.get(one.looks_like)
    return {
        "key": one.key,
        "actor": one.actor,
        "times": words.counted(one.offers, "time"),
        "users": words.counted(one.users, "user"),
        "first": words.moment(one.first, at),
        "last": words.moment(one.last, at),
        "examples": one.examples if access.sight().clear else [],
        "type": {"label": kind.label if kind else one.looks_like, "icon": kind.icon if kind else "alert"},
        "urls": {
            "adopt": url_for(".new", adopts=one.key),
            "refuse": url_for(".refuse", key=one.key),
            "reconsider": url_for(".reconsider", key=one.key),
        },
    }
