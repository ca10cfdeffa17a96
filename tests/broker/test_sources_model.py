"""Any schedule of crashed and repeated batches from three sources into five channels: each event once, in the order
of its source.

A bridge hands a batch on, and commits what was answered; what is unanswered it hands on again, from wherever it
committed last. In between answers are lost, batches are cut, memory runs out in the middle of a pipelined batch and
comes back before its end, ids are forgotten, hubs and servers start again with their data.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.broker.base import Broker, Published
from hub.broker.memory.broker import MemoryBroker
from hub.broker.redis.broker import RedisBroker
from hub.broker.redis.client.errors import unavailable
from hub.broker.redis.store import Request
from hub.broker.sqlite.broker import SqliteBroker
from hub.namespaces import Mode, Namespace, Namespaces
from hub.protocol.errors import HubError
from hub.protocol.event import Publication, Source, Version

from ..support.stories import stories
from .harness import Clock, Recorder
from .redis.harness import QUICK
from .redis.servers import RedisServer

CHANNELS = ["log:a", "log:b", "log:c", "state:a", "state:b"]
SOURCES = ["orders/0", "orders/1", "bills"]
EVENTS = 24  # of each source
IDS_MS = 1000
LIFE_S = 300 * 86_400.0
SPACES = Namespaces(
    {
        "log": Namespace(mode=Mode.LOG, history_size=10_000, history_ttl=LIFE_S, meta_ttl=LIFE_S),
        "state": Namespace(mode=Mode.STATE, history_size=10_000, history_ttl=LIFE_S, meta_ttl=LIFE_S),
    }
)

Fault = tuple[str, int, int]  # what happens to a batch; from which request on, and up to which
CUT, LOST, FULL, FINE = "cut", "lost", "full", "fine"

faults = st.tuples(st.sampled_from([CUT, LOST, FULL, FINE]), st.integers(0, 4), st.integers(1, 5))
batches = st.tuples(st.just("batch"), st.sampled_from(SOURCES), st.integers(1, 12), faults)
events_between = st.sampled_from(["wait", "restart hub", "crash of the storage", "rewind"])
schedules = st.lists(batches | st.tuples(events_between, st.sampled_from(SOURCES)), max_size=16)


def nth(source: str, number: int) -> Publication:
    """The event that stands in a source at `number`: some channels get runs of them, some single ones."""
    place = (number * number // 3 + SOURCES.index(source)) % len(CHANNELS)
    payload = f'"{source} {number}"'.encode()
    return Publication(
        CHANNELS[place],
        "note",
        payload,
        "bridge",
        event_id=f"{source}@{number}",
        event_id_ttl_ms=IDS_MS,
        key=f"k{number % 3}",
        source=Source(source, Version(0, number)),
    )


class World(Protocol):
    """A hub whose storage fails on demand."""

    @property
    def broker(self) -> Broker: ...

    async def hand_on(self, batch: Sequence[Publication], fault: Fault) -> list[Published | HubError]: ...

    async def wait(self) -> None: ...

    async def restart_hub(self) -> None: ...

    async def crash(self) -> None: ...


class MemoryWorld:
    """Its process is its storage, so nothing is restarted; its clock is the test's."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.memory = MemoryBroker(SPACES, self.clock)
        self.broker = self.memory

    async def hand_on(self, batch: Sequence[Publication], fault: Fault) -> list[Published | HubError]:
        kind, first, _ = fault
        if kind == CUT:
            there = CHANNELS[:first]
            await self.memory.publish([each for each in batch if each.channel in there], ordered=True)
        else:
            results = await self.memory.publish(batch, ordered=True)
            if kind != LOST:
                return results
        return [unavailable("lost") for _ in batch]

    async def wait(self) -> None:
        self.clock.now += 10 * 86_400
        self.memory.tick()

    async def restart_hub(self) -> None:
        return

    async def crash(self) -> None:
        return


