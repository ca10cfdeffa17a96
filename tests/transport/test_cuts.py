"""Ten thousand events to fifty clients whose sockets are cut while the events flow: each client ends with every
event once and in order.
"""

import asyncio
import contextlib
import random
import socket
import struct
import time
from typing import Any

import httpx
import msgpack
import orjson
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from ..support.pace import patience
from ..support.server import RunningHub
from ..support.wire import Encoding, Wire, connect
from .lanes import Lane, running

EVENTS = 10_000
CLIENTS = 50
BATCH = 50
NAMESPACES = {"doc": {"history_size": 20_000}}


class Reader:
    """A client that comes back to where it was, and counts its cuts."""

    def __init__(self, hub: RunningHub, token: str, channel: str, encoding: Encoding) -> None:
        self.hub = hub
        self.token = token
        self.channel = channel
        self.encoding = encoding
        self.epoch = ""
        self.offset = 0
        self.payloads: list[int] = []
        self.wire: Wire | None = None
        self.cuts = 0

    async def run(self) -> None:
        while len(self.payloads) < EVENTS:
            with contextlib.suppress(ConnectionClosed, InvalidHandshake, OSError, EOFError):
                async with connect(self.hub.ws_url, self.token, encoding=self.encoding) as wire:
                    await self._read(wire)
            self.wire = None
            await asyncio.sleep(random.uniform(0, 0.02))

    async def _read(self, wire: Wire) -> None:
        since = {"since": {"epoch": self.epoch, "offset": self.offset}} if self.epoch else {}
        await wire.send("subscribe", id=1, channel=self.channel, **since)
        reply = await wire.expect("hub.subscribed")
        if since:
            assert reply["recovered"] is True, reply
            assert reply["offset"] - reply["missed"] == self.offset
        else:
            assert reply["offset"] == 0, "all subscribe before the first event"
        self.epoch = reply["epoch"]
        self.wire = wire
        while len(self.payloads) < EVENTS:
            # Half a million times: without a deadline of its own, the test has one.
            data = await wire.websocket.recv()
            event = msgpack.unpackb(data) if isinstance(data, bytes) else orjson.loads(data)
            assert event["offset"] == self.offset + 1, event
            assert "conflated" not in event
            self.offset = event["offset"]
            self.payloads.append(event["payload"])

    def cut(self, how: str) -> None:
        """``rst``: unread bytes and all; ``fin``: the write side closes; ``close``: in good order."""
        wire = self.wire
        if wire is None or wire.websocket.transport.is_closing():
            return
        self.cuts += 1
        transport = wire.websocket.transport
        if how == "rst":
            raw = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        elif how == "fin":
            transport.write_eof()
        else:
            transport.close()


async def publish(hub: RunningHub, channel: str, done: asyncio.Event) -> None:
    headers = {"Authorization": f"Bearer {hub.api_key}"}
    async with httpx.AsyncClient(base_url=hub.url, headers=headers, trust_env=False, timeout=30) as http:
        for start in range(0, EVENTS, BATCH):
            events: list[dict[str, Any]] = [
                {"channel": channel, "event": "n", "payload": start + n} for n in range(BATCH)
            ]
            answer = await http.post("/v1/batch", json={"events": events})
            results = answer.raise_for_status().json()["results"]
            assert [result["offset"] for result in results] == list(range(start + 1, start + BATCH + 1))
    done.set()


async def cut_at_random(readers: list[Reader], done: asyncio.Event) -> None:
    while not done.is_set():
        await asyncio.sleep(0.02)
        for reader in random.sample(readers, 3):
            reader.cut(random.choice(["rst", "fin", "close"]))


@pytest.mark.parametrize("lane", ["fast", "portable"])
async def test_every_event_once_and_in_order(lane: Lane) -> None:
    with running(lane, namespaces=NAMESPACES, recovery_limit=20_000, accept_rate=5000.0) as hub:
        token = hub.token("ann", subscribe=["doc:*"])
        readers = [
            Reader(hub, token, "doc:cuts", "json" if number % 2 else "msgpack") for number in range(CLIENTS)
        ]
        async with patience(60):
            tasks = [asyncio.create_task(reader.run()) for reader in readers]
            while any(reader.wire is None for reader in readers):
                await asyncio.sleep(0.02)
            begun = time.monotonic()
            done = asyncio.Event()
            await asyncio.gather(publish(hub, "doc:cuts", done), cut_at_random(readers, done), *tasks)
        print(f"{lane}: {time.monotonic() - begun:.1f} s, {sum(reader.cuts for reader in readers)} cuts")
        for reader in readers:
            assert reader.payloads == list(range(EVENTS))
        assert sum(reader.cuts for reader in readers) >= CLIENTS
