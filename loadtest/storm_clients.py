"""The clients of a storm: one process of them, each with the manners that the contract asks for, or none.

A client keeps its positions, opens the new connection before it drops the old one when it is told to, stays
inside the windows that it is given, and backs off with full jitter where it is given none.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadtest.fleet import Fleet
from loadtest.latency import Latencies, Timeline
from loadtest.ledger import Count, Receiver
from loadtest.machine import need_descriptors

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    from loadtest.bench import Plan
    from loadtest.connection import Connection
    from loadtest.targets.hub import Hub

#: Full jitter between these, as ``hub.welcome`` gives them by default.
_BACKOFF_LOW, _BACKOFF_HIGH = 0.5, 20.0
_RECONNECT = frozenset({4100, 4101, 4102, 4103, 4108, 4129, 1001, 1005, 1006, 1011, 1012, 1013})


@dataclass(slots=True)
class Client:
    """One client and its one or two connections."""

    slot: int
    channels: tuple[int, ...]
    live: Connection | None = None
    coming: Connection | None = None
    attempt: int = 0
    resume: str = ""
    window: tuple[float, float] | None = None
    last: dict[int, int] = field(default_factory=dict)
    away_since: float = 0.0
    longest_away: float = 0.0
    holes: int = 0


class StormClients:
    """All clients of one process. ``port`` is where they go next: what a load balancer would choose."""

    def __init__(self, target: Hub, plan: Plan, sources: list[str], *, rude: bool = False) -> None:
        self.target = target
        self.fleet = Fleet(target, sources=sources)
        self.clients = {slot: Client(slot, channels) for slot, channels in plan}
        self.plan = plan
        self.port = target.port
        self.rude = rude
        self.refusals: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.arrivals: list[float] = []
        self._epochs: dict[int, str] = {}
        self._timers: list[tuple[float, int]] = []
        self._draw = random.Random(os.getpid())
        self.fleet.on_control = self._control
        self.fleet.on_closed = self._closed
        self.fleet.on_live = self._arrived

    # -- coming in -----------------------------------------------------------------------------------

    def open(self, client: Client) -> None:
        """Connect with what the client knows: its token, its ``resume``, its positions."""
        self._remember(client)
        known = {
            channel: (self._epochs[channel], offset)
            for channel, offset in client.last.items()
            if channel in self._epochs
        }
        self.target.positions[client.slot] = known
        # A receiver of its own for each connection: what one connection doubles or leaves out shows in
        # it, while an overlap of two during a hand-over is the client's to drop, and is dropped.
        self.fleet.receivers[client.slot] = Receiver(dict(client.last))
        query = f"&resume={client.resume}" if client.resume else ""
        client.coming = self.fleet.open(client.slot, client.channels, query=query, port=self.port)

    def turn(self, timeout: float) -> None:
        """Poll once, then open what is due."""
        now = time.monotonic()
        if self._timers:
            timeout = min(timeout, max(0.0, self._timers[0][0] - now))
        self.fleet.poll(timeout)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            client = self.clients[heapq.heappop(self._timers)[1]]
            if client.coming is None:
                self.open(client)

    @property
    def inside(self) -> int:
        return sum(client.live is not None for client in self.clients.values())

    def _remember(self, client: Client) -> None:
        """The client's own position is the furthest that any of its connections brought it."""
        for connection in (client.live, client.coming):
            if connection is not None:
                for channel, offset in connection.receiver.last.items():
                    client.last[channel] = max(offset, client.last.get(channel, 0))

    def _arrived(self, connection: Connection) -> None:
        client = self.clients[connection.slot]
        now = time.monotonic()
        self.arrivals.append(now)
        if client.away_since:
            client.longest_away = max(client.longest_away, now - client.away_since)
            client.away_since = 0.0
        old, client.live, client.coming = client.live, connection, None
        client.attempt, client.window = 0, None
        if old is not None:
            self._bury(client, old)
            self.fleet.close(old)

    def _bury(self, client: Client, old: Connection) -> None:
        client.holes += len(old.receiver.missing or ())

    # -- going out -----------------------------------------------------------------------------------

    def _closed(self, connection: Connection, why: str) -> None:
        client = self.clients[connection.slot]
        if connection is client.live:
            self._remember(client)
            self._bury(client, connection)
            client.live = None
            client.away_since = time.monotonic()
        elif connection is client.coming:
            client.coming = None
            self.refusals[why[:60]] += 1
        else:
            return
        code = connection.close_code or 1006
        if self.rude:
            self._later(client, 0.0)
        elif client.coming is None and code in _RECONNECT:
            self._later(client, self._delay(client, connection))

    def _delay(self, client: Client, connection: Connection) -> float:
        if connection.retry_after:
            return connection.retry_after * self._draw.uniform(1.0, 1.5)
        if client.window is not None:
            return self._draw.uniform(*client.window)
        ceiling = min(_BACKOFF_HIGH, _BACKOFF_LOW * 2**client.attempt)
        client.attempt += 1
        return self._draw.uniform(0.0, ceiling)

    def _later(self, client: Client, delay: float) -> None:
        heapq.heappush(self._timers, (time.monotonic() + delay, client.slot))

    # -- what the hub says ---------------------------------------------------------------------------

    def _control(self, connection: Connection, payload: bytes) -> None:
        message = json.loads(payload)
        kind = message["type"]
        self.messages[kind] += 1
        client = self.clients[connection.slot]
        if kind == "hub.welcome":
            client.resume = message.get("resume", "")
        elif kind == "hub.subscribed":
            self._subscribed(connection, message)
        elif kind == "hub.resubscribe":
            self._epochs[self.target.number(message["channel"])] = message["epoch"]
        elif kind in ("hub.drain", "hub.close"):
            self._window(client, kind, message)

    def _subscribed(self, connection: Connection, message: dict[str, Any]) -> None:
        for entry in message.get("results", [message]):
            number = self.target.number(entry["channel"])
            self._epochs[number] = entry["epoch"]
            connection.receiver.last.setdefault(number, entry["offset"])
            if entry.get("recovered") is False:
                self.messages["gap"] += 1

    def _window(self, client: Client, kind: str, message: dict[str, Any]) -> None:
        window = message.get("reconnect")
        if window:
            client.window = (window["min_ms"] / 1000, window["max_ms"] / 1000)
            if kind == "hub.drain" and client.coming is None:
                self._later(client, self._draw.uniform(*client.window))


