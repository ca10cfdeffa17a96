"""What time does to a connection: deadlines, silence, expiry, and a client that does not read."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.server import RunningHub
from ..support.wire import connect
from .lanes import Lane, running
from .test_contract import Raw, fresh, hang_up


@pytest.fixture(scope="module")
def quick(lane: Lane) -> Iterator[RunningHub]:
    with running(lane, auth_timeout=1.0, close_timeout=1.0, outbox_bytes=262_144) as hub:
        yield hub


@pytest.fixture(scope="module")
def pinging(lane: Lane) -> Iterator[RunningHub]:
    """A second of silence is the end of a connection: too little for tests whose client may be held up."""
    with running(lane, heartbeat_ms=400, close_timeout=1.0) as hub:
        yield hub


async def test_who_sends_no_token_is_closed(quick: RunningHub) -> None:
    begun = time.monotonic()
    async with connect(quick.ws_url, welcomed=False) as wire:
        assert await wire.closed() == 4108
        assert time.monotonic() - begun > 0.9
        close = await wire.expect("hub.close")
        assert close["reconnect"] is not None


async def test_a_token_that_ends(quick: RunningHub) -> None:
    async with connect(quick.ws_url, quick.token("ann", ttl=2.5)) as wire:
        expiring = await wire.expect("hub.token_expiring")
        assert expiring["expires_at"] == wire.welcome["expires_at"]
        assert 0 < expiring["expires_in_ms"] <= 2500
        await wire.ask("authenticate", token=quick.token("ann", ttl=4.0))
        await wire.expect("hub.token_expiring")
        assert await wire.closed(8.0) == 4201
        assert abs(time.time() * 1000 - wire.welcome["expires_at"] - 1500) < 1500


async def test_pings_come_and_silence_is_the_end(pinging: RunningHub, lane: Lane) -> None:
    if lane == "portable":
        pytest.skip("the server pings by itself there, every 20 s")
    raw = await Raw.connect(pinging, pinging.token("ann"))
    begun = time.monotonic()
    seen = b""
    async with asyncio.timeout(5):
        while b"\x89\x00" not in seen:
            seen += await raw.reader.read(65536)
        while not raw.reader.at_eof():
            seen += await raw.reader.read(65536)
    # 1.5 intervals of 0.4 s, the wheel's tenth, and what a shared machine adds.
    assert 0.55 < time.monotonic() - begun < 3.0
    assert (4102).to_bytes(2, "big") in seen
    await hang_up(raw.writer)


async def test_who_answers_pings_stays(pinging: RunningHub) -> None:
    async with connect(pinging.ws_url, pinging.token("ann")) as wire:
        await wire.quiet(2.0)
        assert (await wire.ask("ping"))["type"] == "hub.pong"


def memory_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


async def test_who_never_reads_is_closed_and_nobody_else(quick: RunningHub) -> None:
    doc = fresh("doc")
    slow = await Raw.connect(quick, quick.token("ann", channels=[doc]))
    slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
    slow.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    async with connect(quick.ws_url, quick.token("bob", subscribe=["doc:*"])) as wire:
        await wire.ask("subscribe", channel=doc)
        before = memory_kb(quick.pid)
        batch = [{"channel": doc, "event": "n", "payload": "x" * 8000} for _ in range(50)]
        http = quick.http()
        for _ in range(40):
            answer = await asyncio.to_thread(http.post, "/v1/batch", json={"events": batch})
            assert answer.status_code == 200
            for _ in range(50):
                await wire.expect("n")
        async with asyncio.timeout(5):
            while (await asyncio.to_thread(http.get, "/v1/connections?user=ann")).json()["connections"]:
                await asyncio.sleep(0.05)
        assert memory_kb(quick.pid) - before < 60_000  # 16 MB went through, 8 MB of it is the history
    await hang_up(slow.writer)


async def test_who_pings_and_never_reads_fills_no_memory(quick: RunningHub, lane: Lane) -> None:
    if lane == "portable":
        pytest.skip("pongs are the server's own there")
    raw = await Raw.connect(quick, quick.token("ann"))
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    before = memory_kb(quick.pid)
    ping = b"\x89\xfd\x00\x00\x00\x00" + b"x" * 125
    for _ in range(400):
        raw.writer.write(ping * 500)  # 26 MB in all
        try:
            await asyncio.wait_for(raw.writer.drain(), 5)
        except (OSError, TimeoutError):
            break
    assert memory_kb(quick.pid) - before < 15_000
    raw.writer.transport.abort()
