"""What the file of ``sqlite://`` costs, and how long it holds the loop: beside ``memory://``, the loop half busy.

Both brokers run in this process, in turns (A B A B), on one loop that computes for 5 of every 10 ms beside them.
CPU is the loop's thread's own, without that; a stall is the wall time that the loop gives to one write, and how
late a timer of 1 ms is. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hub.broker.base import Published
from hub.broker.memory.broker import MemoryBroker
from hub.broker.sqlite.broker import SqliteBroker
from hub.namespaces import Namespaces
from hub.protocol.event import Publication
from loadtest.figures import Row

if TYPE_CHECKING:
    from hub.broker.sqlite.file import HubFile

BUSY_S, PERIOD_S, TICK_S = 0.005, 0.010, 0.001
STALL_MS = 10.0
BOUNDS = {1: 250.0, 100: 40.0}  # µs an event more than memory://, by the size of the batch
CHANNELS = 50
PAYLOAD = b'{"job":42,"state":"running","progress":40,"note":"' + b"x" * 150 + b'"}'


@dataclass(slots=True)
class Busy:
    """The loop's other work, and how late its timers are. `spun_s` is CPU; `late_ms` of each tick."""

    spun_s: float = 0.0
    late_ms: list[float] = field(default_factory=list)

    async def spin(self) -> None:
        """Compute for half of the time."""
        while True:
            begun = time.thread_time()
            while time.thread_time() - begun < BUSY_S:
                pass
            self.spun_s += time.thread_time() - begun
            await asyncio.sleep(PERIOD_S - BUSY_S)

    async def tick(self) -> None:
        """A timer, again and again."""
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            self.late_ms.append((time.perf_counter() - due) * 1000)


class Timed(SqliteBroker):
    """Notes how long each write holds the loop, ms."""

    def __init__(self, url: str, namespaces: Namespaces, held_ms: list[float]) -> None:
        super().__init__(url, namespaces)
        self._held_ms = held_ms

    def _flush(self, file: HubFile) -> None:
        begun = time.perf_counter()
        super()._flush(file)
        self._held_ms.append((time.perf_counter() - begun) * 1000)


def _ignore(*_told: object) -> None:
    pass


class Nobody:
    """A node that listens to nothing."""

    on_event = on_presence = on_ack = on_lost = on_erased = on_command = staticmethod(_ignore)


@dataclass(slots=True)
class Run:
    """What one turn of one broker came to. `cpu_us` an event; `late_ms` of timers, `held_ms` of writes."""

    cpu_us: float
    late_ms: list[float]
    held_ms: list[float]


async def _measure(broker: MemoryBroker, held_ms: list[float], batch: int, seconds: float) -> Run:
    busy = Busy()
    await broker.start(Nobody())
    beside = [asyncio.create_task(busy.spin()), asyncio.create_task(busy.tick())]
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
            await asyncio.sleep(TICK_S)  # one that comes alone: what came before is written
        used = time.thread_time() - cpu - (busy.spun_s - spun)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await broker.close()
    return Run(used / count * 1e6, busy.late_ms, held_ms)


def _turn(batch: int, seconds: float, folder: str | None) -> Run:
    """One broker, new; on a file in `folder`, or in memory."""
    rules, held_ms = Namespaces.shipped(), list[float]()
    if folder is None:
        return asyncio.run(_measure(MemoryBroker(rules), held_ms, batch, seconds))
    with tempfile.TemporaryDirectory(dir=folder, prefix="hub-load-") as own:
        broker = Timed(f"sqlite://{Path(own).resolve()}/hub.db", rules, held_ms)
        return asyncio.run(_measure(broker, held_ms, batch, seconds))


def measure(seconds: float, rounds: int, folder: str) -> list[Row]:
    """Each bounded figure. A write is all that the loop waits for: statements, commit, the mark beside the file."""
    rows = []
    for batch, bound in BOUNDS.items():
        plain, filed = [], []
        for _ in range(rounds):
            plain.append(_turn(batch, seconds, None))
            filed.append(_turn(batch, seconds, folder))
        memory, sqlite = (statistics.median(run.cpu_us for run in runs) for runs in (plain, filed))
        held = sorted(ms for run in filed for ms in run.held_ms)
        late = [max(ms for run in runs for ms in run.late_ms) for runs in (plain, filed)]
        events = "a lone event" if batch == 1 else f"an event in batches of {batch}"
        rows += [
            Row(f"{events}: CPU more than {memory:.0f} µs in memory", sqlite - memory, bound, "µs"),
            Row(f"{events}: a write, median", held[len(held) // 2], STALL_MS, "ms"),
            Row(f"{events}: a write, 99 of 100", held[int(len(held) * 0.99)], STALL_MS, "ms"),
            Row(f"{events}: the longest of {len(held)} writes", held[-1], STALL_MS, "ms"),
            Row(
                f"{events}: the latest timer ({late[0]:.1f} ms in memory)", late[1], late[0] + STALL_MS, "ms"
            ),
        ]
    return rows
