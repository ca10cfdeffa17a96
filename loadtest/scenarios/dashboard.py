"""An ordinary minute: everybody has a channel of their own, one of many jobs, one of few documents."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from loadtest.targets.base import JOB_FIRST, USER_FIRST

if TYPE_CHECKING:
    from loadtest.bench import Bench, Plan

JOBS, DOCS = 500, 50


def mixed_dashboard(bench: Bench) -> None:
    """Nine events in ten go to jobs, one to documents, one in twenty ticks to a single user."""
    options = bench.options
    clients, seconds = options.clients or 2000, options.seconds or 10.0
    rate = options.rate * 2
    draw = random.Random(11)
    bench.connect(dashboard_plan(clients))

    def tick(index: int) -> None:
        for _ in range(9):
            bench.feed.emit(JOB_FIRST + draw.randrange(JOBS))
        bench.feed.emit(1 + draw.randrange(DOCS))
        if index % 20 == 0:
            bench.feed.emit(USER_FIRST + draw.randrange(clients))

    ticks = int(seconds * rate)
    with bench.measuring():
        bench.feed.steadily(ticks, rate, tick, progress=bench.bar("ticks of 10 events", ticks))
    bench.result.record(clients=clients, seconds=seconds)


def dashboard_plan(clients: int, first_slot: int = 0) -> Plan:
    """(slot, (own, job, document)) for each client."""
    return [
        (slot, (USER_FIRST + slot, JOB_FIRST + slot % JOBS, 1 + slot % DOCS))
        for slot in range(first_slot, first_slot + clients)
    ]
