"""What one connect and one publication cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.accounting import command_calls
from loadtest.publishing import Publisher
from loadtest.redis_info import redis_info
from loadtest.scenarios.open_loop import at_rates
from loadtest.ways import way_to

if TYPE_CHECKING:
    from loadtest.bench import Bench


def connect(bench: Bench) -> None:
    """Connect, authenticate and subscribe, a few at a time, each client with a token of its own."""
    clients = bench.options.clients or 2000
    channels = max(1, bench.options.channels)
    before_wave = 200
    bench.connect([(slot, _own(channels)) for slot in range(before_wave)])  # imports and caches warm
    spent = bench.connect([(slot, _own(channels)) for slot in range(before_wave, before_wave + clients)])
    bench.result.record(clients=clients)
    if spent:
        bench.result.record(
            cpu_us_per_connect=spent.cpu / clients * 1e6,
            kb_per_connection=spent.pss / clients / 1024,
            connects_per_second=clients / spent.at,
        )
    bench.result.times(bench.fleet.join_latencies.summary())


def _own(channels: int) -> tuple[int, ...]:
    return tuple(range(1, channels + 1))


def publish(bench: Bench) -> None:
    """Publications to one subscriber: one of each publisher at a time, to a channel of its own, sent when those
    before are answered and there; or at fixed rates, whatever has come of those before."""
    options = bench.options
    ticks = options.events or (2000 if options.batch == 1 else 100)
    way = way_to(bench.server.target, options.by, options.redis)
    publishers = [Publisher(way()) for _ in range(options.publishers)]
    for publisher in publishers:
        bench.fleet.attach(publisher)
    bench.connect([(0, _own(options.publishers))])

    def emit() -> bool:
        for channel, publisher in enumerate(publishers, 1):
            bench.feed.emit(channel, options.batch, publisher)
        return bench.feed.settle()

    for _ in range(50):
        emit()
    if options.at:
        at_rates(bench, publishers)
        return
    redis_before = redis_info(options.redis) if options.redis else None
    usage_before = bench.usage()
    progress = bench.bar(f"publications in batches of {options.batch}", ticks)
    with bench.measuring():
        for tick in range(ticks):
            if not emit():
                break
            if tick % 100 == 0:
                progress(tick)
    usage_after = bench.usage()
    events = ticks * options.batch * options.publishers
    if usage_before and usage_after:
        bench.result.record(cpu_us_per_publication=usage_after.since(usage_before).cpu / events * 1e6)
    if redis_before:
        after = redis_info(options.redis)
        spent = sum(
            float(after[name]) - float(redis_before[name]) for name in ("used_cpu_user", "used_cpu_sys")
        )
        scripts = command_calls(after, "usec").get("evalsha", 0) - command_calls(redis_before, "usec").get(
            "evalsha", 0
        )
        calls = sum(command_calls(after).values()) - sum(command_calls(redis_before).values())
        bench.result.record(
            redis_cpu_us_per_publication=spent / events * 1e6,
            redis_script_us_per_publication=scripts / events,
            redis_calls_per_publication=calls / events,
        )
    bench.result.record(batch=options.batch, publishers=options.publishers)
