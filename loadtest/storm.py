"""Reconnect storms between two nodes over a real Redis: a drain, a crash, and a herd without manners.

Every client has its own ``user:`` channel, one of 500 ``job:`` and one of 50 ``doc:`` channels; 180 events a
second go to jobs and 20 to documents while it happens. Latency is that of clients that the storm does not
concern: those of the node that stays.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import secrets
import signal
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from loadtest import machine
from loadtest.accounting import command_calls
from loadtest.crowd import CrowdFailed
from loadtest.feed import Feed
from loadtest.fleet import Fleet
from loadtest.latency import Latencies
from loadtest.publishing import Publisher
from loadtest.redis_info import redis_info
from loadtest.redis_server import own_redis
from loadtest.results import Result
from loadtest.scenarios.dashboard import DOCS, JOBS, dashboard_plan
from loadtest.server import Server, running
from loadtest.storm_clients import Findings, child
from loadtest.targets.base import JOB_FIRST
from loadtest.targets.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

    from loadtest.bench import Plan

CASES = ("drain", "kill", "herd")
_EVENTS_A_SECOND = 200
_ENTER_DEADLINE = 120.0
_ANSWER_DEADLINE = 120.0
#: (figure, the largest that it may be, in which case); `None` in the middle: another figure of the result.
_BOUNDS: dict[str, dict[str, float]] = {
    "drain": {
        "lost": 0,
        "doubled": 0,
        "longest_away_s": 1.0,
        "peak_over_mean": 2.0,
        "p99_over_quiet": 3.0,
        "late_s": 5.0,
    },
    "kill": {"lost": 0, "doubled": 0, "all_back_s": 20.0, "reads_per_channel": 3.0},
    "herd": {"lost": 0, "doubled": 0, "all_back_s": 60.0, "p99_over_quiet": 5.0},
}
_READS = ("xrange", "xrevrange", "xread")


@dataclass(frozen=True, slots=True)
class Storm:
    """One case and its size; ``settings`` go to both nodes."""

    case: str
    clients: int
    herd: int
    quiet: float
    settings: dict[str, str]

    def seconds(self, name: str, default: float) -> float:
        return float(self.settings.get(name, default))

    @property
    def expected(self) -> float:
        """By when everybody is to be back, in seconds."""
        if self.case == "drain":
            return self.seconds("HUB_DRAIN_NOTICE", 5) + self.seconds("HUB_DRAIN_SECONDS", 30)
        return 20.0 if self.case == "kill" else 60.0


def missed(result: Result) -> list[str]:
    """The figures of a result that are over their bounds, in words."""
    bounds = _BOUNDS[result.scenario.removeprefix("storm ")]
    return [
        f"{name} is {result.figures[name]:.2f}, the bound is {bound:g}"
        for name, bound in bounds.items()
        if result.figures.get(name, 0) > bound
    ]


class LoadProcess:
    """A process of clients and the pipe to it."""

    def __init__(self, target: Hub, plan: Plan, index: int, *, rude: bool = False) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        sources = [f"127.0.{20 + index}.{last}" for last in range(1, 5)]
        self._process = context.Process(
            target=child, args=(target, plan, sources, theirs), kwargs={"rude": rude}, daemon=True
        )
        self._process.start()
        theirs.close()
        self.size = len(plan)

    def tell(self, order: str, value: Any = None) -> None:
        self._pipe.send((order, value))

    def ask(self, order: str, value: Any = None, *, meanwhile: Callable[[], object] | None = None) -> Any:
        """Its answer; ``meanwhile`` is called over and over until it is there."""
        self.tell(order, value)
        ends = time.monotonic() + _ANSWER_DEADLINE
        while not self._pipe.poll(0 if meanwhile else 0.1):
            if time.monotonic() > ends:
                raise CrowdFailed(f"a load process does not answer {order!r}")
            if meanwhile:
                meanwhile()
        answer = self._pipe.recv()
        if isinstance(answer, str):
            raise CrowdFailed(answer)
        return answer

    def end(self) -> None:
        self._process.terminate()
        self._process.join(10)


class Scene:
    """Two nodes, their clients, and the stream of events, while a case is played."""

    def __init__(self, storm: Storm, stack: ExitStack) -> None:
        self.storm = storm
        self.redis = stack.enter_context(own_redis())
        secret = secrets.token_hex(20)
        self.a, self.b = (self._node(secret, stack) for _ in range(2))
        half = storm.clients // 2
        self.staying = LoadProcess(self.b.target, dashboard_plan(half), 0)  # type: ignore[arg-type]
        self.moving = self._moving(secret, half)
        stack.callback(self.staying.end)
        stack.callback(self.moving.end)
        fleet = Fleet(self.b.target)
        publisher = Publisher(self.b.target)
        fleet.attach(publisher)
        stack.callback(fleet.close_all)
        self.fleet, self.publisher = fleet, publisher
        self.feed = Feed(fleet, publisher)
        self._draw = random.Random(3)
        self._due = time.monotonic()

    def _node(self, secret: str, stack: ExitStack) -> Server:
        target = Hub(machine.free_port(), secret=secret)
        target.broker = self.redis
        target.widened = False
        target.settings = {"HUB_NODE_SECRET": secret, **self.storm.settings}
        return stack.enter_context(running(target, set().union(*machine.cores())))

    def _moving(self, secret: str, half: int) -> LoadProcess:
        """Those whom the storm concerns: at home on A, or a herd that comes to B out of nothing."""
        herd = self.storm.case == "herd"
        home = self.b if herd else self.a
        size = self.storm.herd if herd else half
        plan = dashboard_plan(size, first_slot=half)
        return LoadProcess(home.target, plan, 1, rude=herd)  # type: ignore[arg-type]

    def enter(self) -> None:
        """Everybody in, before the clock starts; a herd comes later."""
        waiting = [self.staying] if self.storm.case == "herd" else [self.staying, self.moving]
        for process in waiting:
            process.tell("enter", 50)
        ends = time.monotonic() + _ENTER_DEADLINE
        for process in waiting:
            while process.ask("inside")[0] < process.size:
                if time.monotonic() > ends:
                    raise CrowdFailed(f"not everybody was in after {_ENTER_DEADLINE:g} s")
                self.fleet.poll_for(0.2)

    def publish_for(self, seconds: float) -> None:
        """The stream of events for so long, evenly."""
        ends = time.monotonic() + seconds
        self._due = max(self._due, time.monotonic() - 0.1)
        while (now := time.monotonic()) < ends:
            while self._due <= now:
                self._due += 1 / _EVENTS_A_SECOND
                job = self._draw.random() < 0.9
                self.feed.emit(
                    JOB_FIRST + self._draw.randrange(JOBS) if job else 1 + self._draw.randrange(DOCS)
                )
            self.fleet.poll(min(0.005, ends - now))

    def asked(self, process: LoadProcess, order: str) -> Any:
        """An answer, while the stream of events goes on: a pause would show as latency."""
        return process.ask(order, meanwhile=lambda: self.publish_for(0.01))

    def strike(self) -> None:
        """What the case is about."""
        self.moving.tell("port", self.b.target.port)
        if self.storm.case == "drain":
            os.kill(self.a.pid, signal.SIGTERM)
        elif self.storm.case == "kill":
            os.kill(self.a.pid, signal.SIGKILL)
        else:
            self.moving.tell("enter", self.storm.herd)

    def reads(self) -> int:
        calls = command_calls(redis_info(self.redis))
        return sum(calls.get(name, 0) for name in _READS)


def run(storm: Storm, console: Console, plot: Path | None) -> Result:
    """Play one case; figures beside their bounds are in the result."""
    result = Result(f"storm {storm.case}", storm.case)
    console.print(f"storm {storm.case}: {storm.clients} clients on two nodes …", highlight=False)
    with machine.no_collector(), ExitStack() as stack:
        scene = Scene(storm, stack)
        scene.enter()
        scene.publish_for(2.0)
        for process in (scene.staying, scene.moving):
            scene.asked(process, "fresh")
        began = time.monotonic()
        scene.publish_for(storm.quiet)
        quiet: Findings = scene.asked(scene.staying, "fresh")
        scene.asked(scene.moving, "fresh")
        reads = scene.reads()
        struck = time.monotonic()
        scene.strike()
        _until_back(scene, struck)
        scene.publish_for(3.0)
        _settle(scene)
        stayed: Findings = scene.staying.ask("found", scene.feed.published)
        moved: Findings = scene.moving.ask("found", scene.feed.published)
        _judge(result, storm, quiet, stayed, moved, struck)
        if storm.case == "kill":
            channels = storm.clients // 2 + JOBS + DOCS
            result.record(
                redis_reads=scene.reads() - reads, reads_per_channel=(scene.reads() - reads) / channels
            )
    if plot is not None:
        from loadtest import plot as pictures

        path = plot.with_stem(f"{plot.stem}-{storm.case}")
        pictures.draw_storm(path, stayed.timeline, moved.arrivals, began, struck, title=result.scenario)
        console.print(f"picture: {path}", highlight=False)
    return result


def _until_back(scene: Scene, struck: float) -> None:
    """Events go on until everybody has arrived once more on B, or long after it was due."""
    limit = struck + scene.storm.expected + 30.0
    while time.monotonic() < limit:
        scene.publish_for(0.5)
        inside, arrivals = scene.asked(scene.moving, "inside")
        if inside == scene.moving.size and arrivals >= scene.moving.size:
            return


def _settle(scene: Scene) -> None:
    """Until the last event has reached everybody, or is lost: for 20 s nothing more has come."""
    missing: int | None = None
    ends = time.monotonic() + 20.0
    while time.monotonic() < ends:
        scene.fleet.poll_for(0.3)
        before, missing = (
            missing,
            sum(process.ask("found", scene.feed.published).lost for process in (scene.staying, scene.moving)),
        )
        if scene.publisher.idle and not missing:
            return
        if before is None or missing < before:
            ends = time.monotonic() + 20.0


def _judge(
    result: Result, storm: Storm, quiet: Findings, stayed: Findings, moved: Findings, struck: float
) -> None:
    before, during = Latencies(), Latencies()
    before.merge(quiet.latencies)
    during.merge(stayed.latencies)
    arrivals = sorted(at - struck for at in moved.arrivals)
    result.record(
        clients=storm.herd if storm.case == "herd" else storm.clients // 2,
        inside=moved.inside,
        lost=stayed.lost + moved.lost,
        doubled=stayed.count.doubled + moved.count.doubled,
        out_of_order=stayed.count.out_of_order + moved.count.out_of_order,
        quiet_p50_ms=before.percentile(50),
        quiet_p99_ms=before.percentile(99),
        storm_p50_ms=during.percentile(50),
        storm_p99_ms=during.percentile(99),
        p99_over_quiet=during.percentile(99) / before.percentile(99),
        longest_away_s=max(moved.away),
        refused=sum(moved.refusals.values()),
        gaps=moved.messages.get("gap", 0) + moved.messages.get("hub.gap", 0),
    )
    if moved.inside < result.figures["clients"]:
        result.record(thrown_out=result.figures["clients"] - moved.inside)
    if arrivals:
        per_second = Counter(int(at) for at in arrivals)
        seconds = int(arrivals[-1]) - int(arrivals[0]) + 1
        result.record(
            all_back_s=arrivals[-1],
            late_s=arrivals[-1] - storm.expected,
            peak_a_second=max(per_second.values()),
            peak_over_mean=max(per_second.values()) / mean([len(arrivals) / seconds]),
        )
