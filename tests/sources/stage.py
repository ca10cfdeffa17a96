"""A system, a bridge, and two nodes over one Redis: where faults are inflicted on each of them.

source's server ──▶ hub bridge ──▶ link (proxy) ──▶ node 0, or node 1 while it is gone
                                                      └──────── Redis, appendfsync always ────────┘

or, where a failover is to be seen, ── front (proxy) ──▶ Redis ── between (proxy) ──▶ a replica
"""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from ..broker.redis.servers import RedisServer
from ..support.pace import SCALE
from ..support.proxy import Proxy
from ..support.server import API_KEY, RunningHub, running_hub
from .feeds import FEEDS, Feed, Message
from .process import BridgeProcess

ORDERS = 20
HISTORY = 20_000
SETTLED_S = 120.0  # within which all that was handed in has to be stored


class Orders:
    """Messages of a few orders, numbered by order from 0. Names are fresh: hubs and systems live on."""

    made = 0

    def __init__(self, orders: int = ORDERS) -> None:
        Orders.made += 1
        self.names = [f"o{Orders.made}-{number}" for number in range(orders)]
        self.made_so_far = 0

    def some(self, count: int) -> list[Message]:
        found = []
        for number in range(self.made_so_far, self.made_so_far + count):
            which, n = number % len(self.names), number // len(self.names)
            name = self.names[which]
            found.append({"id": f"{name}-{n}", "order": name, "kind": "changed", "n": n})
        self.made_so_far += count
        return found

    def of(self, which: int) -> int:
        """How many messages of an order there are."""
        return len(range(which, self.made_so_far, len(self.names)))


class Verdict:
    """What became of all messages, by the stored histories."""

    def __init__(self) -> None:
        self.lost = self.doubled = self.disordered = 0

    def look(self, expected: int, found: list[int]) -> None:
        """One channel: the numbers that are stored, in their order."""
        self.lost += len(set(range(expected)) - set(found))
        self.doubled += len(found) - len(set(found))
        self.disordered += sum(before > after for before, after in pairwise(found))

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.disordered)

    def __str__(self) -> str:
        return f"lost {self.lost}, doubled {self.doubled}, out of order {self.disordered}"


class Replicated:
    """A master with a replica, on which nodes come by `front`."""

    def __init__(self, folder: Path, master: RedisServer) -> None:
        self.master = master
        self.front = Proxy("127.0.0.1", master.port)
        self.between = Proxy("127.0.0.1", master.port)
        self.replica = RedisServer(folder / "replica", "appendonly yes", "appendfsync always")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.front.port}"

    async def start(self) -> None:
        await self.front.start()
        await self.between.start()
        await self.replica.start()
        await self._follow()

    async def close(self) -> None:
        await self.front.close()
        await self.between.close()
        await self.replica.stop()

    async def lag(self) -> None:
        """From now on, what the master writes does not reach the replica."""
        self.between.holding = True

    async def fail_over(self) -> None:
        """The master dies, and the replica takes over with what it has. Then what was the master follows it."""
        await self.master.kill()
        self.between.cut()
        await self.replica.command("REPLICAOF", "NO", "ONE")
        self.master, self.replica = self.replica, self.master
        self.front.target = self.between.target = ("127.0.0.1", self.master.port)
        self.front.cut()
        self.between.heal()
        await self.replica.start()
        await self._follow()

    async def _follow(self) -> None:
        await self.replica.command("REPLICAOF", "127.0.0.1", self.between.port)
        await self.master.replicated()


