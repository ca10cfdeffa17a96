"""The fast lane: an `asyncio.Protocol` which takes a connection over from uvicorn's HTTP. No task, queue or ASGI
cycle for an idle connection: bytes go straight from the loop into the parser, and frames that were built once go
straight from the outbox into the transport.

Whole messages and pongs are read here (`client_frames`). For the rest (fragments, pings, closes, errors) there is
`websockets`' sans-IO protocol: made when the first such frame comes, fed whole frames, let go of after the last.
"""

import asyncio
import logging
from http import HTTPStatus
from time import perf_counter
from typing import Any, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import Protocol, Side, State

from ..commands.handshake import Handshaker, Upgrade, UpgradeRefused, UpgradeRequest
from ..connections.connection import Connection
from ..delivery.outbox import NO_FD
from ..protocol.codes import CloseCode, ErrorCode
from ..protocol.errors import HubError
from ..protocol.frames import shortened
from ..protocol.replies import Window
from ..protocol.session import MAX_BEFORE_AUTH
from . import upgrade_response
from .client_frames import BINARY, PONG, TEXT, UNKNOWN, WRONG, payload_of, size_of
from .frames import DROP_EVERY_S, FLOOD_CLOSE_S, SHARE_S, SLICE_BYTES, ClosesAnywhere, FrameRate
from .http1.head import Head
from .kernel import unacknowledged

# websockets logs each connection at INFO and each frame at DEBUG, tokens included: it gets a logger of its
# own that passes neither.
_quiet = logging.getLogger("hub.websockets")
_quiet.setLevel(logging.WARNING)

log = logging.getLogger(__name__)

_CONTROL = (Opcode.PING, Opcode.PONG)

# Why reading is paused.
_BY_CONNECTION = 1
_BY_SHARE = 2
_FOR_GOOD = 4
_HALTED = _BY_CONNECTION | _FOR_GOOD  # not even what was read already is looked at


class _Protocol(ClosesAnywhere, Protocol):
    """`websockets`' frames, after the handshake."""


