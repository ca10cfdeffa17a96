"""A part of the loop's time for work that would else take all of it: newcomers, and clients that flood."""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter

PERIOD_S = 0.005
SHORT_S = 0.001  # a turn in which the loop had hardly anything else to do
LONG_S = 0.001  # work outside of the queue that counts towards the share
MOST_OWED = 10  # slices, by such work


class TimeShare:
    """Runs pieces of work in the order of coming, for at most `slice_s` in each `PERIOD_S`; a piece that has begun
    is not interrupted, and what it took too much is missing in the periods that follow. Its queue holds one entry a
    connection: the limit of connections bounds it.

    `eager`: after each slice the loop has a turn, and the next slice follows at once where that was short; so work
    that is better done soon takes what nobody else needs. `call_later` is the running loop's where it is not handed
    in."""

    def __init__(
        self,
        slice_s: float,
        clock: Callable[[], float] = perf_counter,
        call_later: Callable[[float, Callable[[], None]], object] | None = None,
        *,
        eager: bool = False,
    ) -> None:
        self._slice_s = slice_s
        self._clock = clock
        self._call_later = call_later
        self._eager = eager
        self._left = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._began = 0.0
        self._spent = 0.0
        self._scheduled = False
        self._owner: object = None
        self._owner_since = 0.0
        self._owner_spent = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, work: Callable[[], None]) -> bool:
        """Do `work` now or in a later slice; whether it was done."""
        if self._waiting or not self._has_time():
            self.later(work)
            return False
        self._do(work)
        return True

    def later(self, work: Callable[[], None]) -> None:
        """Do `work` in a later slice."""
        self._waiting.append(work)
        self._schedule()

    @property
    def open(self) -> bool:
        """Whether more of it would be done at once."""
        return not self._waiting and self._has_time()

    def taken(self, seconds: float) -> None:
        """Work outside of the queue that took so long; what is short is nobody's flood."""
        if seconds > LONG_S:
            self._has_time()
            self._spent = min(self._spent + seconds, MOST_OWED * self._slice_s)

    def exhausted(self, owner: object, seconds: float) -> bool:
        """Whether `owner`, who has just worked for so long outside of the queue, has had a slice by that: what
        follows belongs into the queue. A socket's reads come one after the other, up to 32 in a turn."""
        self.taken(seconds)
        now = self._clock()
        if owner is not self._owner or now - self._owner_since > PERIOD_S:
            self._owner, self._owner_since, self._owner_spent = owner, now, 0.0
        self._owner_spent += seconds
        if self._owner_spent < self._slice_s:
            return False
        self._owner = None
        return True

    def charge(self, seconds: float) -> None:
        """The piece that is being done has more work behind it, outside of the queue: of this slice, too."""
        self._spent += seconds

    def _has_time(self) -> bool:
        now = self._clock()
        if (passed := now - self._began) >= PERIOD_S:
            self._began, self._spent = now, max(0.0, self._spent - self._slice_s * passed / PERIOD_S)
        return self._spent < self._slice_s

    def _do(self, work: Callable[[], None]) -> None:
        began = self._clock()
        try:
            work()
        finally:
            self._spent += self._clock() - began

    def _schedule(self) -> None:
        if not self._scheduled and self._waiting:
            self._scheduled = True
            if self._eager:
                self._left = self._clock()
                self._later(0.0, self._give_turn)
            else:
                self._later(PERIOD_S, self._release)

    def _give_turn(self) -> None:
        """What was ready has run; what comes by the poll that follows shall, too."""
        self._later(0.0, self._look)

    def _look(self) -> None:
        took = self._clock() - self._left
        if took < SHORT_S:
            self._began, self._spent = self._clock(), 0.0
            self._release()
        else:
            self._later(max(0.0, PERIOD_S - took), self._release)

    def _later(self, delay_s: float, callback: Callable[[], None]) -> None:
        if self._call_later is not None:
            self._call_later(delay_s, callback)
        elif delay_s:
            asyncio.get_running_loop().call_later(delay_s, callback)
        else:
            asyncio.get_running_loop().call_soon(callback)

    def _release(self) -> None:
        self._scheduled = False
        try:
            while self._waiting and self._has_time():
                self._do(self._waiting.popleft())
        finally:
            self._schedule()
