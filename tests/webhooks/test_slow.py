"""Endpoints that are slow, away for long, or repeat what they did: hours in virtual time."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from hub.broker.memory.broker import MemoryBroker
from hub.protocol.event import Publication
from hub.settings import Settings
from hub.webhooks.endpoint import Endpoint
from hub.webhooks.start import start

from ..broker.harness import Recorder, namespaces
from ..support.virtual import run
from .stage import table

Answers = Callable[[httpx.Request], Awaitable[httpx.Response]]
HOUR_S = 3600.0


@dataclass
class Told:
    """What an endpoint was sent: when, under which id, and which event."""

    endpoint: Endpoint
    publish: Callable[..., Awaitable[None]]
    seen: list[tuple[float, str, int]] = field(default_factory=list)

    @property
    def numbers(self) -> list[int]:
        return [number for _, _, number in self.seen]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(12 * HOUR_S):
            while not condition():
                await asyncio.sleep(1.0)


@asynccontextmanager
async def told(answers: Answers, **given: Any) -> AsyncIterator[Told]:
    """A node in its own memory, and one endpoint that is asked without a network."""
    loop = asyncio.get_running_loop()

    async def address(*_: Any, **__: Any) -> list[Any]:
        return [(None, None, None, "", ("127.0.0.1", 80))]

    loop.getaddrinfo = address  # type: ignore[method-assign]  # a thread would not take virtual time

    async def handle(request: httpx.Request) -> httpx.Response:
        body = request.read()
        number = json.loads(body)["event"]["payload"]
        found.seen.append((loop.time(), request.headers["webhook-id"], number))
        return await answers(request)

    def clock() -> float:
        return 1_763_690_000.0 + loop.time()

    settings = Settings(webhooks=[table("http://hooks.example/x", **given)], webhook_allow=["127.0.0.0/8"])
    broker = MemoryBroker(namespaces(10 * HOUR_S), clock)
    webhooks = start(settings, broker, loop.time, clock, httpx.MockTransport(handle))
    await broker.start(Recorder())

    async def publish(*numbers: int) -> None:
        for number in numbers:
            await broker.publish([Publication("log:1", "n", b"%d" % number, "svc")])

    found = Told(webhooks.courier.endpoints["one"], publish)
    try:
        yield found
    finally:
        await webhooks.close()
        await broker.close()


def taken() -> httpx.Response:
    """Its answer, not read yet."""
    return httpx.Response(204, stream=httpx.ByteStream(b""))


def test_an_answer_after_29_s_counts_where_30_are_allowed() -> None:
    async def late(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(29.0)
        return taken()

    async def story() -> None:
        async with told(late, timeout=30.0) as one:
            await one.publish(1, 2)
            await one.until(lambda: one.endpoint.delivered == 2)
            assert one.numbers == [1, 2]
            assert one.endpoint.failed == 0
            assert one.seen[1][0] - one.seen[0][0] == pytest.approx(29.0, abs=1.0)

    run(story())


def test_an_answer_after_29_s_is_none_where_15_are_allowed() -> None:
    """It may have been taken: it comes again, under the same id, and what follows waits behind it."""
    slow = iter([29.0, 29.0])

    async def late(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(next(slow, 0.0))
        return taken()

    async def story() -> None:
        async with told(late) as one:
            await one.publish(1, 2)
            await one.until(lambda: one.endpoint.delivered == 2)
            assert one.numbers == [1, 1, 1, 2]
            assert len({id for _, id, _ in one.seen[:3]}) == 1
            assert one.endpoint.last_failure == "no answer within 15 s"
            (first, _, _), (second, _, _), (third, _, _), _ = one.seen
            assert second - first == pytest.approx(15 + 5, abs=6.0)  # and at most one look later
            assert third - second == pytest.approx(15 + 300, abs=66.0)

    run(story())


def test_an_hour_away_costs_no_event_and_no_order() -> None:
    async def away(_: httpx.Request) -> httpx.Response:
        if asyncio.get_running_loop().time() < 1000.0 + HOUR_S:
            raise httpx.ConnectError("connection refused")
        return taken()

    async def story() -> None:
        async with told(away) as one:
            for number in range(1, 61):
                await one.publish(number)
                await asyncio.sleep(60.0)
            await one.until(lambda: one.endpoint.delivered == 60)
            taken = [number for when, _, number in one.seen if when >= 1000.0 + HOUR_S]
            assert taken == list(range(1, 61))
            assert one.endpoint.dead == 0
            assert len(one.seen) - 60 <= 6, "it is left alone meanwhile, by the schedule of tries"
            assert one.seen[-1][0] <= 1000.0 + 4 * HOUR_S

    run(story())


def test_who_takes_it_and_resets_gets_it_again_under_the_same_id() -> None:
    """What an endpoint that repeats leaves out by `webhook-id` is each event once, in order."""
    number = iter(range(100))

    async def moody(_: httpx.Request) -> httpx.Response:
        if next(number) % 3 != 2:
            raise httpx.ReadError("connection reset by peer")
        return taken()

    async def story() -> None:
        async with told(moody) as one:
            await one.publish(1, 2, 3)
            await one.until(lambda: one.endpoint.delivered == 3)
            assert one.numbers == [1, 1, 1, 2, 2, 2, 3, 3, 3]
            once = dict.fromkeys((id, number) for _, id, number in one.seen)
            assert [number for _, number in once] == [1, 2, 3]

    run(story())