class Stage:
    """Made by `stage`. `bridge` is the one whose health counts."""

    def __init__(
        self,
        kind: str,
        feed: Feed,
        folder: Path,
        redis: RedisServer,
        link: Proxy,
        replicated: Replicated | None = None,
    ) -> None:
        self.kind = kind
        self.feed = feed
        self.folder = folder
        self.redis = redis
        self.link = link
        self.replicated = replicated
        self.orders = Orders()
        self.generation = 0
        self.handed_in = 0
        self.hubs = contextlib.ExitStack()
        self.nodes: list[RunningHub] = []
        self.bridges = contextlib.ExitStack()
        self._changes = ""
        self.bridge = self.make_bridge("bridge")

    # The nodes

    async def start_node(self) -> None:
        """One more; `link` leads to the oldest one that lives."""
        settings = {"order": {"mode": "log", "history_size": HISTORY}}
        url = self.redis.url if self.replicated is None else self.replicated.url
        entering = running_hub(broker=url, namespaces=settings)
        self.nodes.append(await asyncio.to_thread(self.hubs.enter_context, entering))
        self.lead()

    def lead(self) -> None:
        self.link.target = ("127.0.0.1", self.nodes[0].port)

    async def kill_node(self) -> None:
        """The one that the bridge talks to; another takes its place, and then a new one comes."""
        node = self.nodes.pop(0)
        os.kill(node.pid, signal.SIGKILL)
        await asyncio.to_thread(node.process.wait)
        self.lead()
        self.link.cut()
        await self.start_node()

    # The bridges

    def make_bridge(self, name: str, changes: str = "") -> BridgeProcess:
        """One more bridge process, not started; `changes` are further settings."""
        text = self.feed.settings() + changes
        return BridgeProcess(f"http://127.0.0.1:{self.link.port}", API_KEY, text, self.folder / name)

    async def with_settings(self, changes: str) -> None:
        """The bridge begins again with these settings besides, unless it has them."""
        if changes != self._changes:
            self.bridge.stop()
            self._changes = changes
            self.bridge = self.make_bridge("bridge", changes)
            await self.start(self.bridge)
            await self.ready()

    async def start(self, bridge: BridgeProcess) -> None:
        await asyncio.to_thread(bridge.start)
        self.bridges.callback(bridge.stop)

    async def ready(self, within_s: float = 60.0) -> None:
        """Until the bridge says that it is well."""
        deadline = time.monotonic() + within_s * SCALE
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await asyncio.to_thread(self.bridge.get, "/readyz")
                if answer.status_code == 200:
                    return
                assert time.monotonic() < deadline, answer.text
            await asyncio.sleep(0.1)

    async def red(self, word: str, within_s: float = 60.0) -> str:
        """Until ``/readyz`` of the bridge says why it is not well, with this word; what it says."""
        deadline = time.monotonic() + within_s * SCALE
        while True:
            text = ""
            with contextlib.suppress(httpx.HTTPError):
                answer = await asyncio.to_thread(self.bridge.get, "/readyz")
                text = answer.text if answer.status_code == 503 else ""
            if word in text:
                return text
            assert time.monotonic() < deadline, f"not red with {word!r}: {text}"
            await asyncio.sleep(0.1)

    # The flow

    async def produce(self, count: int) -> None:
        await self.feed.produce(self.orders.some(count))
        self.handed_in += count

    async def amid(self, count: int, fault: Callable[[], Awaitable[None]]) -> None:
        """The fault, after `count` messages were handed in and while they are read."""
        await self.produce(count)
        await asyncio.sleep(random.random() * 0.3)
        await fault()

    async def verdict(self, within_s: float = SETTLED_S) -> Verdict:
        """Wait until all have come, or for long; what is stored then."""
        deadline = time.monotonic() + within_s * SCALE
        found: list[list[int]] = []
        async with httpx.AsyncClient(
            base_url=self.nodes[0].url,
            headers={"Authorization": f"Bearer {API_KEY}"},
            timeout=30,
            trust_env=False,
        ) as http:
            for which, name in enumerate(self.orders.names):
                while True:
                    numbers = await self.stored(http, name)
                    if len(numbers) >= self.orders.of(which) or time.monotonic() > deadline:
                        break
                    await asyncio.sleep(0.2)
                found.append(numbers)
            await asyncio.sleep(1.0)  # what comes twice comes late
            found = [await self.stored(http, name) for name in self.orders.names]
        verdict = Verdict()
        for which, numbers in enumerate(found):
            verdict.look(self.orders.of(which), numbers)
        return verdict

    async def stored(self, http: httpx.AsyncClient, name: str) -> list[int]:
        """The numbers that are stored of an order, from its beginning."""
        epoch = (await self._page(http, name, {"limit": "1"}))["epoch"]
        numbers: list[int] = []
        offset = 0
        while True:
            page = await self._page(http, name, {"limit": "1000", "since": f"{epoch}:{offset}"})
            numbers += [event["payload"] for event in page["events"]]
            if not page["more"]:
                return numbers
            offset = page["events"][-1]["offset"]

    async def _page(self, http: httpx.AsyncClient, name: str, query: dict[str, str]) -> dict[str, Any]:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await http.get(f"/v1/channels/order:{name}/history", params=query)
                if answer.status_code == 200:
                    found: dict[str, Any] = answer.json()
                    return found
            await asyncio.sleep(0.2)


@asynccontextmanager
async def stage(kind: str, folder: Path, *, replica: bool = False) -> AsyncIterator[Stage]:
    """All of it up, the bridge reading."""
    (folder / "source").mkdir()
    redis = RedisServer(folder / "redis", "appendonly yes", "appendfsync always")
    async with redis, FEEDS[kind](folder / "source") as feed:
        link = await Proxy("127.0.0.1", 1).start()
        made = Stage(kind, feed, folder, redis, link, Replicated(folder, redis) if replica else None)
        try:
            if made.replicated is not None:
                await made.replicated.start()
            for _ in range(2):
                await made.start_node()
            await made.start(made.bridge)
            await made.ready()
            yield made
        finally:
            await asyncio.to_thread(made.bridges.close)
            await asyncio.to_thread(made.hubs.close)
            await link.close()
            if made.replicated is not None:
                await made.replicated.close()
