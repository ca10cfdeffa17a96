"""The routes of the HTTP transports.

GET, POST /connection/sse              server-sent events; the commands in `cf_connect`, or the body
POST      /connection/http_stream      lines of JSON, or Protobuf to a body that is `application/octet-stream`
POST      /emulation                   a frame of commands for one of these two
GET, POST /connection/uni_sse          for who only listens: a `ConnectRequest` in `cf_connect`, or the body
POST      /connection/uni_http_stream  the same, as lines of JSON
"""

from starlette.requests import Request
from starlette.responses import Response

from ...commands.host import Entrance
from ...connections.connection import Connection
from ...connections.transport import Transport
from ...http.app import Addition, Handler
from ...http.context import HttpContext
from ...http.stream import RefusedStream, StreamResponse
from ...protocol.codes import RETRYABLE
from ...protocol.errors import HubError
from ...protocol.session import MAX_BEFORE_AUTH
from ...transport.stream import HEADERS, Make
from ..dialect import EVENTS, LENGTHS, LINES, ONE_WAY_EVENTS, ONE_WAY_LINES, Form
from ..emulated import EmulatedConnection
from ..handshake import in_query
from ..one_way import OneWayConnection
from ..sessions import Sessions
from ..terms import Terms
from .emulation import Emulation
from .writing import CentrifugoWriting

BINARY = "application/octet-stream"
PATHS = {
    "/connection/sse": ("GET", "POST"),
    "/connection/http_stream": ("POST",),
    "/connection/uni_sse": ("GET", "POST"),
    "/connection/uni_http_stream": ("POST",),
}


class Streams:
    """Opens the answers."""

    def __init__(self, terms: Terms, sessions: Sessions) -> None:
        self._terms = terms
        self._sessions = sessions

    async def sse(self, context: HttpContext, request: Request) -> Response:
        """`/connection/sse`."""
        return await self._open(context, request, EVENTS)

    async def http_stream(self, context: HttpContext, request: Request) -> Response:
        """`/connection/http_stream`."""
        binary = request.headers.get("content-type") == BINARY
        return await self._open(context, request, LENGTHS if binary else LINES)

    async def uni_sse(self, context: HttpContext, request: Request) -> Response:
        """`/connection/uni_sse`."""
        return await self._open(context, request, ONE_WAY_EVENTS)

    async def uni_http_stream(self, context: HttpContext, request: Request) -> Response:
        """`/connection/uni_http_stream`."""
        return await self._open(context, request, ONE_WAY_LINES)

    async def _open(self, context: HttpContext, request: Request, form: Form) -> Response:
        node, writing = context.node, CentrifugoWriting(self._terms.dialect(form))
        if request.method == "HEAD":
            return Response(headers=HEADERS, media_type=writing.media_type)
        if request.method == "GET":
            first = in_query(request.query_params.get("cf_connect"), node.settings)
        else:  # of a stranger, as yet
            first = await context.body(request, most=MAX_BEFORE_AUTH)
        address = context.address(request)
        try:
            await node.admission.admit(address, returning=False)
        except HubError as error:
            if request.method != "GET" or error.code not in RETRYABLE:
                raise
            node.counters.refused[error.code.value] += 1
            return RefusedStream(node, writing, error)  # an EventSource never comes back after another status

        async def begin(connection: Connection) -> None:
            self._begin(connection, first)

        make = self._maker(node, writing, address)
        return StreamResponse(node, writing, address, make, begin)

    def _maker(self, node: Entrance, writing: CentrifugoWriting, address: str) -> Make:
        kind = OneWayConnection if writing.encoding.form.one_way else EmulatedConnection

        def make(transport: Transport) -> Connection:
            return kind(node, transport, writing.encoding, address, executes=self._terms.executes)

        return make

    def _begin(self, connection: Connection, first: bytes) -> None:
        if isinstance(connection, EmulatedConnection):
            connection.begin(first, self._sessions.issue)
        else:
            connection.receive(first, True)


def additions(terms: Terms, sessions: Sessions) -> list[Addition]:
    """The routes."""
    streams = Streams(terms, sessions)
    handlers: dict[str, Handler] = {
        "/connection/sse": streams.sse,
        "/connection/http_stream": streams.http_stream,
        "/connection/uni_sse": streams.uni_sse,
        "/connection/uni_http_stream": streams.uni_http_stream,
    }
    found = [
        Addition(path, handlers[path], method, _operation(path, method))
        for path, methods in PATHS.items()
        for method in methods
    ]
    return [*found, Emulation(sessions).addition()]


def _operation(path: str, method: str) -> dict[str, object]:
    name = path.rsplit("/", 1)[1]
    operation: dict[str, object] = {
        "tags": ["centrifugo"],
        "operationId": f"centrifugo_{name}_{method.lower()}",
        "summary": f"The Centrifugo protocol over HTTP: {name}",
        "responses": {"200": {"description": "An answer that does not end by itself"}},
    }
    if method == "GET":
        schema = {"type": "string"}
        operation["parameters"] = [{"name": "cf_connect", "in": "query", "schema": schema}]
    return operation
