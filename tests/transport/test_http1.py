"""HTTP/1.1 in memory: what is kept of a client, for how long, and what a connection leaves behind.

The clock is made up, so a minute costs nothing.
"""

import asyncio
import gc
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from hub.auth.addresses import TrustedProxies
from hub.connections.admission import Admission
from hub.connections.http_connections import MANY, RESERVE, SPARE
from hub.runtime.time_share import TimeShare
from hub.runtime.timer_wheel import TimerWheel
from hub.settings import Settings
from hub.transport.http1 import deadlines, protocol
from hub.transport.http1.protocol import HttpProtocol

GET = b"GET /x HTTP/1.1\r\nHost: hub\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: hub\r\nContent-Length: 10\r\n\r\n"


class Clock:
    """A loop's clock and timers for the wheel."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._timers: list[tuple[float, Any]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Any) -> None:
        self._timers.append((self.now + delay, callback))

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and min(self._timers, key=lambda timer: timer[0])[0] <= end:
            timer = min(self._timers, key=lambda timer: timer[0])
            self._timers.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = end


class Socket(asyncio.Transport):
    """The other side of a protocol. `unread` bytes of what was written wait for the client."""

    def __init__(self, address: str = "192.0.2.1") -> None:
        super().__init__({"peername": (address, 5000), "sockname": ("192.0.2.9", 80)})
        self.written = b""
        self.unread = 0
        self.paused = self.closed = self.aborted = self.eof = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def get_write_buffer_size(self) -> int:
        return self.unread


class Server:
    """What makes connections: the parts of a node that HTTP/1.1 needs, and an app."""

    def __init__(self, most: int = 1000) -> None:
        self.clock = Clock()
        settings = Settings(jwt_secret="x" * 32, http_keep_alive=60, max_http_connections_per_address=100)
        now = lambda: self.clock.now  # noqa: E731
        self.admission = Admission(1000, most - SPARE, 1000, now, 100)
        self.admission.accept_queue = TimeShare(3600.0)
        node = SimpleNamespace(
            settings=settings, timers=TimerWheel(self.clock), now=now, admission=self.admission
        )
        handshaker = SimpleNamespace(node=node, proxies=TrustedProxies(["10.0.0.0/8"]))
        self.config = SimpleNamespace(loaded_app=self.app, root_path="", asgi_version="3.0")
        self.state = SimpleNamespace(connections=set(), tasks=set(), default_headers=[], total_requests=0)
        self.app_state = {
            "hub_handshaker": handshaker,
            "hub_is_service": lambda key, _certificate: key == "service",
        }
        self.requests: list[str] = []
        self.gate: asyncio.Event | None = None

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.requests.append(request.url.path)
        if self.gate is not None:
            await self.gate.wait()
        body = b"" if request.url.path == "/early" else await request.body()
        response: Response = PlainTextResponse(f"{request.method} {len(body)}")
        await response(scope, receive, send)

    def connect(self, address: str = "192.0.2.1") -> tuple[HttpProtocol, Socket]:
        connection = HttpProtocol(self.config, self.state, self.app_state)
        transport = Socket(address)
        connection.connection_made(transport)
        return connection, transport


@pytest.fixture
def server() -> Server:
    return Server()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_pipelined_requests_wait_unparsed(server: Server) -> None:
    """One is answered at a time; nothing more is read, and nothing is made of what waits."""
    server.gate = asyncio.Event()
    connection, transport = server.connect()
    connection.data_received(GET * 5000)
    await settle()
    assert len(server.requests) == 1
    assert transport.paused
    objects = len(gc.get_objects())
    connection.data_received(GET * 5000)
    assert len(gc.get_objects()) < objects + 50
    server.gate.set()
    for _ in range(20_000):
        await asyncio.sleep(0)
        if len(server.requests) == 10_000:
            break
    await settle()
    assert transport.written.count(b"GET 0") == 10_000
    assert not transport.paused


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        GET,
        GET * 500,
        POST,
        POST + b"1",
        POST + b"1234567890",
        b"GET /",
        GET + b"GET /",
        b"\0",
        b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n1",
    ],
)
@pytest.mark.parametrize("busy", [False, True])
async def test_nothing_of_a_closed_connection_stays(server: Server, sent: bytes, busy: bool) -> None:
    """Not even for the garbage collector, which never looks at what was frozen."""
    server.gate = asyncio.Event() if busy else None
    gc.collect()
    gc.disable()
    try:
        connection, transport = server.connect()
        if sent:
            connection.data_received(sent)
        await settle()
        connection.connection_lost(None)
        if server.gate is not None:
            server.gate.set()
        await settle()
        left = weakref.ref(transport)
        del connection, transport
        await settle()
        assert left() is None
        assert not server.state.connections
        assert len(server.admission.http_connections) == 0
    finally:
        gc.enable()


async def test_trailers_without_end(server: Server) -> None:
    connection, transport = server.connect()
    connection.data_received(
        b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    )
    for _ in range(100):
        connection.data_received(b"X-Trailer: " + b"x" * 1000 + b"\r\n")
    await settle()
    assert transport.written.startswith(b"HTTP/1.1 431 ")
    assert transport.eof


async def test_one_trailer_without_end(server: Server) -> None:
    connection, transport = server.connect()
    connection.data_received(
        b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: "
    )
    for _ in range(100):
        connection.data_received(b"x" * 1000)
    assert transport.written.startswith(b"HTTP/1.1 431 ")


async def test_chunk_extensions_without_end(server: Server) -> None:
    connection, transport = server.connect()
    connection.data_received(b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(100):
        connection.data_received(b"1;" + b"x" * 1000 + b"\r\nx\r\n")
    assert transport.written.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("sent", "seconds", "status"),
    [
        (b"", 10.0, b"408"),
        (b"GET /x HTT", 10.0, b"408"),
        (POST, protocol.BODY_S, b"408"),
        (POST + b"123", protocol.BODY_S, b"408"),
    ],
)
async def test_what_does_not_come(server: Server, sent: bytes, seconds: float, status: bytes) -> None:
    """And a byte now and then does not help."""
    connection, transport = server.connect()
    if sent:
        connection.data_received(sent)
    await settle()
    for _ in range(int(seconds) - 1):
        server.clock.advance(1)
        if sent.startswith(b"GET"):
            connection.data_received(b"x")
    await settle()
    assert not transport.written
    server.clock.advance(2)
    assert transport.written.startswith(b"HTTP/1.1 " + status)
    server.clock.advance(6)  # the time to read why
    assert transport.aborted


async def test_an_answered_connection_is_kept_for_a_while(server: Server) -> None:
    connection, transport = server.connect()
    for _ in range(3):
        connection.data_received(GET)
        await settle()
        server.clock.advance(59)
        assert not transport.closed
    server.clock.advance(2)
    assert transport.closed
    assert not transport.aborted


async def test_the_rest_of_a_body_after_the_answer(server: Server) -> None:
    """It is read for the sake of the next request; where it does not come, the connection ends."""
    connection, transport = server.connect()
    head = POST.replace(b"/x", b"/early")
    connection.data_received(head + b"12345")
    await settle()
    assert b"POST 0" in transport.written
    connection.data_received(b"67890" + GET)
    await settle()
    assert transport.written.endswith(b"GET 0")
    connection.data_received(head + b"1")
    await settle()
    server.clock.advance(protocol.BODY_S + 1)
    server.clock.advance(6)
    assert transport.aborted


async def test_a_long_rest_of_a_body_is_not_waited_for(server: Server) -> None:
    connection, transport = server.connect()
    connection.data_received(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
    await settle()
    assert b"connection: close" in transport.written
    assert transport.eof
    connection.data_received(GET)
    await settle()
    assert server.requests == ["/early"], "a body was taken for a request"
    for _ in range(9):
        connection.data_received(bytes(1_000_000))
    assert transport.aborted


async def test_an_answer_that_is_not_read(server: Server) -> None:
    connection, transport = server.connect()
    connection.data_received(GET)
    transport.unread = 1_000_000
    connection.pause_writing()
    for _ in range(5):  # slow, but it reads
        server.clock.advance(deadlines.STALL_S - 1)
        transport.unread -= 2 * deadlines.STALL_BYTES
    assert not transport.aborted
    server.clock.advance(2 * deadlines.STALL_S + 1)
    assert transport.aborted


async def test_the_last_answer_is_not_read(server: Server) -> None:
    """Closing waits for what was written, and so for ever."""
    connection, transport = server.connect()
    transport.unread = 1000
    connection.data_received(GET.replace(b"Host", b"Connection: close\r\nHost"))
    await settle()
    assert transport.closed
    server.clock.advance(deadlines.STALL_S + 1)
    assert transport.aborted


@pytest.fixture
def crowded() -> Server:
    return Server(most=SPARE + 64)


async def test_an_address_has_a_share(server: Server) -> None:
    for _ in range(100):
        server.connect()
    _, transport = server.connect()
    assert transport.written.startswith(b"HTTP/1.1 429 ")
    assert transport.closed
    assert not server.connect("192.0.2.2")[1].written
    for number in range(100):
        server.connect(f"2001:db8::{number:x}")
    assert server.connect("2001:db8::ffff")[1].closed, "a /64 is one address"
    assert not server.connect("2001:db8:0:1::1")[1].closed
    for _ in range(300):
        assert not server.connect("10.1.2.3")[1].closed, "a trusted proxy speaks for many"


async def test_strangers_make_room(crowded: Server) -> None:
    """Idle ones first, then those of the address that has most."""
    idle, first = crowded.connect("192.0.2.50")
    idle.data_received(GET)
    await settle()
    strangers = [crowded.connect(f"192.0.2.{60 + number % 10}") for number in range(SPARE + 64 - RESERVE)]
    assert first.aborted
    connection, transport = crowded.connect("192.0.2.51")
    assert sum(stranger.aborted for _, stranger in strangers) >= 1
    connection.data_received(GET)
    await settle()
    assert transport.written.startswith(b"HTTP/1.1 200 ")


async def test_the_reserve_is_for_health_and_services(crowded: Server) -> None:
    """Where nobody has to make room, because no address has many."""
    for number in range(SPARE + 64 - RESERVE):
        crowded.connect(f"198.51.{number % 100}.{number // MANY}")
    asks = {
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n": b"200",
        b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n": b"503",
        b"GET /x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer service\r\n\r\n": b"200",
    }
    for number in range(200):  # more strangers than the reserve has places
        crowded.connect(f"203.0.113.{number}")
        for ask, status in asks.items():
            connection, transport = crowded.connect("192.0.2.1")
            connection.data_received(ask)
            await settle()
            assert transport.written[9:12] == status
            connection.connection_lost(None)
    assert len(crowded.admission.http_connections) <= SPARE + 64
