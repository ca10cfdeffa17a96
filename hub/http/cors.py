"""Cross-origin requests (the Fetch standard, section 3.2) by the same rule as sockets: the allowed origins.

No cookies are involved: who may do what is said by the `Authorization` header alone, which a page can only
send after a preflight.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..auth.origins import Origins
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from .answers import refusal

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID, traceparent",
    "Access-Control-Max-Age": "600",
}
_EXPOSED = "RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate"


class Cors:
    """ASGI middleware. Requests without an `Origin` pass untouched."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or let the request pass and mark its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None:
            await self._app(scope, receive, send)
            return
        allowed = self._origins.check(origin, headers.get("host"), scope.get("scheme") == "https")
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await _preflight(origin, allowed)(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                _mark(MutableHeaders(scope=message), origin, allowed)
            await send(message)

        await self._app(scope, receive, marked)


def _preflight(origin: str, allowed: bool) -> Response:
    if allowed:
        response = Response(status_code=204, headers=_PREFLIGHT)
    else:
        response = refusal(HubError(ErrorCode.FORBIDDEN, f"origin {origin[:200]} is not allowed"))
    _mark(response.headers, origin, allowed)
    return response


def _mark(headers: MutableHeaders, origin: str, allowed: bool) -> None:
    headers.add_vary_header("Origin")
    if allowed:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = _EXPOSED
