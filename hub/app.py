"""The composition root: from settings to a hub that serves. Only here implementations are picked."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from .auth.addresses import TrustedProxies
from .auth.from_settings import make_api_keys, make_authenticator, make_keys, make_provider
from .auth.keys import Keys
from .auth.origins import Origins
from .auth.signing import Signer
from .auth.stream_tickets import StreamTickets
from .auth.tickets import Tickets
from .broker.base import Broker
from .broker.memory.broker import MemoryBroker
from .cluster.worker_ipc import NoWorkerIpc, WorkerIpc
from .commands.application import Application, Applications
from .commands.handshake import Handshaker
from .handlers.in_process import InProcess
from .handlers.registry import Registers
from .http.app import Addition, build, direct_routes
from .http.context import HttpContext
from .http.not_started import NotStarted
from .node import Node
from .observe.audit import AuditLog, AuditObserver
from .observe.client_log import ClientLog
from .observe.facts import NodeFacts
from .observe.live import EVERY_S, LiveNodes
from .observe.observers import Observers
from .observe.overview import SAMPLE_S, Overview
from .observe.recorder import FlightRecorder
from .observe.traffic import NodeTraffic
from .protocol import ids
from .runtime.redaction import redact_loggers
from .runtime.sole_worker import SoleWorker
from .settings import Settings, told, unknown_variables

if TYPE_CHECKING:
    from .broker.redis.access import CredentialProvider, Remap
    from .plugins.plugin import Plugin
    from .tracing.base import Tracer
    from .webhooks.start import Webhooks


log = logging.getLogger("hub")


class BadSettings(ValueError):
    """The settings allow no hub; `problems` says why, in words."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Hub(Registers, InProcess):
    """A notification hub inside an ASGI app of one's own.

        hub = Hub(jwt_secret=...)
        app = Starlette(lifespan=hub.lifespan, routes=[Mount("/hub", hub.app)])

    Settings are given as one object, or by their names. `on_connect`, `on_subscribe`, … register handlers of the
    program around it; `publish`, `presence`, `disconnect` are what that does with the hub (docs/handlers.md).
    `app` serves the WebSocket (`Settings.path`) and the HTTP routes; `lifespan` starts and stops the node: `app`
    runs it where it is served by itself; where it is mounted, the outer app has to.
    `redis_credentials` and `redis_address_remap` are redis-py's own (``credential_provider``, ``address_remap``):
    as whom to connect, asked at each connect, and where servers are reached that Sentinels or a Cluster name.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        worker_ipc: WorkerIpc | None = None,
        *,
        redis_credentials: "CredentialProvider | None" = None,
        redis_address_remap: "Remap | None" = None,
        **values: Any,
    ) -> None:
        if settings is not None and values:
            raise TypeError("give either settings or their values")
        Registers.__init__(self)
        InProcess.__init__(self)
        self.settings = settings or Settings(**values)
        self._redis = (redis_credentials, redis_address_remap)
        self._worker_ipc = worker_ipc or NoWorkerIpc()
        self._plugins: Sequence[Plugin] | None = None  # until it starts for the first time
        self.node: Node | None = None
        self.wall: Callable[[], float] = time.time  # Unix seconds; tests hand in their own
        self.busy_threads: Callable[[], int] = int  # plain functions of handlers that run just now
        self._inner: ASGIApp = NotStarted()

        # A plain function: uvicorn takes a bound method for ASGI 2.
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            inner = Starlette(lifespan=self.lifespan) if scope["type"] == "lifespan" else self._inner
            await inner(scope, receive, send)

        self.app: ASGIApp = app

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[dict[str, Any]]:
        """Start the node; stop it at the end. The state is what the fast lane needs."""
        settings = self.settings
        warn_of_slips()
        if wrong := problems(settings):
            raise BadSettings(wrong)
        plugins = self._load_plugins()
        node_id = ids.node_id(secrets.randbits(ids.NODE_BITS))
        secret = node_secret(settings)
        async with AsyncExitStack() as ending:
            if settings.broker == "memory://" and not ending.enter_context(SoleWorker("hub-memory")).alone:
                log.error(
                    "another worker of this server has a hub in its memory too: what is published to one does not "
                    "reach the subscribers of the other. Run one worker, or set HUB_BROKER=redis://…"
                )
            # Each part is ended as soon as it exists: a start that fails half-way leaves nothing behind.
            keys = make_keys(settings, keys_of(plugins, settings))
            ending.push_async_callback(keys.close)
            authenticator = make_authenticator(settings, keys)
            broker = make_broker(
                settings,
                node_id,
                *self._redis,
                wall=self.wall,
                through_hub=self.handlers.asked_about(settings.table),
                webhooks=waiting_for_events(settings),
            )
            audit = make_audit(settings, node_id)
            if audit is not None:
                ending.push_async_callback(audit.close)
            observers = make_observers(settings, node_id, audit)
            tracer = make_tracer(settings, node_id)
            if tracer is not None:
                ending.push_async_callback(tracer.close)
            handlers = None
            if self.handlers:
                from .handlers import start as start_handlers

                handlers = start_handlers.start(self.handlers, settings)
                ending.push_async_callback(handlers.close)
            node = Node(
                settings,
                broker,
                authenticator,
                secret,
                id=node_id,
                worker_ipc=self._worker_ipc,
                wall=self.wall,
                observer=observers,
                tracer=tracer,
            )
            decide: list[Application] = []
            if handlers is not None:
                handlers.join(node, observers)
                self.busy_threads = handlers.busy_threads
                decide += [] if handlers.application is None else [handlers.application]
            ending.push_async_callback(node.stop)
            if settings.proxies:
                from .proxies.start import start as start_proxies

                asking = start_proxies(
                    settings, node.now, node.wall, lambda: node.revocations.changes, tracer
                )
                ending.push_async_callback(asking.close)
                decide.append(asking)
            if decide:
                node.application = decide[0] if len(decide) == 1 else Applications(decide)
            webhooks = None
            if settings.webhooks:
                from .webhooks.start import start as start_webhooks

                webhooks = start_webhooks(settings, broker, node.now, node.wall, tracer=tracer)
                ending.push_async_callback(webhooks.close)
                node.cluster.on_revoked = webhooks.revoked
                if (teller := webhooks.observer()) is not None:
                    observers.tell(teller)
                if (attendance := webhooks.attendance()) is not None:
                    node.channels.on_used = attendance.look
            tickets = Tickets(broker.registry, node.wall, Signer(secret, "ticket"))
            origins = Origins(settings.allowed_origins, not settings.require_origin)
            proxies = TrustedProxies(settings.trusted_proxies)
            handshaker = Handshaker(node, tickets, origins, proxies)
            more = [
                *make_intake(settings),
                *make_console(settings),
                *make_centrifugo(settings, node, keys, handshaker),
                *make_webhook_routes(webhooks),
            ]
            streams = StreamTickets(Signer(secret, "stream"), node.wall)
            context = HttpContext(node, make_api_keys(settings), tickets, streams, proxies, audit)
            facts = NodeFacts(node_id, node.connections, node.channels, observers.recorder, broker.health)
            node.cluster.answer("past", facts.past)
            node.cluster.answer("facts", facts.about)
            node.cluster.answer("traffic", NodeTraffic(node).sample)
            overview = Overview(node)
            node.cluster.answer("overview", overview.now)
            node.cluster.answer("samples", overview.past)
            node.cluster.answer("open_channels", overview.listen_to)
            live = LiveNodes(node, node.channels, node.cluster)
            # A host's own server writes each request with its query, which may hold a token.
            redact_loggers("uvicorn.access", "uvicorn.error")
            await node.start()
            node.stand("samples", overview.sample, lambda: SAMPLE_S, SAMPLE_S)
            node.stand("live_nodes", live.round, lambda: EVERY_S, 2 * EVERY_S)
            if webhooks is not None:
                webhooks.begin(node.standing)
            ending.push_async_callback(self._worker_ipc.close)
            await self._worker_ipc.start(
                {
                    "unready": node.readiness.reasons,
                    "drain": node.readiness.request_drain,
                    "metrics": context.exposition.sample,
                }
            )
            self.node = node
            self._loop = asyncio.get_running_loop()
            if settings.consul is not None and self._worker_ipc.index == 0:
                from .discovery.consul import ConsulRegistration, end

                registration = ConsulRegistration(settings, node_id, lambda: node.readiness.draining)
                ending.push_async_callback(end, registration)
                node.tasks.spawn(registration.run())
            self._inner = build(context, handshaker, origins, more)
            try:
                if plugins:
                    await self._start_plugins(plugins, node, ending)
                yield {
                    "hub_handshaker": handshaker,
                    "hub_is_service": context.is_service,
                    "hub_direct": direct_routes(context, more),
                }
            finally:
                self.node, self._inner = None, NotStarted()

    def _load_plugins(self) -> "Sequence[Plugin]":
        """Those that the settings name, their handlers registered; once for the life of this object."""
        if self._plugins is None:
            self._plugins = load_plugins(self.settings)
            for plugin in self._plugins:
                try:
                    plugin.handlers(self)
                except Exception as error:  # whatever foreign code does
                    raise BadSettings([f"HUB_PLUGINS: {type(plugin).__qualname__}: {error}"]) from error
        return self._plugins

    async def _start_plugins(self, plugins: "Sequence[Plugin]", node: Node, ending: AsyncExitStack) -> None:
        from .plugins.running import Plugins

        running = Plugins(plugins)
        ending.push_async_callback(running.stop)
        try:
            await running.start(self)
        except ValueError as error:
            raise BadSettings([str(error)]) from error
        node.readiness.others = running.health

    def _running(self) -> Node:
        if self.node is None:
            raise RuntimeError("the hub is not started: enter its lifespan first")
        return self.node


@cache
def warn_of_slips() -> None:
    """Variables that are no settings are logged, once a process."""
    for text in unknown_variables():
        log.warning("%s", text)


def problems(settings: Settings) -> list[str]:
    """What is wrong with the settings, in words: a hub with such settings does not start."""
    found = []
    plugins: Sequence[Plugin] = ()
    try:
        plugins = load_plugins(settings)
        more_keys = keys_of(plugins, settings)
    except ValueError as error:
        found, more_keys = str(error).splitlines(), ()
    parts = (
        make_keys(settings, more_keys),
        make_provider(settings),
        make_api_keys(settings),
        Origins(settings.allowed_origins, not settings.require_origin),
        TrustedProxies(settings.trusted_proxies),
    )
    found += [problem for part in parts for problem in part.problems()]
    if settings.centrifugo_tokens and not settings.centrifugo:
        found.append("HUB_CENTRIFUGO_TOKENS is for the SDKs of Centrifugo: HUB_CENTRIFUGO=true lets them in")
    for check in (make_intake, _check_proxies, _check_webhooks):
        try:
            check(settings)
        except ValueError as error:
            found += str(error).splitlines()
    if settings.broker != "memory://" and not (settings.node_secret or settings.jwt_secret):
        found.append(
            "HUB_NODE_SECRET is missing: nodes over Redis sign for each other, one over SQLite for itself when it "
            "is started anew, and there is no other secret"
        )
    return found


def _check_proxies(settings: Settings) -> None:
    if settings.proxies:
        from .proxies.settings import read

        read(settings)


def _check_webhooks(settings: Settings) -> None:
    if settings.webhooks:
        from .outgoing.addresses import Guard
        from .webhooks.settings import read

        read(settings)
        try:
            Guard(settings.webhook_allow)
        except ValueError as error:
            raise ValueError(f"webhook_allow: {error}") from None


def load_plugins(settings: Settings) -> "Sequence[Plugin]":
    """The plugins that the settings name; nothing of them is imported where they name none.

    Raises:
        ValueError: a line for each that can't be used.
    """
    if not settings.plugins:
        return ()
    from .plugins.loading import load

    return load(settings.plugins)


def keys_of(plugins: "Sequence[Plugin]", settings: Settings) -> Sequence[Keys]:
    """The sources of keys that plugins bring.

    Raises:
        ValueError: one of them failed, in words.
    """
    found: list[Keys] = []
    for plugin in plugins:
        try:
            found += plugin.keys(settings)
        except Exception as error:  # whatever foreign code does; its words may quote what it read
            raise ValueError(
                f"HUB_PLUGINS: the keys of {type(plugin).__qualname__}: {type(error).__name__}"
            ) from error
    return found


def make_intake(settings: Settings) -> Sequence[Addition]:
    """The routes of webhooks, CloudEvents and Dapr; nothing of them is imported where no setting names any.

    Raises:
        ValueError: a line for each setting that is wrong.
    """
    if not settings.hooks and settings.cloudevents is None and settings.dapr is None:
        return ()
    try:
        from .intake.routes import additions
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is missing: pip install 'notification-hub[bridge]'") from None
    return additions(settings)


def make_console(settings: Settings) -> Sequence[Addition]:
    """The routes of the console, unless a setting leaves them out."""
    if not settings.console:
        return ()
    from .console.routes import additions

    return additions(settings)


def waiting_for_events(settings: Settings) -> Mapping[str, Sequence[str]]:
    """Endpoints of webhooks, with the channels whose events they wait for."""
    if not settings.webhooks:
        return {}
    from .webhooks.settings import read

    return {each.name: each.channels for each in read(settings) if each.waits_for_events}


def make_webhook_routes(webhooks: "Webhooks | None") -> Sequence[Addition]:
    """The routes for who runs webhooks, where there are any."""
    if webhooks is None:
        return ()
    from .webhooks.routes import additions

    return additions(webhooks)


def make_audit(settings: Settings, node_id: str) -> AuditLog | None:
    """The audit log, where one is asked for.

    Raises:
        BadSettings: its file can't be opened.
    """
    if settings.audit is None:
        return None
    audit = AuditLog(node_id, settings.audit)
    try:
        audit.start(told(settings))
    except OSError as error:
        raise BadSettings([f"HUB_AUDIT: {error.strerror}: {settings.audit}"]) from None
    return audit


def make_tracer(settings: Settings, node_id: str) -> "Tracer | None":
    """Traces, where they are asked for; nothing of OpenTelemetry is imported else.

    Raises:
        BadSettings: it is not installed.
    """
    if not settings.otel:
        return None
    from .tracing.start import NotInstalled, make

    try:
        return make(node_id, settings.otel_ratio)
    except NotInstalled as error:
        raise BadSettings([str(error)]) from None


def make_centrifugo(settings: Settings, node: Node, keys: Keys, handshaker: Handshaker) -> Sequence[Addition]:
    """Let Centrifugo's SDKs in, and its libraries on services; nothing of it is imported where that is off."""
    if not settings.centrifugo:
        return ()
    from .centrifugo.api.nodes import NodeInfo
    from .centrifugo.api.routes import additions
    from .centrifugo.handshake import open_door
    from .centrifugo.terms import make_terms

    terms = make_terms(settings, node, keys)
    open_door(handshaker, terms)
    NodeInfo(node.id, node.connections, node.channels, node.now).answer(node.cluster)
    return additions(terms.names)


