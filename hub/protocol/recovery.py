"""Whether a reader can have everything after its position: pure, the same for a client and for a node."""

from dataclasses import dataclass
from enum import StrEnum

from .position import NOTHING, Position, Top

FOR_EVER = 2**62  # the limit of a reader that takes whatever there is


class Cause(StrEnum):
    """Why events are missing."""

    TRIMMED = "trimmed"  # the history no longer holds the next event
    TOO_FAR = "too_far"  # more than the recovery limit
    EPOCH = "epoch"  # the position is of an unknown numbering, or beyond the top of this one
    BACKPLANE = "backplane"  # lost between nodes
    DELETED = "deleted"  # the channel was deleted, and began anew


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets `start` to `end`, both inclusive, that the reader did not get. Empty where end < start."""

    start: int
    end: int
    cause: Cause

    def fields(self) -> dict[str, object]:
        """As the contract writes it."""
        return {"from": self.start, "to": self.end, "cause": self.cause.value}


@dataclass(frozen=True, slots=True)
class Resume:
    """Everything after offset `after` of the current numbering can follow: `missed` events."""

    after: int
    missed: int


def common(epoch: str, top: Top) -> int:
    """The last offset at which the numbering `epoch` holds the same events as the present one; `NOTHING` where
    it is not known, or was deleted. Positions, read cursors and answers to an `event_id` are good up to there."""
    if epoch == top.epoch:
        return top.offset
    return next((fork.offset for fork in top.ancestors if fork.epoch == epoch), NOTHING)


def judge(since: Position, top: Top, limit: int) -> Resume | Gap:
    """What a reader at `since` gets, where the channel is at `top` and at most `limit` events are replayed.

    A position of a numbering that the present one came from is good up to its fork (docs/protocol.md, section 1).
    """
    if since.offset > common(since.epoch, top):
        deleted = Position(since.epoch, NOTHING) in top.ancestors
        return Gap(1, top.offset, Cause.DELETED if deleted else Cause.EPOCH)
    missed = top.offset - since.offset
    if missed and since.offset + 1 < top.first:
        return Gap(since.offset + 1, top.offset, Cause.TRIMMED)
    if missed > limit:
        return Gap(since.offset + 1, top.offset, Cause.TOO_FAR)
    return Resume(since.offset, missed)
