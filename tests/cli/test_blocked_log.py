"""A hub whose log is a pipe that nobody reads goes on as if nothing were, and says later what was left out."""

import fcntl
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import httpx

from ..support.pace import SCALE
from ..support.server import JWT_SECRET, free_port
from .command import clean_environment

F_SETPIPE_SZ = 1031
ROOM = 4096  # bytes, the least that a pipe has
REFUSED = 200


def test_a_pipe_that_nobody_reads_does_not_stop_a_hub(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, ROOM)
    port = free_port()
    command = [str(Path(sys.executable).with_name("hub")), "serve", "--port", str(port)]
    environment = clean_environment(jwt_secret=JWT_SECRET, log_level="DEBUG", drain_notice="0")
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer
    )
    os.close(writer)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20 * SCALE) as http:
            _until_live(http, process)
            for number in range(REFUSED):  # an address each: no two lines of them are merged
                _refused(http, number)
            assert select.select([reader], [], [], 0)[0]
            said = os.read(reader, 2 * ROOM)
            assert len(said) <= ROOM
            assert http.get("/readyz").status_code == 200
            _refused(http, REFUSED)
            assert b" lines were left out: nobody read them" in _read(reader)
        process.terminate()
        assert process.wait(30 * SCALE) == 0, "it ends, too"
    finally:
        process.kill()
        process.wait()
        os.close(reader)


def _refused(http: httpx.Client, number: int) -> None:
    """A handshake from an origin of its own, for which a line is written."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Origin": f"https://page{number}.example",
    }
    assert http.get("/ws", headers=headers).status_code == 403


def _until_live(http: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30 * SCALE
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        try:
            if http.get("/livez").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)


def _read(reader: int) -> bytes:
    """What comes, until that is quiet."""
    found = b""
    while select.select([reader], [], [], 2 * SCALE)[0] and (piece := os.read(reader, ROOM)):
        found += piece
        if b"left out" in found:
            break
    return found
