"""Which server a channel belongs to. Two forms: a fixed ring (of one or several), and a Cluster's slots."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from .address import Site
from .hash_slot import tag_of
from .ring import HashRing
from .shard import Shard
from .tuning import log

Build = Callable[[Site, str, bool], Shard]
"""Makes the shard of a site: the tag of its canary, and whether pub/sub is sharded."""


class Topology(Protocol):
    """Where tags belong. A tag is a channel's name, or another hash tag of `redis_keys`."""

    async def start(self) -> None:
        """Begin to connect."""

    async def close(self) -> None:
        """Let go."""

    def shards(self) -> Sequence[Shard]:
        """All servers that hold channels now."""

    def of(self, tag: str) -> Shard:
        """The server of a tag.

        Raises:
            HubError: ``unavailable`` where no server has it now.
        """

    def listen_always(self, name: str) -> None:
        """Listen to a pub/sub name wherever it belongs, for as long as the node lives."""

    async def relocate(self) -> None:
        """An answer said that a tag belongs elsewhere: look where."""

    def moved(self, names: Collection[str]) -> None:
        """Subscribing to these was refused where they seemed to belong: find out, and subscribe there."""


class Ring:
    """Independent servers, one or several, that stay the same while the node lives."""

    def __init__(self, sites: Sequence[Site], build: Build) -> None:
        self._shards = {site.name: build(site, "canary", False) for site in sites}
        self._ring = HashRing(list(self._shards))
        self._only = next(iter(self._shards.values())) if len(sites) == 1 else None

    async def start(self) -> None:
        """Begin to connect."""
        for shard in self._shards.values():
            shard.start()

    async def close(self) -> None:
        """Let go."""
        await asyncio.gather(*(shard.close() for shard in self._shards.values()))

    def shards(self) -> Sequence[Shard]:
        """All servers that hold channels now."""
        return list(self._shards.values())

    def of(self, tag: str) -> Shard:
        """The server of a tag."""
        return self._only or self._shards[self._ring.of(tag)]

    def listen_always(self, name: str) -> None:
        """Listen to a pub/sub name wherever it belongs, for as long as the node lives."""
        self.of(tag_of(name)).listener.wish([name])

    async def relocate(self) -> None:
        """An answer said that a tag belongs elsewhere: look where. Nothing moves here."""

    def moved(self, names: Collection[str]) -> None:
        """Subscribing to these was refused where they seemed to belong: find out, and subscribe there. A
        server that says so is part of a Cluster, and was not named as one."""
        log.error("the storage is a Redis Cluster: name it as redis+cluster://")
