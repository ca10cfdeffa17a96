"""Another client beside a flood: an event every 20 ms, a fresh `/livez` every 100 ms, the process' memory."""

import asyncio
import json
import os
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import httpx

from ..support.wire import Wire, connect
from .flood import Target

EVENT_S = 0.02
LIVEZ_S = 0.1
GRACE_S = 10.0
CHANNEL = "doc:witness"


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


def watch(target: Target, seconds: float, report: Connection) -> None:
    """Run in a process of its own, on the core of the attacker."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    report.send(asyncio.run(_watch(target, seconds)))


async def _watch(target: Target, seconds: float) -> Seen:
    seen = Seen()
    base = f"http://127.0.0.1:{target.port}"
    headers = {"Authorization": f"Bearer {target.api_key}"}
    async with (
        connect(f"ws://127.0.0.1:{target.port}/ws", target.token) as wire,
        httpx.AsyncClient(base_url=base, headers=headers, trust_env=False, timeout=GRACE_S) as http,
    ):
        await wire.ask("subscribe", channel=CHANNEL)
        end = time.monotonic() + seconds
        receiving = asyncio.create_task(_receive(wire, seen))
        probing = asyncio.create_task(_probe(target.port, seen, end))
        await _publish(http, seen, end)
        await probing
        deadline = time.monotonic() + GRACE_S
        while seen.received < seen.published and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
    return seen


async def _publish(http: httpx.AsyncClient, seen: Seen, end: float) -> None:
    """At a fixed rate; a late answer delays the next one, and shows in its latency: it was due before."""
    due = time.monotonic()
    while due < end:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        body = json.dumps({"channel": CHANNEL, "event": "tick", "payload": due})
        answer = await http.post("/v1/publish", content=body)
        seen.published += answer.status_code == 200
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
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
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
