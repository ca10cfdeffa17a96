"""What nobody should hand in, between messages that are good: each is told of, and nothing else notices."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
import redis.asyncio

from ..support.pace import SCALE
from ..support.server import API_KEY, RunningHub, running_hub
from .feeds import RedisFeed, redis_feed
from .process import BridgeProcess
from .stage import Orders

pytestmark = pytest.mark.sources
OPS = "ops-write-key-0123456789"
CHANNELS = 20_000
WITHIN_S = 60.0
MAPPING = """
[[bridges]]
name = "orders"
kind = "redis_stream"
url = "{url}"
streams = ["orders"]
channel = "order:{{data.order}}"
event = "{{data.kind}}"
payload = "data.n"
mask = ["payload.card"]
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    keys = {"backend": API_KEY, "ops": {"key": OPS, "admin": "write"}}
    with running_hub(namespaces={"order": {"mode": "log", "history_size": 1000}}, api_keys=keys) as hub:
        yield hub


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def feed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisFeed]:
    async with redis_feed(tmp_path_factory.mktemp("redis")) as feed:
        yield feed


@pytest.fixture(scope="module")
def bridge(
    feed: RedisFeed, hub: RunningHub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeProcess]:
    folder = tmp_path_factory.mktemp("bridge")
    with BridgeProcess(hub.url, hub.api_key, MAPPING.format(url=feed.url), folder) as bridge:
        yield bridge


def eventually(check: Callable[[], bool], said: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_S * SCALE
    while not check():
        assert time.monotonic() < deadline, said()
        time.sleep(0.1)


def payloads(hub: RunningHub, order: str) -> list[Any]:
    events = hub.http().get(f"/v1/channels/order:{order}/history", params={"limit": 1000}).json()["events"]
    return [event["payload"] for event in events]


def letters(hub: RunningHub) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        hub.http(OPS).get("/v1/deadletters", params={"limit": 1000}).json()["letters"]
    )
    return found


def order(**fields: Any) -> bytes:
    return orjson.dumps({"order": "bad", "kind": "changed", "n": 1, **fields})


BAD = {
    "10 MB": (order(n="x" * 10_000_000), "too_large"),
    "no UTF-8": (b'{"order":"bad\xff\xfe","kind":"changed"}', "bad_message"),
    "no JSON": (b"changed", "bad_message"),
    "half a surrogate pair": (b'{"order":"bad","kind":"changed","n":"\\ud800"}', "bad_message"),
    "a missing path": (orjson.dumps({"order": "bad"}), "bad_message"),
    "no channel name": (order(order="has space"), "bad_channel"),
    "a list for a name": (order(order=["a", "b"]), "bad_message"),
    "nested a thousand deep": (
        b'{"order":"bad","kind":"changed","n":' + b"[" * 1000 + b"]" * 1000 + b"}",
        "",
    ),
    "a number that no double holds": (b'{"order":"bad","kind":"changed","n":1e999}', "bad_message"),
}


async def test_each_is_told_of_and_the_good_ones_around_it_arrive_in_order(
    feed: RedisFeed, hub: RunningHub, bridge: BridgeProcess
) -> None:
    orders = Orders(1)
    before = len(letters(hub))
    for body, _ in BAD.values():
        await feed.produce(orders.some(1))
        await feed.raw(body)
    await feed.produce(orders.some(1))
    (name,) = orders.names
    eventually(lambda: len(payloads(hub, name)) == len(BAD) + 1, lambda: (letters(hub), bridge.log()))
    assert payloads(hub, name) == list(range(len(BAD) + 1))
    found = letters(hub)[before:]
    assert len(found) == len(BAD), found
    for (what, (_, code)), letter in zip(BAD.items(), found, strict=True):
        assert letter["origin"].startswith("orders:orders@"), what
        assert code in letter["code"], (what, letter)
    assert bridge.get("/readyz").status_code == 200


async def test_a_message_without_a_body_is_left_out(
    feed: RedisFeed, hub: RunningHub, bridge: BridgeProcess
) -> None:
    before, orders = len(letters(hub)), Orders(1)
    await feed.raw(b"")
    await feed.produce(orders.some(1))
    eventually(lambda: payloads(hub, orders.names[0]) == [0], bridge.log)
    assert len(letters(hub)) == before


async def test_what_is_masked_stands_in_no_letter(
    feed: RedisFeed, hub: RunningHub, bridge: BridgeProcess
) -> None:
    before = len(letters(hub))
    await feed.raw(order(order="has space", n={"card": "4111", "sum": 12}))
    eventually(lambda: len(letters(hub)) == before + 1, bridge.log)
    letter = hub.http(OPS).get(f"/v1/deadletters/{letters(hub)[before]['id']}")
    assert "sum" in letter.json().get("body", "") or "NDEx" not in letter.text
    assert "4111" not in letter.text + bridge.log() + hub.log()


async def test_a_channel_for_each_message(feed: RedisFeed, hub: RunningHub, bridge: BridgeProcess) -> None:
    async with redis.asyncio.from_url(feed.url) as client, client.pipeline(transaction=False) as pipe:
        for number in range(CHANNELS):
            pipe.xadd("orders", {"data": order(order=f"many-{number}", n=number)})
        await pipe.execute()
    eventually(lambda: payloads(hub, f"many-{CHANNELS - 1}") == [CHANNELS - 1], bridge.log)
    assert payloads(hub, "many-0") == [0]
    assert bridge.get("/readyz").status_code == 200
    assert bridge.process is not None
    status = Path(f"/proc/{bridge.process.pid}/status").read_text()
    (resident,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    assert resident < 160 * 1024, "kB: with the 10 MB of before"