class WebSocketTransport(asyncio.Protocol):
    """A `connection.Transport` over one TCP connection; see the module's head.

    `http1` makes it with the upgrade request at hand (`upgrade`), uvicorn counts it in `connections`.
    """

    __slots__ = (
        "_close_timer",
        "_connection",
        "_connections",
        "_counted",
        "_fragments",
        "_full",
        "_handshaker",
        "_most",
        "_needed",
        "_partial",
        "_paused",
        "_peer",
        "_pong",
        "_queued",
        "_rate",
        "_rest",
        "_settings",
        "_text",
        "_tls",
        "_transport",
        "_wrong",
        "_ws",
    )

    def __init__(
        self,
        config: Any,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._handshaker: Handshaker = app_state["hub_handshaker"]
        self._settings = self._handshaker.node.settings
        self._connections: set[Any] = server_state.connections
        self._ws: _Protocol | None = None
        self._most = MAX_BEFORE_AUTH
        self._wrong = False  # it is closing, or a frame broke the protocol: nothing is told apart any more
        self._partial: bytearray | None = None  # of a frame whose first `_needed` bytes are not there yet
        self._needed = 0
        self._transport: asyncio.Transport | None = None
        self._connection: Connection | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._fragments: list[bytes] | None = None
        self._text = False
        self._tls = self._full = False
        self._peer = ""
        self._pong: bytes | None = None
        self._paused = 0
        self._rate: FrameRate | None = None
        self._rest: bytes | None = None
        self._queued = False
        self._counted = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is handed over, with the upgrade request read."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else "local"
        self._tls = transport.get_extra_info("ssl_object") is not None
        # Whatever the kernel does not take waits in the outbox, where it can be merged; TLS has to keep some.
        high = self._settings.write_buffer_bytes if self._tls else 0
        self._transport.set_write_buffer_limits(high=high)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        if self._rest is not None:
            self._rest += data
        elif len(data) > SLICE_BYTES and not self._handshaker.node.admission.read_queue.open:
            self._wait(data)  # many who send much have one share, also when each comes for the first time
            self._queue()
        else:
            self._read(data)

    def eof_received(self) -> None:
        """The client's side of the TCP connection is closed; the transport closes ours."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The TCP connection is over."""
        # First, whatever else may fail: the descriptor will be somebody else's.
        connection, self._connection = self._connection, None
        if connection is not None:
            received = None if self._ws is None else self._ws.close_rcvd
            connection.gone(received.code if received is not None else CloseCode.ABNORMAL)
        self._connections.discard(self)
        if self._counted:
            self._handshaker.node.admission.lost(self._peer)
        self._cancel_close_timer()
        self._transport = self._partial = None
        self._let_go()

    def pause_writing(self) -> None:
        """The transport's buffer is over its high-water mark."""
        self._full = True
        if self._connection is not None:
            self._connection.outbox.block()

    def resume_writing(self) -> None:
        """The transport's buffer is below its low-water mark."""
        self._full = False
        pong, self._pong = self._pong, None
        if self._connection is not None:
            self._connection.outbox.unblock(pong or b"")

    def shutdown(self) -> None:
        """uvicorn stops; what the drain has not closed by now is closed."""
        if self._connection is not None:
            self._connection.close(CloseCode.DRAINING, "this node is going away")
        if self._transport is not None:
            self._transport.close()

    # connections.transport.Transport

    def write(self, data: bytes) -> None:
        """Send frames."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def ping(self) -> None:
        """Send a ping."""
        if self._is_open:
            self.write(b"\x89\x00")

    def close(self, code: int, reason: str, _window: Window | None = None) -> None:
        """Begin the closing handshake, with a time limit."""
        if not self._is_open:
            return
        ws = self._protocol()
        ws.send_close(code, shortened(reason))
        self._flush(ws)
        self._connection = None
        self.resume_reading()
        loop = asyncio.get_running_loop()
        self._close_timer = loop.call_later(self._settings.close_timeout, self._abort)

    def sent_away(self, _window: Window) -> None:
        """Its client opens another one beside it."""

    def unacknowledged(self) -> int | None:
        """By SIOCOUTQ (tcp(7)); under TLS and over a Unix socket nobody can say."""
        if self._transport is None or self._transport.is_closing():
            return None
        return unacknowledged(self._transport.get_extra_info("socket"))

    def pause_reading(self) -> None:
        """Back-pressure on the client."""
        self._pause(_BY_CONNECTION)

    def resume_reading(self) -> None:
        """Read on."""
        self._resume(_BY_CONNECTION)

    def admitted(self) -> None:
        """From now on messages may be as large as the limits say."""
        self._most = self._settings.message_bytes
        if self._ws is not None:
            self._ws.max_message_size = self._most

    # The handshake

    def upgrade(self, head: Head, early: bytes, full: bool) -> None:
        """The upgrade request; nothing more is read until it is decided. `early`: what the client has sent behind
        it already. `full`: the transport said stop, and will say when it takes again, with an answer to HTTP that
        the client has not read yet."""
        self._full = full
        handshaker = self._handshaker.at(head.path)
        if handshaker is None:
            why = f"WebSockets are served at {self._settings.path}"
            self._respond(upgrade_response.plain_problem(HTTPStatus.NOT_FOUND, why))
            return
        self._handshaker = handshaker
        if (refusal := upgrade_response.refusal(head)) is not None:
            self._respond(refusal)
            return
        self.pause_reading()
        headers = upgrade_response.joined(head.fields)
        offered = [entry.strip() for entry in headers.get("sec-websocket-protocol", "").split(",")]
        handshake = UpgradeRequest(
            head.query.decode(),
            headers,
            [entry for entry in offered if entry],
            self._peer,
            self._tls,
            head.certificate,
        )
        self._handshaker.node.tasks.begin(self._decide(handshake, head, early))

    async def _decide(self, handshake: UpgradeRequest, head: Head, early: bytes) -> None:
        try:
            entry = await self._handshaker.decide(handshake)
        except UpgradeRefused as refused:
            self._respond(upgrade_response.problem(refused.status, refused.error))
            return
        except Exception:
            self._respond(upgrade_response.problem(500, _broken()))
            raise
        if self._transport is None or self._transport.is_closing():
            return
        await self._open(upgrade_response.switching(head, entry.subprotocol), entry, early)

    async def _open(self, answer: bytes, entry: Upgrade, early: bytes) -> None:
        node = self._handshaker.node
        self._peer, self._counted = entry.address, True
        node.admission.opened(entry.address)
        assert self._transport is not None
        # The outbox writes to the transport itself, and a fan-out to the socket: calls less in what a delivery
        # costs. The transport closes the descriptor only after `connection_lost`.
        fd = NO_FD if self._tls else self._transport.get_extra_info("socket").fileno()
        connection = self._handshaker.connection(self, entry, self._transport, fd)
        self._connection = connection
        if self._full:
            connection.outbox.block()
            self._transport.write(answer)  # what is queued is given up where it has to close
        else:
            # The answer to the handshake leaves in one write with the first words.
            connection.outbox.push(answer)
        if early:  # it comes before whatever is received while the first words wait for the storage
            self._wait(early)
            self._queued = True
            asyncio.get_running_loop().call_soon(self._read_on)
        self.resume_reading()
        try:
            await self._handshaker.begin(connection, entry)
        except Exception:
            connection.close(CloseCode.INTERNAL, _broken().reason)
            raise

    def _respond(self, response: Response) -> None:
        """Answer the handshake with HTTP, and hang up."""
        self.write(response.serialize())
        if self._transport is not None:
            self._transport.close()

    # Reading

    def _read(self, data: bytes) -> None:
        """Parse for as long as this connection may in one turn; the rest waits for its next slice, and nothing
        more is read meanwhile. libuv reads up to 32 times in a row, and a read may hold 40,000 frames."""
        began = perf_counter()
        at, size = 0, len(data)
        while at < size and not self._paused & _HALTED and (at == 0 or perf_counter() - began < SHARE_S):
            self._parse(data[at : at + SLICE_BYTES] if size > SLICE_BYTES else data)
            at += SLICE_BYTES
        if self._paused >= _FOR_GOOD or self._transport is None:
            return
        queue = self._handshaker.node.admission.read_queue
        if self._connection is None:
            # It is closed, and nothing counts but the peer's close: the rest comes at a measured pace.
            self._wait(data[at:])
            self._queued = True
            asyncio.get_running_loop().call_later(DROP_EVERY_S, self._drop_on)
        elif at < size or queue.exhausted(self, perf_counter() - began):
            self._wait(data[at:])
            self._queue()

    def _wait(self, rest: bytes) -> None:
        """Read nothing more until `_read_on`, which begins with `rest`."""
        self._rest = rest
        self._pause(_BY_SHARE)

    def _queue(self) -> None:
        """`_read_on` comes in a slice of its own; while the connection wants nothing more, not before it does."""
        if not self._queued and not self._paused & _BY_CONNECTION:
            self._queued = True
            self._handshaker.node.admission.read_queue.later(self._read_on)

    def _drop_on(self) -> None:
        self._queued = False
        self._queue()

    def _read_on(self) -> None:
        """The next slice."""
        self._queued = False
        if self._transport is None or self._paused & _BY_CONNECTION:
            return
        rest, self._rest = self._rest, None
        if rest:
            self._read(rest)
        if self._rest is None:
            self._resume(_BY_SHARE)

    def _pause(self, why: int) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._paused |= why

    def _resume(self, why: int) -> None:
        self._paused &= ~why
        if why == _BY_CONNECTION and self._rest is not None:
            self._queue()
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _parse(self, data: bytes) -> None:
        if self._partial is not None:
            self._partial += data
            if len(self._partial) < self._needed and self._is_open:
                return
            data, self._partial = bytes(self._partial), None
        at = self._each(data)
        if at < len(data):
            if self._wrong:
                self._by_websockets(self._protocol(), data[at:])
            else:
                self._partial = bytearray(data[at:])
        if self._ws is not None:
            self._see_to(self._ws)

    def _each(self, data: bytes) -> int:
        """Take one whole frame after the other; where the last ends."""
        at, end = 0, len(data)
        while at < end and not self._wrong:
            ws = self._ws
            if ws is not None and ws.state is not State.OPEN:
                self._wrong = True
                break
            open_size = 0 if ws is None else ws.current_size or 0
            size = size_of(data, at, self._most - open_size)
            if size == WRONG:
                self._wrong = True
            elif size == UNKNOWN or at + size > end:
                self._needed = size or end - at + 1
                break
            else:
                self._whole(ws, data, at, size)
                at += size
        return at

    def _whole(self, ws: "_Protocol | None", data: bytes, at: int, size: int) -> None:
        """The frame of `size` bytes at `at`."""
        first = data[at]
        if ws is None and first in (TEXT, BINARY):
            connection = self._connection
            if connection is not None:
                self._message(connection, payload_of(data, at, size), first == TEXT)
        elif ws is None and first == PONG:
            self._frame(Frame(Opcode.PONG, payload_of(data, at, size)))
        else:
            self._by_websockets(ws or self._protocol(), data[at : at + size])

    # What is odd

    @property
    def _is_open(self) -> bool:
        return self._ws is None or self._ws.state is State.OPEN

    def _protocol(self) -> _Protocol:
        ws = self._ws
        if ws is None:
            ws = self._ws = _Protocol(Side.SERVER, state=State.OPEN, max_size=self._most, logger=_quiet)
        return ws

    def _by_websockets(self, ws: _Protocol, data: bytes) -> None:
        ws.receive_data(data)
        for event in ws.events_received():
            self._frame(cast("Frame", event))

    def _see_to(self, ws: _Protocol) -> None:
        """What follows from the frames that it was fed."""
        if ws.writes:
            self._answer(ws)
        if ws.parser_exc is not None:
            self._fail()
        elif ws.state is State.CLOSING and ws.close_rcvd is not None:
            self._peer_is_done()
        elif ws.state is State.OPEN and ws.current_size is None and not self._wrong:
            self._let_go()

    def _let_go(self) -> None:
        # The parser's suspended generators refer to the protocol object: a cycle, broken here, because a full
        # collection over many thousand connections stalls the loop.
        ws = self._ws
        if ws is not None:
            ws.parser.close()
            if ws.state is State.OPEN:
                self._ws = None

    # Frames

    def _frame(self, frame: Frame) -> None:
        connection = self._connection
        if connection is None:
            return
        opcode = frame.opcode
        if (opcode in _CONTROL or not frame.fin) and self._is_flood(frame, connection):
            return
        if opcode in _CONTROL:
            connection.heard()
        elif opcode is not Opcode.CLOSE:
            self._data(connection, frame)

    def _data(self, connection: Connection, frame: Frame) -> None:
        """A data frame: a whole message, or a fragment of one (RFC 6455 section 5.4)."""
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        if not frame.fin:
            if self._fragments is None:
                self._fragments = []
            if frame.data:  # empty ones are allowed, and count towards no limit
                self._fragments.append(bytes(frame.data))
            connection.heard()
            return
        data = bytes(frame.data)
        if self._fragments is not None:
            data = b"".join([*self._fragments, data])
            self._fragments = None
        self._message(connection, data, self._text)

    def _message(self, connection: Connection, data: bytes, text: bool) -> None:
        """A whole message."""
        if text and not _is_utf8(data):
            # Section 8.1: the connection fails.
            ws = self._protocol()
            ws.fail(CloseCode.INVALID_DATA, "a text message that is not UTF-8")
            self._flush(ws)
            self._fail()
            return
        connection.receive(data, text)

    def _is_flood(self, frame: Frame, connection: Connection) -> bool:
        """Whether there are too many frames that bring no message; then the connection is closed, and not read from
        any more."""
        if self._rate is None:
            self._rate = FrameRate()
        if not self._rate.exceeded(frame, self._handshaker.node.now()):
            return False
        why = "too many control frames or small fragments"
        self._handshaker.node.floods.note("frames", self._peer, why)
        connection.close(CloseCode.POLICY_VIOLATION, why)
        self._pause(_FOR_GOOD)
        self._cancel_close_timer()
        self._close_timer = asyncio.get_running_loop().call_later(FLOOD_CLOSE_S, self._abort)
        return True

    def _flush(self, ws: _Protocol) -> None:
        data = b"".join(ws.data_to_send())
        if data:
            self.write(data)

    def _answer(self, ws: _Protocol) -> None:
        """A pong, and the answer to a close. Of several pings the newest is answered (section 5.5.3), and while the
        peer does not read, its pong waits: who pings and never reads must not fill the memory."""
        connection = self._connection
        if connection is None or ws.state is not State.OPEN:
            self._flush(ws)
            return
        pong = ws.data_to_send()[-1]
        if connection.outbox.full:
            self._pong = pong
        else:
            self.write(pong)

    def _fail(self) -> None:
        """The peer has broken the protocol and was told so. What it still sends is read and dropped until it
        hangs up: closing at once would reset the connection, and the peer would never read why."""
        self._gone()
        if self._close_timer is not None or self._transport is None:
            return
        if not self._transport.can_write_eof():
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write_eof()
            loop = asyncio.get_running_loop()
            self._close_timer = loop.call_later(self._settings.close_timeout, self._abort)

    def _peer_is_done(self) -> None:
        """The peer has closed: nothing more comes that counts."""
        self._cancel_close_timer()
        self._gone()
        if self._transport is not None:
            self._transport.close()

    def _gone(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            ws = self._ws
            close = None if ws is None else ws.close_rcvd or ws.close_sent
            connection.gone(close.code if close is not None else CloseCode.ABNORMAL)

    def _cancel_close_timer(self) -> None:
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None

    def _abort(self) -> None:
        """The peer did not finish the closing handshake in time."""
        self._close_timer = None
        if self._transport is not None:
            self._transport.abort()


def _broken() -> HubError:
    return HubError(ErrorCode.INTERNAL, "the hub failed; its log says why")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
