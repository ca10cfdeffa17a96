"""All clients lose their link, events go on, and everybody comes back with a position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.accounting import command_calls
from loadtest.redis_info import redis_info

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.bench import Bench, Plan

_EACH = 3


def resume(bench: Bench) -> None:
    """``clients`` with three channels each out of ``channels``; each misses about ``missed`` events."""
    options = bench.options
    clients, channels = options.clients or 1000, options.channels or 50
    plan, let_go = all_there(bench, clients, channels)
    let_go()
    bench.fleet.poll_for(0.5)
    for channel in range(1, channels + 1):
        bench.feed.emit(channel, -(-options.missed // _EACH))
    bench.fleet.poll_until(lambda: bench.publisher.idle, 30)
    due = bench.feed.lost()
    before = bench.usage()
    reads = _reads(options.redis)
    bench.fresh_counts()
    bench.fleet.connect_all(plan, progress=bench.bar("returning", clients))
    arrived = bench.fleet.poll_until(lambda: bench.fleet.count.delivered >= due, 60)
    after = bench.usage()
    bench.result.record(clients=clients, channels=channels, replayed_per_client=due / clients)
    bench.result.count(bench.fleet.count, bench.feed.lost())
    if arrived and before and after:
        bench.result.record(cpu_us_per_client=after.since(before).cpu / clients * 1e6)
    if options.redis:
        bench.result.record(redis_reads=_reads(options.redis) - reads)
    bench.result.times(bench.fleet.join_latencies.summary())


def all_there(bench: Bench, clients: int, channels: int) -> tuple[Plan, Callable[[], None]]:
    """Connect `clients` with three channels each, an event in each channel; the plan, and what cuts every link
    without a word, each client keeping the position of the last event that it saw."""
    target = bench.server.target
    plan: Plan = [
        (slot, tuple(1 + (slot * 7 + step * 13) % channels for step in range(_EACH)))
        for slot in range(clients)
    ]
    epochs: dict[int, str] = {}
    bench.fleet.on_control = lambda connection, payload: epochs.update(
        target.epochs(connection.channels, payload)
    )
    bench.connect(plan)
    for channel in range(1, channels + 1):
        bench.feed.emit(channel)
    bench.feed.settle()
    return plan, lambda: _let_go(bench, plan, epochs)


def _let_go(bench: Bench, plan: Plan, epochs: dict[int, str]) -> None:
    bench.server.target.positions = {
        slot: {channel: (epochs[channel], bench.fleet.receivers[slot].last[channel]) for channel in channels}
        for slot, channels in plan
    }
    for connection in list(bench.fleet.connections.values()):
        bench.fleet.close(connection)
    bench.feed.forget_listeners()


#: Reads of streams and snapshots, also those inside scripts. (Scripts themselves would count standing work.)
_READS = ("xrange", "xrevrange", "xread", "hgetall", "hscan")


def _reads(url: str) -> int:
    calls = command_calls(redis_info(url)) if url else {}
    return sum(calls.get(name, 0) for name in _READS)
