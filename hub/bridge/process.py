"""The process of bridges: all that the settings name, and how it says whether they are well.

No port but that of ``/livez``, ``/readyz`` and ``/metrics``; any number of such processes may run, as the sources
share their partitions among readers or let one read and the others stand by.
"""

import asyncio
import contextlib
import importlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import httpx
from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..runtime.backoff import Timing
from ..runtime.breaker import BreakerState, CircuitBreaker
from ..sdk.delivery import HttpDelivery
from ..sdk.tls import ClientTls
from ..sdk.tokens import NoToken, TokenSource
from ..tracing.base import Follower
from . import traces
from .bridge import STOP_S, Bridge
from .hand_over import HubHandOver, HubLetterbox
from .more_kinds import KINDS as OF_PLUGINS
from .settings import BridgeSettings
from .source import Source

log = logging.getLogger("hub.bridge")

REQUEST_S = 15.0
CLASSES = {
    "kafka": "KafkaSource",
    "rabbitmq": "RabbitSource",
    "nats": "NatsSource",
    "redis_stream": "RedisStreamSource",
    "postgres": "PostgresSource",
}
EXTRAS = {"redis_stream": "bridge"}


class NotInstalled(Exception):
    """The library of a bridge's kind is missing; `str` says what installs it."""


def maker(settings: BridgeSettings) -> Callable[[], Source]:
    """What makes a bridge's source anew for each try.

    Raises:
        NotInstalled: its library is missing.
    """
    make = OF_PLUGINS.get(settings.kind)
    if make is not None:
        return lambda: make(settings)
    try:
        module = importlib.import_module(f".kinds.{settings.kind}", __package__)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(settings.kind, settings.kind)
        raise NotInstalled(
            f"bridge {settings.name}: {error.name} is missing: pip install 'notification-hub[{extra}]'"
        ) from None
    kind: Callable[[BridgeSettings], Source] = getattr(module, CLASSES[settings.kind])
    return lambda: kind(settings)


class Bridges:
    """All bridges of a process, to the hub at `url` with the API key or service token `bearer` (empty: the
    certificate of `tls` says who they are); `tracer` is closed with them.

    Raises:
        NotInstalled: a library is missing. BadTemplate: a mapping is wrong.
    """

    def __init__(
        self,
        settings: Sequence[BridgeSettings],
        url: str,
        bearer: str,
        timing: Timing | None = None,
        tracer: Follower | None = None,
        tls: ClientTls | None = None,
    ) -> None:
        timing = timing or Timing()
        self._tracer = tracer
        verify = True if tls is None else tls.context
        tokens = TokenSource(bearer, REQUEST_S) if bearer else NoToken()
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {bearer}"} if bearer else {},
            timeout=REQUEST_S,
            verify=verify,
            follow_redirects=False,
        )
        self.breaker = CircuitBreaker(failures=5, rest=5.0, trials=1)
        self._url = url
        self._letters = HubLetterbox(self._http, self.breaker, timing)
        self._hubs: dict[int, HubHandOver] = {}
        for replicas in {each.replicas for each in settings}:
            client = None if tracer is None else traces.client(tracer, REQUEST_S, verify)
            delivery = HttpDelivery(url, tokens, REQUEST_S, client, ordered=True, replicas=replicas, tls=tls)
            self._hubs[replicas] = HubHandOver(delivery, self.breaker, timing)
        self.all = [
            Bridge(each, maker(each), self._hubs[each.replicas], self._letters, timing, tracer)
            for each in settings
        ]

    async def start(self) -> None:
        """Begin."""
        for bridge in self.all:
            bridge.start()

    async def stop(self, within_s: float = STOP_S) -> None:
        """Hand on what is in flight, within so many seconds, and end."""
        await asyncio.gather(*(bridge.stop(within_s) for bridge in self.all))
        await self._http.aclose()
        for hub in self._hubs.values():
            await hub.close()
        if self._tracer is not None:
            await self._tracer.close()

    @property
    def problems(self) -> list[str]:
        """Why a bridge is not well, or the way to the hub; empty where all are."""
        found = [problem for bridge in self.all for problem in bridge.problems]
        found += [problem for hub in self._hubs.values() if (problem := hub.problem)]
        found += [self._letters.problem] if self._letters.problem else []
        if self.breaker.state is not BreakerState.CLOSED:
            found.append(f"the hub at {self._url} is not reached")
        return found


def health_app(bridges: Bridges) -> Starlette:
    """``/livez``, ``/readyz`` and ``/metrics``; the bridges live as long as the app."""
    registry = CollectorRegistry()
    registry.register(BridgeCollector(bridges))
    ProcessCollector(registry=registry)

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        await bridges.start()
        try:
            yield
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(15.0):
                    await bridges.stop()

    async def livez(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        problems = bridges.problems
        body = {"status": "not ready" if problems else "ok", "reasons": problems}
        return JSONResponse(body, 503 if problems else 200)

    async def metrics(_request: Request) -> Response:
        return PlainTextResponse(
            generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8"
        )

    return Starlette(
        lifespan=lifespan,
        routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)],
    )


class BridgeCollector(Collector):
    """What bridges count, by bridge and kind."""

    def __init__(self, bridges: Bridges) -> None:
        self._bridges = bridges

    def collect(self) -> Iterable[Metric]:
        """All metrics, at this moment."""
        labels = ["bridge", "source"]
        lag = GaugeMetricFamily(
            "hub_bridge_lag", "Records that wait at the source", labels=[*labels, "partition"]
        )
        flight = GaugeMetricFamily("hub_bridge_in_flight", "Batches read and not settled", labels=labels)
        up = GaugeMetricFamily("hub_bridge_up", "1 while a bridge is well", labels=labels)
        newest = GaugeMetricFamily(
            "hub_bridge_newest_seconds", "Time of the last record handed on", labels=labels
        )
        records = CounterMetricFamily("hub_bridge_records", "Records read", labels=labels)
        events = CounterMetricFamily("hub_bridge_events", "Publications that the hub took", labels=labels)
        twice = CounterMetricFamily(
            "hub_bridge_duplicates", "Repetitions that the hub held back", labels=labels
        )
        dead = CounterMetricFamily("hub_bridge_dead_letters", "Dead letters", labels=[*labels, "code"])
        retries = CounterMetricFamily("hub_bridge_retries", "Attempts that failed", labels=labels)
        for bridge in self._bridges.all:
            stats = bridge.stats
            who = [stats.name, stats.kind]
            for partition, count in bridge.lag.items():
                lag.add_metric([*who, partition], count)
            flight.add_metric(who, bridge.in_flight)
            up.add_metric(who, int(not bridge.problems))
            if stats.newest_ms is not None:
                newest.add_metric(who, stats.newest_ms / 1000)
            records.add_metric(who, stats.received)
            events.add_metric(who, stats.events)
            twice.add_metric(who, stats.duplicates)
            retries.add_metric(who, stats.retries.total())
            # One from the start: of a counter that comes with its first event, `increase` shows nothing.
            for code, number in {"bad_message": 0, **stats.letters}.items():
                dead.add_metric([*who, code], number)
        yield from (lag, flight, up, newest, records, events, twice, dead, retries)
