"""Serving a hub with uvicorn: one process, the fast lane for its sockets."""

import asyncio
import gc
import logging
import socket
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from .app import Hub
from .settings import Settings
from .transport.websocket import WebSocketTransport

log = logging.getLogger(__name__)

HTTP_GRACE_S = 5  # a request under way at the very end has so long to finish


def standalone(hub: Hub) -> ASGIApp:
    """The hub as an app of its own, with its lifespan."""
    outer = Starlette(lifespan=hub.lifespan)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (outer if scope["type"] == "lifespan" else hub.app)(scope, receive, send)

    return app


def config(hub: Hub, **overrides: Any) -> uvicorn.Config:
    """How uvicorn serves a hub.

    Its access log is off: it writes the query, which may hold a token.
    """
    settings = hub.settings
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "ws": WebSocketTransport,
        "lifespan": "on",
        "access_log": False,
        "log_config": None,
        "proxy_headers": False,
        "server_header": False,
        "backlog": 4096,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": HTTP_GRACE_S,
    }
    return uvicorn.Config(standalone(hub), **{**options, **overrides})


def serve(settings: Settings, sockets: list[socket.socket] | None = None) -> None:
    """Serve until a signal says stop."""
    tame_collector()
    server = uvicorn.Server(config(Hub(settings)))
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets))


def tame_collector() -> None:
    """A full collection over many thousand connections stalls the loop for tens of milliseconds. Connections
    make no cycles, so what is there at start is frozen, and full collections are rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
