"""What an application costs that decides and is told: handlers, proxies and webhooks, in turns (A B A B).

Each figure of a kind of publication or subscription is the difference to the same without anybody who is asked, by
pairs of turns beside each other: the median with its 95 % interval, of the hub's CPU and by the clock.
"""

from __future__ import annotations

import json
import math
import platform
import socket
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from websockets.sync.client import connect

from loadtest.accounting import cpu_seconds, pss_bytes
from loadtest.backend import backend
from loadtest.figures import Row
from loadtest.machine import cores, free_port
from loadtest.redis_server import own_redis
from loadtest.server import running
from loadtest.targets.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from loadtest.backend import Backend

TURN = 200  # publications or subscriptions of one turn
WAITING = 10_000
WHSEC = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
_NO_RATES = {
    f"HUB_{name}": "1000000"
    for name in ("COMMAND_RATE", "COMMAND_BURST", "USER_COMMAND_RATE", "USER_COMMAND_BURST")
}
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of differences, and between which it lies with 95 % (by their ranks)."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        ordered, count = sorted(values), len(values)
        away = 0.98 * math.sqrt(count)
        low, high = max(0, math.floor(count / 2 - away)), min(count - 1, math.ceil(count / 2 + away) - 1)
        return cls(statistics.median(values), ordered[low], ordered[high])

    def __str__(self) -> str:
        return f"{self.low:.0f} to {self.high:.0f}"


