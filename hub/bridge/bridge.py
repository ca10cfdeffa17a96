"""A bridge: one source and the workers of its partitions, kept going whatever the source and the hub do."""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import NoReturn

from ..runtime.backoff import Backoff, Timing
from ..runtime.tasks import ended
from ..tracing.base import Follower
from .hand_over import HandOver
from .letters import Letterbox, LetterRate
from .mapping import Mapper
from .partition import PartitionWorker
from .records import Batch
from .settings import BridgeSettings
from .source import Source, SourceError
from .stats import BridgeStats

log = logging.getLogger("hub.bridge")

REVOKE_S = 5.0  # what is in flight settles before a partition goes to another reader
STOP_S = 10.0
LIVED_S = 30.0
LOOK_S = 5.0  # between two looks at the lag


class Bridge:
    """A bridge: one source and the workers of its partitions, kept going whatever the source and the hub do.
    `make` gives a new source for each try: nothing of a lost link is used again."""

    def __init__(
        self,
        settings: BridgeSettings,
        make: Callable[[], Source],
        hub: HandOver,
        letters: Letterbox,
        timing: Timing | None = None,
        tracer: Follower | None = None,
    ) -> None:
        self.settings = settings
        self.stats = BridgeStats(settings.name, settings.kind)
        self.lag: dict[str, int] = {}
        self._make = make
        self._hub = hub
        self._letters = letters
        self._timing = timing or Timing()
        self._tracer = tracer
        self._mapper = Mapper(settings)
        self._rate = LetterRate(settings.dead_per_minute)
        self._workers: dict[str, PartitionWorker] = {}
        self._source: Source | None = None
        self._lost: asyncio.Future[None] | None = None
        self._down = "not connected yet"
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, and go on."""
        self._task = asyncio.create_task(self._run(), name=f"bridge {self.settings.name}")

    async def stop(self, within_s: float = STOP_S) -> None:
        """Hand on what is in flight, within so many seconds, and let go."""
        if self._task is not None:
            await ended([self._task])
        await self._leave(list(self._workers), within_s)
        if self._source is not None:
            await self._source.close()
            self._source = None

    @property
    def problems(self) -> list[str]:
        """Why it is not well, in words; empty where it is."""
        found = [f"{self.settings.name}: {self._down}"] if self._down else []
        for worker in self._workers.values():
            if worker.problem:
                found.append(worker.problem)
            found += [f"{worker.name}: {name} goes to the dead letters" for name in worker.diverted]
        return found

    @property
    def in_flight(self) -> int:
        """Batches that were read and are not settled."""
        return sum(worker.in_flight for worker in self._workers.values())

    async def _run(self) -> None:
        backoff = Backoff(self._timing, 0.2, 15.0)
        while True:
            began = self._timing.now()
            try:
                await self._read()
            except SourceError as error:
                self._down = str(error)
                log.warning("%s can't be read: %s", self.settings.name, error)
            except asyncio.CancelledError:
                raise  # `stop` hands on what is in flight
            except Exception as error:  # a fault of ours, or of a library: red, and tried again
                self._down = f"{type(error).__name__}: the log has more"
                log.exception("%s can't be read", self.settings.name)
            await self._let_go()
            backoff.lived(self._timing.now() - began)
            await self._timing.sleep(0.1 + backoff.next())

    async def _read(self) -> None:
        source = self._source = self._make()
        await source.start(self._revoked)
        self._down = ""
        log.info("%s is read", self.settings.name)
        self._lost = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(each) for each in (self._watch(source), self._take_all(source))]
        try:
            first, _ = await asyncio.wait([*tasks, self._lost], return_when=asyncio.FIRST_COMPLETED)
            for each in first:
                each.result()
        finally:
            self._lost.cancel()
            await ended(tasks)
            await asyncio.gather(*tasks, self._lost, return_exceptions=True)  # their errors are seen

    async def _take_all(self, source: Source) -> NoReturn:
        while True:
            batch = await source.next()
            self.stats.received += len(batch.records)
            self._worker(batch).take(batch)

    def _is_lost(self, error: SourceError) -> None:
        """What was read can't be acknowledged any more: it is read anew."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_exception(error)

    def _worker(self, batch: Batch) -> PartitionWorker:
        worker = self._workers.get(batch.partition)
        if worker is None:
            assert self._source is not None
            worker = PartitionWorker(
                batch.partition,
                self.settings,
                self._mapper,
                self._source,
                self._hub,
                self._letters,
                self._rate,
                self.stats,
                self._timing,
                tracer=self._tracer,
                lost=self._is_lost,
            )
            worker.start()
            self._workers[batch.partition] = worker
            self._share()
        return worker

    def _share(self) -> None:
        for worker in self._workers.values():
            worker.share(len(self._workers))

    async def _watch(self, source: Source) -> None:
        while True:
            try:
                self.lag = dict(await source.lag())
            except SourceError as error:
                log.info("%s: the lag is not known: %s", self.settings.name, error)
            await self._timing.sleep(LOOK_S)

    async def _revoked(self, partitions: Collection[str]) -> None:
        await self._leave(partitions, REVOKE_S)

    async def _leave(self, partitions: Collection[str], within_s: float) -> None:
        workers = [worker for name in partitions if (worker := self._workers.pop(name, None)) is not None]
        self._share()
        await asyncio.gather(*(worker.stop(within_s) for worker in workers))

    async def _let_go(self) -> None:
        """The link is lost: what was read comes again, so it is not waited for."""
        await self._leave(list(self._workers), 0.0)
        if self._source is not None:
            source, self._source = self._source, None
            await source.close()
