"""The real servers of a run, and how each fault is done to them."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import hiredis

from hub.broker.redis.client.connection import LinkError

from ..broker.redis.cluster import Cluster
from ..broker.redis.sentinel import Set, replicated_set
from ..broker.redis.servers import RedisServer
from ..faults.stage import CHANNELS, Stage
from ..support.proxy import Proxy
from ..support.server import RunningHub, running_hub
from .schedule import Step
from .visitors import ROOM

SAVES = "save 3600 1000000"  # so that SIGTERM saves
CLOCK_S = 40.0
SILENCE_S = 20.0  # a node that is cut off for longer than 15 s is taken for dead


class Topology:
    """Servers, and what may happen to them. `urls` are the brokers of the nodes, one each."""

    workers = 1

    def __init__(self, servers: list[RedisServer], urls: list[str]) -> None:
        self.servers = servers
        self.urls = urls
        self.stage: Stage
        self._ahead = 0.0

    async def nodes(
        self, stack: contextlib.AsyncExitStack, settings: dict[str, Any]
    ) -> tuple[Proxy, list[RunningHub]]:
        """The running nodes, and the proxy where faults of the network go."""
        link = await Proxy("127.0.0.1", self.servers[0].port).start()
        stack.push_async_callback(link.close)
        urls = list(self.urls)
        if len(self.servers) == 1:
            urls[0] = f"redis://127.0.0.1:{link.port}"
        hubs = []
        for url in urls:
            serving = running_hub(broker=url, workers=self.workers, **settings)
            hubs.append(await asyncio.to_thread(serving.__enter__))
            stack.push_async_callback(asyncio.to_thread, serving.__exit__, None, None, None)
        return link, hubs

    async def inflict(self, step: Step) -> None:
        """Do what a step says; returns when the fault is over."""
        await getattr(self, "_" + step.fault.replace("-", "_"))(step.hardness)

    def _one(self, hardness: float) -> RedisServer:
        return self.servers[int(hardness * 1e6) % len(self.servers)]

    async def _all(self, *words: str | int) -> None:
        for server in self.servers:
            with contextlib.suppress(LinkError, hiredis.ReplyError):  # one of them may be a replica
                await server.command(*words)

    # What destroys nothing

    async def _restart(self, hardness: float) -> None:
        server = self._one(hardness)
        await server.stop()
        await asyncio.sleep(hardness * 2)
        await server.start()

    async def _kill_pubsub(self, hardness: float) -> None:
        for _ in range(1 + int(3 * hardness)):
            await self._all("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(0.3)

    async def _stop(self, hardness: float) -> None:
        server = self._one(hardness)
        server.pause()
        await asyncio.sleep(hardness * 6)
        server.resume()

    async def _forget_scripts(self, hardness: float) -> None:
        await self._all("SCRIPT", "FLUSH")

    async def _full(self, hardness: float) -> None:
        server = self._one(hardness)
        await server.command("CONFIG", "SET", "maxmemory", "1")
        await asyncio.sleep(hardness * 2)
        await server.command("CONFIG", "SET", "maxmemory", "0")

    async def _step(self, hardness: float) -> None:
        server = self._one(hardness)
        self._ahead += CLOCK_S if hardness < 0.7 else -CLOCK_S
        server.step(self._ahead)

    async def _half_open(self, hardness: float) -> None:
        self.stage.link.swallowing = True
        await asyncio.sleep(hardness * SILENCE_S)
        self.stage.link.heal()

    async def _cut(self, hardness: float) -> None:
        for _ in range(1 + int(3 * hardness)):
            self.stage.link.cut()
            await asyncio.sleep(0.2)

    async def _kill_worker(self, hardness: float) -> None:
        hub = self.stage.hubs[int(hardness * 1e6) % len(self.stage.hubs)]
        children = Path(f"/proc/{hub.pid}/task/{hub.pid}/children").read_text().split()
        os.kill(int(children[int(hardness * 1e3) % len(children)]), signal.SIGKILL)
        await asyncio.sleep(1.0)

    # What does

    async def _older(self, hardness: float) -> None:
        server = self._one(hardness)
        await server.command("SAVE")
        await self.stage.until_published(1 + int(hardness * 40))
        await server.kill()
        await server.start()

    async def _empty(self, hardness: float) -> None:
        server = self._one(hardness)
        await server.kill()
        (server.folder / "dump.rdb").unlink(missing_ok=True)
        await server.start()

    async def _flushall(self, hardness: float) -> None:
        await self._all("FLUSHALL")

    async def _evict(self, hardness: float) -> None:
        """As a server does whose policy throws keys away."""
        self.stage.flow.expected.add("internal")
        channel = (*CHANNELS, ROOM)[int(hardness * 1e4) % 3]
        suffix = "mskxpn"[int(hardness * 1e6) % 6]
        for server in self.servers:
            with contextlib.suppress(LinkError, hiredis.ReplyError):
                await server.command("DEL", f"hub:{{{channel}}}:{suffix}")


class WithSentinel(Topology):
    def __init__(self, found: Set) -> None:
        super().__init__([found.master, found.replica], [found.url] * 2)
        self._set = found

    async def _failover(self, hardness: float) -> None:
        await self._in_step()
        await self._set.master.kill()
        await self._set.failed_over()
        await self._swap()

    async def _failover_planned(self, hardness: float) -> None:
        await self._in_step()
        async with asyncio.timeout(20):
            while True:
                # A Sentinel that has just met the replica does not trust it yet (NOGOODSLAVE).
                with contextlib.suppress(hiredis.ReplyError):
                    await self._set.sentinels[0].command("SENTINEL", "FAILOVER", "mymaster")
                    break
                await asyncio.sleep(0.2)
        await self._set.failed_over()
        # The old master takes writes for some seconds more, which then are lost: nodes look every second.
        async with asyncio.timeout(20):
            while b"name=hub" in await self._set.master.command("CLIENT", "LIST"):
                await asyncio.sleep(0.1)
        await self._swap()

    async def _failover_lagging(self, hardness: float) -> None:
        await self._set.lag()
        await self.stage.until_published(1 + int(hardness * 20))
        await self._set.lose_master()
        await self._swap()

    async def _in_step(self) -> None:
        """What the flow stores from now on may be lost with the master; so there is none, but for a moment."""
        await self.stage.flow.hold()
        await self._set.master.replicated()

    async def _swap(self) -> None:
        self.stage.flow.release()
        found = self._set
        found.master, found.replica = found.replica, found.master
        if not found.replica.running:
            await found.replica.start()
        async with asyncio.timeout(40):
            while not await self._follows():
                await asyncio.sleep(0.1)

    async def _follows(self) -> bool:
        """Whether the replica is in step, and a Sentinel knows it."""
        with contextlib.suppress(LinkError, hiredis.ReplyError):  # a change of its role cuts its clients off
            facts = await self._set.replica.command("INFO", "replication")
            known = await self._set.sentinels[0].command("SENTINEL", "REPLICAS", "mymaster")
            return b"master_link_status:up" in facts and bool(known)
        return False


class OfCluster(Topology):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.servers, [cluster.url] * 2)
        self._cluster = cluster

    async def _failover_planned(self, hardness: float) -> None:
        await self._cluster.fail_over(self._channel(hardness))

    async def _move_slot(self, hardness: float) -> None:
        await self._cluster.move_away(self._channel(hardness))

    async def _move_slot_back(self, hardness: float) -> None:
        await self._cluster.move_away(self._channel(hardness))
        await self.stage.until_published(5)
        await self._cluster.move_away(self._channel(hardness))

    @staticmethod
    def _channel(hardness: float) -> str:
        return CHANNELS[int(hardness * 1e4) % 2]


@contextlib.asynccontextmanager
async def topology(name: str, folder: Path) -> AsyncIterator[Topology]:
    """The running servers of a topology."""
    if name == "sentinel":
        async with replicated_set(folder) as found:
            yield WithSentinel(found)
    elif name == "cluster":
        cluster = Cluster(folder, 6)
        await cluster.start(replicas=1)
        try:
            yield OfCluster(cluster)
        finally:
            await cluster.stop()
    else:
        async with contextlib.AsyncExitStack() as stack:
            servers = [RedisServer(folder / f"redis{n}", SAVES) for n in range(2 if name == "ring" else 1)]
            for server in servers:
                server.own_clock()
                await stack.enter_async_context(server)
            found_ = Topology(servers, [",".join(server.url for server in servers)] * 2)
            found_.workers = 2 if name == "workers" else 1
            yield found_
