"""Replays and snapshots, pulled at the pace at which a socket drains: they never queue, and never count
towards a slow consumer. A replay ends by going live in one step, without an await in between, at the very
offset that it has reached. A snapshot that the node let go of before a socket had taken all of it begins anew.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from ..broker.base import Page
from ..delivery.channel import Channel, Subscription
from ..delivery.outbox import Outbox
from ..delivery.snapshot import Snapshot, SnapshotReader
from ..protocol.errors import HubError
from ..protocol.event import Event
from ..protocol.recovery import Cause, Gap
from ..runtime.backoff import REAL_TIME, Backoff
from ..runtime.tasks import Tasks

SLICE = 64  # events sent in one turn of the loop, so that a long replay does not hold up other sockets
SLICE_BYTES = 65_536
PAGE = 256  # events a read


class Source(Protocol):
    """Where a replay finds what is not in the tail."""

    async def read(self, name: str, after: int | None, limit: int) -> Page:
        """A page of the history."""

    async def repair(self, channel: Channel, quiet: bool = False) -> None:
        """Bring the channel up to what is stored; a change of epoch reaches every subscription."""

    async def restart_one(self, subscription: Subscription, token: object, gap: Gap) -> None:
        """Tell one subscription of its gap, and put it at the present top, if `token` is still in charge."""


def begin(
    source: Source,
    tasks: Tasks,
    subscription: Subscription,
    at: int,
    events: Sequence[Event] = (),
    snapshot: Snapshot | None = None,
) -> None:
    """Send everything after offset `at`, then go live: at once where it is little and the socket has room.

    The pages of `snapshot`, complete at `at`, go first. `events` were read already, and follow `at`.
    """
    channel, outbox = subscription.channel, subscription.outbox
    token = channel.catch_up(subscription, at)
    if snapshot is not None:
        outbox.hold(SnapshotReader(snapshot, lambda: _lost(source, tasks, subscription, at)), subscription)
    if channel.namespace.conflates:
        # Behind a snapshot, and under pressure, what is live is merged by key: there is no need to wait with
        # it until the socket has drained, and waiting would let a slow reader fall out of the history.
        tail = channel.after(at, len(channel.tail or ()))
        if tail is not None and sum(event.size for event in tail) <= outbox.limit // 2:
            subscription.resume(tail)
            channel.go_live(subscription, max(at, channel.top), sent=subscription.sent)
            return
    elif not outbox.blocked:
        tail = channel.after(at, SLICE + 1)
        if tail is not None and len(tail) <= SLICE and sum(event.size for event in tail) <= SLICE_BYTES:
            subscription.replay(tail)
            _go_live(subscription, max(at, channel.top))
            return
    tasks.spawn(_Replay(source, subscription, token, at).run(events))


def _lost(source: Source, tasks: Tasks, subscription: Subscription, at: int) -> None:
    """The snapshot at `at` is no more, and its reader has only a part of it."""
    subscription.channel.settle()
    subscription.outbox.let_go(subscription)
    token = subscription.channel.catch_up(subscription, at)
    tasks.spawn(_begin_again(source, subscription, token, at))


async def _begin_again(source: Source, subscription: Subscription, token: object, at: int) -> None:
    channel, backoff = subscription.channel, Backoff(REAL_TIME, 0.1, 5.0)
    while await room(subscription.outbox, lambda: channel.is_catching(subscription, token)):
        try:
            await source.restart_one(subscription, token, Gap(at + 1, channel.top, Cause.TOO_FAR))
        except HubError:
            await backoff.pause()


def _go_live(subscription: Subscription, at: int) -> None:
    sent = min(subscription.sent, at) if subscription.tracked else None
    subscription.channel.go_live(subscription, at, sent)


class _Replay:
    """One replay under way; it stops as soon as another one, or an end, took over its subscription."""

    def __init__(self, source: Source, subscription: Subscription, token: object, at: int) -> None:
        self._source = source
        self._subscription = subscription
        self._channel = subscription.channel
        self._token = token
        self._at = at
        self._epoch = self._channel.epoch  # that the events in hand were read in
        self._backoff = Backoff(REAL_TIME, 0.1, 5.0)

    async def run(self, events: Sequence[Event]) -> None:
        while await self._room():
            # Nothing is awaited between this look at `top` and going live: who awaited in between would miss what
            # was announced meanwhile.
            if self._at >= self._channel.top:
                _go_live(self._subscription, self._at)
                return
            if not events or events[0].offset != self._at + 1 or self._epoch != self._channel.epoch:
                self._epoch = self._channel.epoch
                events = self._channel.after(self._at, SLICE) or ()
            if events:
                events = self._send(events)
            else:
                events = await self._read()  # and look for room again: others may have filled it meanwhile

    async def _room(self) -> bool:
        """Wait until the socket has room; whether this replay is still in charge."""
        await asyncio.sleep(0)
        return await room(self._subscription.outbox, self._in_charge)

    def _in_charge(self) -> bool:
        return self._channel.is_catching(self._subscription, self._token)

    def _send(self, events: Sequence[Event]) -> Sequence[Event]:
        """Send the first slice, no further than the node's own top; returns the rest."""
        count = size = 0
        while count < min(len(events), SLICE) and size < SLICE_BYTES:
            if events[count].offset > self._channel.top:
                break
            size += events[count].size
            count += 1
        if count and self._in_charge():
            self._subscription.replay(events[:count])
            self._at = events[count - 1].offset
        return events[count:]

    async def _read(self) -> Sequence[Event]:
        """What follows from the store; empty where this replay is over or has to try again."""
        name = self._channel.name
        try:
            page = await self._source.read(name, self._at, PAGE)
            if page.top.epoch != self._channel.epoch:
                # These offsets count in another numbering. The repair puts every subscription somewhere, this one
                # too: where it takes the token away, this replay ends.
                await self._source.repair(self._channel)
            elif not page.events or page.events[0].offset != self._at + 1:
                if self._in_charge() and self._at < self._channel.top:
                    gap = Gap(self._at + 1, self._channel.top, Cause.TRIMMED)
                    await self._source.restart_one(self._subscription, self._token, gap)
            else:
                self._backoff.reset()
                return page.events
        except HubError:
            # The storage is away; the subscriber waits as everybody does, and misses nothing by it.
            await self._backoff.pause()
        return ()


async def room(outbox: Outbox, wanted: Callable[[], bool]) -> bool:
    """Wait until the socket has room for something long, for as long as it is `wanted`; whether it still is."""
    while wanted() and outbox.crowded:
        if outbox.blocked:
            await _drained(outbox)
        else:
            await asyncio.sleep(0)  # others have filled this turn of the loop
    return wanted()


async def _drained(outbox: Outbox) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def resolve() -> None:
        if not future.done():
            future.set_result(None)

    outbox.when_room(resolve)
    await future
