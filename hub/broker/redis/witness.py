"""Redis' ``WAIT``: whether what was written is on replicas too.

    SET a name of no matter ─ WAIT n ms ─ INFO        on a connection of their own, as WAIT keeps its connection

The replication stream is one: a replica that has the name has all that was written before it, on whatever
connection. That holds for one server process and one lineage of its data: where another one answers now, or did in
between (a failover), nothing is confirmed.
"""

import asyncio
from collections.abc import Collection
from typing import Any

import hiredis

from ...protocol.errors import HubError
from ..witness import not_replicated
from .client.command_connection import LOOK, incarnation_of
from .client.connection import Link, LinkError, open_link
from .client.shard import Shard
from .client.topology import Topology
from .client.tuning import Stats, Tuning
from .keys import KeyNames

WAIT_S = 1.0
KEPT_MS = 1000

Masters = dict[Shard, str]
"""Servers, each with its incarnation: the process, and the lineage of its data."""


class RedisWitnesses:
    """Makes witnesses; keeps one connection to each server that was ever asked for one."""

    def __init__(self, topology: Topology, keys: KeyNames, client: str, tuning: Tuning, stats: Stats) -> None:
        self._topology = topology
        self._keys = keys
        self._client = client
        self._tuning = tuning
        self._stats = stats
        self._links: dict[Shard, Link] = {}
        self._turns: dict[Shard, asyncio.Lock] = {}

    def witness(self, channels: Collection[str]) -> "RedisWitness":
        """`Broker.witness`."""
        return RedisWitness(self, channels)

    async def close(self) -> None:
        """Let go."""
        for link in self._links.values():
            link.abort("closed")
        self._links.clear()

    def masters(self, channels: Collection[str]) -> dict[str, tuple[Shard, str]]:
        """Where channels are now, as far as that is known."""
        found = {}
        for name in channels:
            try:
                shard = self._topology.of(name)
            except HubError:
                continue
            if shard.commander.usable:
                found[name] = (shard, shard.commander.incarnation)
        return found

    async def replicas(self, shard: Shard, incarnation: str, channel: str, wanted: int) -> int:
        """How many replicas have all that was written until now; -1 where it is not the master that it was."""
        name = self._keys.fence(channel)
        wait_ms = int(min(WAIT_S, self._tuning.patience / 3) * 1000)
        try:
            async with asyncio.timeout(self._tuning.patience), self._turns.setdefault(shard, asyncio.Lock()):
                link = await self._link(shard)
                replies: list[Any] = await link.call(
                    [
                        ("SET", name, "", "PX", KEPT_MS),
                        ("WAIT", wanted, wait_ms),
                        ("INFO", "server"),
                        LOOK[0],
                    ]
                )
        except (LinkError, TimeoutError) as error:
            self._stats.note("witness_failures", "%s: not asked for replicas: %s", shard.name, error)
            return -1
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                self._stats.note("witness_failures", "%s: WAIT: %s", shard.name, reply)
                return -1
        same = incarnation_of(replies[2], replies[3]) == incarnation == shard.commander.incarnation
        return int(replies[1]) if same else -1

    async def _link(self, shard: Shard) -> Link:
        """
        Raises:
            LinkError: the server is not reached.
        """
        link, address = self._links.get(shard), shard.commander.address
        if address is None:
            raise LinkError(f"{shard.name}: not connected")
        if link is not None and (link.name != address.name or not link.open):
            link.abort("the master is another server now")
            link = None
        if link is None:
            link = self._links[shard] = await open_link(
                address, client=self._client, patience=self._tuning.patience
            )
        return link


class RedisWitness:
    """`Witness` over the servers of some channels."""

    def __init__(self, of: RedisWitnesses, channels: Collection[str]) -> None:
        self._of = of
        self._channels = channels
        self._before = of.masters(channels)

    async def unconfirmed(self, replicas: int) -> dict[str, HubError]:
        """`Witness.unconfirmed`."""
        shown: dict[tuple[Shard, str], str] = {}
        for name, where in self._before.items():
            shown.setdefault(where, name)
        counts = await asyncio.gather(
            *(self._of.replicas(*where, name, replicas) for where, name in shown.items())
        )
        found = dict(zip(shown, counts, strict=True))
        after = self._of.masters(self._channels)
        refused = {}
        for name in self._channels:
            before = self._before.get(name)
            have = found[before] if before is not None and after.get(name) == before else -1
            if have < replicas:
                refused[name] = not_replicated(name, _why(have, replicas))
        return refused


def _why(have: int, wanted: int) -> str:
    if have < 0:
        return "stored, but whether a failover keeps it is not known: the storage's master is changing"
    return f"stored, but on {have} replicas so far, and {wanted} were asked for"
