"""Reads of the broker that are shared: identical ones at one time are one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from ..broker.base import Broker, Page
from ..protocol.errors import HubError

T = TypeVar("T")


class Flights(Generic[T]):
    """What is being read, by a key of the caller's."""

    def __init__(self) -> None:
        self._flights: dict[object, asyncio.Future[T | HubError]] = {}

    async def share(self, key: object, read: Callable[[], Awaitable[T]]) -> T:
        """The result of `read`, or of the one that is under way for the same key.

        Raises:
            HubError: as `read` does.
        """
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


class SingleFlight:
    """Ten thousand clients that come back to fifty channels ask the broker fifty times."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._flights: Flights[Page] = Flights()

    async def read(self, name: str, after: int | None, limit: int) -> Page:
        """A page of the history; identical reads at one time are one.

        Raises:
            HubError: what the broker says.
        """
        return await self._flights.share((name, after, limit), lambda: self._broker.read(name, after, limit))
