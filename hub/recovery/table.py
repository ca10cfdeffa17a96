"""The channels that somebody on this node listens to: interest in the broker, begun and ended."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Sequence

from ..broker.base import Broker
from ..delivery.channel import Channel, TailBytes
from ..delivery.replays import SharedReplays
from ..namespaces import Namespaces
from ..protocol.channels import is_reserved
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.event import Event
from ..protocol.position import Position
from ..runtime.counters import Counters
from ..runtime.floods import Floods
from ..runtime.flush import FlushScheduler
from ..runtime.tasks import Tasks
from .repair import OnGap, Repairs
from .single_flight import SingleFlight
from .snapshots import Snapshots

log = logging.getLogger(__name__)

OPENING_TAIL = 256  # events read when a channel is opened: a storm of returning clients finds them in memory
_UNFINISHED = HubError(ErrorCode.UNAVAILABLE, "the hub is shutting down", retry_after_ms=1000)


class ChannelTable:
    """The table of open channels. `linger` seconds after its last subscriber a channel is closed: pages reload."""

    def __init__(
        self,
        broker: Broker,
        namespaces: Namespaces,
        flushes: FlushScheduler,
        tasks: Tasks,
        counters: Counters,
        floods: Floods,
        clock: Callable[[], float],
        *,
        linger: float,
        tail_bytes: int,
        snapshot_bytes: int,
        frame_bytes: int,
        on_gap: OnGap,
    ) -> None:
        self.reads = SingleFlight(broker)
        self.snapshots = Snapshots(broker, clock, counters, floods, snapshot_bytes, frame_bytes)
        self.repairs = Repairs(
            broker, self.reads, self.snapshots, tasks, counters, frame_bytes, self._is_open, on_gap
        )
        self.on_used: Callable[[Channel], None] | None = None  # told where subscriptions began or ended
        self._broker = broker
        self._namespaces = namespaces
        self._flushes = flushes
        self._tasks = tasks
        self._clock = clock
        self._linger = linger
        self._tails = TailBytes()
        self._replays = SharedReplays()
        self._tail_budget = tail_bytes
        self._table: dict[str, Channel] = {}
        self._idle: dict[Channel, float] = {}
        self._closing: dict[str, asyncio.Future[None]] = {}

    def __len__(self) -> int:
        return len(self._table)

    @property
    def tail_bytes(self) -> int:
        """Bytes of the events kept in memory, about."""
        return self._tails.bytes

    def get(self, name: str) -> Channel | None:
        """The channel, where it is open."""
        return self._table.get(name)

    def _is_open(self, channel: Channel) -> bool:
        return self._table.get(channel.name) is channel

    def open_channels(self) -> Collection[Channel]:
        """All of them."""
        return self._table.values()

    def newest_first(self) -> Iterator[Channel]:
        """All of them, the one that was opened last first."""
        return reversed(self._table.values())

    # Interest

    async def acquire(self, name: str) -> Channel:
        """The channel, opened; counted as used until `release`.

        Raises:
            HubError: what the broker says.
        """
        while (closing := self._closing.get(name)) is not None:
            await asyncio.shield(closing)
        channel = self._table.get(name)
        if channel is None:
            channel = Channel(
                name, self._namespaces.of(name), self._flushes, self._tails, self.repairs.doubt, self._replays
            )
            self._table[name] = channel
            channel.users = 1
            await self._open(channel)
            return channel
        channel.users += 1
        self._idle.pop(channel, None)
        if isinstance(channel.opening, asyncio.Future):
            error = await asyncio.shield(channel.opening)
            if error is not None:
                channel.users -= 1
                raise error
        return channel

    def release(self, channel: Channel) -> None:
        """One user less; where nobody listens any more, the channel is closed after a while."""
        channel.users -= 1
        self.left(channel)

    def left(self, channel: Channel) -> None:
        """A subscription of the channel ended."""
        if self.on_used is not None:
            self.on_used(channel)
        if not channel.wanted and self._is_open(channel):
            self._idle[channel] = self._clock() + self._linger

    async def _open(self, channel: Channel) -> None:
        """Listen first, then read: what is published in between is heard, and what was before is read."""
        opening: asyncio.Future[HubError | None] = asyncio.get_running_loop().create_future()
        channel.opening = opening
        error: HubError | None = None
        try:
            if not is_reserved(channel.name):  # what a node says of itself passes no broker
                await self._broker.listen(channel.name)
            if channel.namespace.stored:
                page = await self.reads.read(channel.name, None, OPENING_TAIL)
                channel.epoch, channel.top = page.top.epoch, page.top.offset
                self._keep_tail(channel, page.events)
                if channel.heard is not None:
                    # Published while we read: nobody has missed anything yet.
                    await self.repairs.repair(channel, quiet=True)
        except BaseException as failed:
            error = failed if isinstance(failed, HubError) else _UNFINISHED
            channel.users -= 1
            self._close(channel)
            raise
        finally:
            channel.opening = None
            opening.set_result(error)

    def _keep_tail(self, channel: Channel, events: Sequence[Event]) -> None:
        if events and events[-1].offset == channel.top:
            channel.keep(events)

    def _close(self, channel: Channel) -> None:
        """Forget a channel that nobody wants, in this very step; who wants it again waits until the interest in
        it has ended."""
        del self._table[channel.name]
        channel.trim(0)
        done = self._closing[channel.name] = asyncio.get_running_loop().create_future()
        self._tasks.spawn(self._unlisten(channel.name, done))

    async def _unlisten(self, name: str, done: asyncio.Future[None]) -> None:
        try:
            if not is_reserved(name):
                await self._broker.unlisten(name)
        except HubError as error:
            log.info("losing interest in a channel failed: %s", error.reason)
        finally:
            del self._closing[name]
            done.set_result(None)

    def sweep(self) -> None:
        """Close what was idle long enough, and keep the tails inside their budget; called every second or so."""
        now = self._clock()
        for channel in [channel for channel, due in self._idle.items() if due <= now]:
            del self._idle[channel]
            if not channel.wanted and self._is_open(channel):
                self._close(channel)
        if self.tail_bytes > self._tail_budget:
            self._shrink_tails()
        self.snapshots.sweep()

    def _shrink_tails(self) -> None:
        for channel in self._table.values():
            if self._tails.bytes <= self._tail_budget * 0.8:
                break
            channel.trim(len(channel.tail or ()) // 4)

    # Announcements

    def on_event(self, epoch: str, event: Event) -> None:
        """An event from the broker."""
        channel = self._table.get(event.channel)
        if channel is not None:
            channel.announce(epoch, event)

    def on_erased(self, name: str) -> None:
        """Stored events are no more: what this node keeps of the channel goes, and is read anew."""
        self.snapshots.forget(name)
        self._replays.clear()
        channel = self._table.get(name)
        if channel is not None:
            channel.trim(0)

    def on_lost(self, names: Collection[str]) -> None:
        """Announcements may be missing on these channels: look at each. Whoever hears of gaps heard this too."""
        for name in names:
            channel = self._table.get(name)
            if channel is None:
                continue
            if channel.epoch:
                self.repairs.doubt(channel, seen=True)
            else:
                channel.heard = channel.heard or Position("", 0)  # it is being opened: it looks once more
