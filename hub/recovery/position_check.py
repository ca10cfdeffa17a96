"""The position check: where this node stands, compared with the broker.

It catches a loss that no later event would show. A difference counts only when it is still there at a second
look: an announcement may be in flight. What the broker no longer stores leaves the node's memory as well.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Sequence

from ..broker.base import Broker
from ..delivery.channel import Channel
from ..protocol.errors import HubError
from ..protocol.position import Position
from ..runtime.counters import Counters
from ..runtime.tasks import Tasks

log = logging.getLogger(__name__)

CHECK_BATCH = (
    32  # channels asked for at once, some 2 ms of work: all of them in one go would make events late
)
SECOND_LOOK_S = 2.0  # an announcement may be in flight for so long before its absence counts as a loss


class PositionCheck:
    """Looks at all `channels` every `interval_s` or so, a batch at a time and evenly over it; shared by node and
    channel."""

    def __init__(
        self,
        broker: Broker,
        channels: Callable[[], Collection[Channel]],
        doubt: Callable[[Channel], None],
        tasks: Tasks,
        counters: Counters,
        interval_s: float,
    ) -> None:
        self._broker = broker
        self._channels = channels
        self._doubt = doubt
        self._tasks = tasks
        self._counters = counters
        self._interval_s = interval_s

    @property
    def longest_s(self) -> float:
        """Seconds that a round takes at most while the broker answers."""
        return 1.2 * self._interval_s

    async def round(self) -> None:
        """Every channel once."""
        channels = [c for c in self._channels() if c.epoch and c.namespace.stored]
        starts = range(0, len(channels), CHECK_BATCH) or range(1)
        pause = self._interval_s * random.uniform(0.8, 1.2) / len(starts)
        for start in starts:
            await asyncio.sleep(pause)
            try:
                await self._check(channels[start : start + CHECK_BATCH])
            except HubError as error:
                log.info("a position check waits: %s", error.reason)

    async def _check(self, channels: Sequence[Channel]) -> None:
        tops = await self._broker.tops([channel.name for channel in channels])
        behind = []
        for channel, top in zip(channels, tops, strict=True):
            if isinstance(top, HubError):
                continue
            same = top.epoch == channel.epoch
            if same:
                channel.trim(max(0, channel.top + 1 - top.first))
            if not same or top.offset > channel.top:
                behind.append((channel, Position(channel.epoch, channel.top)))
        if behind:
            self._tasks.spawn(self._look_again(behind))

    async def _look_again(self, behind: Sequence[tuple[Channel, Position]]) -> None:
        await asyncio.sleep(SECOND_LOOK_S)
        for channel, position in behind:
            if Position(channel.epoch, channel.top) == position:
                self._counters.checks_failed += 1
                self._doubt(channel)
