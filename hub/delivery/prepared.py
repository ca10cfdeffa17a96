"""What the hub says to many receivers at once: encoded and framed once for each encoding."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from ..protocol.codec import encode
from ..protocol.dialects import AnyEncoding
from ..protocol.position import Position


class PreparedMessage:
    """A message of the hub that is the same for all who get it. `at` is where it puts its readers, where its fields
    do not say so."""

    __slots__ = ("_at", "_frames", "fields")

    def __init__(self, fields: dict[str, Any], at: Position | None = None) -> None:
        self.fields = fields
        self._at = at
        self._frames: dict[AnyEncoding, bytes] = {}

    def frame(self, encoding: AnyEncoding) -> bytes:
        """The frame for receivers of `encoding`."""
        frame = self._frames.get(encoding)
        if frame is None:
            frame = self._frames[encoding] = encode(self.fields, encoding, self._at)
        return frame


class PreparedMessages:
    """Several of them, one after the other, for an outbox to pull (`outbox.Source`)."""

    __slots__ = ("_left",)

    def __init__(self, messages: Sequence[PreparedMessage]) -> None:
        self._left = list(reversed(messages))

    def take(self, encoding: AnyEncoding) -> bytes | None:
        """The next frame; None after the last."""
        return self._left.pop().frame(encoding) if self._left else None


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
