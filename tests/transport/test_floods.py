"""Frames that bring nothing, as fast as a socket takes them, on both lanes. Who sends them is stopped by 1008; the
others notice nothing."""

import asyncio
import contextlib

import pytest

from ..support.pace import SCALE
from ..support.server import RunningHub
from ..support.wire import connect
from .test_contract import Raw, hang_up

MASK = b"\x00\x00\x00\x00"
FLOODS = {
    "pings": b"\x89\x80" + MASK,
    "pongs": b"\x8a\x80" + MASK,
    "empty fragments": b"\x00\x80" + MASK,
    "fragments of one byte": b"\x00\x81" + MASK + b"x",
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_of_frames_is_stopped(hub: RunningHub, flood: str) -> None:
    """What is behind the first few hundred is not even parsed, and a ping in five hundred is answered."""
    raw = await Raw.connect(hub, hub.token("ann"))
    if "fragment" in flood:
        raw.writer.write(b"\x01\x80" + MASK)
    sending = asyncio.create_task(send(raw, FLOODS[flood] * 100_000))
    async with connect(hub.ws_url, hub.token("bob")) as other:
        for _ in range(20):
            assert (await other.ask("ping"))["type"] == "hub.pong"
    try:
        assert await raw.close_code() == 1008
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await hang_up(raw.writer)


async def send(raw: Raw, data: bytes) -> None:
    with contextlib.suppress(OSError):
        for at in range(0, len(data), 100_000):
            raw.writer.write(data[at : at + 100_000])
            await raw.writer.drain()


async def test_pings_of_one_read_get_one_pong(hub: RunningHub) -> None:
    """RFC 6455 section 5.5.3: the newest is answered."""
    raw = await Raw.connect(hub, hub.token("ann"))
    raw.writer.write(b"".join(b"\x89\x81" + MASK + b"%d" % (number % 10) for number in range(255)))
    async with asyncio.timeout(5 * SCALE):
        pongs: list[bytes] = []
        while not pongs or pongs[-1] != b"4":
            first, size = await raw.reader.readexactly(2)
            body = await raw.reader.readexactly(
                int.from_bytes(await raw.reader.readexactly(2), "big") if size == 126 else size
            )
            if first == 0x8A:
                pongs.append(body)
    assert len(pongs) < 60
    await hang_up(raw.writer)


async def test_as_many_pings_as_clients_send_are_fine(hub: RunningHub) -> None:
    async with connect(hub.ws_url, hub.token("ann")) as wire:
        for _ in range(100):
            await (await wire.websocket.ping())
        assert (await wire.ask("ping"))["type"] == "hub.pong"


async def test_a_large_message_in_fragments_is_fine(hub: RunningHub) -> None:
    async with connect(hub.ws_url, hub.token("ann")) as wire:
        text = '{"type":"ping","id":1,"pad":"' + "x" * 60_000 + '"}'
        await wire.websocket.send([text[at : at + 64] for at in range(0, len(text), 64)])
        assert (await wire.reply(1))["type"] == "hub.pong"


async def test_many_commands_in_one_read_are_all_answered(hub: RunningHub) -> None:
    """A read that is longer than a turn's share goes on in the next ones."""
    raw = await Raw.connect(hub, hub.token("ann", subscribe=["doc:*"]))
    body = b'{"type":"ping","id":1,"pad":"%s"}' % (b"x" * 2000)
    head = b"\x81\xfe" + len(body).to_bytes(2, "big") + MASK
    raw.writer.write((head + body) * 300)
    async with asyncio.timeout(20 * SCALE):
        seen = 0
        while seen < 300:
            seen += (await raw.reader.read(65536)).count(b'"type":"hub.pong"')
    await hang_up(raw.writer)


async def test_a_stranger_is_read_16_kib_of(hub: RunningHub) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    path = hub.ws_url.partition(str(hub.port))[2]
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    raw = Raw(reader, writer)
    writer.write(b"\x81\xff" + (100_000).to_bytes(8, "big") + MASK)
    assert await raw.close_code() == 1009  # by the frame's head
    await hang_up(writer)
