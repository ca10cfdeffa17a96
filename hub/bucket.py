"""Token buckets: how often something may happen."""


class Bucket:
    """`rate` a second on average, `burst` at once. The clock is handed in: monotonic seconds."""

    __slots__ = ("_burst", "_level", "_rate", "_then")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = float(burst)
        self._then = now

    def take(self, now: float, count: float = 1.0) -> float:
        """Take `count`; 0.0 where they were there, else the seconds until they will be, and nothing is taken."""
        self._fill(now)
        wanted = min(count, self._burst)
        if self._level >= wanted:
            self._level -= wanted
            return 0.0
        return (wanted - self._level) / self._rate

    def change_rate(self, rate: float, burst: float, now: float) -> None:
        """From now on, another rate."""
        self._fill(now)
        self._rate = rate
        self._burst = burst
        self._level = min(self._level, burst)

    def _fill(self, now: float) -> None:
        self._level = min(self._burst, self._level + (now - self._then) * self._rate)
        self._then = now
