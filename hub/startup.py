"""How a hub comes up: its parts one after the other, in the order in which they need each other, and each with its
end noted as soon as it exists. So a start that fails half-way leaves nothing behind.

    storage ─▶ observers ─▶ node ─▶ who decides ─▶ who is told ─▶ who may come in ─▶ what is answered ─▶ it runs
"""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
from starlette.types import ASGIApp

from .assembly import (
    RedisAccess,
    keys_of,
    make_audit,
    make_broker,
    make_centrifugo,
    make_console,
    make_intake,
    make_observers,
    make_tls,
    make_tracer,
    make_webhook_routes,
    node_secret,
    waiting_for_events,
)
from .auth.addresses import TrustedProxies
from .auth.from_settings import make_api_keys, make_authenticator, make_certificates, make_keys
from .auth.origins import Origins
from .auth.signing import Signer
from .auth.stream_tickets import StreamTickets
from .auth.tickets import Tickets
from .cluster.worker_ipc import WorkerIpc
from .commands.application import Application, Applications
from .commands.handshake import Handshaker
from .handlers.registry import Handlers
from .http.app import Addition, build, direct_routes
from .http.context import HttpContext
from .node import Node
from .observe.facts import NodeFacts
from .observe.live import EVERY_S, LiveNodes
from .observe.overview import SAMPLE_S, Overview
from .observe.traffic import NodeTraffic
from .protocol import ids
from .runtime.sole_worker import SoleWorker
from .settings import Settings

if TYPE_CHECKING:
    from .handlers.start import Running as RunningHandlers
    from .plugins.plugin import Plugin
    from .webhooks.start import Webhooks

log = logging.getLogger("hub")


