"""Streams through nginx and HAProxy with their defaults: nothing is held back."""

import asyncio
import contextlib
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ..support.pace import SCALE
from ..support.server import RunningHub, free_port, running_hub
from ..support.sse import stream

FIRST_MS = 50

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; gzip on; gzip_types text/event-stream;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{hub}; }} }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 50s
  timeout server 50s
frontend front
  bind 127.0.0.1:{port}
  default_backend hub
backend hub
  server hub 127.0.0.1:{hub}
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub() as running:
        yield running


@pytest.fixture(params=["nginx", "haproxy"])
def front(request: pytest.FixtureRequest, hub: RunningHub, tmp_path: Path) -> Iterator[str]:
    """The address of a proxy before the hub."""
    port = free_port()
    config = tmp_path / "proxy.conf"
    text = NGINX if request.param == "nginx" else HAPROXY
    config.write_text(text.format(folder=tmp_path, port=port, hub=hub.port))
    program = shutil.which(request.param) or f"/usr/sbin/{request.param}"
    flags = ["-p", str(tmp_path), "-c"] if request.param == "nginx" else ["-db", "-f"]
    process = subprocess.Popen([program, *flags, str(config)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10 * SCALE
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/livez", trust_env=False).status_code == 200:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("lines", [False, True], ids=["sse", "ndjson"])
async def test_the_first_event_arrives_at_once(hub: RunningHub, front: str, lines: bool) -> None:
    times = []
    bearer = hub.token("ann", subscribe=["*"])
    for number in range(5):
        channel = f"doc:front-{number}-{lines}-{front[-5:]}"
        async with stream(f"{front}/v1/stream?channel={channel}", bearer, lines=lines) as opened:
            await opened.expect("hub.welcome")
            await opened.expect("hub.subscribed")
            published = asyncio.create_task(asyncio.to_thread(hub.publish, channel, "note", "first"))
            note = await opened.expect("note")
            times.append(time.time() * 1000 - note.data["time"])  # since the hub has stored it
            await published
    # The median: the machine may be busy, and what buffers does so each time.
    assert statistics.median(times) < FIRST_MS * SCALE, times
