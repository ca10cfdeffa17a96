"""A start that fails half-way leaves nothing behind: no task, no connection to the storage."""

import asyncio
from pathlib import Path

import pytest

from hub.app import Hub
from hub.broker.redis.client.command_connection import WrongServer
from hub.cluster.worker_ipc import UnixWorkerIpc
from hub.settings import Settings

from ..broker.redis.servers import RedisServer
from ..support.redis import redis
from ..support.server import JWT_SECRET

__all__ = ["redis"]  # a fixture


async def tasks_left(before: set["asyncio.Task[object]"]) -> set[str]:
    await asyncio.sleep(0)  # what was cancelled ends
    return {task.get_name() for task in asyncio.all_tasks() - before}


async def clients(server: RedisServer) -> int:
    """Connections to Redis, but for the one that asks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(b"CLIENT LIST\r\n")
        size = int((await reader.readline())[1:])
        return (await reader.readexactly(size)).count(b"\n") - 1
    finally:
        writer.close()
        await writer.wait_closed()


async def test_where_the_workers_folder_is_missing(redis: RedisServer, tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    ipc = UnixWorkerIpc(tmp_path / "nowhere", 0, 2)
    hub = Hub(Settings(broker=redis.url, jwt_secret=JWT_SECRET), ipc)
    with pytest.raises(OSError, match="No such file"):
        async with hub.lifespan():
            pytest.fail("it has started")
    assert hub.node is None
    assert await tasks_left(before) == set()
    async with asyncio.timeout(5):
        while await clients(redis):
            await asyncio.sleep(0.01)


async def test_where_the_storage_belongs_to_another_ring(redis: RedisServer, tmp_path: Path) -> None:
    async with RedisServer(tmp_path / "second") as second:
        one = Hub(Settings(broker=redis.url, jwt_secret=JWT_SECRET))
        other = Hub(Settings(broker=f"{redis.url},{second.url}", jwt_secret=JWT_SECRET))
        async with one.lifespan():
            before, held = asyncio.all_tasks(), await clients(redis)
            with pytest.raises(WrongServer, match="belongs to a hub"):
                async with other.lifespan():
                    pytest.fail("it has started")
            assert await tasks_left(before) == set()
            async with asyncio.timeout(5):
                while await clients(redis) > held or await clients(second):
                    await asyncio.sleep(0.01)


async def test_where_it_is_cut_off() -> None:
    """The storage says nothing, so that the start waits; and whoever waits for it gives up."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1")
    async with server:
        port = server.sockets[0].getsockname()[1]
        before = asyncio.all_tasks()
        hub = Hub(Settings(broker=f"redis://127.0.0.1:{port}", jwt_secret=JWT_SECRET))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), hub.lifespan():
                pytest.fail("it has started")
        async with asyncio.timeout(5):
            while await tasks_left(before):  # those of the server end with their connections
                await asyncio.sleep(0.01)
