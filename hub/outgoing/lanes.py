"""Connections of httpx, each a pool of its own.

Its pool looks at all of its connections for each request, and asks the kernel about each: with 32 of them a request
costs four times as much as with one. Here the one that was used last goes first; the others are let go of in time.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import httpx

KEPT_S = 30.0
_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEPT_S)


@dataclass(slots=True)
class Lane:
    """A connection to `origin`; `since` is when its last request ended."""

    origin: tuple[str, str, int | None]
    transport: httpx.AsyncBaseTransport
    since: float


class Lanes(httpx.AsyncBaseTransport):
    """At most as many as there are requests at once, which is for who sends them to bound; `most` are kept idle.
    `make` gives a transport of one connection."""

    def __init__(
        self,
        most: int,
        make: Callable[[], httpx.AsyncBaseTransport] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._make = make or _making()
        self._now = now
        self._idle: list[Lane] = []  # the one that was used last is at the end
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As `httpx.AsyncBaseTransport`."""
        url = request.url
        lane = self._take((url.scheme, url.host, url.port))
        try:
            response = await lane.transport.handle_async_request(request)
        except BaseException:
            await lane.transport.aclose()
            raise
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        response.stream = _Stream(stream, lambda: self._give_back(lane), lane.transport.aclose)
        return response

    async def aclose(self) -> None:
        """Let go of all."""
        self._closed = True
        idle, self._idle = self._idle, []
        for lane in idle:
            await lane.transport.aclose()

    def _take(self, origin: tuple[str, str, int | None]) -> Lane:
        for place in range(len(self._idle) - 1, -1, -1):
            if self._idle[place].origin == origin:
                return self._idle.pop(place)
        return Lane(origin, self._make(), 0.0)

    async def _give_back(self, lane: Lane) -> None:
        now = lane.since = self._now()
        self._idle.append(lane)
        while self._idle and (
            self._closed or len(self._idle) > self._most or now - self._idle[0].since > KEPT_S
        ):
            await self._idle.pop(0).transport.aclose()


class _Stream(httpx.AsyncByteStream):
    """An answer's body; at its end the lane is free, or let go of where that fails."""

    def __init__(
        self,
        inner: httpx.AsyncByteStream,
        then: Callable[[], Awaitable[None]],
        broken: Callable[[], Awaitable[None]],
    ) -> None:
        self._inner = inner
        self._then = then
        self._broken = broken

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._inner.__aiter__()

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        except BaseException:
            await self._broken()
            raise
        await self._then()


def _making() -> Callable[[], httpx.AsyncBaseTransport]:
    """With one table of issuers for all: to read it takes 20 ms."""
    context = httpx.create_ssl_context(trust_env=False)
    return lambda: httpx.AsyncHTTPTransport(verify=context, limits=_ONE, trust_env=False)
