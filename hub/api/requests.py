"""What every route needs: who asks, what the body is, and how a refusal looks."""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ..auth.api_keys import ApiKeys
from ..auth.identity import Identity
from ..bucket import Bucket
from ..connection import rate_limited
from ..node import Node
from ..problem import MEDIA_TYPE, problem_fields, problem_headers
from ..protocol.codec import describe, loads_json
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError

log = logging.getLogger(__name__)

MAX_BUCKETS = 65_536

Handler = Callable[["Requests", Request], Awaitable[Response]]


class Requests:
    """Reads and checks HTTP requests for the routes of one node."""

    def __init__(self, node: Node, api_keys: ApiKeys) -> None:
        self.node = node
        self._api_keys = api_keys
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

    async def identity(self, request: Request) -> Identity:
        """Who asks: an API key or a token.

        Raises:
            HubError: ``unauthenticated``, or what is wrong with the token.
        """
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not credentials:
            raise HubError(
                ErrorCode.UNAUTHENTICATED, "the header Authorization: Bearer <token or API key> is missing"
            )
        credentials = credentials.strip()
        return self._api_keys.verify(credentials) or await self.node.verify(credentials)

    async def service(self, request: Request) -> Identity:
        """Who asks, where only services may.

        Raises:
            HubError: ``forbidden``.
        """
        identity = await self.identity(request)
        if not identity.service:
            raise HubError(ErrorCode.FORBIDDEN, "only a service may do this: an API key, or hub.service:true")
        return identity

    async def object(self, request: Request) -> dict[str, Any]:
        """The body, a JSON object.

        Raises:
            HubError: ``bad_message`` or ``too_large``.
        """
        most = self.node.settings.max_body_bytes
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise HubError(ErrorCode.TOO_LARGE, f"the body is over {most} bytes")
        except ClientDisconnect:
            raise HubError(ErrorCode.BAD_MESSAGE, "the request was cut") from None
        value = loads_json(bytes(body))
        if not isinstance(value, dict):
            raise HubError(ErrorCode.BAD_MESSAGE, f"the body must be a JSON object, not {describe(value)}")
        return value

    def check_rate(self, identity: Identity, channel: str, count: int = 1) -> None:
        """The publishing rate of a user who is no service, as on its socket.

        Raises:
            HubError: ``rate_limited``.
        """
        if identity.service:
            return
        name = channel.partition(":")[0]
        namespace = self.node.namespaces.of(channel)
        now = self.node.now()
        bucket = self._buckets.pop((identity.user, name), None)
        if bucket is None:
            bucket = Bucket(namespace.publish_rate, namespace.publish_burst, now)
        self._buckets[(identity.user, name)] = bucket
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        wait = bucket.take(now, count)
        if wait:
            raise rate_limited(f"publications in {name} of this user", wait)


def answer(value: Any, status: int = 200) -> Response:
    """A JSON answer; `orjson.Fragment`s inside are copied as they are."""
    return Response(orjson.dumps(value), status, media_type="application/json")


def refusal(status: int, error: HubError) -> Response:
    """A refusal as problem+json."""
    body = orjson.dumps(problem_fields(status, error))
    return Response(body, status, problem_headers(error), media_type=MEDIA_TYPE)


async def on_hub_error(_request: Request, error: Exception) -> Response:
    """`HubError` out of a route."""
    assert isinstance(error, HubError)
    return refusal(error.status, error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What Starlette refuses by itself: an unknown path, a wrong method."""
    assert isinstance(error, HTTPException)
    reason = f"{error.detail}: {request.method} {request.url.path[:200]}"
    response = refusal(error.status_code, HubError(ErrorCode.BAD_MESSAGE, reason))
    response.headers.update(error.headers or {})
    return response


async def on_failure(request: Request, error: Exception) -> Response:
    """A bug of the hub."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refusal(500, HubError(ErrorCode.INTERNAL, "the hub failed; its log says why"))
