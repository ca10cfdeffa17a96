"""What a node is and does at this moment, and did in the last 15 minutes: figures, never a list of its clients.

A sample is a few numbers every five seconds, whoever looks; all else is put together when it is asked for.
"""

import time
from collections import deque
from collections.abc import Callable
from heapq import nlargest
from typing import Any, Protocol

from .. import __version__
from ..broker.base import Broker
from ..cluster.readiness import Readiness
from ..connections.admission import Admission
from ..connections.table import ConnectionTable
from ..recovery.table import ChannelTable
from ..runtime.counters import Counters
from ..runtime.flush import FlushScheduler

SAMPLE_S = 5.0
KEPT = int(15 * 60 / SAMPLE_S)
SAMPLED = (
    "time",
    "connections",
    "channels",
    "published",
    "delivered",
    "opened",
    "refused",
    "lost",
    "lag_ms",
    "rtt_ms",
)
"""The numbers of a sample. `published`, `delivered`, `opened`, `refused` and `lost` are counted since the node's
start; `lag_ms` is the longest since the sample before."""
MOST_CHANNELS = 100


class Observed(Protocol):
    """What is read of a node."""

    id: str
    broker: Broker
    connections: ConnectionTable
    channels: ChannelTable
    admission: Admission
    readiness: Readiness
    counters: Counters
    flushes: FlushScheduler

    def wall(self) -> float:
        """Unix seconds."""


class Overview:
    """One node's figures. `sample` is called every `SAMPLE_S` seconds."""

    def __init__(self, node: Observed, now: Callable[[], float] = time.monotonic) -> None:
        self._node = node
        self._now = now
        self._began = now()
        self._samples: deque[tuple[float, ...]] = deque(maxlen=KEPT)

    async def sample(self) -> None:
        """Keep the numbers of this moment."""
        self._samples.append(self._numbers(self._node.counters.longest_lag_s))
        self._node.counters.longest_lag_s = 0.0

    def _numbers(self, lag_s: float) -> tuple[float, ...]:
        node, counters = self._node, self._node.counters
        return (
            int(node.wall() * 1000),
            len(node.connections),
            len(node.channels),
            counters.published,
            node.flushes.delivered,
            counters.connections_opened,
            sum(counters.refused.values()),
            counters.lost,
            round(lag_s * 1000, 2),
            round(max((shard.rtt_s for shard in node.broker.health()), default=0.0) * 1000, 2),
        )

    def now(self, _command: dict[str, Any]) -> dict[str, Any]:
        """The answer to a node's question `overview`."""
        node, counters = self._node, self._node.counters
        return {
            "node": node.id,
            "version": __version__,
            "up_s": round(self._now() - self._began),
            **dict(zip(SAMPLED, self._numbers(counters.longest_lag_s), strict=True)),
            "sockets": node.admission.sockets,
            "draining": node.readiness.draining,
            "reasons": node.readiness.reasons(),
            "gaps": counters.gaps,
            "refilled": counters.refilled,
            "closed": dict(counters.closed),
            "refusals": dict(counters.refused),
            "errors": dict(counters.errors),
            "shards": [
                {
                    "name": shard.name,
                    "usable": shard.usable,
                    "deaf_s": round(shard.deaf_s, 1),
                    "rtt_ms": round(shard.rtt_s * 1000, 2),
                    "why": shard.why,
                }
                for shard in node.broker.health()
            ],
        }

    def past(self, _command: dict[str, Any]) -> dict[str, Any]:
        """The answer to `samples`: the last 15 minutes, oldest first."""
        return {"node": self._node.id, "samples": list(self._samples)}

    def listen_to(self, command: dict[str, Any]) -> list[dict[str, Any]]:
        """The answer to `open_channels`: those whose names hold `search`, the most listened to first."""
        wanted = command["search"]
        found = (each for each in self._node.channels.open_channels() if wanted in each.name)
        most = nlargest(MOST_CHANNELS, found, key=lambda each: each.subscribers)
        return [
            {
                "channel": each.name,
                "mode": each.namespace.mode.value,
                "subscribers": each.subscribers,
                "epoch": each.epoch,
                "offset": each.top,
            }
            for each in most
        ]
