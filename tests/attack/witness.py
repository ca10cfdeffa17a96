"""Another client beside a flood: an event every 20 ms, a fresh `/livez` every 100 ms, the process' memory."""

import asyncio
import json
import os
import re
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from ..support.wire import Wire, connect
from .flood import Target

EVENT_S = 0.02
LIVEZ_S = 0.1
GRACE_S = 10.0
CHANNEL = "doc:witness"
ADDRESS = ("127.0.0.2", 0)  # another than the attacker's, who may use up what one address may have


@dataclass
class Seen:
    """What the witness saw. Seconds, and bytes; `published` and `received` count events."""

    latencies: list[float] = field(default_factory=list)
    livez: list[float] = field(default_factory=list)
    livez_failed: int = 0
    published: int = 0
    received: int = 0

    def p99(self) -> float:
        """From the call of the publisher to the event at the subscriber."""
        ordered = sorted(self.latencies)
        return ordered[int(len(ordered) * 0.99)] if ordered else float("inf")


def memory(pid: int) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def watch(target: Target, seconds: float, stage: Connection) -> None:
    """Run in a process of its own, on the core of the attacker. It says when it is ready, begins when told to,
    and reports what it has `Seen`."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    stage.send(asyncio.run(_watch(target, seconds, stage)))


async def _watch(target: Target, seconds: float, stage: Connection) -> Seen:
    async with connect(f"ws://127.0.0.1:{target.port}/ws", target.token, local_addr=ADDRESS) as wire:
        await wire.ask("subscribe", channel=CHANNEL)
        service = Service(
            target, *await asyncio.open_connection("127.0.0.1", target.port, local_addr=ADDRESS)
        )
        await _warm_up(wire, service, target.port)
        stage.send(None)
        await asyncio.to_thread(stage.recv)
        seen = Seen()
        end = time.monotonic() + seconds
        receiving = asyncio.create_task(_receive(wire, seen))
        probing = asyncio.create_task(_probe(target.port, seen, end))
        await _publish(service, seen, end)
        await probing
        deadline = time.monotonic() + GRACE_S
        while seen.received < seen.published and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        service.writer.close()
    return seen


@dataclass
class Service:
    """Who publishes, on one connection. By hand: an HTTP client takes 4 ms of the core that is flooded, and
    what is seen would be how long it waits for that."""

    target: Target
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def publish(self, payload: float) -> bool:
        """Whether it was taken."""
        body = json.dumps({"channel": CHANNEL, "event": "tick", "payload": payload}).encode()
        head = f"POST /v1/publish HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {self.target.api_key}\r\n"
        self.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        async with asyncio.timeout(GRACE_S):
            answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            length = re.search(rb"content-length: (\d+)", answer)
            assert length is not None, answer
            await self.reader.readexactly(int(length[1]))
        return answer.startswith(b"http/1.1 200")


async def _warm_up(wire: Wire, service: Service, port: int) -> None:
    """What the first requests of a process import, and what the hub does once, is not the flood's."""
    for _ in range(10):
        now = time.monotonic()
        await _publish(service, Seen(), now + EVENT_S / 2)
        await wire.receive(within=GRACE_S)
        await _probe(port, Seen(), now + LIVEZ_S / 2)


async def _publish(service: Service, seen: Seen, end: float) -> None:
    """At a fixed rate; a late answer delays the next one, and shows in its latency: it was due before."""
    due = time.monotonic()
    while due < end:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        seen.published += await service.publish(due)
        due += EVENT_S


async def _receive(wire: Wire, seen: Seen) -> None:
    offset = None
    while True:
        message = await wire.receive(within=60.0)
        if message["type"] == "tick":
            assert offset is None or message["offset"] == offset + 1, "an event was lost"
            offset = message["offset"]
            seen.received += 1
            seen.latencies.append(time.monotonic() - message["payload"])


async def _probe(port: int, seen: Seen, end: float) -> None:
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            async with asyncio.timeout(GRACE_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=ADDRESS)
                writer.write(b"GET /livez HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
                answer = await reader.read(65536)
                writer.close()
        except OSError:
            answer = b""
        if answer.startswith(b"HTTP/1.1 200"):
            seen.livez.append(time.monotonic() - began)
        else:
            seen.livez_failed += 1
        await asyncio.sleep(LIVEZ_S)
