"""Where this node has subscribers, said to the broker: the first and the last of each channel."""

from collections.abc import Callable

from ..broker.attendance import Occupancy
from ..delivery.channel import Channel
from ..protocol.errors import HubError
from ..runtime.backoff import REAL_TIME, Backoff
from ..runtime.tasks import Tasks


class Attendance:
    """`wanted` says of which channels anybody wants to know; `grace_s` is how long who left may come back."""

    def __init__(
        self, occupancy: Occupancy, tasks: Tasks, wanted: Callable[[str], bool], grace_s: float
    ) -> None:
        self._occupancy = occupancy
        self._tasks = tasks
        self._wanted = wanted
        self._grace_s = grace_s
        self._here: set[str] = set()
        self._saying: set[str] = set()

    def look(self, channel: Channel) -> None:
        """A subscription of the channel began or ended."""
        name = channel.name
        here = channel.subscribers > 0
        if here == (name in self._here) or not self._wanted(name):
            return
        if here:
            self._here.add(name)
        else:
            self._here.discard(name)
        if name not in self._saying:
            self._saying.add(name)
            self._tasks.spawn(self._say(name))

    async def _say(self, channel: str) -> None:
        """One word after the other, until what was said last is so."""
        backoff = Backoff(REAL_TIME, 0.2, 10.0)
        said: bool | None = None
        try:
            while (here := channel in self._here) is not said:
                try:
                    if here:
                        await self._occupancy.enter(channel)
                    else:
                        await self._occupancy.leave(channel, self._grace_s)
                except HubError:
                    await backoff.pause()
                else:
                    said = here
        finally:
            self._saying.discard(channel)
