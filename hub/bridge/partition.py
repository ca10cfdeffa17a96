"""One partition of a source, handed on: batch after batch, in order.

    batch ─map─▶ publications ─▶ ordered batches of the hub ─▶ all answered ─▶ settled at the source
                     └ poison ─▶ dead letter                └ retry: the same again, with backoff, for ever

Nothing is settled before all before it was; while something is repeated, the partition waits. What one channel
alone refuses for minutes (`limit`, a schema) is taken out of the way: that event and all that follows for that
channel become dead letters, in order.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hub.protocol.codes import RETRYABLE, ErrorCode
from hub.protocol.errors import HubError

from ..runtime.backoff import Backoff, Timing
from ..sdk.delivery import TryAgain
from ..tracing.base import Follower
from . import traces
from .hand_over import HandOver
from .letters import Letter, Letterbox, LetterRate, TooManyLetters, letter_id, publication
from .mapping import Mapper, Poison, event_id
from .masks import masker
from .records import Batch, Record, where
from .settings import BridgeSettings
from .source import Source, SourceError
from .stats import BridgeStats

log = logging.getLogger("hub.bridge")

IN_FLIGHT = 2  # batches of a partition that were read and not settled
RETRY_LOW_S, RETRY_HIGH_S = 0.1, 10.0
OWN_REFUSALS = frozenset({"limit", "conflict", "too_large"})
"""Codes by which one channel alone refuses what others take."""
PASSES = frozenset(code.value for code in RETRYABLE)
MOST_DIVERTED = 1024
EXPIRED = "expired"
"""The code of letters of what has waited for longer than its time to live."""


class Stopped(Exception):
    """The partition can't go on without somebody: `str` says why."""


@dataclass(slots=True, eq=False)
class Handing:
    """One publication on its way, and the record that it came from."""

    record: Record
    event: dict[str, Any]
    tries: int = 0
    since: float | None = None  # when its channel alone began to refuse it


@dataclass(frozen=True, slots=True)
class Dead:
    """A record, or one publication of it, that is not handed on. `counted`: it says something of the mapping."""

    record: Record
    code: str
    reason: str
    each: Handing | None = None
    counted: bool = True


Steps = Sequence[list[Handing] | Dead]


