"""Requests that are answered without ASGI get the answers that the app gives, for one write and no task."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from hub.app import Hub
from hub.broker.base import Published
from hub.protocol.errors import HubError
from hub.protocol.event import Publication
from hub.settings import Settings
from hub.transport.http1.protocol import IN_A_ROW, HttpProtocol

KEY = "a-service-key-of-32-characters-00"
SECRET = "test-secret-of-at-least-thirty-two-bytes"
DOC = {"channel": "doc:1", "event": "x", "payload": {"a": [1, 2.50]}}
TOLD = re.compile(
    rb'"(epoch|event_id|node|rtt_ms|retry_after_ms)":("[^"]*"|[0-9.]+)|Retry-After: [0-9]+', re.IGNORECASE
)
TOKEN = jwt.encode({"sub": "ann", "exp": 4e9, "hub": {"publish": ["doc:*"]}}, SECRET, "HS256")


class Line(asyncio.Transport):
    """The client's side: what was written, write by write."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 5000), "sockname": ("192.0.2.9", 80)})
        self.writes: list[bytes] = []
        self.closed = self.paused = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


class Server:
    """A hub in this process, and connections to it, answered either way."""

    def __init__(self, hub: Hub, state: dict[str, Any]) -> None:
        self.hub = hub
        self._config = SimpleNamespace(loaded_app=hub.app, root_path="", asgi_version="3.0")
        self.server = SimpleNamespace(connections=set(), tasks=set(), default_headers=[], total_requests=0)
        self._state = state

    def connect(self, *, direct: bool = True) -> tuple[HttpProtocol, Line]:
        state = self._state if direct else {**self._state, "hub_direct": {}}
        connection, line = HttpProtocol(self._config, self.server, state), Line()
        connection.connection_made(line)
        connection._new = False  # the accept queue is for newcomers, and has tests of its own
        return connection, line

    async def settled(self) -> None:
        """Nothing is being answered any more."""
        while self.server.tasks:
            await asyncio.sleep(0)

    async def answers(self, pieces: Sequence[bytes], *, direct: bool) -> tuple[bytes, bool]:
        """All that is answered, and whether the hub ended the connection."""
        connection, line = self.connect(direct=direct)
        for piece in pieces:
            if not line.closed:
                connection.data_received(piece)
                for _ in range(3):
                    await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        connection.connection_lost(None)
        return TOLD.sub(rb"\1", b"".join(line.writes)), line.closed


@contextlib.asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Server]:
    hub = Hub(Settings(jwt_secret=SECRET, api_keys={"svc": KEY}, **settings))
    async with hub.lifespan() as state:
        yield Server(hub, state)


def request(
    method: str,
    path: str,
    body: bytes = b"",
    credentials: str | None = KEY,
    more: Sequence[str] = (),
    version: str = "1.1",
) -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: hub", *more]
    if credentials is not None:
        lines.append(f"Authorization: Bearer {credentials}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def publish(**fields: Any) -> bytes:
    return request("POST", "/v1/publish", json.dumps({**DOC, **fields}).encode())


_events = st.fixed_dictionaries(
    {
        "channel": st.sampled_from(["doc:1", "doc:2", "job:7", "cursor:1", "hub:x", "", "no such", "doc:"]),
        "event": st.sampled_from(["x", "hub.x", ""]),
        "payload": st.sampled_from([1, {"a": "é"}, None, "x" * 70_000]),
    },
    optional={
        "key": st.sampled_from(["k", ""]),
        "event_id": st.sampled_from(["e1", "e2"]),
        "version": st.integers(0, 3),
        "kye": st.just(1),
    },
)
_bodies = st.one_of(
    _events.map(lambda event: json.dumps(event).encode()),
    st.lists(_events, max_size=4).map(lambda events: json.dumps({"events": events}).encode()),
    st.sampled_from([b"", b"{", b"[]", b'{"payload":1e999}', b'"\xff"', b"x" * 66_000]),
)
_requests = st.builds(
    request,
    st.sampled_from(["GET", "POST", "HEAD"]),
    st.sampled_from(
        ["/v1/publish", "/v1/batch", "/livez", "/readyz", "/livez?x=1", "/v1/broadcast", "/none"]
    ),
    _bodies,
    st.sampled_from([KEY, KEY, TOKEN, "wrong", None]),
    st.sampled_from(
        [(), (), ("Connection: close",), ("Expect: 100-continue",), ("Origin: https://a.example",)]
    ),
)


@given(st.lists(_requests, min_size=1, max_size=6), st.data())
@effort(max_examples=150, deadline=None)
def test_both_ways_give_the_same_answers(requests: list[bytes], data: st.DataObject) -> None:
    """Pipelined, and cut anywhere; a user's rate ends at the same request."""
    sent = b"".join(requests)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=4)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True) if b > a]

    async def told(*, direct: bool) -> tuple[bytes, bool]:
        async with serving(command_rate=0.001, command_burst=3, max_body_bytes=140_000) as server:
            return await server.answers(pieces, direct=direct)

    assert asyncio.run(told(direct=True)) == asyncio.run(told(direct=False))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.mark.parametrize(
    "asked",
    [
        publish(),
        publish(channel="hub:x"),
        request("POST", "/v1/batch", json.dumps({"events": [DOC] * 50}).encode()),
        request("GET", "/livez", credentials=None),
        request("GET", "/readyz", credentials=None),
    ],
    ids=["publish", "refused", "batch", "livez", "readyz"],
)
async def test_one_write_an_answer_and_no_task(server: Server, asked: bytes) -> None:
    connection, line = server.connect()
    made: list[Any] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Any) -> "asyncio.Task[Any]":
        made.append(work)
        return asyncio.Task(work, loop=loop)

    asyncio.get_running_loop().set_task_factory(factory)
    try:
        for answered in range(1, 4):
            connection.data_received(asked)
            assert len(line.writes) == answered
        assert not made
    finally:
        asyncio.get_running_loop().set_task_factory(None)
        connection.connection_lost(None)


