"""A broker of either kind, an endpoint on the loopback address, and couriers between them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from hub.assembly import waiting_for_events
from hub.broker.base import Broker
from hub.broker.memory.broker import MemoryBroker
from hub.broker.redis.broker import RedisBroker
from hub.protocol.event import Publication
from hub.settings import Settings
from hub.webhooks.courier import Courier
from hub.webhooks.endpoint import Endpoint
from hub.webhooks.start import Webhooks, start

from ..broker.harness import Recorder, namespaces
from ..broker.redis.harness import QUICK
from ..support import backend as support
from ..support.backend import SECRET, Request
from ..support.pace import SCALE

ALLOW = ["127.0.0.0/8"]


@dataclass
class Node:
    """One node's broker and webhooks."""

    broker: Broker
    webhooks: Webhooks
    told: list[Request] = field(default_factory=list)

    @property
    def courier(self) -> Courier:
        return self.webhooks.courier

    def endpoint(self, name: str = "one") -> Endpoint:
        return self.courier.endpoints[name]


def table(url: str, **more: Any) -> dict[str, Any]:
    """An endpoint's settings."""
    return {"name": "one", "url": url, "secret": SECRET, "channels": ["log:*", "state:*"], **more}


@asynccontextmanager
async def node(
    redis_url: str | None,
    *tables: dict[str, Any],
    number: int = 0,
    allow: list[str] | None = None,
    **more: Any,
) -> AsyncIterator[Node]:
    """A node over Redis, or over its own memory."""
    spaces = namespaces(60.0)
    settings = Settings(webhooks=list(tables), webhook_allow=ALLOW if allow is None else allow, **more)
    broker: Broker = (
        MemoryBroker(spaces)
        if redis_url is None
        else RedisBroker(
            redis_url, spaces, node_id=f"n_{number}", tuning=QUICK, webhooks=waiting_for_events(settings)
        )
    )
    webhooks = start(settings, broker, asyncio.get_running_loop().time, time.time)
    await broker.start(Recorder())
    await broker.registry.register_node(f"n_{number}", b"{}", 3600.0)
    try:
        yield Node(broker, webhooks)
    finally:
        await webhooks.close()
        await broker.close()


async def publish(at: Node, channel: str, *numbers: int, key: str | None = None) -> None:
    """Events with these payloads."""
    publications = [Publication(channel, "n", b"%d" % each, "svc", key=key) for each in numbers]
    for result in await at.broker.publish(publications):
        assert not isinstance(result, Exception), result


async def until(condition: Callable[[], object], within: float = 20.0) -> None:
    """Wait for it, with a generous deadline."""
    async with asyncio.timeout(within * SCALE):
        while not condition():
            await asyncio.sleep(0.01)


def numbers(seen: list[Request]) -> list[int]:
    """The payloads of the events that were told."""
    return [request.json["event"]["payload"] for request in seen]


async def taken(_: Request) -> support.Answer:
    """An endpoint that is well."""
    return 204, {}, b""
