"""`POST /emulation`: a frame of commands for a connection whose way down is an answer over HTTP."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ...connections.connection import Host, rate_limited
from ...http.answers import refusal
from ...http.app import Addition
from ...http.context import HttpContext
from ...protocol.codec import loads_json
from ...protocol.codes import ErrorCode
from ...protocol.errors import HubError
from ...protocol.fields import bad
from .. import protobuf
from ..emulated import Outcome
from ..sessions import Sessions

PATH = "/emulation"
BINARY = "application/octet-stream"
ROOM = 4096  # bytes of a body for what stands around the frame; in JSON its quotes have a stroke before them

_REFUSED = {
    Outcome.GONE: (404, HubError(ErrorCode.BAD_MESSAGE, "there is no connection of this session any more")),
    Outcome.REPEATED: (409, HubError(ErrorCode.CONFLICT, "what the frame says was said before")),
    Outcome.BUSY: (429, HubError(ErrorCode.RATE_LIMITED, "too much waits to be read", retry_after_ms=1000)),
}


class Emulation:
    """Hands frames on."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def addition(self) -> Addition:
        """The route."""
        operation = {
            "tags": ["centrifugo"],
            "operationId": "centrifugo_emulation",
            "summary": "The way up of the Centrifugo protocol over HTTP",
            "responses": {
                "204": {"description": "Taken; the answers come on the connection"},
                "403": {"description": "The session is none that this hub gave away"},
                "404": {"description": "The connection is over"},
                "409": {"description": "The frame was here before"},
                "413": {"description": "The frame is longer than a message may be"},
                "429": {"description": "Too many frames, or too much waits to be read"},
                "503": {"description": "The node that holds the connection did not answer"},
            },
        }
        return Addition(PATH, self.post, "POST", operation)

    async def post(self, context: HttpContext, request: Request) -> Response:
        """`POST /emulation`: {session, node, data}."""
        node = context.node
        most = node.settings.message_bytes
        body = await context.body(request, most=2 * most + ROOM)  # of a stranger, as yet
        binary = request.headers.get("content-type") == BINARY
        asked = _protobuf(body) if binary else _json(body)
        data = asked.get("data", b"")
        session = self._sessions.read(asked.get("session", ""), asked.get("node", ""))
        if session is None:
            raise HubError(ErrorCode.FORBIDDEN, "this session is none that this hub gave away")
        if len(data) > most:
            raise HubError(ErrorCode.TOO_LARGE, f"a frame of over {most} bytes")
        check_rate(node, session.user)
        outcome = await self._sessions.hand_on(session, data, not binary)
        if outcome is None:
            raise HubError(ErrorCode.UNAVAILABLE, "the node that holds the connection did not answer")
        if outcome is Outcome.TAKEN:
            return Response(status_code=204)
        status, error = _REFUSED[outcome]
        return refusal(error, status)


def check_rate(node: Host, user: str) -> None:
    """A user may have the nodes ask each other as often as all their connections may command, those that are over
    too.

    Raises:
        HubError: ``rate_limited``.
    """
    rate, burst = node.settings.user_command_rate, node.settings.user_command_burst
    wait = node.user_rates.take(user, "emulation", rate, burst, node.now())
    if wait:
        raise rate_limited("frames", wait)


def _json(body: bytes) -> dict[str, Any]:
    value = loads_json(body)
    if not isinstance(value, dict):
        raise bad("the body must be a JSON object")
    for name in ("node", "session", "data"):
        if not isinstance(value.get(name), str):
            raise bad(f"{name} must be a string")
    try:
        return {**value, "data": value["data"].encode()}
    except UnicodeEncodeError:
        raise bad("data must be well-formed Unicode") from None


def _protobuf(body: bytes) -> dict[str, Any]:
    try:
        return protobuf.decode("EmulationRequest", body)
    except protobuf.Malformed as error:
        raise bad(str(error)) from None
