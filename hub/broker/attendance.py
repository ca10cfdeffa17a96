"""What a node vouches for while it lives, so that another one tells of its end: where it has subscribers, who is
connected to it. Written down only where a webhook asks for it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

Lost = Callable[[Sequence[bytes]], Awaitable[None]]
"""Called with what was said of connections whose node died: `HubError` where it could not be noted, then again."""


class Occupancy(Protocol):
    """In which channels there are subscribers, by nodes: the first node and the last one are told as
    ``channel.occupied`` and ``channel.vacated``, in the same atomic step, to the endpoints that `Waiting.routes`
    names for ``occupancy``. A node that dies leaves every channel when its sign of life has run out."""

    async def enter(self, channel: str) -> None:
        """This node has subscribers there."""

    async def leave(self, channel: str, grace_s: float) -> None:
        """This node has none any more. It counts for `grace_s` yet: they may come back, here or elsewhere."""


class ConnectionLedger(Protocol):
    """The connections of this node, which another one finds after its death."""

    def watch(self, lost: Lost) -> None:
        """Keep a ledger, and tell `lost` of the connections of nodes that died; before `Broker.start`."""

    def opened(self, connection: str, about: bytes) -> None:
        """There is one more; `about` is what is said of it should this node die."""

    def closed(self, connection: str) -> None:
        """It is over, and that was told."""
