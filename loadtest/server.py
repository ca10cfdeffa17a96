"""A measured server as a process: started, pinned, awaited, read, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.accounting import Usage, process_tree, read_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.targets.base import Target

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0


class Down(Exception):
    """The server did not start, or ended while it was measured."""


class Server:
    """The running process of one target."""

    def __init__(self, target: Target, process: subprocess.Popen[bytes] | None, log: Path) -> None:
        self.target = target
        self.process = process
        self._log = log

    @property
    def pid(self) -> int:
        if self.process is None:
            raise Down("the server was not started here, so its costs cannot be read: leave --url out")
        return self.process.pid

    @property
    def measurable(self) -> bool:
        return self.process is not None

    def usage(self, *, memory: bool = False) -> Usage:
        self.check()
        return read_usage(self.pid, memory=memory)

    def check(self) -> None:
        if self.process is not None and self.process.poll() is not None:
            raise Down(f"{self.target.title} ended with {self.process.returncode}:\n{self.log_tail()}")

    def log_tail(self, size: int = 2000) -> str:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return text[-size:]

    def wait_ready(self) -> None:
        """Until the port accepts; for the hub the process binds only when it can serve."""
        ends = time.monotonic() + _START_SECONDS
        while True:
            self.check()
            try:
                socket.create_connection((self.target.host, self.target.port), 1.0).close()
                socket.create_connection((self.target.host, self.target.publish_port), 1.0).close()
                return
            except OSError as error:
                if time.monotonic() > ends:
                    raise Down(
                        f"{self.target.title} does not accept connections on {self.target.host}:"
                        f"{self.target.port}: {error}\n{self.log_tail()}"
                    ) from error
                time.sleep(0.05)

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        tree = process_tree(self.pid)
        self.process.send_signal(signal.SIGKILL)  # nothing of it is kept, and a drain would take its time
        self.process.wait(_STOP_SECONDS)
        for pid in tree[1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # went with its parent


@contextmanager
def running(target: Target, core: set[int], *, url: bool = False) -> Iterator[Server]:
    """Start the target pinned to ``core`` (or take a running one with ``url``), and stop it after."""
    with tempfile.TemporaryDirectory(prefix="loadtest-") as folder:
        scratch = Path(folder)
        log = scratch / "server.log"
        server = Server(target, None if url else _spawn(target, core, scratch, log), log)
        try:
            server.wait_ready()
            yield server
        finally:
            server.stop()


def _spawn(target: Target, core: set[int], scratch: Path, log: Path) -> subprocess.Popen[bytes]:
    command = target.command(scratch)
    with log.open("wb") as sink:
        return subprocess.Popen(
            command.arguments,
            cwd=command.directory,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **command.environment},
            preexec_fn=lambda: os.sched_setaffinity(0, core),
        )
