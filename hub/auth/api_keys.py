"""API keys: how services prove who they are without tokens."""

import math
import secrets
from collections.abc import Mapping
from hashlib import blake2b

from .grants import EVERYTHING
from .identity import Grants, Identity

MIN_BYTES = 16

_ALL = Grants(EVERYTHING, EVERYTHING, EVERYTHING)


class ApiKeys:
    """The services' keys, by name.

    A key is looked up by a digest under a salt of this process: how long the look-up takes tells nothing of
    how much of a key was guessed, and the keys themselves are not kept.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._salt = secrets.token_bytes(32)
        self._problems: list[str] = []
        self._identities: dict[bytes, Identity] = {}
        for name, key in keys.items():
            self._add(name, key)

    def verify(self, key: str) -> Identity | None:
        """The service whose key this is, with all grants and without an end; None: it is nobody's."""
        return self._identities.get(self._digest(key))

    def problems(self) -> list[str]:
        """What is wrong with the settings, in words; such keys are not used."""
        return list(self._problems)

    def _add(self, name: str, key: str) -> None:
        digest = self._digest(key)
        if not name:
            self._problems.append("an API key has no name")
        elif len(key.encode(errors="surrogatepass")) < MIN_BYTES:
            self._problems.append(f"the API key {name} is too short; it needs {MIN_BYTES} bytes or more")
        elif (other := self._identities.get(digest)) is not None:
            self._problems.append(f"the API keys {other.user} and {name} are the same")
        else:
            self._identities[digest] = Identity(
                user=name, expires_at=math.inf, grants=_ALL, service=True, name=f"key:{name}"
            )

    def _digest(self, key: str) -> bytes:
        return blake2b(key.encode(errors="surrogatepass"), key=self._salt, digest_size=32).digest()
