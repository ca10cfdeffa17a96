"""Many connections that send much at once have one share of the loop together. Counts, on made-up sockets: what a
piece costs is made up too, so that no machine's speed decides."""

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any

from hub.connections.connection import Connection
from hub.transport.frames import SLICE_BYTES
from hub.transport.websocket import _BY_CONNECTION
from loadtest.frames import TEXT, client_frame
from loadtest.tokens import user_token

from .test_counts import SECRET, Line, lines

UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: hub.v1.json\r\nAuthorization: Bearer {}\r\n\r\n"
)
PING = client_frame(TEXT, b'{"type":"ping"}')
LARGE = client_frame(TEXT, json.dumps({"type": "ping", "padding": "x" * SLICE_BYTES}).encode())


async def socket_of(connect: Any, user: str) -> Line:
    line: Line = connect()
    await line.ask(UPGRADE.format(user_token(user, SECRET, subscribe=["*"])).encode())
    return line


class Costly:
    """Messages that take 3 ms each."""

    def __init__(self, monkeypatch: Any) -> None:
        self.done = 0
        receive = Connection.receive

        def slow(connection: Connection, data: bytes, text: bool) -> None:
            self.done += 1
            until = time.perf_counter() + 0.003
            while time.perf_counter() < until:
                pass
            receive(connection, data, text)

        monkeypatch.setattr(Connection, "receive", slow)


async def test_many_who_send_much_wait_for_each_other(monkeypatch: Any) -> None:
    async with lines() as connect:
        many = [await socket_of(connect, f"user{number}") for number in range(10)]
        costly = Costly(monkeypatch)
        for line in many:
            line.wire.protocol.data_received(LARGE)
        assert costly.done == 1, "the first takes the share of them all"
        async with asyncio.timeout(30):
            while costly.done < len(many):
                before = costly.done
                await asyncio.sleep(0)
                assert costly.done - before <= 1, "one in a turn"
        small = PING
        many[0].wire.protocol.data_received(small)
        assert costly.done == len(many) + 1, "who sends little does not wait"


async def test_what_was_read_of_one_that_is_not_read_from_waits() -> None:
    async with lines() as connect:
        line = await socket_of(connect, "ann")
        node = line.wire.protocol._handshaker.node
        protocol = line.wire.protocol
        protocol.data_received(PING * 10_000)
        async with asyncio.timeout(30):
            while not protocol._paused & _BY_CONNECTION:  # its commands keep coming over the limit
                await asyncio.sleep(0)
        seen = node.counters.commands["ping"] + node.counters.errors["rate_limited"]
        assert seen < 5_000
        for _ in range(50):
            await asyncio.sleep(0.001)
        later = node.counters.commands["ping"] + node.counters.errors["rate_limited"]
        assert later == seen
        protocol._connection._resume(2)
        async with asyncio.timeout(30):
            while node.counters.commands["ping"] + node.counters.errors["rate_limited"] == later:
                await asyncio.sleep(0.001)


async def test_what_is_dropped_of_closed_connections_has_the_share_of_floods() -> None:
    async with lines() as connect:
        many = [await socket_of(connect, f"user{number}") for number in range(5)]
        queue = many[0].wire.protocol._handshaker.node.admission.read_queue
        asked: list[Any] = []
        many[0].wire.protocol._handshaker.node.admission.read_queue = SimpleNamespace(
            later=asked.append, open=True, exhausted=queue.exhausted
        )
        for line in many:
            line.wire.protocol._connection.close(4129, "enough")
            line.wire.protocol.data_received(PING * 10_000)
            assert line.wire.paused
        async with asyncio.timeout(30):
            while len(asked) < len(many):
                await asyncio.sleep(0.005)
        assert all(line.wire.paused for line in many), "nothing is read until its slice comes"
