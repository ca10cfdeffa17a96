"""Reading channels by HTTP."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..auth.identity import Identity
from ..commands.permissions import bad_channel, check_presence, check_subscribe, owns_inbox
from ..delivery.snapshot import Snapshot
from ..namespaces import Mode, Namespace
from ..presence.members import members_fields
from ..protocol import fields as checked
from ..protocol.codes import ErrorCode
from ..protocol.commands import MAX_HISTORY, ReadHistory
from ..protocol.errors import HubError
from ..protocol.position import Position
from ..recovery.by_time import position_at
from ..recovery.history import read_history
from ..runtime.slices import OneATurn
from . import long_poll
from .answers import NO_STORE, answer
from .context import HttpContext

ASK_S = 0.5


async def channel(context: HttpContext, request: Request) -> Response:
    """`GET /v1/channels/{channel}`: a page's cursor."""
    name, namespace, identity = await _readable(context, request)
    node = context.node
    fields: dict[str, Any] = {"channel": name, "mode": namespace.mode.value}
    if namespace.stored:
        (top,) = await node.broker.tops([name])
        if isinstance(top, HubError):
            raise top
        fields["epoch"], fields["offset"] = top.position
    fields["subscribers"] = await node.cluster.count_subscribers(name, ASK_S)
    if namespace.inbox and owns_inbox(identity, name) and not identity.service:
        fields["unread"] = (await node.broker.inbox(name, identity.user)).unread
    return answer(fields)


async def history(context: HttpContext, request: Request) -> Response:
    """`GET /v1/channels/{channel}/history?since=&since_time=&limit=&wait=`."""
    name, namespace, identity = await _readable(context, request)
    command = ReadHistory(None, name, None, _limit(request))
    command = await _from(context, request, command, namespace)
    since = command.since
    wait = long_poll.seconds(request)
    room = context.node.settings.frame_bytes
    fields = await read_history(context.node.broker, namespace, command, room)
    if wait and since is not None and not fields["events"] and "gap" not in fields:
        at = Position(fields["epoch"], fields["offset"])
        await long_poll.wait_for_more(context.node, request, context.address(request), name, at, wait)
        fields = await read_history(context.node.broker, namespace, command, room)
    if identity.hides:
        fields["events"] = _shown(context, orjson.dumps(fields["events"]))
    return answer({"channel": name, **fields})


def _shown(context: HttpContext, events: bytes) -> list[Any]:
    """A JSON list of events, as who is not to see them whole has it."""
    return [context.node.namespaces.shown(event) for event in orjson.loads(events)]


async def _from(
    context: HttpContext, request: Request, command: ReadHistory, namespace: Namespace
) -> ReadHistory:
    """With the position that the query names, or the moment that it names stands for."""
    since, moment = (request.query_params.get(name) for name in ("since", "since_time"))
    if moment is None:
        return command if since is None else replace(command, since=Position.parse(since))
    if since is not None:
        raise HubError(ErrorCode.BAD_MESSAGE, "give either since or since_time")
    time_ms = checked.text_moment(moment, "since_time")
    if not namespace.stored:
        return command
    return replace(command, since=await position_at(context.node.broker, command.channel, time_ms))


async def snapshot(context: HttpContext, request: Request) -> Response:
    """`GET /v1/channels/{channel}/snapshot`."""
    name, namespace, identity = await _readable(context, request)
    if namespace.mode is not Mode.STATE:
        raise bad_channel(f"{name} is of mode {namespace.mode.value}: only state channels have a snapshot")
    snapshot = await context.node.channels.snapshots.now(name, namespace)

    def shown(events: bytes) -> bytes:
        return orjson.dumps(_shown(context, b"[" + events + b"]"))[1:-1] if identity.hides else events

    return StreamingResponse(
        _snapshot(snapshot, shown, context.pages), headers=NO_STORE, media_type="application/json"
    )


async def _snapshot(
    snapshot: Snapshot, shown: Callable[[bytes], bytes], pages: OneATurn
) -> AsyncIterator[bytes]:
    """The answer in pieces, at the pace of the reader: a snapshot may be thousands of events.

    Its fields are those of `hub.snapshot`, and the position at which it is complete. One that the node lets go of
    before a slow reader has all of it ends in the midst, and is no JSON.
    """
    epoch, offset = snapshot.top.position
    head = orjson.dumps({"channel": snapshot.channel, "epoch": epoch, "offset": offset, "more": False})
    yield head[:-1] + b',"events":['
    number = 0
    while number < len(snapshot.pages):
        await pages.turn()  # a socket takes megabytes at once: fifty askers would be served in one turn
        yield (b"," if number else b"") + shown(snapshot.pages[number].events)
        number += 1
    if not snapshot.lost:
        yield b"]}"


async def presence(context: HttpContext, request: Request) -> Response:
    """`GET /v1/channels/{channel}/presence?group=user`, or `?count=true`."""
    identity = await context.identity(request)
    name = request.path_params["channel"]
    check_presence(identity, name, enabled=context.node.namespaces.of(name).presence)
    group = request.query_params.get("group")
    if group not in (None, "user"):
        raise HubError(ErrorCode.BAD_MESSAGE, "group must be user where it is given")
    if request.query_params.get("count") == "true":
        present, users = await context.node.broker.presence.count(name)
        return answer({"channel": name, "members": present, "users": users})
    members = await context.node.broker.presence.members(name)
    return answer({"channel": name, "members": members_fields(members, by_user=group == "user")})


async def _readable(context: HttpContext, request: Request) -> tuple[str, Namespace, Identity]:
    identity = await context.identity(request)
    name = request.path_params["channel"]
    namespace = context.node.namespaces.of(name)
    check_subscribe(replace(identity, hides=frozenset()) if identity.hides else identity, name)
    return name, namespace, identity


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "100")
    # The length first: `int` itself refuses thousands of digits, in its own words.
    if len(text) > 4 or not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= MAX_HISTORY:
        raise HubError(ErrorCode.BAD_MESSAGE, f"limit must be an integer from 1 to {MAX_HISTORY}")
    return int(text)
