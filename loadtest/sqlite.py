"""What the file of ``sqlite://`` costs, and how long it holds the loop: beside ``memory://``, the loop half busy.

Both brokers run in this process, in turns (A B A B), on one loop that computes for 5 of every 10 ms beside them.
CPU is the loop's thread's own, without that. A stall is what the loop gives to one write by the clock: part of it
is CPU, part is waiting for a core that others have (the kernel counts both, /proc/thread-self/schedstat), and the
rest is the disk's.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import uvloop

from hub.broker.base import Published
from hub.broker.memory.broker import MemoryBroker
from hub.broker.sqlite.broker import SqliteBroker
from hub.namespaces import Namespaces
from hub.protocol.event import Publication
from loadtest.figures import Row

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from hub.broker.sqlite.file import HubFile

BUSY_S, PERIOD_S, APART_S = 0.005, 0.010, 0.001
STALL_MS = 10.0
BOUNDS = {1: 250.0, 100: 40.0}  # µs an event more than memory://, by the size of the batch
CHANNELS = 50
PAYLOAD = b'{"job":42,"state":"running","progress":40,"note":"' + b"x" * 150 + b'"}'


class Held(NamedTuple):
    """What one write took, ms: by the clock, and of that in CPU and for the disk."""

    wall: float
    cpu: float
    disk: float


@dataclass(slots=True)
class Busy:
    """The loop's other work. `spun_s` is CPU."""

    spun_s: float = 0.0

    async def spin(self) -> None:
        """Compute for half of the time."""
        while True:
            begun = time.thread_time()
            while time.thread_time() - begun < BUSY_S:
                pass
            self.spun_s += time.thread_time() - begun
            await asyncio.sleep(PERIOD_S - BUSY_S)


class Timed(SqliteBroker):
    """Notes how long each write holds the loop."""

    def __init__(self, url: str, namespaces: Namespaces, held_ms: list[Held]) -> None:
        super().__init__(url, namespaces)
        self._held_ms = held_ms
        self._schedstat = os.open("/proc/thread-self/schedstat", os.O_RDONLY)

    def _flush(self, file: HubFile) -> None:
        ran, waited = self._scheduled()
        begun = time.perf_counter()
        super()._flush(file)
        wall = (time.perf_counter() - begun) * 1000
        ran_after, waited_after = self._scheduled()
        cpu = (ran_after - ran) / 1e6
        self._held_ms.append(Held(wall, cpu, max(0.0, wall - cpu - (waited_after - waited) / 1e6)))

    def _scheduled(self) -> tuple[int, int]:
        """ns that this thread ran, and waited for a core."""
        ran, waited, _ = os.pread(self._schedstat, 100, 0).split()
        return int(ran), int(waited)

    async def close(self) -> None:
        await super().close()
        os.close(self._schedstat)


def _ignore(*_told: object) -> None:
    pass


class Nobody:
    """A node that listens to nothing."""

    on_event = on_presence = on_ack = on_lost = on_erased = on_command = staticmethod(_ignore)


@dataclass(slots=True)
class Run:
    """What one turn of one broker came to. `cpu_us` an event; `held_ms` of each write."""

    cpu_us: float
    held_ms: list[Held]


async def _measure(broker: MemoryBroker, held_ms: list[Held], batch: int, seconds: float) -> Run:
    busy = Busy()
    await broker.start(Nobody())
    beside = asyncio.create_task(busy.spin())
    try:
        begun, cpu, spun, count = time.perf_counter(), time.thread_time(), busy.spun_s, 0
        while time.perf_counter() - begun < seconds:
            events = [
                Publication(f"job:{(count + n) % CHANNELS}", "job_status", PAYLOAD, "load", key=str(n % 7))
                for n in range(batch)
            ]
            answers = await broker.publish(events)
            assert all(isinstance(answer, Published) for answer in answers), answers
            count += batch
            await asyncio.sleep(APART_S)  # one that comes alone: what came before is written
        used = time.thread_time() - cpu - (busy.spun_s - spun)
    finally:
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
        await broker.close()
    return Run(used / count * 1e6, held_ms)


def _turn(batch: int, seconds: float, folder: str | None) -> Run:
    """One broker, new; on a file in `folder`, or in memory."""
    rules, held_ms = Namespaces.shipped(), list[Held]()
    if folder is None:
        return _run(_measure(MemoryBroker(rules), held_ms, batch, seconds))
    with tempfile.TemporaryDirectory(dir=folder, prefix="hub-load-") as own:
        broker = Timed(f"sqlite://{Path(own).resolve()}/hub.db", rules, held_ms)
        return _run(_measure(broker, held_ms, batch, seconds))


def _run(measuring: Coroutine[Any, Any, Run]) -> Run:
    """On the loop that a hub has."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measuring)


def measure(seconds: float, rounds: int, folder: str) -> list[Row]:
    """Each bounded figure. A write is all that the loop waits for: statements, commit, the mark beside the file."""
    rows = []
    for batch, bound in BOUNDS.items():
        plain, filed = [], []
        for _ in range(rounds):
            plain.append(_turn(batch, seconds, None))
            filed.append(_turn(batch, seconds, folder))
        memory, sqlite = (statistics.median(run.cpu_us for run in runs) for runs in (plain, filed))
        writes = [held for run in filed for held in run.held_ms]
        held = sorted(each.wall for each in writes)
        events = "a lone event" if batch == 1 else f"an event in batches of {batch}"
        rows += [
            Row(f"{events}: CPU more than {memory:.0f} µs in memory", sqlite - memory, bound, "µs"),
            Row(f"{events}: a write, median", held[len(held) // 2], STALL_MS, "ms"),
            Row(f"{events}: a write, 99 of 100", held[int(len(held) * 0.99)], STALL_MS, "ms"),
            Row(f"{events}: the longest of {len(held)} writes", held[-1], STALL_MS, "ms"),
            Row(f"{events}: the most in CPU", max(each.cpu for each in writes), STALL_MS, "ms"),
            Row(f"{events}: the most for the disk", max(each.disk for each in writes), STALL_MS, "ms"),
        ]
    return rows
