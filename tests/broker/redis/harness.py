"""The Redis broker in the contract suite: a server of its own, real time."""

import asyncio
import tempfile
import time
from pathlib import Path

from hub.broker.base import Broker
from hub.broker.redis.broker import RedisBroker
from hub.broker.redis.client.tuning import Tuning

from ..harness import DEAD_LETTERS_LIMIT, MEMBERS_LIMIT, Recorder, namespaces
from .servers import RedisServer

QUICK = Tuning(patience=2.0, pulse=0.2, overdue=1.0, linger=0.2, backoff_max=0.3, sweep=0.1, visibility=1.0)
"""For tests: the same order of things, sooner."""


class RedisHarness:
    """`RedisBroker` on a server of its own. Its clock is the server's, so time really passes."""

    unit = 1.0
    fake_time = False

    def __init__(self, folder: "tempfile.TemporaryDirectory[str]") -> None:
        self.heard = Recorder()
        self._folder = folder
        self.server = RedisServer(Path(folder.name))
        self.broker: Broker

    @classmethod
    async def start(cls) -> "RedisHarness":
        harness = cls(tempfile.TemporaryDirectory(prefix="hub-redis-"))
        await harness.server.start()
        harness.broker = RedisBroker(
            harness.server.url,
            namespaces(cls.unit),
            node_id="n_test",
            members_limit=MEMBERS_LIMIT,
            dead_letters_limit=DEAD_LETTERS_LIMIT,
            tuning=QUICK,
        )
        await harness.broker.start(harness.heard)
        return harness

    def now(self) -> float:
        return time.time()

    async def advance(self, units: float) -> None:
        await asyncio.sleep(units * self.unit)

    async def lose(self) -> None:
        await self.server.command("FLUSHALL")

    async def close(self) -> None:
        await self.broker.close()
        await self.server.stop()
        self._folder.cleanup()
