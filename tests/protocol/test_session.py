"""The state table of a session, row by row; and console lines."""

import contextlib
import json
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.protocol.codes import ErrorCode
from hub.protocol.commands import (
    Authenticate,
    ListPresence,
    Ping,
    ReadHistory,
    Subscribe,
    Unsubscribe,
)
from hub.protocol.console import USAGE, parse_line
from hub.protocol.errors import HubError
from hub.protocol.frames import Encoding
from hub.protocol.position import Position
from hub.protocol.publications import Publish
from hub.protocol.session import MAX_BEFORE_AUTH, HelpRequested, Session

PING = b'{"type":"ping","id":7}'
AUTH = b'{"type":"authenticate","id":1,"token":"t"}'


def open_session(encoding: Encoding = Encoding.JSON, *, console: bool = False) -> Session:
    session = Session(encoding, console)
    session.opened()
    return session


def refused(session: Session, data: bytes, *, text: bool = True) -> HubError:
    with pytest.raises(HubError) as found:
        session.receive(data, text)
    return found.value


def test_waiting_takes_a_token_only() -> None:
    session = Session(Encoding.JSON, console=False)
    error = refused(session, PING)
    assert error.code is ErrorCode.UNAUTHENTICATED
    assert session.last_id == 7
    assert session.receive(AUTH, True) == Authenticate(1, "t")
    session.opened()
    assert session.receive(PING, True) == Ping(7)
    assert session.receive(AUTH, True) == Authenticate(1, "t")


def test_ten_bad_ones_in_a_row_are_too_many() -> None:
    session = open_session()
    for _ in range(9):
        refused(session, b"{}")
    session.receive(PING, True)
    for count in range(10):
        assert not session.exhausted, count
        refused(session, b'{"type":"nothing"}')
    assert session.exhausted


def test_before_the_token_16_kib_are_read() -> None:
    session = Session(Encoding.JSON, console=False)
    padding = b" " * 2000
    for _ in range(8):
        assert refused(session, PING + padding).code is ErrorCode.UNAUTHENTICATED
        assert not session.exhausted
    assert "16384 bytes" in refused(session, AUTH + padding).reason
    assert session.exhausted


def test_a_token_that_is_too_long_is_not_even_tried() -> None:
    session = Session(Encoding.JSON, console=False)
    refused(session, json.dumps({"type": "authenticate", "token": "x" * MAX_BEFORE_AUTH}).encode())
    assert session.exhausted


@pytest.mark.parametrize(("encoding", "text"), [(Encoding.JSON, False), (Encoding.MSGPACK, True)])
def test_a_frame_of_the_wrong_kind(encoding: Encoding, text: bool) -> None:
    data = PING if encoding is Encoding.JSON else msgpack.packb({"type": "ping"})
    assert refused(open_session(encoding), data, text=text).code is ErrorCode.BAD_MESSAGE


def test_an_array_is_no_message() -> None:
    error = refused(open_session(), b"[" + PING + b"]")
    assert error.code is ErrorCode.BAD_MESSAGE
    assert "array" in error.reason


@pytest.mark.parametrize("console", [True, False])
def test_lines_are_for_those_who_asked_for_no_subprotocol(console: bool) -> None:
    session = open_session(console=console)
    if console:
        assert session.receive(b"ping", True) == Ping(None)
        assert session.receive(PING, True) == Ping(7)
        with pytest.raises(HelpRequested):
            session.receive(b"help", True)
        assert not session.exhausted
    else:
        assert refused(session, b"ping").code is ErrorCode.BAD_MESSAGE


LINES: list[tuple[str, Any]] = [
    ("auth a.b.c", Authenticate(None, "a.b.c")),
    ("  sub job:42  ", Subscribe(None, "job:42")),
    ("sub job:42 since k3f9:12", Subscribe(None, "job:42", Position("k3f9", 12))),
    ("unsub job:42", Unsubscribe(None, "job:42")),
    ('pub doc:7 cursor {"x": 1}', Publish(None, "doc:7", "cursor", b'{"x": 1}')),
    ("pub doc:7 note 5", Publish(None, "doc:7", "note", b"5")),
    ("who doc:7", ListPresence(None, "doc:7")),
    ("history job:42 10", ReadHistory(None, "job:42", None, 10)),
    ("history job:42", ReadHistory(None, "job:42")),
    ("ping", Ping(None)),
]


@pytest.mark.parametrize(("line", "command"), LINES)
def test_every_line(line: str, command: Any) -> None:
    assert open_session(console=True).receive(line.encode(), True) == command


@pytest.mark.parametrize(
    "line",
    [
        *("auth", "sub", "sub job:42 since", "sub job:42 since x", "sub job:42 until k3f9:1", "unsub", "who"),
        *("pub", "pub doc:7", "pub doc:7 x", "pub doc:7 x {", "history", "history a b", "history job:1 x"),
        *("", " ", "SUB job:42", "quit", "\x00", "sub job:42 since k3f9:99999999999999999"),
    ],
)
def test_lines_that_are_wrong(line: str) -> None:
    error = refused(open_session(console=True), line.encode())
    assert error.code in {ErrorCode.BAD_MESSAGE, ErrorCode.UNKNOWN_TYPE}
    word = line.strip().partition(" ")[0]
    if word in USAGE and "{" not in line and "99" not in line and not line.endswith(" x"):
        assert USAGE[word] in error.reason


@given(st.text(max_size=60))
def test_any_line_is_a_message_or_is_refused(line: str) -> None:
    try:
        assert isinstance(parse_line(line)["type"], str)
    except HubError as error:
        assert error.code in {ErrorCode.BAD_MESSAGE, ErrorCode.UNKNOWN_TYPE}  # noqa: PT017


@given(st.binary(max_size=100), st.booleans(), st.sampled_from(Encoding), st.booleans(), st.booleans())
def test_any_message_is_a_command_or_is_refused(
    data: bytes, text: bool, encoding: Encoding, console: bool, opened: bool
) -> None:
    session = Session(encoding, console and encoding is Encoding.JSON)
    if opened:
        session.opened()
    try:
        data.decode()
    except UnicodeDecodeError:
        text = False  # the transports see to it: text is UTF-8
    with contextlib.suppress(HubError, HelpRequested):
        session.receive(data, text)


def test_no_line_with_a_token_is_echoed() -> None:
    session = open_session(console=True)
    for line in (b"Auth eyJhbGciOi.secret", b"auht eyJhbGciOi.secret", b"eyJhbGciOi.secret"):
        assert "secret" not in refused(session, line).reason
