"""Time that a test holds in its hand."""

import asyncio

from hub.runtime.backoff import Timing


class Clock:
    """Sleeps end at once and are written down; `random` is what the test says."""

    def __init__(self, random: float = 0.5) -> None:
        self.time = 1000.0
        self.slept: list[float] = []
        self.fraction = random
        self.timing = Timing(lambda: self.time, self._sleep, lambda: self.fraction)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)
