"""Offers of an upgrade that is no WebSocket, by the programs that make such and pass them on: Java's HTTP client,
curl, nginx, Go's reverse proxy. A body is a body, and no request of one becomes another's."""

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ..cli.readme import ROOT
from ..support.pace import SCALE
from ..support.server import API_KEY, RunningHub, running_hub
from .test_nginx import Nginx

CLIENTS = Path(__file__).with_name("clients")
BUILT = ROOT / "build" / "tests"
TIMEOUT_S = 60.0
SMUGGLED = b"GET /openapi.json HTTP/1.1\r\nHost: hub\r\n\r\n"
OFFERS = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    b"Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",  # by POST, so it is none
)

needs = {
    name: pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")
    for name in ("go", "java", "curl")
}


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
async def nginx(tmp_path: Path, hub: RunningHub) -> AsyncIterator[Nginx]:
    """The shipped one before the hub."""
    server = Nginx(tmp_path, [hub])
    try:
        await server.ready()
        yield server
    finally:
        server.process.terminate()
        await asyncio.to_thread(server.process.wait, TIMEOUT_S)


@pytest.fixture
def go_proxy(hub: RunningHub) -> Iterator[int]:
    """The port of a Go reverse proxy before the hub."""
    program = BUILT / "reverse_proxy"
    if not program.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        command = ["go", "build", "-o", str(program), "reverse_proxy.go"]
        subprocess.run(command, cwd=CLIENTS, check=True, timeout=10 * TIMEOUT_S)
    with subprocess.Popen([program, hub.url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def served(hub: RunningHub, route: str) -> int:
    """How many requests for a route the hub has answered."""
    text = hub.http().get("/metrics").text
    return sum(
        int(float(n)) for n in re.findall(rf'hub_http_requests_total{{[^}}]*"{route}"[^}}]*}} (\S+)', text)
    )


def offer(port: int, lines: bytes, *, split: bool) -> bytes:
    """The status line of the answer to a POST that offers an upgrade, its body another request."""
    body = SMUGGLED * 5
    head = (
        b"POST /v1/publish HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %d\r\n" % (port, len(body))
        + b"Authorization: Bearer x\r\n"
        + lines
        + b"\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=20 * SCALE) as raw:
        raw.sendall(head if split else head + body)
        if split:
            raw.settimeout(0.3)  # until the hub has answered, or waits for the body
            with contextlib.suppress(TimeoutError):
                return raw.recv(65536).partition(b"\r\n")[0]
            raw.settimeout(20 * SCALE)
            raw.sendall(body)
        return raw.recv(65536).partition(b"\r\n")[0]


def check_nobody_is_hit(hub: RunningHub, port: int) -> None:
    """Strangers offer upgrades through a proxy; those behind them on its connections get their own answers."""
    before = served(hub, "/openapi.json")
    for lines in OFFERS:
        for split in (False, True):
            status = offer(port, lines, split=split)
            assert status.split(b" ")[1] in (b"400", b"401"), status
            for _ in range(3):
                with socket.create_connection(("127.0.0.1", port), timeout=20 * SCALE) as raw:
                    raw.sendall(b"GET /v1/none HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port)
                    assert raw.recv(65536).startswith(b"HTTP/1.1 404")
    assert served(hub, "/openapi.json") == before, "a body was taken for a request"


async def test_through_the_shipped_nginx(hub: RunningHub, nginx: Nginx) -> None:
    await asyncio.to_thread(check_nobody_is_hit, hub, nginx.port)


async def test_through_an_nginx_that_passes_offers_on(hub: RunningHub, tmp_path: Path) -> None:
    """As the shipped one did, and many that are copied from page to page do."""
    server = Nginx(
        tmp_path,
        [hub],
        {
            "Upgrade $upgrade;": "Upgrade $http_upgrade;",
            "map $upgrade $conn": "map $http_upgrade $conn",
            "websocket upgrade;": "~. upgrade;",
        },
    )
    try:
        await server.ready()
        await asyncio.to_thread(check_nobody_is_hit, hub, server.port)
    finally:
        server.process.terminate()
        await asyncio.to_thread(server.process.wait, TIMEOUT_S)


async def test_a_long_token_passes_nginx(hub: RunningHub, nginx: Nginx) -> None:
    """The hub takes heads of 64 KiB; nginx's default is 8 KiB a line."""
    token = hub.token("ann", claims={"pad": "x" * 9_000})
    for node in (hub.url, nginx.url):
        answer = await asyncio.to_thread(ask_with, node, token)
        assert answer == 200


def ask_with(url: str, token: str) -> int:
    import httpx

    return httpx.post(
        f"{url}/v1/tickets", headers={"Authorization": f"Bearer {token}"}, trust_env=False
    ).status_code


@needs["go"]
def test_through_a_reverse_proxy_in_go(hub: RunningHub, go_proxy: int) -> None:
    check_nobody_is_hit(hub, go_proxy)


@needs["java"]
async def test_javas_client_publishes(hub: RunningHub, nginx: Nginx) -> None:
    """By itself, and through nginx."""
    for number, url in enumerate((hub.url, nginx.url), 1):
        command = ["java", "-XX:TieredStopAtLevel=1", str(CLIENTS / "Publish.java"), url, API_KEY]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=TIMEOUT_S * 3
        )
        assert [line.split(" ")[0] for line in done.stdout.splitlines()] == ["200"] * 5, done
        assert f'"offset":{5 * number}' in done.stdout


@needs["curl"]
def test_curl_publishes_with_an_offer_of_http2(hub: RunningHub) -> None:
    body = '{"channel":"doc:curl","event":"tick","payload":"%s"}' % (
        "x" * 30_000
    )  # more than goes with the head
    command = [
        "curl",
        "--http2",
        "--silent",
        "--show-error",
        "--max-time",
        "30",
        "--noproxy",
        "*",
        "--data-binary",
        "@-",
    ]
    headers = [
        "-H",
        f"Authorization: Bearer {API_KEY}",
        "-H",
        "Expect:",
        "-w",
        "\n%{http_code} %{http_version}",
    ]
    done = subprocess.run(
        [*command, *headers, f"{hub.url}/v1/publish"],
        input=body,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.stdout.endswith("\n200 1.1"), done
