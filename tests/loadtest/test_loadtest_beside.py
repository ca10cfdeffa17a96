"""The ratio of pairs, and what it says of a bound."""

from __future__ import annotations

from random import Random

from loadtest.beside import Compared


def test_the_interval_holds_the_ratio_whatever_the_minute_costs() -> None:
    held = 0
    for seed in range(200):
        dice = Random(seed)
        row = Compared("a thing", 1.0)
        for _ in range(60):
            minute = dice.uniform(50, 500)  # both slices of a pair meet it
            row.pairs.append(
                (minute * 0.8 * dice.lognormvariate(0, 0.2), minute * dice.lognormvariate(0, 0.2))
            )
        ratio, low, high = row.interval()
        assert low <= ratio <= high
        assert high - low < 0.3
        held += low <= 0.8 <= high
    assert held >= 180  # 95 of 100 are 190, and luck has its part


def test_a_bound_is_held_by_the_median() -> None:
    row = Compared("a thing", 0.9, [(8.0, 10.0), (9.0, 10.0), (30.0, 10.0)])
    assert row.held
    row.pairs.append((20.0, 10.0))
    assert not row.held
    assert Compared("a thing without", None, [(5.0, 1.0)]).held
