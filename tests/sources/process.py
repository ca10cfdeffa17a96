"""Servers and bridges as processes of a test's own: on free ports, ended by their ids."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from ..broker.redis.servers import die_with_parent
from ..support.pace import SCALE
from ..support.server import free_port

START_S = 60.0


class Process:
    """One program in `folder`, its output in a file there."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        ready: Callable[[], bool],
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self._command = list(command)
        self._folder = folder
        self._ready = ready
        self._environment = {**os.environ, **(environment or {})}
        self._user = user
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Until it is ready."""
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        deadline = time.monotonic() + START_S * SCALE
        while not self._ready():
            assert self.process.poll() is None, f"{self._command[0]} ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"{self._command[0]} is not ready:\n{self.log()}"
            time.sleep(0.05)

    def kill(self) -> None:
        """At once: it and what it has started."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """In order, or at once where that takes too long."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """It and what it has started stay, and do nothing."""
        for pid in self._family():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in self._family():
            os.kill(pid, signal.SIGCONT)

    def _family(self) -> list[int]:
        """The process and all that descends from it, by /proc (proc(5))."""
        assert self.process is not None
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                children.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(
                    int(stat.parent.name)
                )
        found = [self.process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-4000:]

    def _end(self, number: int) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        try:
            self.process.wait(20 * SCALE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def listens(port: int) -> Callable[[], bool]:
    """Whether somebody accepts connections on a port."""

    def check() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return check


class BridgeProcess(Process):
    """``hub bridge`` with the settings `text`, to the hub at `url`; `variables` of its environment go beside."""

    def __init__(self, url: str, api_key: str, text: str, folder: Path, **variables: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        (folder / "hub.toml").write_text(text)
        command = [str(Path(sys.executable).with_name("hub")), "bridge", "--port", str(self.port)]
        environment = {"HUB_URL": url, "HUB_API_KEY": api_key, **variables}
        super().__init__(command, folder, listens(self.port), environment=environment)

    def get(self, path: str) -> httpx.Response:
        """``/readyz`` and its like."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=10, trust_env=False)
