"""A hub of its own for each flood, under a limit of memory, pinned to the first core; the others to the last."""

import multiprocessing
import os
import resource
import time
from dataclasses import dataclass

from ..support.server import RunningHub, running_hub
from . import flood as floods
from .flood import Flood, Sent, Target
from .witness import Seen, memory, watch

ADDRESS_SPACE = 2 << 30  # RLIMIT_AS
P99_S = 0.050
LIVEZ_S = 0.100
MORE_BYTES = 64 << 20
BACK = 1.1


@dataclass
class Row:
    """What came of one flood."""

    flood: Flood
    sent: Sent
    seen: Seen
    quiet: int
    peak: int
    after: int
    alive: bool

    def faults(self) -> list[str]:
        """The bounds that were not held."""
        found = {
            "died": not self.alive,
            "p99": self.seen.p99() > P99_S,
            "events lost": self.seen.received < self.seen.published or not self.seen.published,
            "livez": self.seen.livez_failed > 0 or max(self.seen.livez, default=9.0) > LIVEZ_S,
            "memory": self.peak - self.quiet > MORE_BYTES,
            "memory stays": self.after > max(BACK * self.quiet, self.quiet + (8 << 20)),
        }
        return [name for name, wrong in found.items() if wrong]


def run(flood: Flood, seconds: float, settle: float) -> Row:
    """One flood from a quiet hub to a quiet hub."""
    limit = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, limit[1]))
    try:
        context = running_hub(centrifugo=True)
        hub = context.__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
    try:
        return _measure(hub, flood, seconds, settle)
    finally:
        context.__exit__(None, None, None)


def _measure(hub: RunningHub, flood: Flood, seconds: float, settle: float) -> Row:
    os.sched_setaffinity(hub.pid, {min(os.sched_getaffinity(0))})
    target = Target(hub.port, hub.token("mallory", subscribe=["*"]), hub.api_key)
    friend = Target(hub.port, hub.token("friend", subscribe=["*"]), hub.api_key)
    if flood.prepare is not None:
        flood.prepare(target)
    _watched(friend, 1.0, hub)  # what a first request costs is not the flood's
    quiet = memory(hub.pid)
    attacker, report = floods.start(flood, target, seconds)
    time.sleep(0.2)
    seen, peak = _watched(friend, max(0.5, seconds - 0.5), hub)
    sent: Sent = report.recv()
    attacker.join()
    end = time.monotonic() + settle
    while time.monotonic() < end and hub.process.poll() is None:
        time.sleep(0.1)
    alive = hub.process.poll() is None
    return Row(flood, sent, seen, quiet, peak, memory(hub.pid) if alive else 0, alive)


def _watched(target: Target, seconds: float, hub: RunningHub) -> tuple[Seen, int]:
    """What the witness saw, and the most memory meanwhile."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=watch, args=(target, seconds, there), daemon=True)
    process.start()
    peak = 0
    while process.is_alive() and not here.poll(0.05):
        if hub.process.poll() is None:
            peak = max(peak, memory(hub.pid))
    seen: Seen = here.recv() if here.poll(1.0) else Seen()
    process.join()
    return seen, peak
