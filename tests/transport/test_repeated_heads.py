"""A head like the one before is not parsed again, and nobody can tell: requests in any order, cut anywhere, their
bodies made of heads too, are read as by a reader that remembers none."""

from random import Random

import pytest

from hub.transport.http1 import reader as module
from hub.transport.http1.head import BadRequest, Head
from hub.transport.http1.reader import Reader

HEADS = [
    b"GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n",
    b"POST /v1/publish HTTP/1.1\r\nHost: hub\r\nContent-Length: 5\r\n\r\n",
    b"POST /v1/publish HTTP/1.1\r\nHost: hub\r\nContent-Length: 120\r\n\r\n",
    b"POST /v1/publish HTTP/1.1\r\nHost: hub\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    b"POST /v1/publish HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST http://other/x HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: hub\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: hub\r\nX: " + b"y" * module.REPEATED_BYTES + b"\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: hub\r\nHost: hub\r\n\r\n",  # refused
    b"GET /x HTTP/1.1\r\n\r\n",  # refused
    b"rubbish\r\n\r\n",
]


class Seen:
    """Answers each request at once, and keeps what it heard."""

    def __init__(self) -> None:
        self.all: list[object] = []
        self.bodies: list[bytes] = []

    def on_head(self, head: Head) -> None:
        self.all.append((head.method, head.target, tuple(head.fields), head.length, head.keep_alive))
        self.all.append((head.path, head.query, head.expects_continue, head.websocket))
        self.bodies = []

    def on_body(self, data: bytes) -> None:
        self.bodies.append(data)

    def on_end(self) -> None:
        self.all.append(b"".join(self.bodies))


def request(dice: Random) -> bytes:
    head = dice.choice(HEADS[:9] if dice.random() < 0.98 else HEADS)
    body = b"".join(dice.choices(HEADS, k=2))  # smuggled, if anybody were to read it as requests
    if b"chunked" in head:
        pieces = [body[at : at + 37] for at in range(0, len(body), 37)]
        return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    length = 120 if b"Length: 120" in head else 5 if b"Length: 5" in head else 0
    return head + body[:length].ljust(length, b"x")


def read(data: bytes, cuts: list[int]) -> list[object]:
    seen = Seen()
    reader = Reader(seen)
    try:
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            again = reader.receive(data[start:end])
            while again or reader.done:
                again = reader.next() if reader.done else reader.receive(b"")
    except BadRequest as bad:
        seen.all.append((bad.status, bad.reason))
    else:
        seen.all.append(reader.kept)
    reader.close()
    return seen.all


@pytest.mark.parametrize("seed", range(60))
def test_who_remembers_heads_reads_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = Random(seed)
    few = [request(dice) for _ in range(3)]
    data = b"".join(dice.choice(few) for _ in range(12))
    cuts = sorted(dice.randrange(len(data)) for _ in range(dice.choice((0, 3, 40))))
    found = read(data, cuts)
    monkeypatch.setattr(module, "REPEATED_BYTES", -1)
    assert found == read(data, cuts)


def test_a_repeated_head_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    whole = Reader._parsed

    def counted(reader: Reader, data: bytes) -> Head:
        parsed.append(data)
        return whole(reader, data)

    monkeypatch.setattr(Reader, "_parsed", counted)
    found = read((HEADS[2] + b"12345") * 3 + HEADS[0] * 2, [])
    assert parsed == [HEADS[2], HEADS[0]]
    assert [each for each in found if isinstance(each, bytes)] == [b"12345"] * 3 + [b""] * 2


def test_a_body_that_is_cut_short_is_not_read_as_a_head() -> None:
    """A request of the same head as the one before, of whose body nothing has come yet."""
    smuggled = HEADS[3] + b"x" * 120
    found = read((HEADS[3] + smuggled[:120]) * 2 + HEADS[3] + smuggled[:60], [])
    assert found.count(smuggled[:120]) == 2
    assert len([each for each in found if isinstance(each, tuple) and each[0] == "POST"]) == 3
