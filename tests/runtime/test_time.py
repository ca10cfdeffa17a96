"""The timer wheel, the token bucket and the backoff, on clocks of their own."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.runtime.backoff import STABLE, Backoff, Timing
from hub.runtime.bucket import TokenBucket
from hub.runtime.timer_wheel import TimerWheel


class Loop:
    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> object:
        self.due.append((self.now + delay, callback))
        return None

    def until(self, when: float) -> None:
        while self.due and min(self.due)[0] <= when:
            first = min(self.due, key=lambda item: item[0])
            self.due.remove(first)
            self.now = max(self.now, first[0])
            first[1]()
        self.now = when


class Item:
    slot = 0

    def __init__(self, again: float | None = None) -> None:
        self.calls: list[float] = []
        self.again = again

    def on_time(self, now: float) -> float | None:
        self.calls.append(now)
        return None if self.again is None else now + self.again


@given(st.lists(st.floats(0, 20), min_size=1, max_size=20))
def test_each_is_called_once_and_never_early(delays: list[float]) -> None:
    loop = Loop()
    wheel = TimerWheel(loop)
    items = [(loop.now + delay, Item()) for delay in delays]
    for when, item in items:
        wheel.at(when, item)
    loop.until(130.0)
    for when, item in items:
        (called,) = item.calls
        assert when - 0.01 <= called <= when + 0.3


def test_an_item_has_one_time() -> None:
    loop = Loop()
    wheel = TimerWheel(loop)
    item = Item()
    wheel.at(101.0, item)
    wheel.at(105.0, item)
    loop.until(110.0)
    assert len(item.calls) == 1
    wheel.at(111.0, item)
    wheel.remove(item)
    loop.until(120.0)
    assert len(item.calls) == 1


def test_one_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Item):
        def on_time(self, now: float) -> float | None:
            raise RuntimeError("broken")

    loop = Loop()
    wheel = TimerWheel(loop)
    item = Item(again=1.0)
    wheel.at(101.0, Broken())
    wheel.at(101.0, item)
    loop.until(110.0)
    assert len(item.calls) >= 7
    assert "a timer failed" in caplog.text


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 3)), max_size=50))
def test_a_bucket_never_gives_more_than_its_rate(takes: list[tuple[float, float]]) -> None:
    now, given_out = 0.0, 0.0
    bucket = TokenBucket(2.0, 5.0, now)
    for pause, count in takes:
        now += pause
        wait = bucket.take(now, count)
        if wait == 0.0:
            given_out += count
            assert given_out <= 5.0 + 2.0 * now + 1e-6
        else:
            now += wait + 1e-6
            assert bucket.take(now, count) == 0.0, "after the wait that it named it is there"
            given_out += count


def test_a_bucket_that_holds_lets_nothing_overtake_what_it_refused() -> None:
    now = 1000.0
    bucket = TokenBucket(100.0, 2.0, now, hold=0.25)
    assert [bucket.take(now) for _ in range(3)] == [0.0, 0.0, 0.25]
    for late in (0.02, 0.1, 0.249):
        assert bucket.take(now + late) == pytest.approx(0.25 - late)
    assert bucket.take(now + 0.25) == 0.0
    slow = TokenBucket(0.5, 1.0, now, hold=0.25)
    slow.take(now)
    assert slow.take(now) == pytest.approx(2.0)
    assert slow.take(now + 1.9) == pytest.approx(0.1)
    assert slow.take(now + 2.0) == 0.0


def test_a_step_back_of_the_clock_takes_nothing_out_of_a_bucket() -> None:
    bucket = TokenBucket(1.0, 5.0, 1000.0)
    assert bucket.take(0.0, 5.0) == 0.0
    assert bucket.take(0.0) == pytest.approx(1.0)
    assert bucket.take(1.0) == 0.0


@given(st.floats(0.01, 1), st.floats(1, 60), st.integers(1, 60))
def test_a_backoff_doubles_up_to_its_bound_and_spreads_over_all_of_it(
    low: float, high: float, failures: int
) -> None:
    for fraction in (0.0, 0.5, 0.999):
        backoff = Backoff(Timing(random=lambda fraction=fraction: fraction), low, high)  # type: ignore[misc]
        delays = [backoff.next() for _ in range(failures)]
        assert delays == pytest.approx([fraction * min(high, low * 2.0**n) for n in range(failures)])
        backoff.lived(STABLE * 0.9)
        assert backoff.next() == pytest.approx(fraction * min(high, low * 2.0**failures))
        backoff.lived(STABLE)
        assert backoff.next() == pytest.approx(fraction * low)
