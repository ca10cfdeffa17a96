"""Each system into a hub: everything once, in order by channel, whoever is killed on the way; the page's example;
and what is wrong is said. One round of each; `faults.py` has the many."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiokafka
import httpx
import pytest
import pytest_asyncio

from ..support.pace import SCALE
from ..support.server import API_KEY, JWT_SECRET, RunningHub, running_hub
from . import page
from .feeds import FEEDS, Feed, KafkaFeed, kafka_tools
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


def check(settings: str, folder: Path) -> str:
    """What ``hub check`` says of the bridges of these settings."""
    (folder / "hub.toml").write_text(settings)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("hub")), "check"],
        cwd=folder,
        env={**os.environ, "HUB_JWT_SECRET": JWT_SECRET},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.stdout + done.stderr


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


async def well(bridge: BridgeProcess) -> None:
    """Wait until it says that it is."""
    deadline = asyncio.get_running_loop().time() + WITHIN_S * SCALE
    while (answer := bridge.get("/readyz")).status_code != 200:
        assert asyncio.get_running_loop().time() < deadline, answer.text
        await asyncio.sleep(0.1)


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
        await well(bridge)  # where all had come before the kill, it waits for the lease of the dead one
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


async def test_the_example_of_the_page(feed: Feed, hub: RunningHub, tmp_path: Path) -> None:
    def paid() -> int:
        events: list[Any] = hub.http().get("/v1/channels/order:7/history").json()["events"]
        return len([event for event in events if event["type"] == "paid"])

    title, places = feed.page
    example = page.placed(title, places)
    kafka_tools(tmp_path)
    before = paid()
    await page.run(example, tmp_path)
    with BridgeProcess(hub.url, hub.api_key, example.settings, tmp_path / "bridge"):
        deadline = asyncio.get_running_loop().time() + WITHIN_S * SCALE
        while paid() == before and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)
    assert paid() == before + 1


async def test_what_is_wrong_is_said_by_hub_check_and_by_readyz(
    feed: Feed, hub: RunningHub, tmp_path: Path
) -> None:
    there, instead, words = feed.wrong
    for text, good in ((feed.settings(), True), (feed.settings().replace(there, instead, 1), False)):
        said = check(text, tmp_path)
        assert ("ok       bridge orders: " in said) is good, said
        assert (words in said) is not good, said
        assert "wr0ng" not in said
    with BridgeProcess(hub.url, hub.api_key, text, tmp_path / "bridge") as bridge:
        deadline = asyncio.get_running_loop().time() + WITHIN_S * SCALE
        while words not in (said := bridge.get("/readyz").text):
            assert asyncio.get_running_loop().time() < deadline, said
            await asyncio.sleep(0.1)
        assert bridge.get("/readyz").status_code == 503
        assert "wr0ng" not in said + bridge.log()


@pytest.mark.parametrize("feed", ["kafka"], indirect=True)
async def test_who_else_reads_as_a_group_of_kafka_is_said(feed: Feed, tmp_path: Path) -> None:
    assert isinstance(feed, KafkaFeed)
    other = aiokafka.AIOKafkaConsumer(
        "orders", bootstrap_servers=feed.address, group_id="hub", client_id="another-mapping"
    )
    await other.start()
    try:
        await other.getmany(timeout_ms=1000)  # it has joined
        said = await asyncio.to_thread(check, feed.settings(), tmp_path)
    finally:
        await other.stop()
    assert "the group hub has other members too: another-mapping" in said


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


@pytest.mark.parametrize("feed", ["kafka"], indirect=True)
async def test_the_dead_topic_of_kafka_has_it_too(feed: Feed, hub: RunningHub, tmp_path: Path) -> None:
    assert isinstance(feed, KafkaFeed)
    await feed.make_topic("orders.dlq", 1)
    await feed.raw(b"not good either")
    bridge = BridgeProcess(hub.url, hub.api_key, f"{feed.settings()}dead_topic = true\n", tmp_path / "bridge")
    reader = aiokafka.AIOKafkaConsumer(
        "orders.dlq", bootstrap_servers=feed.address, auto_offset_reset="earliest"
    )
    with bridge:
        async with reader, asyncio.timeout(WITHIN_S * SCALE):
            record = await reader.getone()
    assert record.value == b"not good either"
    headers = dict(record.headers)
    assert headers["hub-error"].startswith(b"bad_message: ")
    assert headers["hub-source"].startswith(b"orders/")


async def test_what_vanishes_under_a_bridge_is_said_in_words(
    feed: Feed, hub: RunningHub, tmp_path: Path
) -> None:
    """The last one: its topic, queue, stream or table is gone after it."""
    orders = Orders(5)
    await feed.produce(orders.some(50))
    with bridge_of(feed, hub, tmp_path / "bridge") as bridge:
        await arrived(orders, hub)
        await feed.vanish()
        deadline = asyncio.get_running_loop().time() + WITHIN_S * SCALE
        while feed.vanished not in (answer := bridge.get("/readyz")).text or answer.status_code != 503:
            if not feed.vanished:
                break  # a stream is made by who reads it
            assert asyncio.get_running_loop().time() < deadline, answer.text + bridge.log()
            await asyncio.sleep(0.1)
