"""Work in slices of the loop's time, in the order of coming, whatever one piece does. The clock is made up."""

from collections.abc import Callable

import pytest

from hub.runtime.time_share import MOST_OWED, PERIOD_S, SHORT_S, TimeShare

SLICE_S = 0.0015


class Loop:
    """A clock that stands still but for work, and the timers that were asked for."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Callable[[], None]] = []

    def work(self, seconds: float, then: Callable[[], None] = lambda: None) -> Callable[[], None]:
        """A piece of work that takes so long."""

        def piece() -> None:
            self.now += seconds
            then()

        return piece

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        assert delay == PERIOD_S
        self.timers.append(callback)

    def turn(self) -> None:
        """The next timer."""
        self.now += PERIOD_S
        self.timers.pop(0)()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def share(loop: Loop) -> TimeShare:
    return TimeShare(SLICE_S, lambda: loop.now, loop.call_later)


def test_who_comes_alone_does_not_wait(loop: Loop, share: TimeShare) -> None:
    done: list[int] = []
    assert share.enter(loop.work(0, lambda: done.append(1)))
    assert done == [1]
    assert not loop.timers


def test_a_herd_is_taken_in_slices_and_in_order(loop: Loop, share: TimeShare) -> None:
    done: list[int] = []
    for number in range(120):
        share.enter(loop.work(SLICE_S / 3, lambda number=number: done.append(number)))  # type: ignore[misc]
    assert len(done) in (3, 4)  # a slice holds three, or a fourth begun at its end
    turns = 0
    while loop.timers:
        before = len(done)
        loop.turn()
        turns += 1
        assert len(done) - before <= 4
    assert done == list(range(120))
    assert len(share) == 0
    assert turns >= 29


def test_one_that_fails_takes_nobody_with_it(loop: Loop, share: TimeShare) -> None:
    done: list[int] = []

    def fail() -> None:
        raise RuntimeError("broken")

    assert share.enter(loop.work(2 * SLICE_S))
    assert not share.enter(fail)
    assert not share.enter(loop.work(0, lambda: done.append(1)))
    with pytest.raises(RuntimeError):
        loop.turn()
    loop.turn()
    assert done == [1]
    with pytest.raises(RuntimeError):
        share.enter(fail)


def test_what_is_for_later_waits_even_alone(loop: Loop, share: TimeShare) -> None:
    done: list[int] = []
    share.later(loop.work(0, lambda: done.append(1)))
    assert not done
    loop.turn()
    assert done == [1]


def test_long_pieces_that_come_again_have_a_share_and_no_more(loop: Loop, share: TimeShare) -> None:
    """A read may hold hundreds of commands: one piece of it then takes longer than a period."""
    done, longest, began = 0, 0.0, loop.now
    piece = loop.work(1.2 * PERIOD_S, lambda: share.later(piece))
    share.later(piece)
    for _ in range(100):
        before = loop.now
        loop.turn()
        longest = max(longest, loop.now - before - PERIOD_S)
        done += loop.now - before > 1.5 * PERIOD_S
    assert longest <= 1.3 * PERIOD_S, "one piece in a turn"
    assert done > 10
    assert done * 1.2 * PERIOD_S <= 1.1 * SLICE_S / PERIOD_S * (loop.now - began)


class Turns(Loop):
    """A loop whose every turn takes others `busy` seconds."""

    def __init__(self, busy: float) -> None:
        super().__init__()
        self.busy = busy
        self.waited = 0

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self.waited += delay > 0
        self.timers.append(lambda: self.pass_by(delay, callback))

    def pass_by(self, delay: float, callback: Callable[[], None]) -> None:
        self.now += delay
        callback()

    def turn(self) -> None:
        self.now += self.busy
        self.timers.pop(0)()


@pytest.mark.parametrize(("busy", "waits"), [(SHORT_S / 4, 0), (SHORT_S, 19)])
def test_an_eager_one_takes_what_nobody_else_needs(busy: float, waits: int) -> None:
    loop, done = Turns(busy), list[int]()
    share = TimeShare(SLICE_S, lambda: loop.now, loop.call_later, eager=True)
    for number in range(20):
        share.enter(loop.work(1.1 * SLICE_S, lambda number=number: done.append(number)))  # type: ignore[misc]
    assert done == [0]
    while loop.timers:
        before = len(done)
        loop.turn()
        assert len(done) - before <= 1, "each slice is followed by a turn"
    assert done == list(range(20))
    assert loop.waited == waits


def test_an_owner_has_one_slice_by_many_small_pieces(loop: Loop, share: TimeShare) -> None:
    assert [share.exhausted("a", SLICE_S / 4) for _ in range(5)] == [False, False, False, True, False]
    assert not share.exhausted("b", SLICE_S / 2)
    assert not share.exhausted("a", SLICE_S / 2), "another one worked in between"
    loop.now += 2 * PERIOD_S
    assert not share.exhausted("a", SLICE_S / 2), "that was long ago"


def test_long_work_outside_of_the_queue_takes_of_the_share(loop: Loop, share: TimeShare) -> None:
    assert share.open
    share.taken(SLICE_S / 2)  # short: nobody's flood
    assert share.open
    share.taken(2 * SLICE_S)
    assert not share.open
    loop.now += 2 * PERIOD_S
    assert share.open
    for _ in range(100):
        share.taken(1.0)
    loop.now += (MOST_OWED + 1) * PERIOD_S
    assert share.open, "nobody waits for longer than that"
    share.later(loop.work(0))
    assert not share.open, "others wait already"
