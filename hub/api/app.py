"""The ASGI app of one node: its routes, thin, over `Node`."""

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from ..auth.tickets import Tickets
from ..gate import Gate
from ..protocol.errors import HubError
from ..transport.asgi import AsgiTransport
from . import channels, control, health, openapi, publish
from .requests import Handler, Requests, on_failure, on_http_exception, on_hub_error


def build(requests: Requests, gate: Gate, tickets: Tickets, origin_pattern: str | None) -> Starlette:
    """The app. `origin_pattern` is a regular expression of the origins that may read answers (CORS)."""
    middleware = []
    if origin_pattern is not None:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origin_regex=origin_pattern,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type"],
                max_age=600,
            )
        )
    handlers: Any = {HubError: on_hub_error, HTTPException: on_http_exception, Exception: on_failure}
    return Starlette(
        routes=_routes(requests, gate, tickets), middleware=middleware, exception_handlers=handlers
    )


def _routes(requests: Requests, gate: Gate, tickets: Tickets) -> list[BaseRoute]:
    def route(path: str, handler: Handler, method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            return await handler(requests, request)

        return Route(path, endpoint, methods=[method])

    async def socket(websocket: WebSocket) -> None:
        await AsgiTransport(websocket, gate).run()

    # The busiest first: they are tried in this order.
    return [
        route("/v1/publish", publish.publish, "POST"),
        route("/v1/batch", publish.batch, "POST"),
        route("/v1/broadcast", publish.broadcast, "POST"),
        route("/v1/channels/{channel}", channels.channel),
        route("/v1/channels/{channel}/history", channels.history),
        route("/v1/channels/{channel}/snapshot", channels.snapshot),
        route("/v1/channels/{channel}/presence", channels.presence),
        route("/v1/tickets", control.Control(tickets).tickets, "POST"),
        route("/v1/disconnect", control.disconnect, "POST"),
        route("/v1/revoke", control.revoke, "POST"),
        route("/v1/connections", control.connections),
        route("/v1/drain", control.drain, "POST"),
        route("/livez", health.livez),
        route("/readyz", health.readyz),
        route("/metrics", health.metrics),
        route("/openapi.json", openapi.openapi),
        WebSocketRoute(requests.node.settings.path, socket),
        route(requests.node.settings.path, _upgrade_required),
    ]


async def _upgrade_required(_requests: Requests, _request: Request) -> Response:
    why = "this is a WebSocket endpoint: connect with ws:// or wss://"
    raise HTTPException(426, why, {"Upgrade": "websocket"})


