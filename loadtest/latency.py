"""Latencies by the microsecond, their percentiles, and their course over time."""

from __future__ import annotations

from collections import defaultdict

PERCENTILES = (50.0, 90.0, 99.0, 99.9)


class Latencies:
    """Counts by whole microseconds: exact percentiles without keeping every sample."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts: defaultdict[int, int] = defaultdict(int)
        self.total = 0

    def add(self, microseconds: int, weight: int = 1) -> None:
        self.counts[microseconds] += weight
        self.total += weight

    def merge(self, counts: dict[int, int]) -> None:
        for value, weight in counts.items():
            self.add(value, weight)

    def percentile(self, percent: float) -> float:
        """In milliseconds, by the nearest-rank definition; NaN when nothing was measured."""
        rank, passed = percent / 100.0 * self.total, 0
        for value in sorted(self.counts):
            passed += self.counts[value]
            if passed >= rank:
                return value / 1000.0
        return float("nan")

    def summary(self) -> dict[str, float]:
        """The reported percentiles in milliseconds, as ``{"p50": …}``; empty without a sample."""
        if not self.total:
            return {}
        return {f"p{percent:g}": self.percentile(percent) for percent in PERCENTILES}


class Timeline:
    """Latencies in slices of time, for a picture: the worst and the middle of each slice."""

    def __init__(self, slice_seconds: float = 0.25) -> None:
        self.slice_seconds = slice_seconds
        self.slices: dict[int, Latencies] = {}

    def add(self, at: float, microseconds: int, weight: int = 1) -> None:
        index = int(at / self.slice_seconds)
        self.slices.setdefault(index, Latencies()).add(microseconds, weight)

    def rows(self, start: float) -> list[tuple[float, float, float]]:
        """(seconds since ``start``, p50, p99) in milliseconds, in order of time."""
        return [
            (index * self.slice_seconds - start, slice_.percentile(50), slice_.percentile(99))
            for index, slice_ in sorted(self.slices.items())
        ]
