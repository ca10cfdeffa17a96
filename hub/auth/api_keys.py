"""API keys: how services prove who they are without tokens."""

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from .claims import grants
from .identity import Grants, Identity, Level

MIN_BYTES = 16


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A service's key, and what it may do.

    `grants` None is the plain form: all channels, and all that a service could do from the beginning. Else
    patterns by verb, as a token's, of which it has those that are named; `admin` is for the hub itself.
    """

    key: str = field(repr=False)
    grants: Mapping[str, Sequence[str]] | None = None
    admin: Level = Level.NONE
    limit: tuple[float, float] | None = None  # requests a second, and at once

    def identity(self, name: str) -> Identity:
        """Whom it speaks for: a service without an end."""
        control = Level.WRITE if self.grants is None else self.admin
        return service(name, self._grants(), control, self.admin)

    def _grants(self) -> Grants:
        named = self.grants
        return grants(("*",), ("*",), ("*",)) if named is None else named_grants(named)


def named_grants(named: Mapping[str, Sequence[str]]) -> Grants:
    """Patterns by verb; what is not named is not granted."""
    return grants(*(tuple(named.get(verb, ())) for verb in ("subscribe", "publish", "presence")))


def service(name: str, allowed: Grants, control: Level, admin: Level) -> Identity:
    """The service of a setting: by whatever it proves to be that one, its `event_id`s and its rate are the same."""
    return Identity(
        user=name,
        expires_at=math.inf,
        grants=allowed,
        service=True,
        name=f"key:{name}",
        control=control,
        admin=admin,
    )


class ApiKeys:
    """The services' keys, by name.

    A key is looked up by a digest under a salt of this process: how long the look-up takes tells nothing of
    how much of a key was guessed, and the keys themselves are not kept.
    """

    def __init__(self, keys: Mapping[str, ApiKey]) -> None:
        self._salt = secrets.token_bytes(32)
        self._problems: list[str] = []
        self._identities: dict[bytes, Identity] = {}
        self._limits: dict[str, tuple[float, float]] = {}
        for name, key in keys.items():
            self._add(name, key)

    def verify(self, key: str) -> Identity | None:
        """The service whose key this is, with its grants and without an end; None: it is nobody's."""
        return self._identities.get(self._digest(key))

    def limit(self, service: Identity) -> tuple[float, float] | None:
        """Requests a second that the key may make, and at once; None: as many as it likes."""
        return self._limits.get(service.user) if self._limits else None

    def problems(self) -> list[str]:
        """What is wrong with the settings, in words; such keys are not used."""
        return list(self._problems)

    def _add(self, name: str, key: ApiKey) -> None:
        digest = self._digest(key.key)
        if not name:
            self._problems.append("an API key has no name")
        elif len(key.key.encode(errors="surrogatepass")) < MIN_BYTES:
            self._problems.append(f"the API key {name} is too short; it needs {MIN_BYTES} bytes or more")
        elif (other := self._identities.get(digest)) is not None:
            self._problems.append(f"the API keys {other.user} and {name} are the same")
        else:
            self._identities[digest] = key.identity(name)
            if key.limit is not None:
                self._limits[name] = key.limit

    def _digest(self, key: str) -> bytes:
        return blake2b(key.encode(errors="surrogatepass"), key=self._salt, digest_size=32).digest()
