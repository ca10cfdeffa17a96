"""Reads of the broker that are shared: identical ones at one time are one."""

import asyncio
from collections.abc import Awaitable, Callable

from ..broker.base import Broker, Page
from ..protocol.errors import HubError


class SingleFlight:
    """Ten thousand clients that come back to fifty channels ask the broker fifty times."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._flights: dict[object, asyncio.Future[Page | HubError]] = {}

    async def read(self, name: str, after: int | None, limit: int) -> Page:
        """A page of the history; identical reads at one time are one.

        Raises:
            HubError: what the broker says.
        """
        return await self._shared((name, after, limit), lambda: self._broker.read(name, after, limit))

    async def snapshot(self, name: str) -> Page:
        """The snapshot of a `state` channel; identical reads at one time are one.

        Raises:
            HubError: what the broker says.
        """
        return await self._shared((name, "snapshot"), lambda: self._broker.snapshot(name))

    async def _shared(self, key: object, read: Callable[[], Awaitable[Page]]) -> Page:
        flight = self._flights.get(key)
        if flight is not None:
            result = await asyncio.shield(flight)
        else:
            flight = self._flights[key] = asyncio.get_running_loop().create_future()
            try:
                result = await read()
            except HubError as error:
                result = error
            except BaseException:
                flight.cancel()
                raise
            finally:
                del self._flights[key]
            flight.set_result(result)
        if isinstance(result, HubError):
            raise result
        return result
