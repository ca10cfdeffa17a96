"""The OpenAPI document of the HTTP routes."""

from functools import lru_cache
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from .. import __version__
from .requests import Requests


async def openapi(_requests: Requests, _request: Request) -> Response:
    """`GET /openapi.json`."""
    return Response(_document(), media_type="application/json")


@lru_cache(maxsize=1)
def _document() -> bytes:
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "notification hub", "version": __version__},
        "paths": {},
    }
    return orjson.dumps(document)
