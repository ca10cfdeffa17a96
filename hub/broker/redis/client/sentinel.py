"""Finding the server: fixed, or the master that Sentinels name. Those are asked by redis-py, over a connection to
each that is kept."""

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any, Protocol

from redis.asyncio import Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from .address import Address, Kind, Remap, Site
from .connection import LinkError, remapped

_CLIENT = "hub-sentinel"
_CLOSE_S = 1.0


class Resolver(Protocol):
    """Where the server is right now: asked before each connect (a Sentinel may have another answer)."""

    async def __call__(self) -> Address:
        """The address.

        Raises:
            LinkError: nobody can say.
        """

    async def close(self) -> None:
        """Let go."""


def resolver(site: Site, patience: float, remap: Remap | None = None) -> Resolver:
    """How to find the server of a site that is no Cluster."""
    return SentinelMaster(site, patience, remap) if site.kind is Kind.SENTINEL else Fixed(site.addresses[0])


class Fixed:
    """A server that stays where it is."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def __call__(self) -> Address:
        """As `Resolver`."""
        return self._address

    async def close(self) -> None:
        """As `Resolver`."""


class SentinelMaster:
    """The master of a set. Each new link checks the role of what it reached: a Sentinel may lag.

    One question for all who ask at the same time, in a task of its own: whoever gives up waiting does not reach
    into a library's connection.
    """

    def __init__(self, site: Site, patience: float, remap: Remap | None) -> None:
        self._site = site
        self._patience = patience
        self._remap = remap
        self._sentinel: Sentinel | None = None
        self._asking: asyncio.Task[Address] | None = None

    async def __call__(self) -> Address:
        """As `Resolver`."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Address:
        if self._sentinel is None:
            self._sentinel = self._make()
        site = self._site
        try:
            async with asyncio.timeout(self._patience * len(site.addresses)):
                host, port = await self._sentinel.discover_master(site.master)
        except (RedisError, OSError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            raise LinkError(f"no Sentinel names the master of {site.master}: {why}") from None
        return site.addresses[0].at(*remapped(self._remap, host, int(port)))

    def _make(self) -> Sentinel:
        site = self._site
        options: dict[str, Any] = {
            **site.sentinel,
            "client_name": _CLIENT,
            "protocol": 2,  # all that is asked is one list, and every Sentinel speaks it
            "retry": Retry(NoBackoff(), 0),  # the next Sentinel is the second try
            "socket_timeout": self._patience,
            "socket_connect_timeout": site.addresses[0].connect_timeout or self._patience,
        }
        hosts = [(each.host, each.port) for each in site.addresses]
        return Sentinel(hosts, sentinel_kwargs=options)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """As `Resolver`."""
        sentinel, self._sentinel = self._sentinel, None
        ending: list[Awaitable[Any]] = [client.aclose() for client in sentinel.sentinels] if sentinel else []
        if self._asking is not None:
            self._asking.cancel()
            ending.append(self._asking)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.gather(*ending, return_exceptions=True)
