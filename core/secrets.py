"""Derive one key per purpose from the secret key, and encrypt what must not be read at rest."""

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class SecretUnreadable(Exception):
    """A stored secret was written under another secret key."""


class Keys:
    """The keys of one installation: a leak of one of them does not open the others."""

    def __init__(self, secret_key: str) -> None:
        self._secret = secret_key.encode()
        self._fernet = Fernet(base64.urlsafe_b64encode(self.derive("encryption")))

    def derive(self, purpose: str) -> bytes:
        """Return the 32 bytes that belong to `purpose`, such as "cookies" or "visitor-tokens"."""
        return HKDF(hashes.SHA256(), 32, salt=b"parley", info=purpose.encode()).derive(self._secret)

    def encrypt(self, text: str) -> str:
        """Encrypt `text` for storage."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        """Decrypt what `encrypt` returned; raises SecretUnreadable when the secret key is another one."""
        try:
            return self._fernet.decrypt(token.encode()).decode()
        except InvalidToken:
            raise SecretUnreadable(
                "A stored secret cannot be read: PARLEY_SECRET_KEY is not the key it was written with. "
                "Nothing was changed. Start with the former key, or enter the secret again."
            ) from None
