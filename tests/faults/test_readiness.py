"""/readyz under faults: red within 5 s of becoming deaf, green again after; publishing refuses at once."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from ..server import SCALE
from .world import CHANNEL, World, world

LIMIT_S = 5.5  # 5 s, and the time between two looks


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as found:
        yield found


async def until_ready(http: httpx.AsyncClient, status: int, seconds: float) -> tuple[float, str]:
    """Until /readyz answers with `status`: after how long, and what it said."""
    begun = time.monotonic()
    async with asyncio.timeout(seconds * SCALE):
        while True:
            answer = await http.get("/readyz")
            if answer.status_code == status:
                return time.monotonic() - begun, answer.text
            await asyncio.sleep(0.05)


async def test_a_deaf_node_is_red_within_five_seconds(made: World) -> None:
    listening = await made.listening_connection()
    commands = [number for number in made.link.open_connections() if number != listening]
    async with httpx.AsyncClient(base_url=made.hubs[0].url, trust_env=False) as http:
        assert (await http.get("/readyz")).status_code == 200
        # Whatever listens is deaf, however often it connects; commands go through.
        made.link.only = lambda number: number not in commands
        made.link.swallowing = True
        seconds, why = await until_ready(http, 503, LIMIT_S)
        assert seconds < LIMIT_S * SCALE
        assert "deaf" in why
        assert (await http.get("/livez")).status_code == 200
        made.link.heal()
        await until_ready(http, 200, 10.0)
    await made.until_seen()


async def test_a_node_without_storage_refuses_at_once(made: World) -> None:
    made.publishing = [False, False]
    headers = {"Authorization": f"Bearer {made.hubs[0].api_key}"}
    async with httpx.AsyncClient(base_url=made.hubs[0].url, headers=headers, trust_env=False) as http:
        made.link.refusing = True
        made.link.cut()
        await until_ready(http, 503, LIMIT_S)
        begun = time.monotonic()
        body = {"channel": CHANNEL, "event": "tick", "payload": -1}
        answers = await asyncio.gather(*(http.post("/v1/publish", json=body) for _ in range(50)))
        assert time.monotonic() - begun < 1.0 * SCALE
        assert {answer.status_code for answer in answers} == {503}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
        made.link.heal()
        await until_ready(http, 200, 10.0)
    made.publishing = [True, True]
    await made.until_seen()
    assert all(not subscriber.gaps for subscriber in made.subscribers)
