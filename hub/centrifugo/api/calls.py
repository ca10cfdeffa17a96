"""The methods of the server API: each takes its request and gives its result, or raises `HubError`."""

from collections.abc import Awaitable, Callable, Mapping
from fnmatch import fnmatchcase

from ...auth.identity import Level
from ...commands.permissions import check_presence, check_subscribe, forbidden
from ...presence.members import members_fields
from ...protocol import replies
from ...protocol.channels import is_reserved
from ...protocol.codes import ErrorCode
from ...protocol.commands import ReadHistory
from ...protocol.errors import HubError
from ...protocol.fields import bad
from ...protocol.position import Position
from ...recovery.history import read_history
from .. import answers, requests
from ..codes import is_final
from ..framing import checked
from ..protobuf import Malformed
from ..requests import RequestId
from . import publishing
from .call import Call, Fields, Unrecoverable, text
from .nodes import CHANNELS, INFO

ASK_S = 1.0
MAX_PATTERN = 256  # characters of a glob: it becomes a regular expression


async def _presence(call: Call, fields: Fields) -> Fields:
    return await _members(call, fields, "presence")


async def _presence_stats(call: Call, fields: Fields) -> Fields:
    return await _members(call, fields, "presence_stats")


async def _members(call: Call, fields: Fields, method: str) -> Fields:
    channel = call.channel(fields)
    node = call.context.node
    check_presence(call.service, channel, enabled=node.namespaces.of(channel).presence)
    members = await node.broker.presence.members(channel)
    message = replies.presence(channel, members_fields(members, by_user=False))
    return answers.result(RequestId.of(1, method, {}), message)


async def _history(call: Call, fields: Fields) -> Fields:
    call.channel(fields)
    node = call.context.node
    id = RequestId.of(1, "history", _request(fields))
    command = requests.parse(id, call.names, node.namespaces)
    if id.error is not None or not isinstance(command, ReadHistory):
        raise id.error or bad("this is no request for history")
    namespace = node.namespaces.of(command.channel)
    check_subscribe(call.service, command.channel)
    epoch = id.request.get("since", {}).get("epoch")
    found = await read_history(node.broker, namespace, command, node.settings.frame_bytes)
    if epoch and epoch != found["epoch"]:
        raise Unrecoverable
    return answers.result(id, replies.history(command.channel, found))


def _request(fields: Fields) -> Fields:
    try:
        return checked("HistoryRequest", fields)
    except Malformed as error:
        raise bad(str(error)) from None


async def _subscribe(call: Call, fields: Fields) -> Fields:
    user, client, channel = _gift(call, fields)
    call.context.node.namespaces.of(channel)
    since = fields.get("recover_since")
    if since is not None and not isinstance(since, dict):
        raise bad("recover_since must be an object with epoch and offset")
    position = None if not since else Position.checked(since.get("epoch"), since.get("offset", 0))
    await call.context.node.cluster.subscribe(
        user=user, connection=client, channel=channel, since=position, deadline_s=ASK_S
    )
    return {}


async def _unsubscribe(call: Call, fields: Fields) -> Fields:
    user, client, channel = _gift(call, fields)
    await call.context.node.cluster.unsubscribe(
        user=user, connection=client, channel=channel, deadline_s=ASK_S
    )
    return {}


async def _disconnect(call: Call, fields: Fields) -> Fields:
    call.control(Level.WRITE)
    if fields.get("whitelist"):
        raise _absent("a whitelist of connections")
    user, client = _whom(fields)
    how = fields.get("disconnect") or {}
    if not isinstance(how, dict) or type(code := how.get("code", 0)) is not int:
        raise bad("disconnect must be an object with a code")
    reconnect = code != 0 and not is_final(code)
    await call.context.node.cluster.disconnect(user=user, connection=client, reconnect=reconnect)
    return {}


async def _channels(call: Call, fields: Fields) -> Fields:
    call.control(Level.READ)
    pattern = text(fields, "pattern")
    if pattern is not None and len(pattern) > MAX_PATTERN:
        raise bad(f"pattern has {len(pattern)} characters, {MAX_PATTERN} are allowed")
    found: dict[str, Fields] = {}
    nodes, _ = await call.context.node.cluster.ask_all(CHANNELS, ASK_S)
    for channel, count in (entry for node in nodes for entry in node.items()):
        name = call.names.outward(channel)
        if pattern is None or fnmatchcase(name, pattern):
            found.setdefault(name, {"num_clients": 0})["num_clients"] += count
    return {"channels": found}


async def _info(call: Call, _fields: Fields) -> Fields:
    call.control(Level.READ)
    nodes, _ = await call.context.node.cluster.ask_all(INFO, ASK_S)
    return {"nodes": nodes}


async def _refresh(_call: Call, _fields: Fields) -> Fields:
    raise _absent("another end of a connection than its token's: disconnect or revoke it")


async def _history_remove(_call: Call, _fields: Fields) -> Fields:
    raise _absent("history_remove")


def _absent(what: str) -> HubError:
    return HubError(ErrorCode.BAD_CHANNEL, f"not available on this hub: {what}")


def _whom(fields: Fields) -> tuple[str | None, str | None]:
    """The user, or the one connection."""
    if text(fields, "session"):
        raise _absent("a session: name the client or the user")
    user, client = text(fields, "user"), text(fields, "client")
    if user is None and client is None:
        raise bad("user or client must be given")
    return (None, client) if client is not None else (user, None)


def _gift(call: Call, fields: Fields) -> tuple[str | None, str | None, str]:
    user, client = _whom(fields)
    channel = call.channel(fields)
    if is_reserved(channel) or not call.service.may_subscribe(channel):
        raise forbidden(f"{channel} is not this service's to give")
    return user, client, channel


CALLS: Mapping[str, Callable[[Call, Fields], Awaitable[Fields]]] = {
    "publish": publishing.publish,
    "broadcast": publishing.broadcast,
    "map_publish": publishing.map_publish,
    "map_remove": publishing.map_remove,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "disconnect": _disconnect,
    "refresh": _refresh,
    "presence": _presence,
    "presence_stats": _presence_stats,
    "history": _history,
    "history_remove": _history_remove,
    "channels": _channels,
    "info": _info,
}
