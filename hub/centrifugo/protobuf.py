"""Protobuf by the table of `schema`: messages are dicts by the names of fields.

The format: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from .schema import INT_MAX, MESSAGES, Field

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_SCALARS = ("int", "bool")
MAX_FIELDS = 256  # of one message: each costs a microsecond, and a frame may hold 30,000
MAX_UNKNOWN = 16  # of them: a later version of an SDK has some

_BY_NUMBER = {
    name: {number: (field, kind) for field, (number, kind) in fields.items()}
    for name, fields in MESSAGES.items()
}


class Malformed(ValueError):
    """Bytes that are no message of the protocol."""


def varint(number: int) -> bytes:
    """An unsigned number in base 128, the least significant group first."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def delimited(body: bytes) -> bytes:
    """A message behind its length."""
    return varint(len(body)) + body


def messages(data: bytes) -> Iterator[bytes]:
    """The messages of one frame, each behind its length.

    Raises:
        Malformed: a length goes beyond the frame.
    """
    at = 0
    while at < len(data):
        size, at = _varint(data, at)
        if size > len(data) - at:
            raise Malformed("a length goes beyond the frame")
        yield data[at : at + size]
        at += size


def encode(name: str, message: Mapping[str, Any]) -> bytes:
    """A message of the table; what is false, zero or empty is left out, as proto3 does."""
    return b"".join(
        _field(field, message[key])
        for key, field in MESSAGES[name].items()
        if key in message and message[key] is not None
    )


def decode(name: str, data: bytes) -> dict[str, Any]:
    """A message of the table; fields that are not in it are passed over. ``bytes`` stay bytes.

    Raises:
        Malformed: what is wrong with it.
    """
    known = _BY_NUMBER[name]
    message: dict[str, Any] = {}
    unknown = 0
    for number, wire, value in _fields(data):
        if number not in known:
            unknown += 1
            if unknown > MAX_UNKNOWN:
                raise Malformed(f"more than {MAX_UNKNOWN} fields that {name} does not have")
            continue
        key, kind = known[number]
        if key in message and not kind.startswith("{"):
            raise Malformed(f"the field {key} stands there twice")
        if wire != (_VARINT if kind in _SCALARS else _LENGTH):
            raise Malformed(f"the field {key} has wire type {wire}")
        if kind.startswith("{"):
            message.setdefault(key, {}).update([_entry(kind[1:-1], value)])
        else:
            message[key] = _value(kind, value)
    return message


def _field(field: Field, value: Any) -> bytes:
    number, kind = field
    if kind in _SCALARS:
        return varint(number << 3 | _VARINT) + varint(int(value)) if value else b""
    head = varint(number << 3 | _LENGTH)
    if kind == "string":
        return head + delimited(value.encode()) if value else b""
    if kind == "bytes":
        return head + delimited(orjson.dumps(value))
    if kind.startswith("["):
        return b"".join(head + delimited(encode(kind[1:-1], each)) for each in value)
    if kind.startswith("{"):
        inner = (2, kind[1:-1])
        entries = (_field((1, "string"), key) + _field(inner, each) for key, each in value.items())
        return b"".join(head + delimited(entry) for entry in entries)
    return head + delimited(encode(kind, value))


def _value(kind: str, value: Any) -> Any:
    if kind == "int":
        return value if value <= INT_MAX else value - 2**64  # int32 and int64 below zero have ten bytes
    if kind == "bool":
        return bool(value)
    if kind == "bytes":
        return value
    if kind == "string":
        return _text(value)
    return decode(kind, value)


def _entry(kind: str, data: bytes) -> tuple[str, Any]:
    key, found = "", _value(kind, b"")
    for number, wire, value in _fields(data):
        if number in (1, 2) and wire != _LENGTH:
            raise Malformed("an entry of a map has a wrong wire type")
        if number == 1:
            key = _text(value)
        elif number == 2:
            found = _value(kind, value)
    return key, found


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Malformed("a string is not UTF-8") from None


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and value of each field; the value is an int or bytes."""
    at = count = 0
    while at < len(data):
        count += 1
        if count > MAX_FIELDS:
            raise Malformed(f"more than {MAX_FIELDS} fields in a message")
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not 1 <= number < 2**29:
            raise Malformed(f"{number} is no number of a field")
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire, 0)
        if wire == _LENGTH:
            size, at = _varint(data, at)
        elif not size:
            raise Malformed(f"wire type {wire} is not read: groups are gone from the language")
        if size > len(data) - at:
            raise Malformed("a field is longer than its message")
        yield number, wire, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, of at most 64 bits, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise Malformed("the message ends inside a number")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & (2**64 - 1), at
    raise Malformed("a number has more than ten bytes")
