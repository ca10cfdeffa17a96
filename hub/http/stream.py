"""`GET /v1/stream` and `POST /v1/stream`: server-sent events or NDJSON, for whoever has no WebSocket."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..auth.identity import Identity
from ..commands import stream as commands
from ..commands.host import Entrance
from ..connections.connection import Connection
from ..connections.transport import Transport
from ..protocol import cursor, replies
from ..protocol import fields as checked
from ..protocol.codec import encode
from ..protocol.codes import RETRYABLE, ErrorCode
from ..protocol.commands import Subscribe, SubscribeMany, parse, parse_positions
from ..protocol.errors import HubError
from ..protocol.position import Position
from ..recovery.by_time import position_at
from ..transport.stream import (
    HEADERS,
    Begin,
    Make,
    NdJson,
    ServerSentEvents,
    StreamTransport,
    Writing,
    refuse,
)
from .context import HttpContext
from .control import KEY_TICKET_S

LINES = NdJson.media_type
MAX_ASKED = 65_536  # bytes of a body: a few hundred channels and positions


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a stream, checked but for rights. `lines`: as NDJSON. `events`: blocks bear their types.
    `returning`: it has been here before."""

    subscriptions: tuple[Subscribe, ...]
    lines: bool
    events: bool
    returning: bool

    @property
    def channels(self) -> list[str]:
        """The channels, in the order asked."""
        return [each.channel for each in self.subscriptions]

    def writing(self) -> Writing:
        """How it is written. One channel's blocks are the same for all; else each receiver has its own ids."""
        if self.lines:
            return NdJson()
        if len(self.subscriptions) == 1 and self.events:
            return ServerSentEvents()
        since = {each.channel: each.since for each in self.subscriptions if each.since is not None}
        return ServerSentEvents(cursor.Cursor(self.channels, since, events=self.events).render)


async def stream(context: HttpContext, request: Request) -> Response:
    """Both methods. What is final has a status of its own; what passes is said in the stream, because an
    EventSource never comes back after a status that is not 200."""
    node = context.node
    asked = await _asked(context, request)
    try:
        identity = await _identity(context, request, asked)
        commands.check(node, identity, asked.subscriptions)
        if request.method == "HEAD":
            return Response(headers=HEADERS, media_type=asked.writing().media_type)
        address = context.address(request)
        await node.admission.admit(address, returning=asked.returning)
        asked = await _placed(node, asked)
    except HubError as error:
        if asked.lines or error.code not in RETRYABLE or request.method == "HEAD":
            raise
        node.counters.refused[error.code.value] += 1
        return RefusedStream(node, asked.writing(), error)
    return _streamed(node, asked, identity, address)


def _streamed(node: Entrance, asked: Asked, identity: Identity, address: str) -> Response:
    writing = asked.writing()
    resumable = asked.lines or len(asked.subscriptions) <= cursor.MOST

    def make(transport: Transport) -> Connection:
        return Connection(node, transport, writing.encoding, False, address)

    begin = partial(_begin, node, identity, asked.subscriptions, resumable)
    return StreamResponse(node, writing, address, make, begin)


async def _identity(context: HttpContext, request: Request, asked: Asked) -> Identity:
    """By the header, a stream ticket, or a token in the query: the first that is there."""
    ticket, token = (request.query_params.get(name) for name in ("ticket", "token"))
    if "authorization" not in request.headers and ticket is not None:
        identity = context.stream_tickets.read(ticket)
        context.node.revocations.check(identity)
        _check_ticket(identity, asked)
    elif "authorization" not in request.headers and token is not None:
        if not context.node.settings.query_token:
            raise HubError(ErrorCode.UNAUTHENTICATED, "tokens in the query are switched off on this hub")
        identity = await context.bearer(token)
    else:
        identity = await context.identity(request)
    if math.isinf(identity.expires_at):  # connections end, keys do not
        identity = replace(identity, expires_at=context.node.wall() + KEY_TICKET_S)
    return identity


class Endless(Response):
    """An answer without a length, whose end is the connection's (RFC 9112 section 6.3, item 8).

    What comes in chunks HAProxy hands on with MSG_MORE, since more is expected: then the kernel holds each event
    back for 200 ms in case it comes.
    """

    def __init__(self, writing: Writing) -> None:
        super().__init__(headers={**HEADERS, "connection": "close"}, media_type=writing.media_type)
        del self.headers["content-length"]


