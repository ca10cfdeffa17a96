"""The table against google.protobuf, over the schema that Centrifugo's own SDK brings along."""

import orjson
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st

from hub.centrifugo import protobuf
from hub.centrifugo.protobuf import Malformed
from hub.centrifugo.schema import INT_MAX, MESSAGES

from . import their_protocol

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def field(key: str, kind: str) -> st.SearchStrategy[object]:
    """Values of a field, as the hub's side has them."""
    if kind == "int":
        return st.integers(0, 2**31 - 1) if key != "offset" else st.integers(0, INT_MAX)
    if kind == "bool":
        return st.booleans()
    if kind == "string":
        return TEXT
    if kind == "bytes":
        return st.sampled_from([b'{"a": 1}', b"[]", b'"x"'])
    if kind.startswith("["):
        return st.lists(message(kind[1:-1]), max_size=3)
    if kind.startswith("{"):
        inner = TEXT if kind == "{string}" else message(kind[1:-1])
        return st.dictionaries(TEXT, inner, min_size=1, max_size=3)
    return message(kind)


def message(name: str) -> st.SearchStrategy[dict[str, object]]:
    fields = {key: field(key, kind) for key, (_, kind) in MESSAGES[name].items()}
    return st.fixed_dictionaries({}, optional=fields)


def plain(value: object) -> object:
    """Without what proto3 does not write: zero, false and empty scalars."""
    if not isinstance(value, dict):
        return [plain(each) for each in value] if isinstance(value, list) else value
    kept = {key: plain(each) for key, each in value.items()}
    return {key: each for key, each in kept.items() if each is not False and each not in (0, "", [], b"")}


def fill(target: object, value: dict[str, object]) -> None:
    """Put a dict with bytes into google's message: `ParseDict` would want them in base64."""
    for key, each in value.items():
        place = getattr(target, key)
        if isinstance(each, list):
            for item in each:
                fill(place.add(), item)
        elif isinstance(each, dict) and place.__class__.__name__.endswith("MapContainer"):
            for name, item in each.items():
                if isinstance(item, dict):
                    fill(place[name], item)
                else:
                    place[name] = item
        elif isinstance(each, dict):
            place.SetInParent()
            fill(place, each)
        else:
            setattr(target, key, each)


def raw(value: object) -> object:
    """What the encoder takes for bytes: a fragment of JSON."""
    if isinstance(value, bytes):
        return orjson.Fragment(value)
    if isinstance(value, list):
        return [raw(each) for each in value]
    return {key: raw(each) for key, each in value.items()} if isinstance(value, dict) else value


@given(message("Command"))
def test_commands_are_read_as_google_writes_them(command: dict[str, object]) -> None:
    theirs = their_protocol.Command()
    fill(theirs, command)
    assert plain(protobuf.decode("Command", theirs.SerializeToString())) == plain(command)


@given(message("Reply"))
def test_replies_are_written_as_google_reads_them(reply: dict[str, object]) -> None:
    theirs = their_protocol.Reply()
    fill(theirs, reply)
    ours = their_protocol.Reply.FromString(protobuf.encode("Reply", raw(reply)))  # type: ignore[arg-type]
    assert ours == theirs


def test_the_numbers_are_those_of_the_schema() -> None:
    """By the descriptors, so that a field that no test fills is right too."""
    same = {"ChannelRequest": "PresenceRequest", "Empty": "PingRequest", "JoinLeave": "Join"}
    for name, fields in MESSAGES.items():
        descriptor = their_protocol.DESCRIPTOR.message_types_by_name[same.get(name, name)]
        for key, (number, _) in fields.items():
            assert descriptor.fields_by_name[key].number == number, f"{name}.{key}"


def test_negative_numbers_and_unknown_fields() -> None:
    theirs = ParseDict({"id": 7, "history": {"channel": "c:1", "limit": -1}}, their_protocol.Command())
    extra = b"\x9a\x06\x01x" + b"\xa1\x06" + bytes(8) + b"\xad\x06" + bytes(4) + b"\xb0\x06\x05"
    found = protobuf.decode("Command", theirs.SerializeToString() + extra)
    assert found == {"id": 7, "history": {"channel": "c:1", "limit": -1}}
    assert MessageToDict(theirs)["history"]["limit"] == -1


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",  # a number that does not come
        b"\x08" + b"\xff" * 10 + b"\x01",  # one of eleven bytes
        b"\x22\xff\xff\xff\xff\x0f",  # a field longer than the message
        b"\x0b\x0c",  # a group
        b"\x00\x00",  # field 0
        b"\x0a\x01a",  # `id` as a string
        b"\x22\x03\x0a\x01\xff",  # a token that is not UTF-8
        b"\x20\x01",  # `connect` as a number
        b"\x22\x04\x1a\x02\x08\x01",  # a map's key as a number
        b"\x08\x01\x08\x01",  # `id` twice
        b"\xa0\x06\x00" * 257,  # more fields than anybody sends
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(Malformed):
        protobuf.decode("Command", data)


def test_lengths_that_lie() -> None:
    for data in (b"\x05ab", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80"):
        with pytest.raises(Malformed):
            list(protobuf.messages(data))


@given(st.binary(max_size=200))
def test_nothing_but_malformed_comes_of_any_bytes(data: bytes) -> None:
    try:
        for each in protobuf.messages(data):
            protobuf.decode("Command", each)
    except Malformed:
        pass
