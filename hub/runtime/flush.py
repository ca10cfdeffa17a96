"""Work put off to the end of the loop's turn, so that all that gathers in it leaves in one go."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter, time
from typing import Any, Protocol

from .histogram import LONG, Histogram, Histograms

log = logging.getLogger(__name__)

# One failing channel or socket must not take the others' events with it.
_FAILED = "a flush failed"

SLICE_S = 0.002  # of each turn, for what takes long and nobody waits for


class Gathering(Protocol):
    """A channel: it gathered events during a turn."""

    def flush(self, alone: bool = False) -> None:
        """Hand them on; `alone`: no other channel has any in this turn."""


class Named(Protocol):
    """A channel, by its name."""

    name: str


class Timed(Protocol):
    """An event: when it was published, Unix milliseconds."""

    time: int


class Flushable(Protocol):
    """An outbox: it gathered frames during a turn."""

    def flush(self) -> None:
        """Write them."""


class FlushScheduler:
    """Channels flush first (their events go to outboxes), then outboxes (one write a socket), then the rest; a
    slice of the turn is left for what takes long (`in_slices`).

    `call_soon` is the loop's, `wall` Unix seconds. What registers has made sure itself that it does so once.
    `written` are the seconds from a publication to the end of the turn that wrote it, by namespace: of the oldest
    event of each burst, never by receiver. `on_written` gets the bursts of a turn and the Unix time, where somebody
    wants them. `waited` is for how long sockets that were full took nothing.
    """

    __slots__ = (
        "_bursts",
        "_call_soon",
        "_channels",
        "_later",
        "_outboxes",
        "_scheduled",
        "_sliced",
        "_wall",
        "delivered",
        "on_written",
        "waited",
        "written",
    )

    def __init__(
        self, call_soon: Callable[[Callable[[], None]], object], wall: Callable[[], float] = time
    ) -> None:
        self._call_soon = call_soon
        self._wall = wall
        self._bursts: list[tuple[Named, Sequence[Timed]]] = []
        self.on_written: Callable[[Sequence[tuple[Any, Sequence[Any]]], float], None] | None = None
        self.written = Histograms()
        self.waited = Histogram(LONG)
        self._channels: list[Gathering] = []
        self._outboxes: list[Flushable] = []
        self._later: list[Callable[[], None]] = []
        self._sliced: deque[Callable[[], None]] = deque()
        self._scheduled = False
        self.delivered = 0  # events handed to outboxes so far

    def channel(self, channel: Gathering) -> None:
        """`channel` has events for its subscribers."""
        self._channels.append(channel)
        if not self._scheduled:
            self._schedule()

    def outbox(self, outbox: Flushable) -> None:
        """`outbox` has frames for its socket."""
        self._outboxes.append(outbox)
        if not self._scheduled:
            self._schedule()

    def burst(self, channel: "Named", events: "Sequence[Timed]") -> None:
        """A channel hands events on, oldest first."""
        self._bursts.append((channel, events))

    def later(self, callback: Callable[[], None]) -> None:
        """Call back after all writes: for what must not happen inside a fan-out."""
        self._later.append(callback)
        if not self._scheduled:
            self._schedule()

    def in_slices(self, callback: Callable[[], None]) -> None:
        """Call back in the order of asking, in this turn or a later one: all of them together get `SLICE_S` of
        each turn."""
        self._sliced.append(callback)
        if not self._scheduled:
            self._schedule()

    def run(self) -> None:
        """End the turn."""
        channels, self._channels = self._channels, []
        alone = len(channels) == 1
        for channel in channels:
            try:
                channel.flush(alone)
            except Exception:
                log.exception(_FAILED)
        outboxes, self._outboxes = self._outboxes, []
        for outbox in outboxes:
            try:
                outbox.flush()
            except Exception:
                log.exception(_FAILED)
        if self._bursts:
            self._measure()
        self._scheduled = False
        if self._channels or self._outboxes:
            self._schedule()  # they came while the turn ended
        later, self._later = self._later, []
        for callback in later:
            _call(callback)
        if self._sliced:
            self._run_slice()

    def _measure(self) -> None:
        bursts, self._bursts = self._bursts, []
        now = self._wall()
        for channel, events in bursts:
            self.written.observe(channel.name.partition(":")[0], now - events[0].time / 1000)
        if self.on_written is not None:
            self.on_written(bursts, now)

    def _run_slice(self) -> None:
        until = perf_counter() + SLICE_S
        while self._sliced:
            _call(self._sliced.popleft())
            if perf_counter() >= until:
                break
        if self._sliced and not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        self._call_soon(self.run)


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:
        log.exception(_FAILED)
