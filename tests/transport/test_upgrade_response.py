"""The answer to an upgrade request, put together here, is that of `websockets`; what that refuses is refused."""

import pytest
from websockets.http11 import Response

from hub.transport import upgrade_response
from hub.transport.http1.head import Head

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def head(*fields: tuple[bytes, bytes]) -> Head:
    every = [(b"host", b"hub"), (b"connection", b"Upgrade"), (b"upgrade", b"websocket"), *fields]
    return Head("GET", b"/ws", "/ws", b"/ws", b"", "1.1", every, 0, True, False, True)


def fields(answer: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    line, *lines = answer.removesuffix(b"\r\n\r\n").split(b"\r\n")
    return line, dict(each.split(b": ", 1) for each in lines)


@pytest.mark.parametrize("subprotocol", [None, "hub.v1.json"])
def test_it_is_the_answer_of_websockets(subprotocol: str | None) -> None:
    asked = head((b"sec-websocket-key", KEY), (b"sec-websocket-version", b"13"))
    assert upgrade_response.refusal(asked) is None
    line, found = fields(upgrade_response.switching(asked, subprotocol))
    wanted_line, wanted = fields(upgrade_response._checked(asked).serialize())
    assert line.rstrip() == wanted_line.rstrip()
    if subprotocol is not None:
        assert found.pop(b"Sec-WebSocket-Protocol") == subprotocol.encode()
    assert found.pop(b"Date")[-3:] == wanted.pop(b"Date")[-3:] == b"GMT"
    assert found == wanted
    assert found[b"Sec-WebSocket-Accept"] == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3


@pytest.mark.parametrize(
    ("key", "version", "status"),
    [
        (None, b"13", 400),
        (b"", b"13", 400),
        (KEY[:-1], b"13", 400),
        (KEY[:-4] + b"====", b"13", 400),
        (KEY + b"\n", b"13", 400),
        (b"@" + KEY[1:], b"13", 400),
        (KEY, None, 400),
        (KEY, b"8", 426),
        (KEY, b"13, 8", 426),
    ],
)
def test_what_is_wrong_is_refused(key: bytes | None, version: bytes | None, status: int) -> None:
    given = ((b"sec-websocket-key", key), (b"sec-websocket-version", version))
    refusal = upgrade_response.refusal(head(*((name, value) for name, value in given if value is not None)))
    assert isinstance(refusal, Response)
    assert refusal.status_code == status
