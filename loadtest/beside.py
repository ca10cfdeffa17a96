"""The hub beside another server, both running at once on one core, in slices of some milliseconds by turns.

On a machine that others use too, what a run costs depends on the minute: its caches, its clock, its neighbours. Two
slices that follow each other meet the same minute, so their ratio says something where neither time does. Told is
the median of the ratios, with an interval that holds the true one 95 times of 100.
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from math import ceil, floor
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rich.progress import Progress
from rich.table import Table

from loadtest import machine
from loadtest.accounting import cpu_seconds
from loadtest.bench import Bench, Options
from loadtest.fleet import Fleet
from loadtest.publishing import Publisher
from loadtest.redis_info import redis_info
from loadtest.redis_server import own_redis
from loadtest.results import Result
from loadtest.runner import prepare_hub
from loadtest.scenarios.returning import all_there
from loadtest.server import running
from loadtest.targets import Hub
from loadtest.targets.base import Command, Target
from loadtest.targets.centrifugo import Centrifugo
from loadtest.ways import way_to

if TYPE_CHECKING:
    from rich.console import Console

    from loadtest.server import Server

WARM = 8  # slices that are not counted

Act = Callable[[], int]
"""Does a slice's work; how many of it there were."""


@dataclass(slots=True)
class Slice:
    """`prepare` is not measured, `act` is."""

    act: Act
    prepare: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Kind:
    """What is measured: `begin` sets the side up. `bound` of the hub's CPU over Centrifugo's, by broker."""

    what: str
    begin: Callable[[Bench], Slice]
    bound: float | None = None
    redis_bound: float | None = None


def _publishing(by: str, batch: int, count: int, subscribers: int = 1) -> Callable[[Bench], Slice]:
    """`count` times `batch` events, each when those before are answered and there."""

    def begin(bench: Bench) -> Slice:
        publisher = Publisher(way_to(bench.server.target, by, bench.options.redis)())
        bench.fleet.attach(publisher)
        bench.connect([(slot, (1,)) for slot in range(subscribers)])

        def act() -> int:
            for _ in range(count):
                bench.feed.emit(1, batch, publisher)
                if not bench.feed.settle():
                    raise machine.Unfit(f"{bench.server.target.title} lost events")
            return count * batch

        return Slice(act)

    return begin


def _connecting(count: int) -> Callable[[Bench], Slice]:
    """`count` clients come, each with a token of its own, and are gone before the next slice."""

    def begin(bench: Bench) -> Slice:
        come = 0

        def leave() -> None:
            for connection in list(bench.fleet.connections.values()):
                bench.fleet.close(connection)
            bench.feed.forget_listeners()
            bench.fleet.poll_for(0.05)

        def act() -> int:
            nonlocal come
            bench.fleet.connect_all([(come + slot, (1,)) for slot in range(count)])
            come += count
            return count

        return Slice(act, leave)

    return begin


def _resuming(clients: int, channels: int, missed: int) -> Callable[[Bench], Slice]:
    """All lose their link, miss events of three channels each, and come back."""

    def begin(bench: Bench) -> Slice:
        target = bench.server.target
        plan, let_go = all_there(bench, clients, channels)

        def miss() -> None:
            let_go()
            bench.fleet.poll_for(0.05)
            for channel in range(1, channels + 1):
                bench.feed.emit(channel, missed)
            bench.fleet.poll_until(lambda: bench.publisher.idle, 30)
            bench.fresh_counts()

        def act() -> int:
            due = bench.feed.lost()
            bench.fleet.connect_all(plan)
            if not bench.fleet.poll_until(lambda: bench.fleet.count.delivered >= due, 30):
                raise machine.Unfit(f"{target.title} did not replay all")
            return clients

        return Slice(act, miss)

    return begin


KINDS = {
    "publish": Kind("a lone publication by HTTP, to 1 subscriber", _publishing("http", 1, 40), 0.9, 1.2),
    "publish-10": Kind("the same, to 10 subscribers", _publishing("http", 1, 40, 10), 1.0),
    "unheard": Kind("a lone publication by HTTP, to nobody", _publishing("http", 1, 40, 0), 0.8),
    "batch": Kind("an event of a batch of 100 by HTTP", _publishing("http", 100, 3), 0.6, 0.6),
    "socket": Kind("an event by socket, 50 in one go", _publishing("socket", 50, 4), 2.0),
    "connect": Kind("connect, authenticate, subscribe", _connecting(60), 0.9),
    "resume": Kind("resume 3 channels, 20 missed in all", _resuming(100, 50, 7), 0.85, 0.6),
}


