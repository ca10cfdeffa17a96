"""A planned departure that looks like an ordinary minute.

    readiness red ── notice ──▶ upgrades refused ── each connection is told, one after the other ──▶ the end
                    (balancers                      (`hub.drain`; who is still there at its deadline
                     notice it)                      is closed with 4100)

The hub paces the departure, so that even clients that know nothing of `hub.drain` come back spread out.
"""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from ..cluster.peers import Peers
from ..cluster.readiness import Readiness
from ..connections.admission import Admission
from ..connections.table import ConnectionTable
from ..protocol.codes import CloseCode
from ..settings import Settings

log = logging.getLogger(__name__)

SHARE = 0.1  # of what the other nodes take, a departure claims so much
TICK_S = 0.05
WINDOW_MS = 1000  # in which a client that was told opens its new connection
HANDOVER_S = 3.0  # after its window, a client has so long to take over before the old connection is closed
SHORTEST_S = 1.0


class Departing(Protocol):
    """The parts of a node that a departure goes through."""

    settings: Settings
    readiness: Readiness
    connections: ConnectionTable
    admission: Admission
    peers: Peers

    def now(self) -> float:
        """Monotonic seconds."""


class Drain:
    """One departure of one node. `hasty`: nobody sends newcomers here any more, so it takes seconds. `sleep` is
    handed in for tests."""

    def __init__(
        self,
        node: Departing,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        hasty: bool = False,
    ) -> None:
        self._node = node
        self._sleep = sleep
        self._hasty = hasty

    async def run(self) -> None:
        """From the notice to the last connection."""
        node = self._node
        node.readiness.draining = True
        log.info("draining: %d connections", len(node.connections))
        if not self._hasty:
            await self._notice()
        node.admission.stop_accepting()
        await self._send_away(self._spread())
        await self._wait_for_the_last()
        for connection in list(node.connections.all()):
            connection.close(CloseCode.DRAINING, "this node is going away", (0, WINDOW_MS))
        log.info("drained")

    async def _notice(self) -> None:
        """Until balancers have seen that readiness is red; with nobody there, nobody needs it."""
        end = self._node.now() + self._node.settings.drain_notice
        while self._node.now() < end and self._node.admission.sockets:
            await self._sleep(min(TICK_S, end - self._node.now()))

    def _spread(self) -> float:
        """Over how many seconds to send everybody away: as few as the other nodes take without noticing."""
        node = self._node
        most = min(node.settings.drain_seconds, SHORTEST_S if self._hasty else math.inf)
        rate = node.peers.accept_rate
        if rate <= 0.0:
            return most  # nobody is known: the longest spread is safe
        return min(most, max(SHORTEST_S, len(node.connections) / (SHARE * rate)))

    async def _send_away(self, spread: float) -> None:
        node = self._node
        leaving = list(node.connections.all())
        random.shuffle(leaving)
        begin, total = node.now(), len(leaving)
        while leaving:
            due = total if spread <= 0 else int(total * (node.now() - begin) / spread) + 1
            while leaving and total - len(leaving) < due:
                leaving.pop().send_away(WINDOW_MS, WINDOW_MS / 1000 + HANDOVER_S)
            await self._sleep(TICK_S)

    async def _wait_for_the_last(self) -> None:
        """Every connection has a deadline of its own, kept by the timer wheel; this one bounds them all. Who was
        upgraded before and said who it is only now is told too."""
        node = self._node
        end = node.now() + WINDOW_MS / 1000 + HANDOVER_S + 1.0
        while len(node.connections) and node.now() < end:
            for connection in list(node.connections.all()):
                connection.send_away(WINDOW_MS, end - node.now())
            await self._sleep(TICK_S)
