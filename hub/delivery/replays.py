"""Replays that many ask for at one time: after a deploy all who come back to a channel missed the same events."""

from collections import OrderedDict
from collections.abc import Sequence

from ..protocol.dialects import AnyEncoding
from ..protocol.event import Event

SHARED_BYTES = 4_194_304
"""Of a node. A herd asks for few runs at one time; what leaves is put together anew."""

_Run = tuple[str, str, int, int, AnyEncoding]


class SharedReplays:
    """Runs of stored events, their frames one after the other as one bytes object for all who get them; those that
    were asked for last, up to `most` bytes in all. Nothing is kept before somebody resumes."""

    __slots__ = ("_most", "_runs", "bytes")

    def __init__(self, most: int = SHARED_BYTES) -> None:
        self.bytes = 0
        self._most = most
        self._runs: OrderedDict[_Run, bytes] = OrderedDict()

    def of(self, events: Sequence[Event], encoding: AnyEncoding) -> bytes:
        """The frames of `events`, which follow each other in one numbering."""
        first = events[0]
        run = (first.channel, first.epoch, first.offset, events[-1].offset, encoding)
        found = self._runs.get(run)
        if found is not None:
            self._runs.move_to_end(run)
            return found
        frames = b"".join([event.frame(encoding) for event in events])
        self._runs[run] = frames
        self.bytes += len(frames)
        while self.bytes > self._most:
            self.bytes -= len(self._runs.popitem(last=False)[1])
        return frames

    def clear(self) -> None:
        """Let go of all: some of the events were erased."""
        self._runs.clear()
        self.bytes = 0
