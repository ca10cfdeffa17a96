"""Refilling what announcements left out.

Pub/sub forgets. So the stored stream is the truth, and announcements only say that it grew: whatever they
leave out (a hole, another epoch, a link that was down, a position check that finds the node behind) ends in
`repair`, which reads the stream and either hands on what was missed, in order, or says exactly what is gone.
"""

import asyncio
import logging
from collections.abc import Callable

from ..broker.base import Broker, Page
from ..delivery.channel import Channel, Subscription
from ..delivery.prepared import PreparedMessage
from ..delivery.snapshot import PAGE_BYTES, Snapshot
from ..namespaces import Mode
from ..protocol import replies
from ..protocol.errors import HubError
from ..protocol.position import Position, Top
from ..protocol.recovery import FOR_EVER, Cause, Gap, common, judge
from ..runtime.backoff import REAL_TIME, Backoff
from ..runtime.counters import Counters
from ..runtime.tasks import Tasks
from .replay import PAGE, begin
from .single_flight import SingleFlight
from .snapshots import Snapshots

log = logging.getLogger(__name__)

OnGap = Callable[[Channel, int, int, bool, bool], None]


class Repairs:
    """Repairs open channels, and single subscriptions; it is the `catchup.Source` of replays.

    `is_open`: whether anybody still listens to a channel. `on_gap`: called for each gap between
    nodes, with the channel, the first and the last offset, whether the store had them, and whether
    the broker's own word had told of the loss before.
    """

    def __init__(
        self,
        broker: Broker,
        reads: SingleFlight,
        snapshots: Snapshots,
        tasks: Tasks,
        counters: Counters,
        frame_bytes: int,
        is_open: Callable[[Channel], bool],
        on_gap: OnGap,
    ) -> None:
        self._broker = broker
        self._reads = reads
        self._snapshots = snapshots
        self._tasks = tasks
        self._counters = counters
        self._frame_bytes = frame_bytes
        self._is_open = is_open
        self._on_gap = on_gap
        self._repairs: dict[Channel, asyncio.Future[None]] = {}
        self._doubted: set[Channel] = set()
        self._doubted_again: set[Channel] = set()
        self._seen: set[Channel] = set()  # in doubt by a word of the broker that others have heard too

    def doubt(self, channel: Channel, *, seen: bool = False) -> None:
        """Something of this channel may be missing: look, and repair it, whatever it takes. `seen`: who is told of
        gaps knows already, and need not be told of the one that may be found."""
        if seen:
            self._seen.add(channel)
        if channel in self._doubted:
            self._doubted_again.add(channel)
        else:
            self._doubted.add(channel)
            self._tasks.spawn(self._repair_until_done(channel))

    async def read(self, name: str, after: int | None, limit: int) -> Page:
        """A page of the history."""
        return await self._reads.read(name, after, limit)

    async def _repair_until_done(self, channel: Channel) -> None:
        """Repair while the storage may be away: with backoff and jitter, for as long as anybody listens."""
        backoff = Backoff(REAL_TIME, 0.1, 5.0)
        try:
            while self._is_open(channel):
                self._doubted_again.discard(channel)
                try:
                    await self.repair(channel)
                except HubError as error:
                    log.info("refilling %s waits: %s", channel.name, error.reason)
                    await backoff.pause()
                    continue
                if channel not in self._doubted_again:
                    return
        finally:
            self._doubted.discard(channel)
            self._doubted_again.discard(channel)
            self._seen.discard(channel)

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
                return  # who only wants to be as far as the store was a moment ago has that now
            # Not so after a loss: the other's read may have begun before it, and not know of it. One more read.
        done = self._repairs[channel] = asyncio.get_running_loop().create_future()
        channel.refilling = True
        try:
            tell = not quiet
            while True:
                page = await self._broker.read(channel.name, channel.top, PAGE)
                if not self._is_open(channel):
                    return  # nobody listens any more, and nothing is kept for nobody
                tell = await self._merge(channel, page, tell)
                # What was announced meanwhile asks for one more read, and for no more than one.
                heard, channel.heard = channel.heard, None
                behind = heard is not None and (heard.epoch != channel.epoch or heard.offset > channel.top)
                if channel.epoch == page.top.epoch and channel.top >= page.top.offset and not behind:
                    return
                await asyncio.sleep(0)
        except HubError:
            if channel.heard is not None:
                self.doubt(channel)  # it was announced, and it is nowhere yet
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
            # Of a log the stored rest still follows, behind a gap that is told. Of a `state` channel the rest alone
            # is no state: everybody gets the snapshot.
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
            self._counters.refilled += len(events)
            return False
        return tell

    def _count_gap(self, channel: Channel, end: int, filled: bool) -> None:
        self._counters.gaps += 1
        seen = channel in self._seen
        self._seen.discard(channel)
        self._on_gap(channel, channel.top + 1, end, filled, seen)

    def _tell_filled(self, channel: Channel, end: int) -> None:
        self._count_gap(channel, end, True)
        self._tell(channel, end, filled=True)

    def _tell_lost(self, channel: Channel, end: int) -> None:
        """The storage no longer holds what this node missed: say which, and go on after it."""
        self._count_gap(channel, end, False)
        self._counters.lost += end - channel.top
        self._tell(channel, end, filled=False)
        channel.restart(channel.epoch, end)
        for subscription in [*channel.plain.values(), *(channel.special or ())]:
            subscription.sent = end

    def _tell(self, channel: Channel, end: int, *, filled: bool) -> None:
        """Tell those who are live of the gap from where they stand to `end`."""
        channel.settle()
        common = _gap(channel, channel.top + 1, end, filled=filled)
        for subscription in [*channel.plain.values(), *(channel.special or ())]:
            at = channel.place(subscription)
            if at < end:
                push = common if at == channel.top else _gap(channel, at + 1, end, filled=filled)
                subscription.outbox.detach(subscription)
                subscription.tell(push)

    def _rename(self, channel: Channel, top: Top) -> None:
        """The numbering forked above where this node stands: only its name changed. Who is further, by a
        snapshot, may have seen what the fork took back."""
        channel.settle()
        before, channel.epoch = channel.epoch, top.epoch
        fork = common(before, top)
        for subscription in channel.everyone():
            at = channel.place(subscription)
            if at > fork:
                token = channel.catch_up(subscription, at)
                self._tasks.spawn(self.reposition(subscription, token, before, at))
            else:
                push = _resubscribe(channel, at, None)
                subscription.outbox.detach(subscription)
                subscription.tell(push)

    async def _restart(self, channel: Channel, page: Page) -> None:
        """What this node has is no beginning of what is stored: it starts anew at the present top, and so does
        everybody but those whose own position is still good (they replay, below a fork)."""
        snapshot: Snapshot | None = None
        top = page.top
        if channel.namespace.mode is Mode.STATE:
            snapshot = await self._snapshots.read(channel.name)
            top = snapshot.top
        before, end = Position(channel.epoch, channel.top), top.offset
        self._count_gap(channel, end, False)
        self._counters.lost += max(0, end - max(0, min(before.offset, common(before.epoch, top))))
        channel.settle()
        places = [(subscription, channel.place(subscription)) for subscription in channel.everyone()]
        channel.restart(top.epoch, end)
        again = _Again(channel, end, snapshot, self._frame_bytes)
        for subscription, at in places:
            verdict = judge(Position(before.epoch, at), top, FOR_EVER)
            if isinstance(verdict, Gap):
                self._put(subscription, again, verdict)
            else:
                self._put(subscription, _Again(channel, at, None, self._frame_bytes), None)

    async def reposition(self, subscription: Subscription, token: object, epoch: str, at: int) -> None:
        """A subscription stands at a position of a numbering that is no more. It is not live; `token` is that of
        its catching up."""
        channel = subscription.channel
        backoff = Backoff(REAL_TIME, 0.1, 5.0)
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
                await backoff.pause()

    async def restart_one(self, subscription: Subscription, token: object, gap: Gap) -> None:
        """Tell one subscription of its gap, and put it at the present top, unless another replay than `token`'s
        has taken it over.

        Raises:
            HubError: the snapshot can't be read now.
        """
        channel = subscription.channel
        snapshot: Snapshot | None = None
        at = channel.top
        if channel.namespace.mode is Mode.STATE:
            snapshot = await self._snapshots.of(channel, gap.start - 1)
            if snapshot.top.epoch != channel.epoch:
                await self.repair(channel)  # which puts everybody somewhere
                return
            at = snapshot.top.offset
        if channel.is_catching(subscription, token):
            again = _Again(channel, at, snapshot, self._frame_bytes)
            self._put(subscription, again, Gap(gap.start, at, gap.cause))

    def _put(self, subscription: Subscription, again: "_Again", gap: Gap | None) -> None:
        if gap is not None:
            subscription.outbox.let_go(subscription)
        push, snapshot = again.told(gap, crowded=subscription.outbox.crowded)
        subscription.tell(push)
        if not subscription.ended:
            begin(self, self._tasks, subscription, again.at, (), snapshot)


