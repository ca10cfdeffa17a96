"""Buckets, as Prometheus counts them."""

from types import SimpleNamespace

import pytest

from hub.runtime.flush import FlushScheduler
from hub.runtime.histogram import Histogram, Histograms


def test_a_bound_is_part_of_its_bucket_and_buckets_hold_those_below() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0, -3.0):
        histogram.observe(seconds)
    assert histogram.cumulative() == [("0.1", 3.0), ("1.0", 4.0), ("+Inf", 5.0)]
    assert histogram.sum == pytest.approx(7.65)


def test_one_a_label() -> None:
    both = Histograms((1.0,))
    both.observe("job", 0.5)
    both.observe("doc", 2.0)
    assert {label: each.counts for label, each in both.of.items()} == {"job": [1, 0], "doc": [0, 1]}


def test_a_turn_measures_its_bursts_and_not_its_receivers() -> None:
    turn = FlushScheduler(lambda run: None, lambda: 10.0)
    for name, *times in (
        ("job:1", 9_000, 9_500),
        ("job:2", 9_990),
        ("doc:1", 10_500),
    ):  # the last by another clock
        turn.burst(SimpleNamespace(name=name), [SimpleNamespace(time=each) for each in times])
    turn.run()
    assert {label: sum(each.counts) for label, each in turn.written.of.items()} == {"job": 2, "doc": 1}
    assert turn.written.of["job"].sum == pytest.approx(1.01)
    turn.run()
    assert sum(turn.written.of["job"].counts) == 2
