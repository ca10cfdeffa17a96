"""Token buckets: how often something may happen."""


class Bucket:
    """`rate` a second on average, `burst` at once. The clock is handed in: monotonic seconds."""

    __slots__ = ("_burst", "_level", "_rate", "_then")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = float(burst)
        self._then = now

    def take(self, now: float, count: float = 1.0, *, reserve: float = 0.0) -> float:
        """Take `count`; 0.0 where they were there, else the seconds until they will be, and nothing is taken.

        `reserve` is the part of the burst that has to remain, for those who go first.
        """
        self._level = min(self._burst, self._level + (now - self._then) * self._rate)
        self._then = now
        wanted = min(count, self._burst) + reserve * self._burst
        if self._level >= wanted:
            self._level -= count
            return 0.0
        return (wanted - self._level) / self._rate
