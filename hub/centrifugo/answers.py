"""Replies of the hub in the words of the Centrifugo protocol, by the request that is answered."""

from collections.abc import Callable
from typing import Any

import orjson

from .. import __version__
from ..protocol.codes import ErrorCode
from . import codes, pushes
from .requests import REJECT_UNRECOVERED, RequestId

Message = dict[str, Any]
Life = Callable[[float], Message]
"""`expires` and `ttl` of what ends at a Unix time, in seconds."""


def answer(id: RequestId, message: Message, heartbeat: float, life: Life) -> list[Message]:
    """The reply to a request, and what stands behind it in the same frame."""
    kind = message["type"]
    if kind == "hub.error":
        return _error(id, message)
    if kind == "hub.subscribed":
        return _subscribed(id, message, life)
    if kind in _LIVES:
        return [{"id": int(id), id.method: _LIVES[kind](message, heartbeat, life)}]
    return [{"id": int(id), id.method: result(id, message)}]


def rejected(id: RequestId, message: Message) -> bool:
    """Whether the request wants no subscription that has lost something, as no map does, and this one has."""
    request = id.request
    wanted = bool(request.get("flag", 0) & REJECT_UNRECOVERED) or request.get("type", 0) != 0
    return wanted and message["type"] == "hub.subscribed" and message.get("recovered") is False


def result(id: RequestId, message: Message) -> Message:
    """The result of a request that asks for members or events; empty for one that only does something."""
    kind = message["type"]
    if kind == "hub.presence":
        return _presence(id, message)
    if kind == "hub.history":
        return _history(id, message)
    return {}


def _welcome(message: Message, heartbeat: float, life: Life) -> Message:
    return {
        "client": message["connection"],
        "version": __version__,
        **life(message["expires_at"] / 1000),
        "ping": max(1, round(heartbeat)),
        "pong": True,
        "node": message["node"],
    }


def _authenticated(message: Message, _heartbeat: float, life: Life) -> Message:
    return {"version": __version__, **life(message["expires_at"] / 1000)}


def _renewed(message: Message, _heartbeat: float, life: Life) -> Message:
    return life(message["expires_at"] / 1000)


_LIVES: dict[str, Callable[[Message, float, Life], Message]] = {
    "hub.welcome": _welcome,
    "hub.authenticated": _authenticated,
    "hub.renewed": _renewed,
}


def _error(id: RequestId, message: Message) -> list[Message]:
    # Over a limit a request was never looked at: then it is that which is wrong.
    code = None if message["code"] == ErrorCode.RATE_LIMITED else id.code
    if message["code"] == ErrorCode.BAD_CHANNEL and id.error is None:
        code = code or codes.NOT_AVAILABLE  # the name is well formed; its namespace has no such thing
    if id.method == "connect" and message["code"] != ErrorCode.TOKEN_EXPIRED:
        return []  # the closing that follows says it, and whether to come back
    return [] if not id else [{"id": int(id), "error": codes.error(message, code)}]


def _subscribed(id: RequestId, message: Message, life: Life) -> list[Message]:
    if rejected(id, message):
        why = {"code": ErrorCode.CONFLICT, "reason": "what was missed can't be recovered"}
        return [{"id": int(id), "error": codes.error(why, codes.UNRECOVERABLE)}]
    result: Message = {} if id.expires_at is None else life(id.expires_at)
    if "epoch" in message:
        # What was missed follows as pushes: the position is the one that they follow.
        offset = message["offset"] - message.get("missed", 0)
        result |= {"recoverable": True, "epoch": message["epoch"], "offset": offset, "positioned": True}
    if "type" in id.request:
        result["type"] = id.request["type"]
    if id.state is not None:
        result["state"] = id.state  # it begins with that: it comes back from nowhere
    elif "recovered" in message:
        result |= {"recovered": message["recovered"], "was_recovering": True}
    return [{"id": int(id), "subscribe": result}, *pushes.follows(message)]


def _presence(id: RequestId, message: Message) -> Message:
    members = [pushes.client_info(member) for member in pushes.values(message["members"])]
    if id.method == "presence_stats":
        return {"num_clients": len(members), "num_users": len({member["user"] for member in members})}
    return {"presence": {member["client"]: member for member in members}}


def _history(id: RequestId, message: Message) -> Message:
    request = id.request
    limit, since = request.get("limit", 0), request.get("since")
    found = [pushes.stored(orjson.dumps(each)) for each in message["events"]] if limit else []
    if request.get("reverse"):
        found.reverse()
        if since is not None:
            found = [pub for pub in found if pub["offset"] < since.get("offset", 0)]
    return {"publications": found, "epoch": message["epoch"], "offset": message["offset"]}
