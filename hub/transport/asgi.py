"""The portable lane: the same session as an ASGI endpoint, for any ASGI app and server.

It costs two tasks a connection, and the server does its own framing, pings and closing handshake.
"""

import asyncio
import logging
from typing import Any

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from ..commands.handshake import Handshaker, UpgradeRefused, UpgradeRequest
from ..connections.connection import Connection
from ..protocol.codes import CloseCode
from ..protocol.frames import bodies, shortened
from ..protocol.problem import MEDIA_TYPE, problem_fields, problem_headers
from ..protocol.replies import Window
from .tls import in_scope
from .upgrade_response import joined
from .uvicorn_websocket import EXTENSION, BoundedWebSocketProtocol

log = logging.getLogger(__name__)

_GONE = (
    WebSocketDisconnect,
    RuntimeError,
    OSError,
)  # how Starlette and its servers say that the peer is gone


class AsgiTransport:
    """A `connection.Transport` over an ASGI WebSocket. What is written waits in `_queue` for the writer task; the
    outbox is blocked while more than `write_buffer_bytes` wait there, so that it stays bounded."""

    def __init__(self, websocket: WebSocket, handshaker: Handshaker) -> None:
        self._websocket = websocket
        self._handshaker = handshaker
        self._high = handshaker.node.settings.write_buffer_bytes
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._close: tuple[int, str] | None = None
        self._limit = handshaker.node.settings.message_bytes
        self._connection: Connection | None = None
        self._task = asyncio.current_task()
        self._given_up = False
        self._server: BoundedWebSocketProtocol | None = websocket.scope.get("extensions", {}).get(EXTENSION)

    async def run(self) -> None:
        """From the handshake to the end of the connection."""
        websocket, handshaker = self._websocket, self._handshaker
        try:
            entry = await handshaker.decide(_handshake(websocket))
        except UpgradeRefused as refused:
            await _refuse(websocket, refused)
            return
        try:
            await websocket.accept(entry.subprotocol)
        except _GONE:
            return  # the client did not wait for it
        if self._server is not None:
            self._server.before_admission()
        handshaker.node.admission.opened(entry.address)
        connection = handshaker.connection(self, entry)
        self._connection = connection
        writer = asyncio.create_task(self._write_all(connection))
        try:
            await handshaker.begin(connection, entry)
            code = await self._read_all(connection)
        except asyncio.CancelledError:
            if not self._given_up:
                raise
            code = CloseCode.ABNORMAL
        except Exception:
            connection.close(CloseCode.INTERNAL, "the hub failed; its log says why")
            await asyncio.wait([writer], timeout=handshaker.node.settings.close_timeout)
            raise
        finally:
            handshaker.node.admission.lost(entry.address)
            connection.gone(CloseCode.ABNORMAL)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        log.debug("%s closed with %s", connection.id, code)

    # connections.transport.Transport

    def write(self, data: bytes) -> None:
        """Hand frames to the writer."""
        self._queue.append(data)
        self._queued_bytes += len(data)
        self._wake.set()
        if self._queued_bytes > self._high and self._connection is not None:
            self._connection.outbox.block()

    def ping(self) -> None:
        """The server pings by itself (RFC 6455 section 5.5.2), and its answers are not seen here: a live
        transport counts as heard."""
        if self._connection is not None and self._websocket.client_state is WebSocketState.CONNECTED:
            self._connection.heard()

    def close(self, code: int, reason: str, _window: Window | None = None) -> None:
        """Close once everything before it is written."""
        self._close = (code, reason)
        self._connection = None
        self._wake.set()
        self.resume_reading()
        asyncio.get_running_loop().call_later(self._handshaker.node.settings.close_timeout, self._give_up)

    def sent_away(self, _window: Window) -> None:
        """Its client opens another one beside it."""

    def unacknowledged(self) -> int | None:
        """The ASGI server keeps its sockets to itself."""
        return None

    def pause_reading(self) -> None:
        """Back-pressure on the client."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Read on."""
        self._may_read.set()

    def admitted(self) -> None:
        """From now on messages may be as large as the limits say, where the server lets the hub say so."""
        if self._server is not None:
            self._server.admitted(self._limit)

    # Inside

    def _give_up(self) -> None:
        """The peer did not finish the closing handshake in time; perhaps it does not even read."""
        if self._task is not None and not self._task.done():
            self._given_up = True
            self._task.cancel()

    async def _read_all(self, connection: Connection) -> int:
        code = None
        while code is None:
            await self._may_read.wait()
            code = await self._read_one(connection)
        return code

    async def _read_one(self, connection: Connection) -> int | None:
        """The code of the end, where it is that. Nothing of a message is kept while the next one is awaited."""
        try:
            message = await self._websocket.receive()
        except _GONE:
            return CloseCode.ABNORMAL
        if message["type"] == "websocket.disconnect":
            code: int = message.get("code") or CloseCode.ABNORMAL
            connection.gone(code)
            return code
        text = message.get("text")
        data = text.encode() if text is not None else message["bytes"]
        if len(data) > self._limit:
            connection.close(CloseCode.MESSAGE_TOO_BIG, f"a message of over {self._limit} bytes")
        connection.receive(data, text is not None)
        return None

    async def _write_all(self, connection: Connection) -> None:
        text = connection.session.encoding.is_text
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                data = self._queue.pop(0)
                await self._send(data, text)
                self._queued_bytes -= len(data)
            if self._close is not None:
                code, reason = self._close
                await self._guarded(self._websocket.close(code, shortened(reason)))
                return
            if connection.outbox.blocked:
                connection.outbox.unblock()

    async def _send(self, data: bytes, text: bool) -> None:
        for body in bodies(data):
            if text:
                await self._guarded(self._websocket.send_text(body.decode()))
            else:
                await self._guarded(self._websocket.send_bytes(body))

    async def _guarded(self, sending: Any) -> None:
        """A peer that is gone is noticed by the reader; what was meant for it goes nowhere."""
        try:
            await sending
        except _GONE:
            self._queue.clear()


def _handshake(websocket: WebSocket) -> UpgradeRequest:
    headers = joined(websocket.headers.raw)
    peer = websocket.client.host if websocket.client else "local"
    secure = websocket.url.scheme == "wss"
    return UpgradeRequest(
        websocket.url.query,
        headers,
        [name for name in websocket.scope.get("subprotocols", ()) if name],
        peer,
        secure,
        in_scope(websocket.scope),
    )


async def _refuse(websocket: WebSocket, refused: UpgradeRefused) -> None:
    """By HTTP where the server has the extension for it, which all current ones have; else 403 says no more."""
    if "websocket.http.response" not in websocket.scope.get("extensions", {}):
        await websocket.close()
        return
    body = orjson.dumps(problem_fields(refused.status, refused.error))
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem_headers(refused.error)}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    start = {"type": "websocket.http.response.start", "status": refused.status, "headers": raw}
    await websocket.send(start)
    await websocket.send({"type": "websocket.http.response.body", "body": body})
