from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from loadtest.frames import (
    TEXT,
    FrameError,
    client_frame,
    close_code,
    http_responses,
    split_frames,
    upgrade_request,
)


def serialized(payload: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=False)


@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(0, 2000))
def test_frames_are_found_wherever_the_bytes_are_cut(payloads: list[bytes], cut: int) -> None:
    data = b"".join(serialized(payload, Opcode.BINARY) for payload in payloads)
    first, taken = split_frames(data[:cut])
    rest, _ = split_frames(data[taken:])
    assert [payload for _, payload in first + rest] == payloads


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_every_length_form_is_read(size: int) -> None:
    frames, taken = split_frames(serialized(b"x" * size))
    assert (frames, taken) == ([(TEXT, b"x" * size)], len(serialized(b"x" * size)))


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_a_client_frame_is_masked_and_read_by_a_real_server(size: int) -> None:
    reader = StreamReader()
    reader.feed_data(client_frame(TEXT, b"y" * size))
    parsing = Frame.parse(reader.read_exact, mask=True)
    with pytest.raises(StopIteration) as done:
        next(parsing)  # all bytes are there, so it ends without asking for more
    assert done.value.value.data == b"y" * size


@pytest.mark.parametrize(
    "data",
    [
        serialized(b"part", fin=False),
        b"\x81\x81\0\0\0\0a",
        b"\xc1\x01a",
    ],
)
def test_what_cannot_be_counted_is_an_error(data: bytes) -> None:
    with pytest.raises(FrameError):
        split_frames(data)


def test_close_codes() -> None:
    assert close_code(b"\x10\x04bye") == 4100
    assert close_code(b"") == 1005


def test_pipelined_responses_are_counted_and_the_rest_is_kept() -> None:
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    found = list(http_responses(one + one + one[:-1]))
    assert found == [(200, b"ok", len(one)), (200, b"ok", 2 * len(one))]


def test_a_response_in_chunks_is_read_to_its_end() -> None:
    one = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"
    for cut in range(1, len(one)):
        assert list(http_responses(one + one[:-cut])) == [(200, b"abc0123456789", len(one))]


def test_the_request_is_a_websocket_handshake() -> None:
    request = upgrade_request("/ws", "h:1", headers="X-A: b\r\n").decode()
    assert request.startswith("GET /ws HTTP/1.1\r\nHost: h:1\r\n")
    assert request.endswith("X-A: b\r\n\r\n")
