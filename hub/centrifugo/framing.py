"""What clients of the Centrifugo protocol send: lines of JSON, or Protobuf behind its length, several in one frame.

It has one shape in both: dicts by the names of `schema`, `bytes` fields as the JSON that they hold.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from . import protobuf
from .protobuf import Malformed
from .schema import INT_MAX, MESSAGES

_SCALARS: dict[str, type] = {"string": str, "bool": bool}
_KINDS = {
    name: {key: (dict if kind in MESSAGES else _SCALARS.get(kind), kind) for key, (_, kind) in fields.items()}
    for name, fields in MESSAGES.items()
}
MAX_COMMANDS = 512  # of one frame, all of which are looked at in one go

# From the first character that is no space to the end of its line: 64 KB of line ends are one step.
_LINE = re.compile(rb"[^ \t\r\n][^\n]*")


class _Data(msgspec.Struct):
    data: Raw = Raw(b"null")


class _Line(msgspec.Struct):
    publish: _Data | None = None


_lines = msgspec.json.Decoder(_Line)
_spans = msgspec.json.Decoder(_Data)


def commands(data: bytes, *, binary: bool) -> Iterator[dict[str, Any]]:
    """The commands of one frame, in order; an empty one is a pong.

    Raises:
        Malformed: as soon as it is reached; what came before it stands.
    """
    found = _messages(data) if binary else _objects(data)
    number = 0
    for number, command in enumerate(found, 1):
        if number > MAX_COMMANDS:
            raise Malformed(f"more than {MAX_COMMANDS} commands in a frame")
        yield command
    if not number:
        raise Malformed("a frame without a command")


def _messages(data: bytes) -> Iterator[dict[str, Any]]:
    return (protobuf.decode("Command", body) for body in protobuf.messages(data))


def _objects(data: bytes) -> Iterator[dict[str, Any]]:
    return (_command(line.group()) for line in _LINE.finditer(data))


def data_of(text: bytes) -> bytes:
    """The bytes of the field `data` of a JSON object; ``null`` where there is none.

    Raises:
        msgspec.DecodeError: a name is repeated in a way that leaves it open.
    """
    return bytes(_spans.decode(text).data)


def _command(line: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
        command = checked("Command", value)
        if "publish" in command:
            command["publish"]["data"] = bytes((_lines.decode(line).publish or _Data()).data)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise Malformed(str(error)) from None
    return command


def checked(name: str, value: Any) -> dict[str, Any]:
    """The fields that the table knows, each of its kind; null means that it is not there.

    Raises:
        Malformed: one is of another kind.
    """
    if not isinstance(value, dict):
        raise Malformed(f"a {name} is an object")
    kinds, found = _KINDS[name], {}
    for key, each in value.items():
        known = kinds.get(key)
        if known is None or each is None:
            continue
        type_, kind = known
        if type(each) is not type_:
            found[key] = _value(key, kind, each)
        else:
            found[key] = checked(kind, each) if type_ is dict else each
    return found


def _value(key: str, kind: str, value: Any) -> Any:
    """A value that is neither of a scalar type nor an object, or not what its field has."""
    if kind in _SCALARS:
        raise Malformed(f"{key} is a {kind}")
    if kind == "int":
        if type(value) is not int or not -INT_MAX <= value <= INT_MAX:
            raise Malformed(f"{key} is an integer")
        return value
    if kind == "bytes":
        return b""  # only a publication's is looked at, and that in its own bytes
    if not kind.startswith("{"):
        return checked(kind, value)
    if not isinstance(value, dict):
        raise Malformed(f"{key} is an object")
    return {name: checked(kind[1:-1], each) for name, each in value.items()}
