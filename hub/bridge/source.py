"""What a bridge needs of the system that it reads."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from .records import Batch, Record

Revoked = Callable[[Collection[str]], Awaitable[None]]
LOST_S = (
    3.0  # a source that can't be told for so long is read anew: its link may be lost, and nobody reads of it
)


class SourceError(Exception):
    """The source can't be read, and `str` says why to a person: no secret, no payload.

    `final`: trying again is of no use (wrong credentials, no such topic).
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


Lost = Callable[[SourceError], None]
"""The source could not be told of something for `LOST_S`."""


class Source(Protocol):
    """A topic, queue, stream or table. Guarantees:

    * batches of one partition come in the order of their records, one after the other;
    * what was not settled comes again, to this process or another, before anything behind it where the system
      can do that at all;
    * nothing is acknowledged that was not settled or rejected.
    """

    async def probe(self) -> str:
        """Connect, see that what is to be read is there, and let go; nothing is read or held. What was found, in
        words.

        Raises:
            SourceError: why it can't be read.
        """

    async def start(self, revoked: Revoked) -> None:
        """Connect. `revoked` is awaited before partitions go to another reader: what is in flight settles first.

        Raises:
            SourceError: why not.
        """

    async def next(self) -> Batch:
        """The next records of a partition that is not held. Waits; may be cancelled without loss.

        Raises:
            SourceError: the link is lost; `start` is called anew after a while.
        """

    async def settle(self, batch: Batch) -> None:
        """Every record of the batch was handed on, rejected or left out on purpose: acknowledge it.

        Raises:
            SourceError: it will come again.
        """

    async def reject(self, record: Record, code: str, reason: str) -> None:
        """The record can't be handed on; a dead letter has it. For the source's own place of such, where set."""

    def hold(self, partition: str) -> None:
        """Read no more of it for now: what it gave is still under way."""

    def release(self, partition: str) -> None:
        """Read on."""

    async def lag(self) -> Mapping[str, int]:
        """Records that wait, by partition, as far as the system tells."""

    async def close(self) -> None:
        """Let go, within seconds."""
