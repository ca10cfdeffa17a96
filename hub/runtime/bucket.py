"""Token buckets: how often something may happen."""


class TokenBucket:
    """`rate` a second on average, `burst` at once. The clock is handed in: seconds, of which a step back counts
    for nothing.

    After a refusal nothing is given for `hold` seconds at least: what was on the wire behind the refused one, sent
    before its sender could know, is refused too, and does not overtake it.
    """

    __slots__ = ("_burst", "_held_until", "_hold", "_level", "_rate", "_then")

    def __init__(self, rate: float, burst: float, now: float, hold: float = 0.0) -> None:
        self._rate = rate
        self._burst = burst
        self._level = float(burst)
        self._then = now
        self._hold = hold
        self._held_until = float("-inf")

    def take(self, now: float, count: float = 1.0) -> float:
        """Take `count`; 0.0 where they were there, else the seconds until they will be, and nothing is taken."""
        if now < self._held_until:
            return self._held_until - now
        self._fill(now)
        wanted = min(count, self._burst)
        if self._level >= wanted:
            self._level -= wanted
            return 0.0
        wait = max(self._hold, (wanted - self._level) / self._rate)
        if self._hold:
            self._held_until = now + wait
        return wait

    def left(self, now: float) -> float:
        """How much there is."""
        self._fill(now)
        return self._level

    def change_rate(self, rate: float, burst: float, now: float) -> None:
        """From now on, another rate."""
        self._fill(now)
        self._rate = rate
        self._burst = burst
        self._level = min(self._level, burst)

    def _fill(self, now: float) -> None:
        self._level = min(self._burst, self._level + max(0.0, now - self._then) * self._rate)
        self._then = now
