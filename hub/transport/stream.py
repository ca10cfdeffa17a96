"""The transport of HTTP streams: a session that only listens, as the body of an answer that does not end.

It is plain ASGI and the same on both lanes. What is written waits in `_queue` for the one task of the stream; the
outbox is blocked while more than `write_buffer_bytes` wait there, so that it stays bounded.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.types import Receive, Send

from ..commands.host import Entrance
from ..connections.connection import Connection
from ..connections.transport import Transport
from ..protocol.codes import CloseCode
from ..protocol.dialects import AnyEncoding
from ..protocol.errors import HubError
from ..protocol.frames import Encoding
from ..protocol.replies import Window

COMMENT_S = 14.0  # proxies cut what is silent, 30 s or more; EventSource's standard asks for 15 s
HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}

Make = Callable[[Transport], Connection]
Begin = Callable[[Connection], Awaitable[None]]


class Writing(Protocol):
    """How a stream is written. `comment` says that all is well; empty where the connection itself says so."""

    media_type: str
    comment: bytes

    @property
    def encoding(self) -> AnyEncoding:
        """What its connection speaks."""

    def render(self, data: bytes) -> bytes:
        """What the outbox sends, as it goes out."""

    def retry(self, window: Window) -> bytes:
        """When to come back; empty where the format has no word for it."""


class ServerSentEvents:
    """``text/event-stream``. `render` joins the pieces of blocks where each receiver has its own ids."""

    media_type = "text/event-stream"
    comment = b":\n\n"

    def __init__(self, render: Callable[[bytes], bytes] | None = None) -> None:
        self.encoding = Encoding.SSE if render is None else Encoding.PARTS
        self._render = render

    def render(self, data: bytes) -> bytes:
        """What the outbox sends, as it goes out."""
        return data if self._render is None else self._render(data)

    def retry(self, window: Window) -> bytes:
        """When to come back; empty where the format has no word for it."""
        return b"retry: %d\n\n" % random.randint(window[0], max(window))


class NdJson:
    """``application/x-ndjson``: the socket's messages, one a line; an empty line says that all is well."""

    encoding = Encoding.NDJSON
    media_type = "application/x-ndjson"
    comment = b"\n"

    def render(self, data: bytes) -> bytes:
        """What the outbox sends, as it goes out."""
        return data

    def retry(self, _window: Window) -> bytes:
        """When to come back; empty where the format has no word for it."""
        return b""


class StreamTransport:
    """A `connections.transport.Transport`; see the module's head. `make` makes its connection, whose first words
    are said by `begin`, once."""

    def __init__(self, node: Entrance, writing: Writing, address: str, make: Make, begin: Begin) -> None:
        self._node = node
        self._writing = writing
        self._address = address
        self._make = make
        self._begin = begin
        self._high = node.settings.write_buffer_bytes
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._connection: Connection | None = None
        self._over = self._gone = self._given_up = False
        self._task = asyncio.current_task()

    async def run(self, receive: Receive, send: Send) -> None:
        """From the first line of the body to the last."""
        node = self._node
        connection = self._make(self)
        self._connection = connection
        self._task = asyncio.current_task()
        self._put(self._writing.retry(_first_window(node.default_window)))
        beside = [asyncio.create_task(each) for each in (self._watch(receive), self._tick())]
        node.admission.opened(self._address)
        try:
            beside.append(asyncio.create_task(self._start(connection)))
            await self._write_all(send)
        except asyncio.CancelledError:
            if not (self._given_up or self._over):
                raise  # else it has ended already, for a client that does not take the end
        finally:
            node.admission.lost(self._address)
            connection.gone(CloseCode.ABNORMAL)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    # connections.transport.Transport

    def write(self, data: bytes) -> None:
        """Hand blocks to the writer."""
        self._put(self._writing.render(data))
        if self._queued_bytes > self._high and self._connection is not None:
            self._connection.outbox.block()

    def ping(self) -> None:
        """A stream has no pong: it is heard of as long as its connection stands."""
        if self._connection is not None:
            self._connection.heard()

    def close(self, code: int, reason: str, window: Window | None = None) -> None:
        """End the answer once everything before is written, and say when to come back."""
        self._put(self._writing.retry(window or self._node.default_window))
        self._over = True
        self._connection = None
        self._wake.set()
        asyncio.get_running_loop().call_later(self._node.settings.close_timeout, self._give_up)

    def sent_away(self, window: Window) -> None:
        """The client comes back only once this answer has ended."""
        if self._connection is not None:
            self._connection.close(CloseCode.DRAINING, "this node is going away", window)

    def unacknowledged(self) -> int | None:
        """The HTTP server keeps its sockets to itself."""
        return None

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""

    def admitted(self) -> None:
        """Nothing to do."""

    # Inside

    def _put(self, data: bytes) -> None:
        if data:
            self._queue.append(data)
            self._queued_bytes += len(data)
            self._wake.set()

    async def _start(self, connection: Connection) -> None:
        try:
            await self._begin(connection)
        except Exception:
            connection.close(CloseCode.INTERNAL, "the hub failed; its log says why")
            raise

    async def _write_all(self, send: Send) -> None:
        while not self._gone:
            await self._wake.wait()
            self._wake.clear()
            while self._queue and not self._gone:
                data = b"".join(self._queue)
                self._queue.clear()
                await send({"type": "http.response.body", "body": data, "more_body": True})
                self._queued_bytes -= len(data)
            if self._over:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            if self._connection is not None and self._connection.outbox.blocked:
                self._connection.outbox.unblock()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._wake.set()
        if self._task is not None and not self._over:
            self._give_up()  # it may be waiting for a client that is not there to take what was sent

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(COMMENT_S)
            if not self._queue and not self._over:
                self._put(self._writing.comment)

    def _give_up(self) -> None:
        """The client is gone, or does not take the end."""
        if self._task is not None and not self._task.done():
            self._given_up = True
            self._task.cancel()


async def refuse(writing: Writing, message: bytes, error: HubError, node: Entrance, send: Send) -> None:
    """The body of a stream that can't be had now: when to come back, why, the end."""
    window = node.default_window
    if error.retry_after_ms is not None:
        window = (error.retry_after_ms, 2 * error.retry_after_ms)
    body = writing.retry(window) + writing.render(message)
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _first_window(window: Window) -> Window:
    """For a cut that says nothing: soon, and not all at once."""
    return window[0], min(4 * window[0], window[1])
