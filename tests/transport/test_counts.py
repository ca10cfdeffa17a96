"""What a request costs, in counts that no machine's speed changes: writes an answer, tasks a request. The whole hub
in memory, with a made-up socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from hub.app import Hub
from hub.settings import Settings
from hub.transport.http1.protocol import HttpProtocol
from loadtest.frames import TEXT, client_frame
from loadtest.tokens import user_token

from .test_http1 import Socket

SECRET = "a-secret-of-at-least-thirty-two-bytes"
KEY = "a-service-key-of-more-than-thirty-two-bytes"


class Wire(Socket):
    """Counts what is written; a WebSocket's protocol takes the place of HTTP's."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.protocol: Any = None

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "socket":
            return SimpleNamespace(fileno=lambda: -1, family=None)
        return super().get_extra_info(name, default)


class Line:
    """A connection to a hub, and what was spent on it."""

    def __init__(self, state: dict[str, Any], tasks: list[str]) -> None:
        config = SimpleNamespace(loaded_app=None, root_path="", asgi_version="3.0")
        server = SimpleNamespace(connections=set(), tasks=set(), default_headers=[], total_requests=0)
        self._tasks = tasks
        self.wire = Wire()
        self.wire.protocol = HttpProtocol(config, server, state)
        self.wire.protocol.connection_made(self.wire)

    async def ask(self, data: bytes) -> tuple[list[bytes], int]:
        """What is written in answer, and how many tasks it took."""
        self.wire.writes.clear()
        before = len(self._tasks)
        self.wire.protocol.data_received(data)
        async with asyncio.timeout(30):  # a connection that has had its share of the loop waits for the next
            while not self.wire.writes:
                await asyncio.sleep(0.001)
        for _ in range(20):
            await asyncio.sleep(0)
        return list(self.wire.writes), len(self._tasks) - before


@asynccontextmanager
async def lines() -> AsyncIterator[Any]:
    """What makes connections to a hub that has come to rest; tasks are counted from then on."""
    hub = Hub(Settings(jwt_secret=SECRET, api_keys={"svc": KEY}))
    tasks: list[str] = []

    def counted(
        loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
    ) -> "asyncio.Task[Any]":
        tasks.append(repr(work))
        return asyncio.Task(work, loop=loop, **options)

    async with hub.lifespan() as state:
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        loop.set_task_factory(counted)  # type: ignore[arg-type]
        try:
            yield lambda: Line(state, tasks)
        finally:
            loop.set_task_factory(None)


def event(channel: str) -> dict[str, object]:
    return {"channel": channel, "event": "x", "payload": {"a": 1}}


def post(path: str, body: object) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {KEY}\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n",
        b"GET /readyz HTTP/1.1\r\nHost: hub\r\n\r\n",
        post("/v1/publish", event("doc:1")),
        post("/v1/batch", {"events": [event("doc:1")] * 60}),
    ],
    ids=["livez", "readyz", "publish", "batch"],
)
async def test_a_hot_request_is_one_write_and_no_task(request_bytes: bytes) -> None:
    async with lines() as connect:
        line = connect()
        for _ in range(2):
            writes, tasks = await line.ask(request_bytes)
            assert [write[:15] for write in writes] == [b"HTTP/1.1 200 OK"]
            assert tasks == 0


async def test_a_connection_and_its_commands_are_a_write_each_and_no_task() -> None:
    async with lines() as connect:
        line = connect()
        token = user_token("ann", SECRET, subscribe=["*"])
        upgrade = (
            "GET /ws HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Protocol: hub.v1.json\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        writes, tasks = await line.ask(upgrade.encode())
        assert len(writes) == 1
        assert writes[0].startswith(b"HTTP/1.1 101")
        assert b"hub.welcome" in writes[0]
        assert tasks == 0
        for command in (
            {"type": "subscribe", "id": 1, "channel": "doc:1"},
            {"type": "subscribe", "id": 2, "channels": [{"channel": f"doc:{n}"} for n in range(2, 12)]},
            {"type": "subscribe", "id": 3, "channel": "job:1"},
            {"type": "history", "id": 4, "channel": "doc:1"},
            {"type": "unsubscribe", "id": 5, "channel": "doc:1"},
        ):
            frame = client_frame(TEXT, json.dumps(command).encode())
            writes, tasks = await line.ask(frame)
            answered = [write for write in writes if f'"id":{command["id"]},'.encode() in write]
            assert (len(answered), tasks) == (1, _TASKS.get(command["id"], 0)), command


# Of several each begins in a turn of its own, and the reading of a snapshot has a deadline.
_TASKS: dict[object, int] = {2: 1, 3: 1}
