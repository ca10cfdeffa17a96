"""Reading channels by HTTP."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from ..auth.identity import Identity
from ..checks import bad_channel, check_presence, check_subscribe, owns_inbox
from ..history import history_fields
from ..namespaces import Mode, Namespace
from ..presence import members_fields
from ..protocol.codes import ErrorCode
from ..protocol.commands import MAX_HISTORY, ReadHistory
from ..protocol.errors import HubError
from ..protocol.position import Position
from .requests import Requests, answer

ASK_S = 0.5


async def channel(requests: Requests, request: Request) -> Response:
    """`GET /v1/channels/{channel}`: a page's cursor."""
    name, namespace, identity = await _readable(requests, request)
    node = requests.node
    fields: dict[str, Any] = {"channel": name, "mode": namespace.mode.value}
    if namespace.stored:
        (top,) = await node.broker.tops([name])
        fields["epoch"], fields["offset"] = top.position
    fields["subscribers"] = await node.count_subscribers(name, ASK_S)
    if namespace.inbox and owns_inbox(identity, name) and not identity.service:
        fields["unread"] = (await node.broker.inbox(name, identity.user)).unread
    return answer(fields)


async def history(requests: Requests, request: Request) -> Response:
    """`GET /v1/channels/{channel}/history?since=&limit=`."""
    name, namespace, _ = await _readable(requests, request)
    since = request.query_params.get("since")
    limit = request.query_params.get("limit", "100")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= MAX_HISTORY):
        raise HubError(ErrorCode.BAD_MESSAGE, f"limit must be an integer from 1 to {MAX_HISTORY}")
    command = ReadHistory(None, name, Position.parse(since) if since else None, int(limit))
    room = requests.node.settings.frame_bytes
    return answer(await history_fields(requests.node.broker, namespace, command, room))


async def snapshot(requests: Requests, request: Request) -> Response:
    """`GET /v1/channels/{channel}/snapshot`."""
    name, namespace, _ = await _readable(requests, request)
    if namespace.mode is not Mode.STATE:
        raise bad_channel(f"{name} is of mode {namespace.mode.value}: only state channels have a snapshot")
    page = await requests.node.channels.snapshot(name)
    events = [orjson.Fragment(event.body()) for event in page.events]
    return answer({"snapshot": events, "epoch": page.top.epoch, "offset": page.top.offset})


async def presence(requests: Requests, request: Request) -> Response:
    """`GET /v1/channels/{channel}/presence?group=user`."""
    identity = await requests.identity(request)
    name = request.path_params["channel"]
    check_presence(identity, name, enabled=requests.node.namespaces.of(name).presence)
    members = await requests.node.broker.presence.members(name)
    by_user = request.query_params.get("group") == "user"
    return answer({"channel": name, "members": members_fields(members, by_user=by_user)})


async def _readable(requests: Requests, request: Request) -> tuple[str, Namespace, Identity]:
    identity = await requests.identity(request)
    name = request.path_params["channel"]
    namespace = requests.node.namespaces.of(name)
    check_subscribe(identity, name)
    return name, namespace, identity
