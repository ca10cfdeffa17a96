"""Heads of requests: bounded in size and time, before anybody has said who it is."""

import contextlib
import re
import resource
import select
import socket
import time
from collections.abc import Iterator

import pytest

from ..support.pace import SCALE
from ..support.server import RunningHub, running_hub
from .test_bodies import dial, memory

HEAD_S = 0.4


@pytest.fixture(scope="module")
def quick() -> Iterator[RunningHub]:
    """A hub that does not wait long for a head."""
    with running_hub(auth_timeout=HEAD_S) as running:
        yield running


def answer_of(raw: socket.socket) -> bytes:
    """All that comes until the hub hangs up."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := raw.recv(65536):
            received += data
    return received


def test_a_head_without_end_takes_no_memory(quick: RunningHub) -> None:
    before = memory(quick)
    for _ in range(5):
        sent = 0
        with dial(quick) as raw, contextlib.suppress(ConnectionResetError, BrokenPipeError):
            raw.sendall(b"GET /livez HTTP/1.1\r\nX-Long: ")
            while sent < 20_000_000:
                sent += raw.send(b"a" * 100_000)
        assert sent < 20_000_000
    assert memory(quick) < before + 10_000_000


def test_a_head_over_the_bound_is_told_why(hub: RunningHub) -> None:
    with dial(hub) as raw:
        raw.sendall(b"GET /livez HTTP/1.1\r\n")
        sent = 0
        # Slowly: what comes in one read with the head's end is not counted.
        while sent < 200_000 and not select.select([raw], [], [], 0.002)[0]:
            sent += raw.send(b"X-Pad: %s\r\n" % (b"a" * 1000))
        answer = answer_of(raw)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"application/problem+json" in answer
    assert b"a head of over 65536 bytes" in answer


def test_large_pipelined_requests_are_no_large_head(hub: RunningHub) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: hub\r\nX-Pad: %s\r\n\r\n" % (b"a" * 7000)
    with dial(hub) as raw:
        raw.sendall(request * 40 + request[:50])
        received = b""
        while received.count(b'{"live":true}') < 40:
            data = raw.recv(65536)
            assert data, received[-300:]
            received += data
        raw.sendall(request[50:])
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: hub\r\nX-Slow: "])
def test_a_head_that_does_not_come(quick: RunningHub, sent: bytes) -> None:
    with dial(quick) as raw:
        started = time.monotonic()
        raw.sendall(sent)
        answer = answer_of(raw)
        assert b" 408 " in answer.split(b"\r\n")[0]
        assert b"application/problem+json" in answer
        assert time.monotonic() - started < HEAD_S + 5 * SCALE


def test_the_second_head_has_a_deadline_too(quick: RunningHub) -> None:
    with dial(quick) as raw:
        raw.sendall(b"GET /livez HTTP/1.1\r\nHost: hub\r\n\r\nGET /liv")
        answer = answer_of(raw)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in answer


def test_an_idle_connection_is_kept_between_requests(quick: RunningHub) -> None:
    with dial(quick) as raw:
        for _ in range(2):
            raw.sendall(b"GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n")
            received = b""
            while b'{"live":true}' not in received:
                data = raw.recv(65536)
                assert data
                received += data
            raw.settimeout(3 * HEAD_S)
            with pytest.raises(TimeoutError):
                raw.recv(1)
            raw.settimeout(10 * SCALE)


def test_more_connections_than_descriptors() -> None:
    """Strangers that open connections and say nothing, or begin requests that never end: whoever comes behind
    them is served."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        try:
            hub = stack.enter_context(running_hub(auth_timeout=30))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        http = hub.http()
        assert http.get("/livez").status_code == 200
        for number in range(1200):
            raw = stack.enter_context(dial(hub))
            if number % 3 == 0:
                raw.sendall(b"POST /v1/publish HTTP/1.1\r\nHost: hub\r\nContent-Length: 9\r\n\r\n{")
        for _ in range(20):
            assert fresh_answer(hub).startswith(b"HTTP/1.1 200 ")
            assert hub.publish("doc:1")["offset"]
        assert http.get("/livez").status_code == 200
        evicted = re.search(r"hub_http_connections_evicted_total\{.*\} (\d+)", http.get("/metrics").text)
        assert evicted is not None
        assert int(evicted[1]) > 200


def fresh_answer(hub: RunningHub) -> bytes:
    """The answer to a request on a connection of its own."""
    with dial(hub) as raw:
        raw.sendall(b"GET /livez HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
        return answer_of(raw)
