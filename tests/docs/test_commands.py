"""The commands of pages that are no guide of their own, as they stand there, under ``set -eu``: at one hub."""

import argparse
import asyncio
import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

import loadtest.cli
from hub.settings import Settings, unknown_variables

from ..broker.redis.servers import RedisServer
from ..cli.command import clean_environment
from ..cli.command import hub as command
from ..faults import FAULTS
from ..faults import __main__ as faults
from ..support.backend import SECRET
from ..support.markdown import ROOT, Block
from ..support.pace import SCALE, patience
from ..support.server import API_KEY, JWT_SECRET, RunningHub, free_port, running_hub
from ..support.wire import connect
from .pages import before, of

PUBLISH, SOURCE, STREAM = of("docs/http.md", "sh")
ANSWERS = [block for block in of("docs/http.md", "json") if "event_id" in block.text]
(WEBHOOKS,) = of("docs/webhooks.md", "sh")
COMPOSE, NIGHT = of("docs/deploying.md", "sh")
BRIDGE, *_, DAPR = of("docs/sources.md", "sh")
EXPORTS = [
    COMPOSE,
    *(
        block
        for name in ("centrifugo", "console", "settings", "tokens")
        for block in of(f"docs/{name}.md", "sh")
    ),
]
DEVELOPING = [*of("docs/reliability.md", "sh"), *of("loadtest/README.md", "sh")]
BEFORE = [block for block in before() if block.kind == "sh"]
LOOKS_AT = [PUBLISH, SOURCE, STREAM, WEBHOOKS, NIGHT, BRIDGE, DAPR, *EXPORTS, *DEVELOPING, *BEFORE]

BASH = ("bash", "-euo", "pipefail", "-c")
OPS = "ops-key-0123456789abcdef"
STREAM_KEYS = ("retry", "id", "event", "data")


class Taken(BaseHTTPRequestHandler):
    """An endpoint of webhooks that is content."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    endpoint = HTTPServer(("127.0.0.1", 0), Taken)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{endpoint.server_port}/hub"
    billing = {"name": "billing", "url": url, "secret": SECRET, "channels": ["order:*"]}
    keys = {"svc": API_KEY, "ops": {"key": OPS, "admin": "write", "subscribe": ["*"], "publish": ["*"]}}
    with running_hub(api_keys=keys, webhooks=[billing], webhook_allow=["127.0.0.0/8"]) as running:
        running.secret(OPS)
        yield running
    endpoint.shutdown()
    endpoint.server_close()


def environment(**settings: str) -> dict[str, str]:
    beside = Path(sys.executable).parent
    path = f"{beside}{os.pathsep}{os.environ['PATH']}"
    return {**clean_environment(**settings), "PATH": path, "NO_PROXY": "*", "PYTHONUNBUFFERED": "1"}


def as_ann(hub: RunningHub) -> dict[str, str]:
    return environment(url=hub.url, api_key=API_KEY, token=hub.token("ann", subscribe=["job:*"]))


def shell(text: str, folder: Path, environment: dict[str, str]) -> str:
    """What a block prints, which ends at the first command that fails."""
    done = subprocess.run(
        [*BASH, text],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60 * SCALE,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextlib.asynccontextmanager
async def live(text: str, folder: Path, environment: dict[str, str]) -> AsyncIterator[asyncio.StreamReader]:
    """What a block goes on printing; all that it has started ends with the context."""
    process = await asyncio.create_subprocess_exec(
        *BASH,
        text,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        async with patience(30):
            await process.communicate()


async def until(printed: asyncio.StreamReader, *marks: str) -> str:
    """Read until all marks were printed."""
    found = ""
    async with patience(30):
        while any(mark not in found for mark in marks):
            line = (await printed.readline()).decode()
            assert line, found
            found += line
    return found


# At a hub that runs


def test_what_is_published_is_answered_as_the_page_says(hub: RunningHub, tmp_path: Path) -> None:
    for block, shown in zip((PUBLISH, SOURCE), ANSWERS, strict=True):
        answer, example = json.loads(shell(block.text, tmp_path, as_ann(hub))), json.loads(shown.text)
        assert list(answer) == list(example)
        assert answer["channel"] == example["channel"]
    assert json.loads(shell(SOURCE.text, tmp_path, as_ann(hub)))["duplicate"] is True


async def test_a_stream_goes_on_in_blocks_like_those_of_the_page(hub: RunningHub, tmp_path: Path) -> None:
    async with live(STREAM.text, tmp_path, as_ann(hub)) as printed:
        found = await until(printed, "event: hub.subscribed")
        await asyncio.to_thread(hub.publish, "job:42", "job_status", {"state": "running"}, key="42")
        found += await until(printed, "event: job_status", "data: ")
    assert {line.partition(":")[0] for line in found.split("\n") if line} <= set(STREAM_KEYS)


def typed(line: str, folder: Path, hub: RunningHub, **who: str) -> str:
    """A line with a command of the hub's, which ends with 0; in this process, as starting one costs most."""
    words = [os.path.expandvars(word) for word in shlex.split(line, comments=True)]
    assert words[0] == "hub"
    result = command(*words[1:], folder=folder, url=hub.url, **who)
    assert result.status == 0, f"{line}\n{result.out}\n{result.err}"
    return result.out


def test_webhooks_are_tried_and_switched(hub: RunningHub, tmp_path: Path) -> None:
    said = [typed(line, tmp_path, hub, api_key=OPS) for line in WEBHOOKS.text.splitlines()]
    assert "billing" in said[0]
    assert said[1] == "billing: taken\n"
    assert "disabled" in said[2]
    assert "disabled" not in said[3]


