"""JSON and MessagePack of the same objects, and nothing that one of them could not say."""

import json
import tracemalloc
from typing import Any

import msgpack
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.protocol.codec import MAX_DEPTH, decode, dumps_json, encode, salvage, transcode
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.frames import SUBPROTOCOLS, Encoding, bodies
from hub.protocol.msgpack_claims import claims_fit

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=25,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=6)


def body(message: dict[str, Any], encoding: Encoding) -> bytes:
    (found,) = bodies(encode(message, encoding))
    return found


@given(OBJECTS)
def test_what_is_encoded_is_read_back_in_both(message: dict[str, Any]) -> None:
    assert decode(body(message, Encoding.JSON), Encoding.JSON) == message
    assert decode(body(message, Encoding.MSGPACK), Encoding.MSGPACK) == message
    assert json.loads(body(message, Encoding.JSON)) == message
    assert msgpack.unpackb(body(message, Encoding.MSGPACK)) == message


@given(VALUES)
def test_a_payload_says_the_same_in_both(value: Any) -> None:
    kept = dumps_json(value)
    assert orjson.loads(kept) == value
    assert msgpack.unpackb(transcode(kept)) == value
    folded = {"payload": orjson.Fragment(kept)}
    assert decode(body(folded, Encoding.MSGPACK), Encoding.MSGPACK) == {"payload": value}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_are_refused(data: bytes) -> None:
    for encoding in SUBPROTOCOLS.values():
        try:
            message = decode(data, encoding)
        except HubError as error:
            assert error.code is ErrorCode.BAD_MESSAGE  # noqa: PT017
        else:
            # What one client could say, every client can be told.
            body(message, Encoding.JSON)
            body(message, Encoding.MSGPACK)


@given(OBJECTS, st.data())
def test_a_byte_that_flips_never_breaks_out(message: dict[str, Any], data: st.DataObject) -> None:
    packed = bytearray(msgpack.packb(message))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode(bytes(packed), Encoding.MSGPACK)
    except HubError as error:
        assert error.code is ErrorCode.BAD_MESSAGE  # noqa: PT017
    else:
        orjson.dumps(found)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("NaN", "invalid JSON"),
        ("Infinity", "invalid JSON"),
        ("1e999", "invalid JSON"),
        ('"\\ud800"', "invalid JSON"),
        ("{", "invalid JSON"),
        ("{}{}", "invalid JSON"),
        ("{'a':1}", "invalid JSON"),
        ("\ufeff{}", "invalid JSON"),
        ("[1]", "this is an array"),
        ("null", "this is null"),
        ("true", "this is a boolean"),
        ("5", "this is a number"),
        ('"x"', "this is a string"),
        ("[" * 5000 + "]" * 5000, "invalid JSON"),
    ],
)
def test_json_that_is_no_message(text: str, why: str) -> None:
    with pytest.raises(HubError, match=why) as refused:
        decode(text.encode(), Encoding.JSON)
    assert refused.value.code is ErrorCode.BAD_MESSAGE


def deep(levels: int) -> bytes:
    return b"\x81\xa1a" * levels + b"\xc0"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (msgpack.packb({"a": b"bytes"}), "binary"),
        (msgpack.packb({"a": [b""]}), "binary"),
        (msgpack.packb({"a": msgpack.ExtType(5, b"x")}), "extension type 5"),
        (msgpack.packb({"a": msgpack.Timestamp(1, 2)}), "extension type -1"),
        (msgpack.packb({"a": float("nan")}), "NaN"),
        (msgpack.packb({"a": [float("-inf")]}), "NaN and infinity"),
        (msgpack.packb({1: 2}), "map key"),
        (msgpack.packb({None: 2}), "map key"),
        (msgpack.packb({"a": {b"k": 2}}), "strings"),
        (b"\x81\x91\x01\x01", "map key"),
        (b"\x81\xa1\xff\x01", "utf-8"),
        (b"\xc1", "MessagePack"),
        (b"", "MessagePack"),
        (b"\x81", "MessagePack"),
        (msgpack.packb({}) + b"\x00", "more bytes follow"),
        (b"\xdf\xff\xff\xff\xff", "more elements than bytes"),
        (b"\xdd\xff\xff\xff\xff", "more elements than bytes"),
        (deep(MAX_DEPTH + 1), "deeper than 64"),
        (deep(100_000), "MessagePack"),
        (b"\x91" * 100_000, "MessagePack"),
        (msgpack.packb([1]), "this is an array"),
        (msgpack.packb(None), "this is null"),
        (msgpack.packb("x"), "this is a string"),
    ],
)
def test_messagepack_that_is_no_message(data: bytes, why: str) -> None:
    with pytest.raises(HubError, match=why) as refused:
        decode(data, Encoding.MSGPACK)
    assert refused.value.code is ErrorCode.BAD_MESSAGE


def test_the_deepest_that_is_allowed() -> None:
    assert decode(deep(MAX_DEPTH - 1), Encoding.MSGPACK)


def test_numbers_at_the_edge_of_64_bits() -> None:
    message = {"least": -(2**63), "most": 2**64 - 1}
    for encoding in SUBPROTOCOLS.values():
        assert decode(body(message, encoding), encoding) == message


@pytest.mark.parametrize("value", [{"a": 2**64}, {"a": "\ud800"}, {"a": b"x"}, [[]] and {"a": object()}])
def test_payloads_that_are_no_json(value: Any) -> None:
    with pytest.raises(HubError) as refused:
        dumps_json(value)
    assert refused.value.code is ErrorCode.BAD_MESSAGE


def test_a_payload_that_no_client_could_read_is_refused() -> None:
    value: Any = 1
    for _ in range(300):
        value = [value]
    with pytest.raises(HubError):
        dumps_json(value)


@given(
    VALUES
    | st.lists(st.integers(-(2**63), 2**64 - 1), min_size=16, max_size=70)
    | st.lists(st.text(min_size=20), min_size=16)
)
def test_no_message_is_taken_for_one_that_says_too_much(value: Any) -> None:
    assert claims_fit(msgpack.packb(value))


@pytest.mark.parametrize(
    "head",
    [
        b"\xdc\x3e\x80",
        b"\xdd\x00\x00\x3e\x80",
        b"\xde\x1f\x00",
        b"\xdf\x00\x00\x1f\x00",
        b"\xdc\x3e\x80\xa1x\xd9\x02\xdc\xdc",
    ],
)
def test_what_says_that_it_has_more_elements_than_bytes(head: bytes) -> None:
    """Room was made for them all: 100 ms and 100 MB for 16 KB."""
    data = b"\x81\xa1x" + head * (16_000 // len(head))
    tracemalloc.start()
    try:
        with pytest.raises(HubError, match="MessagePack"):
            decode(data, Encoding.MSGPACK)
        assert salvage(data, Encoding.MSGPACK) == {}, "nor for the id of the answer"
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
