"""Publications at fixed rates: each is sent when it is due, whatever has come of those before.

Latency counts from when a publication was due, so that a server which falls behind shows it, and a load which does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.bench import Bench
    from loadtest.publishing import Publisher

SECONDS = 10.0
HELD_MS = 50.0  # p99 of a delivery up to which a rate counts as held
LONGEST_S = 10.0  # that the last deliveries of a rate may take


def at_rates(bench: Bench, publishers: Sequence[Publisher]) -> None:
    """Each rate of the options in turn, up to the first that is not held: something came too late, or p99 passed
    `HELD_MS`."""
    seconds = bench.options.seconds or SECONDS
    bench.result.record(held_a_second=0)
    for rate in bench.options.at:
        settled = hold(bench, publishers, rate, seconds)
        if not settled or bench.fleet.latencies.percentile(99) > HELD_MS:
            return
        bench.result.record(held_a_second=rate)


def hold(bench: Bench, publishers: Sequence[Publisher], rate: float, seconds: float) -> bool:
    """Publish at ``rate`` a second; whether all was answered and there in time. Figures bear the rate's name."""
    with bench.measuring():
        before = bench.usage()
        begun = time.perf_counter_ns()
        sent = _send(bench, publishers, rate, seconds, begun)
        took = (time.perf_counter_ns() - begun) / 1e9
        settled = bench.feed.settle(LONGEST_S)
        after = bench.usage()
        name = f"at_{rate:g}"
        bench.result.record(**{f"{name}_sent_a_second": sent / took})
        bench.result.record(**{f"{name}_{p}_ms": ms for p, ms in bench.fleet.latencies.summary().items()})
        if before and after:
            bench.result.record(**{f"{name}_cpu_us_per_publication": after.since(before).cpu / sent * 1e6})
    return settled


def _send(bench: Bench, publishers: Sequence[Publisher], rate: float, seconds: float, begun: int) -> int:
    """How many were sent."""
    fleet, count, batch = bench.fleet, len(publishers), bench.options.batch
    total = max(1, int(rate * seconds / batch))
    for number in range(total):
        due = begun + int(number * batch / rate * 1e9)
        while (left := due - time.perf_counter_ns()) > 0:
            fleet.poll(left / 1e9)
        if number % 16 == 0:
            fleet.poll(0)  # behind: what has come is read all the same
        bench.feed.emit(number % count + 1, batch, publishers[number % count], due)
    return total * batch
