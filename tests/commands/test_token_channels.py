"""The channels of a token: all at once, and each until it holds. Of two servers one is away at first."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.broker.redis.client.ring import HashRing
from hub.client import Client

from ..broker.redis.servers import RedisServer
from ..support.server import RunningHub, running_hub
from ..support.wire import Wire, connect

NAMES = [f"system:{number}" for number in range(64)]  # of which the ring gives some to each


class Half:
    """A hub over two servers. `dead` channels belong to the one that is away, `alive` ones to the other."""

    def __init__(self, hub: RunningHub, servers: list[RedisServer]) -> None:
        ring = HashRing([server.url.removeprefix("redis://") for server in servers])
        theirs = {name: ring.of(name) for name in NAMES}
        self.hub = hub
        self.away = servers[1]
        self.alive = [name for name, at in theirs.items() if at.endswith(str(servers[0].port))]
        self.dead = [name for name, at in theirs.items() if at.endswith(str(servers[1].port))]
        assert len(self.alive) > 3
        assert len(self.dead) > 3

    def token(self, channels: list[str]) -> str:
        return self.hub.token("ann", channels=channels)


@pytest.fixture
async def half(tmp_path: Path) -> AsyncIterator[Half]:
    servers = [RedisServer(tmp_path / name) for name in ("one", "two")]
    await servers[0].start()
    serving = running_hub(broker=",".join(server.url for server in servers))
    hub = await asyncio.to_thread(serving.__enter__)
    try:
        yield Half(hub, servers)
    finally:
        await asyncio.to_thread(serving.__exit__, None, None, None)
        for server in servers:
            await server.stop()


async def told(wire: Wire, kind: str, channels: list[str], within: float = 20.0) -> list[dict[str, Any]]:
    """The messages of this kind about these channels, one each."""
    found: dict[str, dict[str, Any]] = {}
    while set(found) != set(channels):
        message = await wire.receive(within)
        assert message["type"] in ("hub.subscribed", "hub.error"), message
        if message["type"] == kind:
            assert message["channel"] not in found
            found[message["channel"]] = message
    return list(found.values())


async def test_the_plainest_client_is_heard_of_once_its_server_is_back(half: Half) -> None:
    async with connect(half.hub.ws_url, half.token(half.dead + half.alive)) as wire:
        begun = time.monotonic()
        errors = [await wire.receive() for _ in half.dead + half.alive]
        assert (
            time.monotonic() - begun < 2.0
        )  # dead ones are refused at once, living ones don't wait for them
        refused = [error for error in errors if error["type"] == "hub.error"]
        assert {error["channel"] for error in refused} == set(half.dead)
        assert all(error["retry"] and error["code"] == "unavailable" for error in refused)
        await half.away.start()
        await told(wire, "hub.subscribed", half.dead)
        await asyncio.to_thread(half.hub.publish, half.dead[0])
        assert (await wire.expect("tick"))["channel"] == half.dead[0]


async def test_what_the_client_does_itself_goes_before(half: Half) -> None:
    first, second, third = half.dead[:3]
    async with connect(half.hub.ws_url, half.token([first, second, third])) as wire:
        for _ in range(3):
            await wire.expect("hub.error")
        await wire.ask("unsubscribe", channel=first)
        await half.away.start()
        while (await wire.ask("subscribe", channel=second, max_rate=1))["type"] == "hub.error":
            await asyncio.sleep(0.1)
        assert {message["channel"] for message in await told(wire, "hub.subscribed", [third])} == {third}
        await wire.quiet(3.0)


async def test_the_python_client_shows_both(half: Half) -> None:
    errors: list[Any] = []
    subscribed: asyncio.Queue[Any] = asyncio.Queue()
    token = half.token(half.dead[:1])
    async with Client(half.hub.ws_url, token, on_error=errors.append, on_subscription=subscribed.put_nowait):
        async with asyncio.timeout(10):
            while not errors:
                await asyncio.sleep(0.05)
        assert (errors[0].code, errors[0].channel) == ("unavailable", half.dead[0])
        await half.away.start()
        async with asyncio.timeout(20):
            assert (await subscribed.get()).channel == half.dead[0]
