"""CloudEvents 1.0 over HTTP: structured, binary and batched, at ``/v1/cloudevents`` and at ``/v1/publish``.

Sources: CloudEvents HTTP Protocol Binding 1.0.2, section 3; HTTP 1.1 Web Hooks for Event Delivery 1.0.1, section 4.
"""

from typing import Any
from urllib.parse import unquote

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from ..bridge.mapping import Poison
from ..bridge.records import Record
from ..http.answers import answer
from ..http.context import HttpContext
from ..protocol.codec import loads_json
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.fields import bad
from .door import Door, headers_of, publish, raise_first
from .settings import CloudEventsSettings

STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"
MOST = 1000  # events of a batch


class CloudEvents:
    """The routes; who sends has an API key or a token, with the rights that it has elsewhere."""

    def __init__(self, settings: CloudEventsSettings) -> None:
        self._door = Door(settings, "cloudevents")
        self._origins = settings.origins

    async def post(self, context: HttpContext, request: Request) -> Response:
        """`POST`: all of a batch, or what is wrong; a batch is repeated as a whole, and nothing comes twice."""
        identity = await context.identity(request)
        records = _records(request.headers, await context.body(request, identity))
        events: list[dict[str, Any]] = []
        for record in records:
            try:
                events += self._door.events(record, remember=identity.service)
            except Poison as poison:
                raise HubError(ErrorCode(poison.code), poison.reason) from None
        results = await publish(context, identity, events)
        raise_first([result for result in results if result.get("retry")])
        raise_first(results)
        single = len(results) == 1 and _media(request.headers) != BATCHED
        return answer(results[0] if single else {"results": results})

    async def options(self, _context: HttpContext, request: Request) -> Response:
        """`OPTIONS`: a sender asks whether it may. Nobody is called back."""
        origin = request.headers.get("webhook-request-origin")
        if origin is None:
            return Response(status_code=204, headers={"Allow": "POST, OPTIONS"})
        if "*" not in self._origins and origin not in self._origins:
            raise HubError(ErrorCode.FORBIDDEN, "this origin may not send")
        allowed = "*" if "*" in self._origins else origin
        headers = {"Allow": "POST, OPTIONS", "WebHook-Allowed-Origin": allowed}
        if "webhook-request-rate" in request.headers:
            headers["WebHook-Allowed-Rate"] = "*"
        return Response(status_code=200, headers=headers)


def is_event(scope: Scope) -> bool:
    """Whether a request bears a CloudEvent in one of the three modes."""
    headers = Headers(scope=scope)
    return "ce-specversion" in headers or _media(headers) in (STRUCTURED, BATCHED)


def _records(headers: Headers, body: bytes) -> list[Record]:
    """The events of a request; structured ones go before headers (section 3.1)."""
    media = _media(headers)
    if media == BATCHED:
        events = loads_json(body)
        if not isinstance(events, list) or len(events) > MOST:
            raise bad(f"a batch must be a list of up to {MOST} events")
        return [Record(orjson.dumps(event)) for event in events]
    if media == STRUCTURED:
        return [Record(body)]
    if "ce-specversion" not in headers:
        raise bad(f"this is no CloudEvent: neither {STRUCTURED}, {BATCHED}, nor the header ce-specversion")
    found = headers_of(headers)
    return [Record(body, headers={name: _plain(name, value) for name, value in found.items()})]


def _plain(name: str, value: str) -> str:
    """Attributes are percent-encoded in headers (section 3.1.3.2)."""
    return (
        unquote(value, errors="strict" if value.isascii() else "replace") if name.startswith("ce-") else value
    )


def _media(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
