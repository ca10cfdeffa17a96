"""How much slower than a quiet machine this one is at this moment, for the deadlines of tests.

A deadline in a test says when to stop hoping. On a machine whose cores are shared by others it comes too early, and
the test is red though nothing is wrong. So every deadline is multiplied by `SCALE`, looked at anew each time:

    async with asyncio.timeout(5 * SCALE): ...
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

LOADAVG = Path("/proc/loadavg")
FRESH_S = 0.5
MOST = 30.0


def waiting_per_core(loadavg: str, cores: int) -> float:
    """Who wants to run for each core, by a line of ``/proc/loadavg`` (proc(5)): now, or on average of the last
    minute, whichever is more. The others may come back at any moment."""
    fields = loadavg.split()
    running = float(fields[3].partition("/")[0])
    return max(running, float(fields[0])) / cores


class Pace:
    """A factor for seconds, 1.0 on a quiet machine. `least` is a floor that the environment may set."""

    def __init__(self, least: float = 1.0, source: Path = LOADAVG, cores: int = os.cpu_count() or 1) -> None:
        self._least = least
        self._source = source
        self._cores = cores
        self._looked = float("-inf")
        self._factor = least

    def __float__(self) -> float:
        now = time.monotonic()
        if now - self._looked > FRESH_S:
            self._looked = now
            self._factor = self._look()
        return self._factor

    def __rmul__(self, seconds: float) -> float:
        return seconds * float(self)

    __mul__ = __rmul__

    def _look(self) -> float:
        try:
            line = self._source.read_text()
        except OSError:
            return self._least  # another system than Linux: the environment's word has to do
        # What runs beside a test also fills the caches and the disk: more than its share of the cores.
        return min(MOST, max(self._least, 1.5 * waiting_per_core(line, self._cores)))


SCALE = Pace(float(os.environ.get("TEST_TIME_SCALE", "1")))


@asynccontextmanager
async def patience(seconds: float, pace: Pace = SCALE) -> AsyncIterator[None]:
    """A deadline for what takes long: what the machine does on the way counts, not only what it does at the start.

    Raises:
        TimeoutError: after so many seconds of a quiet machine.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        watch = loop.create_task(_spend(seconds, limit, pace))
        try:
            yield
        finally:
            watch.cancel()


async def _spend(seconds: float, limit: asyncio.Timeout, pace: Pace) -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    while seconds > 0:
        await asyncio.sleep(min(0.5, seconds))
        now = loop.time()
        seconds -= (now - before) / float(pace)
        before = now
    limit.reschedule(before)
