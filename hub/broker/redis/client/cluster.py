"""A Redis Cluster: its masters are the shards, its slots say which channel belongs to which.

The map of slots is asked for at the start, whenever an answer says that something has moved, and now and
then. Where a slot has a new master (a failover, a resharding), the names listened to move with it, and are
reported as lost once they are heard there.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import hiredis

from ....protocol.errors import HubError
from ....runtime.tasks import Tasks
from .address import Address, Kind, Remap, Site
from .connection import Command, LinkError, open_link, remapped
from .errors import unavailable
from .hash_slot import canary_tag, slot_of, tag_of
from .shard import Shard
from .topology import Build
from .tuning import Stats, Tuning, log

Map = tuple[list[tuple[int, int, str, int]], bool]
"""Ranges of slots (first, last, host, port of the master), and whether pub/sub can be sharded."""

_SLOTS = 16384
_CALM_S = 10.0  # between two looks at the map while nothing seems wrong
_SOON_S = 0.1  # between two looks while something has moved
_ASK: Sequence[Command] = (("CLUSTER", "SLOTS"), ("COMMAND", "INFO", "SPUBLISH"))


class Cluster:
    """`redis_topology.Topology` of a Cluster."""

    def __init__(
        self, site: Site, build: Build, tuning: Tuning, stats: Stats, remap: Remap | None = None
    ) -> None:
        self._seeds = site.addresses
        self._remap = remap
        self._build = build
        self._tuning = tuning
        self._stats = stats
        self._shards: dict[Address, Shard] = {}
        self._canaries: dict[Address, int] = {}  # the slot of each shard's canary
        self._slots: list[Shard | None] = [None] * _SLOTS
        self._always: set[str] = set()
        self._looked = asyncio.Condition()
        self._look_now = asyncio.Event()
        self._tasks = Tasks()

    async def start(self) -> None:
        """Begin to connect."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._tuning.first_wait):
                await self._look()
        self._tasks.spawn(self._keep_looking())

    async def close(self) -> None:
        """Let go."""
        await self._tasks.close()
        await asyncio.gather(*(shard.close() for shard in self._shards.values()))

    def shards(self) -> Sequence[Shard]:
        """All servers that hold channels now."""
        return list(self._shards.values())

    def of(self, tag: str) -> Shard:
        """The server of a tag."""
        shard = self._slots[slot_of(tag)]
        if shard is None:
            raise unavailable("no server of the storage's cluster has this channel now")
        return shard

    def listen_always(self, name: str) -> None:
        """Listen to a pub/sub name wherever it belongs, for as long as the node lives."""
        self._always.add(name)
        self._wish([name], doubted=False)

    async def relocate(self) -> None:
        """An answer said that a tag belongs elsewhere: look where. Waits for the next look at the map."""
        self._look_now.set()
        async with self._looked:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._tuning.patience):
                    await self._looked.wait()

    def moved(self, names: Collection[str]) -> None:
        """Subscribing to these was refused where they seemed to belong: find out, and subscribe there."""
        self._tasks.spawn(self._follow(list(names)))

    async def _follow(self, names: Sequence[str]) -> None:
        await self.relocate()
        wanted = {name for shard in self._shards.values() for name in shard.listener.wanted}
        self._wish([name for name in names if name in wanted], doubted=True)

    def _wish(self, names: Iterable[str], *, doubted: bool) -> None:
        for name in names:
            shard = self._slots[slot_of(tag_of(name))]
            if shard is not None:
                shard.listener.wish([name], doubted=doubted)

    # The map

    async def _keep_looking(self) -> None:
        while True:
            calm = all(shard.commander.usable for shard in self._shards.values()) and all(self._slots)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CALM_S if calm else self._tuning.pulse):
                    await self._look_now.wait()
            self._look_now.clear()
            try:
                await self._look()
            except Exception:  # whatever a server takes for a map, the next look may find another
                self._stats.fault("looking at the cluster's map failed")
            async with self._looked:
                self._looked.notify_all()
            await asyncio.sleep(_SOON_S)

    async def _look(self) -> None:
        found = None
        for shard in self.shards():
            found = found or await self._ask_shard(shard)
        for seed in self._seeds:
            found = found or await self._ask_seed(seed)
        if found is not None:
            self._apply(*found)
            return
        self._stats.note("cluster_lost", "no server of the cluster tells its slots")

    async def _ask_shard(self, shard: Shard) -> Map | None:
        if not shard.commander.usable:
            return None
        with contextlib.suppress(HubError, LinkError):
            address = shard.commander.address or self._seeds[0]
            return _map_of(await shard.commander.call(_ASK), address.host)
        return None

    async def _ask_seed(self, seed: Address) -> Map | None:
        try:
            link = await open_link(seed, client="hub-cluster", patience=self._tuning.patience)
        except LinkError as error:
            self._stats.note("connect_failures", "%s", error)
            return None
        try:
            return _map_of(await link.call(_ASK), seed.host)
        except LinkError:
            return None
        finally:
            link.abort("asked")

    def _apply(self, ranges: Sequence[tuple[int, int, str, int]], sharded: bool) -> None:
        """Take the map as it is now."""
        owners: dict[Address, list[tuple[int, int]]] = {}
        for low, high, host, port in ranges:
            owners.setdefault(self._seeds[0].at(*remapped(self._remap, host, port)), []).append((low, high))
        before = dict(self._shards)
        for address in before:
            slots = owners.get(address, [])
            if not any(low <= self._canaries[address] <= high for low, high in slots):
                del self._shards[address]  # it has nothing now, or its canary would sing elsewhere
        for address, slots in owners.items():
            if address not in self._shards:
                tag = canary_tag(*slots[0])
                site = Site(Kind.SINGLE, (address,))
                shard = self._shards[address] = self._build(site, tag, sharded)
                self._canaries[address] = slot_of(tag)
                shard.start()
        slots_now: list[Shard | None] = [None] * _SLOTS
        for address, slots in owners.items():
            for low, high in slots:
                slots_now[low : high + 1] = [self._shards[address]] * (high + 1 - low)
        self._slots = slots_now
        self._move_names([*before.values(), *self._shards.values()])
        for address, shard in before.items():
            if self._shards.get(address) is not shard:
                log.info("%s: no longer a master with this map", shard.name)
                self._tasks.spawn(shard.close())

    def _move_names(self, shards: Iterable[Shard]) -> None:
        for shard in dict.fromkeys(shards):
            for name in list(shard.listener.wanted):
                owner = self._slots[slot_of(tag_of(name))]
                if name.encode() != shard.canary and owner is not None and owner is not shard:
                    shard.listener.unwant(name)
                    owner.listener.wish([name], doubted=True)
        self._wish(self._always, doubted=False)


