"""The position check: where this node stands, compared with the broker.

It catches a loss that no later event would show. A difference counts only when it is still there at a second
look: an announcement may be in flight. What the broker no longer stores leaves the node's memory as well.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Sequence

from ..broker.base import Broker
from ..delivery.channel import Channel
from ..protocol.errors import HubError
from ..protocol.position import Position
from ..runtime.counters import Counters
from ..runtime.tasks import Tasks
from .table import ChannelTable

log = logging.getLogger(__name__)

CHECK_BATCH = (
    32  # channels asked for at once, some 2 ms of work: all of them in one go would make events late
)
SECOND_LOOK_S = 2.0  # or a fifth of the interval: an announcement may be in flight for so long


class PositionCheck:
    """Looks at every open channel once in `interval_s`, a batch at a time and evenly over it; shared by node and
    channel.

    Channels stand in a line: a batch is taken from its head and goes to its end, where new ones come in. So one
    that was opened just now waits no longer than the others.
    """

    def __init__(
        self,
        broker: Broker,
        channels: ChannelTable,
        tasks: Tasks,
        counters: Counters,
        interval_s: float,
    ) -> None:
        self._broker = broker
        self._channels = channels
        self._tasks = tasks
        self._counters = counters
        self._interval_s = interval_s
        self._second_look_s = min(SECOND_LOOK_S, interval_s / 5)
        self._line: deque[Channel] = deque()
        self._known: set[Channel] = set()
        self._next = 0.0

    @property
    def longest_s(self) -> float:
        """Seconds that a `step` takes at most while the broker answers."""
        return self._interval_s

    async def step(self) -> None:
        """The next batch, when its time has come."""
        now = asyncio.get_running_loop().time()
        batches = max(1, -(-len(self._line) // CHECK_BATCH))
        self._next = max(self._next, now) if self._next else now
        self._next += self._interval_s * random.uniform(0.8, 1.0) / batches
        await asyncio.sleep(self._next - now)
        self._line_up()
        batch = [c for c in self._take() if c.epoch and c.namespace.stored]
        try:
            await self._check(batch)
        except HubError as error:
            log.info("a position check waits: %s", error.reason)

    def _line_up(self) -> None:
        """Channels that were opened since."""
        new = []
        for channel in self._channels.newest_first():
            if channel in self._known:
                break
            new.append(channel)
        self._line.extend(reversed(new))
        self._known.update(new)

    def _take(self) -> list[Channel]:
        """Who stands at the head; those that were closed meanwhile fall out."""
        taken: list[Channel] = []
        for _ in range(len(self._line)):
            if len(taken) == CHECK_BATCH:
                break
            channel = self._line.popleft()
            if self._channels.get(channel.name) is channel:
                taken.append(channel)
            else:
                self._known.discard(channel)
        self._line.extend(taken)
        return taken

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
        await asyncio.sleep(self._second_look_s)
        for channel, position in behind:
            if Position(channel.epoch, channel.top) == position:
                self._counters.checks_failed += 1
                self._channels.repairs.doubt(channel)
