"""Payloads keep the bytes in which they were sent: the order of names, the form of numbers, spaces.

A message is read twice. The parser checks it and gives its values; a second reader, which builds nothing, gives the
span of each payload. That span, as bytes, which no value of JSON is, then stands in the place of the value.
"""

from typing import Any

import msgspec
from msgspec import Raw

from .errors import HubError
from .fields import bad

MAX_DEPTH = 254
"""Levels of a JSON payload. Writers manage some more: an event stands in a page, and a page in a frame."""


class _Publication(msgspec.Struct):
    payload: Raw = Raw(b"null")


class _Batch(msgspec.Struct):
    events: list[_Publication]


class _AnyBatch(msgspec.Struct):
    events: list[Raw]


_publication = msgspec.json.Decoder(_Publication)
_batch = msgspec.json.Decoder(_Batch)
_any_batch = msgspec.json.Decoder(_AnyBatch)


def keep_payload(message: dict[str, Any], data: bytes) -> None:
    """Put the bytes of its payload, where there is one, into a message that was read from `data`.

    Raises:
        HubError: ``bad_message``: nested too deep.
    """
    if "payload" in message:
        check_depth(message["payload"], data)
        message["payload"] = _kept(_read(_publication, data).payload)


def keep_payloads(message: dict[str, Any], data: bytes) -> None:
    """The same for each of a batch's `events`; one that is nested too deep is replaced by the error that it is.

    Raises:
        HubError: ``bad_message``: a name is repeated, so that it can't be told which events are meant.
    """
    events = message.get("events")
    if not isinstance(events, list) or not events:
        return
    spans = _spans(events, data)
    if len(spans) != len(events):
        raise bad("the name events is repeated")
    for place, (event, span) in enumerate(zip(events, spans, strict=True)):
        if isinstance(event, dict) and "payload" in event:
            try:
                payload = bytes(span)
                if len(payload) > 2 * MAX_DEPTH:
                    check_depth(event["payload"], payload)
                event["payload"] = _kept(payload)
            except HubError as error:
                events[place] = error


def payload_of(value: Any, data: bytes) -> bytes:
    """A payload that was read from `data` on its own, to be put into a message.

    Raises:
        HubError: ``bad_message``: nested too deep.
    """
    check_depth(value, data)
    return _kept(data.strip())


def check_depth(value: Any, data: bytes | Raw) -> None:
    """Refuse what is nested too deep; `data` is where `value` was read from.

    Raises:
        HubError: ``bad_message``.
    """
    brackets = bytes(data)
    if len(brackets) <= 2 * MAX_DEPTH:  # each level is closed again
        return
    if brackets.count(b"[") + brackets.count(b"{") <= MAX_DEPTH:
        return
    layer = _containers([value])
    for _ in range(MAX_DEPTH):
        layer = [item for each in layer for item in _containers(each)]
    if layer:
        raise bad(f"the payload is nested deeper than {MAX_DEPTH} levels")


def _containers(value: Any) -> list[Any]:
    """The objects and arrays that stand in one."""
    items = value.values() if isinstance(value, dict) else value
    return [item for item in items if isinstance(item, (dict, list))]


def _spans(events: list[Any], data: bytes) -> list[Raw]:
    if all(isinstance(event, dict) for event in events):
        return [event.payload for event in _read(_batch, data).events]
    spans = _read(_any_batch, data).events
    return [_read(_publication, span).payload if bytes(span)[:1] == b"{" else span for span in spans]


def _read(decoder: Any, data: bytes | Raw) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):  # it is JSON; so it says something twice, in two ways
        raise bad("the payload can't be told apart: a name is repeated, or it is nested too deep") from None


def _kept(span: Raw | bytes) -> bytes:
    """A span as it is; only where line ends stand between its values, which no line of a text protocol may hold,
    without them and all other spaces."""
    payload = span if type(span) is bytes else bytes(span)
    if b"\n" in payload or b"\r" in payload:
        payload = msgspec.json.format(payload, indent=-1)
    return payload
