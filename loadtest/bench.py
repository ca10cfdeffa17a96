"""What every scenario works with: a running server, a fleet, a feed, progress and a result."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtest.feed import Feed
from loadtest.latency import Latencies, Timeline
from loadtest.ledger import Count
from loadtest.publishing import Publisher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress

    from loadtest.accounting import Usage
    from loadtest.fleet import Fleet
    from loadtest.results import Result
    from loadtest.server import Server

Plan = list[tuple[int, tuple[int, ...]]]


@dataclass(slots=True)
class Options:
    """What a scenario can be told; 0 or None means its own default."""

    clients: int = 0
    channels: int = 0
    events: int = 0
    rate: float = 10.0
    batch: int = 1
    seconds: float = 0.0
    processes: int = 1
    slow: int = 0
    missed: int = 20
    publishers: int = 1
    size: int = 200
    redis: str = ""
    by: str = "http"
    at: tuple[float, ...] = ()
    plot: bool = False


class Bench:
    """One scenario on one server."""

    def __init__(
        self, server: Server, fleet: Fleet, result: Result, options: Options, progress: Progress
    ) -> None:
        self.server = server
        self.fleet = fleet
        self.result = result
        self.options = options
        self._progress = progress
        self.publisher = Publisher(server.target)
        fleet.attach(self.publisher)
        self.feed = Feed(fleet, self.publisher, size=options.size)

    def bar(self, what: str, total: int) -> Callable[[int], None]:
        """A progress bar; call it with how much is done."""
        task = self._progress.add_task(f"{self.server.target.title}: {what}", total=total)
        return lambda done: self._progress.update(task, completed=done)

    def connect(self, plan: Plan) -> Usage | None:
        """Let all of ``plan`` in and open their books; what it cost the server, memory included."""
        before = self.usage(memory=True)
        self.fleet.connect_all(plan, progress=self.bar("connecting", len(plan)))
        self.feed.listeners(plan)
        after = self.usage(memory=True)
        return after.since(before) if before and after else None

    def usage(self, *, memory: bool = False) -> Usage | None:
        return self.server.usage(memory=memory) if self.server.measurable else None

    def fresh_counts(self) -> None:
        """Forget what the way here counted, so that the figures are those of the measured part."""
        self.fleet.count = Count()
        self.fleet.latencies = Latencies()
        self.feed.expected = 0

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Count and time what happens inside; on Ctrl-C, what happened until then."""
        self.fresh_counts()
        start = time.perf_counter()
        if self.options.plot:
            self.fleet.timeline = Timeline()
        before = self.usage()
        try:
            yield
        except KeyboardInterrupt:
            self.result.interrupted = True
            raise
        finally:
            self._note(before, start)

    def _note(self, before: Usage | None, start: float) -> None:
        count = self.fleet.count
        self.result.count(count, self.feed.lost())
        self.result.times(self.fleet.latencies.summary(), self.fleet.timeline, start)
        after = self.usage()
        if before and after and count.delivered:
            spent = after.since(before)
            self.result.record(
                cpu_us_per_delivery=spent.cpu / count.delivered * 1e6,
                cpu_percent_of_a_core=spent.cpu / spent.at * 100,
            )
