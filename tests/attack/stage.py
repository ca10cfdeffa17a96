"""A hub of its own for each flood, under a limit of memory, pinned to the first core; the others to the last."""

import multiprocessing
import os
import resource
import time
from dataclasses import dataclass
from multiprocessing import Process
from multiprocessing.connection import Connection

from ..support.server import RunningHub, running_hub
from . import flood as floods
from .flood import Flood, Sent, Target
from .witness import Seen, memory, watch

ADDRESS_SPACE = 2 << 30  # RLIMIT_AS
P99_S = 0.050
LIVEZ_S = 0.100
MORE_BYTES = 64 << 20
BACK = 1.1
READY_S = 60.0


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
            "memory stays": self.after > back(self.quiet),
        }
        return [name for name, wrong in found.items() if wrong]


def back(quiet: int) -> int:
    """So many bytes are back to quiet."""
    return int(max(BACK * quiet, quiet + (8 << 20)))


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
    witness, stage = _witness(friend, max(0.5, seconds - 0.5))
    quiet = memory(hub.pid)
    attacker, report = floods.start(flood, target, seconds)
    time.sleep(0.2)
    stage.send(None)
    seen, peak = _watched(witness, stage, hub)
    sent: Sent = report.recv()
    attacker.join()
    end = time.monotonic() + settle
    while time.monotonic() < end and hub.process.poll() is None and memory(hub.pid) > back(quiet):
        time.sleep(0.1)
    alive = hub.process.poll() is None
    return Row(flood, sent, seen, quiet, peak, memory(hub.pid) if alive else 0, alive)


def _witness(target: Target, seconds: float) -> tuple[Process, Connection]:
    """Another client, ready to begin."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=watch, args=(target, seconds, there), daemon=True)
    process.start()
    if not here.poll(READY_S):
        process.kill()
        raise TimeoutError("the witness did not become ready")
    here.recv()
    return process, here


def _watched(witness: Process, stage: Connection, hub: RunningHub) -> tuple[Seen, int]:
    """What the witness saw, and the most memory meanwhile."""
    peak = 0
    while witness.is_alive() and not stage.poll(0.05):
        if hub.process.poll() is None:
            peak = max(peak, memory(hub.pid))
    seen: Seen = stage.recv() if stage.poll(1.0) else Seen()
    witness.join()
    return seen, peak
