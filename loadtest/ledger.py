"""Who got what: every event carries a mark, and every receiver's marks are followed one by one.

A mark is ``lt:CHANNEL.SEQUENCE.TIME;`` inside the payload, so it survives JSON, MessagePack and whatever
envelope a server puts around it. CHANNEL is a number, SEQUENCE counts from 1 without holes in each
channel, TIME is the publisher's monotonic clock in nanoseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_MARK = re.compile(rb"lt:(\d+)\.(\d+)\.(\d+);")


def mark(channel: int, sequence: int, now_ns: int) -> str:
    return f"lt:{channel}.{sequence}.{now_ns};"


def marks(data: bytes) -> list[tuple[int, int, int]]:
    """All marks in ``data`` as (channel, sequence, time)."""
    return [(int(c), int(s), int(t)) for c, s, t in _MARK.findall(data)]


@dataclass(slots=True)
class Count:
    """Totals over all receivers."""

    delivered: int = 0
    doubled: int = 0
    out_of_order: int = 0

    def add(self, other: Count) -> None:
        self.delivered += other.delivered
        self.doubled += other.doubled
        self.out_of_order += other.out_of_order


@dataclass(slots=True)
class Receiver:
    """What one client has seen of its channels: the last sequence of each and the holes below it.

    It outlives the client's sockets: a resumed connection goes on in the same receiver. A channel for
    which nothing was expected begins with the first event seen of it.
    """

    last: dict[int, int] = field(default_factory=dict)
    missing: set[tuple[int, int]] | None = None

    def expect(self, channel: int, after: int) -> None:
        """Events of ``channel`` beyond ``after`` are due from now on."""
        self.last[channel] = after

    def take(self, channel: int, sequence: int, count: Count) -> None:
        """Enter one event, in the order of its arrival."""
        last = self.last.get(channel, sequence - 1)
        if sequence == last + 1:
            self.last[channel] = sequence
            count.delivered += 1
        elif sequence > last:
            if self.missing is None:
                self.missing = set()
            self.missing.update((channel, hole) for hole in range(last + 1, sequence))
            self.last[channel] = sequence
            count.delivered += 1
        elif self.missing and (channel, sequence) in self.missing:
            self.missing.discard((channel, sequence))
            count.delivered += 1
            count.out_of_order += 1
        else:
            count.doubled += 1

    def lost(self, published: dict[int, int]) -> int:
        """Events due and never seen, given the last published sequence of each channel."""
        tail = sum(max(0, published.get(channel, 0) - last) for channel, last in self.last.items())
        return tail + (len(self.missing) if self.missing else 0)


def run_of(found: list[tuple[int, int, int]]) -> tuple[int, int, int] | None:
    """(channel, first, last) when all marks are one unbroken run of a single channel."""
    channel, first, _ = found[0]
    for step, (other, sequence, _) in enumerate(found):
        if other != channel or sequence != first + step:
            return None
    return channel, first, first + len(found) - 1
