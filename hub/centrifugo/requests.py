"""Commands of the Centrifugo protocol as the hub's own.

connect, refresh     Authenticate
subscribe            Subscribe, with `since` where it recovers
sub_refresh          Renew
unsubscribe          Unsubscribe
publish              Publish, of the event type that the namespace says
history              ReadHistory: forward from the oldest, where nothing else is said
presence(_stats)     ListPresence
ping                 Ping
rpc, send            no command: error 108
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..namespaces import CLIENT_EVENT, Namespaces
from ..protocol import fields
from ..protocol.codec import loads_json
from ..protocol.codes import ErrorCode
from ..protocol.commands import (
    MAX_HISTORY,
    Authenticate,
    Command,
    ListPresence,
    Ping,
    ReadHistory,
    Renew,
    Subscribe,
    Unsubscribe,
)
from ..protocol.errors import HubError
from ..protocol.fields import bad
from ..protocol.payloads import payload_of
from ..protocol.position import MAX_OFFSET, Position
from ..protocol.publications import Publish, parse_publish
from .codes import NOT_AVAILABLE
from .names import HubNames

REJECT_UNRECOVERED = 2
MAP_STATE = 2  # the phase in which a map's entries are asked for
_ANY_EPOCH = ""


class RequestId(int):
    """The id of a request, with what its answer needs of it: the only thing that goes all the way with a command.

    `error` is what is wrong with the request itself; `code` stands for the error's own number. `state` are entries
    of a map that the answer brings along.
    """

    method: str = ""
    request: Mapping[str, Any] = {}  # never written to
    error: HubError | None = None
    code: int | None = None
    rejected: bool = False  # a subscription that the client does not want as it is
    expires_at: float | None = None  # of a channel token, Unix seconds
    state: list[dict[str, Any]] | None = None

    @classmethod
    def of(cls, id: int, method: str, request: Mapping[str, Any]) -> "RequestId":
        """The id of a request of `method`."""
        made = cls(id)
        made.method, made.request = method, request
        return made


def parse(id: RequestId, names: HubNames, namespaces: Namespaces) -> Command:
    """The command that a request is. One that is none becomes a `Ping`, which takes its place among those that are
    counted; its answer is the error.
    """
    try:
        command = _PARSERS[id.method](id, _named(id.request, names))
        if isinstance(command, Publish):
            command.event = namespaces.of(command.channel).client_event
        return command
    except HubError as error:
        id.error = error
        return Ping(id)


def _named(request: Mapping[str, Any], names: HubNames) -> Mapping[str, Any]:
    """The same with the hub's names of channels."""
    if "channel" in request:
        channel = names.inward(request["channel"])
        return request if channel == request["channel"] else {**request, "channel": channel}
    if "subs" in request:
        return {**request, "subs": {names.inward(name): each for name, each in request["subs"].items()}}
    return request


def recovers_from_anywhere(command: Subscribe) -> bool:
    """Whether it asks for what follows an offset of whatever numbering there is."""
    return command.since is not None and command.since.epoch == _ANY_EPOCH


def _authenticate(id: RequestId, request: Mapping[str, Any]) -> Authenticate:
    positions = {
        channel: _position(each)
        for channel, each in request.get("subs", {}).items()
        if each.get("recover") and each.get("epoch")
    }
    return Authenticate(id, request.get("token", ""), None, positions)


def _subscribe(id: RequestId, request: Mapping[str, Any]) -> Subscribe:
    channel = fields.channel(request)
    since = None
    if request.get("recover"):
        since = _position(request, any_epoch=not request.get("type"))
    elif request.get("type") and request.get("phase") != MAP_STATE:
        since = _position(request)
    return Subscribe(id, channel, since, token=request.get("token") or None)


def _renew(id: RequestId, request: Mapping[str, Any]) -> Renew:
    return Renew(id, fields.channel(request), request.get("token", ""))


def _unsubscribe(id: RequestId, request: Mapping[str, Any]) -> Unsubscribe:
    return Unsubscribe(id, fields.channel(request))


def _publish(id: RequestId, request: Mapping[str, Any]) -> Publish:
    publication = {"channel": request.get("channel"), "event": CLIENT_EVENT}
    if request.get("type"):
        return parse_publish(id, {**publication, **map_entry(request)})
    return parse_publish(id, {**publication, "payload": _payload(request)})


def map_entry(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a publication into a map says of its key: its value, or that it is removed."""
    removed = bool(request.get("removed"))
    payload = b"null" if removed else _payload(request)
    return {"key": request.get("key", ""), "payload": payload, "final": removed}


def _payload(request: Mapping[str, Any]) -> bytes:
    data = request.get("data", b"")
    return payload_of(loads_json(data), data)


def _history(id: RequestId, request: Mapping[str, Any]) -> ReadHistory:
    channel, asked = fields.channel(request), request.get("limit", 0)
    limit = MAX_HISTORY if asked < 0 else min(max(asked, 1), MAX_HISTORY)
    since = _position(request["since"], any_epoch=True) if "since" in request else None
    if not request.get("reverse"):
        # A position of no numbering is one that is lost: the answer begins at the oldest that is stored.
        return ReadHistory(id, channel, since or Position(_ANY_EPOCH, 0), limit)
    if since is not None:
        since = Position(since.epoch, max(0, since.offset - 1 - limit))
    return ReadHistory(id, channel, since, limit)


def _presence(id: RequestId, request: Mapping[str, Any]) -> ListPresence:
    return ListPresence(id, fields.channel(request))


def _ping(id: RequestId, _request: Mapping[str, Any]) -> Ping:
    return Ping(id)


def _nothing(id: RequestId, _request: Mapping[str, Any]) -> Command:
    id.code = NOT_AVAILABLE
    raise HubError(ErrorCode.UNKNOWN_TYPE, f"{id.method} is not available on this hub")


_PARSERS: dict[str, Callable[[RequestId, Mapping[str, Any]], Command]] = {
    "connect": _authenticate,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "publish": _publish,
    "presence": _presence,
    "presence_stats": _presence,
    "history": _history,
    "ping": _ping,
    "send": _nothing,
    "rpc": _nothing,
    "refresh": _authenticate,
    "sub_refresh": _renew,
}
METHODS = frozenset(_PARSERS)


def _position(request: Mapping[str, Any], *, any_epoch: bool = False) -> Position:
    epoch, offset = request.get("epoch", ""), request.get("offset", 0)
    if any_epoch and not epoch:
        if not 0 <= offset <= MAX_OFFSET:
            raise bad("offset must be an integer from 0 to 2^53-1")
        return Position(_ANY_EPOCH, offset)
    return Position.checked(epoch, offset)
