"""Problem details (RFC 9457): how a refusal looks in HTTP."""

import math
from http import HTTPStatus
from typing import Any

from .codes import ErrorCode
from .errors import HubError

MEDIA_TYPE = "application/problem+json"


def problem_fields(status: int, error: HubError) -> dict[str, Any]:
    """The body: `code` and `reason` are those of the contract."""
    return {"title": HTTPStatus(status).phrase, "status": status, "detail": error.reason, **error.fields()}


def problem_headers(error: HubError) -> dict[str, str]:
    """`Retry-After` in whole seconds (RFC 9110 section 10.2.3), and how to authenticate (RFC 6750 section 3)."""
    headers: dict[str, str] = {}
    if error.retry_after_ms is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_ms / 1000)))
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = _challenge(error.code)
    return headers


def _challenge(code: ErrorCode) -> str:
    """A request without credentials is told of no error."""
    error = "" if code is ErrorCode.UNAUTHENTICATED else ', error="invalid_token"'
    return f'Bearer realm="hub"{error}'
