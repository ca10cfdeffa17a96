"""Each system into a hub: everything once, in order by channel, whoever is killed on the way.

One round of each; `faults.py` has the many."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from ..support.pace import SCALE
from ..support.server import API_KEY, RunningHub, running_hub
from .feeds import FEEDS, Feed
from .process import BridgeProcess
from .stage import Orders

pytestmark = pytest.mark.sources
WITHIN_S = 60.0
OPS = "ops-write-key-0123456789"


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    keys = {"backend": API_KEY, "ops": {"key": OPS, "admin": "write"}}
    with running_hub(namespaces={"order": {"mode": "log", "history_size": 20_000}}, api_keys=keys) as hub:
        yield hub


@pytest_asyncio.fixture(params=FEEDS, scope="module", loop_scope="module")
async def feed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Feed]:
    async with FEEDS[request.param](tmp_path_factory.mktemp(request.param)) as feed:
        yield feed


def bridge_of(feed: Feed, hub: RunningHub, folder: Path) -> BridgeProcess:
    return BridgeProcess(hub.url, hub.api_key, feed.settings(), folder)


async def arrived(orders: Orders, hub: RunningHub) -> None:
    """Wait until all have, and see that each did once and in order."""
    deadline = asyncio.get_running_loop().time() + WITHIN_S * SCALE
    headers = {"Authorization": f"Bearer {hub.api_key}"}
    async with httpx.AsyncClient(base_url=hub.url, headers=headers, trust_env=False) as http:
        for which, name in enumerate(orders.names):
            while True:
                answer = await http.get(f"/v1/channels/order:{name}/history", params={"limit": 1000})
                events: list[Any] = answer.json()["events"]
                if len(events) >= orders.of(which) or asyncio.get_running_loop().time() > deadline:
                    break
                await asyncio.sleep(0.05)
            assert [event["payload"] for event in events] == list(range(orders.of(which))), name


async def test_everything_once_and_in_order_after_a_kill(feed: Feed, hub: RunningHub, tmp_path: Path) -> None:
    orders = Orders(5)
    await feed.produce(orders.some(100))
    with bridge_of(feed, hub, tmp_path / "bridge") as bridge:
        await arrived(orders, hub)
        await feed.produce(orders.some(1000))
        await asyncio.sleep(0.1)
        bridge.kill()
        bridge.start()
        await arrived(orders, hub)
        assert bridge.get("/readyz").status_code == 200, bridge.get("/readyz").text
        metrics = bridge.get("/metrics").text
    assert 'hub_bridge_up{bridge="orders"' in metrics


async def test_a_second_bridge_stands_by_and_takes_over(feed: Feed, hub: RunningHub, tmp_path: Path) -> None:
    orders = Orders(5)
    first, second = (bridge_of(feed, hub, tmp_path / name) for name in ("first", "second"))
    with first, second:
        await feed.produce(orders.some(50))
        await arrived(orders, hub)
        first.kill()
        await feed.produce(orders.some(50))
        await arrived(orders, hub)


async def test_poison_becomes_a_dead_letter_and_the_rest_goes_on(
    feed: Feed, hub: RunningHub, tmp_path: Path
) -> None:
    def letters() -> list[Any]:
        found: list[Any] = hub.http(OPS).get("/v1/deadletters").json()["letters"]
        return found

    before = len(letters())
    orders = Orders(5)
    await feed.produce(orders.some(5))
    await feed.raw(b"not good")
    await feed.produce(orders.some(5))
    with bridge_of(feed, hub, tmp_path / "bridge"):
        await arrived(orders, hub)
        deadline = asyncio.get_running_loop().time() + WITHIN_S * SCALE
        while len(letters()) == before and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)
    (letter,) = letters()[before:]
    assert letter["origin"].startswith("orders:")
