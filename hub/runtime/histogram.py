"""Durations counted into buckets: what can be added up over nodes and asked for quantiles afterwards."""

from bisect import bisect_left
from collections.abc import Sequence

QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds, for what a healthy hub does within milliseconds."""
LONG = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds in seconds, for what waits for people and their networks."""


class Histogram:
    """Counts by upper bound (inclusive, as Prometheus' `le`); an observation is one search and two additions."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = QUICK) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """One more. A clock that was set back makes no negative durations."""
        if seconds < 0.0:
            seconds = 0.0
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Buckets as Prometheus has them: each with all that is below."""
        total = 0
        buckets = []
        for bound, count in zip((*map(repr, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets


class Histograms:
    """One for each value of a label; the values come from settings or code, never from clients."""

    __slots__ = ("_bounds", "of")

    def __init__(self, bounds: Sequence[float] = QUICK) -> None:
        self._bounds = bounds
        self.of: dict[str, Histogram] = {}

    def observe(self, label: str, seconds: float) -> None:
        """One more of this label."""
        found = self.of.get(label)
        if found is None:
            found = self.of[label] = Histogram(self._bounds)
        found.observe(seconds)