def _host(node: Sequence[Any], asked: str) -> str:
    """Where a server of the map is: endpoint, port, id and, from Redis 7 on, what else is known of its network.

    No endpoint means the host that was asked; ``?`` a host name that was not configured, and then the address
    stands beside it (``CLUSTER SLOTS``, "Nested result array").
    """
    endpoint = (node[0] or b"").decode()
    if endpoint == "?":
        others = node[3] if len(node) > 3 else []
        known = others if isinstance(others, dict) else dict(zip(others[::2], others[1::2], strict=False))
        endpoint = known.get(b"ip", b"").decode()
    return endpoint or asked


def by_slot(names: Iterable[str]) -> Iterable[list[str]]:
    """Names in groups that one command may name."""
    groups: dict[int, list[str]] = {}
    for name in names:
        groups.setdefault(slot_of(tag_of(name)), []).append(name)
    return groups.values()


def _map_of(replies: Sequence[Any], asked: str) -> Map | None:
    """The map in the replies to `_ASK` of the host `asked`; None where there is none."""
    slots, command = replies
    if isinstance(slots, hiredis.ReplyError) or not slots:
        return None
    ranges = [(row[0], row[1], _host(row[2], asked), row[2][1]) for row in slots]
    return ranges, isinstance(command, list) and bool(command) and command[0] is not None
