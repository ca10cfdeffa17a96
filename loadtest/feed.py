"""Publishing with a book: what was sent, how many deliveries are due, at which pace."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from loadtest.ledger import mark
from loadtest.targets.base import event_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.fleet import Fleet
    from loadtest.publishing import Publisher

#: How long an event may take to reach everybody before it counts as lost.
DELIVERY_DEADLINE = 30.0


class Feed:
    """Numbers the events of each channel, publishes them, and knows who is due what."""

    def __init__(self, fleet: Fleet, publisher: Publisher, *, size: int = 200) -> None:
        self._fleet = fleet
        self._publisher = publisher
        self._used = {publisher}
        self.size = size
        self.published: dict[int, int] = {}
        self.expected = 0
        self._listeners: dict[int, int] = {}

    def listeners(self, plan: list[tuple[int, tuple[int, ...]]]) -> None:
        """These clients are subscribed from now on: count them, and open their books."""
        for slot, channels in plan:
            receiver = self._fleet.receivers[slot]
            for channel in channels:
                self._listeners[channel] = self._listeners.get(channel, 0) + 1
                receiver.expect(channel, self.published.get(channel, 0))

    def emit(
        self, channel: int, count: int = 1, publisher: Publisher | None = None, due_ns: int | None = None
    ) -> None:
        """Publish ``count`` events to ``channel`` in one go, by this ``publisher`` or the feed's own. Latency
        counts from ``due_ns``, when they were due; else from now."""
        publisher = publisher or self._publisher
        self._used.add(publisher)
        first = self.published.get(channel, 0) + 1
        now = time.perf_counter_ns() if due_ns is None else due_ns
        bodies = [event_body(mark(channel, first + step, now), self.size) for step in range(count)]
        self.published[channel] = first + count - 1
        self.expected += count * self._listeners.get(channel, 0)
        self._fleet.publish(publisher, *publisher.way.publication(channel, bodies))

    def forget_listeners(self) -> None:
        """Nobody is subscribed any more; what is published from now on is due when they come back."""
        self._listeners.clear()

    @property
    def settled(self) -> bool:
        """Every publication is answered, and every delivery that is due was made."""
        return (
            all(publisher.idle for publisher in self._used) and self._fleet.count.delivered >= self.expected
        )

    def settle(self, deadline: float = DELIVERY_DEADLINE) -> bool:
        return self._fleet.poll_until(lambda: self.settled, deadline)

    def steadily(
        self,
        ticks: int,
        rate: float,
        act: Callable[[int], None],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """``act(tick)`` at ``rate`` a second, each only when the one before is settled everywhere.

        So a server that cannot keep up is measured at its own pace, not with a growing queue.
        """
        due = time.monotonic()
        for tick in range(ticks):
            while (left := due - time.monotonic()) > 0:
                self._fleet.poll(left)
            due = max(due + 1.0 / rate, time.monotonic())
            act(tick)
            if not self.settle():
                return
            if progress:
                progress(tick + 1)

    def lost(self) -> int:
        """Deliveries that are due and were never made, over all receivers."""
        return sum(receiver.lost(self.published) for receiver in self._fleet.receivers.values())
