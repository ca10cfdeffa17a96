"""A real hub on either lane."""

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from ..support import server
from ..support.server import RunningHub, free_port, running_hub

Lane = Literal["fast", "portable"]

_SERVERS_OWN = re.compile(r"ERROR: +Invalid UTF-8 sequence.*\nTraceback.*\n(?: +.*\n)+UnicodeDecodeError.*\n")

ROOT = Path(__file__).parents[2]


class MountedHub(RunningHub):
    """A hub under ``/hub`` of another app."""

    @property
    def url(self) -> str:
        return f"{super().url}/hub"

    @property
    def ws_url(self) -> str:
        return f"{self.url.replace('http', 'ws', 1)}/ws"

    def log(self) -> str:
        """Without what uvicorn writes of a text that is not UTF-8: a stack trace of its own."""
        return _SERVERS_OWN.sub("", super().log())


@contextlib.contextmanager
def running(lane: Lane, **settings: Any) -> Iterator[RunningHub]:
    """A hub on a lane; at the end its log must be clean."""
    if lane == "fast":
        with running_hub(**settings) as hub:
            yield hub
        return
    with tempfile.TemporaryDirectory(prefix="hub-lane-") as folder:
        mounted = _start(Path(folder), settings)
        try:
            yield mounted
        except BaseException:
            sys.stderr.write(f"--- log of the hub\n{mounted.log()}\n---\n")
            mounted.stop()
            raise
        mounted.stop()
        mounted.check_log()


def _start(folder: Path, settings: dict[str, Any]) -> MountedHub:
    environment = {**server._environment(settings), "PYTHONPATH": str(ROOT)}
    port = free_port()
    log_path = folder / "hub.log"
    command = [sys.executable, "-m", "tests.transport.portable", str(port)]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    hub = MountedHub(process, port, log_path, tls="HUB_TLS_CERT" in environment)
    assert server._wait_until_live(hub), hub.log()
    return hub
