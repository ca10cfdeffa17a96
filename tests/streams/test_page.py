"""The page that the docs show, over cuts, a drain, a kill -9 and tokens that end: each event once and in order, or
a gap told."""

import asyncio
import contextlib
import json
import random
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import SSEError, aconnect_sse

from ..broker.redis.servers import RedisServer
from ..cli.browser import Page, browser
from ..sdk.real import Proxy, RealHub, token
from ..support.markdown import ROOT, blocks
from ..support.pace import SCALE
from ..support.server import API_KEY

FOLDER = Path(__file__).parent
LOOKS_AT = blocks(ROOT / "docs" / "http.md", "js")
TICKET_S = 10  # more than one ends while the test runs
KEYS = 60
SECONDS = 20
RATE = 250  # events a second on each of the two channels


def page(folder: Path) -> Path:
    """The page of docs/http.md, as a module."""
    (block,) = LOOKS_AT
    path = folder / "page.mjs"
    path.write_text(block.text)
    return path


class Reader:
    """What the page told, judged as it comes: positions by channel, the state by key, gaps."""

    def __init__(self) -> None:
        self.at: dict[str, tuple[str, int]] = {}
        self.keys: dict[str, int] = {}
        self.numbers: list[int] = []
        self.gaps: list[dict[str, Any]] = []
        self.welcomes = 0
        self.kinds: set[str] = set()

    def take(self, message: dict[str, Any]) -> None:
        kind, channel = message["type"], message.get("channel", "")
        self.kinds.add(kind)
        self.welcomes += kind == "hub.welcome"
        if kind in ("hub.subscribed", "hub.resubscribe") and not message.get("recovered"):
            if channel in self.at and message.get("gap"):
                self.gaps.append(message)
            elif channel in self.at:
                assert message.get("snapshot") is not None, f"begun anew without a word: {message}"
            self.at[channel] = (message["epoch"], message["offset"])
            if "snapshot" in message:
                self.keys = {event["key"]: event["payload"]["n"] for event in message["snapshot"]}
        elif kind == "hub.snapshot":
            self.keys |= {event["key"]: event["payload"]["n"] for event in message["events"]}
        elif not kind.startswith("hub."):
            epoch, offset = self.at[channel]
            assert message["offset"] == offset + 1 + message.get("conflated", 0), (self.at[channel], message)
            self.at[channel] = (epoch, message["offset"])
            if "key" in message:
                self.keys[message["key"]] = message["payload"]["n"]
            else:
                self.numbers.append(message["payload"])


@asynccontextmanager
async def tickets(proxy: Proxy, channels: list[str]) -> AsyncIterator[str]:
    """Gives tickets of short lives, as an application's backend does; its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                client.headers["Authorization"] = f"Bearer {token('ann', ttl=TICKET_S)}"
                body = {"stream": True, "channels": channels}
                found = await client.post(f"http://127.0.0.1:{proxy.port}/v1/tickets", json=body)
                status, text = found.status_code, str(found.json().get("ticket", ""))
        except httpx.HTTPError:
            status, text = 503, ""
        fields = f"content-length: {len(text)}\r\naccess-control-allow-origin: *\r\nconnection: close"
        head = f"HTTP/1.1 {status} X\r\n{fields}\r\n\r\n"
        writer.write((head + text).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def publish(proxy: Proxy, job: str, doc: str, counts: dict[str, int]) -> None:
    """Both channels at the rate; a batch whose answer was lost is repeated with the same ids."""
    number = 0
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.port}", trust_env=False) as client:
        client.headers["Authorization"] = f"Bearer {API_KEY}"
        for _ in range(SECONDS * 10):
            events = []
            for _ in range(RATE // 10):
                key = str(number % KEYS)
                state = {"n": number, "filler": "x" * 400}
                events.append({"channel": doc, "event": "n", "payload": number, "event_id": f"d{number}"})
                events.append(
                    {"channel": job, "event": "s", "key": key, "payload": state, "event_id": f"j{number}"}
                )
                counts[key] = number
                number += 1
            while True:
                try:
                    answer = await client.post("/v1/batch", json={"events": events, "ordered": True})
                    results = answer.json().get("results", [{"code": "refused"}])
                    if not any("code" in result for result in results):
                        break
                except (httpx.HTTPError, ValueError):
                    pass
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.1)
    counts["all"] = number


Listening = Callable[[Path, str, str, Sequence[str], Reader], AbstractAsyncContextManager[asyncio.Task[None]]]


@asynccontextmanager
async def in_node(
    folder: Path, url: str, address: str, channels: Sequence[str], reader: Reader
) -> AsyncIterator[asyncio.Task[None]]:
    """The page by npm's eventsource."""
    words = [str(FOLDER / "read.mjs"), str(page(folder)), url, address, *channels]
    process = await asyncio.create_subprocess_exec(
        "node", *words, stdout=asyncio.subprocess.PIPE, limit=2**22
    )
    reading = asyncio.create_task(_read(process, reader))
    try:
        yield reading
    finally:
        process.kill()
        await process.wait()
        await asyncio.gather(reading, return_exceptions=True)


@asynccontextmanager
async def in_chromium(
    folder: Path, url: str, address: str, channels: Sequence[str], reader: Reader
) -> AsyncIterator[asyncio.Task[None]]:
    """The page by the browser's own EventSource."""
    source = page(folder).read_text().replace("export function", "function")
    ticket = f"async () => {{ const a = await fetch({json.dumps(address)}); if (!a.ok) throw 1; return a.text(); }}"
    start = f"listen({json.dumps(url)}, {json.dumps(channels)}, {ticket}, (m) => got.push(m));"
    async with browser() as tab:
        await tab.evaluate(f"{source}; globalThis.got = []; {start} 1")
        reading = asyncio.create_task(_poll(tab, reader))
        try:
            yield reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


