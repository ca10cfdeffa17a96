"""One timer for all connections: what is due is looked at in slots of a tenth of a second."""

import logging
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)


class Loop(Protocol):
    """What a wheel needs of an event loop."""

    def time(self) -> float:
        """Monotonic seconds."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> object:
        """Call back once."""


class Timed(Protocol):
    """Something that wants to be called at times; `slot` belongs to the wheel."""

    slot: int

    def on_time(self, now: float) -> float | None:
        """It is due; returns when to call again, or None."""


class TimerWheel:
    """`stalled_at` is when the loop last came back after standing still for over a second: whoever judges
    others by their silence has to know that it was deaf itself."""

    RESOLUTION = 0.1
    STALL = 1.0

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._slots: dict[int, set[Timed]] = {}
        self._current = 0
        self._running = False
        self.stalled_at = float("-inf")
        self.lag = 0.0

    def at(self, when: float, item: Timed) -> None:
        """Call `item` at the monotonic time `when`, a tenth of a second late at most. It has one time: an
        earlier call of this is void."""
        self.remove(item)
        if not self._running:
            self._running = True
            self._current = int(self._loop.time() / self.RESOLUTION)
            self._loop.call_later(self.RESOLUTION, self._tick)
        item.slot = max(int(when / self.RESOLUTION) + 1, self._current + 1)
        self._slots.setdefault(item.slot, set()).add(item)

    def remove(self, item: Timed) -> None:
        """Forget `item`; it may not be there."""
        items = self._slots.get(item.slot)
        if items is not None:
            items.discard(item)

    def _tick(self) -> None:
        now = self._loop.time()
        reached = int(now / self.RESOLUTION)
        self.lag = max(0.0, now - (self._current + 1) * self.RESOLUTION - self.RESOLUTION)
        if self.lag > self.STALL:
            self.stalled_at = now
        for slot in range(self._current + 1, reached + 1):
            self._current = slot
            for item in self._slots.pop(slot, ()):
                try:
                    again = item.on_time(now)
                except Exception:
                    # The one timer of all connections must not stop because of one of them.
                    log.exception("a timer failed")
                    continue
                if again is not None:
                    self.at(again, item)
        self._current = max(self._current, reached)
        if self._slots:
            self._loop.call_later(self.RESOLUTION, self._tick)
        else:
            self._running = False
