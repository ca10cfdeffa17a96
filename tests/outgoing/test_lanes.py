"""Connections to backends: used again, the newest first, and let go of."""

import asyncio
from collections.abc import Mapping

import httpx
import pytest

from hub.outgoing.lanes import KEPT_S, Lanes
from hub.outgoing.requests import NoAnswer, client, post

from ..support.backend import Backend, Request
from ..support.pace import SCALE

NONE: Mapping[str, str] = {}


class Counting(httpx.AsyncBaseTransport):
    """Transports of one connection each, made and closed as they are told."""

    made = 0
    closed = 0

    def __init__(self) -> None:
        Counting.made += 1
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        Counting.closed += 1
        await self._inner.aclose()


@pytest.fixture(autouse=True)
def _nothing_yet() -> None:
    Counting.made = Counting.closed = 0


async def fine(_request: Request) -> tuple[int, Mapping[str, str], bytes]:
    await asyncio.sleep(0.01)
    return 200, NONE, b"{}"


async def ask(http: httpx.AsyncClient, url: str, within_s: float = 20.0) -> int:
    return (await post(http, url, b"{}", NONE, within_s=within_s * SCALE, most=100)).status


async def test_as_many_as_there_are_requests_at_once_and_each_again() -> None:
    async with Backend(fine) as server, client(8, Lanes(8, Counting)) as http:
        for _ in range(3):
            assert await asyncio.gather(*(ask(http, server.url) for _ in range(8))) == [200] * 8
        assert Counting.made == 8
        assert await ask(http, server.url) == 200
        assert Counting.made == 8
    assert Counting.closed == 8


async def test_what_is_idle_for_long_or_too_many_is_let_go_of() -> None:
    now = [0.0]
    async with Backend(fine) as server, client(3, Lanes(3, Counting, lambda: now[0])) as http:
        await asyncio.gather(*(ask(http, server.url) for _ in range(5)))
        assert (Counting.made, Counting.closed) == (5, 2)
        now[0] += KEPT_S + 1
        assert await ask(http, server.url) == 200
        assert (Counting.made, Counting.closed) == (5, 4), "the one that was used last serves on"


async def test_a_request_that_fails_takes_its_connection_with_it() -> None:
    async def slow(_request: Request) -> tuple[int, Mapping[str, str], bytes]:
        await asyncio.sleep(3600)
        return 200, NONE, b""

    async with Backend(slow) as server, client(2, Lanes(2, Counting)) as http:
        with pytest.raises(NoAnswer, match="no answer within"):
            await post(http, server.url, b"{}", NONE, within_s=0.2, most=100)
        assert (Counting.made, Counting.closed) == (1, 1)

    async def long(_request: Request) -> tuple[int, Mapping[str, str], bytes]:
        return 200, NONE, b"x" * 10_000

    async with Backend(long) as server, client(2, Lanes(2, Counting)) as http:
        for _ in range(2):
            with pytest.raises(NoAnswer, match="over 100 bytes"):
                await ask(http, server.url)


async def test_each_origin_has_its_own() -> None:
    async with Backend(fine) as one, Backend(fine) as other, client(4, Lanes(4, Counting)) as http:
        for server in (one, other, one, other):
            assert await ask(http, server.url) == 200
        assert Counting.made == 2
        assert (len(one.seen), len(other.seen)) == (2, 2)
