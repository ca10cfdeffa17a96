"""One partition of a source, handed on in order, and settled behind.

    batch ─map─▶ what waits ─▶ handed on (`forward`) ─▶ settled at the source
                 gathered up to a batch                  gathered, while the hub has the next

Nothing is settled before all before it was handed on. Three things go on at once: the source is read and mapped,
the hub has what was read before, and the source is told of what the hub has taken.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ..runtime.backoff import Backoff, Timing
from ..runtime.tasks import ended
from ..tracing.base import Follower
from .forward import IN_FLIGHT, RETRY_HIGH_S, RETRY_LOW_S, Dead, Forwarder, Handing, Steps, Stopped
from .hand_over import HandOver
from .letters import Letterbox, LetterRate, TooManyLetters
from .mapping import Mapper, Poison, event_id
from .records import Batch, Record
from .settings import BridgeSettings
from .source import LOST_S, Lost, Source, SourceError
from .stats import BridgeStats

log = logging.getLogger("hub.bridge")

MOST_BYTES = 8_388_608  # of messages that were read and not settled, beyond the last batch
EXPIRED = "expired"
"""The code of letters of what has waited for longer than its time to live."""


class PartitionWorker:
    """One partition of a source, handed on in order, and settled behind."""

    def __init__(
        self,
        partition: str,
        settings: BridgeSettings,
        mapper: Mapper,
        source: Source,
        hub: HandOver,
        letters: Letterbox,
        rate: LetterRate,
        stats: BridgeStats,
        timing: Timing,
        wall: Callable[[], float] = time.time,
        tracer: Follower | None = None,
        lost: Lost = lambda error: None,
    ) -> None:
        self.partition = partition
        self._stands = ""
        self.name = f"{settings.name}:{partition}"
        self._settings = settings
        self._mapper = mapper
        self._source = source
        self._stats = stats
        self._timing = timing
        self._wall = wall
        self._lost = lost
        self._forwarder = Forwarder(
            partition, settings, source, hub, letters, rate, stats, timing, tracer, lost
        )
        self._waiting: deque[tuple[Batch, Steps]] = deque()
        self._arrived = asyncio.Event()
        self._handed_on: list[Batch] = []
        self._to_settle = asyncio.Event()
        self._held = False
        self._in_flight = self._settling = 0  # batches
        self._records = self._bytes = 0  # of those in flight
        self._most_records, self._most_bytes = IN_FLIGHT * settings.batch, MOST_BYTES
        self._idle = asyncio.Event()  # nothing is in flight, or nothing will come of it
        self._idle.set()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def problem(self) -> str:
        """Why it does not go on; empty while it does."""
        return self._stands or self._forwarder.problem

    @property
    def diverted(self) -> Sequence[str]:
        """Channels whose events go to the dead letters."""
        return list(self._forwarder.diverted)

    @property
    def in_flight(self) -> int:
        """Batches that were read and are not settled."""
        return self._in_flight

    def share(self, partitions: int) -> None:
        """So many are read at once: what each may have under way is less, so that the whole stays as it is."""
        most = 2 * IN_FLIGHT * self._settings.batch // partitions
        self._most_records = max(self._settings.batch, min(IN_FLIGHT * self._settings.batch, most))
        self._most_bytes = max(MOST_BYTES // 16, MOST_BYTES // partitions)

    def start(self) -> None:
        """Begin."""
        self._tasks = [
            asyncio.create_task(self._guarded(each), name=f"bridge {self.name} {what}")
            for what, each in (("hands on", self._hand_on), ("settles", self._settle))
        ]

    def take(self, batch: Batch) -> None:
        """The next batch; the source is held where enough is under way. It is mapped at once, while the hub has the
        one before."""
        self._waiting.append((batch, self._mapped(batch)))
        self._arrived.set()
        self._count(batch, 1)
        if not self._stands:
            self._idle.clear()
        if self._full and not self._held:
            self._held = True
            self._source.hold(self.partition)

    async def stop(self, within_s: float) -> None:
        """Settle what is in flight where that can be done in time; what is not comes again elsewhere."""
        if not self._tasks:
            return
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            log.info("%s: %d batches were not handed on in time; they come again", self.name, self.in_flight)
        await ended(self._tasks)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (Stopped, TooManyLetters) as error:
            log.error("the bridge stands: %s: %s", self.name, error)
            self._stand(str(error))
        except Exception as error:  # a fault of ours: it stands and says so, rather than lose something
            log.exception("the bridge stands: %s", self.name)
            self._stand(type(error).__name__)
            self._settling = 0

    def _stand(self, why: str) -> None:
        """Nothing more is read of it until it is started anew."""
        self._stands = f"{self.name}: {why}"
        self._source.hold(self.partition)
        self._look_idle()

    async def _hand_on(self) -> None:
        while True:
            await self._arrived.wait()
            batches, steps = self._gathered()
            await self._forwarder.forward(steps)
            self._handed_on += batches
            self._settling += len(batches)
            self._to_settle.set()

    def _gathered(self) -> tuple[list[Batch], Steps]:
        """What waits, up to a batch: what comes in small ones while the hub is busy goes on in one."""
        batches: list[Batch] = []
        steps: list[list[Handing] | Dead] = []
        records = 0
        while self._waiting and (
            not batches or records + len(self._waiting[0][0].records) <= self._settings.batch
        ):
            batch, more = self._waiting.popleft()
            batches.append(batch)
            _join(steps, more)
            records += len(batch.records)
        if not self._waiting:
            self._arrived.clear()
        return batches, steps

    async def _settle(self) -> None:
        while True:
            await self._to_settle.wait()
            self._to_settle.clear()
            batches, self._handed_on = self._handed_on, []
            records = [record for batch in batches for record in batch.records]
            await self._acknowledge(Batch(self.partition, records))
            self._settling -= len(batches)
            for batch in batches:
                self._count(batch, -1)
            self._stats.settled(len(records))
            self._look_idle()
            if self._held and not self._full and not self._stands:
                self._held = False
                self._source.release(self.partition)

    async def _acknowledge(self, batch: Batch) -> None:
        """Until the source knows it, or is read anew."""
        backoff = Backoff(self._timing, RETRY_LOW_S, RETRY_HIGH_S)
        began = self._timing.now()
        while True:
            try:
                return await self._source.settle(batch)
            except SourceError as error:
                log.warning("%s: not settled: %s", self.name, error)
                if self._timing.now() - began >= LOST_S:
                    self._lost(error)
                await backoff.pause()

    @property
    def _full(self) -> bool:
        return self._records >= self._most_records or self._bytes >= self._most_bytes

    def _count(self, batch: Batch, sign: int) -> None:
        self._in_flight += sign
        self._records += sign * len(batch.records)
        self._bytes += sign * sum(len(record.value) for record in batch.records)

    def _look_idle(self) -> None:
        if not self._in_flight or (self._stands and not self._settling):
            self._idle.set()

    def _mapped(self, batch: Batch) -> Steps:
        """What is to be done with a batch, in order: publications in runs, and between them what is poison."""
        steps: list[list[Handing] | Dead] = []
        run: list[Handing] = []
        for record in batch.records:
            try:
                events = self._mapper.map(record, self.partition)
            except Poison as poison:
                steps += [run, Dead(record, poison.code, poison.reason)]
                run = []
                continue
            handings = [self._handing(record, event) for event in events]
            if handings and (why := self._expired(record)):
                steps += [run, *(Dead(record, EXPIRED, why, each, counted=False) for each in handings)]
                run = []
            else:
                run += handings
        return [*steps, run]

    def _expired(self, record: Record) -> str:
        """In words, where it has waited for longer than its time to live."""
        ttl = self._settings.entry_ttl
        if ttl is None or record.time_ms is None:
            return ""
        age = self._wall() - record.time_ms / 1000
        return f"it has waited for {age:.0f} s, entry_ttl is {ttl:g} s" if age > ttl else ""

    def _handing(self, record: Record, event: dict[str, Any]) -> Handing:
        if record.place is not None:
            event["source"] = {"name": self.name, "position": record.place}
        elif "event_id" not in event and record.id is not None:
            event["event_id"] = event_id(record.id)
        if record.place is None:
            event["event_id_ttl_ms"] = int(self._settings.id_memory * 1000)
        return Handing(record, event)


def _join(steps: list[list[Handing] | Dead], more: Steps) -> None:
    """What ends with a run of publications and what begins with one have that run in common."""
    if not steps:
        steps += more
        return
    last, first = steps[-1], more[0]
    assert isinstance(last, list)
    assert isinstance(first, list)
    last += first
    steps += more[1:]
