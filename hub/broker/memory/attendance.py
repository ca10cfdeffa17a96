"""In which channels there are subscribers, in the memory of one process: one node, and nobody who could tell of its
death."""

from functools import partial

from ..attendance import Lost
from ..base import Kind
from .intents import MemoryIntents
from .timers import Alarm, Timers


class MemoryOccupancy:
    """`Occupancy` within one process."""

    def __init__(self, timers: Timers, intents: MemoryIntents) -> None:
        self._timers = timers
        self._intents = intents
        self._occupied: dict[str, Alarm] = {}

    async def enter(self, channel: str) -> None:
        """As `Occupancy.enter`."""
        leaving = self._occupied.get(channel)
        if leaving is not None:
            self._timers.cancel(leaving)
            return
        self._occupied[channel] = Alarm(partial(self._left, channel))
        self._intents.occupancy(channel, Kind.CHANNEL_OCCUPIED)

    async def leave(self, channel: str, grace_s: float) -> None:
        """As `Occupancy.leave`."""
        leaving = self._occupied.get(channel)
        if leaving is not None and grace_s > 0:
            self._timers.set(leaving, self._timers.clock() + grace_s)
        elif leaving is not None:
            self._timers.cancel(leaving)
            self._left(channel)

    def _left(self, channel: str) -> None:
        del self._occupied[channel]
        self._intents.occupancy(channel, Kind.CHANNEL_VACATED)


class NoLedger:
    """`ConnectionLedger` that nobody is left to read."""

    def watch(self, lost: Lost) -> None:
        """Nothing."""

    def opened(self, connection: str, about: bytes) -> None:
        """Nothing."""

    def closed(self, connection: str) -> None:
        """Nothing."""
