"""The ASGI app of one node: its routes, thin, over `Node`."""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute
from starlette.types import Scope
from starlette.websockets import WebSocket

from ..auth.origins import Origins
from ..commands.handshake import Handshaker
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..transport.asgi import AsgiTransport
from ..transport.http1.direct import Handler as DirectHandler
from ..transport.http1.direct import Routes
from ..transport.http1.head import Head
from . import browser, channels, control, dead_letters, erase, health, openapi, publish, stream, why
from .answers import on_http_exception, refusal
from .context import HttpContext
from .cors import Cors
from .rates import standing
from .whole_request import AnyRequest, WholeRequest

log = logging.getLogger(__name__)

Handler = Callable[[HttpContext, Request], Awaitable[Response]]
AnyHandler = Callable[[HttpContext, AnyRequest], Awaitable[Response]]

DIRECT: dict[tuple[str, str], AnyHandler] = {
    ("POST", "/v1/publish"): publish.publish,
    ("POST", "/v1/batch"): publish.batch,
    ("GET", "/livez"): health.livez,
    ("GET", "/readyz"): health.readyz,
}
"""The busiest routes: where the server is our own, plain requests for them are answered without ASGI."""

_Asked = TypeVar("_Asked", bound=AnyRequest)


@dataclass(frozen=True, slots=True)
class Addition:
    """A route beside the hub's own. `operation` is its OpenAPI; `only`: for which requests it takes the place of
    the hub's route at this path."""

    path: str
    handler: Handler
    method: str = "GET"
    operation: dict[str, Any] | None = None
    only: Callable[[Scope], bool] | None = None


class _Selective(Route):
    """A route for some requests of a path."""

    def __init__(self, path: str, endpoint: Any, method: str, only: Callable[[Scope], bool]) -> None:
        super().__init__(path, endpoint, methods=[method])
        self._only = only

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return (match, child) if match is Match.FULL and self._only(scope) else (Match.NONE, {})


def build(
    context: HttpContext, handshaker: Handshaker, origins: Origins, more: Sequence[Addition] = ()
) -> Starlette:
    """The app. `origins` are those whose pages may read answers (CORS)."""
    for each in more:
        if each.operation is not None:
            context.described.setdefault(each.path, {})[each.method.lower()] = each.operation

    async def no_route(request: Request, error: Exception) -> Response:
        response = await on_http_exception(request, error)
        context.served["none", response.status_code] += 1
        return response

    app = Starlette(
        routes=_routes(context, handshaker, more),
        middleware=[Middleware(Cors, origins=origins)],
        exception_handlers={HTTPException: no_route},
    )
    # A redirect would send a publication's body twice, to a host that the request's header names.
    app.router.redirect_slashes = False
    return app


def direct_routes(context: HttpContext, more: Sequence[Addition] = ()) -> Routes:
    """`DIRECT` for this node, but for what `more` has a say in. With an audit log all go through the app, as only
    that knows where a request comes from."""
    if context.audit is not None:
        return {}
    shared = {(each.method, each.path) for each in more if each.only is not None}

    def direct(path: str, handler: AnyHandler) -> DirectHandler:
        endpoint = _endpoint(context, path, handler)

        async def answer(head: Head, body: bytes) -> Response:
            return await endpoint(WholeRequest(head, body))

        return answer

    return {
        (method, path.encode()): direct(path, handler)
        for (method, path), handler in DIRECT.items()
        if (method, path) not in shared
    }