async def test_the_body_of_a_service_may_come_later(server: Server) -> None:
    connection, line = server.connect()
    head, _, body = publish().partition(b"\r\n\r\n")
    connection.data_received(head + b"\r\n\r\n")
    connection.data_received(body[:5])
    assert not server.server.tasks
    connection.data_received(body[5:])
    assert line.writes[0].startswith(b"HTTP/1.1 200")
    connection.connection_lost(None)


async def test_a_stranger_is_refused_before_its_body(server: Server) -> None:
    connection, line = server.connect()
    head, _, _ = publish().replace(KEY.encode(), b"wrong").partition(b"\r\n\r\n")
    connection.data_received(head + b"\r\n\r\n")
    await asyncio.sleep(0.01)
    assert line.writes[0].startswith(b"HTTP/1.1 401")
    connection.connection_lost(None)


async def test_pipelined_requests_do_not_overtake(server: Server) -> None:
    """Where the first waits for the storage, the others wait for it; and it alone costs a task."""
    node = server.hub.node
    assert node is not None
    gate, store = asyncio.Event(), node.broker.publish

    async def slow(events: Sequence[Publication], *, ordered: bool = False) -> list[Published | HubError]:
        if events[0].key == "slow":
            await gate.wait()
        return await store(events, ordered=ordered)

    node.broker.publish = slow  # type: ignore[assignment, method-assign]
    connection, line = server.connect()
    connection.data_received(publish(key="slow") + publish() + request("GET", "/livez"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert line.writes == []
    assert line.paused
    assert len(server.server.tasks) == 1
    gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    offsets = [json.loads(answer.partition(b"\r\n\r\n")[2]).get("offset") for answer in line.writes]
    assert offsets == [1, 2, None]
    assert not line.paused
    connection.connection_lost(None)


@pytest.mark.parametrize("credentials", [None, TOKEN, KEY], ids=["stranger", "user", "service"])
async def test_who_pipelines_has_a_share_of_the_loop(server: Server, credentials: str | None) -> None:
    """All that flood have one together; a service may publish as fast as it is answered."""
    node = server.hub.node
    assert node is not None
    slices: list[Any] = []
    node.admission.read_queue = SimpleNamespace(  # type: ignore[assignment]
        later=slices.append, open=True, taken=lambda seconds: None
    )
    connection, line = server.connect()
    connection.data_received(request("GET", "/livez", credentials=credentials) * 100)
    assert (len(line.writes), line.paused) == (IN_A_ROW, True)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(line.writes) == (100 if credentials == KEY else IN_A_ROW)
    while slices:
        slices.pop()()
    assert (len(line.writes), line.paused) == (100, False)
    connection.connection_lost(None)


@pytest.mark.parametrize("way", ["direct", "stranger", "app"])
async def test_a_pipelined_request_may_end_in_a_later_read(server: Server, way: str) -> None:
    """Wherever it is cut, and however it is answered: the connection reads on."""
    node = server.hub.node
    assert node is not None
    store = node.broker.publish
    gate = asyncio.Event()

    async def slow(events: Sequence[Publication], *, ordered: bool = False) -> list[Published | HubError]:
        await gate.wait()
        return await store(events, ordered=ordered)

    node.broker.publish = slow  # type: ignore[assignment, method-assign]
    second = publish()
    if way == "stranger":
        second = second.replace(KEY.encode(), b"wrong")
    if way == "app":
        second = second.replace(b"/v1/publish", b"/v1/publish?a=b", 1)
    for cut in range(1, len(second)):
        gate.clear()
        connection, line = server.connect()
        connection.data_received(publish())
        connection.data_received(second[:cut])
        assert line.paused
        gate.set()
        async with asyncio.timeout(5):
            while line.paused:
                await asyncio.sleep(0)
        connection.data_received(second[cut:])
        async with asyncio.timeout(5):
            while len(line.writes) < 2:
                await asyncio.sleep(0)
        assert line.writes[1].startswith(b"HTTP/1.1 401" if way == "stranger" else b"HTTP/1.1 200"), cut
        connection.connection_lost(None)


async def test_a_client_that_leaves_while_the_storage_answers(server: Server) -> None:
    node = server.hub.node
    assert node is not None
    gate, store = asyncio.Event(), node.broker.publish

    async def slow(events: Sequence[Publication], *, ordered: bool = False) -> list[Published | HubError]:
        await gate.wait()
        return await store(events, ordered=ordered)

    node.broker.publish = slow  # type: ignore[assignment, method-assign]
    connection, line = server.connect()
    connection.data_received(publish())
    connection.connection_lost(None)
    gate.set()
    await server.settled()
    assert line.writes == []
    assert node.counters.published == 1


async def test_one_connection_does_not_hold_the_loop(server: Server) -> None:
    """Of what one read brings, a few requests are answered in a turn."""
    connection, line = server.connect()
    connection.data_received(request("GET", "/livez") * 1000)
    assert 0 < len(line.writes) < 50
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(line.writes) == 1000
    connection.connection_lost(None)


async def test_who_does_not_read_is_not_answered_on(server: Server) -> None:
    connection, line = server.connect()
    connection.data_received(request("GET", "/livez"))
    connection.pause_writing()
    connection.data_received(request("GET", "/livez") * 3)
    await asyncio.sleep(0.01)
    assert len(line.writes) == 1
    connection.resume_writing()
    await asyncio.sleep(0.01)
    assert len(line.writes) == 4
    connection.connection_lost(None)