class StreamResponse(Endless):
    """An answer that does not end by itself: the connection that `make` makes, until it is over."""

    def __init__(self, node: Entrance, writing: Writing, address: str, make: Make, begin: Begin) -> None:
        super().__init__(writing)
        self._transport = StreamTransport(node, writing, address, make, begin)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The whole of it."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self._transport.run(receive, send)


class RefusedStream(Endless):
    """A stream that says when to come back, and why."""

    def __init__(self, node: Entrance, writing: Writing, error: HubError) -> None:
        super().__init__(writing)
        self._parts = (node, writing, error)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The whole of it."""
        node, writing, error = self._parts
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        message = encode(replies.error(error), writing.encoding)
        await refuse(writing, message, error, node, send)


async def _begin(
    node: Entrance,
    identity: Identity,
    subscriptions: Sequence[Subscribe],
    resumable: bool,
    connection: Connection,
) -> None:
    await commands.begin(node, connection, identity, subscriptions, resumable=resumable)


async def _asked(context: HttpContext, request: Request) -> Asked:
    """What is asked for, by query or body.

    Raises:
        HubError: ``bad_message`` or ``bad_channel``.
    """
    query = request.query_params
    if request.method == "POST":
        body = await context.object(request, most=MAX_ASKED)  # of a stranger, as yet
    else:
        body = {"channels": query.getlist("channel"), "since": query.getlist("since") or None}
        body |= {name: query[name] for name in ("last_event_id", "event") if name in query}
        if "since_time" in query:
            body["since_time"] = checked.text_moment(query["since_time"], "since_time")
    entries = _entries(body, context.node.settings.max_channels)
    channels = [entry.channel for entry in entries]
    last = request.headers.get("last-event-id") or body.get("last_event_id") or None
    if last is not None and not isinstance(last, str):
        raise HubError(ErrorCode.BAD_MESSAGE, "last_event_id must be a string")
    since = parse_positions(body.get("since")) if last is None else cursor.parse(last, channels)
    if body.get("event") not in (None, "message"):
        raise HubError(ErrorCode.BAD_MESSAGE, "event must be message where it is given")
    lines = LINES in request.headers.get("accept", "")
    moment = checked.optional_moment(body, "since_time")
    return Asked(
        tuple(_since(entry, since, moment, begins=last is not None) for entry in entries),
        lines,
        body.get("event") is None,
        last is not None or bool(since),
    )


def _entries(body: Mapping[str, Any], most: int) -> list[Subscribe]:
    """The subscriptions: names, or objects as the command `subscribe` has them."""
    channels = body.get("channels")
    if not isinstance(channels, list) or not channels:
        raise HubError(
            ErrorCode.BAD_MESSAGE, "a stream needs a channel: ?channel=job:42, or channels in the body"
        )
    if len(channels) > most:
        raise HubError(ErrorCode.BAD_MESSAGE, f"a stream has {most} channels at most, not {len(channels)}")
    objects = [{"channel": each} if isinstance(each, str) else each for each in channels]
    command = parse({"type": "subscribe", "channels": objects})
    assert isinstance(command, SubscribeMany)
    for entry in command.entries:
        if isinstance(entry, HubError):
            raise entry
    entries = [entry for entry in command.entries if isinstance(entry, Subscribe)]
    if len({entry.channel for entry in entries}) < len(entries):
        raise HubError(ErrorCode.BAD_MESSAGE, "a channel stands twice in the list")
    return entries


def _since(entry: Subscribe, since: Mapping[str, Position], moment: int | None, *, begins: bool) -> Subscribe:
    """With its position, or the moment of all that have none; a cursor that has none for it says that it begins
    anew."""
    position = since.get(entry.channel)
    if begins or position is not None:
        return replace(entry, since=position, since_time=None)
    if entry.since is None and entry.since_time is None:
        return replace(entry, since_time=moment)
    return entry


async def _placed(node: Entrance, asked: Asked) -> Asked:
    """With positions in place of moments, so that the first cursor that is sent says where each channel begins."""

    async def place(entry: Subscribe) -> Subscribe:
        if entry.since_time is None or not node.namespaces.of(entry.channel).stored:
            return entry
        position = await position_at(node.broker, entry.channel, entry.since_time)
        return replace(entry, since=position, since_time=None)

    return replace(asked, subscriptions=tuple([await place(entry) for entry in asked.subscriptions]))


def _check_ticket(identity: Identity, asked: Asked) -> None:
    for channel in asked.channels:
        if channel not in identity.channels:
            why = f"the ticket is not for {channel}"
            raise HubError(ErrorCode.FORBIDDEN, why, channel=channel)
