"""`publish` and `broadcast`: Centrifugo's publications as the hub's.

`idempotency_key` is the event's id. Of `tags`, `type` and `key` are the event's own, and the others its `meta`.
What is published is stored where the channel's events are: `skip_history` and `delta` change nothing.
"""

import base64
from dataclasses import replace
from typing import Any

from ...commands.batch import publish_all
from ...http.publish import checked
from ...protocol.codec import dumps_json, loads_json
from ...protocol.codes import ErrorCode
from ...protocol.errors import HubError
from ...protocol.event import Publication
from ...protocol.fields import bad
from ...protocol.payloads import payload_of
from ...protocol.publications import Publish, parse_publish
from .call import Call, Fields, failure

MAX_CHANNELS = 1000


async def publish(call: Call, fields: Fields) -> Fields:
    """One event to one channel."""
    (found,) = await _published(call, [_publication(call, fields, call.channel(fields))])
    if "code" in found:
        raise HubError(ErrorCode(found["code"]), found["reason"])
    return _position(found)


async def map_publish(call: Call, fields: Fields) -> Fields:
    """A key's value, into a `state` channel."""
    if "key" not in fields:
        raise bad("key is missing")
    return await publish(call, fields)


async def map_remove(call: Call, fields: Fields) -> Fields:
    """A key is removed from a `state` channel."""
    call = replace(call, data=b"null")
    return await map_publish(call, {**fields, "data": None, "removed": True})


async def broadcast(call: Call, fields: Fields) -> Fields:
    """One event to many channels; an error in one leaves the others."""
    channels = fields.get("channels")
    if not isinstance(channels, list) or not 1 <= len(channels) <= MAX_CHANNELS:
        raise bad(f"channels must be a list of 1 to {MAX_CHANNELS}")
    found = await _published(call, [_try_publication(call, fields, channel) for channel in channels])
    responses = (
        {"error": failure(each)} if "code" in each else {"result": _position(each)} for each in found
    )
    return {"responses": list(responses)}


async def _published(call: Call, commands: list[Publish | HubError]) -> list[dict[str, Any]]:
    def allow(command: Publish) -> Publication:
        return checked(call.context, call.service, command)

    return await publish_all(call.context.node, commands, allow, ordered=False)


def _position(published: dict[str, Any]) -> Fields:
    return {name: published[name] for name in ("offset", "epoch") if name in published}


def _try_publication(call: Call, fields: Fields, channel: Any) -> Publish | HubError:
    try:
        return _publication(call, fields, call.channel({"channel": channel}))
    except HubError as error:
        return error


def _publication(call: Call, fields: Fields, channel: str) -> Publish:
    tags = {} if fields.get("tags") is None else fields["tags"]
    if not isinstance(tags, dict):
        raise bad("tags must be an object of strings")
    tags = {name: value for name, value in tags.items() if name != "id"}  # which the hub itself writes
    message: Fields = {
        "channel": channel,
        "event": tags.pop("type", call.context.node.namespaces.of(channel).client_event),
        "key": fields.get("key", tags.pop("key", None)),
        "final": fields.get("removed") is True,
        "event_id": fields.get("idempotency_key") or None,
        "payload": _payload(call, fields),
    }
    return parse_publish(None, {**message, "meta": tags} if tags else message)


def _payload(call: Call, fields: Fields) -> bytes:
    """`data` in its own bytes where they are known; else compact."""
    if "b64data" in fields:
        return _decoded(fields["b64data"])
    if "data" not in fields:
        raise bad("data is missing; null is allowed")
    return dumps_json(fields["data"]) if call.data is None else payload_of(fields["data"], call.data)


def _decoded(text: Any) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
        return payload_of(loads_json(data), data)
    except (TypeError, ValueError, HubError):
        raise bad("b64data must be JSON in base64: payloads of the hub are JSON") from None
