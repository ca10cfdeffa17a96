"""A real hub in a process of its own, for tests that want the whole of it.

    with running_hub(allowed_origins=["https://example.com"]) as hub:
        token = hub.token("ann", subscribe=["job:*"])
        hub.http().post("/v1/publish", json={...})

At the end the process is stopped by its id, and its log must hold no stack trace and no secret.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import httpx
import jwt

from .pace import SCALE

START_S = 20.0
STOP_S = 20.0
API_KEY = "test-service-key-0123456789abcdef"
JWT_SECRET = "test-secret-of-at-least-thirty-two-bytes"

_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.")
_BIND_TRIES = 5


class RunningHub:
    """One `hub serve`. Made by `running_hub`."""

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, log_path: Path, *, tls: bool = False
    ) -> None:
        self.tls = tls
        self.process = process
        self.port = port
        self.api_key = API_KEY
        self._log_path = log_path
        self._secrets = {API_KEY, JWT_SECRET}
        self._clients = contextlib.ExitStack()

    @property
    def pid(self) -> int:
        """The process's id (of the first process, where there are workers)."""
        return self.process.pid

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port``, or ``https://…``."""
        return f"http{'s' * self.tls}://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """``ws://127.0.0.1:port/ws``."""
        return f"ws{'s' * self.tls}://127.0.0.1:{self.port}/ws"

    def token(
        self, user: str, *, ttl: float = 3600.0, claims: dict[str, Any] | None = None, **grants: Any
    ) -> str:
        """A token of `user`; `grants` are the fields of the claim `hub`, `claims` go beside it."""
        now = time.time()
        body = {"sub": user, "iat": int(now), "exp": now + ttl, "hub": grants, **(claims or {})}
        return self.secret(jwt.encode(body, JWT_SECRET, "HS256"))

    def secret(self, text: str) -> str:
        """`text` must never stand in the hub's log; returns it."""
        self._secrets.add(text)
        return text

    def http(self, credentials: str | None = API_KEY) -> httpx.Client:
        """An HTTP client with an API key or a token, closed together with the hub."""
        headers = {} if credentials is None else {"Authorization": f"Bearer {credentials}"}
        timeout = 10.0 * SCALE
        client = httpx.Client(base_url=self.url, headers=headers, timeout=timeout, trust_env=False)
        return self._clients.enter_context(client)

    def publish(
        self, channel: str, event: str = "tick", payload: Any = None, **fields: Any
    ) -> dict[str, Any]:
        """Publish one event as a service; the answer."""
        body = {"channel": channel, "event": event, "payload": payload, **fields}
        headers = {"Authorization": f"Bearer {self.api_key}"}
        answer = httpx.post(f"{self.url}/v1/publish", json=body, headers=headers, trust_env=False)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def log(self) -> str:
        """All that the hub has logged so far."""
        return self._log_path.read_text(errors="replace")

    def cpu_seconds(self) -> float:
        """CPU time that the process has used, user and system (Linux only)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Stop the process; its exit status. A second call changes nothing."""
        self._clients.close()
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(STOP_S * SCALE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the hub did not stop in {STOP_S * SCALE:g} s:\n{self.log()}") from None

    def check_log(self) -> None:
        """No stack trace and no secret in the log."""
        log = self.log()
        assert "Traceback" not in log, log
        for secret in self._secrets:
            assert secret not in log, f"a secret of the test stands in the hub's log:\n{log}"
        assert _TOKEN.search(log) is None, f"something like a token stands in the hub's log:\n{log}"


@contextlib.contextmanager
def running_hub(*args: str, source: Path | None = None, **settings: Any) -> Iterator[RunningHub]:
    """A hub that serves, with settings by their names in lower case; values that are no strings become JSON.

    `args` follow ``hub serve --host 127.0.0.1 --port N``. The signing secret and one API key are set; it
    drains at once. An async test closes its sockets before the block ends: stopping blocks its loop.
    `source`: a folder with another release's package.
    """
    with tempfile.TemporaryDirectory(prefix="hub-test-") as folder:
        hub = _start(args, _environment(settings), Path(folder), source)
        try:
            yield hub
        except BaseException:
            sys.stderr.write(f"--- log of the hub\n{hub.log()}\n---\n")
            hub.stop()
            raise
        hub.stop()
        hub.check_log()


def _environment(settings: dict[str, Any]) -> dict[str, str]:
    given = {
        "jwt_secret": JWT_SECRET,
        "api_keys": {"svc": API_KEY},
        "drain_notice": 0,
        "drain_seconds": 0,
        **settings,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    for name, value in given.items():
        if value is not None:
            environment[f"HUB_{name.upper()}"] = value if isinstance(value, str) else json.dumps(value)
    return environment


def _start(
    args: tuple[str, ...], environment: dict[str, str], folder: Path, source: Path | None = None
) -> RunningHub:
    """Start; again on another port where somebody else was quicker to take it."""
    program = [_script()]
    if source is not None:
        program = [sys.executable, "-m", "hub"]
        environment = {**environment, "PYTHONPATH": str(source)}
    for attempt in range(_BIND_TRIES):
        port = free_port()
        log_path = folder / f"hub-{attempt}.log"
        command = [*program, "serve", "--host", "127.0.0.1", "--port", str(port), *args]
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        hub = RunningHub(process, port, log_path, tls="HUB_TLS_CERT" in environment)
        if _wait_until_live(hub):
            return hub
        if "address already in use" not in hub.log().lower():
            break
    raise AssertionError(f"the hub ended with status {process.returncode}:\n{hub.log()}")


def _wait_until_live(hub: RunningHub) -> bool:
    """Whether it lives; False where the process has ended."""
    deadline = time.monotonic() + START_S * SCALE
    while time.monotonic() < deadline:
        if hub.process.poll() is not None:
            return False
        if _answers(hub):
            return True
        time.sleep(0.02)
    hub.stop(signal.SIGKILL)
    raise AssertionError(f"the hub did not answer /livez in {START_S * SCALE:g} s:\n{hub.log()}")


def _answers(hub: RunningHub) -> bool:
    anybody = ssl._create_unverified_context() if hub.tls else None
    connection = (
        HTTPConnection("127.0.0.1", hub.port, timeout=1.0)
        if anybody is None
        else HTTPSConnection("127.0.0.1", hub.port, timeout=1.0, context=anybody)
    )
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _script() -> str:
    """The command `hub` of this Python's environment."""
    beside = Path(sys.executable).with_name("hub")
    found = str(beside) if beside.exists() else shutil.which("hub")
    assert found is not None, "the command hub is not installed: pip install -e ."
    return found
