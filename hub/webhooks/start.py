"""The webhooks of a node begin: who is told of what, who delivers, and what else is told than the broker's own."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any
from zlib import crc32

import httpx
import orjson

from ..auth.grants import pattern
from ..broker.attendance import ConnectionLedger
from ..broker.base import Broker, Kind, Route, Waiting
from ..connections.observer import Ending, NoObserver, Observed
from ..outgoing.addresses import Guard, GuardedTransport
from ..outgoing.lanes import Lanes
from ..outgoing.requests import client
from ..protocol import codes
from ..protocol.channels import is_reserved
from ..protocol.errors import HubError
from ..runtime.standing import StandingWork
from ..runtime.tasks import Tasks
from ..settings import Settings
from ..tracing.base import Follower
from .attendance import Attendance
from .courier import Courier
from .endpoint import AT_ONCE, Endpoint
from .settings import EVENTS, OCCUPANCY, PRESENCE, WebhookSettings, read

LEARN_S = 5.0
MOST_PUSHING = 10_000  # happenings on their way to the broker; beyond, they are dropped and counted
_SPREAD = 16  # queues of an endpoint for what is of no channel
NODE_LOST_CODE = 1006  # it ended without a close (RFC 6455 section 7.4.1)


def routes_of(endpoints: Sequence[WebhookSettings]) -> Route:
    """Who is told of a channel's events, presence or occupancy."""
    of = {
        what: [(each.name, pattern(tuple(each.channels))) for each in endpoints if kinds & set(each.events)]
        for what, kinds in (("event", EVENTS), ("presence", PRESENCE), ("occupancy", OCCUPANCY))
    }

    @lru_cache(maxsize=16_384)
    def route(channel: str, what: str) -> tuple[str, ...]:
        return tuple(name for name, channels in of[what] if channels.matches(channel))

    return route


@dataclass(frozen=True, slots=True)
class Happening:
    """Something of no channel; `then` is called once it waits for its endpoints."""

    kind: Kind
    about: str
    body: bytes
    then: Callable[[], None] | None


@dataclass(slots=True)
class Webhooks:
    """All of one node. `dropped` counts what could not even be noted; `late` is tried again."""

    courier: Courier
    broker: Broker
    http: httpx.AsyncClient
    tasks: Tasks
    routes: Route
    grace_s: float
    pushing: int = 0
    dropped: int = 0
    late: list[Happening] = field(default_factory=list)

    async def close(self) -> None:
        """Nothing more is sent; what waits stays."""
        await self.tasks.close()
        await self.http.aclose()

    def begin(self, standing: StandingWork) -> None:
        """Once the broker has started."""
        self.tasks.spawn(standing.run("webhooks", self._round, lambda: LEARN_S, 2 * LEARN_S))

    def observer(self) -> "ConnectionTeller | None":
        """Who is told of connections, where an endpoint wants to know."""
        wanted = {Kind.CONNECTION_OPENED, Kind.CONNECTION_CLOSED} & self._kinds()
        if Kind.CONNECTION_CLOSED in wanted:
            self.broker.connections.watch(self.lost)
            return ConnectionTeller(self.tell, self.broker.connections)
        return ConnectionTeller(self.tell, None) if wanted else None

    def attendance(self) -> Attendance | None:
        """Who is told of channels that get their first subscriber or lose their last, where an endpoint wants to
        know."""
        if not OCCUPANCY & self._kinds():
            return None
        return Attendance(
            self.broker.occupancy,
            self.tasks,
            lambda channel: not is_reserved(channel) and bool(self.routes(channel, "occupancy")),
            self.grace_s,
        )

    def revoked(self, entry: str, until: float) -> None:
        """Tokens were taken back."""
        self.tell(Kind.TOKEN_REVOKED, entry, {"entry": entry, "until": int(until * 1000)})

    def tell(
        self, kind: Kind, about: str, fields: dict[str, Any], then: Callable[[], None] | None = None
    ) -> None:
        """Put a happening into the queues of those who want to know; what is `about` one thing comes in order.
        `then` is called once it is there."""
        body = orjson.dumps({"kind": kind.value, "time": int(time.time() * 1000), **fields})
        happening = Happening(kind, about, body, then)
        if self.pushing >= MOST_PUSHING:
            self._missed(happening)
        else:
            self._begin(happening)

    async def lost(self, connections: Sequence[bytes]) -> None:
        """As `Lost`: the node of these died."""
        await asyncio.gather(*map(self._lost, connections))

    async def _lost(self, said: bytes) -> None:
        try:
            about = orjson.loads(said)
            fields = {"id": about["id"], "connection": about["connection"], "user": about["user"]}
        except (orjson.JSONDecodeError, KeyError, TypeError):
            self.dropped += 1  # no node wrote it: those beside it are told all the same
            return
        why = {"code": NODE_LOST_CODE, "reason": "node_lost"}
        body = {"kind": Kind.CONNECTION_CLOSED.value, "time": int(time.time() * 1000), **fields, **why}
        await self._put(Kind.CONNECTION_CLOSED, str(fields["connection"]), orjson.dumps(body))

    async def _round(self) -> None:
        await self.courier.learn()
        late, self.late = self.late, []
        for happening in late:
            self._begin(happening)

    def _begin(self, happening: Happening) -> None:
        self.pushing += 1
        self.tasks.spawn(self._push(happening))

    def _missed(self, happening: Happening) -> None:
        """One that somebody waits for is tried again; the others are best effort."""
        if happening.then is not None and len(self.late) < MOST_PUSHING:
            self.late.append(happening)
        else:
            self.dropped += 1

    async def _push(self, happening: Happening) -> None:
        try:
            async with asyncio.timeout(10.0):
                await self._put(happening.kind, happening.about, happening.body)
        except (HubError, TimeoutError):
            self._missed(happening)
        else:
            if happening.then is not None:
                happening.then()
        finally:
            self.pushing -= 1

    async def _put(self, kind: Kind, about: str, body: bytes) -> None:
        channel = f"hub:happenings.{crc32(about.encode()) % _SPREAD}"
        for endpoint in self.courier.endpoints.values():
            if kind in endpoint.settings.events:
                await self.broker.intents.push(channel, endpoint.name, body)

    def _kinds(self) -> set[Kind]:
        return {kind for each in self.courier.endpoints.values() for kind in each.settings.events}


