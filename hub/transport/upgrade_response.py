"""Answers to a WebSocket handshake, and those of HTTP that no app gives."""

import email.utils
import logging
from collections.abc import Iterable
from http import HTTPStatus

import orjson
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeaderValue
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.problem import MEDIA_TYPE, problem_fields, problem_headers
from .http1.head import Head

VERSION = "13"  # of the WebSocket protocol
_FOR_UPGRADE = ("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "origin")

_quiet = logging.getLogger("hub.websockets")


def accept(head: Head) -> Response:
    """The answer to an upgrade request, 101 or what is wrong with it. What has checked it is not kept: frames need
    no more than the half below it."""
    try:
        request = _request(head)
    except InvalidHeaderValue as error:
        return plain_problem(HTTPStatus.BAD_REQUEST, str(error))
    version = request.headers.get("Sec-WebSocket-Version", VERSION)
    if version != VERSION:  # RFC 6455 section 4.4
        why = f"version {version[:20]} of the WebSocket protocol is not spoken here, {VERSION} is"
        response = plain_problem(HTTPStatus.UPGRADE_REQUIRED, why)
        response.headers["Upgrade"] = "websocket"
        response.headers["Sec-WebSocket-Version"] = VERSION
        return response
    checker = ServerProtocol(logger=_quiet)
    response = checker.accept(request)
    checker.parser.close()  # its suspended generators refer to it: a cycle
    if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
        return response
    return plain_problem(response.status_code, response.body.decode().strip())


def joined(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Fields by their lower-case names, the lines of each joined (RFC 9110 section 5.3)."""
    found: dict[str, str] = {}
    for name, value in fields:
        key, text = name.decode().lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


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


def _request(head: Head) -> Request:
    """What `websockets` checks; that it asks for the upgrade was seen already."""
    headers = Headers({"Upgrade": "websocket", "Connection": "Upgrade"})
    for name, value in joined(head.fields).items():
        if name in _FOR_UPGRADE:
            headers[name] = value
    return Request(head.target.decode(), headers, head.method, f"HTTP/{head.version}")
