"""One event to many sockets, and many channels with few."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadtest.bench import Bench, Plan


def fan_out(bench: Bench) -> None:
    """All clients subscribe to one channel; events at a steady rate, one or a batch at a time."""
    options = bench.options
    clients, ticks = options.clients or 1000, options.events or 50
    bench.connect([(slot, (1,)) for slot in range(clients)])
    bench.feed.emit(1, options.batch)  # the first event finds cold caches everywhere
    bench.feed.settle()
    with bench.measuring():
        bench.feed.steadily(
            ticks,
            options.rate,
            lambda _: bench.feed.emit(1, options.batch),
            progress=bench.bar(f"events in batches of {options.batch}", ticks),
        )
    bench.result.record(clients=clients, batch=options.batch)


def many_channels(bench: Bench) -> None:
    """Every channel has few subscribers; the events go round."""
    options = bench.options
    clients, channels = options.clients or 1000, options.channels or 1000
    ticks = options.events or 500
    bench.connect(spread(clients, channels))
    with bench.measuring():
        bench.feed.steadily(
            ticks,
            options.rate * 10,
            lambda tick: bench.feed.emit(1 + tick * 7919 % channels),
            progress=bench.bar("events", ticks),
        )
    bench.result.record(clients=clients, channels=channels)


def spread(clients: int, channels: int) -> Plan:
    """Channels 1 to ``channels`` over the clients: each channel once at least, each client one at least."""
    taken: list[list[int]] = [[] for _ in range(clients)]
    for step in range(max(clients, channels)):
        taken[step % clients].append(1 + step % channels)
    return [(slot, tuple(dict.fromkeys(mine))) for slot, mine in enumerate(taken)]
