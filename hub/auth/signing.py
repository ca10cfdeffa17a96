"""Signed bytes that go out to strangers and come back."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from binascii import Error

from . import base64url

# Half of the digest, as RFC 2104 section 5 allows: 128 bits.
_TAG_BYTES = 16
_TEXT = re.compile(r"[A-Za-z0-9_-]+\Z")


class Signer:
    """HMAC-SHA256 under a key of its own for each purpose.

    The key is derived from the secret and the purpose as HKDF does it (RFC 5869), so that what was signed for
    one purpose means nothing to another, though both have the same secret. Signed is not encrypted.
    """

    __slots__ = ("_key",)

    def __init__(self, secret: str | bytes, purpose: str) -> None:
        material = secret.encode() if isinstance(secret, str) else secret
        if not material:
            raise ValueError("a signer needs a secret")
        extracted = hmac.digest(b"hub.v1", material, hashlib.sha256)
        self._key = hmac.digest(extracted, purpose.encode() + b"\x01", hashlib.sha256)

    def sign(self, payload: bytes, context: bytes = b"") -> str:
        """Base64url of `payload` and its tag. `context` is signed but not sent: `verify` must know it."""
        return urlsafe_b64encode(payload + self._tag(payload, context)).rstrip(b"=").decode()

    def verify(self, text: str, context: bytes = b"") -> bytes | None:
        """The payload, or None where this signer never signed it in this context."""
        if _TEXT.match(text) is None:
            return None
        try:
            data = base64url.decode(text)
        except Error:
            return None
        payload, tag = data[:-_TAG_BYTES], data[-_TAG_BYTES:]
        return payload if hmac.compare_digest(tag, self._tag(payload, context)) else None

    def _tag(self, payload: bytes, context: bytes) -> bytes:
        message = len(context).to_bytes(8, "big") + context + payload
        return hmac.digest(self._key, message, hashlib.sha256)[:_TAG_BYTES]