async def test_what_is_typed_at_night(
    hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = hub.token("ann", subscribe=["job:*"])
    monkeypatch.setenv("HUB_TOKEN", token)
    await asyncio.to_thread(hub.publish, "job:42", "job_status", {"state": "running"}, key="42")
    async with connect(hub.ws_url, token) as ann:
        await ann.ask("subscribe", channel="job:42")
        for line in NIGHT.text.splitlines():
            await _typed_at_night(line, tmp_path, hub, token)


async def _typed_at_night(line: str, folder: Path, hub: RunningHub, token: str) -> None:
    if line.startswith("hub subscribe"):  # it goes on until it is interrupted
        async with live(line, folder, environment(url=hub.url, token=token)) as printed:
            assert '"running"' in await until(printed, "}\n")
        return
    if line.startswith("hub top"):  # so does this
        line = line.replace("top", "top --once", 1)
    who = {"jwt_secret": JWT_SECRET} if "explain-token" in line else {"api_key": OPS}
    assert await asyncio.to_thread(typed, line, folder, hub, **who)


# Settings in the environment


@pytest.mark.parametrize("block", EXPORTS, ids=str)
def test_exports_are_settings(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is started with them here has them taken: ``docker`` has no engine where tests run."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\n[ $1 = compose ]\n")
    docker.chmod(0o755)
    given = {**environment(), "HMAC_SECRET_KEY": "k" * 32}
    given["PATH"] = f"{tmp_path}:{given['PATH']}"
    printed = shell(f"{block.text}\nenv -0", tmp_path, given)
    found = dict(each.partition("=")[::2] for each in printed.split("\0") if each.startswith("HUB_"))
    assert found
    assert unknown_variables(found) == []
    for name in [each for each in os.environ if each.startswith("HUB_")]:
        monkeypatch.delenv(name)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    assert {name.removeprefix("HUB_").lower() for name in found} <= settings.model_fields_set


# Commands for who works on the hub: known, but too long to be run by another test


class Accepted(Exception):
    """The words of a command were understood."""


@pytest.mark.parametrize("block", DEVELOPING, ids=str)
def test_commands_for_developers_are_known(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    parse = argparse.ArgumentParser.parse_args

    def accepts(self: argparse.ArgumentParser, *args: Any) -> Any:
        raise Accepted(parse(self, *args))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", accepts)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    for line in block.text.splitlines():
        first, *words = shlex.split(line, comments=True)
        if first == "python":
            _known(words[1], words[2:], monkeypatch)
        elif first == "make":
            assert set(words) <= set(targets)
        else:
            assert line.startswith("pip install -e '.[loadtest]'")


def _known(module: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [module, *words])
    mains = {"tests.faults": faults.main, "loadtest": loadtest.cli.main}
    with pytest.raises(Accepted) as caught:
        mains[module]()
    (found,) = caught.value.args
    only = getattr(found, "only", None) or []
    names = {fault.name for fault in FAULTS}
    assert all(name in names or name.startswith("bridge-") for name in only)


# Around systems of other makers


ORDERS = """
[[bridges]]
name = "orders"
kind = "redis_stream"
url = "{url}"
streams = ["orders"]
channel = "order:{{data.order}}"
event = "{{data.kind}}"

[dapr]
token = "the-app-api-token"

[[dapr.subscriptions]]
name = "orders"
pubsub = "pubsub"
topic = "order-created"
channel = "order:{{data.aggregate_id}}"
event = "{{data.event_type}}"
"""


@pytest.mark.sources
async def test_a_hub_and_its_bridge_by_two_commands(tmp_path: Path) -> None:
    port = free_port()
    given = environment(port=str(port), url=f"http://127.0.0.1:{port}", drain_notice="0", drain_seconds="0")
    headers = {"Authorization": "Bearer a-key-of-16-bytes-or-more"}
    async with RedisServer(tmp_path) as redis:
        (tmp_path / "hub.toml").write_text(ORDERS.format(url=redis.url))
        async with live(BRIDGE.text, tmp_path, given):
            await redis.command("XADD", "orders", "*", "data", '{"order":"7","kind":"paid"}')
            async with httpx.AsyncClient(base_url=given["HUB_URL"], headers=headers, trust_env=False) as http:
                assert (await _answered(http, "/v1/channels/order:7/history", "paid"))["events"]


@pytest.mark.sources
async def test_a_sidecar_starts_the_hub(tmp_path: Path) -> None:
    """What stands behind ``--`` is started with the sidecar's token, as Dapr does."""
    port = free_port()
    dapr = tmp_path / "dapr"
    dapr.write_text('#!/bin/bash\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n')
    dapr.chmod(0o755)
    (tmp_path / "hub.toml").write_text(ORDERS.format(url="redis://127.0.0.1:1"))
    given = environment(port=str(port), jwt_secret=JWT_SECRET, drain_notice="0", drain_seconds="0")
    given["PATH"] = f"{tmp_path}:{given['PATH']}"
    headers = {"dapr-api-token": "the-app-api-token"}
    async with (
        live(DAPR.text, tmp_path, given),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as http,
    ):
        assert await _answered(http, "/dapr/subscribe", "order-created")


async def _answered(http: httpx.AsyncClient, path: str, mark: str) -> Any:
    """The answer, once the mark stands in it."""
    async with patience(60):
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await http.get(path)
                if mark in answer.text:
                    return answer.json()
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("block", BEFORE, ids=str)
def test_what_stood_before_is_shell(block: Block) -> None:
    subprocess.run(["bash", "-n", "-c", block.text], check=True)
