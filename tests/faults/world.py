"""Two nodes over one Redis, a publisher through each, a subscriber on each, and the record of all that happened.

publishers ─HTTP─▶ nodes ─▶ Redis
subscriber 0 ─ front ─▶ node 0 ─ link ─▶ Redis      (front and link are proxies, for faults)
subscriber 1 ───────▶ node 1 ─────────▶ Redis
"""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from hub.client import Client, Event, Gap
from hub.protocol.position import Position

from ..broker.redis.sentinel import Set, replicated_set
from ..broker.redis.servers import RedisServer
from ..proxy import Proxy
from ..server import SCALE, RunningHub, running_hub

CHANNEL = "system:faults"
EVERY_S = 0.02  # between two publications of one publisher
HISTORY = 2000
UNKNOWN = "outcome is unknown"


@dataclass
class Record:
    """What the publishers were told of each number that they published."""

    stored: dict[int, Position] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)  # number → reason
    unknown: set[int] = field(default_factory=set)


class Subscriber:
    """A client, and all that its subscription yielded, in order."""

    def __init__(self, url: str, token: str) -> None:
        self.items: list[Event | Gap] = []
        self._client = Client(url, token)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._client.start()
        self._task = asyncio.create_task(self._read())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._client.close()

    async def _read(self) -> None:
        async with self._client.subscribe(CHANNEL) as subscription:
            async for item in subscription:
                assert isinstance(item, Event | Gap)
                self.items.append(item)

    @property
    def events(self) -> list[Event]:
        return [item for item in self.items if isinstance(item, Event)]

    @property
    def gaps(self) -> list[Gap]:
        return [item for item in self.items if isinstance(item, Gap)]

    def has(self, number: int) -> bool:
        """Whether the number was seen; looks from the end."""
        return any(item.payload == number for item in reversed(self.items) if isinstance(item, Event))


class World:
    """See the module's head. Made by `world`."""

    def __init__(
        self, server: RedisServer, replicas: Set | None, link: Proxy, front: Proxy, hubs: list[RunningHub]
    ) -> None:
        self.server = server
        self.replicas = replicas
        self.link = link
        self.front = front
        self.hubs = hubs
        self.record = Record()
        self.subscribers = [
            Subscriber(f"ws://127.0.0.1:{front.port}/ws", hubs[0].token("ann", subscribe=["*"])),
            Subscriber(hubs[1].ws_url, hubs[1].token("bob", subscribe=["*"])),
        ]
        self.publishing = [True, True]
        self._number = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        for subscriber in self.subscribers:
            await subscriber.start()
        self._tasks = [asyncio.create_task(self._publish(number)) for number in range(2)]
        await self.until_seen()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for subscriber in self.subscribers:
            await subscriber.close()

    async def _publish(self, which: int) -> None:
        hub = self.hubs[which]
        headers = {"Authorization": f"Bearer {hub.api_key}"}
        async with httpx.AsyncClient(
            base_url=hub.url, headers=headers, timeout=30.0, trust_env=False
        ) as http:
            while True:
                if self.publishing[which]:
                    self._number += 1
                    await self._publish_one(http, self._number)
                await asyncio.sleep(EVERY_S)

    async def _publish_one(self, http: httpx.AsyncClient, number: int) -> None:
        body = {"channel": CHANNEL, "event": "tick", "payload": number}
        try:
            answer = await http.post("/v1/publish", json=body)
        except httpx.HTTPError:
            self.record.unknown.add(number)
            return
        told = answer.json()
        if answer.status_code == 200:
            self.record.stored[number] = Position(told["epoch"], told["offset"])
        elif UNKNOWN in str(told):
            self.record.unknown.add(number)
        else:
            self.record.refused[number] = str(told)

    # Waiting

    async def until(self, condition: Callable[[], bool], seconds: float = 40.0) -> None:
        """Wait for what must come."""
        async with asyncio.timeout(seconds * SCALE):
            while not condition():
                await asyncio.sleep(0.02)

    async def until_seen(self) -> float:
        """Until something that is published from now on was seen by both; how long it took."""
        begun, after = time.monotonic(), self._number

        def seen() -> bool:
            new = [number for number in self.record.stored if number > after]
            return bool(new) and all(
                any(event.payload > after for event in subscriber.events[-20:])
                for subscriber in self.subscribers
            )

        await self.until(seen)
        return time.monotonic() - begun

    async def settle(self) -> None:
        """No more publications; until the last one was seen by both."""
        self.publishing = [False, False]
        await asyncio.sleep(EVERY_S * 2)
        await self.until_quiet()
        last = max(self.record.stored, key=lambda number: (number, 0))
        await self.until(lambda: all(subscriber.has(last) for subscriber in self.subscribers))
        await self.until_quiet()

    async def until_quiet(self) -> None:
        """Until nothing has come for half a second."""
        count = -1
        while count != (count := sum(len(subscriber.items) for subscriber in self.subscribers)):
            await asyncio.sleep(0.5)

    # The two connections that a fault picks

    async def listening_connection(self) -> int:
        """The number of node 0's subscriber connection on the link."""
        clients = (await self.server.command("CLIENT", "LIST", "TYPE", "pubsub")).decode()
        ports = [int(port) for port in re.findall(r" addr=[\d.]+:(\d+)", clients)]
        for port in ports:
            with contextlib.suppress(LookupError):
                return self.link.number_of(port)
        raise LookupError(clients)


@contextlib.asynccontextmanager
async def world(
    folder: Path, *options: str, history: int = HISTORY, sentinel: bool = False
) -> AsyncIterator[World]:
    """A running world; `options` are lines of the Redis server's configuration. With `sentinel`, the server is
    the master of a replicated set, `replicas`, and the nodes find it by themselves."""
    async with contextlib.AsyncExitStack() as stack:
        replicas: Set | None = None
        if sentinel:
            replicas = await stack.enter_async_context(replicated_set(folder))
            server = replicas.master
        else:
            server = RedisServer(folder / "redis", *options)
            await server.start()
            stack.push_async_callback(server.stop)
        link = await Proxy("127.0.0.1", server.port).start()
        stack.push_async_callback(link.close)
        brokers = [replicas.url] * 2 if replicas else [f"redis://127.0.0.1:{link.port}", server.url]
        hubs = [await _hub(stack, broker, history) for broker in brokers]
        front = await Proxy("127.0.0.1", hubs[0].port).start()
        stack.push_async_callback(front.close)
        made = World(server, replicas, link, front, hubs)
        stack.push_async_callback(made.close)
        await made.start()
        yield made


async def _hub(stack: contextlib.AsyncExitStack, broker: str, history: int) -> RunningHub:
    """A node; it is started and stopped in a thread, for both wait."""
    rules = {"system": {"mode": "log", "history_size": history}}
    serving = running_hub(broker=broker, namespaces=rules, position_check=2)
    hub = await asyncio.to_thread(serving.__enter__)
    stack.push_async_callback(asyncio.to_thread, serving.__exit__, None, None, None)
    return hub
