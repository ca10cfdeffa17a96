"""For the portable lane under uvicorn: its WebSocket protocol with what it lacks against strangers.

    uvicorn.run(app, ws=BoundedWebSocketProtocol)

A server reads and parses before an ASGI app hears of it, so an app can bound none of that: not what is kept of a
client that has not said who it is, nor pings, which a server answers by itself.
"""

import asyncio
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.server import ServerProtocol

from ..connections.admission import READ_SLICE_S
from ..protocol.codes import CloseCode
from ..protocol.session import MAX_BEFORE_AUTH
from ..runtime.time_share import TimeShare
from .frames import FLOOD_CLOSE_S, SHARE_S, SLICE_BYTES, ClosesAnywhere, FrameRate
from .tls import client_certificate, extension

EXTENSION = "hub.websocket"  # in the ASGI scope: the protocol, whose `admitted` the hub calls

_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, TimeShare] = WeakKeyDictionary()


class _Protocol(ClosesAnywhere, ServerProtocol):
    def process_subprotocol(self, headers: Headers) -> Any:
        """An empty list is as good as none."""
        lines = headers.get_all("Sec-WebSocket-Protocol")
        return super().process_subprotocol(headers) if any(line.strip(" ,\t") for line in lines) else None


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    """For the portable lane under uvicorn: its WebSocket protocol with what it lacks against strangers.
    Other WebSockets of the app have the same bounds, but that on the size of messages:
    theirs is uvicorn's `ws_max_size`."""

    def __init__(
        self,
        config: Any,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        before = self.conn
        self.conn = _Protocol(
            extensions=before.available_extensions, max_size=config.ws_max_size, logger=before.logger
        )
        self._rate = FrameRate()
        self._rest: bytes | None = None
        self._deaf = False
        self._queue = _queues.setdefault(self.loop, TimeShare(READ_SLICE_S))

    def data_received(self, data: bytes) -> None:
        """Bytes of the client, parsed for as long as this connection may in one turn."""
        if self._deaf:
            return
        if self._rest is not None:
            self._rest += data  # uvicorn reads on when the app has taken a message
            self.transport.pause_reading()
        elif len(data) > SLICE_BYTES and not self._queue.open:
            self._wait(data)
        else:
            self._parse(data)

    def _wait(self, rest: bytes) -> None:
        """Read nothing more until `_read_on`, which begins with `rest`."""
        self._rest = rest
        self.transport.pause_reading()
        self._queue.later(self._read_on)

    def _parse(self, data: bytes) -> None:
        began = perf_counter()
        at, size = 0, len(data)
        while at < size and not self._deaf and (at == 0 or perf_counter() - began < SHARE_S):
            super().data_received(data[at : at + SLICE_BYTES])
            at += SLICE_BYTES
            self._answer_pings()
        if not self._deaf and (at < size or self._queue.exhausted(self, perf_counter() - began)):
            self._wait(data[at:])

    def handle_connect(self, event: Request) -> None:
        """The handshake: the app finds this protocol in its scope."""
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][EXTENSION] = self
            certificate, _ = client_certificate(self.transport)
            if certificate is not None:
                scope["extensions"]["tls"] = extension(certificate)

    def handle_ping(self) -> None:
        """The newest is answered, after all that was read (RFC 6455 section 5.5.3)."""

    def handle_events(self) -> None:
        """Each frame that was parsed; those that bring no message are counted."""
        now = self.loop.time()
        for event in self.conn.events:
            if isinstance(event, Frame) and self._rate.exceeded(event, now):
                self._flood()
                return
        super().handle_events()

    def handle_parser_exception(self) -> None:
        """The peer broke the protocol, and is told so. What it still sends is dropped until it hangs up: closing at
        once would reset the connection, and it would never read why."""
        close = self.conn.close_sent
        assert close is not None
        self._disconnected(close.code, close.reason)
        self._deaf = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)
        else:
            self.transport.close()

    def before_admission(self) -> None:
        """The hub's: it is a socket of a hub, and has not said who it is."""
        self.conn.max_message_size = MAX_BEFORE_AUTH

    def admitted(self, message_bytes: int) -> None:
        """The hub's: it has."""
        self.conn.max_message_size = message_bytes

    def _answer_pings(self) -> None:
        if self.conn.writes and not self.transport.is_closing() and not self.close_sent:
            self.transport.write(self.conn.data_to_send()[-1])

    def _read_on(self) -> None:
        rest, self._rest = self._rest, None
        if self.disconnected:
            return
        if rest:
            self._parse(rest)
        if self._rest is None and not self._deaf and not self.read_paused:
            self.transport.resume_reading()

    def _flood(self) -> None:
        self._deaf = True
        self.conn.events = []
        self.conn.data_to_send()
        self.conn.send_close(CloseCode.POLICY_VIOLATION, "too many control frames or small fragments")
        self._disconnected(CloseCode.POLICY_VIOLATION, "")
        self.transport.pause_reading()
        self.close_timer = self.loop.call_later(FLOOD_CLOSE_S, self.transport.abort)

    def _disconnected(self, code: int, reason: str) -> None:
        """The app learns it, and the peer what was written for it."""
        self.queue.put_nowait({"type": "websocket.disconnect", "code": int(code), "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
