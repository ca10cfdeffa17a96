"""Positions: where a reader stands in a channel's numbering."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from .codes import ErrorCode
from .errors import HubError

_EPOCH = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")
MAX_OFFSET = 2**53 - 1  # what a JavaScript number holds exactly
NOTHING = -1  # the fork of an ancestor of which nothing is left: it was deleted


class Position(NamedTuple):
    """`offset` events of the numbering `epoch` have been seen; offsets start at 1 and have no holes."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"

    @classmethod
    def checked(cls, epoch: object, offset: object) -> "Position":
        """A position from untrusted values.

        Raises:
            HubError: ``bad_message``.
        """
        if not isinstance(epoch, str) or _EPOCH.match(epoch) is None:
            raise HubError(ErrorCode.BAD_MESSAGE, "epoch must be 1 to 32 letters, digits, - or _")
        if type(offset) is not int or not 0 <= offset <= MAX_OFFSET:
            raise HubError(ErrorCode.BAD_MESSAGE, "offset must be an integer from 0 to 2^53-1")
        return cls(epoch, offset)

    @classmethod
    def parse(cls, text: str) -> "Position":
        """A position written ``epoch:offset``, as in ``k3f9:12``.

        Raises:
            HubError: ``bad_message``.
        """
        epoch, colon, offset = text.rpartition(":")
        if not colon or not (offset.isascii() and offset.isdigit() and len(offset) <= 16):
            raise HubError(ErrorCode.BAD_MESSAGE, "a position is written epoch:offset, as in k3f9:12")
        return cls.checked(epoch, int(offset))


@dataclass(slots=True)  # one that is frozen costs 2 µs more to make
class Top:
    """A channel's numbering at one moment.

    `offset` is the last offset given (0: none). `first` is the oldest offset still stored (offset + 1: none).
    `ancestors` are the numberings that this one came from, newest first, each with the offset at which its
    successor forked off: positions of that epoch at or below it are still good (`recovery.common`). One that was
    deleted has forked at `NOTHING`.
    """

    epoch: str
    offset: int
    first: int
    ancestors: tuple[Position, ...] = ()

    @property
    def position(self) -> Position:
        """The position of a reader who has seen everything."""
        return Position(self.epoch, self.offset)
