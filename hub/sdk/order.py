"""Is this event the next one? Pure arithmetic on offsets, one cursor a feed of events."""

from enum import Enum


class Next(Enum):
    """What an event is to a reader."""

    PASS = 0  # the next one
    OLD = 1  # seen already
    HOLE = 2  # something before it is missing


def judge(cursor: int, offset: int, conflated: int) -> Next:
    """Compare `offset` = previous + 1 + `conflated` with the `cursor`, the last offset of this feed."""
    if offset <= cursor:
        return Next.OLD
    return Next.PASS if offset - 1 - conflated <= cursor else Next.HOLE
