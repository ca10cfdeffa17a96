"""Tickets, revocations and dead letters that stand in the file too."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ..memory.dead_letters import MemoryDeadLetters
from ..memory.registry import MemoryRegistry
from ..memory.timers import Timers

Note = Callable[[str, Sequence[Any]], None]
Settled = Callable[[], Awaitable[None]]


class StoredRegistry(MemoryRegistry):
    """`Registry` within one process. `note` takes a statement and its row, `settled` waits until it is written."""

    def __init__(
        self, timers: Timers, command: Callable[[bytes], None], note: Note, settled: Settled
    ) -> None:
        super().__init__(timers, command)
        self._note = note
        self._settled = settled

    async def put_ticket(self, digest: str, claims: bytes, ttl_s: float) -> None:
        """Remember a ticket by the digest of its secret."""
        await super().put_ticket(digest, claims, ttl_s)
        now = self._timers.clock()
        self._note("DELETE FROM tickets WHERE until <= ?", (now,))
        self._note("INSERT OR REPLACE INTO tickets VALUES (?,?,?)", (digest, claims, now + ttl_s))
        await self._settled()

    async def take_ticket(self, digest: str) -> bytes | None:
        """The ticket's claims, once."""
        claims = await super().take_ticket(digest)
        if claims is not None:
            self._note("DELETE FROM tickets WHERE digest = ?", (digest,))
            await self._settled()
        return claims

    async def revoke(self, entry: str, until: float) -> None:
        """Remember a revocation until the Unix time `until`."""
        await super().revoke(entry, until)
        self._note(
            "INSERT OR REPLACE INTO revocations VALUES (?,?)",
            (entry, self._revocations.values().get(entry, until)),
        )
        await self._settled()

    async def keep_revocation(self, signed: str, until: float) -> None:
        """Remember what a node has signed of a revocation until the Unix time `until`."""
        await super().keep_revocation(signed, until)
        self._note("INSERT OR REPLACE INTO signed VALUES (?,?)", (signed, until))
        await self._settled()

    def bring_back(
        self,
        tickets: Sequence[tuple[str, bytes, float]],
        revocations: Sequence[tuple[str, float]],
        signed: Sequence[tuple[str, float]],
    ) -> None:
        """What the file held."""
        for digest, claims, until in tickets:
            self._tickets.put(digest, claims, until)
        for entry, until in revocations:
            self._revocations.put(entry, until, until)
        for entry, until in signed:
            self._kept.put(entry, until, until)


class StoredLetters(MemoryDeadLetters):
    """`DeadLetters` within one process, as `StoredRegistry`."""

    def __init__(self, most: int, note: Note, settled: Settled) -> None:
        super().__init__(most)
        self._note = note
        self._settled = settled

    async def put(self, id: str, letter: bytes, at_ms: int) -> bool:
        """Keep it; False, and nothing changes, where one of this id is kept already."""
        kept = await super().put(id, letter, at_ms)
        if kept:
            self._note("INSERT INTO letters (id, letter) VALUES (?,?)", (id, letter))
        await self._settled()
        return kept

    async def drop(self, id: str) -> bool:
        """Let go of it; whether it was there."""
        dropped = await super().drop(id)
        if dropped:
            self._note("DELETE FROM letters WHERE id = ?", (id,))
        await self._settled()
        return dropped

    def bring_back(self, letters: Sequence[tuple[str, bytes]]) -> None:
        """What the file held, oldest first."""
        self._letters.update(letters)
