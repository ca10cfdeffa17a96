"""Two nodes for every test: the same hub twice on the memory broker, two hubs over one Redis."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..broker.redis.servers import PROGRAM, die_with_parent
from ..support.pace import SCALE
from ..support.server import RunningHub, free_port, running_hub
from .pair import Pair

GRACE_S = 1.2
STROKE = {
    "type": "object",
    "required": ["x", "y"],
    "properties": {"x": {"type": "number", "minimum": 0}, "y": {"type": "number"}},
    "additionalProperties": False,
}
NAMESPACES: dict[str, Any] = {
    "brief": {"mode": "state", "snapshot_ttl": 0.6, "snapshot_idle_ttl": 1.5, "snapshot_keys": 20},
    "narrow": {"mode": "state", "snapshot_keys": 20},
    "mail": {"mode": "log", "inbox": True},
    "slowpub": {"mode": "ephemeral", "client_publish": True, "publish_rate": 5, "publish_burst": 5},
}


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis of its own; its URL."""
    port = free_port()
    words = [PROGRAM, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent
    )
    try:
        deadline = time.monotonic() + 10 * SCALE
        while subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True).returncode:
            assert time.monotonic() < deadline, "Redis did not start"
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def hubs(count: int, **settings: Any) -> Iterator[list[RunningHub]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(running_hub(**settings)) for _ in range(count)]


@pytest.fixture(scope="session", params=["memory", "redis"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("collab")
    (folder / "stroke.json").write_text(json.dumps(STROKE))
    form = {"mode": "log", "client_publish": True, "schema": str(folder / "stroke.json")}
    settings = {
        "namespaces": {**NAMESPACES, "form": form},
        "presence_grace": GRACE_S,
        "frame_bytes": 131_072,
        "command_rate": 10_000,
        "command_burst": 10_000,
    }
    with contextlib.ExitStack() as stack:
        if request.param == "redis":
            url = stack.enter_context(redis_server(folder))
            yield Pair(*stack.enter_context(hubs(2, broker=url, **settings)))
        else:
            (hub,) = stack.enter_context(hubs(1, **settings))
            yield Pair(hub, hub)