class SqliteWorld:
    """A file that a crash leaves as it is, on a disk that may be full; its clock is the test's."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.url = f"sqlite://{path}"
        self.sqlite: SqliteBroker
        self.broker: Broker

    async def restart_hub(self) -> None:
        if hasattr(self, "broker"):
            await self.sqlite.close()
        self.broker = self.sqlite = SqliteBroker(self.url, SPACES, self.clock, retry_s=0.001)
        await self.sqlite.start(Recorder())
        assert self.sqlite.counts()["forks"] == 0

    async def hand_on(self, batch: Sequence[Publication], fault: Fault) -> list[Published | HubError]:
        kind, first, _ = fault
        unanswered: list[Published | HubError] = [unavailable("lost") for _ in batch]
        if kind == CUT:
            batch = [each for each in batch if each.channel in CHANNELS[:first]]
        self._full(kind == FULL)
        results = await self.broker.publish(batch, ordered=True)
        self._full(False)
        return results if kind in (FULL, FINE) else unanswered

    def _full(self, full: bool) -> None:
        file = self.sqlite._file
        assert file is not None
        pages = file.db.execute("PRAGMA page_count").fetchone()[0]
        file.db.execute(f"PRAGMA max_page_count={pages if full else 10**6}")

    async def wait(self) -> None:
        self.clock.now += 10 * 86_400
        self.sqlite.tick()
        await asyncio.sleep(0.002)

    async def crash(self) -> None:
        """What ends a process lets go of its files, and of nothing else."""
        file, self.sqlite._file = self.sqlite._file, None
        assert file is not None
        file.db.close()
        file._mark.close(sync=False)
        if self.sqlite._flushing is not None:
            self.sqlite._flushing.cancel()
        await self.sqlite.close()
        del self.broker
        await self.restart_hub()


class FaultyStore:
    """A store that loses requests and replies; and between two requests of a pipeline the memory is full."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.fault: Fault = (FINE, 0, 0)

    async def run(self, requests: Sequence[Request]) -> list[Any]:
        kind, first, last = self.fault
        if kind == FULL and requests:
            tag = requests[0].tag
            full, free = (Request(tag, None, (), ("CONFIG", "SET", "maxmemory", size)) for size in ("1", "0"))
            last = max(first, last)
            replies = await self._store.run(
                [*requests[:first], full, *requests[first:last], free, *requests[last:]]
            )
            del replies[min(first, len(requests))]
            del replies[min(last, len(requests))]
            return list(replies)
        replies = await self._store.run(requests[:first] if kind == CUT else requests)
        return [unavailable("lost") for _ in requests] if kind in (CUT, LOST) else list(replies)

    async def one(self, request: Request) -> Any:
        return await self._store.one(request)


class RedisWorld:
    """A real server with its data on disk."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.broker: RedisBroker

    async def restart_hub(self) -> None:
        if hasattr(self, "broker"):
            await self.broker.close()
        self.broker = RedisBroker(self.server.url, SPACES, node_id="n_1", tuning=QUICK)
        await self.broker.start(Recorder())
        self.store = FaultyStore(self.broker._channels._store)
        self.broker._channels._store = self.store  # type: ignore[assignment]

    async def hand_on(self, batch: Sequence[Publication], fault: Fault) -> list[Published | HubError]:
        self.store.fault = fault
        try:
            return await self.broker.publish(batch, ordered=True)
        finally:
            self.store.fault = (FINE, 0, 0)

    async def wait(self) -> None:
        await asyncio.sleep(IDS_MS / 1000 + 0.05)

    async def crash(self) -> None:
        await self.server.kill()
        await self.server.start()


class Bridge:
    """Hands on one source, and knows what was answered."""

    def __init__(self, world: World, source: str) -> None:
        self.world = world
        self.source = source
        self.committed = 0

    async def batch(self, size: int, fault: Fault) -> None:
        numbers = range(self.committed + 1, min(EVENTS, self.committed + size) + 1)
        if not numbers:
            return
        results = await self.world.hand_on([nth(self.source, number) for number in numbers], fault)
        for number, result in zip(numbers, results, strict=True):
            if isinstance(result, HubError):
                assert result.retry, result.reason
                return
            self.committed = number


async def check(world: World, schedule: list[Any]) -> None:
    bridges = {source: Bridge(world, source) for source in SOURCES}
    for what, source, *more in schedule:
        if what == "batch":
            await bridges[source].batch(*more)
        elif what == "rewind":  # a bridge that lost its own place begins before it
            bridges[source].committed = max(0, bridges[source].committed - 7)
        elif what == "wait":
            await world.wait()
        elif what == "restart hub":
            await world.restart_hub()
        else:
            await world.crash()
    for bridge in bridges.values():
        async with asyncio.timeout(20):
            while bridge.committed < EVENTS:
                before = bridge.committed
                await bridge.batch(5, (FINE, 0, 0))
                if (
                    bridge.committed == before
                ):  # refused at once, without giving the loop a turn to connect again
                    await asyncio.sleep(0.02)
    for channel in CHANNELS:
        page = await world.broker.read(channel, 0, 1000)
        assert [event.offset for event in page.events] == list(range(1, page.top.offset + 1))
        for source in SOURCES:
            stored = [
                event.payload for event in page.events if event.payload.startswith(f'"{source} '.encode())
            ]
            numbers = range(1, EVENTS + 1)
            expected = [
                each.payload for number in numbers if (each := nth(source, number)).channel == channel
            ]
            assert stored == expected


@given(schedules)
@stories(150, deadline=None)
def test_in_memory(schedule: list[Any]) -> None:
    asyncio.run(check(MemoryWorld(), schedule))


@given(schedules)
@stories(60, deadline=None)
def test_in_a_file(schedule: list[Any]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory(prefix="hub-sources-") as folder:
            world = SqliteWorld(Path(folder) / "hub.db")
            await world.restart_hub()
            try:
                await check(world, schedule)
            finally:
                await world.sqlite.close()

    asyncio.run(run())


@given(schedules)
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_over_redis(schedule: list[Any]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory(prefix="hub-sources-") as folder:
            async with RedisServer(Path(folder) / "redis", "appendonly yes", "appendfsync always") as server:
                world = RedisWorld(server)
                await world.restart_hub()
                try:
                    await check(world, schedule)
                finally:
                    await world.broker.close()

    asyncio.run(run())
