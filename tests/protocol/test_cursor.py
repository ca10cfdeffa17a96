"""Blocks of HTTP streams and their cursors, as a parser by the standard reads them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.protocol import cursor
from hub.protocol.codec import encode
from hub.protocol.cursor import MOST, Cursor
from hub.protocol.errors import HubError
from hub.protocol.event import Burst, Event
from hub.protocol.frames import Encoding
from hub.protocol.position import Position

from ..support.sse import Block, Parser

CHANNELS = ["job:1", "doc:2", "cursor:3"]


def read(data: bytes) -> list[Block]:
    return list(Parser().feed(data.decode()))


def event(offset: int, channel: str = "job:1", payload: bytes = b"1", kind: str = "step") -> Event:
    found = Event(channel, offset, f"e{offset}", 5, kind, payload)
    found.epoch = "k3f9"
    return found


def test_a_block_of_one_channel_is_the_same_bytes_for_all() -> None:
    one = event(17)
    assert one.frame(Encoding.SSE) is one.frame(Encoding.SSE)
    assert Burst([one]).frames(Encoding.SSE) is one.frame(Encoding.SSE)
    (block,) = read(one.frame(Encoding.SSE))
    assert (block.event, block.id, block.data["offset"]) == ("step", "k3f9:17", 17)
    assert json.loads(one.frame(Encoding.NDJSON)) == block.data


@pytest.mark.parametrize("kind", ["error", "open", "message"])
def test_an_event_sources_own_types_go_out_as_message(kind: str) -> None:
    (block,) = read(event(1, kind=kind).frame(Encoding.SSE))
    assert (block.event, block.data["type"]) == ("message", kind)


@given(
    st.text().map(lambda text: json.dumps({"a": text}).encode()), st.sampled_from(["\n", "\r", "\r\n", " "])
)
def test_a_payload_stays_in_its_line(payload: bytes, space: str) -> None:
    spaced = b"{" + space.encode() + payload[1:]
    for encoding in (Encoding.SSE, Encoding.NDJSON):
        data = event(1, payload=spaced).frame(encoding)
        assert b"\r" not in data
        body = read(data)[0].data if encoding is Encoding.SSE else json.loads(data)
        assert data.count(b"\n") == (4 if encoding is Encoding.SSE else 1)
        assert body["payload"] == json.loads(payload)


def test_each_receiver_of_several_channels_has_its_own_ids() -> None:
    frames = event(7).frame(Encoding.PARTS) + event(3, "doc:2").frame(Encoding.PARTS)
    first = Cursor(CHANNELS, {})
    second = Cursor(CHANNELS, {"doc:2": Position("old", 9)})
    head = cursor.digest(CHANNELS)
    assert [b.id for b in read(first.render(frames))] == [f"{head},k3f9:7,-,-", f"{head},k3f9:7,k3f9:3,-"]
    ids = [b.id for b in read(second.render(event(7).frame(Encoding.PARTS)))]
    assert ids == [f"{head},k3f9:7,old:9,-"]
    assert cursor.parse(ids[0], CHANNELS) == {"job:1": Position("k3f9", 7), "doc:2": Position("old", 9)}


@pytest.mark.parametrize(
    ("message", "at", "id"),
    [
        ({"type": "hub.subscribed", "epoch": "e", "offset": 4}, None, "e:4"),
        ({"type": "hub.subscribed", "epoch": "e", "offset": 4, "recovered": False}, None, "e:4"),
        ({"type": "hub.subscribed", "epoch": "e", "offset": 4, "recovered": True}, None, "-"),
        ({"type": "hub.subscribed", "epoch": "e", "offset": 4, "snapshot": [], "more": True}, None, "-"),
        ({"type": "hub.resubscribe", "epoch": "e", "offset": 4, "gap": None}, None, "e:4"),
        ({"type": "hub.resubscribe", "epoch": "e", "offset": 4, "more": True}, None, "-"),
        ({"type": "hub.gap", "from": 2, "to": 4, "filled": False}, Position("e", 4), "e:4"),
        ({"type": "hub.snapshot", "events": [], "more": False}, Position("e", 4), "e:4"),
        ({"type": "hub.subscribed"}, None, "-"),
    ],
)
def test_what_moves_a_position(message: dict[str, Any], at: Position | None, id: str) -> None:
    message = {**message, "channel": "job:1"}
    receiver = Cursor(CHANNELS, {})
    read(receiver.render(encode(message, Encoding.PARTS, at)))
    (after,) = read(receiver.render(event(9, "doc:2").frame(Encoding.PARTS)))
    assert after.id.split(",")[1] == id
    (block,) = read(encode(message, Encoding.SSE, at))
    assert block.id == ("" if id == "-" else id)


@given(st.lists(st.integers(0, 2**53 - 1) | st.none(), min_size=2, max_size=MOST))
def test_a_cursor_says_what_it_was_made_of(offsets: list[int | None]) -> None:
    names = [f"doc:{n}" for n in range(len(offsets))]
    since = {name: Position("e", at) for name, at in zip(names, offsets, strict=True) if at is not None}
    block = read(Cursor(names, since).render(event(1, names[0]).frame(Encoding.PARTS)))[0]
    assert cursor.parse(block.id, names) == {**since, names[0]: Position("k3f9", 1)}


@pytest.mark.parametrize(
    "text", ["", "k3f9:1", "x,k3f9:1,-,-", "HEAD,-,-", "HEAD,-,-,-,-", "HEAD,a:1,b,-", "HEAD,,,", "x" * 3000]
)
def test_what_is_no_cursor_of_this_list(text: str) -> None:
    with pytest.raises(HubError) as refused:
        cursor.parse(text.replace("HEAD", cursor.digest(CHANNELS)), CHANNELS)
    assert refused.value.status == 400


def test_one_of_many_is_not_taken_for_one_of_one() -> None:
    for text in ("AAAAAAAA,k3f9:1,-", "-", "", "k3f9"):
        with pytest.raises(HubError):
            cursor.parse(text, ["job:1"])
    assert cursor.parse("k3f9:1", ["job:1"]) == {"job:1": Position("k3f9", 1)}


def test_a_stream_of_too_many_bears_no_id() -> None:
    names = [f"doc:{n}" for n in range(MOST + 1)]
    (block,) = read(Cursor(names, {}).render(event(1, "doc:0").frame(Encoding.PARTS)))
    assert block.id == ""


def test_without_types() -> None:
    (block,) = read(Cursor(["job:1"], {}, events=False).render(event(4).frame(Encoding.PARTS)))
    assert (block.event, block.id) == ("message", "k3f9:4")