@dataclass(slots=True)
class Findings:
    """What a load process tells when it is over. Times are the machine's monotonic clock, in seconds."""

    count: Count
    lost: int
    latencies: dict[int, int]
    timeline: Timeline | None
    arrivals: list[float]
    away: list[float]
    inside: int
    refusals: dict[str, int]
    messages: dict[str, int]


def child(target: Hub, plan: Plan, sources: list[str], pipe: Pipe, *, rude: bool) -> None:
    """A load process: told by ``pipe`` what to do (see ``_obey``), else it polls."""
    try:
        need_descriptors(2 * len(plan))
        crowd = StormClients(target, plan, sources, rude=rude)
        while _obey(crowd, pipe):
            crowd.turn(0.02)
    except Exception as error:  # told to the parent, which ends the run with it
        pipe.send(f"{type(error).__name__}: {error}")


def _obey(crowd: StormClients, pipe: Pipe) -> bool:
    while pipe.poll():
        order, value = pipe.recv()
        if order == "enter":
            _enter(crowd, int(value))
        elif order == "port":
            crowd.port = value
        elif order == "inside":
            pipe.send((crowd.inside, len(crowd.arrivals)))
        elif order == "fresh":
            pipe.send(_found(crowd, {}))
            _forget(crowd)
        elif order == "found":
            pipe.send(_found(crowd, value))
        else:
            return False
    return True


def _enter(crowd: StormClients, in_flight: int) -> None:
    """All at once, or so many at a time."""
    waiting = iter(crowd.clients.values())
    begun = 0
    while begun < len(crowd.clients):
        while begun < len(crowd.clients) and begun - crowd.inside < in_flight:
            crowd.open(next(waiting))
            begun += 1
        crowd.turn(0.02)


def _forget(crowd: StormClients) -> None:
    """From now on count anew: what came before was the way here."""
    crowd.fleet.count = Count()
    crowd.fleet.latencies = Latencies()
    crowd.fleet.timeline = crowd.fleet.timeline or Timeline()
    crowd.arrivals = []
    crowd.messages.clear()
    crowd.refusals.clear()


def _found(crowd: StormClients, published: dict[int, int]) -> Findings:
    lost = 0
    for client in crowd.clients.values():
        lost += client.holes
        if client.live is not None:
            lost += client.live.receiver.lost(published)
    fleet = crowd.fleet
    return Findings(
        fleet.count,
        lost,
        dict(fleet.latencies.counts),
        fleet.timeline,
        crowd.arrivals,
        [client.longest_away for client in crowd.clients.values()],
        crowd.inside,
        dict(crowd.refusals),
        dict(crowd.messages),
    )
