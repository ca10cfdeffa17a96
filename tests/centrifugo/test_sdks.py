"""Centrifugo's own SDKs, unchanged, against two nodes whose links are cut under flow: nothing lost or doubled."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from centrifuge import Client, PublicationContext, SubscribedContext, SubscriptionEventHandler

from ..broker.redis.servers import RedisServer
from ..support.pace import patience
from ..support.proxy import Proxy
from ..support.server import RunningHub, running_hub
from .conftest import SETTINGS

READ = Path(__file__).with_name("read.mjs")
EVENTS, CUTS = 150, 5
CHANNEL = "chat:1"
Message = dict[str, Any]
Told = Callable[[Message], None]
Reader = Callable[[Sequence[str], str, bool, Told], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def python(hosts: Sequence[str], token: str, binary: bool, told: Told) -> AsyncIterator[None]:
    class Events(SubscriptionEventHandler):  # type: ignore[misc]
        async def on_subscribed(self, ctx: SubscribedContext) -> None:
            told({"subscribed": ctx.recovered, "recovering": ctx.was_recovering})

        async def on_publication(self, ctx: PublicationContext) -> None:
            told({"offset": ctx.pub.offset, "data": json.loads(ctx.pub.data) if binary else ctx.pub.data})

    url = f"ws://{hosts[0]}/connection/websocket{'?format=protobuf' if binary else ''}"
    client = Client(url, token=token, use_protobuf=binary, min_reconnect_delay=0.05, max_reconnect_delay=0.3)
    subscription = client.new_subscription(CHANNEL, events=Events())
    await subscription.subscribe()
    await client.connect()
    try:
        yield
    finally:
        await client.disconnect()


@asynccontextmanager
async def javascript(
    hosts: Sequence[str], token: str, binary: bool, told: Told, transport: str = "websocket"
) -> AsyncIterator[None]:
    """By a transport over HTTP, the way up is the other node's."""
    here, there = hosts
    process = await asyncio.create_subprocess_exec(
        "node",
        str(READ),
        transport,
        f"{'ws' if transport == 'websocket' else 'http'}://{here}/connection/{transport}",
        f"http://{there}/emulation",
        token,
        CHANNEL,
        *(["protobuf"] if binary else []),
        stdout=asyncio.subprocess.PIPE,
    )

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            told(json.loads(line))

    reading = asyncio.create_task(read())
    try:
        yield
    finally:
        process.kill()
        await process.wait()
        await reading


async def until(condition: Callable[[], bool]) -> None:
    async with patience(30):
        while not condition():
            await asyncio.sleep(0.02)


async def flow(hub: RunningHub, proxies: list[Proxy]) -> None:
    """Publish, and at some of the events cut all links: by their number, whatever the time that it takes."""
    http = hub.http()
    at = set(random.sample(range(1, EVENTS), CUTS))
    for number in range(1, EVENTS + 1):
        body = {"channel": CHANNEL, "event": "note", "payload": {"n": number}}
        answer = await asyncio.to_thread(http.post, "/v1/publish", json=body)
        answer.raise_for_status()
        if number in at:
            cut(proxies)


def cut(proxies: list[Proxy]) -> None:
    """Reset all links; the next ones lead to the other node each."""
    targets = [proxy.target for proxy in proxies]
    for proxy, target in zip(proxies, reversed(targets), strict=True):
        proxy.target = target
        proxy.cut()


sse, http_stream = (partial(javascript, transport=name) for name in ("sse", "http_stream"))


@pytest.mark.parametrize(
    ("reader", "binary"),
    [
        pytest.param(python, False, id="python"),
        pytest.param(python, True, id="python-protobuf"),
        pytest.param(javascript, False, id="javascript"),
        pytest.param(javascript, True, id="javascript-protobuf"),
        pytest.param(sse, False, id="sse"),
        pytest.param(http_stream, False, id="http_stream"),
        pytest.param(http_stream, True, id="http_stream-protobuf"),
    ],
)
async def test_nothing_is_lost_or_doubled(redis: RedisServer, reader: Reader, binary: bool) -> None:
    told: list[Message] = []
    with (
        running_hub(broker=redis.url, **SETTINGS) as one,
        running_hub(broker=redis.url, **SETTINGS) as other,
    ):
        proxies = [await Proxy("127.0.0.1", hub.port).start() for hub in (one, other)]
        token = one.token("ann", subscribe=["chat:*"])
        hosts = [f"127.0.0.1:{proxy.port}" for proxy in proxies]
        async with reader(hosts, token, binary, told.append):
            await until(lambda: any("subscribed" in line for line in told))
            await flow(other, proxies)
            await until(lambda: any(line.get("offset", 0) >= EVENTS for line in told))
            await until(lambda: any(line.get("recovering") for line in told))  # also a cut at the very end
        for proxy in proxies:
            await proxy.close()
    events = [(line["offset"], line["data"]["n"]) for line in told if "offset" in line]
    assert events == [(number, number) for number in range(1, EVENTS + 1)]
    again = [line for line in told if line.get("recovering")]
    assert all(line["subscribed"] for line in again)
