"""`POST /api/{method}`: who asks, what is asked, and how the answer looks.

What is wrong with a call is an answer too, of status 200 with `error`, as the libraries expect it; only who has no
key, and what is no call at all, gets a status of its own.
"""

import asyncio
from typing import Any

import orjson
from msgspec import DecodeError
from orjson import Fragment
from starlette.requests import Request
from starlette.responses import Response

from ...auth.identity import Identity
from ...delivery.prepared import fragments
from ...http.answers import answer, refusal
from ...http.app import Addition
from ...http.context import HttpContext
from ...protocol.codec import loads_json
from ...protocol.codes import ErrorCode
from ...protocol.errors import HubError
from ...protocol.fields import bad
from .. import codes
from ..framing import data_of
from ..names import HubNames
from .call import Call, Fields, Unrecoverable, failure
from .calls import CALLS

MAX_COMMANDS = 1000
AT_ONCE = 32  # calls of a `parallel` batch


class Api:
    """Does the calls of services; their channels are named as `names` has it."""

    def __init__(self, names: HubNames) -> None:
        self._names = names

    async def post(self, context: HttpContext, request: Request) -> Response:
        """`POST /api/{method}`."""
        service = await _service(context, request)
        method = request.path_params["method"]
        if method != "batch" and method not in CALLS:
            why = f"there is no method {method[:40]}; there are batch, {', '.join(CALLS)}"
            return refusal(HubError(ErrorCode.BAD_MESSAGE, why), 404)
        body = await context.body(request, service)
        fields = _object(loads_json(body or b"{}"), "the body")
        if method == "batch":
            return answer({"replies": await self._batch(Call(context, service, self._names), fields)})
        data = _data(body) if "data" in fields else None
        call = Call(context, service, self._names, data)
        done = await _done(call, method, fields)
        return answer(done if "error" in done else {"result": done[method]})

    async def _batch(self, call: Call, fields: Fields) -> list[Fragment]:
        """The replies, in order. Once they are longer than a body may be, nothing more is done."""
        commands = fields.get("commands")
        if not isinstance(commands, list) or not 1 <= len(commands) <= MAX_COMMANDS:
            raise bad(f"commands must be a list of 1 to {MAX_COMMANDS}")
        at_once = AT_ONCE if fields.get("parallel") is True else 1
        most = call.context.node.settings.max_body_bytes
        replies: list[bytes] = []
        size = 0
        for at in range(0, len(commands), at_once):
            some = commands[at : at + at_once]
            if size > most:
                too_long = HubError(ErrorCode.LIMIT, f"not done: the answers before it are over {most} bytes")
                replies += [orjson.dumps(_error(too_long))] * len(some)
                continue
            done = await asyncio.gather(*(_command(call, each) for each in some))
            replies += map(orjson.dumps, done)
            size += sum(map(len, replies[at:]))
        return fragments(replies)


def additions(names: HubNames) -> list[Addition]:
    """The routes."""
    operation = {
        "tags": ["centrifugo"],
        "operationId": "centrifugo",
        "summary": "Centrifugo's server API: publish, broadcast, presence, history, …",
        "parameters": [{"name": "method", "in": "path", "required": True, "schema": {"type": "string"}}],
        "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": {
                "description": "`result`, or `error` with a code and a message",
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "401": {"description": "There is no good X-API-Key"},
            "404": {"description": "There is no such method"},
        },
    }
    return [Addition("/api/{method}", Api(names).post, "POST", operation)]


async def _command(call: Call, command: Any) -> Fields:
    """One of a batch: `{method: request}`."""
    try:
        methods = [name for name in _object(command, "a command") if name in CALLS]
        if len(methods) != 1:
            raise bad(f"a command is an object with one of {', '.join(CALLS)}")
        return await _done(call, methods[0], _object(command[methods[0]], methods[0]))
    except HubError as error:
        return _error(error)


async def _done(call: Call, method: str, fields: Fields) -> Fields:
    """The result by the name of its method, or the error."""
    try:
        return {method: await CALLS[method](call, fields)}
    except HubError as error:
        return _error(error)


def _error(error: HubError) -> Fields:
    code = codes.UNRECOVERABLE if isinstance(error, Unrecoverable) else None
    return {"error": failure({"code": error.code, "reason": error.reason}, code)}


async def _service(context: HttpContext, request: Request) -> Identity:
    """Who asks: by `X-API-Key`, or `Authorization: apikey KEY`."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    key = request.headers.get("x-api-key") or (credentials.strip() if scheme.lower() == "apikey" else "")
    if not key:
        raise HubError(ErrorCode.UNAUTHENTICATED, "the header X-API-Key is missing")
    identity = await context.bearer(key)
    if not identity.service:
        raise HubError(ErrorCode.FORBIDDEN, "only a service may do this, with its API key")
    return identity


def _object(value: Any, what: str) -> Fields:
    if not isinstance(value, dict):
        raise bad(f"{what} must be a JSON object")
    return value


def _data(body: bytes) -> bytes:
    try:
        return data_of(body)
    except DecodeError as error:
        raise bad(str(error)) from None
