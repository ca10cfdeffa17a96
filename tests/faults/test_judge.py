"""The judge itself: a suite that finds nothing wrong must be able to."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from .flow import Told
from .items import Again, Gap, Hole, Item, Seen, Start
from .judge import Ledger, Verdict, judge

BEGIN = Start(0.0, "e1", 0, 0, False, None, None)


def told(number: int, epoch: str = "e1", offset: int | None = None) -> Told:
    place = number if offset is None else offset
    return Told(number, "system:flow", 0.0, float(number), epoch, place, tries=1)


def seen(number: int, offset: int | None = None, conflated: int = 0) -> Seen:
    return Seen(0.0, number if offset is None else offset, number, None, conflated)


def verdict(notes: Sequence[Item], record: list[Told], lossless: bool = True) -> Verdict:
    return judge([BEGIN, *notes], Ledger.of(record), lossless)


FIVE = [told(number) for number in range(1, 6)]


def test_everything_in_order_is_right() -> None:
    assert verdict([seen(number) for number in range(1, 6)], FIVE).wrong == []


def test_a_filled_hole_is_right() -> None:
    notes: list[Item] = [
        seen(1),
        Hole(0.0, Gap(2, 4, "backplane"), True),
        *(seen(number) for number in range(2, 6)),
    ]
    found = verdict(notes, FIVE)
    assert (found.wrong, found.losses) == ([], [])


def test_a_gap_that_names_what_is_missing_is_right() -> None:
    found = verdict([seen(1), Hole(0.0, Gap(2, 4, "backplane"), False), seen(5)], FIVE)
    assert (found.wrong, found.lost, len(found.losses)) == ([], 3, 1)


def test_a_new_numbering_covers_what_the_old_one_still_had() -> None:
    record = [*FIVE[:3], told(4, "e2", 1), told(5, "e2", 2), told(6, "e2", 3)]
    again = Again(0.0, "e2", 2, Gap(1, 2, "epoch"), None)
    found = verdict([seen(1), seen(2), again, seen(6, 3)], record, lossless=False)
    assert (found.wrong, found.lost) == ([], 3)


def test_a_fork_keeps_offsets() -> None:
    record = [*FIVE[:3], told(4, "e2", 4)]
    notes: list[Item] = [seen(1), Again(0.0, "e2", 1, None, None), seen(2), seen(3), seen(4)]
    assert verdict(notes, record).wrong == []


def test_what_is_merged_by_key_is_no_loss() -> None:
    assert verdict([seen(1), seen(4, conflated=2), seen(5)], FIVE).wrong == []


@pytest.mark.parametrize(
    ("notes", "record", "why"),
    [
        ([seen(1), seen(2), seen(2), seen(3), seen(4), seen(5)], FIVE, "twice"),
        ([seen(1), seen(3), seen(2), seen(4), seen(5)], FIVE, "was next"),
        ([seen(1), seen(2), seen(4), seen(5)], FIVE, "nobody said so"),
        ([seen(1), seen(2), seen(3), seen(4)], FIVE, "nobody said so"),
        ([*map(seen, range(1, 6)), seen(99, 6)], FIVE, "never published"),
        (
            [*map(seen, range(1, 6)), seen(6)],
            [*FIVE, replace(told(6), epoch="", reasons=["away"])],
            "was refused",
        ),
        ([seen(1), seen(3, 2), seen(2, 3), seen(4), seen(5)], FIVE, "its publisher heard"),
        ([seen(1), Hole(0.0, Gap(3, 4, "backplane"), False), seen(5)], FIVE, "the next is 2"),
        ([seen(1), Hole(0.0, Gap(2, 9, "backplane"), False)], FIVE, "names more than"),
        ([seen(1), Again(0.0, "e2", 3, None, None), seen(4), seen(5)], FIVE, "only the epoch's name"),
        ([seen(1), Again(0.0, "e1", 3, Gap(1, 3, "trimmed"), None), seen(4), seen(5)], FIVE, "was told at"),
        ([seen(1), Start(0.0, "e1", 5, 2, True, None, None), seen(4), seen(5)], FIVE, "it went on at 3"),
        ([*map(seen, range(1, 5)), Start(0.0, "e1", 5, 0, False, None, None)], FIVE, "it went on at 5"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_whatever_breaks_a_promise_is_found(notes: list[Item], record: list[Told], why: str) -> None:
    reasons = [reason if isinstance(reason, str) else "" for reason in verdict(notes, record).wrong]
    assert any(why in reason for reason in reasons), reasons
