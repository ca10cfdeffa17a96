"""The keys of an identity provider, found by discovery (OpenID Connect Discovery 1.0 section 4)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .jwks import JwksKeys
from .jws import Jws
from .keys import Key

WELL_KNOWN = "/.well-known/openid-configuration"


class OidcKeys(JwksKeys):
    """The keys of a provider, marked with the issuer that it says it is. Its document is read again whenever its
    key set can't be had."""

    def __init__(self, issuer: str, **options: Any) -> None:
        super().__init__(issuer.rstrip("/") + WELL_KNOWN, **options)
        self._configured = issuer
        self._key_set: str | None = None
        self.issuer = issuer

    async def keys_for(self, jws: Jws) -> Sequence[Key]:
        """The keys that may have signed this, at least one."""
        return [replace(key, provider=self.issuer) for key in await super().keys_for(jws)]

    async def _document(self) -> bytes:
        url = self._key_set or await self._discover()
        self._key_set = None  # until it is seen to be good
        document = await self._get(url)
        self._key_set = url
        return document

    async def _discover(self) -> str:
        """The address of the key set.

        Raises:
            ValueError: what is wrong with the document, in words.
        """
        try:
            found = json.loads(await self._get(self._url))
        except json.JSONDecodeError:
            raise ValueError("the discovery document is no JSON") from None
        if not isinstance(found, dict):
            raise ValueError("the discovery document is no JSON object")
        self.issuer = _issuer(found, self._configured)
        url = found.get("jwks_uri")
        if not isinstance(url, str) or not url.startswith(("https://", "http://")):
            raise ValueError("the discovery document names no key set (jwks_uri)")
        return url


def _issuer(found: Mapping[str, Any], configured: str) -> str:
    """The document's `issuer`, which must be the one that was asked (section 4.3), but for a slash at its end."""
    issuer = found.get("issuer")
    if not isinstance(issuer, str):
        raise ValueError("the discovery document names no issuer")
    if issuer.rstrip("/") != configured.rstrip("/"):
        hint = "; name your own tenant in place of it" if "{" in issuer else ""
        raise ValueError(f"the discovery document is that of {issuer[:200]}{hint}")
    return issuer
