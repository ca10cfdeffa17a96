"""The composition root: from settings to a hub that serves. Only here implementations are picked."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from .assembly import (
    BadSettings,
    keys_of,
    load_plugins,
    make_audit,
    make_broker,
    make_centrifugo,
    make_console,
    make_intake,
    make_observers,
    make_tracer,
    make_webhook_routes,
    node_secret,
    problems,
    waiting_for_events,
    warn_of_slips,
)
from .auth.addresses import TrustedProxies
from .auth.from_settings import make_api_keys, make_authenticator, make_keys
from .auth.origins import Origins
from .auth.signing import Signer
from .auth.stream_tickets import StreamTickets
from .auth.tickets import Tickets
from .cluster.worker_ipc import NoWorkerIpc, WorkerIpc
from .commands.application import Application, Applications
from .commands.handshake import Handshaker
from .handlers.in_process import InProcess
from .handlers.registry import Registers
from .http.app import build, direct_routes
from .http.context import HttpContext
from .http.not_started import NotStarted
from .node import Node
from .observe.facts import NodeFacts
from .observe.live import EVERY_S, LiveNodes
from .observe.overview import SAMPLE_S, Overview
from .observe.traffic import NodeTraffic
from .protocol import ids
from .runtime.redaction import redact_loggers
from .runtime.sole_worker import SoleWorker
from .settings import Settings

if TYPE_CHECKING:
    from .broker.redis.access import CredentialProvider, Remap
    from .plugins.plugin import Plugin


log = logging.getLogger("hub")


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
                *make_centrifugo(settings, node, keys, handshaker, secret),
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
