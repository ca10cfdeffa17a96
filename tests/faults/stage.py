"""Two nodes over one Redis, a set with Sentinels or a Cluster; a witness on each, publishers through both, and
proxies where faults go.

    publishers ─HTTP─▶ node 0 ── link (proxy) ──▶ Redis
               ─HTTP─▶ node 1 ──────────────────▶ Redis
    witness 0 ─▶ node 0, else 1      witness 1 ─▶ node 1, else 0      the hopper ─▶ node 0, 1, 0, 1 …

Each stage has servers of its own, so that stages can run beside each other.
"""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal

from ..broker.redis.cluster import Cluster
from ..broker.redis.sentinel import Set, replicated_set
from ..broker.redis.servers import RedisServer
from ..support.pace import SCALE
from ..support.proxy import Proxy
from ..support.server import RunningHub, running_hub
from .flow import Flow
from .front import nginx
from .watch import Watch
from .witness import Witness

LOG, STATE = "system:flow", "job:flow"
CHANNELS = (LOG, STATE)
EVERY_S = 0.06  # of each of four publishers: some 60 events a second
HISTORY = 5000
PREFIX = "hub"

Setup = Literal["server", "sentinel", "cluster"]


class Stage:
    """See the module's head. Made by `stage`. `began` and `over`: when the fault was, where that is not all
    of the time that inflicting it took."""

    def __init__(
        self,
        server: RedisServer | None,
        replicas: Set | None,
        link: Proxy,
        hubs: list[RunningHub],
        front: int | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        self._server = server
        self.replicas = replicas
        self.cluster = cluster
        self.link = link
        self.hubs = hubs
        self.began = 0.0
        self.over: float | None = None
        self.trouble: list[str] = []  # what a fault itself found wrong
        self.front = front
        addresses = [f"127.0.0.1:{front or hub.port}" for hub in hubs]
        self.flow = Flow([f"http://{a}" for a in addresses], hubs[0].api_key, list(CHANNELS), EVERY_S)
        self.watches = [Watch(hub.url) for hub in hubs]
        self.gone: set[int] = set()
        self.kept: dict[str, set[int]] = {}  # numbers that are stored in the end
        urls = [f"ws://{address}/ws" for address in addresses]
        token = hubs[0].token("ann", subscribe=["system:*", "job:*"])
        self.witnesses = [
            Witness("witness 0", urls, token, CHANNELS),
            Witness("witness 1", urls[::-1], token, CHANNELS),
        ]
        self.hopper = Witness("the hopper", urls, token, CHANNELS)

    @property
    def server(self) -> RedisServer:
        """The Redis of the nodes, where they have one."""
        assert self._server is not None
        return self._server

    @property
    def everyone(self) -> list[Witness]:
        """All witnesses, the one that hops too."""
        return [*self.witnesses, self.hopper]

    # Waiting

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
        """Wait for what must come."""
        try:
            async with asyncio.timeout(seconds * SCALE):
                while not condition():
                    for witness in self.everyone:
                        assert witness.failure is None, witness.failure
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"waited {seconds * SCALE:g} s in vain: {what}") from None

    async def until_published(self, more: int) -> None:
        """Until so many more were answered with a position, in each channel."""
        aims = {channel: len(self.flow.stored(channel)) + more for channel in CHANNELS}
        await self.until(
            lambda: all(len(self.flow.stored(channel)) >= aim for channel, aim in aims.items()),
            "the flow of events",
        )

    def caught_up(self, after: float) -> bool:
        """Whether all witnesses saw, of every channel, something that was first sent after this moment."""
        sent_at = self.flow.told
        return all(
            any(sent_at[event.number].sent_at > after for event in witness.events(channel)[-30:])
            for witness in self.everyone
            for channel in CHANNELS
        )

    def all_green(self) -> bool:
        """Whether every node that lives is ready."""
        return all(watch.green for node, watch in enumerate(self.watches) if node not in self.gone)

    # What faults do

    def kill_node(self, node: int) -> None:
        """As the kernel does when memory runs out. A load balancer finds out; its clients do by themselves."""
        os.kill(self.hubs[node].pid, signal.SIGKILL)
        self.hubs[node].process.wait()
        self.gone.add(node)
        if self.front is None:
            self.flow.leave(node)

    async def listening(self) -> int:
        """The number of node 0's listening connection on the link."""
        clients = (await self.server.command("CLIENT", "LIST", "TYPE", "pubsub")).decode()
        for port in re.findall(r" addr=[\d.]+:(\d+)", clients):
            with contextlib.suppress(LookupError):
                return self.link.number_of(int(port))
        raise LookupError(clients)

    def log(self) -> str:
        """What both nodes have logged."""
        return "\n".join(f"--- node {node}\n{hub.log()}" for node, hub in enumerate(self.hubs))


@contextlib.asynccontextmanager
async def stage(
    folder: Path, *options: str, history: int = HISTORY, setup: Setup = "server", front: bool = False
) -> AsyncIterator[Stage]:
    """A stage whose witnesses listen; nothing flows yet. `options` are lines of redis.conf. The nodes find the
    server by Sentinels, or are on a Cluster of three masters with a replica each, where `setup` says so: then there
    is no link between. With `front` all traffic passes nginx."""
    async with contextlib.AsyncExitStack() as stack:
        replicas: Set | None = None
        cluster: Cluster | None = None
        if setup == "sentinel":
            replicas = await stack.enter_async_context(replicated_set(folder))
            server = replicas.master
        elif setup == "cluster":
            cluster = Cluster(folder, 6)
            stack.push_async_callback(cluster.stop)
            await cluster.start(replicas=1)
            server = cluster.servers[0]
        else:
            server = RedisServer(folder / "redis", *options)
            await server.start()
            stack.push_async_callback(server.stop)
        link = await Proxy("127.0.0.1", server.port).start()
        stack.push_async_callback(link.close)
        brokers = [f"redis://127.0.0.1:{link.port}", server.url]
        if found := replicas or cluster:
            brokers = [found.url] * 2
        hubs = await asyncio.gather(*(_hub(stack, broker, history) for broker in brokers))
        port = await stack.enter_async_context(nginx(folder, hubs)) if front else None
        made = Stage(server, replicas, link, list(hubs), port, cluster)
        stack.push_async_callback(_leave, made)
        for watch in made.watches:
            watch.start()
        for witness in made.everyone:
            witness.come()
        await made.until(
            lambda: all(w.place(channel)[0] for w in made.everyone for channel in CHANNELS), "subscriptions"
        )
        made.began = time.monotonic()
        yield made


async def _hub(stack: contextlib.AsyncExitStack, broker: str, history: int) -> RunningHub:
    """A node, with the settings that ship but for the history; it is started and stopped in a thread, because
    both block."""
    rules = {name: {"history_size": history} for name in ("system", "job")}
    serving = running_hub(broker=broker, namespaces=rules, prefix=PREFIX)
    hub = await asyncio.to_thread(serving.__enter__)
    stack.push_async_callback(asyncio.to_thread, serving.__exit__, None, None, None)
    return hub


async def _leave(made: Stage) -> None:
    """Before the nodes stop, nobody may be connected any more."""
    await made.hopper.rest()
    for witness in made.everyone:
        await witness.go()
    await made.flow.close()
    for watch in made.watches:
        await watch.close()
