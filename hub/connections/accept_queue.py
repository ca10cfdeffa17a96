"""Where newcomers wait before anything is read of them, so that a thousand at once do not hold up those inside.

What is behind the door is admitted at a rate (`admission`); but to know who knocks, a request has to be parsed,
and a herd of 2,000 keeps a loop at that for half a second. Here it gets a slice of the loop's time, and no more.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter

PERIOD_S = 0.005
SLICE_S = 0.0015  # of each period


class AcceptQueue:
    """Runs the first work of newcomers in the order of coming, for at most `SLICE_S` in each `PERIOD_S`. Its queue
    holds one entry a connection: the limit of connections bounds it."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._began = 0.0
        self._spent = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, work: Callable[[], None]) -> bool:
        """Do `work` now or in a later slice; whether it was done."""
        if self._waiting or not self._has_time():
            self._waiting.append(work)
            self._schedule()
            return False
        self._do(work)
        return True

    def _has_time(self) -> bool:
        now = perf_counter()
        if now - self._began >= PERIOD_S:
            self._began, self._spent = now, 0.0
        return self._spent < SLICE_S

    def _do(self, work: Callable[[], None]) -> None:
        began = perf_counter()
        try:
            work()
        finally:
            self._spent += perf_counter() - began

    def _schedule(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._release)

    def _release(self) -> None:
        self._timer = None
        try:
            while self._waiting and self._has_time():
                self._do(self._waiting.popleft())
        finally:
            self._schedule()
