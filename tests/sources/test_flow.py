"""Each system into a hub: everything once, in order by channel, whoever is killed on the way."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.pace import SCALE
from ..support.server import RunningHub, running_hub
from .feeds import FEEDS, Feed, Message
from .process import BridgeProcess

pytestmark = pytest.mark.sources
ORDERS = 5
WITHIN_S = 60.0
OPS = "ops-write-key-0123456789"


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub(namespaces={"order": {"mode": "log", "history_size": 20_000}}) as hub:
        yield hub


@pytest.fixture(params=FEEDS)
async def feed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Feed]:
    async with FEEDS[request.param](tmp_path) as feed:
        yield feed


class Orders:
    """Messages of a few orders, numbered by order from 0; names are fresh, as the hub lives on."""

    made = 0

    def __init__(self) -> None:
        Orders.made += 1
        self.names = [f"o{Orders.made}-{number}" for number in range(ORDERS)]
        self.next = 0

    def some(self, count: int) -> list[Message]:
        found = []
        for number in range(self.next, self.next + count):
            name = self.names[number % ORDERS]
            found.append({"id": f"{name}-{number}", "order": name, "kind": "changed", "n": number // ORDERS})
        self.next += count
        return found

    async def arrived(self, hub: RunningHub) -> None:
        """Wait until all have, and see that each did once and in order."""
        deadline = asyncio.get_running_loop().time() + WITHIN_S * SCALE
        headers = {"Authorization": f"Bearer {hub.api_key}"}
        async with httpx.AsyncClient(base_url=hub.url, headers=headers, trust_env=False) as http:
            for name in self.names:
                while True:
                    answer = await http.get(f"/v1/channels/order:{name}/history", params={"limit": 1000})
                    events: list[Any] = answer.json()["events"]
                    if len(events) >= self.next // ORDERS or asyncio.get_running_loop().time() > deadline:
                        break
                    await asyncio.sleep(0.05)
                assert [event["payload"] for event in events] == list(range(self.next // ORDERS)), name


async def test_everything_once_and_in_order_whoever_dies(feed: Feed, hub: RunningHub, tmp_path: Path) -> None:
    orders = Orders()
    await feed.produce(orders.some(100))
    bridge = BridgeProcess(hub, feed.settings(), tmp_path / "bridge")
    with bridge:
        await orders.arrived(hub)
        for _ in range(2):
            flow = asyncio.create_task(feed.produce(orders.some(200)))
            await asyncio.sleep(0.1)
            bridge.kill()
            bridge.start()
            await flow
        await orders.arrived(hub)
        assert bridge.get("/readyz").status_code == 200, bridge.get("/readyz").text
        metrics = bridge.get("/metrics").text
    assert 'hub_bridge_up{bridge="orders"' in metrics


async def test_a_second_bridge_stands_by_and_takes_over(feed: Feed, hub: RunningHub, tmp_path: Path) -> None:
    orders = Orders()
    first = BridgeProcess(hub, feed.settings(), tmp_path / "first")
    second = BridgeProcess(hub, feed.settings(), tmp_path / "second")
    with first, second:
        await feed.produce(orders.some(50))
        await orders.arrived(hub)
        first.kill()
        await feed.produce(orders.some(50))
        await orders.arrived(hub)


async def test_poison_becomes_a_dead_letter_and_the_rest_goes_on(feed: Feed, tmp_path: Path) -> None:
    keys = {
        "backend": "test-service-key-0123456789abcdef",
        "ops": {"key": "ops-write-key-0123456789", "admin": "write"},
    }
    settings = {"order": {"mode": "log", "history_size": 20_000}}
    with running_hub(namespaces=settings, api_keys=keys) as hub:
        orders = Orders()
        await feed.produce(orders.some(5))
        await feed.raw(b"not good")
        await feed.produce(orders.some(5))
        with BridgeProcess(hub, feed.settings(), tmp_path / "bridge"):
            await orders.arrived(hub)
            letters = hub.http(OPS).get("/v1/deadletters").json()["letters"]
        assert len(letters) == 1
        assert letters[0]["origin"].startswith("orders:")
