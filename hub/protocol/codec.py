"""JSON and MessagePack of the same objects: the values of JSON only.

Both directions are strict, so that an event which one client could send is one that every client can read:
no NaN, no infinity, no binary, no extension type, no key that is not a string, no number beyond 64 bits.
"""

import json
import math
from typing import Any

import msgpack
import orjson

from .codes import ErrorCode
from .dialects import AnyEncoding, Dialect
from .errors import HubError
from .frames import Encoding, frame
from .msgpack_claims import claims_fit
from .position import Position
from .stream import reached, written

MAX_DEPTH = 64
_DEPTH_OF_OUTPUT = 300  # what orjson writes has at most 254 levels; MessagePack stops at 511


def decode(data: bytes | str, encoding: Encoding) -> dict[str, Any]:
    """One incoming message as an object.

    Raises:
        HubError: ``bad_message``, and what is wrong with it.
    """
    value = loads_json(data) if encoding is Encoding.JSON else _loads_msgpack(data)
    if not isinstance(value, dict):
        raise _bad(f"a message is an object with a type, this is {describe(value)}")
    return value


def salvage(data: bytes, encoding: Encoding) -> dict[str, Any]:
    """What can be read of a message that `decode` refused, for the `id` of its answer, and for nothing else.

    Half a surrogate pair, a number beyond all doubles and bad UTF-8 in a text leave the rest readable.
    """
    try:
        if encoding is Encoding.JSON:
            value = json.loads(data.decode(errors="replace"))
        elif not claims_fit(data):
            return {}
        else:
            value = msgpack.unpackb(data, raw=False, unicode_errors="replace", strict_map_key=False)
    except (ValueError, RecursionError, msgpack.UnpackException):
        return {}
    return value if isinstance(value, dict) else {}


def loads_json(data: bytes | str) -> Any:
    """The value of a JSON text.

    Raises:
        HubError: ``bad_message``.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _bad(f"invalid JSON: {error.msg} at position {error.pos}") from None


def _loads_msgpack(data: bytes | str) -> Any:
    assert isinstance(data, bytes)
    if not claims_fit(data):
        raise _bad("invalid MessagePack: it says that it has more elements than bytes")
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=True, ext_hook=_no_extension)
    except HubError:
        raise
    except msgpack.ExtraData:
        raise _bad("invalid MessagePack: more bytes follow the message") from None
    except (msgpack.UnpackException, ValueError, RecursionError) as error:
        raise _bad(f"invalid MessagePack: {_first_line(error)}") from None
    _check_values(value, 0)
    return value


def _no_extension(code: int, _data: bytes) -> Any:
    raise _bad(f"MessagePack extension type {code} is not a value of JSON")


def _check_values(value: Any, depth: int) -> None:
    """What MessagePack can say and JSON cannot."""
    if depth > MAX_DEPTH:
        raise _bad(f"the message is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _bad("a map's keys must be strings")
            _check_values(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_values(item, depth + 1)
    elif isinstance(value, bytes):
        raise _bad("MessagePack binary is not a value of JSON")
    elif isinstance(value, float) and not math.isfinite(value):
        raise _bad("NaN and infinity are not values of JSON")
    elif isinstance(value, msgpack.Timestamp):  # the one extension type that does not reach the hook
        raise _bad("MessagePack extension type -1 is not a value of JSON")


def dumps_json(value: Any) -> bytes:
    """A value of JSON as compact bytes; an `orjson.Fragment` inside is copied as it is.

    Raises:
        HubError: ``bad_message``: nested too deep, or text that is not valid Unicode.
    """
    try:
        # A copy: what orjson returns keeps the buffer that it was written into, some kilobytes of it, and
        # this is kept with the event.
        return bytes(memoryview(orjson.dumps(value)))
    except TypeError as error:  # orjson.JSONEncodeError is a TypeError
        raise _bad(f"not a value of JSON: {_first_line(error)}") from None


def encode(message: dict[str, Any], encoding: AnyEncoding, at: Position | None = None) -> bytes:
    """One outgoing message as the bytes of one frame. JSON fragments inside are unfolded for MessagePack. `at` is
    where it puts its reader, for what has to be said beside the message (`protocol.stream`)."""
    if isinstance(encoding, Dialect):
        return encoding.frames(message)
    body = orjson.dumps(message)
    if encoding > Encoding.MSGPACK:
        return written(encoding, message["type"], message.get("channel", ""), at or reached(message), body)
    return framed(body, encoding)


def framed(body: bytes, encoding: Encoding) -> bytes:
    """A JSON text as the bytes of one frame of a socket."""
    return frame(transcode(body) if encoding is Encoding.MSGPACK else body, encoding)


def transcode(body: bytes) -> bytes:
    """The MessagePack of a JSON text."""
    packed: bytes = msgpack.packb(orjson.loads(body))
    return packed


def is_json(data: bytes) -> bool:
    """Whether bytes from elsewhere are what a frame may hold: one JSON text, which both encodings can say."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    brackets = data.count(b"[") + data.count(b"{")
    return brackets < _DEPTH_OF_OUTPUT or not _is_deeper(value, _DEPTH_OF_OUTPUT)


def _is_deeper(value: object, depth: int) -> bool:
    if depth == 0:
        return True
    if isinstance(value, dict):
        return any(_is_deeper(item, depth - 1) for item in value.values())
    return isinstance(value, list) and any(_is_deeper(item, depth - 1) for item in value)


def describe(value: object) -> str:
    """A value's kind in the words of JSON, for reasons."""
    if value is None:
        return "null"
    for kind, word in ((bool, "a boolean"), (str, "a string"), (list, "an array"), (dict, "an object")):
        if isinstance(value, kind):
            return word
    return "a number"


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:120]


def _bad(why: str) -> HubError:
    return HubError(ErrorCode.BAD_MESSAGE, why)
