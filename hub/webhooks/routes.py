"""Webhooks over HTTP, for who runs the hub: which there are, a test, off and on."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..auth.identity import Level
from ..broker.base import Intent, Kind
from ..http.answers import answer
from ..http.app import Addition
from ..http.context import HttpContext
from ..http.schemas import ref
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from .endpoint import Endpoint
from .start import Webhooks

_ANY: dict[str, Any] = {"content": {"application/json": {"schema": {}}}}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}


def additions(webhooks: Webhooks) -> list[Addition]:
    """What is served beside the hub's own routes."""
    routes = Routes(webhooks)
    found = [
        Addition(
            "/v1/webhooks", routes.page, "GET", _operation("webhooks", "The webhooks, as this node sees them")
        )
    ]
    for verb, handler, summary in (
        ("test", routes.test, "Send it a test, at once"),
        ("disable", routes.disable, "Send it nothing; what waits stays"),
        ("enable", routes.enable, "Send it what waits"),
    ):
        operation = _operation(f"{verb}Webhook", summary, parameters=[_NAME])
        found.append(Addition(f"/v1/webhooks/{{name}}/{verb}", handler, "POST", operation))
    return found


class Routes:
    """Over one node's webhooks."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._courier = webhooks.courier

    async def page(self, context: HttpContext, request: Request) -> Response:
        """`GET /v1/webhooks`."""
        await context.admin(request, Level.READ)
        await self._courier.learn()
        return answer({"webhooks": [each.described() for each in self._courier.endpoints.values()]})

    async def test(self, context: HttpContext, request: Request) -> Response:
        """`POST /v1/webhooks/{name}/test`: one request with a made-up event, whatever its breaker says."""
        await context.admin(request, Level.WRITE)
        endpoint = self._endpoint(request)
        now = int(context.node.wall() * 1000)
        event = {"type": "test", "channel": "hub:test", "payload": {"test": True}}
        intent = Intent(f"test-{now}", Kind.EVENT, now, {"channel": "hub:test", "event": event})
        failed = await endpoint.deliver([intent])
        found = {"delivered": True} if failed is None else {"delivered": False, "why": failed.why}
        return answer({"name": endpoint.name, **found})

    async def disable(self, context: HttpContext, request: Request) -> Response:
        """`POST /v1/webhooks/{name}/disable`."""
        identity = await context.admin(request, Level.WRITE)
        endpoint = self._endpoint(request)
        await self._courier.disable(endpoint, "by hand", by=identity.user)
        return answer(endpoint.described())

    async def enable(self, context: HttpContext, request: Request) -> Response:
        """`POST /v1/webhooks/{name}/enable`."""
        await context.admin(request, Level.WRITE)
        endpoint = self._endpoint(request)
        await self._courier.enable(endpoint)
        return answer(endpoint.described())

    def _endpoint(self, request: Request) -> Endpoint:
        name = request.path_params["name"]
        found = self._courier.endpoints.get(name)
        if found is None:
            raise HubError(ErrorCode.BAD_MESSAGE, f"there is no webhook {name[:32]}")
        return found


def _operation(id: str, summary: str, **more: Any) -> dict[str, Any]:
    problem = {"description": "Refused", "content": {"application/problem+json": {"schema": ref("Problem")}}}
    responses = {
        "200": {"description": "Done", **_ANY},
        **{str(each): problem for each in (400, 401, 403, 429)},
    }
    return {"tags": ["webhooks"], "operationId": id, "summary": summary, "responses": responses, **more}
