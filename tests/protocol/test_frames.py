"""Frames that are built once, read by another implementation of RFC 6455."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from hub.protocol.event import Burst, Event
from hub.protocol.frames import SUBPROTOCOLS, Encoding, bodies, frame, shortened

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 70000]


def read(data: bytes) -> list[Frame]:
    peer = ClientProtocol(parse_uri("ws://host/"), state=State.OPEN, max_size=None)
    peer.receive_data(data)
    frames = peer.events_received()
    assert peer.parser_exc is None
    return [found for found in frames if isinstance(found, Frame)]


@pytest.mark.parametrize("encoding", SUBPROTOCOLS.values())
@pytest.mark.parametrize("size", SIZES)
def test_a_frame_of_any_size_is_read(size: int, encoding: Encoding) -> None:
    body = bytes(ord("a") + n % 26 for n in range(size))
    (found,) = read(frame(body, encoding))
    assert found.fin
    assert bytes(found.data) == body
    assert found.opcode is (Opcode.TEXT if encoding is Encoding.JSON else Opcode.BINARY)


@given(st.lists(st.sampled_from(SIZES), max_size=5), st.sampled_from(list(SUBPROTOCOLS.values())))
def test_joined_frames_come_apart_again(sizes: list[int], encoding: Encoding) -> None:
    parts = [b"x" * size for size in sizes]
    data = b"".join(frame(part, encoding) for part in parts)
    assert list(bodies(data)) == parts
    assert [bytes(found.data) for found in read(data)] == parts


@given(st.text())
def test_a_close_reason_fits_into_its_frame(reason: str) -> None:
    short = shortened(reason)
    assert len(short.encode()) <= 123
    assert reason.startswith(short)


def test_an_event_is_framed_once_for_all() -> None:
    event = Event("job:1", 3, "e_1", 5, "state", b'{"a":1}', key="1")
    for encoding in SUBPROTOCOLS.values():
        assert event.frame(encoding) is event.frame(encoding)
        assert Burst([event]).frames(encoding) is event.frame(encoding)
    burst = Burst([event, event])
    assert burst.frames(Encoding.JSON) is burst.frames(Encoding.JSON)
    assert len(read(burst.frames(Encoding.JSON))) == 2
