"""What an endpoint gets: the hub's own JSON, or CloudEvents 1.0 in structured mode."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from ..broker.base import Intent

Body = tuple[bytes, str]
"""The bytes, and their content type."""


def hub_body(intents: Sequence[Intent], batched: bool, _origin: str) -> Body:
    """``{"id","type","time",…}``; of a batch a list of such."""
    return orjson.dumps([_hub(each) for each in intents] if batched else _hub(intents[0])), "application/json"


def cloudevents_body(intents: Sequence[Intent], batched: bool, origin: str) -> Body:
    """The JSON format of CloudEvents (section 3), of a batch its section 4."""
    found = [_cloudevent(each, origin) for each in intents]
    if batched:
        return orjson.dumps(found), "application/cloudevents-batch+json"
    return orjson.dumps(found[0]), "application/cloudevents+json"


BODIES = {"hub": hub_body, "cloudevents": cloudevents_body}


def _hub(intent: Intent) -> dict[str, Any]:
    assert intent.kind is not None
    return {"id": intent.id, "type": intent.kind.value, "time": intent.time_ms, **intent.fields}


def _cloudevent(intent: Intent, origin: str) -> dict[str, Any]:
    assert intent.kind is not None
    channel = intent.fields.get("channel")
    event = intent.fields.get("event")
    data = event["payload"] if event is not None else dict(intent.fields)
    kind = event["type"] if event is not None else intent.kind.value
    found: dict[str, Any] = {
        "specversion": "1.0",
        "id": intent.id,
        "source": origin if channel is None else f"{origin}/{channel}",
        "type": kind,
        "time": datetime.fromtimestamp(intent.time_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "data": data,
    }
    if event is not None and event.get("key") is not None:
        found["subject"] = event["key"]
    return found
