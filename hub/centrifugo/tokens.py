"""Centrifugo's own tokens: who a connection is, and the right to one channel.

They say nothing of what may be done. A channel may be subscribed that is the user's own, that the token brings
along, that has a token of its own, or whose namespace has `client_subscribe`. What may be subscribed may be
published to and watched, as far as its namespace has `client_publish` and `presence`. Where the settings let
in who has no token, or one without a user, these may listen where `client_anonymous` is set too, and no more.

Claims: centrifugal.dev/docs/server/authentication and centrifugal.dev/docs/server/channel_token_auth.
"""

import base64
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from ..auth import claims
from ..auth.channel_right import ChannelRight
from ..auth.grants import NOTHING, pattern
from ..auth.identity import Grants, Identity
from ..auth.keys import Key
from ..auth.refusals import expired, invalid
from ..auth.tokens import Authenticator
from ..commands.host import Executes
from ..namespaces import Namespaces
from ..protocol.channels import is_reserved, namespace_of
from ..protocol.codec import loads_json
from ..protocol.errors import HubError
from .names import ANONYMOUS, CentrifugoNames, is_private

ENDLESS = 253_402_300_799.0
"""When that expires which has no end: the last second of the year 9999."""


class ClientIdentity(Identity):
    """Who a token of Centrifugo's speaks for. See the module's head."""

    __slots__ = ()

    def may_subscribe(self, channel: str) -> bool:
        """Whether the user may without a token of that channel."""
        return super().may_subscribe(channel) and (channel in self.channels or not is_private(channel))

    def may_publish(self, channel: str) -> bool:
        """As to subscribe; the namespace has its own say."""
        return self.may_subscribe(channel)

    def may_presence(self, channel: str) -> bool:
        """As to subscribe; the namespace has its own say."""
        return self.may_subscribe(channel)


class Nobody(ClientIdentity):
    """Who has no user."""

    __slots__ = ()

    def may_publish(self, _channel: str) -> bool:
        """Never."""
        return False

    def may_presence(self, _channel: str) -> bool:
        """Never."""
        return False


class CentrifugoClaims:
    """An `auth.tokens.Provider`. `personal`: each user is subscribed to their own channel by the server.
    `anonymous`: a user may be missing."""

    def __init__(
        self,
        names: CentrifugoNames,
        namespaces: Namespaces,
        *,
        personal: bool = False,
        anonymous: bool = False,
        issuer: str | None = None,
        audience: str | None = None,
    ) -> None:
        self._names = names
        free = {name: rules for name, rules in namespaces.items() if rules.client_subscribe}
        self._grants = _grants(free)
        self._open = _grants([name for name, rules in free.items() if rules.client_anonymous])
        self._anonymous = anonymous
        self._personal = personal
        self._issuer = issuer
        self._audience = audience

    def speaks_for(self, _key: Key) -> bool:
        """See `Provider`."""
        return True

    def read(self, _key: Key, found: Mapping[str, Any], now: float, leeway: float) -> Identity | ChannelRight:
        """See `Provider`."""
        claims.check_addressed(found, self._issuer, self._audience)
        ends, issued_at = claims.life(found, now, leeway, ENDLESS)
        expires_at = _expire_at(found, now, ends)
        if claims.is_channel_token(found):
            return ChannelRight(
                user=claims.subject(found),
                channel=self._channel(found["channel"], "channel"),
                expires_at=expires_at,
                publish=True,
                presence=True,
                info=_info(found),
                issued_at=issued_at,
                jti=claims.token_id(found),
            )
        if self._anonymous and found.get("sub") in (None, ""):
            return replace(self.nobody(), expires_at=expires_at, channels=self._channels(found, None))
        user = claims.subject(found)
        return ClientIdentity(
            user=user,
            expires_at=expires_at,
            grants=self._grants,
            channels=self._channels(found, user),
            info=_info(found),
            issued_at=issued_at,
            jti=claims.token_id(found),
            name=claims.publisher(user),
        )

    def nobody(self) -> Nobody:
        """One more who has no user."""
        user = ANONYMOUS + secrets.token_hex(8)
        return Nobody(user=user, expires_at=ENDLESS, grants=self._open, name=user)

    def explain(self, _found: Mapping[str, Any]) -> list[str]:
        """See `Provider`."""
        return []

    def _channels(self, found: Mapping[str, Any], user: str | None) -> tuple[str, ...]:
        """What the server subscribes."""
        listed, subs = found.get("channels") or [], found.get("subs") or {}
        if not isinstance(listed, list):
            raise invalid("claim channels must be a list of strings")
        if not isinstance(subs, dict):
            raise invalid("claim subs must be an object by channels")
        named = [self._channel(name, f"channels[{index}]") for index, name in enumerate(listed)]
        named += [self._channel(name, "subs") for name in subs]
        if self._personal and user is not None:
            named.append(self._channel(f"#{user}", "sub"))
        return tuple(dict.fromkeys(named))

    def _channel(self, name: Any, claim: str) -> str:
        if not isinstance(name, str):
            raise invalid(f"claim {claim} must be a string")
        try:
            channel = self._names.inward(name)
            namespace_of(channel)
        except HubError as error:
            raise invalid(f"claim {claim}: {error.reason}") from None
        if is_reserved(channel):
            raise invalid(f"claim {claim}: the channels of the namespace hub are not given away")
        return channel


class TheirTokens:
    """The node, but that tokens are read by `authenticator`; who has none is `nobody`."""

    def __init__(
        self, node: Executes, authenticator: Authenticator, nobody: Callable[[], Identity] | None
    ) -> None:
        self._node = node
        self._authenticator = authenticator
        self._nobody = nobody

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    async def verify(self, token: str) -> Identity:
        """See `LetsIn.verify`."""
        if not token and self._nobody is not None:
            return self._nobody()
        identity = await self._authenticator.verify(token)
        self._node.revocations.check(identity)
        return identity

    async def verify_channel(self, token: str) -> ChannelRight:
        """See `Subscribes.verify_channel`."""
        right = await self._authenticator.verify_channel(token)
        self._node.revocations.check(right)
        return right


def reading(node: Executes, authenticator: Authenticator, nobody: Callable[[], Identity] | None) -> Executes:
    """See `TheirTokens`."""
    return cast("Executes", TheirTokens(node, authenticator, nobody))


def _grants(namespaces: Iterable[str]) -> Grants:
    """To listen in all channels of these."""
    return Grants(pattern(tuple(f"{name}:*" for name in namespaces)), NOTHING, NOTHING)


def _expire_at(found: Mapping[str, Any], now: float, ends: float) -> float:
    """When what the token gives ends, where that is another time than its own end; 0 is never."""
    at = claims.seconds(found, "expire_at")
    if at is not None and 0 < at <= now:
        raise expired(f"what the token gives ended {claims.span(now - at)} ago (claim expire_at)")
    return ends if at is None else at or ENDLESS


def _info(found: Mapping[str, Any]) -> bytes | None:
    encoded = found.get("b64info")
    if encoded is None:
        return claims.shown(found.get("info"), "info")
    try:
        value = loads_json(base64.b64decode(encoded, validate=True))
    except (TypeError, ValueError, HubError):
        raise invalid("claim b64info must be JSON in base64") from None
    return claims.shown(value, "b64info")
