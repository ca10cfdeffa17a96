"""A Redis server of the load test's own, on a free port, without persistence."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loadtest.machine import Unfit, cores, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def own_redis() -> Iterator[str]:
    """Its ``redis://`` URL while it runs."""
    program = shutil.which("redis-server")
    if program is None:
        raise Unfit("redis-server is not installed")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="loadtest-redis-") as folder:
        process = subprocess.Popen(
            [
                program,
                "--port",
                str(port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                folder,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.sched_setaffinity(process.pid, cores()[1])
        try:
            _await(process, port)
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait(10)


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    ends = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > ends:
                raise Unfit("redis-server did not start") from error
            time.sleep(0.05)
