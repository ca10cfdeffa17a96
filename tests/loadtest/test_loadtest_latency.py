from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from loadtest.latency import Latencies, Timeline


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=200), st.sampled_from([50.0, 90.0, 99.0, 99.9]))
def test_percentiles_are_the_nearest_rank(values: list[int], percent: float) -> None:
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    rank = max(1, math.ceil(round(percent / 100 * len(values), 9)))
    assert latencies.percentile(percent) == sorted(values)[rank - 1] / 1000


def test_weights_count_as_so_many_samples() -> None:
    latencies = Latencies()
    latencies.add(1000, 99)
    latencies.add(5000, 1)
    assert latencies.summary() == {"p50": 1.0, "p90": 1.0, "p99": 1.0, "p99.9": 5.0}


def test_nothing_measured_has_no_percentile() -> None:
    assert Latencies().summary() == {}
    assert math.isnan(Latencies().percentile(50))


def test_a_timeline_keeps_its_slices_apart() -> None:
    timeline = Timeline(0.5)
    timeline.add(10.1, 1000)
    timeline.add(10.2, 3000)
    timeline.add(11.0, 7000)
    assert timeline.rows(10.0) == [(0.0, 1.0, 3.0), (1.0, 7.0, 7.0)]
