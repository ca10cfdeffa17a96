"""``max_rate``: a subscription's events, held back so that no more than so many flushes a second leave."""

import asyncio
from typing import Protocol

from ..protocol.event import Event
from .outbox import Outbox, Receiver


class Throttled(Receiver, Protocol):
    """What a throttle has to know of its subscription."""

    outbox: Outbox


class Throttle:
    """``max_rate``: one flush clock a subscription.

    Each flush sends the newest event of every changed key in the order of offsets; events that must not be
    merged (finals, those without a key, those of a `log` channel) all stand. A final flushes at once, and so
    does more than the outbox may hold: that is where too much is judged.
    """

    __slots__ = ("_interval", "_last", "_pending", "_pending_bytes", "_serial", "_subscription", "_timer")

    def __init__(self, subscription: Throttled, rate: float) -> None:
        self._subscription = subscription
        self._interval = 1.0 / rate
        self._last = float("-inf")
        self._pending: dict[object, Event] = {}
        self._pending_bytes = 0
        self._serial = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def oldest(self) -> int | None:
        """The offset of the first event that is held."""
        return next((event.offset for event in self._pending.values()), None)

    def take(self, event: Event) -> None:
        """Hold an event until the next flush."""
        key: object = event.key
        if self._subscription.conflates and key is not None:
            before = self._pending.pop(key, None)
            if before is not None:
                self._pending_bytes -= before.size
                self._subscription.note_merge(before.offset, event.offset)
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