class Side:
    """One of the two servers, and its clients."""

    def __init__(self, server: Server, options: Options, kind: Kind, redis: int) -> None:
        self.server = server
        self._redis = redis
        fleet = Fleet(server.target, sources=machine.SOURCES)
        bench = Bench(server, fleet, Result("beside", server.target.title), options, Progress(disable=True))
        self._fleet = fleet
        self._slice = kind.begin(bench)

    def measure(self) -> tuple[float, float]:
        """A slice: µs of CPU for each of its things, the server's and Redis' own."""
        self._slice.prepare()
        redis = cpu_seconds(self._redis) if self._redis else 0.0
        before = self.server.usage()
        count = self._slice.act()
        spent = self.server.usage().since(before).cpu
        there = cpu_seconds(self._redis) - redis if self._redis else 0.0
        return spent / count * 1e6, there / count * 1e6

    def close(self) -> None:
        self._fleet.close_all()


@dataclass(slots=True)
class Compared:
    """Slices of both, pair by pair: (the hub's, the other's)."""

    what: str
    bound: float | None
    pairs: list[tuple[float, float]] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return self.bound is None or self.interval()[0] <= self.bound

    def interval(self) -> tuple[float, float, float]:
        """The median of the ratios, and its interval: the order statistics that hold it 95 times of 100."""
        ratios = sorted(ours / theirs for ours, theirs in self.pairs)
        reach = 0.98 * len(ratios) ** 0.5
        low, high = floor(len(ratios) / 2 - reach) - 1, ceil(len(ratios) / 2 + reach)
        return median(ratios), ratios[max(0, low)], ratios[min(len(ratios) - 1, high)]


class OtherHub(Hub):
    """Another hub, by its executable: the release before."""

    def __init__(self, port: int, *, secret: str, executable: Path) -> None:
        super().__init__(port, secret=secret)
        self._executable = executable
        self.title = str(executable)  # type: ignore[misc]

    def command(self, scratch: Path) -> Command:
        command = super().command(scratch)
        return replace(command, arguments=[str(self._executable), *command.arguments[1:]])


def compare(name: str, slices: int, against: Path | None, *, redis: bool) -> list[Compared]:
    """Slices of one kind, the hub's and those of Centrifugo or of the hub `against`, in turn."""
    kind = KINDS[name]
    bound = None if against is not None else kind.redis_bound if redis else kind.bound
    cpu = Compared(kind.what + (", over Redis" if redis else ""), bound)
    of_redis = Compared("Redis itself: " + kind.what, 1.2 if bound and name == "publish" else None)
    with _sides(kind, against, redis=redis) as sides:
        for number in range(slices + WARM):
            found = {}
            for which in random.sample((0, 1), 2):
                found[which] = sides[which].measure()
            if number >= WARM:
                cpu.pairs.append((found[0][0], found[1][0]))
                of_redis.pairs.append((found[0][1], found[1][1]))
    return [cpu, of_redis] if redis else [cpu]


@contextmanager
def _sides(kind: Kind, against: Path | None, *, redis: bool) -> Iterator[list[Side]]:
    with ExitStack() as stack:
        url = stack.enter_context(own_redis()) if redis else ""
        pid = int(redis_info(url)["process_id"]) if url else 0
        server_cores, load_cores = machine.cores()
        os.sched_setaffinity(0, load_cores)
        prepare = prepare_hub(broker=url or "memory://", workers=1, settings={})
        sides = []
        for target in (_hub(None), _hub(against) if against else _centrifugo()):
            prepare(target)
            server = stack.enter_context(running(target, server_cores))
            sides.append(Side(server, Options(redis=url), kind, pid))
            stack.callback(sides[-1].close)
        yield sides


def _hub(executable: Path | None) -> Hub:
    port, secret = machine.free_port(), secrets.token_hex(20)
    return (
        Hub(port, secret=secret)
        if executable is None
        else OtherHub(port, secret=secret, executable=executable)
    )


def _centrifugo() -> Target:
    return Centrifugo(machine.free_port(), secret=secrets.token_hex(20))


def show(rows: list[Compared], console: Console) -> None:
    """One row a figure: what both took in the median and at least, and the ratio."""
    table = Table(title="beside", title_justify="left")
    for name in ("CPU of", "hub, µs (least)", "other, µs (least)", "ratio", "95 of 100", "bound"):
        table.add_column(name, justify="left" if name == "CPU of" else "right")
    for row in rows:
        ratio, low, high = row.interval()
        ours, theirs = zip(*row.pairs, strict=True)
        cells = [f"{median(found):.1f} ({min(found):.1f})" for found in (ours, theirs)]
        told = "" if row.bound is None else f"{row.bound:g}" + ("" if row.held else " missed")
        table.add_row(row.what, *cells, f"{ratio:.2f}", f"{low:.2f} to {high:.2f}", told)
    console.print(table)
