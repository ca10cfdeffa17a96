"""The composition root: from settings to a hub that serves. Only here implementations are picked."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from .assembly import BadSettings, load_plugins, problems, warn_of_slips
from .cluster.worker_ipc import NoWorkerIpc, WorkerIpc
from .handlers.in_process import InProcess
from .handlers.registry import Registers
from .http.not_started import NotStarted
from .node import Node
from .runtime.redaction import redact_loggers
from .settings import Settings
from .startup import Startup

if TYPE_CHECKING:
    from .broker.redis.access import CredentialProvider, Remap
    from .plugins.plugin import Plugin


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
        # A host's own server writes each request with its query, which may hold a token.
        redact_loggers("uvicorn.access", "uvicorn.error")
        async with AsyncExitStack() as ending:
            up = Startup(settings, ending, self.wall, self._worker_ipc, self.handlers)
            node = await up.start(plugins, self._redis)
            try:
                self.node, self._inner = node, up.app
                self._loop = asyncio.get_running_loop()
                self.busy_threads = up.busy_threads
                if plugins:
                    await self._start_plugins(plugins, node, ending)
                yield up.state()
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
