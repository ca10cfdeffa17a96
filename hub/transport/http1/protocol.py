"""One TCP connection that speaks HTTP/1.1, from its first byte to its last or to its upgrade.

    phase                                   deadline                            at its end
    --------------------------------------  ----------------------------------  ----------------------------
    no byte yet, or a part of a head        `auth_timeout`                      408
    a body comes                            `BODY_S`                            408
    the app answers                         none: the app's own                 -
    an answer is not read                   `deadlines.STALL_S`, again and      the connection is cut
                                            again while enough is taken
    between two requests                    `http_keep_alive`                   the connection is closed
    answered before the request was whole   `close_timeout`, `max_body_bytes`   the connection is cut

Bytes that come while a request is answered wait, unparsed, and nothing more is read: at most one read of each
connection is kept. The first bytes of each wait their turn in the accept queue.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from time import perf_counter
from typing import Any, cast

from starlette.types import Scope
from websockets.http11 import Response

from ...auth.addresses import network_of
from ...connections.http_connections import Placement
from ...protocol.codes import ErrorCode
from ...protocol.errors import HubError
from ...runtime.first_step import rest_of
from .. import tls, upgrade_response
from ..frames import DROP_EVERY_S, SLICE_BYTES
from ..websocket import WebSocketTransport
from .deadlines import Deadlines
from .direct import Routes, handler_of
from .exchange import Exchange
from .head import BadRequest, Head
from .reader import Reader

BODY_S = 30.0
RESERVE_S = 2.0  # for a head, in the reserve
BODY_HIGH = 65_536  # bytes of a body that wait for the app
IN_A_ROW = 16  # pipelined requests that are answered in one turn; all but services then wait for a slice
REST_MOST = 262_144  # bytes of a body that nobody wants are read for the sake of the next request; not more
PROBES = (b"GET /livez ", b"GET /readyz ", b"HEAD /livez ", b"HEAD /readyz ")
HEALTH = ("/livez", "/readyz", "/metrics")


class HttpProtocol(asyncio.Protocol):
    """One TCP connection that speaks HTTP/1.1, from its first byte to its last or to its upgrade. uvicorn
    makes it, and counts it in `connections`."""

    __slots__ = (
        "_app_state",
        "_certificate",
        "_client",
        "_config",
        "_deadlines",
        "_direct",
        "_drained",
        "_dropped",
        "_ending",
        "_ends",
        "_exchange",
        "_handshaker",
        "_head_due",
        "_idle",
        "_in_step",
        "_latest",
        "_new",
        "_previous",
        "_reader",
        "_reading_paused",
        "_reserved",
        "_scheme",
        "_server",
        "_server_state",
        "_transport",
        "network",
        "writing_paused",
    )

    def __init__(
        self,
        config: Any,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._handshaker = app_state["hub_handshaker"]
        self._direct: Routes = app_state.get("hub_direct", {})
        node = self._handshaker.node
        self._deadlines = Deadlines(node.timers, node.now, self._late, self._abort)
        self._reader: Reader | None = Reader(self)
        self._exchange: Exchange | None = None
        self._transport: asyncio.Transport | None = None
        self._drained: list[asyncio.Future[None]] | None = None
        self._server: tuple[str, int] | None = None
        self._client: tuple[str, int] | None = None
        self._scheme = "http"
        self._certificate: str | None = None
        self._ends = math.inf  # Unix seconds
        self._latest: Head | None = None  # of a request that is answered, or is being answered
        self._previous: Head | None = None
        self._new = True
        self._dropped = 0
        self._idle = self._head_due = self._reserved = self._ending = self._in_step = False
        self._reading_paused = self.writing_paused = False
        self.network: str | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection; its first head is awaited from now on, unless there is no place for it."""
        self._transport = cast("asyncio.Transport", transport)
        self._server_state.connections.add(self)
        self._server = _address(transport.get_extra_info("sockname"))
        self._client = _address(transport.get_extra_info("peername"))
        if self._client is not None and not self._handshaker.proxies.trusts(self._client[0]):
            self.network = network_of(self._client[0])
        if transport.get_extra_info("ssl_object") is not None:
            self._scheme = "https"
            if self.network is not None:  # a proxy's own is not that of those whose requests it brings
                self._certificate, self._ends = tls.client_certificate(transport)
        if self._enter():
            self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        if not self._new:
            self._come(data)
            return
        self._new = False
        admission = self._handshaker.node.admission
        if data.startswith(PROBES):
            self._take(data)  # who asks for health does not wait for newcomers
            return
        # Who waits in the queue is counted there: a herd behind one address does not exceed that one's share.
        admission.http_connections.leave(self)
        if not admission.accept_queue.enter(lambda: self._begin(data)):
            self._head_due = False
            self._deadlines.expect_nothing()
            self._pause_reading()

    def eof_received(self) -> None:
        """The client's side of the TCP connection is closed; the transport closes ours."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The TCP connection is over: nothing of it is kept."""
        self._let_go()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.gone()
        self.resume_writing()
        self._transport = None

    def pause_writing(self) -> None:
        """The transport's buffer is over its high-water mark."""
        self.writing_paused = True
        self._watch_unsent()

    def resume_writing(self) -> None:
        """The transport's buffer is below its low-water mark."""
        self.writing_paused = False
        if not self._ending:
            self._deadlines.watch_nothing()
        waiting, self._drained = self._drained, None
        for future in waiting or ():
            if not future.done():
                future.set_result(None)

    def shutdown(self) -> None:
        """uvicorn stops: what is being answered is answered."""
        if self._exchange is None:
            self._close()
        else:
            self._exchange.keep_alive = False

    # http_connections.HttpConnection

    @property
    def busy(self) -> bool:
        """A whole request of it is being answered."""
        whole = self._reader is not None and self._reader.done
        return self._exchange is not None and whole and not self.writing_paused

    def make_room(self) -> None:
        """End at once."""
        self._abort()

    # reader.Handler

    def on_head(self, head: Head) -> None:
        """A request begins."""
        self._wake()
        self._head_due = False
        self._deadlines.expect_nothing()
        head.certificate = self._certificate
        if self._reserved and not self._is_operator(head):
            self._turn_away(upgrade_response.problem(HTTPStatus.SERVICE_UNAVAILABLE, _full()))
        elif head.websocket:
            self._upgrade(head)
        else:
            self._serve(head)

    def on_body(self, data: bytes) -> None:
        """A piece of its body, which is dropped where it was answered without."""
        exchange = self._exchange
        if exchange is not None:
            exchange.feed(data)
            if exchange.waiting_bytes > BODY_HIGH:
                self._pause_reading()

    def on_end(self) -> None:
        """It is whole."""
        self._deadlines.expect_nothing()
        if self._exchange is not None:
            self._exchange.end()

    # exchange.Line

    def write(self, data: bytes) -> None:
        """Send bytes of the answer."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the client has taken most of what was sent, or is gone."""
        while self.writing_paused:
            future = asyncio.get_running_loop().create_future()
            self._drained = [*(self._drained or ()), future]
            await future

    def body_wanted(self) -> None:
        """The app waits for more of the body."""
        if self._reading_paused and self._reader is not None and not self._reader.done:
            self._resume_reading()

    def can_follow(self) -> bool:
        """Whether another request can follow the one that is being answered: what is not there yet of it is short
        enough to be read for that."""
        missing = self._reader.missing if self._reader is not None else None
        return missing is not None and missing <= REST_MOST

    def over(self, exchange: Exchange) -> None:
        """The answer is complete, or will never be."""
        self._server_state.total_requests += 1
        if self._exchange is not exchange:
            return
        self._exchange = None
        reader = self._reader
        if not exchange.complete:
            self._fail(exchange)
        elif not exchange.keep_alive or reader is None:
            self._finish()
        elif not reader.done:
            self._resume_reading()  # the rest of a body that the app did not want
        elif not self._in_step:
            self._read(reader.next)

    # Requests

    def _serve(self, head: Head) -> None:
        self._latest = head
        self._exchange = exchange = Exchange(head, self, self._server_state.default_headers)
        if self._reserved or (self._certificate is not None and self._handshaker.node.wall() >= self._ends):
            exchange.keep_alive = False
        if head.length != 0:
            self._deadlines.expect(BODY_S)
        settings = self._handshaker.node.settings
        if self._direct and not self._config.root_path:
            exchange.handler = handler_of(self._direct, head, settings.max_body_bytes)
            if settings.tls_client_header is not None and head.field(b"authorization") is None:
                exchange.handler = None  # the app knows whose word counts on certificates
        if exchange.handler is None:
            self._ask_app(exchange)

    def _ask_app(self, exchange: Exchange) -> None:
        exchange.handler = None
        self._spawn(exchange.run(self._config.loaded_app, self._scope(exchange.head)))

    def _answer_directly(self, exchange: Exchange) -> None:
        """Without a task, unless the handler has to wait."""
        handler, exchange.handler = exchange.handler, None
        assert handler is not None
        rest = rest_of(exchange.run_directly(handler))
        if rest is not None:
            self._spawn(rest)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        tasks = self._server_state.tasks
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _scope(self, head: Head) -> Scope:
        root: str = self._config.root_path
        certificate = head.certificate
        return {
            "type": "http",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.3"},
            "http_version": head.version,
            "server": self._server,
            "client": self._client,
            "scheme": self._scheme,
            "method": head.method,
            "root_path": root,
            "path": root + head.path,
            "raw_path": root.encode() + head.raw_path,
            "query_string": head.query,
            "headers": list(head.fields),  # a head may serve again
            "state": self._app_state.copy(),
            "extensions": {} if certificate is None else {"tls": tls.extension(certificate)},
        }

    def _upgrade(self, head: Head) -> None:
        """The WebSocket side gets the request as it was read, and what came behind it."""
        transport, reader = self._transport, self._reader
        assert transport is not None
        assert reader is not None
        early, full = reader.take(), self.writing_paused
        self._let_go()
        self._transport = None
        protocol = WebSocketTransport(self._config, self._server_state, self._app_state)
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        protocol.upgrade(head, early, full)

    def _is_operator(self, head: Head) -> bool:
        """Who is served from the reserve: who looks at the hub's health, and services."""
        return head.path in HEALTH or self._is_service(head)

    def _is_service(self, head: Head) -> bool:
        scheme, _, credentials = (head.field(b"authorization") or b"").partition(b" ")
        key = credentials.decode("latin-1").strip() if scheme.lower() == b"bearer" else None
        is_service: Callable[[str | None, str | None], bool] = self._app_state["hub_is_service"]
        return is_service(key, head.certificate)

    # Reading

    def _begin(self, data: bytes) -> None:
        """Its turn in the accept queue has come; it may be gone by now."""
        if self._transport is not None and not self._transport.is_closing() and self._enter():
            self._resume_reading()
            self._take(data)

    def _come(self, data: bytes) -> None:
        """Many who send much have one share, also by what they send after each slice of it."""
        queue = self._handshaker.node.admission.read_queue
        head = self._latest or self._previous
        if len(data) <= SLICE_BYTES or (head is not None and self._is_service(head)):
            self._take(data)
        elif queue.open:
            began = perf_counter()
            self._take(data)
            queue.taken(perf_counter() - began)
        else:
            self._pause_reading()
            queue.later(lambda: self._go_on(data))

    def _take(self, data: bytes) -> None:
        reader = self._reader
        if reader is not None:
            self._read(lambda: reader.receive(data))
            return
        self._dropped += len(data)
        if self._dropped > self._handshaker.node.settings.max_body_bytes:
            self._abort()
        else:
            self._pause_reading()  # as fast as it comes would take a share of the loop for nothing
            asyncio.get_running_loop().call_later(DROP_EVERY_S, self._resume_reading)

    def _read(self, step: Callable[[], bool]) -> None:
        """Let the reader do a step, and more while requests are answered at once."""
        self._in_step = True
        try:
            for _ in range(IN_A_ROW):
                if step():
                    break
                reader = self._reader
                if reader is None or not self._is_answered(reader):
                    return
                step = reader.next
        except BadRequest as bad:
            self._reject(bad)
            return
        finally:
            self._in_step = False
        self._pause_reading()
        if self._latest is not None and self._is_service(self._latest):
            asyncio.get_running_loop().call_soon(self._go_on)
        else:
            self._handshaker.node.admission.read_queue.later(self._go_on)

    def _is_answered(self, reader: Reader) -> bool:
        """See where the reader stands; whether it stands behind a request that is answered."""
        if reader.in_head:
            self._await_head(reader)
            return False
        exchange = self._exchange
        if exchange is not None and exchange.handler is not None:
            self._decide(reader, exchange)
        if self._reader is None or not reader.done:
            return False
        if self._exchange is not None and reader.kept:
            self._pause_reading()  # one request at a time
        return self._exchange is None

    def _decide(self, reader: Reader, exchange: Exchange) -> None:
        """Answer a request that is whole. For a stranger's body the app does not wait before it refuses."""
        if self.writing_paused or not (reader.done or self._is_service(exchange.head)):
            self._ask_app(exchange)
        elif reader.done:
            self._answer_directly(exchange)
        else:
            self._resume_reading()  # for the rest of it, which nobody else would ask for

    def _go_on(self, data: bytes = b"") -> None:
        self._resume_reading()
        self._take(data)

    def _await_head(self, reader: Reader) -> None:
        self._previous, self._latest = self._latest or self._previous, None
        self._resume_reading()
        if reader.kept:
            if not self._head_due:
                self._wake()
                self._expect_head()
        elif reader.served and not self._idle:
            self._idle = True
            self._handshaker.node.admission.http_connections.idle(self)
            self._deadlines.expect(self._handshaker.node.settings.http_keep_alive)

    def _wake(self) -> None:
        if self._idle:
            self._idle = False
            self._handshaker.node.admission.http_connections.awake(self)

    def _expect_head(self) -> None:
        self._head_due = True
        self._deadlines.expect(RESERVE_S if self._reserved else self._handshaker.node.settings.auth_timeout)

    def _pause_reading(self) -> None:
        if not self._reading_paused and self._transport is not None and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and self._transport is not None and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    # The end

    def _enter(self) -> bool:
        """Whether there is a place."""
        placement = self._handshaker.node.admission.http_connections.enter(
            self, len(self._server_state.connections)
        )
        self._reserved = placement is Placement.RESERVE
        if placement is Placement.REFUSED:
            self._turn_away(upgrade_response.problem(HTTPStatus.TOO_MANY_REQUESTS, _crowded()))
        return placement is not Placement.REFUSED

    def _late(self) -> None:
        """What was to come has not come."""
        exchange, reader = self._exchange, self._reader
        if reader is None:
            self._abort()
        elif self._idle:
            self._close()
        elif reader.in_head:
            why = f"no request came within {self._handshaker.node.settings.auth_timeout:g} s"
            self._reject(BadRequest(HTTPStatus.REQUEST_TIMEOUT, why))
        elif exchange is None:
            self._finish()
        else:
            self._reject(BadRequest(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {BODY_S:g} s"))

    def _reject(self, bad: BadRequest) -> None:
        self._refuse(upgrade_response.plain_problem(bad.status, bad.reason))

    def _refuse(self, why: Response) -> None:
        """Answer in the app's place, unless it has begun to, and end the connection."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.gone()
        if exchange is None or not exchange.sent:
            self.write(why.serialize())
        self._finish()

    def _turn_away(self, why: Response) -> None:
        """There is no place: it must not take one for the time of a farewell either."""
        self.write(why.serialize())
        self._let_go()
        self._close()

    def _fail(self, exchange: Exchange) -> None:
        """The app did not answer, or not to the end: where nothing was sent yet, that is said."""
        if exchange.sent:
            self._abort()
        else:
            error = HubError(ErrorCode.INTERNAL, "the hub failed; its log says why")
            self._refuse(upgrade_response.problem(HTTPStatus.INTERNAL_SERVER_ERROR, error))

    def _finish(self) -> None:
        """All is said. What the client still sends is read and dropped until it hangs up: closing at once would
        reset the connection, and the client would never read why (RFC 9112 section 9.6)."""
        reader, self._reader = self._reader, None
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if reader is None or (reader.done and not reader.kept) or not transport.can_write_eof():
            self._close()
        else:
            self._resume_reading()
            transport.write_eof()
            self._deadlines.expect(self._handshaker.node.settings.close_timeout)
        if reader is not None:
            reader.close()

    def _close(self) -> None:
        """Close once what is written has been taken."""
        self._ending = True
        if self._transport is not None:
            self._watch_unsent()
            self._transport.close()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _watch_unsent(self) -> None:
        if self._transport is not None and self._transport.get_write_buffer_size():
            self._deadlines.watch(self._transport.get_write_buffer_size)

    def _let_go(self) -> None:
        """This is no connection that speaks HTTP any more."""
        self._handshaker.node.admission.http_connections.leave(self)
        self._server_state.connections.discard(self)
        self._deadlines.close()
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


def _address(found: Any) -> tuple[str, int] | None:
    """Host and port of a TCP socket; None for others."""
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) else None


def _full() -> HubError:
    return HubError(ErrorCode.UNAVAILABLE, "this process has no descriptor left", retry_after_ms=5000)


def _crowded() -> HubError:
    why = "this address has as many connections as one may have that are no WebSockets"
    return HubError(ErrorCode.LIMIT, why, retry_after_ms=5000)