class ConnectionTeller(NoObserver):
    """`Observer` that tells of connections. With a `ledger` another node tells of those that are open when this one
    dies: under the same id, so that who was told already leaves it out."""

    def __init__(self, tell: Callable[..., None], ledger: ConnectionLedger | None) -> None:
        self._tell = tell
        self._ledger = ledger

    def admitted(self, connection: Observed) -> None:
        """As `Observer.admitted`."""
        about = _about(connection)
        self._tell(Kind.CONNECTION_OPENED, connection.id, about)
        if self._ledger is not None:
            self._ledger.opened(connection.id, orjson.dumps({"id": _closed_id(connection), **about}))

    def ended(self, connection: Observed, ending: Ending) -> None:
        """As `Observer.ended`."""
        why = {"code": ending.code, "reason": codes.name(ending.code)}
        fields = {"id": _closed_id(connection), **_about(connection), **why}
        forget = None if self._ledger is None else partial(self._ledger.closed, connection.id)
        self._tell(Kind.CONNECTION_CLOSED, connection.id, fields, forget)


def _about(connection: Observed) -> dict[str, Any]:
    return {"connection": connection.id, "user": connection.who[0]}


def _closed_id(connection: Observed) -> str:
    return f"{connection.id}/closed"


def start(
    settings: Settings,
    broker: Broker,
    now: Callable[[], float],
    wall: Callable[[], float],
    transport: httpx.AsyncBaseTransport | None = None,
    tracer: Follower | None = None,
) -> Webhooks:
    """Before the broker starts: from then on intents are written.

    Raises:
        ValueError: a line for each setting that is wrong.
    """
    given = read(settings)
    guard = Guard(settings.webhook_allow)
    at_once = AT_ONCE * len(given)
    http = client(at_once, GuardedTransport(guard, transport or Lanes(at_once)))
    tasks = Tasks()
    endpoints = [Endpoint(each, http, now, wall, tracer) for each in given]

    def tell_overflow(endpoint: str, channel: str, count: int) -> None:
        fields = {"endpoint": endpoint, "of": channel, "count": count}
        webhooks.tell(Kind.WEBHOOK_OVERFLOW, endpoint, fields)

    shown = settings.table.shown
    courier = Courier(endpoints, broker.intents, broker.dead_letters, tasks, now, wall, tell_overflow, shown)
    routes = routes_of(given)
    webhooks = Webhooks(courier, broker, http, tasks, routes, settings.presence_grace)
    broker.intents.route(Waiting(routes, courier.wake, courier.overflow, settings.webhook_waiting))
    return webhooks
