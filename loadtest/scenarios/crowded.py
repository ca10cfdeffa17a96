"""Many connections that do nothing but live, and connections that come and go for long."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from loadtest.crowd import Crowd
from loadtest.fleet import Fleet, poll_together
from loadtest.machine import SOURCES

if TYPE_CHECKING:
    from loadtest.accounting import Usage
    from loadtest.bench import Bench
    from loadtest.connection import Connection

_WARM = 200
#: Memory after this share of the time is what the end is held against: 5 of 30 minutes.
_SETTLED = 1 / 6


def idle(bench: Bench) -> None:
    """Authenticated, subscribed, silent: memory a connection, and what heartbeats cost."""
    options = bench.options
    clients, seconds = options.clients or 2000, options.seconds or 10.0
    each = max(1, options.channels)
    bench.connect([(slot, tuple(range(1, each + 1))) for slot in range(_WARM)])
    before = bench.usage(memory=True)
    progress = bench.bar("connecting", clients)
    with Crowd(bench.server.target, clients, each, options.processes, first_slot=_WARM) as crowd:
        crowd.connect(progress, lambda: bench.fleet.poll_for(0.1))
        full = bench.usage(memory=True)
        bench.fleet.poll_for(1.0)
        quiet = bench.usage()
        _hold(bench, seconds)
        after = bench.usage(memory=True)
        thrown_out = crowd.thrown_out()
    bench.result.record(clients=clients, channels=each, seconds=seconds, thrown_out=thrown_out)
    if before and full and quiet and after:
        grown = after.since(before)
        held = after.since(quiet)
        bench.result.record(
            kb_per_connection=grown.pss / clients / 1024,
            hub_mb=after.pss / 2**20,
            cpu_us_per_connect=full.since(before).cpu / clients * 1e6,
            idle_cpu_percent=held.cpu / held.at * 100,
        )


def _hold(bench: Bench, seconds: float) -> None:
    progress = bench.bar("holding", int(seconds))
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        bench.fleet.poll_for(min(0.5, seconds - passed))
        bench.server.check()
        progress(int(passed))


def soak(bench: Bench) -> None:
    """Connect, subscribe, drop, for long, under a trickle of events: memory must stand still."""
    seconds = bench.options.seconds or 1800.0
    bench.connect([(slot, (1,)) for slot in range(_WARM)])
    churn = _Churn(bench, bench.options.clients or 500)
    progress = bench.bar("churning", int(seconds))
    began, settled = time.monotonic(), None
    with bench.measuring():
        while (passed := time.monotonic() - began) < seconds:
            bench.feed.emit(1)
            churn.turn()
            if settled is None and passed > seconds * _SETTLED:
                settled = bench.usage(memory=True)
            progress(int(passed))
        bench.feed.settle()
    after = bench.usage(memory=True)
    bench.result.record(cycles=churn.begun, thrown_out=len(churn.fleet.closed))
    if settled and after:
        _grown(bench, settled, after)
    churn.fleet.close_all()


def _grown(bench: Bench, settled: Usage, after: Usage) -> None:
    bench.result.record(
        mb_settled=settled.anon / 2**20,
        mb_end=after.anon / 2**20,
        growth_percent=(after.anon / settled.anon - 1) * 100,
    )


class _Churn:
    """Clients that come, take two channels, and vanish without a word."""

    def __init__(self, bench: Bench, clients: int) -> None:
        self.fleet = Fleet(bench.server.target, sources=SOURCES)
        self.fleet.on_closed = lambda connection, why: None  # counted in fleet.closed, told as thrown_out
        self.begun = 0
        self._bench = bench
        self._clients = clients
        self._alive: list[Connection] = []
        self._draw = random.Random(7)

    def turn(self) -> None:
        """A tenth leaves, as many come, and one of their channels speaks."""
        while len(self._alive) < self._clients:
            slot = _WARM + self.begun
            self.begun += 1
            self._alive.append(self.fleet.open(slot, (2 + slot % 1000, 2 + slot % 37)))
        self._bench.feed.emit(2 + self._draw.randrange(1000))
        poll_together((self._bench.fleet, self.fleet), 0.2)
        for _ in range(self._clients // 10):
            dropped = self._alive.pop(self._draw.randrange(len(self._alive)))
            self.fleet.close(dropped)
            del self.fleet.receivers[dropped.slot]
