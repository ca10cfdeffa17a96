"""A bridge beside the bare client of the same system, in one run: messages a second, memory, and the time from a
producer to a subscriber's socket."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from hub.client import Client, Event
from loadtest import bare
from loadtest.figures import Row
from loadtest.latency import Latencies

if TYPE_CHECKING:
    from tests.sources.feeds import Feed, Message
    from tests.sources.process import BridgeProcess
    from tests.support.server import RunningHub

KINDS = ("kafka", "rabbitmq", "nats", "redis_stream", "postgres")
LEAST = {
    "kafka": 10_000,
    "rabbitmq": 3_000,
    "nats": 5_000,
    "redis_stream": 5_000,
    "postgres": 2_000,
}  # a second
SHARE = {
    "kafka": 0.5,
    "rabbitmq": 0.6,
    "nats": 0.5,
    "redis_stream": 0.5,
    "postgres": 0.6,
}  # of the bare client
MEMORY_MB = 120
P99_MS = 50
RATE = 500  # messages a second, for the latency
PAD = "x" * 220  # a message of some 300 bytes
ORDERS = 20
DEADLINE_S = 120.0


async def measure(kind: str, count: int, seconds: float) -> list[Row]:
    """The bare client and the bridge, each over `count` messages that were there before, then the flow."""
    from tests.sources.feeds import FEEDS  # the servers' starters, and the libraries of all kinds
    from tests.support.server import running_hub

    with tempfile.TemporaryDirectory(prefix="hub-source-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user
        (folder / "source").mkdir()
        async with FEEDS[kind](folder / "source") as feed:
            await feed.produce(_messages(count))
            floor, floor_cpu = await asyncio.to_thread(_bare, kind, feed, count)
            await feed.produce(_messages(count))
            with running_hub(namespaces={"order": {"mode": "log", "history_size": 100}}) as hub:
                bridge = _bridge(feed, hub.url, hub.api_key, folder)
                try:
                    drained = await _drained(bridge, hub, count)
                    latencies = await _flow(
                        feed, hub.ws_url, hub.token("ann", subscribe=["order:*"]), seconds
                    )
                    memory = _peak_mb(bridge)
                finally:
                    bridge.stop()
    return [
        Row(f"{kind}: bare client", floor, 0, "/s", least=True),
        Row(f"{kind}: bridge", drained.rate, LEAST[kind], "/s", least=True),
        Row(f"{kind}: bridge, of the bare client", drained.rate / floor, SHARE[kind], "×", least=True),
        Row(f"{kind}: CPU a message: bare client", floor_cpu / count * 1e6, 0, "µs", least=True),
        Row(f"{kind}: CPU a message: bridge", drained.bridge_us, 0, "µs", least=True),
        Row(f"{kind}: CPU a message: hub", drained.hub_us, 0, "µs", least=True),
        Row(f"{kind}: memory of the bridge, most", memory, MEMORY_MB, "MB"),
        Row(f"{kind}: produce to socket at {RATE}/s, median", latencies.percentile(50), P99_MS, "ms"),
        Row(f"{kind}: produce to socket at {RATE}/s, p99", latencies.percentile(99), P99_MS, "ms"),
    ]


def _messages(count: int) -> list[Message]:
    return [
        {"id": f"{number}", "order": f"o{number % ORDERS}", "kind": "changed", "n": {"pad": PAD, "n": number}}
        for number in range(count)
    ]


def _bare(kind: str, feed: Feed, count: int) -> tuple[float, float]:
    """Messages a second of a process that reads and acknowledges, and does nothing else; and its seconds of CPU."""
    context = multiprocessing.get_context("spawn")
    took = context.Queue()
    reader = context.Process(target=bare.read, args=(kind, _address(feed), count, took), daemon=True)
    reader.start()
    try:
        seconds, cpu_s = took.get(timeout=DEADLINE_S)
        return count / seconds, cpu_s
    finally:
        reader.join(10)
        reader.kill()


def _address(feed: Any) -> str:
    """Whatever the feed calls it."""
    return str(next(getattr(feed, name) for name in ("address", "dsn", "url") if hasattr(feed, name)))


def _bridge(feed: Feed, url: str, api_key: str, folder: Path) -> BridgeProcess:
    """With the default batch, and the numbers of what it reads in a group of its own."""
    from tests.sources.process import BridgeProcess

    made = BridgeProcess(url, api_key, feed.settings().replace("batch = 50\n", ""), folder / "bridge")
    made.start()
    return made


@dataclass(frozen=True, slots=True)
class Drained:
    """Messages a second, and microseconds of CPU a message of the bridge and of the hub."""

    rate: float
    bridge_us: float
    hub_us: float


async def _drained(bridge: BridgeProcess, hub: RunningHub, count: int) -> Drained:
    """From the first look at which the hub had some to the one at which it had all: as the bare client, which is
    timed from its first message on. One looks seldom and over one connection, as that takes of the same cores."""
    base = f"http://127.0.0.1:{bridge.port}"
    first: tuple[int, float, float, float] | None = None
    deadline = time.perf_counter() + DEADLINE_S
    async with httpx.AsyncClient(base_url=base, timeout=10, trust_env=False) as http:
        while (now := time.perf_counter()) < deadline:
            done = _counter((await http.get("/metrics")).text, "hub_bridge_events_total")
            seen = (done, now, _cpu_s(bridge), hub.cpu_seconds())
            first = first or (seen if done else None)
            if first is not None and done >= count:
                messages, *spent = (after - before for before, after in zip(first, seen, strict=True))
                return Drained(messages / spent[0], *(each / messages * 1e6 for each in spent[1:]))
            await asyncio.sleep(0.1)
    raise TimeoutError(f"the bridge has handed on {done} of {count} in {DEADLINE_S:.0f} s")


def _counter(text: str, name: str) -> int:
    return int(sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name)))


def _cpu_s(bridge: BridgeProcess) -> float:
    """User and system, of proc(5)."""
    assert bridge.process is not None
    fields = Path(f"/proc/{bridge.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(bridge: BridgeProcess) -> float:
    """VmHWM of proc(5)."""
    assert bridge.process is not None
    status = Path(f"/proc/{bridge.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


async def _flow(feed: Feed, url: str, token: str, seconds: float) -> Latencies:
    """From a producer's call to a subscriber's socket, at `RATE` a second."""
    took = Latencies()
    seen = 0

    async def listen(hub: Client, channel: str, ready: asyncio.Event) -> None:
        nonlocal seen
        subscription = hub.subscribe(channel)
        ready.set()
        async for item in subscription:
            if isinstance(item, Event) and "at" in item.payload:
                seen += 1
                if seen > RATE:  # the first second warms up
                    took.add(int((time.time() - item.payload["at"]) * 1e6))

    async with Client(url, token=token) as hub:
        started = [asyncio.Event() for _ in range(ORDERS)]
        listeners = [
            asyncio.create_task(listen(hub, f"order:flow{number}", ready))
            for number, ready in enumerate(started)
        ]
        await asyncio.gather(*(ready.wait() for ready in started))
        await asyncio.sleep(1.0)
        await feed.stream(_timed(seconds))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                while seen < int(RATE * seconds):
                    await asyncio.sleep(0.05)
        for each in listeners:
            each.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
    if seen < int(RATE * seconds):
        raise TimeoutError(f"{seen} of {int(RATE * seconds)} messages came through")
    return took


async def _timed(seconds: float) -> Any:
    """Messages in time with `RATE`, each with the moment at which it is handed over."""
    begun = time.perf_counter()
    for number in range(int(RATE * seconds)):
        ahead = begun + number / RATE - time.perf_counter()
        if ahead > 0:
            await asyncio.sleep(ahead)
        name = f"flow{number % ORDERS}"
        body = {"pad": PAD, "at": time.time()}
        yield {"id": f"{os.getpid()}-{number}", "order": name, "kind": "changed", "n": body}
