"""The snapshots of a node: read and encoded once for all who want one at the same time, and bounded in all.

A snapshot of 10,000 keys is megabytes, and a thousand dashboards open it at once. So it is kept while somebody
reads it, and for a few seconds more: whoever begins meanwhile gets the same pages, and what came after them from
the channel's tail.

    bytes held          then
    ------------------  ----------------------------------------------------------------------------------
    below the budget    a snapshot is read at once, two at a time
    at the budget       the oldest is let go of, once it had `HOLD_S` to be read: its readers begin again
    for `WAIT_S`        the one who wants another is told ``unavailable``, and when to try again
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakValueDictionary

from ..broker.base import Broker
from ..delivery.channel import Channel
from ..delivery.snapshot import PAGE_BYTES, Account, Snapshot, arrays_of
from ..namespaces import Namespace
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..runtime.counters import Counters
from ..runtime.first_step import in_task
from ..runtime.floods import Floods
from .single_flight import Flights

log = logging.getLogger(__name__)

FRESH_S = 5.0  # so long a snapshot serves those who come after it was read
FRESH_PART = 0.05  # of the time that a key stays: a snapshot may show one for no longer than that beyond it
RECENT = 64  # snapshots kept for those who come soon
READS = 2  # at once: what is read is a multiple of its pages until it is encoded
TAIL_PART = 0.125  # of a snapshot: what may follow it from the tail before another one costs less
TAIL_EVENTS = 1024
HOLD_S = 10.0
WAIT_S = 10.0
LOOK_S = 0.1
FRAME_ROOM = 1024  # bytes of a frame around the events in it


class Snapshots:
    """The snapshots of a node: read and encoded once for all who want one at the same time, and bounded in
    all. `budget` is in bytes, `clock` monotonic, `frame_bytes` the longest frame."""

    def __init__(
        self,
        broker: Broker,
        clock: Callable[[], float],
        counters: Counters,
        floods: Floods,
        budget: int,
        frame_bytes: int,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._counters = counters
        self._floods = floods
        self._budget = budget
        self._page_bytes = min(PAGE_BYTES, frame_bytes - FRAME_ROOM)
        self._account = Account()
        self._flights: Flights[Snapshot] = Flights()
        self._reads = asyncio.Semaphore(READS)
        self._held: WeakValueDictionary[int, Snapshot] = WeakValueDictionary()  # the oldest first
        self._recent: OrderedDict[str, Snapshot] = OrderedDict()

    @property
    def bytes(self) -> int:
        """What all snapshots hold."""
        return self._account.bytes

    async def of(self, channel: Channel, least: int = 0) -> Snapshot:
        """A snapshot at which a subscription of an open channel may begin, complete at offset `least` or above; it
        is of the channel's epoch, or of one that the node has yet to hear of.

        Raises:
            HubError: what the broker says, or ``unavailable``: too much is held.
        """
        recent = self._recent.get(channel.name)
        if recent is not None and self._serves(recent, channel, least):
            return recent
        snapshot = await self._flights.share(channel.name, lambda: self.read(channel.name))
        return snapshot if snapshot.top.offset >= least else await self.read(channel.name)

    async def now(self, name: str, namespace: Namespace) -> Snapshot:
        """The present snapshot of a channel that need not be open.

        Raises:
            HubError: as `of`.
        """
        recent = self._recent.get(name)
        if recent is not None and self._clock() - recent.made_at <= _fresh_s(namespace):
            (top,) = await self._broker.tops([name])
            if not isinstance(top, HubError) and top.position == recent.top.position and not recent.lost:
                return recent
        return await self._flights.share(name, lambda: self.read(name))

    async def read(self, name: str) -> Snapshot:
        """One that is read after this call, shared with nobody who asked before.

        Raises:
            HubError: as `of`.
        """
        await self._enter(name)
        try:
            return await self._read(name)
        finally:
            self._reads.release()

    async def _enter(self, name: str) -> None:
        """Wait until one more may be read and held."""
        await in_task()
        try:
            async with asyncio.timeout(WAIT_S):
                await self._reads.acquire()
                try:
                    await self._make_room()
                except BaseException:
                    self._reads.release()
                    raise
        except TimeoutError:
            self._counters.snapshots_refused += 1
            self._floods.note(
                "snapshots", None, "readers of snapshots are so slow that others are refused theirs"
            )
            why = f"snapshots of {self.bytes} bytes wait to be read, more are not held"
            raise HubError(ErrorCode.UNAVAILABLE, why, channel=name, retry_after_ms=2000) from None

    def forget(self, name: str) -> None:
        """Serve nobody else with what was read of a channel before now."""
        self._recent.pop(name, None)

    def sweep(self) -> None:
        """Forget those that are no longer fresh; called every second or so."""
        old = self._clock() - FRESH_S
        while self._recent and next(iter(self._recent.values())).made_at < old:
            self._recent.popitem(last=False)

    async def _read(self, name: str) -> Snapshot:
        made_at = self._clock()
        page = await self._broker.snapshot(name)
        arrays = []
        for array in arrays_of(page.events, self._page_bytes):
            arrays.append(array)
            await asyncio.sleep(0)  # a page is enough for a turn of the loop
        snapshot = Snapshot(name, page.top, arrays, self._account, made_at)
        self._held[id(snapshot)] = snapshot
        self._remember(snapshot)
        return snapshot

    def _serves(self, snapshot: Snapshot, channel: Channel, least: int) -> bool:
        at = snapshot.top.offset
        if snapshot.lost or snapshot.top.epoch != channel.epoch or at < least:
            return False
        if self._clock() - snapshot.made_at > _fresh_s(channel.namespace):
            return False
        if at >= channel.top:
            return True
        if snapshot.fits(self._page_bytes) or channel.top - at > TAIL_EVENTS:
            return False
        tail = channel.after(at, TAIL_EVENTS)
        return tail is not None and sum(event.size for event in tail) <= snapshot.size * TAIL_PART

    async def _make_room(self) -> None:
        while self.bytes >= self._budget:
            self._sacrifice()
            if self.bytes >= self._budget:
                await asyncio.sleep(LOOK_S)

    def _sacrifice(self) -> None:
        """Let go of what nobody reads; else of the oldest, if it had its time."""
        self._recent.clear()
        if self.bytes < self._budget:
            return
        oldest = next(iter(self._held.values()), None)
        if oldest is not None and self._clock() - oldest.made_at >= HOLD_S:
            del self._held[id(oldest)]
            self._counters.snapshots_let_go += 1
            log.info("let go of a snapshot of %s that had been read for %.0f s", oldest.channel, HOLD_S)
            oldest.let_go()

    def _remember(self, snapshot: Snapshot) -> None:
        self._recent.pop(snapshot.channel, None)
        self._recent[snapshot.channel] = snapshot
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)


def _fresh_s(namespace: Namespace) -> float:
    return min(FRESH_S, FRESH_PART * min(namespace.snapshot_ttl, namespace.snapshot_idle_ttl))
