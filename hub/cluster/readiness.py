"""Whether a node should get new traffic, and whether it is departing: for all workers of its port."""

import asyncio
from collections.abc import Callable, Sequence

from ..broker.base import Broker
from ..runtime.standing import StandingWork
from .worker_ipc import Gone, WorkerIpc

DEAF_S = 4.5  # of the 5 s within which the node must be red, half a second is left for whoever looks


class Readiness:
    """`started` and `draining` are set by who runs the node; `drain_requested` is what it waits for."""

    def __init__(
        self, broker: Broker, worker_ipc: WorkerIpc, standing: StandingWork, *, all_shards: bool
    ) -> None:
        self.worker_ipc = worker_ipc
        self._standing = standing
        self.started = False
        self.draining = False
        self.drain_requested = asyncio.Event()
        self.others: Callable[[], Sequence[str]] = tuple  # what else may not be well, in words
        self._broker = broker
        self._all_shards = all_shards

    def reasons(self) -> list[str]:
        """Why this node should get no new traffic; empty where it should."""
        reasons = []
        if not self.started:
            reasons.append("the hub has not started")
        if self.draining:
            reasons.append("the node is draining")
        shards = self._broker.health()
        usable = [shard for shard in shards if shard.usable]
        if not usable:
            reasons.append("no shard of the broker is usable")
        for shard in usable:
            if shard.deaf_s >= DEAF_S:
                why = f"deaf: shard {shard.name} answers, but its canary was not heard in {DEAF_S:g} s"
                reasons.append(why)
        reasons += [*self._standing.still(), *self._broker.still()]
        reasons += self.others()
        if self._all_shards and len(usable) < len(shards):
            reasons.append("a shard of the broker is down")
        return reasons

    async def reasons_of_all(self) -> list[str]:
        """Why the port that this node shares with other workers should get no new traffic."""
        reasons = self.reasons()
        for answer in await self.worker_ipc.ask("unready"):
            if answer is None:
                reasons.append("a worker of this port does not answer")
            elif not isinstance(answer, Gone):  # one that is being replaced gets no traffic anyway
                reasons += answer
        return list(dict.fromkeys(reasons))

    async def drain_all(self) -> None:
        """Ask for a planned departure of all workers of this port."""
        self.request_drain()
        await self.worker_ipc.ask("drain")

    def request_drain(self) -> None:
        """Ask for a planned departure of this node."""
        self.drain_requested.set()
