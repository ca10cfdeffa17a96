"""When a connection has to have moved: one deadline for what it is to send, one for what it is to take."""

import math
from collections.abc import Callable

from ...runtime.timer_wheel import TimerWheel

STALL_S = 10.0
STALL_BYTES = 10_240  # who takes less than this in `STALL_S` does not read


class Deadlines:
    """Kept by the wheel of the node, so that a deadline costs an assignment. `late` is called at the one set by
    `expect`, `stalled` where a client does not take what `watch` measures. `close` ends both."""

    __slots__ = (
        "_due",
        "_late",
        "_left",
        "_now",
        "_read_by",
        "_stalled",
        "_unsent",
        "_wheel",
        "_write_by",
        "slot",
    )

    def __init__(
        self,
        wheel: TimerWheel,
        now: Callable[[], float],
        late: Callable[[], None],
        stalled: Callable[[], None],
    ) -> None:
        self.slot = 0
        self._wheel = wheel
        self._now = now
        self._late: Callable[[], None] | None = late
        self._stalled: Callable[[], None] | None = stalled
        self._unsent: Callable[[], int] | None = None
        self._read_by = self._write_by = self._due = math.inf
        self._left = 0

    def expect(self, seconds: float) -> None:
        """Something is to come by then."""
        self._read_by = self._now() + seconds
        self._schedule(self._read_by)

    def expect_nothing(self) -> None:
        """Nothing is owed."""
        self._read_by = math.inf

    def watch(self, unsent: Callable[[], int]) -> None:
        """`unsent` bytes wait for the client: it has to take some."""
        if self._unsent is None:
            self._unsent = unsent
            self._left = unsent()
            self._write_by = self._now() + STALL_S
            self._schedule(self._write_by)

    def watch_nothing(self) -> None:
        """It has taken enough."""
        self._unsent = None
        self._write_by = math.inf

    def close(self) -> None:
        """The connection is over."""
        self._wheel.remove(self)
        self._late = self._stalled = self._unsent = None
        self._read_by = self._write_by = math.inf

    def on_time(self, now: float) -> float | None:
        """The wheel's call."""
        if now >= self._write_by and self._unsent is not None:
            self._measure(now, self._unsent())
        if now >= self._read_by:
            self._read_by = math.inf
            if self._late is not None:
                self._late()
        self._due = min(self._read_by, self._write_by)
        return self._due if self._due < math.inf else None

    def _measure(self, now: float, unsent: int) -> None:
        if unsent > self._left - STALL_BYTES and self._stalled is not None:
            self._write_by = math.inf
            self._stalled()
        else:
            self._left = unsent
            self._write_by = now + STALL_S

    def _schedule(self, when: float) -> None:
        """The wheel calls anyhow where an earlier deadline was set before."""
        if when < self._due:
            self._due = when
            self._wheel.at(when, self)
