"""What the hub says unasked, in the words of the Centrifugo protocol. It is the same for all receivers of an
form, and written once for them (`dialect`). Channels have the hub's names yet.

    an event                        push pub; its type, id, key and `meta` stand in `tags`. For maps the key has a
                                    field too, and `removed` says that it is no more
    hub.snapshot                    push pub for each event, without offset: the position is the reply's
    hub.join, hub.leave             push join, leave, one a member
    hub.subscribed                  push subscribe: a channel of the token, or given by a service
    hub.unsubscribed                push unsubscribe 2000, or 2501 where a channel's token has ended
    hub.gap unfilled, resubscribe   push unsubscribe 2500: the client comes back, and learns of its loss
    all others                      nothing: there is no word for it
"""

from collections.abc import Callable
from typing import Any

import orjson

from ..broker.base import KEY_DELETED
from ..protocol.payloads import keep_payload
from . import codes
from .names import shown_user

Message = dict[str, Any]


def pushes(message: Message) -> list[Message]:
    """The pushes that say the same as a message of the hub."""
    kind = message["type"]
    if not kind.startswith("hub."):
        return [_push(message["channel"], "pub", publication(message))]
    found = _PUSHES.get(kind)
    return [] if found is None else found(message)


def publication(event: Message) -> Message:
    """An event; its payload is as it was sent."""
    pub: Message = {"data": event["payload"]}
    if "from" in event:
        pub["info"] = {"user": shown_user(event["from"]), "client": ""}
    if "offset" in event:
        pub["offset"] = event["offset"]
    if "key" in event:
        pub["key"] = event["key"]
        if event.get("final") and _is_removal(event):
            pub["removed"] = True
    tags = {name: event[name] for name in ("type", "id", "key") if name in event}
    if "meta" in event:
        tags = {**values(event["meta"]), **tags}
    return {**pub, "tags": tags, "time": event["time"]}


def stored(body: bytes) -> Message:
    """The publication of an event that is written as JSON; its payload keeps its bytes."""
    event: Message = orjson.loads(body)
    keep_payload(event, body)
    event["payload"] = orjson.Fragment(event["payload"])
    return publication(event)


def _is_removal(event: Message) -> bool:
    return event["type"] == KEY_DELETED or orjson.dumps(event["payload"]) == b"null"


def client_info(member: Message) -> Message:
    """A member. `conn_info` is what the token says of it, `chan_info` its state in the channel."""
    info: Message = {"user": shown_user(member["user"]), "client": member.get("connection", member.get("as"))}
    if "info" in member:
        info["conn_info"] = member["info"]
    if "state" in member:
        info["chan_info"] = member["state"]
    return info


def joined(channel: str, member: Message) -> Message:
    """The push of one's join."""
    return _push(channel, "join", {"info": client_info(member)})


def follows(message: Message) -> list[Message]:
    """What stands behind the word of a subscription: one's own join, and the snapshot."""
    channel, found = message["channel"], []
    if message.get("members"):
        found.append(joined(channel, values(message["members"])[0]))  # the first is the connection itself
    return found + snapshot(channel, message["snapshot"]) if message.get("snapshot") else found


def snapshot(channel: str, events: Any) -> list[Message]:
    """The events of a snapshot, none of which moves its reader's position."""
    found = []
    for event in values(events):
        event.pop("offset", None)
        found.append(_push(channel, "pub", publication(event)))
    return found


def values(value: Any) -> Any:
    """What stands in a message, JSON that is encoded already read again."""
    return orjson.loads(orjson.dumps(value))


def _push(channel: str, kind: str, what: Message) -> Message:
    return {"push": {"channel": channel, kind: what}}


def is_lost(message: Message) -> bool:
    """Whether the message says that events of a channel are lost to its reader."""
    kind = message["type"]
    return kind == "hub.resubscribe" or (kind == "hub.gap" and not message["filled"])


def _insufficient(message: Message) -> list[Message]:
    return [_lost(message["channel"])] if is_lost(message) else []


def _lost(channel: str) -> Message:
    what = {"code": codes.INSUFFICIENT_STATE, "reason": "insufficient state"}
    return _push(channel, "unsubscribe", what)


def _unsubscribed(message: Message) -> list[Message]:
    what = {"code": codes.unsubscribing(message.get("code")), "reason": message.get("reason", "")}
    return [_push(message["channel"], "unsubscribe", what)]


def _subscribed(message: Message) -> list[Message]:
    stored = "epoch" in message
    what: Message = {}
    if stored:
        position = {"epoch": message["epoch"], "offset": message["offset"]}
        what = {"recoverable": True, **position, "positioned": True}
    channel = message["channel"]
    before: list[Message] = []
    if message.get("recovered") is False:  # a push can't say so: first it is over, and then it begins
        before = [_lost(channel)]
    return [*before, _push(channel, "subscribe", what), *follows(message)]


def _members(kind: str) -> Callable[[Message], list[Message]]:
    def found(message: Message) -> list[Message]:
        members = values(message["members"])
        return [_push(message["channel"], kind, {"info": client_info(member)}) for member in members]

    return found


def _snapshot(message: Message) -> list[Message]:
    return snapshot(message["channel"], message["events"])


_PUSHES: dict[str, Callable[[Message], list[Message]]] = {
    "hub.join": _members("join"),
    "hub.leave": _members("leave"),
    "hub.subscribed": _subscribed,
    "hub.unsubscribed": _unsubscribed,
    "hub.gap": _insufficient,
    "hub.resubscribe": _insufficient,
    "hub.snapshot": _snapshot,
}
