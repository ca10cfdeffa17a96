"""Two nodes, many other ends, and one who asks why: each case is answered by one command."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..broker.redis.servers import RedisServer
from ..support.pace import SCALE
from ..support.proxy import Proxy
from ..support.server import API_KEY, RunningHub, running_hub
from ..support.wire import connect

OPS = "ops-key-of-the-test-0123456789"
KEYS = {"backend": API_KEY, "ops": {"key": OPS, "admin": "write"}}


class Nodes:
    """Two nodes of one hub, and the commands a person has."""

    def __init__(self, first: RunningHub, second: RunningHub) -> None:
        self.first, self.second = first, second

    async def ask(self, *words: str) -> tuple[str, dict[str, Any]]:
        """``hub explain`` at the first node: the sentence, and all of it."""
        command = [
            str(Path(sys.executable).with_name("hub")),
            "explain",
            *words,
            "--json",
            "--url",
            self.first.url,
        ]
        done = await asyncio.to_thread(
            subprocess.run,
            [*command, "--token", OPS],
            capture_output=True,
            text=True,
            timeout=60 * SCALE,
            cwd="/",
        )
        assert done.returncode == 0, done.stderr
        body = json.loads(done.stdout)
        return body["cause"], body

    async def publish(self, channel: str, **fields: Any) -> int:
        headers = {"Authorization": f"Bearer {API_KEY}"}
        async with httpx.AsyncClient(base_url=self.first.url, headers=headers, trust_env=False) as http:
            body = {"channel": channel, "event": "job_status", "payload": {"n": 1}, **fields}
            answer = await http.post("/v1/publish", json=body)
            assert answer.status_code == 200, answer.text
            offset: int = answer.json()["offset"]
            return offset


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    async with RedisServer(tmp_path / "redis") as redis:
        settings: dict[str, Any] = {
            "broker": redis.url,
            "api_keys": KEYS,
            "allowed_origins": ["https://good.example"],
            "outbox_bytes": 65536,
            "write_buffer_bytes": 1024,
            "unsent_bytes": 4096,
        }
        with running_hub(**settings) as first, running_hub(**settings) as second:
            yield Nodes(first, second)


async def test_delivered_merged_before_own_and_not_published(nodes: Nodes) -> None:
    token = nodes.second.token("bob", subscribe=["job:*", "doc:*"], publish=["doc:*"])
    old = await nodes.publish("job:1", key="1")
    async with connect(nodes.second.ws_url, token) as wire:
        epoch = (await wire.ask("subscribe", channel="job:1"))["epoch"]
        seen = await nodes.publish("job:1", key="1")
        await wire.expect("job_status")
        cause, body = await nodes.ask("--user", "bob", "--channel", "job:1", str(seen))
        assert cause == "delivered"
        assert any("was accepted by a service" in step for step in body["steps"])
        cause, body = await nodes.ask("--user", "bob", "--channel", "job:1", str(old))
        assert cause == "before"
        assert f"is older than the subscription of {wire.id} to job:1, which began at" in body["answer"]
        assert body["answer"].endswith(f":{old}: it was part of the snapshot that it began with")
        place = await wire.ask("subscribe", channel="job:1", since=f"{epoch}:{seen}")
        assert place["recovered"] is True
        cause, body = await nodes.ask("--user", "bob", "--channel", "job:1", str(seen))
        assert (cause, body["answer"].endswith("so that the client had it before")) == ("before", True), body
        assert (await nodes.ask("--user", "bob", "--channel", "job:1", "99"))[0] == "never_published"
        assert (await nodes.ask("--user", "bob", "--channel", "job:1", "e_nope"))[0] == "never_published"
        cause, body = await nodes.ask("--user", "bob", "--channel", "job:11")
        assert cause == "never_published"
        assert "did you mean job:1?" in body["answer"], "a typo in the channel"
        cause, body = await nodes.ask("--user", "bob", "--channel", "jobs:1")
        assert cause == "unknown_namespace"
        assert "did you mean job:1?" in body["answer"], "a typo in the namespace"
        await wire.ask("subscribe", channel="job:2", max_rate=0.05)
        first = await nodes.publish("job:2", key="k")
        await wire.expect("job_status")
        held = await nodes.publish("job:2", key="k")
        newer = await nodes.publish("job:2", key="k")
        await asyncio.sleep(0.2)
        cause, body = await nodes.ask("--user", "bob", "--channel", "job:2", str(held))
        assert (cause, f"into {newer}" in body["answer"]) == ("merged", True), body
        assert (await nodes.ask("--user", "bob", "--channel", "job:2", str(first)))[0] == "delivered"
        assert (await nodes.ask("--connection", wire.id, "--channel", "job:3"))[0] in (
            "never_published",
            "not_subscribed",
        )
    cause, body = await nodes.ask("--connection", wire.id, "--channel", "job:1", str(old))
    assert (cause, f"is older than the subscription of {wire.id}" in body["answer"]) == ("before", True), body


async def test_a_node_that_is_deaf(tmp_path: Path) -> None:
    """What listens on the second node hears nothing; its commands go through. Asked at either node."""
    # Nothing is refilled while it is asked, however long a busy machine takes.
    settings: dict[str, Any] = {"api_keys": KEYS, "position_check": 3600}
    async with RedisServer(tmp_path / "redis") as redis:
        link = await Proxy("127.0.0.1", redis.port).start()
        try:
            with (
                running_hub(broker=redis.url, **settings) as first,
                running_hub(broker=f"redis://127.0.0.1:{link.port}", **settings) as second,
            ):
                await _about_a_deaf_node(Nodes(first, second), redis, link)
        finally:
            await link.close()


async def _about_a_deaf_node(nodes: Nodes, redis: RedisServer, link: Proxy) -> None:
    await ready(nodes.second)  # the link is served by this loop, which stood still while the hubs started
    asked = ("--user", "dora", "--channel", "job:1")
    async with connect(nodes.second.ws_url, nodes.second.token("dora", subscribe=["job:*"])) as wire:
        await wire.ask("subscribe", channel="job:1")
        await nodes.publish("job:1", key="a")
        await wire.expect("job_status")
        listening = await _listening(redis, link)
        commands = {number for number in link.open_connections() if number != listening}
        link.only = lambda number: number not in commands
        link.swallowing = True
        missed = str(await nodes.publish("job:1", key="b"))
        elsewhere = Nodes(nodes.second, nodes.first)
        async with asyncio.timeout(60 * SCALE):
            for each in (nodes, elsewhere):
                while (await each.ask(*asked, missed))[0] != "node_deaf":
                    await asyncio.sleep(0.3)
        _, body = await nodes.ask(*asked, missed)
        assert "dora is not on the nodes that answer, and n_" in body["answer"]
        assert "is deaf: it has heard nothing for" in body["answer"]
        assert body["complete"] is False
        _, body = await elsewhere.ask(*asked, missed)
        assert f"event {missed} was not heard by n_" in body["answer"], (
            "the deaf node itself knows what it did not hear"
        )
        link.heal()
        link.cut()


async def ready(node: RunningHub) -> None:
    """Until it has its storage."""
    async with asyncio.timeout(60 * SCALE), httpx.AsyncClient(base_url=node.url, trust_env=False) as http:
        while (await http.get("/readyz", timeout=30 * SCALE)).status_code != 200:
            await asyncio.sleep(0.1)


async def _listening(redis: RedisServer, link: Proxy) -> int:
    """The number of the link's connection that listens."""
    async with asyncio.timeout(30 * SCALE):
        while True:
            for line in (await redis.command("CLIENT", "LIST", "TYPE", "pubsub")).decode().splitlines():
                port = int(line.partition(" addr=")[2].partition(" ")[0].rpartition(":")[2])
                with contextlib.suppress(LookupError):  # that of the other node, which has no proxy
                    return link.number_of(port)
            await asyncio.sleep(0.05)


