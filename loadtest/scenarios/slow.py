"""A few clients that hardly read must cost the others nothing and the server little."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.fleet import Fleet
from loadtest.machine import SOURCES

if TYPE_CHECKING:
    from loadtest.bench import Bench
    from loadtest.connection import Connection

_SLOW_FROM = 1_000_000
_EVENT_BYTES = 4096


def slow_consumers(bench: Bench) -> None:
    """Healthy clients beside some that read nothing; events of 4 KB and more, to fill the buffers soon."""
    options = bench.options
    clients, slow = options.clients or 100, options.slow or 20
    ticks, batch = options.events or 100, max(10, options.batch)
    bench.feed.size = max(_EVENT_BYTES, options.size)
    outcomes: dict[str, int] = {}
    lame = Fleet(bench.server.target, sources=SOURCES)
    lame.receive_buffer = 4096
    lame.on_closed = lambda connection, why: _note(outcomes, connection, why)
    bench.connect([(slot, (1,)) for slot in range(clients)])
    lame.connect_all([(_SLOW_FROM + slot, (1,)) for slot in range(slow)])
    before = bench.usage(memory=True)
    with bench.measuring():
        bench.feed.steadily(
            ticks, options.rate, lambda _: bench.feed.emit(1, batch), progress=bench.bar("events", ticks)
        )
    after = bench.usage(memory=True)
    lame.poll_for(2.0)  # now they read what is left for them, and how it ended
    bench.result.record(
        clients=clients,
        slow_clients=slow,
        slow_received=lame.count.delivered / slow,
        slow_still_in=lame.live,
        **{f"slow_{why}": number for why, number in sorted(outcomes.items())},
    )
    if before and after:
        bench.result.record(kb_per_slow_client=after.since(before).pss / slow / 1024)
    lame.close_all()


def _note(outcomes: dict[str, int], connection: Connection, why: str) -> None:
    key = f"closed_{connection.close_code}" if connection.close_code else "cut"
    outcomes[key] = outcomes.get(key, 0) + 1
