"""A fan-out writes to sockets past their transports: whatever the kernel takes, bytes arrive whole and in order."""

import asyncio
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
import uvloop

from hub.delivery.channel import Channel, TailBytes
from hub.delivery.outbox import Outbox
from hub.delivery.prepared import PreparedMessage, PreparedMessages
from hub.namespaces import Namespace
from hub.protocol.event import Event
from hub.protocol.frames import Encoding, bodies, frame
from hub.runtime.flush import FlushScheduler

from .test_outbox import Receiver

PING = b"\x89\x00"
LOOPS = [asyncio.SelectorEventLoop, uvloop.new_event_loop]


class Counting(Outbox):
    """Knows how often the kernel took only a part."""

    __slots__ = ("nothing", "parts")

    parts: int
    nothing: int

    def send_rest(self, frames: bytes, written: int) -> None:
        self.parts += written > 0
        self.nothing += written == 0
        super().send_rest(frames, written)


class Peer(asyncio.Protocol):
    """The hub's end of a socket, as the fast lane has it."""

    def __init__(self, turn: FlushScheduler) -> None:
        self.turn = turn
        self.pong = b""
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(high=0)
        fd = transport.get_extra_info("socket").fileno()
        self.outbox = Counting(transport, self.turn, Encoding.JSON, 1 << 30, lambda: None, fd)
        self.outbox.parts = self.outbox.nothing = 0

    def pause_writing(self) -> None:
        self.outbox.block()

    def resume_writing(self) -> None:
        pong, self.pong = self.pong, b""
        self.outbox.unblock(pong)

    def connection_lost(self, exc: Exception | None) -> None:
        self.outbox.close()
        self.lost.set_result(None)


def make_channel(turn: FlushScheduler) -> Channel:
    return Channel(
        "doc:1", Namespace.model_validate({"mode": "log"}), turn, TailBytes(), lambda channel: None
    )


def event(offset: int, size: int) -> Event:
    return Event("doc:1", offset, f"e{offset}", 0, "tick", b'"%s"' % (b"x" * size))


@contextmanager
def small_sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection over loopback that holds little: client's end, hub's end."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(server.getsockname())
        ours, _ = server.accept()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        ours.setblocking(False)
        client.setblocking(False)
        yield client, ours


async def receive(client: socket.socket) -> bytes:
    await asyncio.sleep(0)
    try:
        return client.recv(16384)
    except BlockingIOError:
        await asyncio.sleep(0.001)
        return b""


def by_kind(data: bytes) -> dict[str, list[bytes]]:
    """The frames of a stream, which must be whole: pings, events, replies and pages, each in order."""
    found: dict[str, list[bytes]] = {"ping": [], "event": [], "n": [], "page": []}
    while data:
        if data.startswith(PING):
            found["ping"].append(PING)
            data = data[len(PING) :]
            continue
        body = next(bodies(data))
        whole = frame(body, Encoding.JSON)
        assert data.startswith(whole), "a frame was torn"
        message = orjson.loads(body)
        found[next((kind for kind in ("n", "page") if kind in message), "event")].append(whole)
        data = data[len(whole) :]
    return found


@pytest.mark.parametrize("make_loop", LOOPS)
@pytest.mark.parametrize("seed", range(6))
def test_every_byte_arrives_in_order(make_loop: Callable[[], asyncio.AbstractEventLoop], seed: int) -> None:
    """Events, replies, pings, pages and pongs of all sizes, to a reader of changing appetite."""
    draw = random.Random(seed)

    async def story(client: socket.socket, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        turn = FlushScheduler(loop.call_soon)
        _, peer = await loop.connect_accepted_socket(lambda: Peer(turn), ours)
        try:
            await talk(client, peer, make_channel(turn))
        finally:
            peer.transport.abort()
            await peer.lost

    async def talk(client: socket.socket, peer: Peer, channel: Channel) -> None:
        outbox = peer.outbox
        channel.plain[outbox] = Receiver(conflates=False)  # type: ignore[assignment]
        sent: dict[str, list[bytes]] = {"ping": [], "event": [], "n": [], "page": []}
        got = bytearray()
        for offset in range(1, 1501):
            one = event(offset, draw.choice((10, 200, 3000, 9000)))
            sent["event"].append(one.frame(Encoding.JSON))
            channel.append(one)
            if draw.random() < 0.1:
                pages = [
                    PreparedMessage({"page": [offset, number] * draw.choice((1, 500))}) for number in range(3)
                ]
                sent["page"] += [page.frame(Encoding.JSON) for page in pages]
                outbox.hold(PreparedMessages(pages))
            if draw.random() < 0.1:
                peer.transport.write(PING)  # past the outbox, as the heartbeat does
                sent["ping"].append(PING)
            if outbox.full and not peer.pong and draw.random() < 0.5:
                peer.pong = PING
                sent["ping"].append(PING)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if draw.random() < 0.2:
                sent["n"].append(frame(b'{"n":%d}' % offset, Encoding.JSON))
                outbox.push(sent["n"][-1])
            if draw.random() < 0.7:
                for _ in range(draw.randrange(6)):
                    got += await receive(client)
        size = sum(len(each) for frames in sent.values() for each in frames)
        async with asyncio.timeout(20):
            while len(got) < size:
                got += await receive(client)
        assert by_kind(bytes(got)) == sent
        assert outbox.parts > 5, "the sockets were too large to show anything"
        assert (outbox.clear, outbox.queued) == (True, 0)

    with small_sockets() as (client, ours), asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(story(client, ours))


@pytest.mark.parametrize("make_loop", LOOPS)
def test_a_descriptor_that_is_somebody_elses_by_now_gets_nothing(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Its peer resets the connection; the kernel gives the number to the next one."""

    async def story(client: socket.socket, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        turn = FlushScheduler(loop.call_soon)
        channel = make_channel(turn)
        _, peer = await loop.connect_accepted_socket(lambda: Peer(turn), ours)
        del ours
        fd = peer.outbox.fd
        channel.plain[peer.outbox] = Receiver(conflates=False)  # type: ignore[assignment]
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        offset = 0
        async with asyncio.timeout(5):
            while not peer.lost.done():
                offset += 1
                channel.append(event(offset, 100))  # before the loss is seen, and while it is
                await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        others = [each for _ in range(8) for each in socket.socketpair()]
        assert fd in [each.fileno() for each in others]
        assert not peer.outbox.clear
        for _ in range(3):
            offset += 1
            channel.append(event(offset, 100))
            await asyncio.sleep(0.01)
        for each in others:
            each.setblocking(False)
            with pytest.raises(BlockingIOError):
                each.recv(1)
        for each in others:
            each.close()

    with small_sockets() as (client, ours), asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(story(client, ours))
