"""One fault on one stage, and what came of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx

from ..support.pace import SCALE
from .flow import Attempt
from .judge import Ledger, Verdict, judge
from .stage import CHANNELS, HISTORY, STATE, Setup, Stage, stage

WARM = 12  # events of each channel before the fault
AFTER = 12  # and after all is well again
LATE_S = 0.5  # an event that comes so long after its publisher's answer is late
RED_WITHIN_S = 5.0
AT_ONCE_MS = 100.0  # by the median, beyond what /readyz takes just then: runs share the machine
NO_WAIT_S = 1.0  # none waits for Redis, which is given 3 s
REPEATS = 4


@dataclass(frozen=True)
class Fault:
    """`inflict` returns when the fault is over. `gap`: whether subscribers must be told of one; else a gap is
    a failure. `counted`: counters of which each must rise on some node. `red`: nodes that must be red within
    5 s. `open`: sockets must stay open. `refusing`: publishing must be refused at once while it lasts.
    `all_told`: everybody is to be told of a gap, in every channel. `options`, `history`, `setup`, `front`: as
    `stage` takes them.
    """

    name: str
    title: str
    inflict: Callable[[Stage], Awaitable[None]]
    gap: bool = False
    counted: tuple[str, ...] = ()
    red: tuple[int, ...] = ()
    open: bool = True
    refusing: bool = False
    options: tuple[str, ...] = ()
    history: int = HISTORY
    setup: Setup = "server"
    front: bool = False
    all_told: bool = False


@dataclass
class Outcome:
    """`healed_s`: from the end of the fault until the last late event, refusal or red light. `red_s`: from its
    beginning to the first red light (the slowest node that must show one). `refused_ms`: how long a publisher
    waited for its refusal while Redis was known to be away."""

    fault: Fault
    healed_s: float = 0.0
    red_s: float | None = None
    refused_ms: float | None = None
    stored: int = 0
    refused: int = 0
    lost: int = 0
    refilled: int = 0
    causes: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)


async def run(fault: Fault, folder: Path) -> Outcome:
    """Inflict it under a flow of events, and look at everything."""
    outcome = Outcome(fault)
    async with stage(
        folder, *fault.options, history=fault.history, setup=fault.setup, front=fault.front
    ) as made:
        try:
            await _play(made, outcome)
        except AssertionError as error:
            outcome.problems.append(f"{error}\n{made.log()}")
    return outcome


async def _play(made: Stage, outcome: Outcome) -> None:
    fault = outcome.fault
    made.flow.start()
    made.hopper.hop()
    await made.until_published(WARM)
    await made.until(made.all_green, "green nodes")
    early = [made.flow.stored(channel)[number] for channel in CHANNELS for number in range(REPEATS)]
    before = [await watch.metrics() for watch in made.watches]
    made.began = time.monotonic()
    await fault.inflict(made)
    over = made.over or time.monotonic()
    await made.until(lambda: made.caught_up(over) and made.all_green(), "everything to be well again")
    await made.until_published(AFTER)
    repeated = [] if fault.gap else [await made.flow.repeat(1, told) for told in early]
    await asyncio.wait_for(made.flow.stop(), 30.0 * SCALE)
    await _settle(made)
    after = [await watch.metrics() for watch in made.watches]
    verdicts = _judge(made, outcome)
    outcome.problems += made.trouble + made.flow.wrong
    for told, answer in zip(early, repeated, strict=False):
        if answer["status"] != 200 or answer["offset"] != told.offset:
            outcome.problems.append(f"{told} was repeated, and answered {answer}")
    outcome.problems += await _at_rest(made, verdicts)
    _lights(made, outcome)
    _refusals(made, outcome, over)
    _counters(outcome, before, after)
    outcome.healed_s = max(0.0, _last_trouble(made, verdicts) - over)


async def _settle(made: Stage) -> None:
    """Until every witness stands where the channels end."""
    await made.hopper.rest()
    async with httpx.AsyncClient(
        base_url=made.hubs[1].url,
        headers={"Authorization": f"Bearer {made.hubs[1].api_key}"},
        trust_env=False,
    ) as http:
        for channel in CHANNELS:
            top = (await http.get(f"/v1/channels/{channel}")).json()
            place = (top["epoch"], top["offset"])
            await made.until(
                lambda c=channel, p=place: all(w.place(c) == p for w in made.everyone),  # type: ignore[misc]
                f"all witnesses at {place} of {channel}: {[w.place(channel) for w in made.everyone]}",
                seconds=15.0,
            )


def _judge(made: Stage, outcome: Outcome) -> dict[tuple[str, str], Verdict]:
    fault = outcome.fault
    found: dict[tuple[str, str], Verdict] = {}
    for channel in CHANNELS:
        told = [each for each in made.flow.told.values() if each.channel == channel]
        outcome.stored += sum(bool(each.epoch) for each in told)
        outcome.refused += sum(each.refused for each in told)
        ledger = Ledger.of(told)
        for witness in made.everyone:
            verdict = judge(witness.notes[channel], ledger, lossless=not fault.gap)
            found[witness.name, channel] = verdict
            outcome.problems += [f"{witness.name}, {channel}: {why}" for why in verdict.wrong[:5]]
            if not fault.gap and verdict.losses:
                outcome.problems.append(f"{witness.name}, {channel}: refill was possible: {verdict.losses}")
    losses = [loss for verdict in found.values() for loss in verdict.losses]
    if fault.gap and not losses:
        outcome.problems.append("no gap was told")
    if fault.all_told:
        outcome.problems += [f"{where} was told of no gap" for where, v in found.items() if not v.losses]
    outcome.causes = tuple(sorted({loss.gap.cause for loss in losses}))
    outcome.lost = max(verdict.lost for verdict in found.values())
    if fault.open:
        breaks = [(witness.name, why) for witness in made.witnesses for _, why in witness.breaks]
        outcome.problems += [f"{name}: a socket did not stay open: {why}" for name, why in breaks]
    return found


async def _at_rest(made: Stage, verdicts: dict[tuple[str, str], Verdict]) -> list[str]:
    """What is stored: nothing twice, nothing that was refused; and the witnesses' view of the keys is it."""
    wrong = []
    async with httpx.AsyncClient(
        base_url=made.hubs[1].url,
        headers={"Authorization": f"Bearer {made.hubs[1].api_key}"},
        trust_env=False,
    ) as http:
        for channel in CHANNELS:
            answer = await http.get(f"/v1/channels/{channel}/history", params={"limit": 1000})
            numbers = [event["payload"]["n"] for event in answer.json()["events"]]
            if len(numbers) != len(set(numbers)):
                wrong.append(f"{channel}: something is stored twice")
            refused = [number for number in numbers if made.flow.told[number].refused]
            if refused:
                wrong.append(f"{channel}: {refused} were refused and are stored")
        events = (await http.get(f"/v1/channels/{STATE}/snapshot")).json()["events"]
    snapshot = {event["key"]: event["payload"]["n"] for event in events}
    for witness in made.everyone:
        view = verdicts[witness.name, STATE].view
        stale = {key: number for key, number in view.items() if key not in snapshot}
        if {**view, **snapshot} != view or stale:
            wrong.append(f"{witness.name} has the keys at {view}, stored are {snapshot}")
    return wrong


