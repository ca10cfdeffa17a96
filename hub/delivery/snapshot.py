"""A channel's snapshot as it is sent: encoded once for all who begin at its offset, in pages that each socket pulls
at its own pace.
"""

from collections.abc import Callable, Iterable, Iterator

import orjson

from ..protocol import replies
from ..protocol.codec import encode, framed
from ..protocol.dialects import AnyEncoding, Dialect
from ..protocol.event import Event
from ..protocol.frames import Encoding, bodies
from ..protocol.position import Position, Top
from ..protocol.stream import written

PAGE_BYTES = 32_768  # of JSON: what a socket that is not read costs, where a transport keeps a copy
_EVENTS = b',"events":['


class Account:
    """The bytes of all snapshots that are held on a node."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class Page:
    """One `hub.snapshot` message, framed once for each encoding. The last one puts its reader `at` a position."""

    __slots__ = ("_at", "_channel", "_frames", "_json", "_span")

    def __init__(self, channel: str, array: bytes, at: Position | None) -> None:
        message = replies.snapshot(channel, orjson.Fragment(array), more=at is None)
        self._json = encode(message, Encoding.JSON)
        start = self._json.index(_EVENTS) + len(_EVENTS)
        self._span = slice(start, start + len(array) - 2)
        self._channel = channel
        self._at = at
        self._frames: dict[AnyEncoding, bytes] | None = None  # of the other encodings

    def frame(self, encoding: AnyEncoding) -> bytes:
        """The frame for receivers of `encoding`: the same bytes object each time."""
        if encoding is Encoding.JSON:
            return self._json
        if self._frames is None:
            self._frames = {}
        data = self._frames.get(encoding)
        if data is None:
            data = self._frames[encoding] = self._encoded(next(bodies(self._json)), encoding)
        return data

    def _encoded(self, body: bytes, encoding: AnyEncoding) -> bytes:
        if encoding is Encoding.MSGPACK:
            return framed(body, encoding)
        if isinstance(encoding, Dialect):
            return encoding.frames(orjson.loads(body))
        return written(encoding, "hub.snapshot", self._channel, self._at, body)

    @property
    def events(self) -> bytes:
        """The JSON of its events, with a comma between two of them."""
        return self._json[self._span]

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return len(self._json) + sum(len(data) for data in (self._frames or {}).values())


class Snapshot:
    """Complete at `top`; `arrays` are its events as JSON, a page each.

    `made_at` is the monotonic time at which it was read. `lost`: the node has let go of it, its pages are no more.
    """

    __slots__ = ("__weakref__", "_account", "_array", "_pages", "_size", "channel", "lost", "made_at", "top")

    def __init__(self, channel: str, top: Top, arrays: list[bytes], account: Account, made_at: float) -> None:
        self.channel = channel
        self.top = top
        self.made_at = made_at
        self.lost = False
        self._account = account
        self._size = 0
        self._array = (arrays[0] if arrays else b"[]") if len(arrays) < 2 else None
        self._pages: list[Page] = []
        if self._array is None:
            self._make_pages(arrays)
        self._hold(len(self._array or b"") + sum(page.size for page in self._pages))

    def __del__(self) -> None:
        self._account.bytes -= self._size

    def fits(self, room: int) -> bool:
        """Whether all of it may stand in a message that has `room` bytes left for it."""
        return self._array is not None and len(self._array) <= room

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return self._size

    @property
    def inline(self) -> orjson.Fragment:
        """The `snapshot` field of a message into which all of it fits."""
        return orjson.Fragment(self._array or b"[]")

    @property
    def pages(self) -> list[Page]:
        """Its `hub.snapshot` messages, one at least."""
        if not self._pages and not self.lost:
            self._make_pages([self._array or b"[]"])
            self._hold(self._pages[0].size)
        return self._pages

    def frame(self, number: int, encoding: AnyEncoding) -> bytes | None:
        """The frame of a page; None after the last."""
        if number >= len(self.pages):
            return None
        page = self._pages[number]
        before = page.size
        data = page.frame(encoding)
        self._hold(page.size - before)
        return data

    def let_go(self) -> None:
        """Give its memory back; whoever still reads it finds it `lost`."""
        self._hold(-self._size)
        self._pages, self._array, self.lost = [], None, True

    def _make_pages(self, arrays: list[bytes]) -> None:
        last = len(arrays) - 1
        self._pages = [
            Page(self.channel, array, self.top.position if number == last else None)
            for number, array in enumerate(arrays)
        ]

    def _hold(self, size: int) -> None:
        self._size += size
        self._account.bytes += size


class SnapshotReader:
    """One receiver's place in a snapshot, for its outbox to pull (`outbox.Source`).

    `on_lost` is called where the snapshot was let go of before the last page.
    """

    __slots__ = ("_next", "_on_lost", "_snapshot")

    def __init__(self, snapshot: Snapshot, on_lost: Callable[[], None]) -> None:
        self._snapshot = snapshot
        self._next = 0
        self._on_lost = on_lost

    def take(self, encoding: AnyEncoding) -> bytes | None:
        """The next page's frame; None after the last."""
        if self._snapshot.lost:
            self._on_lost()
            return None
        self._next += 1
        return self._snapshot.frame(self._next - 1, encoding)


def arrays_of(events: Iterable[Event], most: int) -> Iterator[bytes]:
    """The JSON of events, in arrays of at most `most` bytes; an event that is larger stands alone."""
    found: list[bytes] = []
    size = 2
    for event in events:
        body = event.body()
        if found and size + len(body) > most:
            yield b"[" + b",".join(found) + b"]"
            found, size = [], 2
        found.append(body)
        size += len(body) + 1
    if found:
        yield b"[" + b",".join(found) + b"]"