class Startup:
    """One start of a hub: what `start` has brought up is served by `app`, and ended by `ending`."""

    def __init__(
        self,
        settings: Settings,
        ending: AsyncExitStack,
        wall: Callable[[], float],
        worker_ipc: WorkerIpc,
        handlers: Handlers,
    ) -> None:
        self.busy_threads: Callable[[], int] = int  # plain functions of handlers that run just now
        self._settings = settings
        self._ending = ending
        self._wall = wall
        self._worker_ipc = worker_ipc
        self._handlers = handlers
        self._id = ids.node_id(secrets.randbits(ids.NODE_BITS))
        self._secret = node_secret(settings)

    async def start(self, plugins: "Sequence[Plugin]", redis: RedisAccess) -> Node:
        """Bring up everything but the plugins' own tasks; `redis` is as whom, and where, Redis is reached.

        Raises:
            BadSettings: a part can't be had.
        """
        self._alone()
        self._make_storage(plugins, redis)
        self._make_observers()
        running = self._start_handlers()  # ended after the node, which still tells them of the last ends
        self.node = self._make_node()
        self._ending.push_async_callback(self.node.stop)
        self._ask_applications(running)
        webhooks = self._make_webhooks()
        self._let_in(webhooks)
        self._answer_nodes()
        # What streams an answer imports this at its first use: 100 ms, in which nobody else would be served.
        async with anyio.create_task_group():
            pass
        await self.node.start()
        self._stand(webhooks)
        await self._join_workers()
        self._be_found()
        return self.node

    @property
    def app(self) -> ASGIApp:
        """The WebSocket and the HTTP routes."""
        return build(self._context, self._handshaker, self._origins, self._more)

    def state(self) -> dict[str, Any]:
        """What the fast lane needs."""
        return {
            "hub_handshaker": self._handshaker,
            "hub_is_service": self._context.is_service,
            "hub_direct": direct_routes(self._context, self._more),
            "hub_tls": self._tls,
        }

    def _alone(self) -> None:
        """Two hubs in the memories of two workers are two hubs."""
        if self._settings.broker != "memory://":
            return
        if not self._ending.enter_context(SoleWorker("hub-memory")).alone:
            log.error(
                "another worker of this server has a hub in its memory too: what is published to one does not "
                "reach the subscribers of the other. Run one worker, or set HUB_BROKER=redis://…"
            )

    def _make_storage(self, plugins: "Sequence[Plugin]", redis: RedisAccess) -> None:
        settings = self._settings
        self._keys = make_keys(settings, keys_of(plugins, settings))
        self._ending.push_async_callback(self._keys.close)
        self._broker = make_broker(
            settings,
            self._id,
            *redis,
            wall=self._wall,
            through_hub=self._handlers.asked_about(settings.table),
            webhooks=waiting_for_events(settings),
        )

    def _make_observers(self) -> None:
        settings = self._settings
        self._audit = make_audit(settings, self._id)
        if self._audit is not None:
            self._ending.push_async_callback(self._audit.close)
        self._observers = make_observers(settings, self._id, self._audit)
        self._tracer = make_tracer(settings, self._id)
        if self._tracer is not None:
            self._ending.push_async_callback(self._tracer.close)

    def _start_handlers(self) -> "RunningHandlers | None":
        if not self._handlers:
            return None
        from .handlers.start import start

        running = start(self._handlers, self._settings)
        self._ending.push_async_callback(running.close)
        return running

    def _make_node(self) -> Node:
        return Node(
            self._settings,
            self._broker,
            make_authenticator(self._settings, self._keys),
            self._secret,
            id=self._id,
            worker_ipc=self._worker_ipc,
            wall=self._wall,
            observer=self._observers,
            tracer=self._tracer,
        )

    def _ask_applications(self, handlers: "RunningHandlers | None") -> None:
        """Handlers of the program around it, then proxies: each may refuse."""
        settings, node = self._settings, self.node
        decide: list[Application] = []
        if handlers is not None:
            handlers.join(node, self._observers)
            self.busy_threads = handlers.busy_threads
            decide += [] if handlers.application is None else [handlers.application]
        if settings.proxies:
            from .proxies.start import start

            asking = start(settings, node.now, node.wall, lambda: node.revocations.changes, self._tracer)
            self._ending.push_async_callback(asking.close)
            decide.append(asking)
        if decide:
            node.application = decide[0] if len(decide) == 1 else Applications(decide)

    def _make_webhooks(self) -> "Webhooks | None":
        settings, node = self._settings, self.node
        if not settings.webhooks:
            return None
        from .webhooks.start import start

        webhooks = start(settings, self._broker, node.now, node.wall, tracer=self._tracer)
        self._ending.push_async_callback(webhooks.close)
        node.cluster.on_revoked = webhooks.revoked
        if (teller := webhooks.observer()) is not None:
            self._observers.tell(teller)
        if (attendance := webhooks.attendance()) is not None:
            node.channels.on_used = attendance.look
        return webhooks

    def _let_in(self, webhooks: "Webhooks | None") -> None:
        """Who may come in, by which routes."""
        settings, node = self._settings, self.node
        tickets = Tickets(self._broker.registry, node.wall, Signer(self._secret, "ticket"))
        streams = StreamTickets(Signer(self._secret, "stream"), node.wall)
        trusted = TrustedProxies(settings.trusted_proxies)
        self._origins = Origins(settings.allowed_origins, not settings.require_origin)
        certificates, api_keys = make_certificates(settings), make_api_keys(settings)
        self._tls = make_tls(settings)
        self._handshaker = Handshaker(node, tickets, self._origins, trusted, certificates)
        self._context = HttpContext(
            node, api_keys, tickets, streams, trusted, certificates, self._audit, self._tls
        )
        self._more: Sequence[Addition] = [
            *make_intake(settings),
            *make_console(settings),
            *make_centrifugo(settings, node, self._keys, self._handshaker, self._secret),
            *make_webhook_routes(webhooks),
        ]

    def _answer_nodes(self) -> None:
        """What this node tells the others about itself."""
        node = self.node
        facts = NodeFacts(
            self._id, node.connections, node.channels, self._observers.recorder, self._broker.health
        )
        self._overview = Overview(node)
        questions: Mapping[str, Callable[[dict[str, Any]], Any]] = {
            "past": facts.past,
            "facts": facts.about,
            "traffic": NodeTraffic(node).sample,
            "overview": self._overview.now,
            "samples": self._overview.past,
            "open_channels": self._overview.listen_to,
        }
        for question, handler in questions.items():
            node.cluster.answer(question, handler)

    def _stand(self, webhooks: "Webhooks | None") -> None:
        """What is done again and again for as long as it runs."""
        node = self.node
        live = LiveNodes(node, node.channels, node.cluster)
        node.stand("samples", self._overview.sample, lambda: SAMPLE_S, SAMPLE_S)
        node.stand("live_nodes", live.round, lambda: EVERY_S, 2 * EVERY_S)
        if webhooks is not None:
            webhooks.begin(node.standing)
        if (tls := self._tls) is not None:
            node.stand("tls_files", tls.look, lambda: tls.every_s, tls.every_s)

    async def _join_workers(self) -> None:
        self._ending.push_async_callback(self._worker_ipc.close)
        await self._worker_ipc.start(
            {
                "unready": self.node.readiness.reasons,
                "drain": self.node.readiness.request_drain,
                "metrics": self._context.exposition.sample,
            }
        )

    def _be_found(self) -> None:
        """One of the workers registers them all."""
        node = self.node
        if self._settings.consul is None or self._worker_ipc.index != 0:
            return
        from .discovery.consul import ConsulRegistration, end

        registration = ConsulRegistration(self._settings, self._id, lambda: node.readiness.draining)
        self._ending.push_async_callback(end, registration)
        node.tasks.spawn(registration.run())
