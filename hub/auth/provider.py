"""Tokens of an identity provider: whom they must come from and be for, and what their roles grant."""

from collections.abc import Mapping, Sequence
from typing import Any

from .channel_right import ChannelRight
from .claims import check_addressed
from .identity import Identity
from .keys import Key
from .refusals import invalid
from .roles import Roles


class ProviderTokens:
    """Reads them. `discovered`: only those are meant whose key discovery has found, by the issuer that it named;
    else all tokens are, and `issuer` is what they must name.

    `audience` must stand in `aud`. `clients` are compared with `azp` (or `client_id`, RFC 9068 section 2.2).
    """

    def __init__(
        self,
        roles: Roles,
        *,
        discovered: bool,
        issuer: str | None = None,
        audience: str | None = None,
        clients: Sequence[str] = (),
    ) -> None:
        self._roles = roles
        self._discovered = discovered
        self._issuer = issuer
        self._audience = audience
        self._clients = frozenset(clients)

    def problems(self) -> list[str]:
        """What is wrong with the settings, in words."""
        found = self._roles.problems()
        if self._discovered and self._audience is None and not self._clients:
            found.append(
                "HUB_OIDC_ISSUER needs HUB_JWT_AUDIENCE or HUB_OIDC_CLIENTS: "
                "without them a token for any other application of the provider would be good here"
            )
        return found

    def speaks_for(self, key: Key) -> bool:
        """Whether a token by this key is the provider's."""
        return key.provider is not None or not self._discovered

    def read(self, key: Key, found: Mapping[str, Any], now: float, leeway: float) -> Identity | ChannelRight:
        """What its claims prove.

        Raises:
            HubError: ``token_expired`` or ``token_invalid``.
        """
        check_addressed(found, key.provider or self._issuer, self._audience)
        client = found.get("azp", found.get("client_id"))
        if self._clients and (not isinstance(client, str) or client not in self._clients):
            what = "is missing" if client is None else "is another application's"
            raise invalid(f"claim azp {what}; HUB_OIDC_CLIENTS names whose tokens are good here")
        return self._roles.read(found, now, leeway)

    def explain(self, found: Mapping[str, Any]) -> list[str]:
        """Which role gave which grant, in words."""
        return self._roles.explain(found)
