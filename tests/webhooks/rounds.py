"""Nodes that are killed with -9 between storing and sending: what was stored is told, at least once, in order."""

import asyncio
import random
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from ..broker.redis.servers import RedisServer, die_with_parent
from ..support import backend as support
from ..support.backend import Backend, Request
from ..support.pace import patience
from .killed import hurry
from .stage import Node, node, table

MOMENTS = ("by chance", "stored", "sending", "sent")
EVENTS = 10  # of a node before its moment has come


@dataclass
class Outcome:
    """What came of the rounds: per channel the offsets that were answered as stored, and those that were told, in
    the order in which they came."""

    stored: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    told: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    rounds: int = 0

    def missing(self) -> int:
        """How many of those that were stored have not been told."""
        return sum(len(offsets - set(self.told[channel])) for channel, offsets in self.stored.items())

    def disorder(self) -> list[str]:
        """Where an event came for the first time behind one that follows it."""
        return [
            f"{channel}: {first} before {second}"
            for channel, offsets in self.told.items()
            for first, second in pairwise(dict.fromkeys(offsets))
            if first > second
        ]

    def __str__(self) -> str:
        stored, told = sum(map(len, self.stored.values())), sum(map(len, self.told.values()))
        once = sum(len(set(offsets)) for offsets in self.told.values())
        return (
            f"{self.rounds} nodes killed: {stored} events answered as stored, {self.missing()} of them not told; "
            f"{told} requests, {told - once} of them repetitions, {len(self.disorder())} out of order"
        )


class Rounds:
    """One node that lives, one endpoint, and one node after the other that is killed."""

    def __init__(self, after: Callable[[Outcome], None] = lambda _: None) -> None:
        self.outcome = Outcome()
        self._after = after  # each round
        self._moment = ""
        self._victim: asyncio.subprocess.Process | None = None
        self._number = self._requests = 0

    async def run(self, folder: Path, rounds: int) -> Outcome:
        """All of them, until everything that was stored has been told."""
        hurry()
        async with (
            RedisServer(folder / "redis") as redis,
            Backend(self._answer) as server,
            node(redis.url, table(server.url), number=0) as survivor,
        ):
            for number in range(1, rounds + 1):
                await self._round(redis.url, server.url, number, survivor)
        return self.outcome

    async def _round(self, redis_url: str, endpoint: str, number: int, survivor: Node) -> None:
        self._moment, self._number, self._requests = MOMENTS[number % len(MOMENTS)], number, 0
        victim = self._victim = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.webhooks.killed", redis_url, endpoint, str(number)),
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=die_with_parent,
        )
        assert victim.stdout is not None
        lines = 0
        async with patience(60):
            async for line in victim.stdout:
                lines += 1
                channel, offset = line.decode().split()
                self.outcome.stored[channel].add(int(offset))
                if lines == 1 and self._moment == "by chance":
                    asyncio.get_running_loop().call_later(random.uniform(0, 0.2), self._kill)
                elif (self._moment == "stored" and lines == EVENTS) or lines > 50 * EVENTS:
                    self._kill()
            await victim.wait()
            assert victim.returncode == -signal.SIGKILL, "it ended by itself"
            while self.outcome.missing():
                await asyncio.sleep(0.02)
        assert survivor.endpoint().dead == 0
        self.outcome.rounds += 1
        self._after(self.outcome)

    async def _answer(self, request: Request) -> support.Answer | None:
        event = request.json["event"]
        self.outcome.told[event["channel"]].append(event["offset"])
        self._requests += event["payload"]["round"] == self._number
        if self._requests < EVENTS or self._victim is None:
            return 204, {}, b""
        if self._moment == "sending":
            self._kill()
            return None  # nobody knows whether it was taken
        if self._moment == "sent":
            asyncio.get_running_loop().call_soon(self._kill)
        return 204, {}, b""

    def _kill(self) -> None:
        victim, self._victim = self._victim, None
        if victim is not None:
            victim.kill()
