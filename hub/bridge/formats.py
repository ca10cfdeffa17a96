"""What the bytes of a message are: each format makes a document of them, which templates and jmespath then read.

| format | `data` is | beside it |
|---|---|---|
| ``json`` | the message | `headers`, `key`, `time`, `partition` |
| ``cloudevents`` | the event's data | its attributes (`id`, `type`, `subject`, …), and the above |
| ``dapr`` | the publisher's data, out of Dapr's CloudEvent | as ``cloudevents`` |
| ``raw`` | the message as text, or base64 where it is no UTF-8 | as ``json`` |
"""

import base64
from collections.abc import Callable
from typing import Any

import orjson

from .records import Record

CE_HEADERS = ("ce_", "ce-", "cloudevents_", "cloudEvents:")
"""How the bindings of CloudEvents 1.0 write attributes in headers: Kafka; HTTP and NATS; AMQP's two forms."""

NO_TRACE = "00-00000000000000000000000000000000-0000000000000000-00"
"""What Dapr sends where tracing is off: as good as nothing."""


class Unreadable(ValueError):
    """The bytes are not of the format, in words."""


def read(kind: str, record: Record, partition: str) -> dict[str, Any]:
    """The document of a record.

    Raises:
        Unreadable: its bytes are not of this format.
    """
    document: dict[str, Any] = {"headers": record.headers, "key": record.key, "partition": partition}
    if record.time_ms is not None:
        document["time"] = record.time_ms
    document.update(FORMATS[kind](record))
    return document


def _json(record: Record) -> dict[str, Any]:
    return {"data": parsed(record.value)}


def _raw(record: Record) -> dict[str, Any]:
    try:
        return {"data": record.value.decode()}
    except UnicodeDecodeError:
        return {"data": base64.b64encode(record.value).decode()}


def _cloudevents(record: Record) -> dict[str, Any]:
    """Binary mode where headers carry the attributes, else structured mode."""
    attributes: dict[str, Any] = {}
    for name, value in record.headers.items():
        for prefix in CE_HEADERS:
            if name.startswith(prefix):
                attributes[name.removeprefix(prefix)] = value
    if "specversion" in attributes:
        return {**_complete(attributes), "data": _body(record)}
    event = parsed(record.value)
    if not isinstance(event, dict):
        raise Unreadable("a CloudEvent is an object")
    return structured(event)


def structured(event: dict[str, Any]) -> dict[str, Any]:
    """A CloudEvent in the JSON format (1.0 section 3): ``data`` or ``data_base64``, and the required attributes.

    Raises:
        Unreadable: it is none.
    """
    document = _complete(event)
    if "data_base64" in document:
        document["data"] = document.pop("data_base64")
    return {"data": None, **document}


def _complete(event: dict[str, Any]) -> dict[str, Any]:
    for name in ("id", "source", "type", "specversion"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise Unreadable(f"a CloudEvent has a {name}, and this has none")
    document = dict(event)
    if str(document.get("traceparent", "")).startswith(NO_TRACE[:36]):
        del document["traceparent"]
    return document


def _body(record: Record) -> Any:
    kind = next((v for n, v in record.headers.items() if n.lower() == "content-type"), "application/json")
    if not record.value:
        return None
    return parsed(record.value) if "json" in kind else _raw(record)["data"]


def parsed(value: bytes) -> Any:
    """Bytes as JSON.

    Raises:
        Unreadable: they are none.
    """
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"the message is no JSON: {error}") from None


FORMATS: dict[str, Callable[[Record], dict[str, Any]]] = {
    "json": _json,
    "cloudevents": _cloudevents,
    "dapr": _cloudevents,
    "raw": _raw,
}