async def test_tokens_grants_and_origins_after_many_others(nodes: Nodes) -> None:
    await nodes.publish("job:1")
    expired = nodes.second.token("tom", ttl=-100, subscribe=["*"])
    wrong = nodes.second.token("wendy", subscribe=["doc:*"])
    gone = nodes.second.token("rita", subscribe=["job:*"])
    async with httpx.AsyncClient(base_url=nodes.second.url, trust_env=False) as http:
        assert (await http.get("/ws", headers=upgrade(expired))).status_code == 401
        assert (
            await http.get("/ws", headers=upgrade(wrong) | {"Origin": "https://evil.example"})
        ).status_code == 403
    async with connect(nodes.second.ws_url, wrong) as wire:
        assert (await wire.ask("subscribe", channel="job:1"))["code"] == "forbidden"
        async with connect(nodes.first.ws_url, gone) as rita:
            await rita.ask("subscribe", channel="job:1")
            url = f"{nodes.second.url}/v1/revoke"
            assert httpx.post(url, json={"sub": "rita"}, headers=bearer(), trust_env=False).status_code == 200
            await asyncio.wait_for(rita.websocket.wait_closed(), 10 * SCALE)
        for number in range(200):
            other = nodes.second.token(f"other{number}", subscribe=["job:*"])
            async with connect(nodes.second.ws_url, other):
                pass
        await nodes.publish("job:1")
        cause, body = await nodes.ask("--user", "tom", "--channel", "job:1")
        assert cause == "token_expired", body
        cause, body = await nodes.ask("--user", "wendy", "--channel", "job:1")
        assert cause == "forbidden", body
        cause, body = await nodes.ask("--user", "rita", "--channel", "job:1")
        assert cause == "revoked", body
        cause, body = await nodes.ask("--user", "page", "--channel", "job:1")
        assert (cause, "https://evil.example" in body["answer"]) == ("origin", True), body
        past = httpx.get(
            f"{nodes.first.url}/v1/connections",
            params={"closed": "true", "user": "rita"},
            headers=bearer(),
            trust_env=False,
        ).json()
        assert [(each["kind"], each["name"]) for each in past["past"] if each["kind"] == "ended"] == [
            ("ended", "revoked")
        ]
        assert "job:1" in past["past"][0]["channels"]


async def test_a_slow_client_now_and_later(nodes: Nodes) -> None:
    token = nodes.second.token("slow", subscribe=["doc:*"])
    async with connect(nodes.second.ws_url, token) as wire:
        await wire.ask("subscribe", channel="doc:1")
        raw: socket.socket = wire.websocket.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.websocket.transport.pause_reading()
        waiting = False
        for _ in range(200):
            last = await nodes.publish("doc:1", payload="x" * 30_000)
            cause, body = (
                await nodes.ask("--user", "slow", "--channel", "doc:1", str(last))
                if _ % 20 == 19
                else ("", {})
            )
            if cause == "slow":
                waiting = True
                break
        assert waiting, body
        for _ in range(100):
            await nodes.publish("doc:1", payload="x" * 60_000)
        cause, body = await nodes.ask("--user", "slow", "--channel", "doc:1", str(last))
        assert cause == "slow", body
        assert "4101" in body["answer"]
        wire.websocket.transport.abort()  # it does not read the answer to a close either


def upgrade(token: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {token}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {API_KEY}"}
