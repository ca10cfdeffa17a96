"""docs/troubleshooting.md, on two nodes, after many other ends: each command of it is typed, and what it
prints is what stands there, but for times, ids and sizes."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from ..broker.redis.servers import RedisServer
from ..cli.command import hub as command
from ..support.markdown import ROOT, blocks
from ..support.pace import SCALE
from ..support.proxy import Proxy
from ..support.server import API_KEY, RunningHub, running_hub
from ..support.wire import Wire, connect
from .test_why import KEYS, OPS, _listening, ready, upgrade

LOOKS_AT = blocks(ROOT / "docs" / "troubleshooting.md")
OTHERS = 1000 if os.environ.get("TEST_LONG") else 60  # ends of other users, before anything is asked
SETTINGS: dict[str, Any] = {
    "api_keys": KEYS,
    "allowed_origins": ["https://app.example.com"],
    "outbox_bytes": 65536,
    "write_buffer_bytes": 1024,
    "unsent_bytes": 4096,
}
_VARIES = (
    (r"\d\d:\d\d:\d\d", "<time>"),
    (r"\b([cne])_[0-9a-z]+", r"\1_<id>"),
    (r"\b[0-9a-z]{8}:(\d+)", r"<epoch>:\1"),
    (r"\b\d+ min ago", "<n> min ago"),
    (r"\bnothing for \d+ s", "nothing for <n> s"),
)


_ONE_ONLY = ("NOT COMPLETE", "on the 1 node that answered")  # the other did not come to it in time


def cases() -> dict[str, list[str]]:
    """What is typed, and what it prints."""
    shown = [block.text.removeprefix("$ ").splitlines() for block in LOOKS_AT]
    return {typed: printed for typed, *printed in shown}


def shape(words: str, lines: list[str]) -> list[str]:
    """What a command prints, without what is another time otherwise; how much waits for a slow client, the kernel
    says."""
    shapes = []
    for line in lines:
        for pattern, name in (*_VARIES, *([(r"\b\d+\b", "<n>")] if " doc:s" in words else [])):
            line = re.sub(pattern, name, line)
        shapes.append(line)
    return shapes


async def test_every_case_of_the_page(tmp_path: Path) -> None:
    wanted = cases()
    assert len(wanted) >= 11
    async with RedisServer(tmp_path / "redis") as redis:
        link = await Proxy("127.0.0.1", redis.port).start()
        try:
            with (
                running_hub(broker=redis.url, **SETTINGS) as first,
                running_hub(broker=f"redis://127.0.0.1:{link.port}", **SETTINGS) as second,
            ):
                async with _happened(first, second), _slow_now(first, second), _connected(first, second):
                    deaf = [words for words in wanted if "dora" in words]
                    found = {
                        words: await _typed(words, tmp_path, first.url)
                        for words in wanted
                        if words not in deaf
                    }
                    async with _deaf(first, second, redis, link):
                        found |= {words: await _typed(words, tmp_path, first.url) for words in deaf}
        finally:
            await link.close()
    for words, lines in found.items():
        print(f"$ {words}", *lines, "", sep="\n")
    shapes = {words: shape(words, lines) for words, lines in found.items()}
    assert shapes == {words: shape(words, printed) for words, printed in wanted.items()}


async def _typed(words: str, folder: Path, url: str) -> list[str]:
    """What a command of the page prints, at the first node; again where the machine was too busy for the other."""
    found: list[str] = []
    for _ in range(20):
        args = words.split()
        result = await asyncio.to_thread(command, *args[1:], folder=folder, url=url, api_key=OPS)
        found = (result.out + result.err).splitlines()
        if "dora" in words or not any(mark in line for mark in _ONE_ONLY for line in found):
            break
        await asyncio.sleep(0.5)
    return found


@asynccontextmanager
async def _happened(first: RunningHub, second: RunningHub) -> AsyncIterator[None]:
    """What is over when it is asked for: then many others came and went."""
    await ready(second)
    await publish(first, "job:1", key="a")
    async with httpx.AsyncClient(base_url=second.url, trust_env=False, timeout=30 * SCALE) as http:
        expired = upgrade(second.token("tom", ttl=-3600, subscribe=["job:*"]))
        assert (await http.get("/ws", headers=expired)).status_code == 401
        foreign = upgrade(second.token("paula", subscribe=["job:*"])) | {"Origin": "http://localhost:5173"}
        assert (await http.get("/ws", headers=foreign)).status_code == 403
    async with connect(first.ws_url, first.token("rita", subscribe=["job:*"])) as rita:
        await rita.ask("subscribe", channel="job:1")
        await (
            rita.websocket.pong()
        )  # its segment carries the ACK of what was read, which else waits for 40 ms
        assert first.http().post("/v1/revoke", json={"sub": "rita"}).status_code == 200
        await rita.closed()
    async with connect(second.ws_url, second.token("sid", subscribe=["doc:*"])) as sid:
        await _does_not_read(sid, "doc:sid")
        await _publish_until(first, "doc:sid", lambda: _ended(second, "sid"))
        _is_gone(sid)
    for start in range(0, OTHERS, 20):
        await asyncio.gather(
            *(_comes_and_goes(first if n % 2 else second, n) for n in range(start, start + 20))
        )
    yield


async def _comes_and_goes(node: RunningHub, number: int) -> None:
    async with connect(node.ws_url, node.token(f"other{number}", subscribe=["job:*"])):
        pass


@asynccontextmanager
async def _slow_now(first: RunningHub, second: RunningHub) -> AsyncIterator[None]:
    async with connect(second.ws_url, second.token("sam", subscribe=["doc:*"])) as sam:
        await _does_not_read(sam, "doc:sam")

        async def behind() -> bool:
            answer = await asyncio.to_thread(second.http().get, "/v1/top")
            return any(
                each["user"] == "sam" and each["bytes"]
                for node in answer.json()["nodes"]
                for each in node["slow"]
            )

        await _publish_until(first, "doc:sam", behind, size=10_000)
        yield
        _is_gone(sam)


@asynccontextmanager
async def _connected(first: RunningHub, second: RunningHub) -> AsyncIterator[None]:
    async with (
        connect(second.ws_url, second.token("wendy", subscribe=["doc:*"])) as wendy,
        connect(second.ws_url, second.token("bob", subscribe=["job:*"])) as bob,
    ):
        assert (await wendy.ask("subscribe", channel="job:1"))["code"] == "forbidden"
        await bob.ask("subscribe", channel="job:1")
        await bob.ask("subscribe", channel="job:2", max_rate=0.01)
        for payload in range(3):
            await publish(first, "job:2", key="k", payload=payload)
            if not payload:
                await bob.expect("job_status")
        await _until(lambda: _stands_at(second, "bob", "job:2", 3))
        yield


@asynccontextmanager
async def _deaf(
    first: RunningHub, second: RunningHub, redis: RedisServer, link: Proxy
) -> AsyncIterator[None]:
    async with connect(second.ws_url, second.token("dora", subscribe=["job:*"])) as dora:
        await dora.ask("subscribe", channel="job:1")
        listening = await _listening(redis, link)
        commands = {number for number in link.open_connections() if number != listening}
        link.only = lambda number: number not in commands
        link.swallowing = True
        await publish(first, "job:1", key="b")

        async def known() -> bool:
            body = {"user": "dora", "channel": "job:1"}
            http = first.http(first.secret(OPS))
            answer = await asyncio.to_thread(http.post, "/v1/explain", json=body)
            return bool(answer.json()["cause"] == "node_deaf")

        await _until(known)
        yield
        link.heal()
        link.cut()


async def publish(node: RunningHub, channel: str, **fields: Any) -> None:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with httpx.AsyncClient(
        base_url=node.url, headers=headers, trust_env=False, timeout=30 * SCALE
    ) as http:
        body = {"channel": channel, "event": "job_status", "payload": {"n": 1}, **fields}
        assert (await http.post("/v1/publish", json=body)).status_code == 200


async def _does_not_read(wire: Wire, channel: str) -> None:
    await wire.ask("subscribe", channel=channel)
    raw: socket.socket = wire.websocket.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.websocket.transport.pause_reading()


def _is_gone(wire: Wire) -> None:
    """Who does not read does not read the answer to a close either: nobody waits for that."""
    wire.websocket.transport.abort()


async def _publish_until(
    node: RunningHub, channel: str, done: Callable[[], Awaitable[bool]], size: int = 60_000
) -> None:
    for _ in range(2000):
        await publish(node, channel, payload="x" * size)
        if await done():
            return
    raise AssertionError("it went on reading")


async def _until(done: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60 * SCALE):
        while not await done():
            await asyncio.sleep(0.2)


async def _ended(node: RunningHub, user: str) -> bool:
    query = {"closed": "true", "user": user}
    answer = await asyncio.to_thread(node.http().get, "/v1/connections", params=query)
    return any(each["kind"] == "ended" for each in answer.json()["past"])


async def _stands_at(node: RunningHub, user: str, channel: str, offset: int) -> bool:
    answer = await asyncio.to_thread(node.http().get, "/v1/connections", params={"user": user})
    return any(
        each["channels"].get(channel, {}).get("top") == offset for each in answer.json()["connections"]
    )
