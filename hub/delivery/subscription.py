"""One session's interest in one channel, and how its events reach the outbox."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..protocol.event import Event
from .outbox import Outbox

if TYPE_CHECKING:
    from .channel import Channel


class Subscription:
    """`plain` ones take a channel's bursts as they are, which is the fast path. The others keep count of what
    they `sent`: those with ``echo: false``, with a `rate`, or that went live at a snapshot ahead of the node.

    `own`: the member whose events are one's own, and not wanted (``echo: false``).
    `ended`: it was replaced or ended, and whatever still works for it stops.
    """

    __slots__ = (
        "_throttle",
        "channel",
        "conflates",
        "ended",
        "outbox",
        "own",
        "owner",
        "plain",
        "presence",
        "queued",
        "sent",
    )

    def __init__(
        self,
        owner: object,
        outbox: Outbox,
        channel: "Channel",
        *,
        own: str | None = None,
        rate: float | None = None,
        presence: str | None = None,
    ) -> None:
        self.owner = owner
        self.outbox = outbox
        self.channel = channel
        self.conflates = channel.namespace.conflates
        self.own = own
        self.plain = own is None and rate is None
        self.presence = presence
        self.sent = 0
        self.queued = 0
        self.ended = False
        self._throttle = None if rate is None else Throttle(self, rate)

    @property
    def tracked(self) -> bool:
        """Whether `sent` has to be kept for as long as the subscription lives."""
        return self.own is not None or self._throttle is not None

    def take(self, events: Sequence[Event]) -> None:
        """Live events for a subscription that is not plain."""
        for event in events:
            if event.offset and event.offset <= self.sent:
                continue
            if self.own is not None and event.origin == self.own:
                continue
            if self._throttle is None:
                self.outbox.deliver_event(event, self)
            else:
                self._throttle.take(event)

    def replay(self, events: Sequence[Event]) -> int:
        """Stored events, in order, to an outbox that has room; returns the bytes sent."""
        frames = []
        for event in events:
            if self.own is not None and event.origin == self.own:
                continue
            conflated = event.offset - self.sent - 1
            encoding = self.outbox.encoding
            frames.append(
                event.conflated_frame(encoding, conflated) if conflated > 0 else event.frame(encoding)
            )
            self.sent = event.offset
        data = b"".join(frames)
        if data:
            self.outbox.push(data)
        return len(data)

    def settle(self) -> None:
        """It goes on at another place, or something is to be said: what a `rate` holds back leaves before."""
        if self._throttle is not None:
            self._throttle.flush()

    def resume(self, events: Sequence[Event]) -> None:
        """Events of a `state` channel that were missed, merged by key where the outbox is under pressure."""
        for event in events:
            if self.own is None or event.origin != self.own:
                self.outbox.deliver_event(event, self)

    def end(self) -> None:
        """It was replaced or ended."""
        self.ended = True
        if self._throttle is not None:
            self._throttle.stop()


class Throttle:
    """``max_rate``: one flush clock a subscription.

    Each flush sends the newest event of every changed key in the order of offsets; events that must not be
    merged (finals, those without a key, those of a `log` channel) all stand. A final flushes at once, and so
    does more than the outbox may hold: that is where too much is judged.
    """

    __slots__ = ("_interval", "_last", "_pending", "_pending_bytes", "_serial", "_subscription", "_timer")

    def __init__(self, subscription: Subscription, rate: float) -> None:
        self._subscription = subscription
        self._interval = 1.0 / rate
        self._last = float("-inf")
        self._pending: dict[object, Event] = {}
        self._pending_bytes = 0
        self._serial = 0
        self._timer: asyncio.TimerHandle | None = None

    def take(self, event: Event) -> None:
        """Hold an event until the next flush."""
        key: object = event.key
        if self._subscription.conflates and key is not None:
            before = self._pending.pop(key, None)
            self._pending_bytes -= before.size if before is not None else 0
        if not self._subscription.conflates or key is None or event.final:
            self._serial += 1
            key = self._serial
        self._pending[key] = event
        self._pending_bytes += event.size
        loop = asyncio.get_running_loop()
        if event.final or self._pending_bytes > self._subscription.outbox.limit:
            self.flush()
        elif self._timer is None:
            # An event after a quiet interval is not held back at all.
            self._timer = loop.call_at(max(loop.time(), self._last + self._interval), self.flush)

    def stop(self) -> None:
        """Nothing more is to be sent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._pending.clear()

    def flush(self) -> None:
        """Send what is held."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._pending:
            return  # nothing is sent, so the clock does not begin
        self._last = asyncio.get_running_loop().time()
        events, self._pending = self._pending, {}
        self._pending_bytes = 0
        subscription = self._subscription
        # Taken out and appended again, the dict stands in the order of offsets already.
        for event in events.values():
            subscription.outbox.deliver_event(event, subscription)
