"""HTTP answers to a handshake that is not upgraded, for websockets' sans-IO protocol."""

import email.utils
from http import HTTPStatus

import orjson
from websockets.datastructures import Headers
from websockets.http11 import Response

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.problem import MEDIA_TYPE, problem_fields, problem_headers


def problem(status: int, error: HubError) -> Response:
    """A refusal as problem+json."""
    body = orjson.dumps(problem_fields(status, error))
    headers = Headers(
        {
            "Date": email.utils.formatdate(usegmt=True),
            "Connection": "close",
            "Content-Length": str(len(body)),
            "Content-Type": MEDIA_TYPE,
            **problem_headers(error),
        }
    )
    return Response(status, HTTPStatus(status).phrase, headers, body)


def plain_problem(status: int, reason: str) -> Response:
    """A refusal that is no error of the contract's: a wrong path, a broken handshake."""
    return problem(status, HubError(ErrorCode.BAD_MESSAGE, reason))
