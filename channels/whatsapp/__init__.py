"""WhatsApp by the Cloud API of Meta: webhooks in, messages and approved templates out.

What a message of a user becomes: a kind, a `text` for lists and search (empty only where the user sent an
empty text), and a payload for the screens. A key is there only when it holds something; every value is text
unless a type is given.

    kind       text                     keys of payload
    text       the words                -
    image, video, audio, voice, file, sticker
               caption, file name,      id, mime_type, sha256, filename, caption, url, animated (true)
               or what it is: "Photo"
    location   name and address,        latitude, longitude, name, address, url
               or the coordinates
    contacts   the names                contacts: [name, phones: [number, type, wa_id], emails: [text],
                                        urls: [text], addresses: [text], organisation, birthday, origin,
                                        vcard]
    picked     what was picked          source (button, list, template, flow), title, id, description;
                                        of a flow: name, and answers (object) or response
    reaction   the emoji, or            emoji ("" when taken back), message_id, removed (bool)
               "Reaction removed"
    order      what was ordered         items: [product, quantity, price, currency], catalog_id, note
    template   its name                 template: {name, language}; only a colleague's, see Echoed
    edited     the new words            original_id; of the new: kind, content (its payload)
    deleted    "Message deleted"        original_id
    system     the notice               event, acknowledged (bool), hash
    unknown    its words, or what       type, hint (what WhatsApp says that it was), raw (the message as it
               it is                    came)

With any kind: `referral` (the ad or post that brought this message: the keys of Footprint), `product` (which
was asked about: catalog_id, id), `forwarded` ("once" or "often"), `errors` ([code, title, details]). The
message that is answered, reacted to, edited or deleted is `reply_to`.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import date, timedelta
from functools import cached_property
from typing import Annotated, ClassVar
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from channels.whatsapp import templates
from channels.whatsapp.parse import parse
from channels.whatsapp.people import BSUID, PARENT_BSUID, USERNAME, WA_ID
from channels.whatsapp.read import as_text
from channels.whatsapp.send import LONGEST_TEXT, Api, request_body
from core import (
    Capabilities,
    Channel,
    Event,
    Health,
    Outbound,
    Outside,
    Receipt,
    Reply,
    Rules,
    SendError,
    Side,
    Template,
    VerificationError,
    Webhook,
    hookimpl,
)

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _address(url: str) -> str:
    """Refuse an address that would carry the token in clear; this machine may play the provider."""
    parts = urlsplit(url)
    if not parts.hostname or parts.query or parts.fragment:
        raise ValueError("Give the start of an address, such as https://graph.facebook.com.")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("Only https carries the access token safely. Begin the address with https://.")
    return url.rstrip("/")


def _header_word(secret: SecretStr) -> SecretStr:
    """Take a secret without the blanks that come along when it is pasted; it goes into a header."""
    word = secret.get_secret_value().strip()
    if not word or not word.isascii() or not word.isprintable() or " " in word:
        raise ValueError("Letters, digits and signs without a space are expected. Copy it again.")
    return SecretStr(word)


_Id = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
_Secret = Annotated[SecretStr, AfterValidator(_header_word)]


class WhatsApp(Channel):
    """One WhatsApp number.

    Aliases, strongest first: the business-scoped user id (a new one comes when the user's number changes, and
    WhatsApp says so), the same of the parent business, the number, the username. A number or a username alone
    names nobody for good: users hide the one and change the other, and both pass to somebody else.
    """

    name, label = "whatsapp", "WhatsApp"
    rules: ClassVar[Rules] = Rules(
        starts=Side.EITHER,
        window=timedelta(hours=24),  # since the user's last message, by the provider's time
        outside=Outside.TEMPLATE,
        source="Meta, WhatsApp Business Platform: customer service windows, and error 131047",
        as_of=date(2026, 11, 23),
        in_words=(
            "Each message of the user opens 24 hours for free messages. After that, and to start a "
            "conversation with a user who agreed to it, an approved template is needed."
        ),
    )
    capabilities = Capabilities(text=LONGEST_TEXT, templates=True, receipts=True)
    alias_labels: ClassVar = {
        BSUID: "WhatsApp user id",
        PARENT_BSUID: "WhatsApp user id (parent)",
        WA_ID: "WhatsApp number",
        USERNAME: "WhatsApp username",
    }
    secret_headers = frozenset({"x-hub-signature-256", "x-hub-signature"})

    class Config(BaseModel):
        """What the app dashboard of Meta shows for one number."""

        model_config = ConfigDict(hide_input_in_errors=True)  # an error must not show a mistyped secret

        phone_number_id: _Id = Field(title="Phone number id", description="Not the number: the id beside it.")
        waba_id: _Id = Field(title="WhatsApp Business Account id", description="Whose templates are offered.")
        access_token: _Secret = Field(
            title="Access token",
            description="Of a system user, with whatsapp_business_messaging and _management.",
        )
        app_secret: _Secret = Field(title="App secret", description="Proves that a webhook comes from Meta.")
        verify_token: SecretStr = Field(
            min_length=1, title="Verify token", description="Any words of yours; Meta repeats them once."
        )
        api_version: str = Field("v23.0", title="API version", pattern=r"^v\d{1,3}\.\d{1,2}$")
        base_url: Annotated[str, AfterValidator(_address)] = Field(
            "https://graph.facebook.com", title="Address of the API"
        )

    class Footprint(BaseModel):
        """What WhatsApp says of how a user came: the ad or post that was tapped."""

        source: str = Field("", title="Came from")
        headline: str = Field("", title="Headline")
        body: str = Field("", title="Text of the ad")
        source_url: str = Field("", title="Link")
        source_id: str = Field("", title="Ad or post id")
        ctwa_clid: str = Field("", title="Click id", json_schema_extra={"personal": True})
        media_type: str = Field("", title="Media")
        media_url: str = Field("", title="Media link")
        welcome: str = Field("", title="Greeting of the ad")

    config: Config

    def verify(self, webhook: Webhook) -> Reply | None:
        """Answer the handshake of a GET; check the signature of a POST, over the raw bytes."""
        if webhook.method == "GET":
            return self._handshake(webhook)
        given = webhook.headers.get("x-hub-signature-256", "").strip()
        if not given:
            raise VerificationError("The signature is missing.")
        secret = self.config.app_secret.get_secret_value().encode()
        expected = f"sha256={hmac.new(secret, webhook.body, hashlib.sha256).hexdigest()}"
        # As bytes: compare_digest raises TypeError on a text that is not ASCII, as a header may be.
        if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass")):
            raise VerificationError("The signature does not fit the body. Is the app secret the right one?")
        return None

    def parse(self, webhook: Webhook) -> Sequence[Event]:
        """Return everything that the body says; raises ValueError when it is not JSON."""
        return parse(webhook.body, webhook.received_at)

    def send(self, message: Outbound) -> Receipt:
        """Send a text or an approved template; raises SendError."""
        return self._api.send(quote(self.config.phone_number_id, safe=""), request_body(message))

    def check(self) -> Health:
        """Read the number's own entry, which proves token and id."""
        query = {"fields": "id,display_phone_number,verified_name,quality_rating"}
        try:
            found = self._api.call("GET", quote(self.config.phone_number_id, safe=""), params=query)
        except SendError as error:
            return Health(False, str(error), account=self.config.phone_number_id)
        number = as_text(found.get("display_phone_number"))
        if not number:
            return Health(
                False, "WhatsApp answered, but named no number.", account=self.config.phone_number_id
            )
        place = " · ".join(filter(None, (number, as_text(found.get("verified_name")))))
        return Health(
            True, f"WhatsApp knows this number: {place}.", place=place, account=self.config.phone_number_id
        )

    def templates(self) -> Sequence[Template]:
        """Return all templates of the account, approved or not; raises SendError."""
        return templates.fetch(self._api, quote(self.config.waba_id, safe=""))

    @cached_property
    def _api(self) -> Api:
        token = self.config.access_token.get_secret_value()
        return Api(self.http, f"{self.config.base_url}/{self.config.api_version}", token)

    def _handshake(self, webhook: Webhook) -> Reply:
        given = webhook.query.get("hub.verify_token", "").encode("utf-8", "surrogatepass")
        expected = self.config.verify_token.get_secret_value().encode()
        if webhook.query.get("hub.mode") != "subscribe" or not hmac.compare_digest(expected, given):
            raise VerificationError("The verify token is another one, or this is no handshake.")
        return Reply(webhook.query.get("hub.challenge", ""))


@hookimpl
def register_channels() -> Sequence[type[Channel]]:
    """Bring the channel `whatsapp`."""
    return [WhatsApp]