class Asking:
    """One keep-alive connection that publishes, an event a request, each after the answer to the one before."""

    def __init__(self, hub: Hub) -> None:
        self._socket = socket.create_connection((hub.host, hub.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"Host: {hub.host}\r\nAuthorization: Bearer {hub.api_key}\r\n"

    def publish(self, channel: str) -> None:
        self._ask("/v1/publish", {"channel": channel, "event": "load", "payload": {"n": 1}})

    def batch(self, channels: list[str]) -> None:
        events = [{"channel": each, "event": "load", "payload": {"n": 1}} for each in channels]
        self._ask("/v1/batch", {"events": events})

    def _ask(self, path: str, body: object) -> None:
        data = json.dumps(body, separators=(",", ":")).encode()
        head = f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(data)}\r\n\r\n"
        self._socket.sendall(head.encode() + data)
        answer = self._socket.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
        length = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        missing = length - len(answer.partition(b"\r\n\r\n")[2])
        while missing > 0:
            missing -= len(self._socket.recv(65_536))


def _turns(
    pid: int, rounds: int, kinds: Mapping[str, Callable[[], None]], first: str
) -> Iterator[tuple[str, Spread, Spread]]:
    """For each kind its differences to `first`, µs: in CPU of the process, and by the clock."""
    cpu: dict[str, list[float]] = {name: [] for name in kinds}
    wall: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(rounds + 1):
        for name, step in kinds.items():
            used, began = cpu_seconds(pid), time.perf_counter()
            for _ in range(TURN):
                step()
            took, spent = time.perf_counter() - began, cpu_seconds(pid) - used
            if number:  # the first round makes what is made once
                cpu[name].append(spent / TURN * 1e6)
                wall[name].append(took / TURN * 1e6)
    alone = statistics.median(cpu[first]), statistics.median(wall[first])
    print(f"{first}: {alone[0]:.0f} µs of CPU, {alone[1]:.0f} µs by the clock")
    for name in kinds:
        if name != first:
            yield name, _differences(cpu[name], cpu[first]), _differences(wall[name], wall[first])


def _differences(ones: list[float], others: list[float]) -> Spread:
    return Spread.of([one - other for one, other in zip(ones, others, strict=True)])


def _subscribing(url: str, token: str) -> Callable[[str], None]:
    """Subscribe to a channel and leave it."""
    wire = connect(f"{url}?token={token}", compression=None)

    def step(channel: str) -> None:
        for kind in ("subscribe", "unsubscribe"):
            wire.send(json.dumps({"type": kind, "channel": channel, "id": 1}))
            while True:
                answer = json.loads(wire.recv(10))
                if answer.get("id") == 1:
                    assert answer["type"] != "hub.error", answer
                    break

    wire.recv(10)
    return step


def measure(rounds: int) -> list[Row]:
    """Each bounded figure."""
    return [*_deciding(rounds), *_telling()]


def _hub(**settings: object) -> Hub:
    hub = Hub(free_port(), secret="s" * 32)
    given = {
        f"HUB_{name.upper()}": each if isinstance(each, str) else json.dumps(each)
        for name, each in settings.items()
    }
    hub.settings = {**given, **_NO_RATES, "PYTHONPATH": str(ROOT)}
    return hub


def _deciding(rounds: int) -> Iterator[Row]:
    print(f"Python {platform.python_version()}, {rounds} pairs of {TURN}")
    with ExitStack() as stack:
        app = stack.enter_context(backend())
        proxy = {
            "event": "subscribe",
            "url": f"http://127.0.0.1:{app.port}/ask",
            "secret": [WHSEC],
            "match": ["doc:asked-*"],
        }
        hub = _hub(plugins=["loadtest.deciding:Deciding"], proxies=[proxy])
        server = stack.enter_context(running(hub, cores()[1]))
        asking = Asking(hub)
        kinds = {
            kind: partial(asking.publish, f"doc:{kind}-1") for kind in ("free", "async", "waits", "plain")
        }
        words = {
            "async": ("a publication with an async handler", 25.0),
            "plain": ("with a plain one", 150.0),
            "waits": ("with an async one that waits once", 25.0),
        }
        for kind, cpu, wall in _turns(server.pid, rounds, kinds, "free"):
            what, bound = words[kind]
            yield Row(f"{what}: CPU more ({cpu})", cpu.median, bound, "µs")
            yield Row(f"{what}: by the clock ({wall})", wall.median, bound, "µs")
        step = _subscribing(f"ws://{hub.host}:{hub.port}/ws", hub.token(1))
        step("doc:asked-1")
        subscriptions = {kind: partial(step, f"doc:{kind}-1") for kind in ("free", "asked")}
        for _, cpu, _wall in _turns(server.pid, rounds, subscriptions, "free"):
            yield Row(f"a subscription with a cached decision: CPU more ({cpu})", cpu.median, 10.0, "µs")
        assert app.count(b"/ask") == 1, "it was remembered"


def _telling() -> Iterator[Row]:
    with ExitStack() as stack:
        app = stack.enter_context(backend())
        told = {"secret": [WHSEC], "timeout": 1.0}
        hub = _hub(
            webhooks=[
                {
                    "name": "live",
                    "url": f"http://127.0.0.1:{app.port}/live",
                    "channels": ["doc:live-*"],
                    **told,
                },
                {
                    "name": "dead",
                    "url": f"http://127.0.0.1:{free_port()}/dead",
                    "channels": ["doc:dead-*"],
                    **told,
                },
            ],
            webhook_allow=["127.0.0.0/8"],
        )
        hub.broker = stack.enter_context(own_redis())
        server = stack.enter_context(running(hub, cores()[1]))
        asking = Asking(hub)
        yield Row("webhooks delivered by one node", _rate(asking, app), 500.0, "a second", least=True)
        before = _delay(asking, app)
        for _ in range(WAITING // 100):
            asking.batch([f"doc:idle-{number}" for number in range(100)])
        held = pss_bytes(server.pid, "Pss_Anon")
        for _ in range(WAITING // 100):
            asking.batch([f"doc:dead-{number}" for number in range(100)])
        time.sleep(3)
        more = (pss_bytes(server.pid, "Pss_Anon") - held) / 1e6
        yield Row(f"{WAITING:,} that wait for a dead endpoint: memory", more, 5.0, "MB")
        yield Row("a living endpoint beside them: later by", _delay(asking, app) - before, 1.0, "ms")


def _rate(asking: Asking, app: Backend, count: int = 3000) -> float:
    began, had = time.perf_counter(), app.count(b"/live")
    for start in range(0, count, 100):
        asking.batch([f"doc:live-{number % 50}" for number in range(start, start + 100)])
    assert app.until(b"/live", had + count, 60), f"{app.count(b'/live') - had} of {count} came"
    return count / (app.last - began)


def _delay(asking: Asking, app: Backend, count: int = 100) -> float:
    """From a publication to its request, ms: the median."""
    found = []
    for _ in range(count):
        had, began = app.count(b"/live"), time.perf_counter()
        asking.publish("doc:live-1")
        assert app.until(b"/live", had + 1, 20)
        found.append((app.last - began) * 1000)
    return statistics.median(found)
