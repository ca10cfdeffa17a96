"""The one rule of waiting, the same in both clients."""

from typing import Any

import pytest

from hub.runtime.backoff import Backoff, Timing

from ..support.golden import table


@pytest.mark.parametrize("row", table("backoff"), ids=str)
def test_attempt_n_waits_a_random_part_of_its_ceiling(row: dict[str, Any]) -> None:
    timing = Timing(random=lambda: row["random"])
    backoff = Backoff(timing, row["min_ms"] / 1000, row["max_ms"] / 1000)
    for _ in range(row["attempt"]):
        backoff.next()
    assert backoff.next() * 1000 == pytest.approx(row["wait_ms"])


def test_it_starts_anew() -> None:
    backoff = Backoff(Timing(random=lambda: 1.0), 1.0, 8.0)
    assert [backoff.next() for _ in range(5)] == [1, 2, 4, 8, 8]
    backoff.reset()
    assert backoff.next() == 1