def make_observers(settings: Settings, node_id: str, audit: AuditLog | None = None) -> Observers:
    """Who is told of what happens to clients."""
    now = asyncio.get_running_loop().time
    recorder = FlightRecorder(node_id, now, time.time, settings.recorder_bytes)
    more = () if audit is None else (AuditObserver(audit),)
    return Observers(ClientLog(now), recorder, *more)


def make_broker(
    settings: Settings,
    node_id: str,
    credentials: "CredentialProvider | None" = None,
    address_remap: "Remap | None" = None,
    *,
    visitor: bool = False,
    wall: Callable[[], float] = time.time,
    through_hub: Collection[str] = (),
    webhooks: Mapping[str, Sequence[str]] | None = None,
) -> Broker:
    """The broker that the setting names; for a `visitor` one that changes nothing. `wall` is Unix seconds.
    `through_hub` are namespaces into which nobody may write past the nodes; `webhooks` are endpoints
    with the channels whose events they wait for.

    Raises:
        BadSettings: the setting, or one beside it, can't be used.
    """
    if settings.broker == "memory://":
        return MemoryBroker(settings.table, clock=wall)
    if settings.broker.startswith("sqlite:"):
        return _sqlite(settings)
    from .broker.redis import access
    from .broker.redis.broker import RedisBroker

    name = "HUB_REDIS_CREDENTIALS"
    try:
        if credentials is None and settings.redis_credentials:
            credentials = access.credentials_of(settings.redis_credentials)
        name = "HUB_REDIS_ADDRESS_REMAP"
        if address_remap is None and settings.redis_address_remap:
            address_remap = access.remap_of(settings.redis_address_remap)
        name = "HUB_BROKER"
        return RedisBroker(
            settings.broker,
            settings.table,
            node_id=node_id,
            prefix=settings.prefix,
            visitor=visitor,
            credentials=credentials,
            address_remap=address_remap,
            through_hub=through_hub,
            webhooks=webhooks,
        )
    except ValueError as error:
        raise BadSettings([f"{name}: {error}"]) from None


def _sqlite(settings: Settings) -> Broker:
    from .broker.sqlite.broker import SqliteBroker

    try:
        return SqliteBroker(settings.broker, settings.table)
    except ValueError as error:
        raise BadSettings([f"HUB_BROKER: {error}"]) from None


def file_problems(settings: Settings, *, starting: bool = False) -> list[str]:
    """What is wrong with the file of a hub that keeps one. `starting`: somebody else must not have it either."""
    if not settings.broker.startswith("sqlite:"):
        return []
    from .broker.sqlite.broker import parse
    from .broker.sqlite.file import look
    from .broker.sqlite.mark import MarkFile, Unusable

    path, _ = parse(settings.broker)
    try:
        look(path)
        if starting:
            MarkFile(path).close(sync=False)
    except Unusable as error:
        return [f"HUB_BROKER: {error}"]
    return []


def node_secret(settings: Settings) -> str:
    """What nodes sign for each other with: their own secret, else the tokens'; one made up where there is
    neither, which other nodes do not share."""
    for secret in (settings.node_secret, settings.jwt_secret):
        if secret is not None:
            return secret.get_secret_value()
    return secrets.token_urlsafe(32)
