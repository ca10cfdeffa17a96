"""``python -m tests.faults --only bridge-…``: what is killed, stopped and made anew under a bridge.

Each fault is inflicted in rounds, under one flow of messages: a part of them is handed in, and while the bridge
reads them, it happens. What is stored in the end is held against what was handed in: nothing lost, nothing doubled,
nothing out of order by channel. A fault is called ``bridge-<kind>-<fault>``.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import aiokafka

from ..faults.table import write
from .feeds import FEEDS, KafkaFeed
from .stage import SETTLED_S, Orders, Stage, Verdict, stage

POSITIONS = ("kafka", "redis_stream", "nats", "postgres")
EVENTS = 10_000
STILL_S = 20.0
FORGOTTEN_S = 12.0
LAG_S = 2.0
LOST_S = 20.0  # after which what is not there is lost
BEGIN, END = "<!-- bridges: begin -->", "<!-- bridges: end -->"
HEAD = "| fault | source | rounds | events | lost | doubled | out of order | s |\n|---|---|---|---|---|---|---|---|"


@dataclass(frozen=True, slots=True)
class Fault:
    """`inflict` is called once a round, amid the flow. `most`: rounds that are worth their time. `replica`: the
    hub's Redis has one; `settings` are the bridge's besides. `loses`: something has to be lost, or it shows
    nothing."""

    name: str
    title: str
    inflict: Callable[[Stage], Awaitable[None]]
    kinds: Sequence[str] = tuple(FEEDS)
    most: int = 10
    replica: bool = False
    settings: str = ""
    loses: bool = False


async def kill_bridge(on: Stage) -> None:
    on.bridge.kill()
    await on.start(on.bridge)


async def kill_hub(on: Stage) -> None:
    await on.kill_node()


async def kill_server(on: Stage) -> None:
    on.feed.server.kill()
    await asyncio.to_thread(on.feed.server.start)
    await on.feed.up()


async def restart_redis(on: Stage) -> None:
    await on.redis.kill()
    await asyncio.sleep(1.0)
    await on.redis.start()


async def still_link(on: Stage) -> None:
    on.link.holding = True
    await asyncio.sleep(STILL_S)
    on.link.heal()


async def still_server(on: Stage) -> None:
    on.feed.server.pause()
    await asyncio.sleep(STILL_S)
    on.feed.server.resume()
    await on.feed.up()


async def still_bridge(on: Stage) -> None:
    """For longer than its lease: another takes over, and then the first one goes on with what it has read."""
    second = on.make_bridge("second")
    await on.start(second)
    on.bridge.pause()
    await asyncio.sleep(STILL_S)
    on.bridge.resume()
    await asyncio.sleep(1.0)
    second.stop()


async def absence(on: Stage) -> None:
    """Killed with what is not acknowledged, and back when every id would be forgotten: the settings name none."""
    on.bridge.kill()
    await asyncio.sleep(FORGOTTEN_S)
    await on.start(on.bridge)


async def rebalances(on: Stage) -> None:
    """Each second a member joins the group, and leaves it."""
    assert isinstance(on.feed, KafkaFeed)
    for _ in range(10):
        member = aiokafka.AIOKafkaConsumer(
            "orders", bootstrap_servers=on.feed.address, group_id="hub", enable_auto_commit=False
        )
        began = time.monotonic()
        await member.start()
        await on.produce(50)
        await asyncio.sleep(max(0.0, 0.5 - (time.monotonic() - began)))
        await member.stop()
        await asyncio.sleep(max(0.0, 1.0 - (time.monotonic() - began)))


async def anew(on: Stage) -> None:
    """What was there has been read before, else it is gone at the source. Kafka does not say that a topic is
    another one: the bridge says so, and its setting is raised."""
    verdict = await on.verdict()
    assert verdict.good, f"before it was made anew: {verdict}"
    await on.feed.anew()
    on.orders = Orders()
    await on.produce(200)
    if on.kind == "kafka":
        assert "generation" in await on.red("begins anew")
        on.bridge.stop()
        on.generation += 1
        on.bridge = on.make_bridge("bridge", f"generation = {on.generation}\n")
        await on.start(on.bridge)


async def fail_over(on: Stage) -> None:
    """While the replica lags, the hub takes messages and the bridge reads on; then the master is gone."""
    assert on.replicated is not None
    await on.replicated.lag()
    await on.produce(200)
    await asyncio.sleep(LAG_S)
    await on.replicated.fail_over()


FAULTS = (
    Fault("kill-bridge", "kill -9 of the bridge", kill_bridge),
    Fault("kill-hub", "kill -9 of the node that it talks to, of two", kill_hub),
    Fault("kill-server", "kill -9 of the source's server, and its restart", kill_server),
    Fault(
        "restart-redis", "kill -9 of the hub's Redis, and its restart with its data", restart_redis, most=3
    ),
    Fault("still-link", "the network to the hub stands still for 20 s", still_link, most=2),
    Fault("still-server", "the source's server stands still for 20 s", still_server, most=2),
    Fault(
        "still-bridge",
        "the bridge stands still for 20 s, another takes over, it goes on",
        still_bridge,
        most=2,
    ),
    Fault("absence", "kill -9 of the bridge, away for longer than ids are remembered", absence, POSITIONS, 3),
    Fault("rebalance", "a rebalance each second for ten", rebalances, ("kafka",), 6),
    Fault("anew", "topic, queue, stream or table deleted and made anew", anew, most=3),
    Fault(
        "failover-replicas",
        "failover to a replica that lags, `replicas = 1`",
        fail_over,
        most=3,
        replica=True,
        settings="replicas = 1\n",
    ),
    Fault(
        "failover",
        "failover to a replica that lags, without `replicas`: what the replica had not is lost",
        fail_over,
        most=1,
        replica=True,
        loses=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fault of one kind, all its rounds."""

    fault: Fault
    kind: str
    rounds: int
    events: int
    verdict: Verdict
    took_s: float
    trouble: str = ""

    @property
    def good(self) -> bool:
        v = self.verdict
        if self.fault.loses:
            return v.lost > 0 and not (v.doubled or v.disordered or self.trouble)
        return v.good and not self.trouble

    def row(self) -> str:
        """As a line of the table."""
        v = self.verdict
        return (
            f"| {self.fault.title} | {self.kind} | {self.rounds} | {self.events} | {v.lost} | {v.doubled} "
            f"| {v.disordered} | {self.took_s:.0f} |"
        )


