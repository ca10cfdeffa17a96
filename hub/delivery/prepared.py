"""What the hub says to many receivers at once: encoded and framed once for each encoding."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from ..protocol import replies
from ..protocol.codec import encode
from ..protocol.event import Event
from ..protocol.frames import Encoding
from ..protocol.position import Position


class PreparedMessage:
    """A message of the hub that is the same for all who get it. `at` is where it puts its readers, where its fields
    do not say so."""

    __slots__ = ("_at", "_frames", "fields")

    def __init__(self, fields: dict[str, Any], at: Position | None = None) -> None:
        self.fields = fields
        self._at = at
        self._frames: list[bytes | None] = [None] * len(Encoding)

    def frame(self, encoding: Encoding) -> bytes:
        """The frame for receivers of `encoding`."""
        frame = self._frames[encoding]
        if frame is None:
            frame = self._frames[encoding] = encode(self.fields, encoding, self._at)
        return frame


class SnapshotPages:
    """A snapshot as it stands in a message, or as `hub.snapshot` pages where it does not fit into a frame.

    It is complete at the position `at`. `frame_bytes` bounds the JSON of a page; an event larger than that stands
    alone in its page.
    """

    def __init__(self, channel: str, at: Position, events: Sequence[Event], frame_bytes: int) -> None:
        self._channel = channel
        self._at = at
        # A little room for what stands around the events.
        self._pages = paged((event.body() for event in events), frame_bytes - 1024)
        self.size = sum(len(body) + 1 for page in self._pages for body in page)
        self._pushes: list[PreparedMessage] | None = None

    def fits(self, room: int) -> bool:
        """Whether the whole snapshot may stand in a message that has `room` bytes left for it."""
        return len(self._pages) <= 1 and self.size <= room

    @property
    def inline(self) -> list[orjson.Fragment]:
        """The `snapshot` field of a message into which all of it fits."""
        return [fragment for page in self._pages for fragment in fragments(page)]

    @property
    def pushes(self) -> list[PreparedMessage]:
        """The `hub.snapshot` pages, for a message into which it does not fit; shared by all receivers."""
        if self._pushes is None:
            last = len(self._pages) - 1
            self._pushes = [
                PreparedMessage(
                    replies.snapshot(self._channel, fragments(page), more=number < last),
                    self._at if number == last else None,
                )
                for number, page in enumerate(self._pages)
            ]
        return self._pushes


def paged(bodies: Iterable[bytes], most: int) -> list[list[bytes]]:
    """Encoded things in lists of at most `most` bytes with their commas; one that is longer stands alone."""
    pages: list[list[bytes]] = []
    room = 0
    for body in bodies:
        if not pages or len(body) + 1 > room:
            pages.append([])
            room = most
        pages[-1].append(body)
        room -= len(body) + 1
    return pages


def fragments(bodies: Iterable[bytes]) -> list[orjson.Fragment]:
    """Encoded things as they stand in a message that is about to be encoded."""
    return [orjson.Fragment(body) for body in bodies]
