"""An application's backend, as small as one can be: allows all that it is asked, for an hour, and counts."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

from contextlib import contextmanager

ALLOWED = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"cache_s":3600}'


class Backend:
    """`port`, and how many requests came to each path; `last` is when the newest did."""

    def __init__(self) -> None:
        self.port = 0
        self.counts: dict[bytes, int] = {}
        self.last = 0.0

    def count(self, path: bytes) -> int:
        return self.counts.get(path, 0)

    def until(self, path: bytes, count: int, seconds: float) -> bool:
        """Whether so many came in time."""
        ends = time.perf_counter() + seconds
        while self.count(path) < count:
            if time.perf_counter() > ends:
                return False
            time.sleep(0.0005)
        return True


class _Line(asyncio.Protocol):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while True:
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(rest) < length:
                return
            self._data = rest[length:]
            path = head.split(b" ", 2)[1]
            self._backend.counts[path] = self._backend.count(path) + 1
            self._backend.last = time.perf_counter()
            assert self._transport is not None
            self._transport.write(ALLOWED)


@contextmanager
def backend() -> Iterator[Backend]:
    """One that runs in a thread of its own."""
    found, loop = Backend(), asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: _Line(found), "127.0.0.1", 0))
    found.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        server.close()
        loop.close()
