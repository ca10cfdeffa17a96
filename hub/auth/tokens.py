"""Who a token speaks for: signature, times, addressee, claims; and the memory of what was found out."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Protocol

from ..protocol.errors import HubError
from . import claims, jws
from .channel_right import ChannelRight
from .identity import Identity
from .keys import Key, Keys, refusal
from .refusals import invalid

Proven = Identity | ChannelRight
REMEMBERED = 16384


class Provider(Protocol):
    """How tokens of an identity provider are read, which say nothing of channels."""

    def speaks_for(self, key: Key) -> bool:
        """Whether a token by this key is the provider's."""

    def read(self, key: Key, found: Mapping[str, Any], now: float, leeway: float) -> Proven:
        """What its claims prove; raises `HubError`."""

    def explain(self, found: Mapping[str, Any]) -> list[str]:
        """Where its rights come from, in words."""


class Authenticator:
    """Checks tokens: those that say who somebody is, and those for one channel.

    A good token is remembered by its SHA-256 until it expires, so that a storm of reconnects costs a hash for
    each: at least the `remembered` last used ones, and at most twice as many. The memory is dropped when the keys'
    `version` changes. Bad tokens are not remembered: refusing one is cheap, and remembering them would let
    strangers push good ones out. `algorithms` None accepts what the keys do. `clock` gives Unix seconds; `leeway`
    is for `nbf` and `iat`; no token may end more than `max_life` seconds from now.
    """

    def __init__(
        self,
        keys: Keys,
        algorithms: Sequence[str] | None = None,
        issuer: str | None = None,
        audience: str | None = None,
        leeway: float = claims.LEEWAY_S,
        clock: Callable[[], float] = time.time,
        remembered: int = REMEMBERED,
        max_life: float = math.inf,
        provider: Provider | None = None,
    ) -> None:
        self._provider = provider
        self._keys = keys
        self._algorithms = None if algorithms is None else tuple(algorithms)
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway
        self._clock = clock
        self._remembered = remembered
        self._max_life = max_life
        # Two generations, the older one forgotten as a whole: a table in which entries come and go one by one
        # is rebuilt again and again, in megabytes that the allocator does not get back.
        self._recent: dict[bytes, Proven] = {}
        self._older: dict[bytes, Proven] = {}
        self._version = keys.version()

    async def verify(self, token: str) -> Identity:
        """The identity that a token proves.

        Raises:
            HubError: ``unauthenticated``, ``token_invalid`` or ``token_expired`` with the exact reason, and
                ``unavailable`` where the keys can't be had just now.
        """
        found = await self.read(token)
        if isinstance(found, ChannelRight):
            raise invalid("this token is for one channel only (claim channel): it goes with subscribe")
        return found

    async def verify_channel(self, token: str) -> ChannelRight:
        """The right that a channel token proves; whose it is and for which channel is for the caller to compare.

        Raises:
            HubError: as `verify`.
        """
        found = await self.read(token)
        if isinstance(found, Identity):
            raise invalid("this is no channel token: the claim channel is missing")
        return found

    async def read(self, token: str) -> Proven:
        """What a token proves, of whichever kind it is.

        Raises:
            HubError: as `verify`.
        """
        digest = _digest(token)
        known = self._recall(digest)
        if known is not None:
            return known
        found = await self._check(token)
        self._drop_outdated()
        self._remember(digest, found)
        return found

    def verify_cached(self, token: str) -> Identity | None:
        """The identity of a token that was verified before and still holds, without waiting; else None."""
        known = self._recall(_digest(token))
        return known if isinstance(known, Identity) else None

    def _recall(self, digest: bytes) -> Proven | None:
        self._drop_outdated()
        known = self._recent.get(digest)
        if known is None:
            known = self._older.pop(digest, None)
            if known is None:
                return None
            self._remember(digest, known)
        if known.expires_at <= self._clock():
            del self._recent[digest]
            return None
        return known

    async def explain(self, token: str) -> list[str]:
        """Which role gave which right, of a token that `read` has taken; nothing where no role counts.

        Raises:
            HubError: as `verify`.
        """
        key, found = await self._proven_claims(token)
        if self._provider is None or not self._provider.speaks_for(key):
            return []
        return self._provider.explain(found)

    async def _check(self, token: str) -> Proven:
        key, claimed = await self._proven_claims(token)
        try:
            return self._living(self._read(key, claimed))
        except HubError as error:
            # The signature is good, so it is known whom this is about.
            error.user = claimed["sub"] if isinstance(claimed.get("sub"), str) else None
            raise

    def _living(self, found: Proven) -> Proven:
        """What a token proves, unless it lives for too long."""
        life = found.expires_at - self._clock()
        if life > self._max_life:
            most = claims.span(self._max_life)
            raise invalid(f"the token lives for {claims.span(life)} more, {most} are allowed (claim exp)")
        return found

    async def _proven_claims(self, token: str) -> tuple[Key, dict[str, Any]]:
        parsed = jws.parse(token)
        if self._algorithms is not None and (why := refusal(parsed.algorithm, self._algorithms)) is not None:
            raise invalid(why)
        keys = await self._keys.keys_for(parsed)
        for key in keys:
            if key.verifies(parsed):
                return key, jws.claims(parsed)
        raise invalid("the signature does not match: another key signed this token, or it was changed")

    def _read(self, key: Key, found: dict[str, Any]) -> Proven:
        if self._provider is not None and self._provider.speaks_for(key):
            return self._provider.read(key, found, self._clock(), self._leeway)
        claims.check_addressed(found, self._issuer, self._audience)
        if claims.is_channel_token(found):
            return claims.channel_right(found, self._clock(), self._leeway)
        return claims.identity(found, self._clock(), self._leeway)

    def _remember(self, digest: bytes, proven: Proven) -> None:
        if not self._remembered:
            return
        if len(self._recent) >= self._remembered:
            self._older, self._recent = self._recent, {}
        self._recent[digest] = proven

    def _drop_outdated(self) -> None:
        version = self._keys.version()
        if version != self._version:
            self._version = version
            self._recent.clear()
            self._older.clear()


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="surrogatepass")).digest()