def _routes(context: HttpContext, handshaker: Handshaker, more: Sequence[Addition] = ()) -> list[BaseRoute]:
    def route(path: str, handler: Handler, method: str = "GET") -> Route:
        return Route(path, _endpoint(context, path, handler), methods=[method])

    def sockets(path: str) -> list[BaseRoute]:
        door = handshaker.at(path)
        assert door is not None

        async def socket(websocket: WebSocket) -> None:
            await AsgiTransport(websocket, door).run()

        return [WebSocketRoute(path, socket), Route(path, _upgrade_required)]

    def addition(each: Addition) -> Route:
        endpoint = _endpoint(context, each.path, each.handler)
        if each.only is not None:
            return _Selective(each.path, endpoint, each.method, each.only)
        return Route(each.path, endpoint, methods=[each.method])

    # The busiest first: they are tried in this order.
    return [
        *(addition(each) for each in more if each.only is not None),
        route("/v1/publish", publish.publish, "POST"),
        route("/v1/batch", publish.batch, "POST"),
        route("/v1/broadcast", publish.broadcast, "POST"),
        route("/v1/channels/{channel}", channels.channel),
        route("/v1/channels/{channel}/history", channels.history),
        route("/v1/channels/{channel}/snapshot", channels.snapshot),
        route("/v1/channels/{channel}/presence", channels.presence),
        route("/v1/channels/{channel}", erase.channel, "DELETE"),
        route("/v1/channels/{channel}/snapshot/{key:path}", erase.key, "DELETE"),
        route("/v1/stream", stream.stream),
        route("/v1/stream", stream.stream, "POST"),
        route("/v1/tickets", control.issue_ticket, "POST"),
        route("/v1/disconnect", control.disconnect, "POST"),
        route("/v1/subscribe", control.subscribe, "POST"),
        route("/v1/unsubscribe", control.unsubscribe, "POST"),
        route("/v1/revoke", control.revoke, "POST"),
        route("/v1/connections", control.connections),
        route("/v1/top", why.top),
        route("/v1/explain", why.explain, "POST"),
        route("/v1/tokens/explain", why.explain_token, "POST"),
        route("/v1/drain", control.drain, "POST"),
        route("/v1/deadletters", dead_letters.put, "POST"),
        route("/v1/deadletters", dead_letters.page),
        route("/v1/deadletters/{id}", dead_letters.show),
        route("/v1/deadletters/{id}", dead_letters.drop, "DELETE"),
        route("/v1/deadletters/{id}/replay", dead_letters.replay, "POST"),
        *(addition(each) for each in more if each.only is None),
        route("/livez", health.livez),
        route("/readyz", health.readyz),
        route("/metrics", health.metrics),
        route("/openapi.json", openapi.openapi),
        *(route(f"/{name}", browser.script) for name in browser.SCRIPTS),
        *(each for path in handshaker.paths for each in sockets(path)),
    ]


def _endpoint(
    context: HttpContext, path: str, handler: Callable[[HttpContext, _Asked], Awaitable[Response]]
) -> Callable[[_Asked], Coroutine[Any, Any, Response]]:
    """The handler as Starlette calls it: with its refusals, counted, and a bug logged once."""

    async def endpoint(request: _Asked) -> Response:
        began = perf_counter()
        standing.set(None)
        try:
            response = await handler(context, request)
        except HubError as error:
            response = refusal(error)
        except Exception:
            log.exception("%s %s failed", request.method, path)
            response = refusal(HubError(ErrorCode.INTERNAL, "the hub failed; its log says why"))
        context.served[path, response.status_code] += 1
        context.took.observe(path, perf_counter() - began)
        if (limit := standing.get()) is not None:
            response.raw_headers += limit.fields()
        return response

    tracer = context.node.tracer
    if tracer is None or not path.startswith("/v1/"):  # of probes nobody wants traces
        return endpoint

    async def traced(request: _Asked) -> Response:
        parent = request.headers.get("traceparent", "")
        return await tracer.request(path, request.method, parent, partial(endpoint, request))

    return traced


async def _upgrade_required(_request: Request) -> Response:
    """RFC 9110 section 15.5.22."""
    error = HubError(ErrorCode.BAD_MESSAGE, "this is a WebSocket endpoint: connect with ws:// or wss://")
    return refusal(error, 426, {"Upgrade": "websocket", "Connection": "Upgrade"})
