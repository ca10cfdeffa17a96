"""Frames that are read without `websockets`, and those that it reads: whichever way, the same comes of them."""

from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from hub.transport import websocket
from hub.transport.client_frames import UNKNOWN, WRONG, payload_of, size_of
from hub.transport.websocket import WebSocketTransport

MOST = 300
MASK = b"\x01\xf2\x33\x84"


def frame(first: int, data: bytes, *, long: int = 0, masked: bool = True) -> bytes:
    """A client's frame; `long`: its length in so many bytes more than it needs."""
    size = len(data)
    form = max(long, 0 if size < 126 else 2 if size < 65536 else 8)
    head = {0: size, 2: 126, 8: 127}[form]
    length = size.to_bytes(form, "big") if form else b""
    body = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(data)) if masked else data
    return bytes([first, head | (0x80 if masked else 0)]) + length + (MASK if masked else b"") + body


class Heard:
    """A connection, and the socket that it is on: what happens to both."""

    def __init__(self) -> None:
        self.all: list[object] = []
        self.outbox = SimpleNamespace(full=False, block=lambda: None)
        self.now = 0.0
        node = SimpleNamespace(now=lambda: self.now, floods=SimpleNamespace(note=lambda *_: None))
        settings = SimpleNamespace(message_bytes=MOST, close_timeout=5.0)
        handshaker = SimpleNamespace(node=SimpleNamespace(settings=settings, **vars(node)))
        self.transport = WebSocketTransport(
            None, SimpleNamespace(connections=set()), {"hub_handshaker": handshaker}
        )
        self.transport._connection = self  # type: ignore[assignment]
        self.transport._transport = self  # type: ignore[assignment]
        self.transport.admitted()

    # connection

    def receive(self, data: bytes, text: bool) -> None:
        self.all.append((data, text))

    def heard(self) -> None:
        self.all.append("heard")

    def gone(self, code: int) -> None:
        self.all.append(("gone", code))

    # socket

    def write(self, data: bytes) -> None:
        self.all.append(("written", data))

    def is_closing(self) -> bool:
        return "closed" in self.all

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.all.append("closed")


def read(pieces: list[bytes]) -> list[object]:
    heard = Heard()
    for piece in pieces:
        heard.transport._parse(piece)
    found = [each for each in map(without_pongs, heard.all) if each is not None]
    return found[: found.index("closed") + 1] if "closed" in found else found


def without_pongs(heard: object) -> object:
    """Of the pings of one read the newest is answered, so how many pongs there are depends on the reads."""
    if not isinstance(heard, tuple) or heard[0] != "written":
        return heard
    data: bytes = heard[1]
    while data[:1] == b"\x8a":
        data = data[2 + data[1] :]
    return ("written", data) if data else None


def anything(dice: Random) -> list[bytes]:
    """Mostly what clients send; and each thing that they may not."""
    data = dice.randbytes(dice.choice((0, 1, 5, 125, 126, 200, MOST)))
    text = ("é€😀x" * 40).encode()[: dice.choice((0, 4, 10, 40))]
    usual = [[frame(0x81, b'{"type":"ping"}')], [frame(0x82, data)], [frame(0x8A, data[:125])]]
    odd = [
        [frame(0x81, text, long=dice.choice((0, 2, 8)))],  # cut anywhere: sometimes no UTF-8
        [frame(0x89, data[:20])],
        [frame(0x01, data), frame(0x80, b"")],
        [frame(0x02, data[:90]), frame(0x89, b"!"), frame(0x00, data[:9]), frame(0x80, b"end")],
    ]
    wrong = [
        [frame(0x01, b"open")],
        [frame(0x80, b"nothing is open")],
        [frame(0x02, dice.randbytes(200)), frame(0x80, dice.randbytes(101))],  # together too long
        [frame(0x88, b"\x03\xe8bye")],
        [frame(0x88, b"\x03")],
        [frame(0x81, b"x" * (MOST + 1))],
        [frame(0xC1, b"a reserved bit")],
        [frame(0x83, b"no such opcode")],
        [frame(0x81, b"not masked", masked=False)],
        [frame(0x89, b"x" * 126)],
        [frame(0x09, b"a ping in pieces")],
    ]
    return dice.choice(wrong if dice.random() < 0.05 else odd if dice.random() < 0.4 else usual)


def cut(data: bytes, dice: Random) -> list[bytes]:
    places = sorted(dice.randrange(len(data) + 1) for _ in range(dice.choice((0, 1, 5, 60))))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@pytest.mark.parametrize("seed", range(150))
def test_whichever_way_a_frame_is_read_the_same_comes_of_it(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = Random(seed)
    frames = [each for _ in range(dice.choice((1, 4, 12, 30))) for each in anything(dice)]
    found = read(cut(b"".join(frames), dice))
    monkeypatch.setattr(websocket, "size_of", lambda *_: WRONG)  # all of it goes to `websockets`
    assert found == read(frames)


def test_sizes_and_payloads() -> None:
    dice = Random(1)
    for size in (0, 1, 125, 126, 127, 65535, 65536):
        data = dice.randbytes(size)
        for long in (0, 2, 8):
            whole = frame(0x82, data, long=long if size < 65536 else 8)
            behind = b"\x00" * 7 + whole + b"\x81\x80"
            assert size_of(behind, 7, 70_000) == len(whole)
            assert payload_of(behind, 7, len(whole)) == data
            assert size_of(behind, 7, size - 1) == WRONG
    head = frame(0x82, b"x" * 70_000)[:10]
    assert [size_of(head[:count], 0, 80_000) for count in range(11)] == [UNKNOWN] * 10 + [70_014]


def test_websockets_is_made_for_what_is_odd_and_let_go_of() -> None:
    heard = Heard()
    parse = heard.transport._parse
    parse(frame(0x81, b"{}") + frame(0x8A, b"") + frame(0x82, b"x")[:3])
    assert heard.transport._ws is None
    parse(frame(0x82, b"x")[3:] + frame(0x01, b"a"))
    assert heard.transport._ws is not None  # a fragment is open
    parse(frame(0x89, b"?"))
    assert heard.transport._ws is not None
    parse(frame(0x80, b"b") + frame(0x89, b"!"))
    assert heard.transport._ws is None
    assert heard.all == [
        (b"{}", True),
        "heard",
        (b"x", False),
        "heard",
        "heard",
        ("written", Frame(Opcode.PONG, b"?").serialize(mask=False)),
        (b"ab", True),
        "heard",
        ("written", Frame(Opcode.PONG, b"!").serialize(mask=False)),
    ]


def test_a_frame_that_comes_byte_by_byte_is_bounded_by_the_longest_message() -> None:
    heard: Any = Heard()
    for byte in frame(0x82, b"x" * MOST)[:-1]:
        heard.transport._parse(bytes([byte]))
    assert len(heard.transport._partial) == MOST + 7
    heard.transport._parse(b"\x00")
    assert heard.transport._partial is None
    assert len(heard.all) == 1