def _lights(made: Stage, outcome: Outcome) -> None:
    for node in outcome.fault.red:
        look = made.watches[node].first_red(made.began)
        if look is None:
            outcome.problems.append(f"node {node} was not red")
            continue
        seconds = look.at - made.began
        outcome.red_s = max(outcome.red_s or 0.0, seconds)
        if seconds > RED_WITHIN_S * SCALE + 0.5:  # the time between two looks, and the answer to one
            outcome.problems.append(f"node {node} was red only after {seconds:.1f} s")


def _refusals(made: Stage, outcome: Outcome, over: float) -> None:
    """While the breaker is open, an answer takes no time."""
    if not outcome.fault.refusing:
        return
    first = {node: made.watches[node].first_red(made.began) for node in outcome.fault.red}
    during: list[Attempt] = [
        attempt
        for attempt in made.flow.attempts
        if (look := first.get(attempt.node)) is not None and look.at < attempt.at < over - NO_WAIT_S
    ]
    if not during or any(attempt.status != 503 for attempt in during):
        statuses = sorted({attempt.status for attempt in during})
        outcome.problems.append(f"publishing was not refused while Redis was away: {statuses}")
        return
    took = [attempt.seconds for attempt in during]
    outcome.refused_ms = median(took) * 1000
    looks = [look for node in first for look in made.watches[node].looks if made.began < look.at < over]
    slowness_ms = median(look.seconds for look in looks) * 1000
    if outcome.refused_ms > AT_ONCE_MS * SCALE + slowness_ms or max(took) > NO_WAIT_S * SCALE:
        outcome.problems.append(
            f"refusals took {outcome.refused_ms:.0f} ms by the median, {max(took) * 1000:.0f} at worst"
        )


def _counters(
    outcome: Outcome, before: Sequence[dict[str, float]], after: Sequence[dict[str, float]]
) -> None:
    def rise(name: str) -> float:
        pairs = zip(before, after, strict=True)
        return sum(new.get(name, 0.0) - old.get(name, 0.0) for old, new in pairs if new)

    outcome.refilled = int(rise("hub_gap_events_refilled_total"))
    outcome.problems += [f"{name} did not count it" for name in outcome.fault.counted if rise(name) <= 0]


def _last_trouble(made: Stage, verdicts: dict[tuple[str, str], Verdict]) -> float:
    """The last moment at which something was late, refused, told or red."""
    moments = [
        verdicts[witness.name, channel].last_told for witness in made.witnesses for channel in CHANNELS
    ]
    moments += [a.at + a.seconds for a in made.flow.attempts if a.status != 200 and a.node not in made.gone]
    moments += [
        red
        for node, watch in enumerate(made.watches)
        if node not in made.gone and (red := watch.last_red(made.began)) is not None
    ]
    for witness in made.witnesses:
        for channel in CHANNELS:
            for event in witness.events(channel):
                told = made.flow.told[event.number]
                if told.epoch and event.at - told.answered_at > LATE_S:
                    moments.append(event.at)
    return max(moments)
