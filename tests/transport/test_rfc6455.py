"""RFC 6455, frame by frame, on both lanes: the cases of the Autobahn list (1 to 7) that apply to a hub, whose
messages are text with an answer for each. Their numbers stand beside them."""

import asyncio
from itertools import pairwise

import pytest

from ..support.pace import SCALE
from ..support.server import RunningHub
from .test_contract import Raw, hang_up

MASK = b"\x37\xfa\x21\x3d"
TEXT, BINARY, CONT, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
COMMAND = b'{"type":"ping","id":"k"}'
FIN = 0x80


def frame(
    opcode: int, body: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK
) -> bytes:
    """A client's frame."""
    first = (FIN if fin else 0) | rsv << 4 | opcode
    size = len(body)
    masked = 0x80 if mask is not None else 0
    if size < 126:
        head = bytes((first, masked | size))
    elif size < 65536:
        head = bytes((first, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, masked | 127)) + size.to_bytes(8, "big")
    if mask is None:
        return head + body
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(body))


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


class Peer:
    """A socket of an admitted client; `next` is the next frame that is no hub message but the one asked for."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw

    async def send(self, *frames: bytes, bytewise: bool = False) -> None:
        for data in frames:
            pieces = [data[at : at + 1] for at in range(len(data))] if bytewise else [data]
            for piece in pieces:
                self._raw.writer.write(piece)
                await self._raw.writer.drain()

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and body of the next frame."""
        read = self._raw.reader.readexactly
        async with asyncio.timeout(10 * SCALE):
            first, size = await read(2)
            assert first & 0x70 == 0
            assert first & FIN
            if size >= 126:
                size = int.from_bytes(await read(2 if size == 126 else 8), "big")
            return first & 0xF, await read(size)

    async def answer(self) -> bytes:
        """The answer to `COMMAND`; what else comes is passed over."""
        while True:
            opcode, body = await self.frame()
            assert opcode != CLOSE, body
            if b'"type":"hub.pong"' in body:
                return body

    async def pong(self) -> bytes:
        while True:
            opcode, body = await self.frame()
            assert opcode != CLOSE, body
            if opcode == PONG:
                return body

    async def closed(self) -> bytes:
        """The body of the close frame, behind which nothing comes."""
        while True:
            opcode, body = await self.frame()
            if opcode == CLOSE:
                async with asyncio.timeout(10 * SCALE):
                    assert await self._raw.reader.read() == b""
                return body


@pytest.fixture
async def raw(hub: RunningHub):  # type: ignore[no-untyped-def]
    raw = await Raw.connect(hub, hub.token("ann"))
    yield raw
    await hang_up(raw.writer)


@pytest.fixture
def peer(raw: Raw) -> Peer:
    return Peer(raw)


# 1: framing of messages


@pytest.mark.parametrize("size", [0, 100, 101, 102, 103, 200, 60_000])
@pytest.mark.parametrize("bytewise", [False, True])
async def test_messages_of_all_lengths(peer: Peer, size: int, bytewise: bool) -> None:
    """1.1.1 to 1.1.8: lengths of 7, 16 bits; whole and in pieces of one byte."""
    if bytewise and size > 1000:
        pytest.skip("as long as it needs to cross the borders of the length")
    body = COMMAND[:-1] + b',"pad":"' + b"x" * size + b'"}'
    await peer.send(frame(TEXT, body), bytewise=bytewise)
    assert b'"id":"k"' in await peer.answer()


async def test_a_mask_of_zeros(peer: Peer) -> None:
    await peer.send(frame(TEXT, COMMAND, mask=b"\0\0\0\0"))
    await peer.answer()


# 2: pings and pongs


