"""What nodes know together beside the channels, in Redis: tickets, revocations, each other, commands."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Protocol

from ...protocol.errors import HubError
from .client.connection import LinkError
from .client.hash_slot import tag_of
from .client.topology import Topology
from .client.tuning import Stats
from .greeting import Greeting
from .keys import KeyNames
from .scripts import NODES, REVOCATIONS
from .store import Request, Store


class Kept(Protocol):
    """What stands for as long as its node gives signs of life."""

    async def keep(self, ttl_s: float) -> None:
        """This node lives for the next `ttl_s`.

        Raises:
            HubError: ``unavailable``.
        """


class RedisRegistry:
    """`Registry` over Redis. Each thing lives on the server that its name belongs to. `kept` stands as long as
    this node registers."""

    def __init__(
        self,
        store: Store,
        topology: Topology,
        keys: KeyNames,
        greeting: Greeting,
        kept: Sequence[Kept],
        stats: Stats,
    ) -> None:
        self._store = store
        self._topology = topology
        self._keys = keys
        self._greeting = greeting
        self._kept = kept
        self._stats = stats

    async def put_ticket(self, digest: str, claims: bytes, ttl_s: float) -> None:
        """Remember a ticket by the digest of its secret."""
        name = self._keys.ticket(digest)
        await self._plain(name, ("SET", name, claims, "PX", max(1, int(ttl_s * 1000))))

    async def take_ticket(self, digest: str) -> bytes | None:
        """The ticket's claims, once."""
        name = self._keys.ticket(digest)
        claims: bytes | None = await self._plain(name, ("GETDEL", name))
        return claims

    async def revoke(self, entry: str, until: float) -> None:
        """Remember a revocation (``sub:ann``, ``jti:…``) until the Unix time `until`. The later of two
        moments stands."""
        await self._revocations(self._keys.revoked, entry, until)

    async def revocations(self) -> dict[str, float]:
        """All standing revocations: entry to Unix time."""
        pairs = self._readable("revocations", (await self._revocations(self._keys.revoked))[1])
        return {entry: float(until) for entry, until in pairs}

    async def keep_revocation(self, signed: str, until: float) -> None:
        """Remember what a node has signed of a revocation until the Unix time `until`."""
        await self._revocations(self._keys.revoked_signed, signed, until)

    async def kept_revocations(self) -> list[str]:
        """All that stand of those; whether a node has signed them is for the caller to see."""
        flat = (await self._revocations(self._keys.revoked_signed))[1]
        return [signed for signed, _ in self._readable("revocations", flat)]

    async def send_command(self, data: bytes) -> None:
        """Hand bytes to every node's `on_command`, this node's own too."""
        name = self._keys.commands
        shard = self._topology.of(tag_of(name))
        await self._plain(name, (shard.publish, name, data))

    async def register_node(self, node: str, info: bytes, ttl_s: float) -> None:
        """This node lives, and says `info` of itself, for the next `ttl_s`; its members stay present. Also
        keeps the ring in force, and its members present."""
        await self._nodes("put", node, info, int(ttl_s * 1000))
        for each in self._kept:
            await each.keep(ttl_s)
        for shard in self._topology.shards():
            with contextlib.suppress(
                HubError, LinkError
            ):  # a server that is away keeps its ring a while longer
                await self._greeting.again(shard.commander)

    async def unregister_node(self, node: str) -> None:
        """This node departs in order."""
        await self._nodes("drop", node, b"", 0)

    async def nodes(self) -> dict[str, bytes]:
        """The nodes that live: id to info."""
        return dict(self._readable("nodes", (await self._nodes("list", "", b"", 0))[1]))

    def _readable(self, what: str, flat: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
        """Names and values one after the other, in pairs; a name that no node has written is passed over."""
        for name, value in zip(flat[::2], flat[1::2], strict=True):
            try:
                yield name.decode(), value
            except UnicodeDecodeError:
                self._stats.note("unreadable_members", "a member of the %s was skipped: it is no text", what)

    async def _plain(self, name: str, command: tuple[str | bytes | int | float, ...]) -> bytes | None:
        reply: bytes | None = await self._store.one(Request(tag_of(name), None, (), command))
        return reply

    async def _nodes(self, verb: str, node: str, info: bytes, ttl_ms: int) -> list[list[bytes]]:
        name = self._keys.nodes
        reply: list[list[bytes]] = await self._store.one(
            Request(tag_of(name), NODES, (name,), (verb, node, info, ttl_ms))
        )
        return reply

    async def _revocations(self, name: str, entry: str = "", until: float = 0.0) -> list[list[bytes]]:
        reply: list[list[bytes]] = await self._store.one(
            Request(tag_of(name), REVOCATIONS, (name,), (entry, repr(until)))
        )
        return reply
