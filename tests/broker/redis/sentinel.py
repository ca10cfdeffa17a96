"""A master, a replica, and Sentinels that watch them, for tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from hub.broker.redis.client.connection import LinkError

from .servers import RedisServer


@dataclass
class Set:
    """One replicated set, and who watches it."""

    master: RedisServer
    replica: RedisServer
    sentinels: list[RedisServer]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/mymaster"

    async def failed_over(self) -> None:
        """Until the Sentinels name the replica, and it is a master."""
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(LinkError):  # it cuts its clients off when its role changes
                    role = (await self.replica.command("ROLE"))[0]
                    found = await self.sentinels[0].command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
                    if role == b"master" and int(found[1]) == self.replica.port:
                        return
                await asyncio.sleep(0.05)

    async def lag(self) -> None:
        """From now on, what the master writes does not reach the replica."""
        self.replica.pause()
        for _ in range(3):  # fills what lies between them, so that later writes stay in the master
            await self.master.command("SET", "filler", b"x" * 10_000_000)

    async def lose_master(self) -> None:
        """The master dies, and the replica takes over with what it has."""
        await self.master.kill()
        self.replica.resume()
        await self.failed_over()


@contextlib.asynccontextmanager
async def replicated_set(folder: Path) -> AsyncIterator[Set]:
    """A running set whose replica is in step."""
    master = RedisServer(folder / "master", "repl-diskless-sync-delay 0")
    await master.start()
    replica = RedisServer(folder / "replica", f"replicaof 127.0.0.1 {master.port}")
    await replica.start()
    sentinels = [
        RedisServer(
            folder / f"sentinel{number}",
            f"sentinel monitor mymaster 127.0.0.1 {master.port} 1",
            "sentinel down-after-milliseconds mymaster 500",
            "sentinel failover-timeout mymaster 3000",
        )
        for number in range(2)
    ]
    for sentinel in sentinels:
        await sentinel.start()
    async with asyncio.timeout(15):
        while b"master_link_status:up" not in await replica.command("INFO", "replication"):
            await asyncio.sleep(0.05)
        while not await sentinels[0].command("SENTINEL", "REPLICAS", "mymaster"):
            await asyncio.sleep(0.05)
    yield Set(master, replica, sentinels)
    for server in (*sentinels, replica, master):
        await server.stop()
