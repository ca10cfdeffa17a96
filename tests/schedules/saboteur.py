"""Witnesses that lie: a suite that finds nothing wrong must be able to."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..faults.items import Item, Seen, Start

Sabotage = Callable[[Sequence[Item]], Sequence[Item]]


def dropped(notes: Sequence[Item]) -> Sequence[Item]:
    """One event in the middle did not come."""
    at = _middle(notes)
    return [*notes[:at], *notes[at + 1 :]]


def doubled(notes: Sequence[Item]) -> Sequence[Item]:
    """One came twice."""
    at = _middle(notes)
    return [*notes[: at + 1], *notes[at:]]


def swapped(notes: Sequence[Item]) -> Sequence[Item]:
    """Two came in the wrong order."""
    pairs = [
        at for at in range(len(notes) - 1) if isinstance(notes[at], Seen) and isinstance(notes[at + 1], Seen)
    ]
    at = pairs[len(pairs) // 2]
    return [*notes[:at], notes[at + 1], notes[at], *notes[at + 2 :]]


def replaced(notes: Sequence[Item]) -> Sequence[Item]:
    """One came with the number of another."""
    at = _middle(notes)
    event = notes[at]
    assert isinstance(event, Seen)
    return [*notes[:at], replace(event, number=10**9), *notes[at + 1 :]]


def invented(notes: Sequence[Item]) -> Sequence[Item]:
    """The first snapshot, or the list of events, has one that nobody published."""
    event = Seen(0.0, 1, 10**9, "k0")
    first = notes[0]
    assert isinstance(first, Start)
    if first.snapshot is None:
        return replaced(notes)
    return [replace(first, snapshot=(*first.snapshot, event)), *notes[1:]]


ALL: tuple[Sabotage, ...] = (dropped, doubled, swapped, replaced, invented)


def _middle(notes: Sequence[Item]) -> int:
    seen = [at for at, item in enumerate(notes) if isinstance(item, Seen) and not item.conflated]
    return seen[len(seen) // 2]