async def run(on: Stage, fault: Fault, events: int, rounds: int) -> Outcome:
    """All rounds of a fault, and what is stored then."""
    rounds = min(rounds, fault.most)
    on.orders = Orders()
    before = on.handed_in
    began = time.monotonic()
    verdict, trouble = Verdict(), ""
    try:
        for _ in range(rounds):
            await on.amid(events // rounds, lambda: fault.inflict(on))
        verdict = await on.verdict(LOST_S if fault.loses else SETTLED_S)
        await on.ready()
    except (AssertionError, OSError, TimeoutError) as error:
        trouble = f"{type(error).__name__}: {str(error)[:2000]}"
    return Outcome(fault, on.kind, rounds, on.handed_in - before, verdict, time.monotonic() - began, trouble)


@contextlib.asynccontextmanager
async def standing(kind: str, *, replica: bool) -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="hub-bridge-fault-") as folder:
        os.chmod(folder, 0o755)  # PostgreSQL runs as another user
        async with stage(kind, Path(folder), replica=replica) as on:
            yield on


async def _all(chosen: Sequence[tuple[str, Fault]], events: int, rounds: int, found: list[Outcome]) -> None:
    for kind, replica in product(FEEDS, (False, True)):
        faults = [fault for which, fault in chosen if which == kind and fault.replica is replica]
        if not faults:
            continue
        async with standing(kind, replica=replica) as on:
            for fault in faults:
                await on.with_settings(fault.settings)
                outcome = await run(on, fault, events, rounds)
                found.append(outcome)
                print(
                    f"bridge-{kind}-{fault.name}: {'ok' if outcome.good else 'WRONG'}: {outcome.row()}",
                    flush=True,
                )
                if not outcome.good:
                    print(f"  {outcome.verdict} {outcome.trouble}\n{on.bridge.log()}", flush=True)


def names() -> dict[str, tuple[str, Fault]]:
    """All faults by their names."""
    return {
        f"bridge-{kind}-{fault.name}": (kind, fault)
        for kind in FEEDS
        for fault in FAULTS
        if kind in fault.kinds
    }


def main(words: Sequence[str] | None = None) -> int:
    """0 where all passed. ``--only bridge-kafka`` takes all that begins so."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults --only bridge-")
    parser.add_argument("--only", action="append", required=True)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args(words)
    chosen = {name: each for name, each in names().items() if name.startswith(tuple(arguments.only))}
    if not chosen:
        sys.exit(f"no such fault; there are {', '.join(names())}")
    if arguments.list:
        print("\n".join(chosen))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found: list[Outcome] = []
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_all(list(chosen.values()), arguments.events, arguments.rounds, found))
    lines = [HEAD, *(outcome.row() for outcome in found)]
    print("\n".join(lines))
    if arguments.write is not None:
        write(arguments.write, lines, (BEGIN, END), 2)
    return int(not all(outcome.good for outcome in found))
