"""How answers and refusals look in HTTP."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.problem import MEDIA_TYPE, problem_fields, problem_headers

# All of it is of this moment, and some of it secret.
NO_STORE = {"Cache-Control": "no-store"}


class _Json(Response):
    """Starlette's, whose headers are not put together anew for each answer."""

    def __init__(self, body: bytes, status: int) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [
            (b"cache-control", b"no-store"),
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
        ]


def answer(value: Any, status: int = 200) -> Response:
    """A JSON answer; `orjson.Fragment`s inside are copied as they are."""
    return _Json(orjson.dumps(value), status)


def refusal(error: HubError, status: int | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal as problem+json; its status follows from the code unless HTTP has a better word."""
    status = status or error.status
    body = orjson.dumps(problem_fields(status, error))
    return Response(
        body, status, {**NO_STORE, **problem_headers(error), **(headers or {})}, media_type=MEDIA_TYPE
    )


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What the router refuses by itself: an unknown path, a wrong method."""
    assert isinstance(error, HTTPException)
    reason = f"{error.detail}: {request.method} {request.url.path[:200]}"
    return refusal(HubError(ErrorCode.BAD_MESSAGE, reason), error.status_code, error.headers)
