"""Several sources of keys as one: a secret of the hub's own beside an issuer's key set."""

from collections.abc import Sequence

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from .jws import Jws
from .keys import Key, Keys
from .refusals import invalid


class KeyRing:
    """Asks its sources in order; a token is good if a key of any of them made it.

    A source that fails hides no other: its refusal is told only where nobody has a key.
    """

    def __init__(self, sources: Sequence[Keys]) -> None:
        self._sources = tuple(sources)

    async def keys_for(self, jws: Jws) -> Sequence[Key]:
        """The keys that may have signed this, at least one."""
        found: list[Key] = []
        refusals: list[HubError] = []
        for source in self._sources:
            try:
                found += await source.keys_for(jws)
            except HubError as error:
                refusals.append(error)
        if found:
            return found
        if not refusals:
            raise invalid("the hub has no key to check tokens with")
        for refusal in refusals:
            if refusal.code is ErrorCode.UNAVAILABLE:
                raise refusal
        raise invalid("; ".join(dict.fromkeys(refusal.reason for refusal in refusals)))

    def version(self) -> int:
        """Another number once a key was taken away: what was verified before it counts no more. Versions
        only rise, so their sum tells of any change."""
        return sum(source.version() for source in self._sources)

    def problems(self) -> list[str]:
        """What is wrong with the settings, in words; nothing may be served while there is any."""
        if not self._sources:
            return [
                "there is no key to check tokens with: give a secret, a public key or a key set's address"
            ]
        return [problem for source in self._sources for problem in source.problems()]

    async def close(self) -> None:
        """Let go of what it holds."""
        for source in self._sources:
            await source.close()
