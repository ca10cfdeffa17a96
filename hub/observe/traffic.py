"""What a node is doing just now, for a person who looks: computed when it is asked for, and not before."""

import heapq
import time
from bisect import bisect_left
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Protocol

from .. import __version__
from ..broker.base import Broker
from ..cluster.readiness import Readiness
from ..connections.admission import Admission
from ..connections.connection import Connection
from ..connections.table import ConnectionTable
from ..delivery.channel import Channel
from ..recovery.table import ChannelTable
from ..runtime.counters import Counters
from ..runtime.flush import FlushScheduler

BUSIEST = 20
SLOWEST = 20
RECENT_S = 10.0
SHARED_S = 0.5  # askers within so long get the same answer: a pass over 100,000 connections takes a while


class Seen(Protocol):
    """The parts of a node that are looked at."""

    id: str
    broker: Broker
    connections: ConnectionTable
    admission: Admission
    channels: ChannelTable
    readiness: Readiness
    counters: Counters
    flushes: FlushScheduler


class NodeTraffic:
    """Reads the node's tables. Totals count from its start (`started`, Unix ms): who asks twice has rates."""

    def __init__(
        self, node: Seen, now: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._node = node
        self._now = now
        self._wall = wall
        self._started = int(wall() * 1000)
        self._last: tuple[float, dict[str, Any]] | None = None

    def sample(self, _command: dict[str, Any]) -> dict[str, Any]:
        """The answer to one node's question."""
        now = self._now()
        if self._last is None or now - self._last[0] > SHARED_S:
            self._last = now, self._read()
        return self._last[1]

    def _read(self) -> dict[str, Any]:
        node, counters = self._node, self._node.counters
        return {
            "node": node.id,
            "worker": node.readiness.worker_ipc.index,
            "version": __version__,
            "started": self._started,
            "time": int(self._wall() * 1000),
            "draining": node.readiness.draining,
            "reasons": node.readiness.reasons(),
            "connections": len(node.connections),
            "sockets": node.admission.sockets,
            "channels": len(node.channels),
            "loop_lag_s": round(counters.loop_lag_s, 4),
            "totals": {
                "opened": counters.connections_opened,
                "published": counters.published,
                "delivered": node.flushes.delivered,
                "received_bytes": counters.bytes_received,
                "refused": counters.refused.total(),
                "errors": counters.errors.total(),
                "gaps": counters.gaps,
                "lost": counters.lost,
                "unrecovered": counters.unrecovered,
                "slow_consumers": counters.closed["slow_consumer"],
            },
            "shards": [
                {
                    "name": shard.name,
                    "usable": shard.usable,
                    "deaf_s": round(shard.deaf_s, 3),
                    "rtt_ms": round(shard.rtt_s * 1000, 3),
                }
                for shard in node.broker.health()
            ],
            "slow": self._slow(),
            "busiest": self._busiest(),
        }

    def _slow(self) -> list[dict[str, Any]]:
        """Connections that do not read fast enough, those with most bytes waiting first."""
        waiting = (each for each in self._node.connections.all() if each.outbox.blocked)
        return [_waiting(each) for each in heapq.nlargest(SLOWEST, waiting, key=_queued)]

    def _busiest(self) -> list[dict[str, Any]]:
        """The stored channels with most events a second, by their tails: nothing is counted for this meanwhile."""
        since = int((self._wall() - RECENT_S) * 1000)
        rated = ((events_a_second(each, since), each) for each in self._node.channels.open_channels())
        found = heapq.nlargest(BUSIEST, (pair for pair in rated if pair[0]), key=lambda pair: pair[0])
        return [
            {"channel": each.name, "events_s": round(rate, 2), "subscribers": each.subscribers}
            for rate, each in found
        ]


def events_a_second(channel: Channel, since: int) -> float:
    """How many events a second it had since the Unix time `since` (ms), `RECENT_S` ago; a tail that does not reach
    back so far speaks for the time that it does."""
    tail = channel.tail
    if not tail or tail[-1].time < since:
        return 0.0
    first = bisect_left(tail, since, key=attrgetter("time"))
    if first or tail[0].offset == 1:
        return (len(tail) - first) / RECENT_S
    span_s = max(1.0, (since / 1000 + RECENT_S) - tail[0].time / 1000)
    return len(tail) / max(span_s, 1.0)


def _queued(connection: Connection) -> int:
    return connection.outbox.queued_bytes


def _waiting(connection: Connection) -> dict[str, Any]:
    return {
        "connection": connection.id,
        "user": connection.who[0],
        "address": connection.address,
        "bytes": connection.outbox.queued_bytes,
        "frames": connection.outbox.queued,
    }