def _gap(channel: Channel, start: int, end: int, *, filled: bool) -> PreparedMessage:
    at = None if filled else Position(channel.epoch, end)
    return PreparedMessage(replies.gap(channel.name, start, end, filled=filled), at)


class _Again:
    """`hub.resubscribe` at offset `at`, encoded once for all who are told the same."""

    def __init__(self, channel: Channel, at: int, snapshot: Snapshot | None, frame_bytes: int) -> None:
        self.at = at
        self._channel = channel
        self._snapshot = snapshot
        self._fits = snapshot is not None and snapshot.fits(min(PAGE_BYTES, frame_bytes - 1024))
        self._pushes: dict[tuple[Gap | None, bool], PreparedMessage] = {}

    def told(self, gap: Gap | None, *, crowded: bool) -> tuple[PreparedMessage, Snapshot | None]:
        """The message, and the pages that follow it: where the snapshot is too long for one frame, or where the
        socket is not to be burdened with it now."""
        inline = self._fits and not crowded
        push = self._pushes.get((gap, inline))
        if push is None:
            there = self._snapshot
            snapshot = there.inline if inline and there is not None else None
            more = there is not None and not inline
            push = self._pushes[gap, inline] = _resubscribe(self._channel, self.at, gap, snapshot, more=more)
        return push, None if inline else self._snapshot


def _resubscribe(
    channel: Channel,
    at: int,
    gap: Gap | None,
    snapshot: object = None,
    *,
    more: bool = False,
) -> PreparedMessage:
    position = Position(channel.epoch, at)
    return PreparedMessage(replies.resubscribe(channel.name, position, gap, snapshot, more=more))
