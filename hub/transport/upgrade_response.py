"""Answers to a WebSocket handshake, and those of HTTP that no app gives."""

import email.utils
import logging
import re
import time
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

import orjson
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeaderValue
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.utils import accept_key

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.problem import MEDIA_TYPE, problem_fields, problem_headers
from .http1.head import Head

VERSION = "13"  # of the WebSocket protocol
_KEY = re.compile(rb"[0-9A-Za-z+/]{22}==")  # 16 bytes in base64
_FOR_UPGRADE = ("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "origin")

_quiet = logging.getLogger("hub.websockets")


def refusal(head: Head) -> Response | None:
    """What is wrong with an upgrade request; None where nothing is."""
    key = head.field(b"sec-websocket-key")
    if key is not None and _KEY.fullmatch(key) and head.field(b"sec-websocket-version") == VERSION.encode():
        return None  # that it asks for the upgrade was seen already, and there is nothing else to check
    response = _checked(head)
    return None if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS else response


def switching(head: Head, subprotocol: str | None) -> bytes:
    """The answer to an upgrade request that is accepted."""
    key = (head.field(b"sec-websocket-key") or b"").decode("latin-1")
    chosen = "" if subprotocol is None else f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
    return (
        f"HTTP/1.1 101 Switching Protocols\r\nDate: {_date(int(time.time()))}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n{chosen}\r\n"
    ).encode()


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return email.utils.formatdate(second, usegmt=True)


def _checked(head: Head) -> Response:
    """By `websockets`: 101, or what is wrong in its words."""
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
            "Date": _date(int(time.time())),
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
    """What `websockets` checks."""
    headers = Headers({"Upgrade": "websocket", "Connection": "Upgrade"})
    for name, value in joined(head.fields).items():
        if name in _FOR_UPGRADE:
            headers[name] = value
    return Request(head.target.decode(), headers, head.method, f"HTTP/{head.version}")
