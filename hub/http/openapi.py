"""The OpenAPI document of the HTTP routes."""

from functools import lru_cache
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from .. import __version__
from .context import HttpContext
from .operations import PATHS, SOCKET
from .schemas import SCHEMAS


async def openapi(context: HttpContext, request: Request) -> Response:
    """`GET /openapi.json`. Mounted below a path, it names that path as its server."""
    path, root = context.node.settings.path, request.scope.get("root_path", "")
    if context.described:
        found = document(path, root)
        found["paths"] = {**found["paths"], **context.described}
        return Response(orjson.dumps(found), media_type="application/json")
    return Response(_json(path, root), media_type="application/json")


def document(socket_path: str, root: str = "") -> dict[str, Any]:
    """The document, OpenAPI 3.1, where the WebSocket is at `socket_path`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Notification hub",
            "version": __version__,
            "summary": "Publish events, read channels, manage connections",
            "description": "A service is an API key, or a token with `hub.service: true`. Any other token acts as "
            "on its socket: the same namespace, grant and rate rules, and its events bear `from`.",
        },
        "servers": [{"url": root or "/"}],
        "security": [{"bearer": []}],
        "tags": [
            {"name": "publish", "description": "Events into channels"},
            {"name": "channels", "description": "What channels hold"},
            {"name": "connections", "description": "Sockets and tokens"},
            {"name": "node", "description": "The process"},
        ],
        "paths": {**PATHS, socket_path: SOCKET},
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A JWT, or an API key"}
            },
        },
    }


@lru_cache(maxsize=4)
def _json(socket_path: str, root: str) -> bytes:
    return orjson.dumps(document(socket_path, root))
