"""Whether the node lives, whether it should get traffic, and what it counts."""

from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from ..auth.identity import Level
from .answers import answer
from .context import HttpContext
from .whole_request import AnyRequest


async def livez(_requests: HttpContext, _request: AnyRequest) -> Response:
    """`GET /livez`: the process answers."""
    return answer({"live": True})


async def readyz(context: HttpContext, _request: AnyRequest) -> Response:
    """`GET /readyz`: 503 while deaf, draining, or without a usable shard; the reasons stand in the body."""
    reasons = await context.node.readiness.reasons_of_all()
    shards = [
        {
            "name": shard.name,
            "usable": shard.usable,
            "deaf_s": round(shard.deaf_s, 3),
            "rtt_ms": round(shard.rtt_s * 1000, 3),
        }
        for shard in context.node.broker.health()
    ]
    body: dict[str, Any] = {
        "ready": not reasons,
        "reasons": reasons,
        "node": context.node.id,
        "shards": shards,
    }
    if context.tls is not None:
        body["tls"] = context.tls.facts()
    return answer(body, 503 if reasons else 200)


async def metrics(context: HttpContext, request: Request) -> Response:
    """`GET /metrics` in Prometheus' text format; public unless a setting says otherwise."""
    if not context.node.settings.metrics_public:
        await context.control(request, Level.READ)
    return Response(await context.exposition.text(), media_type=CONTENT_TYPE_LATEST)
