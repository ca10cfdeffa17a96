"""What the nodes remember of revocations together, so that a node that starts later knows them too.

Each is signed with the nodes' own secret, as their commands are: who can write into the storage can't take a token
back by it. Beside them stands what nodes of 0.1 read, unsigned; it is believed once, by the first node that signs.
"""

import logging
from typing import Any

import orjson

from ..auth.revocations import parse
from ..auth.signing import Signer
from ..broker.base import Registry
from ..protocol.errors import HubError
from ..runtime.counters import Counters

log = logging.getLogger(__name__)


class RevocationLedger:
    """Writes revocations and reads those of others. What is no revocation is counted, and takes nothing with it."""

    def __init__(self, registry: Registry, signer: Signer, counters: Counters) -> None:
        self._registry = registry
        self._signer = signer
        self._counters = counters
        self._adopted = False

    async def put(self, entry: str, until: float) -> None:
        """Remember a stamped entry until the Unix time `until`.

        Raises:
            HubError: the storage is away.
        """
        await self._registry.keep_revocation(self._signer.sign(orjson.dumps([entry, until])), until)
        await self._registry.revoke(entry, until)

    async def read(self) -> list[tuple[str, float]]:
        """All that stand: entry, and until when.

        Raises:
            HubError: the storage is away.
        """
        signed = await self._registry.kept_revocations()
        found = [entry for text in signed if (entry := self._verified(text)) is not None]
        if not self._adopted:
            if not signed:
                found = await self._adopt()
            self._adopted = True
        return found

    async def _adopt(self) -> list[tuple[str, float]]:
        """Take over what nodes of 0.1 have left: they did not sign."""
        unsigned = (await self._registry.revocations()).items()
        found = [pair for pair in unsigned if self._is_readable(*pair)]
        for entry, until in found:
            await self.put(entry, until)
        return found

    def _verified(self, text: str) -> tuple[str, float] | None:
        body = self._signer.verify(text)
        try:
            value: Any = orjson.loads(body) if body is not None else None
        except orjson.JSONDecodeError:
            value = None
        if body is None:
            self._count("a revocation that no node has signed")
            return None
        pair: tuple[Any, Any] = (None, None)
        entry, until = value if isinstance(value, list) and len(value) == 2 else pair
        return (entry, float(until)) if self._is_readable(entry, until) else None

    def _is_readable(self, entry: Any, until: Any) -> bool:
        if isinstance(entry, str) and isinstance(until, int | float):
            try:
                parse(entry)
            except HubError:
                pass
            else:
                return True
        self._count("what is no revocation")
        return False

    def _count(self, what: str) -> None:
        self._counters.errors["foreign_revocation"] += 1
        if self._counters.errors["foreign_revocation"] == 1:
            log.warning("%s stands among those that nodes remember: it is passed over, and counted", what)
