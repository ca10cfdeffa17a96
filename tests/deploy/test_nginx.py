"""The shipped nginx.conf before two real nodes over a real Redis; one of them is killed."""

import asyncio
import contextlib
import json
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from ..broker.redis.servers import RedisServer
from ..cli.readme import ROOT
from ..support.pace import SCALE
from ..support.server import RunningHub, free_port, running_hub
from ..support.wire import Wire, connect

DEADLINE_S = 20.0
CONFIG = (ROOT / "deploy" / "nginx.conf").read_text()


@pytest.fixture
def nodes(redis: RedisServer) -> Iterator[list[RunningHub]]:
    with contextlib.ExitStack() as stack:
        settings: dict[str, Any] = {"broker": redis.url, "trusted_proxies": ["127.0.0.1"]}
        yield [stack.enter_context(running_hub(**settings)) for _ in range(2)]


class Nginx:
    """nginx with the shipped configuration, its addresses and ports exchanged for those of the test."""

    def __init__(
        self, folder: Path, nodes: list[RunningHub], changes: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/ws"
        self._log = folder / "access.log"
        self._errors = folder / "error.log"
        text = CONFIG.replace("listen 8080", f"listen 127.0.0.1:{self.port}")
        for before, after in (changes or {}).items():
            assert before in text
            text = text.replace(before, after)
        text = text.replace("/dev/stdout", str(self._log)).replace("/dev/stderr", str(self._errors))
        for number, node in enumerate(nodes, 1):
            text = text.replace(f"hub{number}:8000", f"127.0.0.1:{node.port}")
        lines = [line for line in text.splitlines() if not re.search(r"hub\d:8000", line)]
        config = folder / "nginx.conf"
        config.write_text(f"daemon off;\npid {folder}/nginx.pid;\n" + "\n".join(lines))
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self.process = subprocess.Popen(
            [program, "-p", str(folder), "-e", str(self._errors), "-c", str(config)]
        )

    def log(self) -> str:
        return self._log.read_text() + self._errors.read_text()

    async def ready(self) -> None:
        async with asyncio.timeout(DEADLINE_S * SCALE), httpx.AsyncClient(trust_env=False) as http:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get(f"{self.url}/openapi.json")).status_code == 200:
                        return
                assert self.process.poll() is None, self._errors.read_text()
                await asyncio.sleep(0.05)


@pytest.fixture
async def nginx(tmp_path: Path, nodes: list[RunningHub]) -> AsyncIterator[Nginx]:
    server = Nginx(tmp_path, nodes)
    try:
        await server.ready()
        yield server
    finally:
        server.process.terminate()
        await asyncio.to_thread(server.process.wait, DEADLINE_S)


async def publish(nginx: Nginx, key: str, count: int, start: int = 0) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, trust_env=False) as http:
        for number in range(start, start + count):
            body = {"channel": "doc:n", "event": "tick", "payload": number, "event_id": f"e_{number}"}
            answer = await http.post(f"{nginx.url}/v1/publish", json=body)
            assert answer.status_code == 200, answer.text


async def ticks(wire: Wire, count: int) -> list[int]:
    return [(await wire.expect("tick", 10.0))["payload"] for _ in range(count)]


async def test_a_client_goes_on_at_the_other_node_when_one_is_killed(
    nginx: Nginx, nodes: list[RunningHub]
) -> None:
    first = nodes[0]
    token = first.secret(first.token("ann", subscribe=["doc:*"]))
    async with contextlib.AsyncExitStack() as stack:
        # As many as it takes to have one on each node: nginx sends newcomers where the fewest are.
        wires = [
            await stack.enter_async_context(connect(nginx.ws_url, token, place="query")) for _ in range(4)
        ]
        by_node: dict[str, Wire] = {wire.welcome["node"]: wire for wire in wires}
        assert len(by_node) == 2
        places = {node: await wire.ask("subscribe", channel="doc:n") for node, wire in by_node.items()}
        await publish(nginx, first.api_key, 10)
        for wire in by_node.values():
            assert await ticks(wire, 10) == list(range(10))

        lost = httpx.get(f"{first.url}/readyz", trust_env=False).json()["node"]
        (other,) = set(by_node) - {lost}
        first.process.send_signal(signal.SIGKILL)
        assert await by_node[lost].closed() == 1006
        await publish(nginx, first.api_key, 10, start=10)
        since = {"epoch": places[lost]["epoch"], "offset": places[lost]["offset"] + 10}
        async with connect(nginx.ws_url, token, place="query") as again:
            assert again.welcome["node"] == other
            back = await again.ask("subscribe", channel="doc:n", since=since)
            assert (back["recovered"], back["missed"]) == (True, 10)
            assert await ticks(again, 10) == list(range(10, 20))
        assert await ticks(by_node[other], 10) == list(range(10, 20))

    log = nginx.log()
    assert '"GET /ws" 101' in log
    assert "token" not in log
    assert token not in log


async def test_what_passes_and_what_does_not(nginx: Nginx, nodes: list[RunningHub]) -> None:
    node = nodes[0]
    token = node.token("ben", subscribe=["doc:*"])
    async with connect(nginx.ws_url, token, place="query", origin=nginx.url) as wire:
        # A page of nginx's own host is one of the hub's own host; the address that counts is the client's.
        assert wire.welcome["user"] == "ben"
        found = node.http().get("/v1/connections", params={"connection": wire.id}).json()["connections"]
        assert [each["address"] for each in found] == ["127.0.0.1"]
    with pytest.raises(InvalidStatus) as refused:
        async with connect(nginx.ws_url, token, place="query", origin="https://evil.example"):
            pass
    assert refused.value.response.status_code == 403
    async with connect(
        nginx.ws_url, token, place="query", headers={"X-Forwarded-For": "203.0.113.9"}
    ) as wire:
        found = node.http().get("/v1/connections", params={"connection": wire.id}).json()["connections"]
        assert [each["address"] for each in found] == ["127.0.0.1"], "a made-up address was believed"
    async with httpx.AsyncClient(base_url=nginx.url, trust_env=False) as http:
        for inside in ("/metrics", "/livez", "/readyz"):
            assert (await http.get(inside)).status_code == 404
        big = json.dumps({"payload": "x" * 9_000_000})
        assert (await http.post("/v1/publish", content=big)).status_code == 413
    assert re.search(r"token|ticket", nginx.log()) is None
