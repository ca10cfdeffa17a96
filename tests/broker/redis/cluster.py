"""A Redis Cluster for tests: masters, and replicas where they are asked for."""

import asyncio
import contextlib
import subprocess
from pathlib import Path
from typing import Any

import hiredis

from hub.broker.redis.client.hash_slot import slot_of

from .servers import RedisServer, free_port


class Cluster:
    """Servers from the same binary, joined by redis-cli."""

    def __init__(self, folder: Path, count: int) -> None:
        self.servers = [
            RedisServer(
                folder / str(number),
                "cluster-enabled yes",
                "cluster-node-timeout 1000",
                "cluster-replica-validity-factor 0",
                port=free_port(also=10_000),
            )
            for number in range(count)
        ]

    async def start(self, replicas: int) -> None:
        await asyncio.gather(*(server.start() for server in self.servers))
        hosts = [f"127.0.0.1:{server.port}" for server in self.servers]
        joined = await asyncio.create_subprocess_exec(
            *(
                "redis-cli",
                "--cluster",
                "create",
                *hosts,
                "--cluster-replicas",
                str(replicas),
                "--cluster-yes",
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = await joined.communicate()
        assert joined.returncode == 0, output.decode()
        async with asyncio.timeout(20):
            for server in self.servers:
                while b"cluster_state:ok" not in await server.command("CLUSTER", "INFO"):
                    await asyncio.sleep(0.05)

    @property
    def url(self) -> str:
        return f"redis+cluster://127.0.0.1:{self.servers[0].port},127.0.0.1:{self.servers[1].port}"

    async def owner(self, channel: str) -> RedisServer:
        """The master that has a channel, as the masters that live see it."""
        slot = slot_of(channel)
        for server in self.servers:
            try:
                rows: list[Any] = await server.command("CLUSTER", "SLOTS")
            except Exception:  # the one that the test has killed
                continue
            for low, high, (_, port, *_rest), *_replicas in rows:
                if low <= slot <= high:
                    return next(server for server in self.servers if server.port == port)
        raise LookupError(channel)

    async def move(self, slot: int, old: RedisServer, new: RedisServer) -> None:
        """Move a slot with its keys from one master to another, while others use it."""
        ids = {server: (await server.command("CLUSTER", "MYID")).decode() for server in (old, new)}
        await new.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[old])
        await old.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[new])
        while keys := await old.command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            await old.command("MIGRATE", "127.0.0.1", new.port, "", 0, 5000, "KEYS", *keys)
        for server in (new, old, *self.servers):
            # A replica learns it from its master, and refuses to be told.
            with contextlib.suppress(hiredis.ReplyError):
                await server.command("CLUSTER", "SETSLOT", slot, "NODE", ids[new])

    async def move_away(self, channel: str) -> None:
        """A channel's slot goes to another master."""
        old = await self.owner(channel)
        masters = [each for each in self.servers if (await each.command("ROLE"))[0] == b"master"]
        await self.move(slot_of(channel), old, next(each for each in masters if each is not old))

    async def fail_over(self, channel: str) -> None:
        """The replica of a channel's master asks for its place, and gets it: nothing is lost."""
        replica = await self.replica(await self.owner(channel))
        await replica.command("CLUSTER", "FAILOVER")
        await self._leads(replica)

    async def lose_master(self, channel: str) -> RedisServer:
        """A channel's master is killed, and followed by its replica. The dead one."""
        master = await self.owner(channel)
        replica = await self.replica(master)
        await master.kill()
        await self._leads(replica)
        return master

    async def replica(self, master: RedisServer) -> RedisServer:
        """Who follows a master."""
        for server in self.servers:
            if not server.running:
                continue
            role = await server.command("ROLE")
            if role[0] == b"slave" and int(role[2]) == master.port:
                return server
        raise LookupError(master.port)

    async def _leads(self, server: RedisServer) -> None:
        async with asyncio.timeout(40):
            while (await server.command("ROLE"))[0] != b"master":
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self.servers))
