"""The webhooks of a node begin: who is told of what, who delivers, and what else is told than the broker's own."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zlib import crc32

import httpx
import orjson

from ..auth.grants import pattern
from ..broker.base import Broker, Kind, Route, Waiting
from ..connections.observer import Ending, NoObserver, Observed
from ..outgoing.addresses import Guard, GuardedTransport
from ..outgoing.requests import client
from ..protocol import codes
from ..protocol.errors import HubError
from ..runtime.standing import StandingWork
from ..runtime.tasks import Tasks
from ..settings import Settings
from .courier import Courier
from .endpoint import AT_ONCE, Endpoint
from .settings import WebhookSettings, read

LEARN_S = 5.0
MOST_PUSHING = 10_000  # happenings on their way to the broker; beyond, they are dropped and counted
_SPREAD = 16  # queues of an endpoint for what is of no channel

_PRESENCE = frozenset({Kind.PRESENCE_JOINED, Kind.PRESENCE_LEFT})
_EVENTS = frozenset({Kind.EVENT, Kind.LEASE_EXPIRED})


def routes_of(endpoints: Sequence[WebhookSettings]) -> Route:
    """Who is told of a channel's events or presence."""
    of = {
        "event": [
            (each.name, pattern(tuple(each.channels))) for each in endpoints if _EVENTS & set(each.events)
        ],
        "presence": [
            (each.name, pattern(tuple(each.channels))) for each in endpoints if _PRESENCE & set(each.events)
        ],
    }

    @lru_cache(maxsize=16_384)
    def route(channel: str, what: str) -> tuple[str, ...]:
        return tuple(name for name, channels in of[what] if channels.matches(channel))

    return route


@dataclass(slots=True)
class Webhooks:
    """All of one node. `dropped` counts what could not even be noted."""

    courier: Courier
    broker: Broker
    http: httpx.AsyncClient
    tasks: Tasks
    pushing: int = 0
    dropped: int = 0

    async def close(self) -> None:
        """Nothing more is sent; what waits stays."""
        await self.tasks.close()
        await self.http.aclose()

    def begin(self, standing: StandingWork) -> None:
        """Once the broker has started."""
        self.tasks.spawn(standing.run("webhooks", self.courier.learn, lambda: LEARN_S, 2 * LEARN_S))

    def observer(self) -> "ConnectionTeller | None":
        """Who is told of connections, where an endpoint wants to know."""
        wanted = {Kind.CONNECTION_OPENED, Kind.CONNECTION_CLOSED} & self._kinds()
        return ConnectionTeller(self.tell) if wanted else None

    def revoked(self, entry: str, until: float) -> None:
        """Tokens were taken back."""
        self.tell(Kind.TOKEN_REVOKED, entry, {"entry": entry, "until": int(until * 1000)})

    def tell(self, kind: Kind, about: str, fields: dict[str, Any]) -> None:
        """Put a happening into the queues of those who want to know; what is `about` one thing comes in order."""
        body = orjson.dumps({"kind": kind.value, "time": int(time.time() * 1000), **fields})
        channel = f"hub:happenings.{crc32(about.encode()) % _SPREAD}"
        for endpoint in self.courier.endpoints.values():
            if kind in endpoint.settings.events:
                if self.pushing >= MOST_PUSHING:
                    self.dropped += 1
                    continue
                self.pushing += 1
                self.tasks.spawn(self._push(channel, endpoint.name, body))

    async def _push(self, channel: str, endpoint: str, body: bytes) -> None:
        try:
            async with asyncio.timeout(10.0):
                await self.broker.intents.push(channel, endpoint, body)
        except (HubError, TimeoutError):
            self.dropped += 1
        finally:
            self.pushing -= 1

    def _kinds(self) -> set[Kind]:
        return {kind for each in self.courier.endpoints.values() for kind in each.settings.events}


class ConnectionTeller(NoObserver):
    """`Observer` that tells of connections."""

    def __init__(self, tell: Callable[[Kind, str, dict[str, Any]], None]) -> None:
        self._tell = tell

    def admitted(self, connection: Observed) -> None:
        """As `Observer.admitted`."""
        about = {"connection": connection.id, "user": connection.who[0]}
        self._tell(Kind.CONNECTION_OPENED, connection.id, about)

    def ended(self, connection: Observed, ending: Ending) -> None:
        """As `Observer.ended`."""
        about = {"connection": connection.id, "user": connection.who[0]}
        why = {"code": ending.code, "reason": codes.name(ending.code)}
        self._tell(Kind.CONNECTION_CLOSED, connection.id, {**about, **why})


def start(
    settings: Settings,
    broker: Broker,
    now: Callable[[], float],
    wall: Callable[[], float],
    transport: httpx.AsyncBaseTransport | None = None,
) -> Webhooks:
    """Before the broker starts: from then on intents are written.

    Raises:
        ValueError: a line for each setting that is wrong.
    """
    given = read(settings)
    guard = Guard(settings.webhook_allow)
    at_once = AT_ONCE * len(given)
    inner = transport or httpx.AsyncHTTPTransport(
        limits=httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once), trust_env=False
    )
    http = client(at_once, GuardedTransport(guard, inner))
    tasks = Tasks()
    endpoints = [Endpoint(each, http, now, wall) for each in given]

    def tell_overflow(endpoint: str, channel: str, count: int) -> None:
        fields = {"endpoint": endpoint, "of": channel, "count": count}
        webhooks.tell(Kind.WEBHOOK_OVERFLOW, endpoint, fields)

    courier = Courier(endpoints, broker.intents, broker.dead_letters, tasks, now, wall, tell_overflow)
    webhooks = Webhooks(courier, broker, http, tasks)
    most = settings.webhook_waiting
    broker.intents.route(Waiting(routes_of(given), courier.wake, courier.overflow, most))
    return webhooks
