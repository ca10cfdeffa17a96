"""What a client sends right behind its upgrade request is read first, whatever the first words wait for."""

import asyncio
import json

import jwt
import pytest

from loadtest.frames import TEXT, client_frame

from .test_counts import SECRET, Line, lines


def upgrade(channel: str) -> bytes:
    """By a token that brings a channel along."""
    claims = {"sub": "ann", "exp": 4e9, "hub": {"subscribe": ["doc:*"], "channels": [channel]}}
    return (
        "GET /ws HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol: hub.v1.json\r\n"
        f"Authorization: Bearer {jwt.encode(claims, SECRET, 'HS256')}\r\n\r\n"
    ).encode()


def commands() -> bytes:
    return b"".join(
        client_frame(TEXT, json.dumps({"type": "ping", "id": number}).encode()) for number in range(1, 6)
    )


def answered(line: Line) -> list[int]:
    found = b"".join(line.wire.writes).split(b'"type":"hub.pong","id":')[1:]
    return [int(piece.split(b",")[0]) for piece in found]


@pytest.mark.parametrize("slow", [False, True], ids=["at-once", "while-the-storage-waits"])
async def test_early_frames_come_before_later_ones(slow: bool) -> None:
    """Cut anywhere: behind the upgrade, in a frame's head, in its body, between two."""
    sent = commands()
    async with lines() as connect:
        node = connect().wire.protocol._handshaker.node
        gate = asyncio.Event()
        listen = node.broker.listen

        async def waits(channel: str) -> None:
            await gate.wait()
            await listen(channel)

        if slow:
            node.broker.listen = waits
        for cut in range(1, len(sent)):
            gate.clear()
            line = connect()
            line.wire.protocol._new = False  # the accept queue is for newcomers, and has tests of its own
            line.wire.protocol.data_received(upgrade(f"doc:{cut}") + sent[:cut])
            async with asyncio.timeout(10):
                while not line.wire.writes or line.wire.paused:
                    await asyncio.sleep(0)
            line.wire.protocol.data_received(sent[cut:])
            for _ in range(5):
                await asyncio.sleep(0)
            gate.set()
            async with asyncio.timeout(10):
                while len(answered(line)) < 5:
                    await asyncio.sleep(0.001)
            assert answered(line) == [1, 2, 3, 4, 5], cut
            line.wire.protocol.connection_lost(None)
