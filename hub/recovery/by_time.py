"""Where in a channel's history a moment is: for readers that know when, and not where.

Events bear the time of the node that took them. Within a channel it rises, but for as much as the clocks of nodes
differ: the history is halved down to that much before the moment, and read on from there.
"""

from ..broker.base import Broker
from ..protocol.position import Position

SKEW_MS = 2_000  # by no more than this the clocks of nodes are expected to differ
_PAGE = 256


async def position_at(broker: Broker, channel: str, time_ms: int) -> Position:
    """The position before the first stored event of a stored channel that is not older than `time_ms` (since 1970);
    the top where there is none yet. Where no older one is stored, the beginning: what a reader there does not get
    any more is a gap, and it is told of that.

    Raises:
        HubError: what the broker says.
    """
    oldest = await broker.read(channel, 0, 1)
    beginning = Position(oldest.top.epoch, 0)
    if not oldest.events or oldest.events[0].time >= time_ms:
        return beginning
    low, high = oldest.events[0].offset, oldest.top.offset  # up to `low` they are too old
    while low < high:
        middle = (low + high + 1) // 2
        page = await broker.read(channel, middle - 1, 1)
        if not page.events or page.top.epoch != beginning.epoch:
            return beginning  # it was lost or deleted meanwhile, and that is what the reader is to be told
        found = page.events[0]
        if found.offset > middle:
            low = min(found.offset - 1, high)  # what was too old was trimmed meanwhile
        elif found.time < time_ms - SKEW_MS:
            low = middle
        else:
            high = middle - 1
    return await _before(broker, channel, Position(beginning.epoch, low), time_ms)


async def _before(broker: Broker, channel: str, at: Position, time_ms: int) -> Position:
    """The position before the first event after `at` that is not older."""
    while True:
        page = await broker.read(channel, at.offset, _PAGE)
        if page.top.epoch != at.epoch:
            return at
        for event in page.events:
            if event.time >= time_ms:
                return Position(at.epoch, event.offset - 1)
            at = Position(at.epoch, event.offset)
        if at.offset >= page.top.offset or not page.events:
            return at
