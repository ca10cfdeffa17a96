"""One system each, as a test sees it: its server, its settings of a bridge, and how messages get in."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import nats
import orjson
import redis.asyncio

from ..support.server import free_port
from .process import Process, listens

Message = dict[str, Any]

MAPPING = """
channel = "order:{data.order}"
event = "{data.kind}"
id = "{data.id}"
payload = "data.n"
"""


class Feed(Protocol):
    """A system that is up."""

    server: Process

    def settings(self) -> str:
        """The ``[[bridges]]`` that read it."""

    async def produce(self, messages: Sequence[Message]) -> None:
        """Hand messages in, in order, and wait until they are stored."""

    async def raw(self, body: bytes) -> None:
        """Hand in bytes as they are."""


class RedisFeed:
    """A stream of a Redis of its own."""

    def __init__(self, server: Process, port: int) -> None:
        self.server = server
        self.url = f"redis://127.0.0.1:{port}"

    def settings(self) -> str:
        return (
            f'[[bridges]]\nname = "orders"\nkind = "redis_stream"\nurl = "{self.url}"\nstreams = ["orders"]\n'
            f"batch = 50\n{MAPPING}"
        )

    async def produce(self, messages: Sequence[Message]) -> None:
        async with redis.asyncio.from_url(self.url) as client:
            for message in messages:
                await client.xadd("orders", {"data": orjson.dumps(message)})

    async def raw(self, body: bytes) -> None:
        async with redis.asyncio.from_url(self.url) as client:
            await client.xadd("orders", {"data": body})


class NatsFeed:
    """A stream of a JetStream of its own."""

    def __init__(self, server: Process, port: int) -> None:
        self.server = server
        self.url = f"nats://127.0.0.1:{port}"

    def settings(self) -> str:
        return (
            f'[[bridges]]\nname = "orders"\nkind = "nats"\nservers = ["{self.url}"]\nstream = "orders"\n'
            f"batch = 50\n{MAPPING}"
        )

    async def produce(self, messages: Sequence[Message]) -> None:
        client = await nats.connect(self.url)
        stream = client.jetstream(timeout=30)
        for message in messages:
            await stream.publish("orders.new", orjson.dumps(message))
        await client.close()

    async def raw(self, body: bytes) -> None:
        client = await nats.connect(self.url)
        await client.jetstream(timeout=30).publish("orders.new", body)
        await client.close()


class PostgresFeed:
    """An outbox in a PostgreSQL of its own."""

    def __init__(self, server: Process, dsn: str) -> None:
        self.server = server
        self.dsn = dsn

    def settings(self) -> str:
        return (
            f'[[bridges]]\nname = "orders"\nkind = "postgres"\nurl = "{self.dsn}"\nbatch = 50\n'
            'channel = "{data.channel}"\nevent = "{data.event}"\npayload = "data.payload"\nkey = "{data.key}"\n'
        )

    async def produce(self, messages: Sequence[Message]) -> None:
        link = await asyncpg.connect(self.dsn)
        for message in messages:
            await link.execute(
                "SELECT hub_publish($1, $2, $3)",
                f"order:{message['order']}",
                message["kind"],
                str(message["n"]),
            )
        await link.close()

    async def raw(self, body: bytes) -> None:
        link = await asyncpg.connect(self.dsn)
        await link.execute("SELECT hub_publish($1, 'x', '1')", body.decode())
        await link.close()


@asynccontextmanager
async def redis_feed(folder: Path) -> AsyncIterator[RedisFeed]:
    port = free_port()
    command = [
        "redis-server",
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "yes",
    ]
    with Process(command, folder, listens(port)) as server:
        yield RedisFeed(server, port)


@asynccontextmanager
async def nats_feed(folder: Path) -> AsyncIterator[NatsFeed]:
    port = free_port()
    program = Path(sys.executable).with_name("nats-server")
    command = [str(program), "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(folder / "data")]
    with Process(command, folder, listens(port)) as server:
        feed = NatsFeed(server, port)
        client = await nats.connect(feed.url)
        await client.jetstream(timeout=30).add_stream(name="orders", subjects=["orders.*"])
        await client.close()
        yield feed


@asynccontextmanager
async def postgres_feed(folder: Path) -> AsyncIterator[PostgresFeed]:
    port = free_port()
    bin = max(Path("/usr/lib/postgresql").glob("*/bin"))
    user = "postgres" if os.getuid() == 0 else None
    if user is not None:
        for each in [folder, *folder.parents]:
            if each.owner() == "root" and not each.stat().st_mode & 0o005 and each != Path("/"):
                each.chmod(each.stat().st_mode | 0o011)
        shutil.chown(folder, user)
    data = folder / "data"
    made = [str(bin / "initdb"), "-D", str(data), "-A", "trust", "-U", "hub", "--no-sync"]
    subprocess.run(made, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)
    options = ["-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
    with Process(
        [str(bin / "postgres"), "-D", str(data), *options], folder, listens(port), user=user
    ) as server:
        dsn = f"postgresql://hub@127.0.0.1:{port}/postgres"
        await _make_outbox(dsn)
        yield PostgresFeed(server, dsn)


async def _make_outbox(dsn: str) -> None:
    schema = subprocess.run(
        [str(Path(sys.executable).with_name("hub")), "bridge", "--schema", "postgres"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for _ in range(100):
        try:
            link = await asyncpg.connect(dsn)
            break
        except (asyncpg.CannotConnectNowError, OSError):
            await asyncio.sleep(0.1)
    await link.execute(schema)
    await link.close()


FEEDS = {"redis_stream": redis_feed, "nats": nats_feed, "postgres": postgres_feed}