class PartitionWorker:
    """One partition of a source, handed on: batch after batch, in order. `problem` says why it stands, for
    ``/readyz``; empty while it goes on."""

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
    ) -> None:
        self.partition = partition
        self.problem = ""
        self.name = f"{settings.name}:{partition}"
        self._settings = settings
        self._mapper = mapper
        self._source = source
        self._hub = hub
        self._letters = letters
        self._rate = rate
        self._stats = stats
        self._timing = timing
        self._wall = wall
        self._tracer = tracer
        self._mask = masker(settings)
        self._backoff = Backoff(timing, RETRY_LOW_S, RETRY_HIGH_S)
        self._queue: asyncio.Queue[tuple[Batch, Steps]] = asyncio.Queue()
        self._diverted: dict[str, None] = {}
        self._repeated = 0  # duplicates in a row
        self._held = False
        self._in_flight = 0
        self._idle = asyncio.Event()  # nothing is in flight, or nothing will come of it
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def diverted(self) -> Sequence[str]:
        """Channels whose events go to the dead letters."""
        return list(self._diverted)

    @property
    def in_flight(self) -> int:
        """Batches that were read and are not settled."""
        return self._in_flight

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=f"bridge {self.name}")

    def take(self, batch: Batch) -> None:
        """The next batch; the source is held where enough is under way. It is mapped at once, while the hub has the
        one before."""
        self._queue.put_nowait((batch, self._mapped(batch)))
        self._in_flight += 1
        if not self.problem:
            self._idle.clear()
        if self.in_flight >= IN_FLIGHT and not self._held:
            self._held = True
            self._source.hold(self.partition)

    async def stop(self, within_s: float) -> None:
        """Settle what is in flight where that can be done in time; what is not comes again elsewhere."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            log.info("%s: %d batches were not handed on in time; they come again", self.name, self.in_flight)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            batch, steps = await self._queue.get()
            try:
                await self._hand_on(steps)
                await self._source.settle(batch)
            except (Stopped, TooManyLetters) as error:
                self.problem = f"{self.name}: {error}"
                log.error("the bridge stands: %s", self.problem)
                self._source.hold(self.partition)
                self._idle.set()
                return  # nothing more is read of it until it is started anew
            except SourceError as error:
                # It can't be settled, so it comes again: what reads the source finds out by itself.
                log.warning("%s: not settled: %s", self.name, error)
            except Exception as error:  # a fault of ours: it stands and says so, rather than lose something
                self.problem = f"{self.name}: {type(error).__name__}"
                log.exception("the bridge stands: %s", self.name)
                self._source.hold(self.partition)
                self._idle.set()
                return
            self._done()
            self._stats.settled(len(batch.records))
            if self._held and self.in_flight < IN_FLIGHT:
                self._held = False
                self._source.release(self.partition)

    def _done(self) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    def _mapped(self, batch: Batch) -> Steps:
        """What is to be done with a batch, in order: publications in runs, and between them what is poison."""
        steps: list[list[Handing] | Dead] = []
        run: list[Handing] = []
        for record in batch.records:
            try:
                found = self._mapper.map(record, self.partition)
            except Poison as poison:
                steps += [run, Dead(record, poison.code, poison.reason)]
                run = []
                continue
            handings = [self._handing(record, event) for event in found.events] if found is not None else []
            if handings and (why := self._expired(record)):
                steps += [run, *(Dead(record, EXPIRED, why, each, counted=False) for each in handings)]
                run = []
            else:
                run += handings
        return [*steps, run]

    async def _hand_on(self, steps: Steps) -> None:
        """In order: what stands before a dead letter has to be through, or a crash here would lose its place."""
        for step in steps:
            if isinstance(step, Dead):
                await self._give_up(step.record, step.code, step.reason, step.each, counted=step.counted)
            else:
                await self._send_all(step)

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

    async def _send_all(self, waiting: Sequence[Handing]) -> None:
        most = self._settings.batch
        for start in range(0, len(waiting), most):
            await self._send(list(waiting[start : start + most]))

    async def _send(self, waiting: list[Handing]) -> None:
        """Until each was taken or given up."""
        while waiting := [each for each in waiting if not await self._diverts(each)]:
            try:
                results = await self._publish(waiting)
            except TryAgain as error:
                self._stats.retried(error.reason)
                await self._pause(error.after)
                continue
            except HubError as error:
                if len(waiting) > 1:  # the body as a whole: find out which
                    half = len(waiting) // 2
                    await self._send(waiting[:half])
                    await self._send(waiting[half:])
                    return
                results = [error.fields()]
            waiting, wait = await self._judge(waiting, results)
            if waiting:
                await self._pause(wait)

    async def _publish(self, waiting: Sequence[Handing]) -> list[dict[str, Any]]:
        events = [each.event for each in waiting]
        if self._tracer is None:
            return await self._hub.publish(events)
        pairs = ((each.record, each.event) for each in waiting)
        return await self._tracer.follow(
            traces.step(self._settings, self.partition, pairs), lambda _: self._hub.publish(events)
        )

    async def _judge(
        self, waiting: Sequence[Handing], results: Sequence[dict[str, Any]]
    ) -> tuple[list[Handing], float | None]:
        """Which are to be sent again, and after how long."""
        again: list[Handing] = []
        wait: float | None = None
        for each, result in zip(waiting, results, strict=True):
            code = result.get("code")
            if code is None:
                self._taken(each, result)
            elif result.get("retry") or code in PASSES:
                each.tries += 1
                self._note_refusal(each, code)
                again.append(each)
                wait = max(wait or 0.0, result.get("retry_after_ms", 0) / 1000)
            else:
                reason = str(result.get("reason", "the hub refused it"))
                await self._give_up(each.record, code, reason, each)
        if len(again) < len(waiting):
            self._backoff.reset()
        return again, wait

    def _taken(self, each: Handing, result: dict[str, Any]) -> None:
        self._stats.handed_on(each.record, duplicate=bool(result.get("duplicate")))
        if not result.get("duplicate"):
            self._repeated = 0
            return
        self._repeated += 1
        if each.record.place is not None and self._repeated > IN_FLIGHT * self._settings.batch * 2:
            raise Stopped(
                f"{self._repeated} messages in a row, the last at {each.record.place}, were handed on before: "
                f"does the source begin anew? Raise `generation`, or skip to its end"
            )

    def _note_refusal(self, each: Handing, code: str) -> None:
        """A channel that alone refuses for long is diverted."""
        if code not in OWN_REFUSALS:
            each.since = None
            return
        now = self._timing.now()
        each.since = each.since if each.since is not None else now
        if now - each.since >= self._settings.divert_after and len(self._diverted) < MOST_DIVERTED:
            channel = str(each.event["channel"])
            log.warning(
                "%s: %s has refused for %.0f s: dead letters from now on",
                self.name,
                channel,
                now - each.since,
            )
            self._diverted[channel] = None

    async def _diverts(self, each: Handing) -> bool:
        channel = str(each.event["channel"])
        if channel not in self._diverted:
            return False
        why = (
            f"{channel} has refused for {self._settings.divert_after:.0f} s, and what follows is kept with it"
        )
        await self._give_up(each.record, ErrorCode.LIMIT.value, why, each, counted=False)
        return True

    async def _give_up(
        self, record: Record, code: str, reason: str, each: Handing | None = None, *, counted: bool = True
    ) -> None:
        if counted:  # a channel that is diverted, or a message's age, is no sign of a broken mapping
            self._rate.count(self._timing.now())
        channel = f"/{each.event['channel']}" if each is not None else ""
        origin = f"{self._settings.name}:{self.partition}@{where(record)}"
        event = publication(each.event) if each is not None else None
        tries = max(record.tries, each.tries if each is not None else 1)
        letter = Letter(letter_id(f"{origin}{channel}"), origin, code, reason, tries, record.value, event)
        await self._letters.post(self._mask(letter))
        await self._source.reject(record, code, reason)
        self._stats.dead(code)
        log.warning("a dead letter: %s: %s: %s", origin, code, reason)

    async def _pause(self, after: float | None) -> None:
        await self._timing.sleep(min(after or 0.0, 30.0) + self._backoff.next())
