"""Many moments, one timer: alarms that are moved far more often than they ring."""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf

_LONGEST_WAIT = 1.0  # seconds: a step of the wall clock is noticed within this
_SHORTEST_WAIT = 0.001  # seconds: rounding must not make the loop spin


class Alarm:
    """Something that happens at a moment which may be moved until then."""

    __slots__ = ("action", "due", "queued")

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action
        self.due = inf  # Unix seconds when it shall ring
        self.queued = inf  # Unix seconds of its entry in the heap, never later than `due`


class Timers:
    """Alarms by a handed-in clock (Unix seconds): `tick` rings those that are due.

    The heap is lazy: moving an alarm to a later moment touches nothing, its entry is queued anew when it
    comes up. So a channel published a thousand times a second costs the heap one entry, not thousands.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, Alarm]] = []
        self._order = count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._wakes = inf

    def start(self) -> None:
        """Ring by themselves from now on, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._arm()

    def close(self) -> None:
        """Ring no more."""
        self._loop = None
        self._heap.clear()
        self._disarm()

    def set(self, alarm: Alarm, due: float) -> None:
        """Let `alarm` ring at `due`, and not when it was to ring before."""
        alarm.due = due
        if due < alarm.queued:
            self._queue(alarm)

    def cancel(self, alarm: Alarm) -> None:
        """Let `alarm` not ring."""
        alarm.due = inf

    def tick(self, now: float) -> None:
        """Ring what is due; cheap when nothing is. Verbs call it first, so none sees what has expired."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            queued, _, alarm = heappop(heap)
            if queued != alarm.queued:
                continue  # it was set to an earlier moment later on, and has rung
            alarm.queued = inf
            if alarm.due == queued:
                alarm.due = inf
                alarm.action()
            elif alarm.due < inf:
                self._queue(alarm)  # though it may be due as well: after a jump, the earliest rings first

    def _queue(self, alarm: Alarm) -> None:
        alarm.queued = alarm.due
        heappush(self._heap, (alarm.due, next(self._order), alarm))
        if alarm.due < self._wakes:
            self._arm()

    def _arm(self) -> None:
        self._disarm()
        if self._loop is not None and self._heap:
            self._wakes = self._heap[0][0]
            wait = min(max(self._wakes - self.clock(), _SHORTEST_WAIT), _LONGEST_WAIT)
            self._handle = self._loop.call_later(wait, self._wake)

    def _disarm(self) -> None:
        self._wakes = inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _wake(self) -> None:
        try:
            self.tick(self.clock())
        finally:
            self._arm()
