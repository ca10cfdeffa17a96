"""Publications of one partition on their way to the hub: until each was taken, or is a dead letter.

    publications ─▶ ordered batches of the hub ─▶ all answered
        └ poison, refused for good ─▶ dead letter     └ retry: the same again, with backoff, for ever

While something is repeated, what is behind it waits. What one channel alone refuses for minutes (`limit`, a schema)
is taken out of the way: that event and all that follows for that channel become dead letters, in order.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hub.protocol.codes import RETRYABLE, ErrorCode
from hub.protocol.errors import HubError

from ..runtime.backoff import Backoff, Timing
from ..sdk.delivery import TryAgain
from ..tracing.base import Follower
from . import traces
from .hand_over import HandOver
from .letters import Letter, Letterbox, LetterRate, letter_id, publication
from .masks import masker
from .records import Record, where
from .settings import BridgeSettings
from .source import LOST_S, Lost, Source, SourceError
from .stats import BridgeStats

log = logging.getLogger("hub.bridge")

IN_FLIGHT = 4  # times the batch: records of a partition that were read and not settled
RETRY_LOW_S, RETRY_HIGH_S = 0.1, 10.0
LONG_S = 5.0  # what is repeated for longer is said in /readyz
OWN_REFUSALS = frozenset({"limit", "conflict", "too_large"})
"""Codes by which one channel alone refuses what others take."""
PASSES = frozenset(code.value for code in RETRYABLE)
MOST_DIVERTED = 1024


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


class Forwarder:
    """Publications of one partition, `name`, on their way to the hub."""

    def __init__(
        self,
        partition: str,
        settings: BridgeSettings,
        source: Source,
        hub: HandOver,
        letters: Letterbox,
        rate: LetterRate,
        stats: BridgeStats,
        timing: Timing,
        tracer: Follower | None = None,
        lost: Lost = lambda error: None,
    ) -> None:
        self.name = f"{settings.name}:{partition}"
        self.diverted: dict[str, None] = {}
        """Channels whose events go to the dead letters."""
        self._waits: tuple[float, str] | None = None  # since when something is repeated, and why
        self._partition = partition
        self._settings = settings
        self._source = source
        self._hub = hub
        self._letters = letters
        self._rate = rate
        self._stats = stats
        self._timing = timing
        self._tracer = tracer
        self._lost = lost
        self._mask = masker(settings)
        self._backoff = Backoff(timing, RETRY_LOW_S, RETRY_HIGH_S)
        self._repeated = 0  # duplicates in a row

    @property
    def problem(self) -> str:
        """Why what is under way has been repeated for long; empty where it is not."""
        if self._waits is None or (lasted := self._timing.now() - self._waits[0]) < LONG_S:
            return ""
        return f"{self.name} has waited for {lasted:.0f} s: {self._waits[1]}"

    async def forward(self, steps: Steps) -> None:
        """In order: what stands before a dead letter has to be through, or a crash here would lose its place.

        Raises:
            Stopped, TooManyLetters: somebody has to look at it.
        """
        for step in steps:
            if isinstance(step, Dead):
                await self._give_up(step.record, step.code, step.reason, step.each, counted=step.counted)
            else:
                await self._send_all(step)

    async def _send_all(self, waiting: Sequence[Handing]) -> None:
        most = self._settings.batch
        for start in range(0, len(waiting), most):
            await self._send(list(waiting[start : start + most]))

    async def _send(self, waiting: list[Handing]) -> None:
        """Until each was taken or given up."""
        while waiting := await self._going(waiting):
            try:
                results = await self._publish(waiting)
            except TryAgain as error:
                self._stats.retried(error.reason)
                await self._pause(error.after, error.reason)
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
                why = next(str(each.get("reason", each["code"])) for each in results if "code" in each)
                await self._pause(wait, why)
        self._waits = None

    async def _going(self, waiting: list[Handing]) -> list[Handing]:
        """Without those for channels that are diverted."""
        return [each for each in waiting if not await self._diverts(each)] if self.diverted else waiting

    async def _publish(self, waiting: Sequence[Handing]) -> list[dict[str, Any]]:
        events = [each.event for each in waiting]
        if self._tracer is None:
            return await self._hub.publish(events)
        pairs = ((each.record, each.event) for each in waiting)
        return await self._tracer.follow(
            traces.step(self._settings, self._partition, pairs), lambda _: self._hub.publish(events)
        )

    async def _judge(
        self, waiting: Sequence[Handing], results: Sequence[dict[str, Any]]
    ) -> tuple[list[Handing], float | None]:
        """Which are to be sent again, and after how long."""
        if not any("code" in result or "duplicate" in result for result in results):  # as nearly always
            self._stats.all_handed_on([each.record for each in waiting])
            self._repeated = 0
            self._backoff.reset()
            return [], None
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
        if each.record.place is not None and self._repeated > 2 * IN_FLIGHT * self._settings.batch:
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
        if now - each.since >= self._settings.divert_after and len(self.diverted) < MOST_DIVERTED:
            channel = str(each.event["channel"])
            log.warning(
                "%s: %s has refused for %.0f s: dead letters from now on",
                self.name,
                channel,
                now - each.since,
            )
            self.diverted[channel] = None

    async def _diverts(self, each: Handing) -> bool:
        channel = str(each.event["channel"])
        if channel not in self.diverted:
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
        origin = f"{self.name}@{where(record)}"
        event = publication(each.event) if each is not None else None
        tries = max(record.tries, each.tries if each is not None else 1)
        letter = Letter(letter_id(f"{origin}{channel}"), origin, code, reason, tries, record.value, event)
        await self._letters.post(self._mask(letter))
        await self._reject(record, code, reason)
        self._stats.dead(code)
        log.warning("a dead letter: %s: %s: %s", origin, code, reason)

    async def _reject(self, record: Record, code: str, reason: str) -> None:
        """Tell the source, which may be away: what is behind waits, as the next acknowledgement would cover it."""
        began = self._timing.now()
        while True:
            try:
                return await self._source.reject(record, code, reason)
            except SourceError as error:
                log.warning("%s: not rejected: %s", self.name, error)
                if self._timing.now() - began >= LOST_S:
                    self._lost(error)
                await self._pause(None, str(error))

    async def _pause(self, after: float | None, why: str) -> None:
        self._waits = (self._waits[0] if self._waits is not None else self._timing.now(), why)
        await self._timing.sleep(min(after or 0.0, 30.0) + self._backoff.next())
