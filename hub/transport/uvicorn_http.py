"""uvicorn's HTTP/1.1 protocol with what it lacks against strangers: a request's head has a bound and a deadline."""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeaderValue
from websockets.http11 import Request, Response

from ..connections.accept_queue import AcceptQueue
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from .upgrade_response import plain_problem, problem
from .websocket import WebSocketTransport

HEAD_BYTES = 65_536
SPARE = 448  # TCP connections beside the sockets that are allowed: of the descriptors that the limit leaves


class HttpProtocol(HttpToolsProtocol):
    """A head of more than `HEAD_BYTES` is answered 431, one that is not there within `auth_timeout` of its
    beginning (or of the connection) 408; either ends the connection. A bound is exceeded by at most one read.
    With no descriptor to spare a connection is answered 503 at once: one that is not accepted would wait.
    The first bytes of each connection wait their turn in the accept queue, and meanwhile nothing more is read.
    """

    def __init__(
        self,
        config: Any,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        node = app_state["hub_handshaker"].node
        settings = node.settings
        self._accept_queue: AcceptQueue | None = node.admission.accept_queue
        self._head_s: float = settings.auth_timeout
        self._most: int = settings.connection_limit + SPARE
        self._waits = False
        self._heads = 0
        self._head_bytes = 0
        self._in_head = True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first head is awaited from now on."""
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > self._most:
            self._end(problem(HTTPStatus.SERVICE_UNAVAILABLE, _full()))
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The TCP connection is over."""
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client; those that bring no head to its end count towards its bound."""
        accept_queue, self._accept_queue = self._accept_queue, None
        if accept_queue is None:
            self._take(data)
        elif not accept_queue.enter(lambda: self._enter(data)):
            self._forget_head()
            self.transport.pause_reading()
            self._waits = True

    def _enter(self, data: bytes) -> None:
        """Its turn has come; it may be gone by now."""
        if self._waits:
            if self.transport.is_closing():
                return
            self.transport.resume_reading()
        self._take(data)

    def _take(self, data: bytes) -> None:
        heads = self._heads
        super().data_received(data)
        if not self._in_head:
            return
        if self._head_timer is None:
            self._await_head()
        if heads == self._heads:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                self._end(plain_problem(status, f"a head of over {HEAD_BYTES} bytes"))

    def on_message_begin(self) -> None:
        """The parser's: a head begins."""
        super().on_message_begin()
        self._in_head = True
        self._heads += 1
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """The parser's: the head is there."""
        self._in_head = False
        self._forget_head()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """uvicorn's, which writes the request anew for another parser: here the WebSocket side gets it as it was
        read, for a sixth less of what a connect costs."""
        if self._answering:
            self.transport.close()  # frames would stand between the pieces of the answer, and so would a refusal
            return
        try:
            request = self._request()
        except InvalidHeaderValue as error:
            self._end(plain_problem(HTTPStatus.BAD_REQUEST, str(error)))
            return
        self.connections.discard(self)
        protocol = WebSocketTransport(self.config, self.server_state, self.app_state)
        protocol.connection_made(self.transport)
        protocol.upgrade(request, full=self.flow.write_paused)
        self.transport.set_protocol(protocol)

    def _request(self) -> Request:
        headers = Headers()
        for name, value in self.scope["headers"]:
            headers[name.decode("latin-1")] = value.decode("latin-1")
        version = f"HTTP/{self.parser.get_http_version()}"
        return Request(self.url.decode("latin-1"), headers, self.scope["method"], version)

    def send_400_response(self, msg: str) -> None:
        """uvicorn's: what came is not HTTP."""
        self._end(plain_problem(HTTPStatus.BAD_REQUEST, msg))

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self._head_s, self._late)

    def _late(self) -> None:
        why = f"no request came within {self._head_s:g} s"
        self._end(plain_problem(HTTPStatus.REQUEST_TIMEOUT, why))

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _end(self, why: Response) -> None:
        """Say why, unless an answer is under way, and hang up."""
        self._forget_head()
        self._in_head = False
        if self.transport is None or self.transport.is_closing():
            return
        if not self._answering:
            self.transport.write(why.serialize())
        self.transport.close()


def _full() -> HubError:
    return HubError(ErrorCode.UNAVAILABLE, "this process has no descriptor left", retry_after_ms=5000)
