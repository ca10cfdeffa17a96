"""Tickets: a connect URL's stand-in for a token, good once and for seconds only."""

import math
import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import orjson

from ..broker.base import Registry
from .claims import grants
from .identity import Identity, Level
from .refusals import expired, invalid
from .signing import Signer

LIFETIME_S = 30
_BYTES = 24
_TEXT = 32  # characters of base64url that _BYTES make


class Tickets:
    """Issues tickets and takes them back, by way of the registry that all nodes share.

    Only a digest of the ticket is stored: who reads the storage can't connect. With a `signer`, who writes to
    it can't make up an identity either. The identity is stored as it stood; whether its token was revoked
    meanwhile is for the caller to check.
    """

    def __init__(self, registry: Registry, clock: Callable[[], float], signer: Signer | None = None) -> None:
        self._registry = registry
        self._clock = clock
        self._signer = signer

    async def issue(self, identity: Identity) -> tuple[str, int]:
        """A ticket that speaks for `identity`, and its life in whole seconds.

        Raises:
            HubError: ``token_expired`` where less than a second of the token is left, ``unavailable``.
        """
        left = math.floor(min(LIFETIME_S, identity.expires_at - self._clock()))
        if left < 1:
            raise expired("the token expires too soon for a ticket")
        ticket = secrets.token_urlsafe(_BYTES)
        digest = _digest(ticket)
        await self._registry.put_ticket(digest, self._seal(dump(identity), digest), left)
        return ticket, left

    async def redeem(self, ticket: str) -> Identity:
        """Whom the ticket speaks for; it is worth nothing afterwards.

        Raises:
            HubError: ``token_invalid``, ``token_expired``, ``unavailable``.
        """
        if len(ticket) != _TEXT:
            raise invalid("this is no ticket")
        digest = _digest(ticket)
        stored = await self._registry.take_ticket(digest)
        if stored is None:
            raise invalid(f"the ticket is unknown: used before, or older than {LIFETIME_S} s")
        identity = load(self._open(stored, digest))
        if identity.expires_at <= self._clock():
            raise expired("the token that the ticket stood for has expired")
        return identity

    def _seal(self, record: bytes, digest: str) -> bytes:
        return record if self._signer is None else self._signer.sign(record, digest.encode()).encode()

    def _open(self, stored: bytes, digest: str) -> bytes:
        """The record, empty where it is not this hub's."""
        if self._signer is None:
            return stored
        return self._signer.verify(stored.decode("ascii", "replace"), digest.encode()) or b""


def dump(identity: Identity) -> bytes:
    """An identity as JSON."""
    return orjson.dumps(
        {
            "v": 1,
            "user": identity.user,
            "name": identity.name,
            "exp": None if math.isinf(identity.expires_at) else identity.expires_at,
            "iat": identity.issued_at,
            "jti": identity.jti,
            "service": identity.service,
            "channels": identity.channels,
            "info": None if identity.info is None else orjson.Fragment(identity.info),
            "grants": [
                identity.grants.subscribe.patterns,
                identity.grants.publish.patterns,
                identity.grants.presence.patterns,
            ],
            "control": int(identity.control),
            "admin": int(identity.admin),
        }
    )


def load(data: bytes) -> Identity:
    """The identity that `dump` wrote.

    Raises:
        HubError: ``token_invalid``: another version of the hub wrote it, or a stranger.
    """
    try:
        value = orjson.loads(data)
        if value["v"] != 1:
            raise ValueError("another version")
        return _identity(value)
    except (ValueError, KeyError, TypeError):
        raise invalid("the ticket's record can't be read: ask for another ticket") from None


def _identity(value: dict[str, Any]) -> Identity:
    subscribe, publish, presence = (tuple(each) for each in value["grants"])
    info = value["info"]
    return Identity(
        user=value["user"],
        expires_at=math.inf if value["exp"] is None else value["exp"],
        grants=grants(subscribe, publish, presence),
        channels=tuple(value["channels"]),
        info=None if info is None else bytes(memoryview(orjson.dumps(info))),  # copied: see claims
        service=value["service"],
        issued_at=value["iat"],
        jti=value["jti"],
        name=value["name"],
        # A node of 0.1 writes neither: its services may do all that they may there.
        control=Level(value.get("control", Level.WRITE if value["service"] else Level.NONE)),
        admin=Level(value.get("admin", Level.NONE)),
    )


def _digest(ticket: str) -> str:
    return sha256(ticket.encode(errors="surrogatepass")).hexdigest()
