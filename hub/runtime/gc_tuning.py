"""The garbage collector, kept from stalling the loop.

What it looks through grows with the connections: a full collection over 18,000 of them takes tenths of a second,
and even a young one, at a threshold that keeps it rare, 30 ms, in which no event is sent. A connection makes no
cycles, so nothing of it is ever the collector's to find: it is frozen before it is looked at.
"""

import gc
import random
import time

YOUNG = 10_000  # allocations between two ticks that are looked through all the same: 3 to 5 ms
FULL_S = 6 * 3600.0  # so often all is looked through, for cycles of others that lived to be frozen


def leave_the_start_alone() -> None:
    """For a process whose objects come and go in batches of thousands: each full collection would look through all
    that was made at the start. Rarer ones would keep more: a request over HTTP leaves cycles, and its body."""
    gc.collect()
    gc.freeze()


class GcTuner:
    """Freezes what is there when it is made, and at each `tick` what has come since. One a process."""

    def __init__(self) -> None:
        gc.set_threshold(YOUNG, 1_000_000, 1_000_000)
        gc.collect()
        gc.freeze()
        self._due = _next()

    def tick(self) -> None:
        """Called about ten times a second."""
        if time.monotonic() >= self._due:
            gc.unfreeze()
            gc.collect()
            self._due = _next()
        gc.freeze()


def _next() -> float:
    """Workers were forked together: they do not stall together."""
    return time.monotonic() + FULL_S * random.uniform(0.75, 1.25)
