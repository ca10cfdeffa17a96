from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from loadtest.ledger import Count, Receiver, mark, marks, run_of
from loadtest.targets.base import event_body

if TYPE_CHECKING:
    import random


def taken(sequences: list[int], *, after: int = 0) -> tuple[Receiver, Count]:
    receiver, count = Receiver(), Count()
    receiver.expect(1, after)
    for sequence in sequences:
        receiver.take(1, sequence, count)
    return receiver, count


def test_marks_survive_any_envelope() -> None:
    body = event_body(mark(7, 3, 99), 200)
    assert len(body) == 200
    assert marks(b'42["load",' + body + b"]" + body) == [(7, 3, 99), (7, 3, 99)]


def test_a_hole_is_lost_until_it_is_filled_and_then_it_is_out_of_order() -> None:
    receiver, count = taken([1, 2, 4])
    assert (receiver.lost({1: 4}), count.delivered) == (1, 3)
    receiver.take(1, 3, count)
    assert (receiver.lost({1: 4}), count) == (0, Count(4, 0, 1))


def test_what_comes_again_is_doubled() -> None:
    receiver, count = taken([1, 2, 2, 1])
    assert (count.delivered, count.doubled, count.out_of_order) == (2, 2, 0)
    assert receiver.lost({1: 2}) == 0


def test_an_end_that_never_came_is_lost() -> None:
    receiver, _ = taken([5], after=4)
    assert receiver.lost({1: 9}) == 4


def test_a_channel_without_expectation_begins_with_its_first_event() -> None:
    receiver, count = Receiver(), Count()
    receiver.take(9, 50, count)
    receiver.take(9, 51, count)
    assert (receiver.lost({9: 51}), count.delivered) == (0, 2)


@given(st.integers(1, 30), st.randoms(use_true_random=False), st.data())
def test_any_shuffle_with_losses_and_repeats_is_told_apart(
    total: int, draw: random.Random, data: st.DataObject
) -> None:
    kept = data.draw(st.sets(st.integers(1, total)))
    repeats = data.draw(st.lists(st.sampled_from(sorted(kept)), max_size=5)) if kept else []
    arrivals = [*kept, *repeats]
    draw.shuffle(arrivals)
    receiver, count = taken(arrivals)
    assert count.delivered == len(kept)
    assert count.doubled == len(repeats)
    assert receiver.lost({1: total}) == total - len(kept)


def test_only_an_unbroken_run_of_one_channel_is_a_run() -> None:
    assert run_of([(1, 4, 0), (1, 5, 0)]) == (1, 4, 5)
    assert run_of([(1, 4, 0), (1, 6, 0)]) is None
    assert run_of([(1, 4, 0), (2, 5, 0)]) is None
