"""Serving a hub with uvicorn: the fast lane for its sockets, one process or several, a planned departure."""

import asyncio
import functools
import itertools
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, cast

import uvicorn

from ..app import Hub
from ..cluster.worker_ipc import NoWorkerIpc, WorkerIpc
from ..node import Node
from ..runtime.gc_tuning import GcTuner
from ..settings import Settings
from ..transport.http1.protocol import HttpProtocol
from ..transport.websocket import WebSocketTransport
from .drain import Drain
from .listener import BACKLOG, Accepting, SocketListener
from .supervisor import DEPARTED, WorkerSupervisor
from .tls_door import TlsPort, TlsServer

log = logging.getLogger(__name__)

WAITING_MOST = 2000  # newcomers that wait to be read: more than two seconds' work
HTTP_GRACE_S = 3  # a request under way at the very end has so long to finish
AT_ONCE_S = 1  # and where an end at once is asked for


class Server(uvicorn.Server):
    """SIGTERM, or `POST /v1/drain`, drains the node and then ends it; SIGINT (a person's Ctrl-C), or a second
    SIGTERM, ends it at once. Either way the exit status is 0.

    `supervised` can be read (and is at its end) once the supervisor of this worker is gone: nobody would replace
    it or end it, so it leaves the port at once, and departs."""

    def __init__(self, config: uvicorn.Config, hub: Hub, supervised: int | None = None) -> None:
        super().__init__(config)
        self._hub = hub
        self._supervised = supervised
        self._orphaned = False
        self._listener: SocketListener | None = None
        self._terminated = False
        self.departed = False  # by a request over HTTP, not by a signal

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's, which then listens to nothing: our own acceptor does."""
        await super().startup([])
        node = self._hub.node
        if not self.started or node is None:
            return
        self._listener = SocketListener(sockets or (), self._acceptor(node), self._overfull, node.counters)
        await self._listener.open()
        self.servers = cast("list[asyncio.Server]", self._listener.servers)  # uvicorn closes them at the end
        if self._supervised is not None:
            asyncio.get_running_loop().add_reader(self._supervised, self._on_orphaned)

    def _acceptor(self, node: Node) -> Callable[[socket.socket], Awaitable[Accepting]]:
        """What takes connections of a socket: as they are, or behind a handshake of TLS."""
        state = self.lifespan.state
        make = functools.partial(
            HttpProtocol, config=self.config, server_state=self.server_state, app_state=state
        )

        async def plain(listening: socket.socket) -> Accepting:
            loop = asyncio.get_running_loop()
            return await loop.create_server(make, sock=listening, backlog=BACKLOG)

        if (tls := state.get("hub_tls")) is None:
            return plain
        proxies = state["hub_handshaker"].proxies
        port = TlsPort(tls, node, proxies, self.server_state.connections, make)

        async def secured(listening: socket.socket) -> Accepting:
            return TlsServer(listening, port)

        return secured

    def _on_orphaned(self) -> None:
        assert self._supervised is not None
        assert self._listener is not None
        asyncio.get_running_loop().remove_reader(self._supervised)
        log.error("the supervisor of the workers is gone: this worker departs")
        self._orphaned = True
        self._listener.end()
        self.handle_exit(signal.SIGTERM, None)

    def _overfull(self) -> bool:
        node = self._hub.node
        assert node is not None
        return len(node.admission.accept_queue) > WAITING_MOST

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal. Nothing is captured, so uvicorn does not raise it again at the end."""
        node = self._hub.node
        if sig == signal.SIGTERM and not self._terminated and self.started and node is not None:
            self._terminated = True
            node.readiness.request_drain()
        else:
            self.should_exit = True
            self.config.timeout_graceful_shutdown = AT_ONCE_S

    async def main_loop(self) -> None:
        """uvicorn's loop, until the node has drained."""
        node, listener = self._hub.node, self._listener
        assert node is not None
        assert listener is not None
        draining: asyncio.Task[None] | None = None
        collector = GcTuner()
        ticks = itertools.count()
        while not await self.on_tick(next(ticks)) and not (draining is not None and draining.done()):
            if draining is None and node.readiness.drain_requested.is_set():
                self.departed = not self._terminated
                draining = asyncio.create_task(Drain(node, hasty=self._orphaned).run())
            collector.tick()
            await listener.tick()
            await asyncio.sleep(0.1)
        if draining is not None:
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)


def server_config(hub: Hub, **overrides: Any) -> uvicorn.Config:
    """How uvicorn serves a hub.

    Its access log is off: it writes the query, which may hold a token.
    """
    settings = hub.settings
    options: dict[str, Any] = {
        "host": settings.hosts[0],
        "port": settings.port,
        "http": HttpProtocol,
        "ws": WebSocketTransport,
        "lifespan": "on",
        "access_log": False,
        "log_config": None,
        "proxy_headers": False,
        "server_header": False,
        "timeout_graceful_shutdown": HTTP_GRACE_S,
    }
    return uvicorn.Config(hub.app, **{**options, **overrides})


def serve(settings: Settings, sockets: list[socket.socket] | None = None) -> int:
    """Serve until a signal says stop, or the node has departed; returns the exit status.

    `sockets` listen already; several workers make their own.
    """
    if settings.workers == 1:
        _serve_one(settings, sockets, NoWorkerIpc())
        return 0
    GcTuner()
    supervisor = WorkerSupervisor(
        settings.hosts,
        settings.port,
        settings.workers,
        lambda own, worker_ipc, supervised: _serve_one(settings, own, worker_ipc, supervised),
    )
    log.info("%d workers on %s port %d", settings.workers, settings.host, supervisor.port)
    return supervisor.run()


def _serve_one(
    settings: Settings,
    sockets: list[socket.socket] | None,
    worker_ipc: WorkerIpc,
    supervised: int | None = None,
) -> int:
    for sock in sockets or ():
        bound_unsent(sock, settings.unsent_bytes)
    hub = Hub(settings, worker_ipc)
    server = Server(server_config(hub), hub, supervised)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets))
    if not server.started:
        return 1  # the log says why
    return DEPARTED if server.departed else 0


def bound_unsent(listener: socket.socket, most: int) -> None:
    """Bound what the kernel holds back for a client that reads slowly; connections inherit it.

    Without it megabytes of old events wait in the socket's buffer, where nothing can take them out any more,
    before the outbox hears of the pressure.
    """
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, most)
