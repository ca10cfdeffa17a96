"""Tickets, revocations and nodes, in the memory of one process."""

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from .timers import Alarm, Timers

V = TypeVar("V")


class Expiring(Generic[V]):
    """A dictionary whose entries leave by themselves, each at its own moment (Unix seconds)."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._entries: dict[str, tuple[V, Alarm]] = {}

    def put(self, name: str, value: V, until: float) -> None:
        """Keep `value` until then, in place of the one before."""
        self.pop(name)
        alarm = Alarm(partial(self._entries.pop, name))
        self._entries[name] = value, alarm
        self._timers.set(alarm, until)

    def pop(self, name: str) -> V | None:
        """Take the value out."""
        value, alarm = self._entries.pop(name, (None, None))
        if alarm is not None:
            self._timers.cancel(alarm)
        return value

    def values(self) -> dict[str, V]:
        """What has not left."""
        self._timers.tick(self._timers.clock())
        return {name: value for name, (value, _) in self._entries.items()}


class MemoryRegistry:
    """`Registry` within one process: the only node is this one."""

    def __init__(self, timers: Timers, command: Callable[[bytes], None]) -> None:
        self._timers = timers
        self._command = command
        self._tickets: Expiring[bytes] = Expiring(timers)
        self._revocations: Expiring[float] = Expiring(timers)
        self._kept: Expiring[float] = Expiring(timers)
        self._nodes: Expiring[bytes] = Expiring(timers)

    async def put_ticket(self, digest: str, claims: bytes, ttl_s: float) -> None:
        """Remember a ticket by the digest of its secret."""
        self._tickets.put(digest, claims, self._timers.clock() + ttl_s)

    async def take_ticket(self, digest: str) -> bytes | None:
        """The ticket's claims, once."""
        self._timers.tick(self._timers.clock())
        return self._tickets.pop(digest)

    async def revoke(self, entry: str, until: float) -> None:
        """Remember a revocation (``sub:ann``, ``jti:…``) until the Unix time `until`. The later of two
        moments stands."""
        standing = self._revocations.values().get(entry, 0.0)
        self._revocations.put(entry, max(until, standing), max(until, standing))

    async def revocations(self) -> dict[str, float]:
        """All standing revocations: entry to Unix time."""
        return self._revocations.values()

    async def keep_revocation(self, signed: str, until: float) -> None:
        """Remember what a node has signed of a revocation until the Unix time `until`."""
        self._kept.put(signed, until, until)

    async def kept_revocations(self) -> list[str]:
        """All that stand of those; whether a node has signed them is for the caller to see."""
        return list(self._kept.values())

    async def send_command(self, data: bytes) -> None:
        """Hand bytes to every node's `on_command`, this node's own too."""
        self._command(data)

    async def register_node(self, node: str, info: bytes, ttl_s: float) -> None:
        """This node lives, and says `info` of itself, for the next `ttl_s`; its members stay present."""
        self._nodes.put(node, info, self._timers.clock() + ttl_s)

    async def unregister_node(self, node: str) -> None:
        """This node departs in order."""
        self._nodes.pop(node)

    async def nodes(self) -> dict[str, bytes]:
        """The nodes that live: id to info."""
        return self._nodes.values()
