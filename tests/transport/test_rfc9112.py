"""RFC 9112 and what of RFC 9110 belongs to it, request by request, against a real hub. HTTP is the fast lane's; on
the portable lane it is the outer server's.

Each case says what is sent and what the answers' statuses are. A request that is answered 4xx or 5xx here was not
understood for certain, so nothing behind it is: the connection ends.
"""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from ..support.pace import SCALE
from ..support.server import API_KEY, RunningHub, running_hub

HOST = b"Host: hub\r\n"
LIVEZ = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
BODY = b'{"channel":"doc:9112","event":"x","payload":1}'
POST = b"POST /v1/publish HTTP/1.1\r\n" + HOST + f"Authorization: Bearer {API_KEY}\r\n".encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
WEBSOCKET = (
    b"GET /ws HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
V13 = b"Sec-WebSocket-Version: 13\r\n"


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub() as hub:
        yield hub


def statuses(hub: RunningHub, *pieces: bytes) -> list[int]:
    """What is answered to these pieces, sent one after the other, until the hub hangs up."""
    return [int(head[9:12]) for head, _ in answers(hub, *pieces)]


def answers(hub: RunningHub, *pieces: bytes) -> list[tuple[bytes, bytes]]:
    """Heads and bodies; `Connection: close` stands in the last request, or the hub ends the connection."""
    with socket.create_connection(("127.0.0.1", hub.port), timeout=10 * SCALE) as raw:
        for piece in pieces:
            with contextlib.suppress(OSError):  # it was cut because of a piece before
                raw.sendall(piece)
            if len(pieces) > 1:
                settle(hub)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while data := raw.recv(65536):
                received += data
    found = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        size = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                size = int(line[15:])
        assert head.startswith(b"HTTP/1.1 "), head
        if not head.startswith(b"HTTP/1.1 1"):
            found.append((head, received[:size]))
        received = received[size:]
    return found


def settle(hub: RunningHub) -> None:
    """What was sent before has been read: the hub answers on another connection."""
    with socket.create_connection(("127.0.0.1", hub.port), timeout=10 * SCALE) as raw:
        raw.sendall(LIVEZ)
        assert raw.recv(65536).startswith(b"HTTP/1.1 200")


def last(request: bytes) -> bytes:
    """The request with `Connection: close`."""
    head, separator, body = request.partition(b"\r\n\r\n")
    return head + b"\r\nConnection: close" + separator + body


CASES: dict[str, tuple[list[bytes], list[int]]] = {
    # section 2.2, 3: the first line
    "empty lines before a request": ([b"\r\n\r\n" + last(LIVEZ)], [200]),
    "a bare LF ends no line": ([b"GET /livez HTTP/1.1\nHost: hub\n\n" + b"\r\n\r\n"], [400]),
    "two spaces": ([b"GET  /livez HTTP/1.1\r\n" + HOST + b"\r\n"], [400]),
    "no version": ([b"GET /livez\r\n\r\n"], [400]),
    "HTTP/0.9": ([b"GET /livez HTTP/0.9\r\n\r\n"], [505]),
    "HTTP/2.0": ([b"GET /livez HTTP/2.0\r\n" + HOST + b"\r\n"], [505]),
    "the preface of HTTP/2": ([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], [505]),
    "another protocol": ([b"DESCRIBE /livez RTSP/1.0\r\n" + HOST + b"\r\n"], [400]),
    "TLS on a plain port": ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], [400]),
    "HTTP/1.0 without Host": ([b"GET /livez HTTP/1.0\r\n\r\n"], [200]),
    "an unknown method": ([b"BREW /livez HTTP/1.1\r\n" + HOST + b"\r\n"], [501]),
    "CONNECT": ([b"CONNECT hub:80 HTTP/1.1\r\n" + HOST + b"\r\n"], [501]),
    "a fragment in the target": ([b"GET /livez#x HTTP/1.1\r\n" + HOST + b"\r\n"], [400]),
    "a target that is no ASCII": ([b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n"], [400]),
    # section 3.2.2: MUST accept the absolute form
    "absolute form": (
        [b"GET http://other:99/livez?x=1 HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"],
        [200],
    ),
    "absolute form, upgrade": (
        [WEBSOCKET.replace(b"/ws", b"http://hub/ws") + V13 + b"Authorization: Bearer x\r\n\r\n"],
        [401],
    ),
    "absolute form of another scheme": ([b"GET ftp://hub/livez HTTP/1.1\r\n" + HOST + b"\r\n"], [400]),
    "a user in the target": ([b"GET http://u@hub/livez HTTP/1.1\r\n" + HOST + b"\r\n"], [400]),
    # section 3.2: Host
    "no Host": ([b"GET /livez HTTP/1.1\r\n\r\n"], [400]),
    "two Hosts": ([b"GET /livez HTTP/1.1\r\n" + HOST + HOST + b"\r\n"], [400]),
    "a Host that is none": ([b"GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n"], [400]),
    "a Host of IPv6": ([b"GET /livez HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n"], [200]),
    "no upgrade without Host": ([WEBSOCKET.replace(HOST, b"") + V13 + b"\r\n"], [400]),
    # section 5: fields
    "a space before the colon": ([b"GET /livez HTTP/1.1\r\nHost : hub\r\n\r\n"], [400]),
    "a line that is folded": ([b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n"], [400]),
    "a line without a colon": ([b"GET /livez HTTP/1.1\r\n" + HOST + b"abc\r\n\r\n"], [400]),
    "a name that is none": ([b"GET /livez HTTP/1.1\r\n" + HOST + b"(x): a\r\n\r\n"], [400]),
    "NUL in a value": ([b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n"], [400]),
    "a bare CR in a value": ([b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n"], [400]),
    "129 fields": ([b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 128 + b"\r\n"], [431]),
    "64 KiB and more": ([b"GET /livez HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 65_536 + b"\r\n\r\n"], [431]),
    "nearly 64 KiB": (
        [last(b"GET /livez HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 65_000 + b"\r\n\r\n")],
        [200],
    ),
    "two Authorizations": ([POST + b"Authorization: Bearer x\r\n" + LENGTH + b"\r\n" + BODY], [400]),
    # section 6: how long a body is
    "a body with a length": ([last(POST + LENGTH + b"\r\n" + BODY)], [200]),
    "a body in chunks": ([last(POST + CHUNKED + b"\r\n" + CHUNKS)], [200]),
    "a body in chunks and pieces": (
        [last(POST + CHUNKED + b"\r\n"), *(CHUNKS[n : n + 9] for n in range(0, 99, 9))],
        [200],
    ),
    "an empty line in a chunk": ([last(POST + CHUNKED + b"\r\n") + b"4\r\n\r\n\r\n\r\n" + CHUNKS], [200]),
    "chunks with extensions and trailers": (
        [
            last(POST + CHUNKED + b"\r\n")
            + CHUNKS.replace(b"\r\n", b";a=b\r\n", 1).replace(b"0\r\n", b"0\r\nX: a\r\n")
        ],
        [200],
    ),
    "both lengths": ([POST + LENGTH + CHUNKED + b"\r\n" + CHUNKS], [400]),
    "two equal lengths": ([POST + LENGTH + LENGTH + b"\r\n" + BODY], [400]),
    "a list of lengths": ([POST + b"Content-Length: 3, 3\r\n\r\nabc"], [400]),
    "a length with a sign": ([POST + b"Content-Length: +3\r\n\r\nabc"], [400]),
    "a length without end": ([POST + b"Content-Length: 9999999999999999999999\r\n\r\nabc"], [400]),
    "gzip, chunked": ([POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS], [501]),
    "chunked twice": ([POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNKS], [400]),
    "chunked in two lines": ([POST + CHUNKED + CHUNKED + b"\r\n" + CHUNKS], [400]),
    "chunked to HTTP/1.0": ([(POST + CHUNKED + b"\r\n").replace(b"1.1", b"1.0") + CHUNKS], [400]),
    "a chunk's size that is none": ([POST + CHUNKED + b"\r\nzz\r\nabc\r\n"], [400]),
    "a chunk's size with a space": ([POST + CHUNKED + b"\r\n3 \r\nabc\r\n0\r\n\r\n"], [400]),
    "a chunk that is longer": ([POST + CHUNKED + b"\r\n3\r\nabcd\r\n0\r\n\r\n"], [400]),
    "a chunk of 2^64": ([POST + CHUNKED + b"\r\n" + b"f" * 17 + b"\r\n"], [400]),
    "bare LF in chunks": ([POST + CHUNKED + b"\r\n3\nabc\n0\n\n"], [400]),
    # section 9: connections
    "one behind the other": ([LIVEZ * 3 + last(LIVEZ)], [200] * 4),
    "none behind a close": ([last(LIVEZ) + LIVEZ], [200]),
    "none behind what was not understood": ([b"GET /livez HTTP/1.1\r\n\r\n" + LIVEZ], [400]),
    "close among other options": (
        [b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: x, Close\r\n\r\n" + LIVEZ],
        [200],
    ),
    "HTTP/1.0 is closed": ([b"GET /livez HTTP/1.0\r\n\r\n" + LIVEZ], [200]),
    "HTTP/1.0 that is kept": (
        [b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + b"GET /livez HTTP/1.0\r\n\r\n"],
        [200, 200],
    ),
    # RFC 9110 section 10.1.1
    "another expectation": ([POST + LENGTH + b"Expect: tea\r\n\r\n" + BODY], [417]),
    "100-continue": ([last(POST + LENGTH + b"Expect: 100-continue\r\n\r\n"), BODY], [200]),
    "refused before it continued": (
        [POST.replace(API_KEY.encode(), b"x") + LENGTH + b"Expect: 100-continue\r\n\r\n"],
        [401],
    ),
    # RFC 9110 section 7.8 and RFC 6455 section 4.2.1: upgrades
    "h2c": ([last(POST + LENGTH + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + BODY)], [200]),
    "h2c, its body later": (
        [last(POST + LENGTH + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), BODY],
        [200],
    ),
    "h2c, a body in chunks": (
        [last(POST + CHUNKED + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), CHUNKS],
        [200],
    ),
    "a WebSocket by POST": (
        [last(POST + LENGTH + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), BODY],
        [200],
    ),
    "an upgrade with a body": ([WEBSOCKET + V13 + b"Content-Length: 3\r\n\r\nabc"], [400]),
    "an upgrade by HTTP/1.0": ([(WEBSOCKET + V13 + b"\r\n").replace(b"1.1", b"1.0")], [426]),
    "Connection in two lines": (
        [WEBSOCKET + V13 + b"Connection: keep-alive\r\nAuthorization: Bearer x\r\n\r\n"],
        [401],
    ),
    "another protocol beside it": (
        [WEBSOCKET.replace(b": websocket", b": h2c, WebSocket") + V13 + b"Authorization: Bearer x\r\n\r\n"],
        [401],
    ),
    "an empty list of subprotocols": (
        [WEBSOCKET + V13 + b"Sec-WebSocket-Protocol:\r\nAuthorization: Bearer x\r\n\r\n"],
        [401],
    ),
    "two keys": ([WEBSOCKET + V13 + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"], [400]),
    "no key": ([WEBSOCKET[: WEBSOCKET.index(b"Sec-WebSocket-Key")] + V13 + b"\r\n"], [400]),
    "an upgrade behind a publication": (
        [POST + LENGTH + b"\r\n" + BODY + WEBSOCKET + V13 + b"Authorization: Bearer x\r\n\r\n"],
        [200, 401],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_answered(hub: RunningHub, name: str) -> None:
    pieces, expected = CASES[name]
    assert statuses(hub, *pieces) == expected


def test_a_problem_says_what_was_wrong(hub: RunningHub) -> None:
    ((head, body),) = answers(hub, POST + CHUNKED + b"\r\nzz\r\n")
    assert b"application/problem+json" in head
    assert b"connection: close" in head.lower()
    assert b"chunk" in body


def test_another_version_of_websockets(hub: RunningHub) -> None:
    """RFC 6455 section 4.4: the header says which one is spoken."""
    ((head, _),) = answers(hub, WEBSOCKET + b"Sec-WebSocket-Version: 12\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nsec-websocket-version: 13" in head.lower()


SMUGGLED = b"POST /v1/publish HTTP/1.1\r\nHost: hub\r\n\r\n"


@pytest.mark.parametrize("early", [b"", b"POST /v1/pub"])
@pytest.mark.parametrize(
    "head",
    [
        POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n",
        POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
        POST.replace(b"1.1", b"1.0") + b"Connection: Upgrade, keep-alive\r\nUpgrade: websocket\r\n",
        POST + b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\nExpect: 100-continue\r\n",
        POST.replace(API_KEY.encode(), b"x"),  # refused before its body came
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
    ],
)
def test_bytes_of_a_body_are_never_a_request(hub: RunningHub, head: bytes, early: bytes) -> None:
    """Whatever the head says, and whenever they come."""
    body = early + SMUGGLED * 3
    head += b"Content-Length: %d\r\n\r\n" % len(body)
    found = statuses(hub, head + body[: len(early)], body[len(early) :], last(LIVEZ))
    assert found[0] in (400, 401)  # its body is no JSON
    assert found[1:] in ([], [200]), "a body was taken for a request"