@asynccontextmanager
async def in_python(
    _folder: Path, url: str, address: str, channels: Sequence[str], reader: Reader
) -> AsyncIterator[asyncio.Task[None]]:
    """As a service in Python reads it, by httpx-sse."""
    reading = asyncio.create_task(_follow(url, address, channels, reader))
    try:
        yield reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _follow(url: str, address: str, channels: Sequence[str], reader: Reader) -> None:
    """What httpx-sse leaves to its user: the position, and when to come back."""
    last, retry_ms = "", 1000
    async with httpx.AsyncClient(trust_env=False, timeout=30 * SCALE) as client:
        while True:
            with contextlib.suppress(httpx.HTTPError, SSEError):
                ticket = (await client.get(address)).raise_for_status().text
                query = {"channel": list(channels), "ticket": ticket, "last_event_id": last}
                if not last:
                    del query["last_event_id"]
                async with aconnect_sse(client, "GET", f"{url}/v1/stream", params=query) as source:
                    async for block in source.aiter_sse():
                        last, retry_ms = block.id or last, block.retry or retry_ms
                        if block.data:
                            reader.take(json.loads(block.data))
            await asyncio.sleep(retry_ms / 1000)


async def _poll(tab: Page, reader: Reader) -> None:
    while True:
        for message in await tab.evaluate("globalThis.got.splice(0)"):
            reader.take(message)
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("listeners", [(in_node, in_python), (in_chromium,)], ids=["programs", "browser"])
async def test_every_event_once_and_in_order_or_a_gap_told(
    redis: RedisServer, tmp_path: Path, listeners: Sequence[Listening]
) -> None:
    job, doc = "job:page", "doc:page"
    options = {"broker": redis.url, "frame_bytes": 8192, "message_bytes": 4096, "drain_seconds": 1}
    options["allowed_origins"] = ["*"]
    namespaces = {"doc": {"history_size": 100_000}, "job": {"history_size": 100_000}}
    async with (
        RealHub(**options, namespaces=namespaces, recovery_limit=100_000) as one,
        RealHub(**options, namespaces=namespaces, recovery_limit=100_000) as two,
        RealHub(**options, namespaces=namespaces, recovery_limit=100_000) as three,
        AsyncExitStack() as stack,
    ):
        proxies = [await stack.enter_async_context(Proxy(one)) for _ in listeners]
        counts: dict[str, int] = {}
        publishing = asyncio.create_task(publish(proxies[0], job, doc, counts))
        await asyncio.sleep(1.0)  # so that there is a snapshot of several pages
        readers, readings = [Reader() for _ in listeners], []
        for listening, proxy, reader in zip(listeners, proxies, readers, strict=True):
            address = await stack.enter_async_context(tickets(proxy, [job, doc]))
            url = f"http://127.0.0.1:{proxy.port}"
            begun = listening(tmp_path, url, address, [job, doc], reader)
            readings.append(await stack.enter_async_context(begun))
        await _trouble(proxies, one, two, three, readings)
        await publishing
        async with asyncio.timeout(30 * SCALE):
            while not all(_whole(reader, counts) for reader in readers):
                for reading in readings:
                    assert not reading.done(), reading.exception()
                await asyncio.sleep(0.1)
        for proxy, reader in zip(proxies, readers, strict=True):
            _judge(reader, counts, doc, proxy.cuts)


def _whole(reader: Reader, counts: dict[str, int]) -> bool:
    """It has the last number, and the newest of each key."""
    at_end = bool(reader.numbers) and reader.numbers[-1] == counts["all"] - 1
    return at_end and all(reader.keys.get(str(key)) == counts[str(key)] for key in range(KEYS))


def _judge(reader: Reader, counts: dict[str, int], doc: str, cuts: int) -> None:
    first = reader.numbers[0]
    told = sum(gap["gap"]["to"] - gap["gap"]["from"] + 1 for gap in reader.gaps if gap["channel"] == doc)
    sys.stderr.write(
        f"{len(reader.numbers)} events, {reader.welcomes} streams, {cuts} cuts, {told} told lost\n"
    )
    assert len(reader.numbers) == len(set(reader.numbers))
    assert reader.numbers == sorted(reader.numbers)
    assert counts["all"] - first - len(reader.numbers) == told
    assert "hub.snapshot" in reader.kinds
    assert reader.welcomes > 5


async def _trouble(
    proxies: Sequence[Proxy],
    one: RealHub,
    two: RealHub,
    three: RealHub,
    readings: Sequence[asyncio.Task[None]],
) -> None:
    """Cuts all the while; one node drains, another is killed."""
    loop = asyncio.get_running_loop()
    end, moved = loop.time() + SECONDS, 0
    while loop.time() < end and not any(reading.done() for reading in readings):
        await asyncio.sleep(random.uniform(0.3, 1.5))
        for proxy in proxies:
            proxy.cut_one()
        left = end - loop.time()
        if moved == 0 and left < SECONDS * 0.7:
            moved = 1
            for proxy in proxies:
                proxy.move(two)
            async with httpx.AsyncClient(base_url=one.http, trust_env=False) as client:
                await client.post("/v1/drain", headers={"Authorization": f"Bearer {API_KEY}"})
        elif moved == 1 and left < SECONDS * 0.35:
            moved = 2
            for proxy in proxies:
                proxy.move(three)
            await two.kill()
    assert moved == 2 or any(reading.done() for reading in readings)


async def _read(process: asyncio.subprocess.Process, reader: Reader) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        reader.take(json.loads(line))