@pytest.mark.parametrize("body", [b"", b"Hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125])
@pytest.mark.parametrize("bytewise", [False, True])
async def test_a_ping_is_answered_with_its_body(peer: Peer, body: bytes, bytewise: bool) -> None:
    """2.1 to 2.4, 2.6."""
    await peer.send(frame(PING, body), bytewise=bytewise)
    assert await peer.pong() == body


async def test_a_ping_of_126_bytes(peer: Peer) -> None:
    """2.5."""
    await peer.send(frame(PING, b"\xfe" * 126))
    assert (await peer.closed())[:2] == (1002).to_bytes(2, "big")


async def test_unasked_pongs_are_ignored(peer: Peer) -> None:
    """2.7 to 2.9."""
    await peer.send(frame(PONG), frame(PONG, b"unasked"), frame(PING, b"asked"))
    assert await peer.pong() == b"asked"


async def test_ten_pings(peer: Peer) -> None:
    """2.10, 2.11: the newest is answered in the end (section 5.5.3)."""
    await peer.send(*(frame(PING, b"payload-%d" % number) for number in range(10)))
    seen = [await peer.pong()]
    while seen[-1] != b"payload-9":
        seen.append(await peer.pong())
    assert all(a < b for a, b in pairwise(seen))


# 3: reserved bits; 4: reserved opcodes


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
async def test_reserved_bits(peer: Peer, rsv: int, opcode: int) -> None:
    """3.1 to 3.7. What came before is answered."""
    await peer.send(frame(TEXT, COMMAND), frame(opcode, b"" if opcode == CLOSE else b"x", rsv=rsv))
    assert (await peer.closed())[:2] == (1002).to_bytes(2, "big")


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
async def test_reserved_opcodes(peer: Peer, opcode: int) -> None:
    """4.1, 4.2."""
    await peer.send(frame(opcode, b"x"))
    assert (await peer.closed())[:2] == (1002).to_bytes(2, "big")


# 5: fragments


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_a_control_frame_in_fragments(peer: Peer, opcode: int) -> None:
    """5.1, 5.2."""
    await peer.send(frame(opcode, b"", fin=False), frame(CONT, b""))
    assert (await peer.closed())[:2] == (1002).to_bytes(2, "big")


@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("between", [(), (frame(PING, b"between"),), (frame(PONG),)])
async def test_a_message_in_fragments(peer: Peer, between: tuple[bytes, ...], bytewise: bool) -> None:
    """5.3 to 5.8, 5.19, 5.20: also with control frames in between."""
    parts = (
        frame(TEXT, COMMAND[:5], fin=False),
        frame(CONT, COMMAND[5:9], fin=False),
        frame(CONT, COMMAND[9:]),
    )
    await peer.send(parts[0], *between, parts[1], *between, parts[2], bytewise=bytewise)
    await peer.answer()


@pytest.mark.parametrize("fin", [False, True])
async def test_a_continuation_of_nothing(peer: Peer, fin: bool) -> None:
    """5.9 to 5.17."""
    await peer.send(frame(CONT, b"x", fin=fin), frame(TEXT, COMMAND))
    assert (await peer.closed())[:2] == (1002).to_bytes(2, "big")


async def test_a_message_begins_inside_another(peer: Peer) -> None:
    """5.18."""
    await peer.send(frame(TEXT, COMMAND[:5], fin=False), frame(TEXT, COMMAND))
    assert (await peer.closed())[:2] == (1002).to_bytes(2, "big")


# 6: UTF-8


async def test_utf8_whole_and_cut_inside_a_character(peer: Peer) -> None:
    """6.1, 6.2."""
    body = '{"type":"ping","id":"k","pad":"κόσμε𐍈"}'.encode()
    at = body.index("κ".encode()) + 1
    await peer.send(frame(TEXT, body))
    await peer.answer()
    await peer.send(frame(TEXT, body[:at], fin=False), frame(CONT, body[at:]))
    await peer.answer()


@pytest.mark.parametrize(
    "bad",
    [
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",  # 6.3.1, half a surrogate pair
        b"\xf4\x90\x80\x80",  # 6.4.1, above U+10FFFF
        b"\xce",  # 6.6.1, cut
        b"\xf8\x88\x80\x80\x80",  # 6.10, five bytes
        b"\xc0\x80",  # 6.12, overlong
        b"\xff",
    ],
)
@pytest.mark.parametrize("cut", [False, True])
async def test_what_is_no_utf8(peer: Peer, bad: bytes, cut: bool) -> None:
    """6.3 to 6.23: the connection fails with 1007."""
    parts = (frame(TEXT, bad[:1], fin=False), frame(CONT, bad[1:])) if cut else (frame(TEXT, bad),)
    await peer.send(*parts)
    assert (await peer.closed())[:2] == (1007).to_bytes(2, "big")


# 7: closing


async def test_a_close_is_answered_and_nothing_behind_it(peer: Peer) -> None:
    """7.1.1 to 7.1.4."""
    await peer.send(frame(TEXT, COMMAND))
    await peer.answer()
    await peer.send(close(1000) + frame(TEXT, COMMAND) + frame(PING, b"x") + close(1000))
    assert await peer.closed() == (1000).to_bytes(2, "big")


async def test_a_close_inside_a_message(peer: Peer) -> None:
    """7.1.5: control frames may stand there, a close too. In one piece: what comes behind a close in another may
    find the connection closed already, which resets it."""
    await peer.send(frame(TEXT, COMMAND[:9], fin=False) + close(1000) + frame(CONT, COMMAND[9:]))
    assert await peer.closed() == (1000).to_bytes(2, "big")


async def test_a_close_behind_256_kib(peer: Peer) -> None:
    """7.1.6: in messages that the hub takes."""
    body = COMMAND[:-1] + b',"pad":"' + b"x" * 60_000 + b'"}'
    await peer.send(frame(TEXT, body) * 4 + close(1000))
    assert await peer.closed() == (1000).to_bytes(2, "big")


@pytest.mark.parametrize("body", [b"", b"\x03\xe8", b"\x03\xe8" + b"Hello", b"\x03\xe8" + b"*" * 123])
async def test_a_close_is_echoed(peer: Peer, body: bytes) -> None:
    """7.3.1, 7.3.3 to 7.3.5."""
    await peer.send(frame(CLOSE, body))
    assert (await peer.closed())[:2] == body[:2]


@pytest.mark.parametrize("body", [b"\x03", b"\x03\xe8" + b"*" * 124])
async def test_a_close_of_a_wrong_length(peer: Peer, body: bytes) -> None:
    """7.3.2, 7.3.6."""
    await peer.send(frame(CLOSE, body))
    assert (await peer.closed())[:2] == (1002).to_bytes(2, "big")


async def test_a_close_whose_reason_is_no_utf8(peer: Peer) -> None:
    """7.5.1."""
    await peer.send(close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"))
    assert (await peer.closed())[:2] in ((1007).to_bytes(2, "big"), (1002).to_bytes(2, "big"))


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
)
async def test_codes_that_may_be_sent(peer: Peer, code: int) -> None:
    """7.7."""
    await peer.send(close(code))
    assert (await peer.closed())[:2] == code.to_bytes(2, "big")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535])
async def test_codes_that_may_not_be_sent(peer: Peer, code: int) -> None:
    """7.9, 7.13."""
    await peer.send(close(code))
    assert (await peer.closed())[:2] == (1002).to_bytes(2, "big")


async def test_a_frame_that_is_not_masked(peer: Peer) -> None:
    """Section 5.1."""
    await peer.send(frame(TEXT, COMMAND, mask=None))
    assert (await peer.closed())[:2] == (1002).to_bytes(2, "big")
