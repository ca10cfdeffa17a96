"""The last bar before a secret stands in a log."""

import fcntl
import json
import logging
import os
import sys

import pytest

from hub.cli.logs import JsonLines, NeverWaiting, Redacting, _OneLine
from hub.runtime.redaction import redacted

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.sGnat_ure-0123456789"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"GET /ws?token={TOKEN} 101", "GET /ws?token=[redacted] 101"),
        ("GET /ws?ticket=t0123&since=a:1", "GET /ws?ticket=[redacted]&since=a:1"),
        ("/ws?since=job:1@a:1&resume=AbC-9_x", "/ws?since=job:1@a:1&resume=[redacted]"),
        (f"Sec-WebSocket-Protocol: hub.v1.json, hub.token.{TOKEN}", None),
        ("Authorization: Bearer k0123456789abcdef", "Authorization: Bearer [redacted]"),
        (f"refused {TOKEN}, sorry", "refused [redacted], sorry"),
        ("no token within 10 s", "no token within 10 s"),
        ("claim hub.channels[0]: a channel", "claim hub.channels[0]: a channel"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, left: str | None) -> None:
    assert redacted(text) == (left or "Sec-WebSocket-Protocol: hub.v1.json, hub.token.[redacted]")


def test_a_record_is_one_line_without_its_secrets() -> None:
    record = logging.makeLogRecord({"name": "lib", "msg": "asked %s", "args": (f"/ws?token={TOKEN}",)})
    assert Redacting("%(name)s: %(message)s").format(record) == "lib: asked /ws?token=[redacted]"


def test_a_failed_start_says_its_sentence_only_where_the_hub_raised_it() -> None:
    stack = "Traceback (most recent call last):\n  …\n"
    ours = logging.makeLogRecord({"msg": f"{stack}hub.x.WrongServer: other ring\n"})
    bug = logging.makeLogRecord({"msg": f"{stack}KeyError: 'x'\n"})
    assert _OneLine().filter(ours)
    assert _OneLine().filter(bug)
    assert ours.getMessage() == "the hub did not start: other ring"
    assert bug.getMessage().startswith("Traceback")


def test_a_record_is_an_object_whatever_clients_put_into_it() -> None:
    """Line ends, quotes, escapes of terminals, half a surrogate pair."""
    evil = 'eve\n{"level":"CRITICAL"} \x1b[2J" \ud800'
    try:
        raise KeyError(f"?token={TOKEN}")
    except KeyError:
        stack = sys.exc_info()
    fields = {"name": "hub.clients", "levelname": "INFO", "msg": "%s asked ?token=%s", "args": (evil, TOKEN)}
    line = JsonLines().format(logging.makeLogRecord({**fields, "exc_info": stack}))
    assert line.isascii()
    assert line.isprintable()
    found = json.loads(line)
    assert set(found) == {"time", "level", "logger", "message", "stack"}
    assert found["message"] == f"{evil} asked ?token=[redacted]"
    assert found["time"].endswith("+00:00")
    assert "KeyError" in found["stack"]
    assert TOKEN not in line


def test_a_pipe_that_nobody_reads_stops_nothing() -> None:
    """The hub is one loop: a write that waits would be everybody's."""
    reader, writer = os.pipe()
    try:
        fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ
        handler = NeverWaiting(writer)
        record = logging.makeLogRecord({"msg": "x" * 100})
        for _ in range(500):
            handler.emit(record)
        left = 500 - os.read(reader, 65536).count(b"\n")
        assert left > 400
        handler.emit(record)
        first, second = os.read(reader, 65536).decode().splitlines()
        assert first == f"{left} lines were left out: nobody read them"
        assert second == "x" * 100
        assert os.get_blocking(writer), "the descriptor is other people's, too"
    finally:
        os.close(reader)
        os.close(writer)
