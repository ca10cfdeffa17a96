"""The channels that somebody on this node listens to: interest in the broker, and refilling what was lost.

Pub/sub forgets. So the stored stream is the truth, and announcements only say that it grew: whatever they
leave out (a hole, another epoch, a link that was down, a position check that finds the node behind) ends in
`repair`, which reads the stream and either hands on what was missed, in order, or says exactly what is gone.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Sequence

from .broker.base import Broker, Page
from .catchup import PAGE, begin
from .channel import Channel
from .metrics import Metrics
from .namespaces import Mode, Namespaces
from .protocol.codes import ErrorCode
from .protocol.errors import HubError
from .protocol.event import Event
from .protocol.position import Position, Top
from .protocol.recovery import Cause, Gap, judge
from .pushes import Push, SnapshotPages
from .subscription import Subscription
from .tasks import Tasks
from .turn import Turn

log = logging.getLogger(__name__)

OPENING_TAIL = 256  # events read when a channel is opened: a storm of returning clients finds them in memory
CHECK_BATCH = 200  # channels a position check asks for at once
SECOND_LOOK_S = 2.0  # an announcement may be in flight for so long before its absence counts as a loss
FOR_EVER = 2**62
_UNFINISHED = HubError(ErrorCode.UNAVAILABLE, "the hub is shutting down", retry_after_ms=1000)


class Channels:
    """The table of open channels. `linger` seconds after its last subscriber a channel is closed: pages reload."""

    def __init__(
        self,
        broker: Broker,
        namespaces: Namespaces,
        turn: Turn,
        tasks: Tasks,
        metrics: Metrics,
        clock: Callable[[], float],
        *,
        linger: float,
        tail_bytes: int,
        frame_bytes: int,
        position_check: float,
        on_gap: Callable[[Channel], None],
    ) -> None:
        self.broker = broker
        self.namespaces = namespaces
        self._turn = turn
        self._tasks = tasks
        self._metrics = metrics
        self._clock = clock
        self._linger = linger
        self._tail_budget = tail_bytes
        self._frame_bytes = frame_bytes
        self._position_check = position_check
        self._on_gap = on_gap
        self._table: dict[str, Channel] = {}
        self._idle: dict[Channel, float] = {}
        self._closing: dict[str, asyncio.Future[None]] = {}
        self._flights: dict[object, asyncio.Future[Page | HubError]] = {}
        self._repairs: dict[Channel, asyncio.Future[None]] = {}
        self._doubted: set[Channel] = set()
        self._doubted_again: set[Channel] = set()

    def __len__(self) -> int:
        return len(self._table)

    @property
    def tail_bytes(self) -> int:
        """Bytes of the events kept in memory, about."""
        return sum(channel.tail_bytes for channel in self._table.values())

    def get(self, name: str) -> Channel | None:
        """The channel, where it is open."""
        return self._table.get(name)

    def open_channels(self) -> Collection[Channel]:
        """All of them."""
        return self._table.values()

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
            channel = Channel(name, self.namespaces.of(name), self._turn, self._doubt)
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
        if not channel.wanted and self._table.get(channel.name) is channel:
            self._idle[channel] = self._clock() + self._linger

    async def _open(self, channel: Channel) -> None:
        """Listen first, then read: what is published in between is heard, and what was before is read."""
        opening: asyncio.Future[HubError | None] = asyncio.get_running_loop().create_future()
        channel.opening = opening
        error: HubError | None = None
        try:
            await self.broker.listen(channel.name)
            if channel.namespace.stored:
                page = await self.read(channel.name, None, OPENING_TAIL)
                channel.epoch, channel.top = page.top.epoch, page.top.offset
                self._keep_tail(channel, page.events)
                if channel.heard is not None:
                    # Published while we read: nobody has missed anything yet.
                    await self.repair(channel, quiet=True)
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
            channel.tail = list(events)
            channel.tail_bytes = sum(event.size for event in events)

    def _close(self, channel: Channel) -> None:
        """Forget a channel that nobody wants, in this very step; who wants it again waits until the interest in
        it has ended."""
        del self._table[channel.name]
        done = self._closing[channel.name] = asyncio.get_running_loop().create_future()
        self._tasks.spawn(self._unlisten(channel.name, done))

    async def _unlisten(self, name: str, done: asyncio.Future[None]) -> None:
        try:
            await self.broker.unlisten(name)
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
            if not channel.wanted and self._table.get(channel.name) is channel:
                self._close(channel)
        if self.tail_bytes > self._tail_budget:
            self._shrink_tails()

    def _shrink_tails(self) -> None:
        total = self.tail_bytes
        for channel in self._table.values():
            if total <= self._tail_budget * 0.8:
                break
            total -= channel.trim(len(channel.tail or ()) // 4)

    # Announcements

    def on_event(self, epoch: str, event: Event) -> None:
        """An event from the broker."""
        channel = self._table.get(event.channel)
        if channel is not None:
            channel.announce(epoch, event)

    def on_lost(self, names: Collection[str]) -> None:
        """Announcements may be missing on these channels: look at each."""
        for name in names:
            channel = self._table.get(name)
            if channel is None:
                continue
            if channel.epoch:
                self._doubt(channel)
            else:
                channel.heard = channel.heard or Position("", 0)  # it is being opened: it looks once more

    def _doubt(self, channel: Channel) -> None:
        if channel in self._doubted:
            self._doubted_again.add(channel)
        else:
            self._doubted.add(channel)
            self._tasks.spawn(self._repair_until_done(channel))

    # Reading

    async def read(self, name: str, after: int | None, limit: int) -> Page:
        """A page of the history; identical reads at one time are one.

        Raises:
            HubError: what the broker says.
        """
        return await self._shared((name, after, limit), lambda: self.broker.read(name, after, limit))

    async def snapshot(self, name: str) -> Page:
        """The snapshot of a `state` channel; identical reads at one time are one.

        Raises:
            HubError: what the broker says.
        """
        return await self._shared((name, "snapshot"), lambda: self.broker.snapshot(name))

    async def _shared(self, key: object, read: Callable[[], Awaitable[Page]]) -> Page:
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

    # Repair

    async def _repair_until_done(self, channel: Channel) -> None:
        """Repair while the storage may be away: with backoff and jitter, for as long as anybody listens."""
        delay = 0.1
        try:
            while self._table.get(channel.name) is channel:
                self._doubted_again.discard(channel)
                try:
                    await self.repair(channel)
                except HubError as error:
                    log.info("refilling %s waits: %s", channel.name, error.reason)
                    await asyncio.sleep(delay * random.uniform(0.5, 1.5))
                    delay = min(delay * 2, 5.0)
                    continue
                if channel not in self._doubted_again:
                    return
        finally:
            self._doubted.discard(channel)
            self._doubted_again.discard(channel)

    async def repair(self, channel: Channel, quiet: bool = False) -> None:
        """Read what the channel missed and hand it on. `quiet`: nothing is lost, it is only read ahead of its
        announcement, so nobody is told of a gap. Its reads are its own: one that began before the loss would
        not know of it.

        Raises:
            HubError: the broker can't be read now.
        """
        while (running := self._repairs.get(channel)) is not None:
            await asyncio.shield(running)
            if quiet:
                return
        done = self._repairs[channel] = asyncio.get_running_loop().create_future()
        channel.refilling = True
        try:
            tell = not quiet
            while True:
                page = await self.broker.read(channel.name, channel.top, PAGE)
                tell = await self._merge(channel, page, tell)
                # What was announced meanwhile asks for one more read, and for no more than one.
                heard, channel.heard = channel.heard, None
                behind = heard is not None and (heard.epoch != channel.epoch or heard.offset > channel.top)
                if channel.epoch == page.top.epoch and channel.top >= page.top.offset and not behind:
                    return
                await asyncio.sleep(0)
        except HubError:
            if channel.heard is not None:
                self._doubt(channel)  # it was announced, and it is nowhere yet
            raise
        finally:
            channel.refilling = False
            del self._repairs[channel]
            done.set_result(None)

    async def _merge(self, channel: Channel, page: Page, tell: bool) -> bool:
        """One page of a repair. `tell`: what is filled has to be told; returns whether it still has to be."""
        verdict = judge(Position(channel.epoch, channel.top), page.top, FOR_EVER)
        if isinstance(verdict, Gap):
            same = page.top.epoch == channel.epoch
            if verdict.cause is Cause.TRIMMED and channel.namespace.mode is Mode.LOG and same:
                self._tell_lost(channel, page.top.first - 1)
                return tell
            await self._restart(channel, page)
            return False
        if page.top.epoch != channel.epoch:
            self._rename(channel, page.top)
        events = [event for event in page.events if event.offset > channel.top]
        if events:
            if tell:
                self._tell_filled(channel, page.top.offset)
            for event in events:
                channel.append(event)
            channel.flush()
            self._metrics.refilled += len(events)
            return False
        return tell

    def _count_gap(self, channel: Channel) -> None:
        self._metrics.gaps += 1
        self._on_gap(channel)

    def _tell_filled(self, channel: Channel, end: int) -> None:
        self._count_gap(channel)
        self._tell(channel, end, filled=True)

    def _tell_lost(self, channel: Channel, end: int) -> None:
        """The storage no longer holds what this node missed: say which, and go on after it."""
        self._count_gap(channel)
        self._metrics.lost += end - channel.top
        self._tell(channel, end, filled=False)
        channel.restart(channel.epoch, end)
        for subscription in [*channel.plain.values(), *(channel.special or ())]:
            subscription.sent = end

    def _tell(self, channel: Channel, end: int, *, filled: bool) -> None:
        """Tell those who are live of the gap from where they stand to `end`."""
        channel.settle()
        common = _gap(channel.name, channel.top + 1, end, filled=filled)
        for subscription in [*channel.plain.values(), *(channel.special or ())]:
            at = channel.place(subscription)
            if at < end:
                push = common if at == channel.top else _gap(channel.name, at + 1, end, filled=filled)
                subscription.outbox.detach(subscription)
                subscription.outbox.push(push.frame(subscription.outbox.encoding))

    def _rename(self, channel: Channel, top: Top) -> None:
        """The numbering forked above where this node stands: only its name changed. Who is further, by a
        snapshot, may have seen what the fork took back."""
        assert top.previous is not None
        channel.settle()
        before, channel.epoch = channel.epoch, top.epoch
        for subscription in channel.everyone():
            at = channel.place(subscription)
            if at > top.previous.offset:
                token = channel.catch_up(subscription, at)
                self._tasks.spawn(self.reposition(subscription, token, before, at))
            else:
                push = _resubscribe(channel, at, None)
                subscription.outbox.detach(subscription)
                subscription.outbox.push(push.frame(subscription.outbox.encoding))

    async def _restart(self, channel: Channel, page: Page) -> None:
        """What this node has is no beginning of what is stored: everybody starts anew at the present top."""
        pages: SnapshotPages | None = None
        if channel.namespace.mode is Mode.STATE:
            page = await self.broker.snapshot(channel.name)
            pages = SnapshotPages(channel.name, page.events, self._frame_bytes)
        before, end = Position(channel.epoch, channel.top), page.top.offset
        self._count_gap(channel)
        self._metrics.lost += max(0, end - _common(before, page.top))
        channel.settle()
        places = [(subscription, channel.place(subscription)) for subscription in channel.everyone()]
        channel.restart(page.top.epoch, end)
        again = _Again(channel, end, pages, self._frame_bytes)
        for subscription, at in places:
            verdict = judge(Position(before.epoch, at), page.top, FOR_EVER)
            cause = verdict.cause if isinstance(verdict, Gap) else Cause.TRIMMED
            self._put(subscription, again, Gap(1 if cause is Cause.EPOCH else at + 1, end, cause))

    async def reposition(self, subscription: Subscription, token: object, epoch: str, at: int) -> None:
        """A subscription stands at a position of a numbering that is no more. It is not live; `token` is that of
        its catching up."""
        channel = subscription.channel
        while channel.is_catching(subscription, token):
            try:
                page = await self.read(channel.name, at, PAGE)
                verdict = judge(Position(epoch, at), page.top, FOR_EVER)
                if page.top.epoch != channel.epoch:
                    await self.repair(channel)
                elif isinstance(verdict, Gap):
                    await self.restart_one(subscription, token, verdict)
                elif channel.is_catching(subscription, token):
                    self._put(subscription, _Again(channel, at, None, self._frame_bytes), None)
            except HubError:
                await asyncio.sleep(random.uniform(0.1, 0.5))

    async def restart_one(self, subscription: Subscription, token: object, gap: Gap) -> None:
        """Tell one subscription of its gap, and put it at the present top, unless another replay than `token`'s
        has taken it over.

        Raises:
            HubError: the snapshot can't be read now.
        """
        channel = subscription.channel
        pages: SnapshotPages | None = None
        at = channel.top
        if channel.namespace.mode is Mode.STATE:
            page = await self.snapshot(channel.name)
            if page.top.epoch != channel.epoch:
                return  # the numbering changed meanwhile: the repair puts everybody somewhere
            pages = SnapshotPages(channel.name, page.events, self._frame_bytes)
            at = page.top.offset
        if channel.is_catching(subscription, token):
            again = _Again(channel, at, pages, self._frame_bytes)
            self._put(subscription, again, Gap(gap.start, at, gap.cause))

    def _put(self, subscription: Subscription, again: "_Again", gap: Gap | None) -> None:
        push, pages = again.told(gap, crowded=subscription.outbox.crowded)
        subscription.outbox.push(push.frame(subscription.outbox.encoding))
        begin(self, self._tasks, subscription, again.at, (), pages)

    # The position check

    async def check_positions(self) -> None:
        """For ever: compare where this node stands with the broker, a batch of channels at a time.

        It catches a loss that no later event would show. A difference counts only when it is still there at a
        second look: an announcement may be in flight.
        """
        while True:
            await asyncio.sleep(self._position_check * random.uniform(0.8, 1.2))
            channels = [c for c in self._table.values() if c.epoch and c.namespace.stored]
            for start in range(0, len(channels), CHECK_BATCH):
                try:
                    await self._check(channels[start : start + CHECK_BATCH])
                except HubError as error:
                    log.info("a position check waits: %s", error.reason)

    async def _check(self, channels: Sequence[Channel]) -> None:
        tops = await self.broker.tops([channel.name for channel in channels])
        behind = [
            (channel, Position(channel.epoch, channel.top))
            for channel, top in zip(channels, tops, strict=True)
            if top.epoch != channel.epoch or top.offset > channel.top
        ]
        if behind:
            await asyncio.sleep(SECOND_LOOK_S)
        for channel, position in behind:
            if Position(channel.epoch, channel.top) == position:
                self._metrics.checks_failed += 1
                self._doubt(channel)


def _gap(name: str, start: int, end: int, *, filled: bool) -> Push:
    fields = {"type": "hub.gap", "channel": name, "from": start, "to": end, "cause": Cause.BACKPLANE.value}
    return Push({**fields, "filled": filled})


class _Again:
    """`hub.resubscribe` at offset `at`, encoded once for all who are told the same."""

    def __init__(self, channel: Channel, at: int, pages: SnapshotPages | None, frame_bytes: int) -> None:
        self.at = at
        self._channel = channel
        self._pages = pages
        self._fits = pages is not None and pages.fits(frame_bytes - 1024)
        self._pushes: dict[tuple[Gap | None, bool], Push] = {}

    def told(self, gap: Gap | None, *, crowded: bool) -> tuple[Push, Sequence[Push]]:
        """The message, and the pages that follow it: where the snapshot is too long for one frame, or where the
        socket is not to be burdened with it now."""
        inline = self._fits and not (crowded and self._pages is not None and self._pages.size)
        push = self._pushes.get((gap, inline))
        if push is None:
            snapshot: dict[str, object] = {}
            if self._pages is not None:
                snapshot = self._pages.inline if inline else self._pages.deferred
            push = self._pushes[gap, inline] = _resubscribe(self._channel, self.at, gap, snapshot)
        return push, () if inline or self._pages is None else self._pages.pushes


def _resubscribe(
    channel: Channel, at: int, gap: Gap | None, snapshot: dict[str, object] | None = None
) -> Push:
    return Push(
        {
            "type": "hub.resubscribe",
            "channel": channel.name,
            "epoch": channel.epoch,
            "offset": at,
            "gap": gap.fields() if gap else None,
            **(snapshot or {}),
        }
    )


def _common(place: Position, top: Top) -> int:
    """Up to which offset a numbering holds the same events as the one of `place`, as far as that had come."""
    if place.epoch == top.epoch:
        return place.offset
    if top.previous is not None and place.epoch == top.previous.epoch:
        return min(place.offset, top.previous.offset)
    return 0
