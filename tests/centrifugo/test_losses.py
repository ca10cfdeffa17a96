"""What is lost is told: the client subscribes anew, and learns that it could not be recovered."""

import asyncio

from ..broker.redis.servers import RedisServer
from ..support.server import running_hub
from .conftest import SETTINGS
from .wire import opened


async def test_a_storage_that_forgot_everything(redis: RedisServer) -> None:
    with running_hub(broker=redis.url, position_check=1.0, **SETTINGS) as hub:
        token = hub.token("ann", subscribe=["chat:*"])
        async with opened(hub, token) as wire:
            first = (await wire.ask({"id": 2, "subscribe": {"channel": "chat:1"}}))["subscribe"]
            await asyncio.to_thread(hub.publish, "chat:1", "note", 1)
            assert (await wire.push("pub"))["pub"]["offset"] == 1
            await redis.command("FLUSHALL")
            await asyncio.to_thread(hub.publish, "chat:1", "note", 2)
            assert (await wire.push("unsubscribe"))["unsubscribe"]["code"] == 2500
            await asyncio.to_thread(hub.publish, "chat:1", "note", 3)
            await wire.quiet()  # it is over: nothing moves the position that is lost
            since = {"channel": "chat:1", "recover": True, "epoch": first["epoch"], "offset": 1}
            again = (await wire.ask({"id": 3, "subscribe": since}))["subscribe"]
            assert again["recovered"] is False
            assert again["offset"] == 2
            await asyncio.to_thread(hub.publish, "chat:1", "note", 4)
            assert (await wire.push("pub"))["pub"]["offset"] == 3
            await wire.quiet()
