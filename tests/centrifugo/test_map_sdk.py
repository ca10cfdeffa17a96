"""A map as npm `centrifuge` keeps it, over two nodes whose links are cut under flow: in the end it is what was put
there, and what was removed is not.
"""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

from ..broker.redis.servers import RedisServer
from ..support.proxy import Proxy
from ..support.server import running_hub
from .conftest import SETTINGS
from .test_sdks import cut, until

READ = Path(__file__).with_name("read_map.mjs")
EVENTS, CUTS, KEYS = 60, 4, 8
CHANNEL = "board:cuts"


class Kept:
    """The map by what its user is told."""

    def __init__(self) -> None:
        self.entries: dict[str, Any] | None = None
        self.came_back = 0

    def told(self, line: dict[str, Any]) -> None:
        if "sync" in line:
            self.entries = line["sync"]
        elif "subscribed" in line:
            self.came_back += line["subscribed"]
        elif self.entries is not None:
            if line["removed"]:
                self.entries.pop(line["key"], None)
            else:
                self.entries[line["key"]] = line["data"]


def change(number: int, expected: dict[str, Any]) -> dict[str, Any]:
    """The next publication; `expected` is the map after it."""
    key = f"k{random.randrange(KEYS)}"
    if key in expected and random.random() < 0.3:
        del expected[key]
        return {"channel": CHANNEL, "event": "gone", "key": key, "payload": None, "final": True}
    expected[key] = number
    return {"channel": CHANNEL, "event": "moved", "key": key, "payload": number}


async def test_it_is_what_was_put_there(redis: RedisServer) -> None:
    kept, expected = Kept(), dict[str, Any]()
    with (
        running_hub(broker=redis.url, **SETTINGS) as one,
        running_hub(broker=redis.url, **SETTINGS) as other,
    ):
        http = other.http()

        async def put(number: int) -> None:
            answer = await asyncio.to_thread(http.post, "/v1/publish", json=change(number, expected))
            answer.raise_for_status()

        for number in range(KEYS):
            await put(-number)
        proxies = [await Proxy("127.0.0.1", hub.port).start() for hub in (one, other)]
        url = f"ws://127.0.0.1:{proxies[0].port}/connection/websocket"
        token = one.token("ann", subscribe=["board:*"])
        process = await asyncio.create_subprocess_exec(
            "node", str(READ), url, token, CHANNEL, stdout=asyncio.subprocess.PIPE
        )

        async def read() -> None:
            assert process.stdout is not None
            async for line in process.stdout:
                kept.told(json.loads(line))

        reading = asyncio.create_task(read())
        try:
            await until(lambda: kept.entries is not None)
            at = set(random.sample(range(1, EVENTS), CUTS))
            for number in range(1, EVENTS + 1):
                await put(number)
                if number in at:
                    cut(proxies)
            await until(lambda: kept.entries == expected)
            await until(lambda: kept.came_back > 0)
        finally:
            process.kill()
            await process.wait()
            await reading
            for proxy in proxies:
                await proxy.close()
