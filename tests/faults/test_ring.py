"""A node that would spread its channels in another way than the nodes that run refuses to start."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ..broker.redis.servers import RedisServer
from ..support.server import running_hub


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[list[RedisServer]]:
    servers = [RedisServer(tmp_path / name) for name in ("one", "two")]
    for server in servers:
        await server.start()
    yield servers
    for server in servers:
        await server.stop()


def _refused(broker: str) -> str:
    """What a node that must not start says, by its log."""
    with (
        pytest.raises(AssertionError, match="the hub ended with status") as ended,
        running_hub(broker=broker),
    ):
        pass
    return str(ended.value)


async def test_a_node_with_another_ring_says_what_differs_and_ends(servers: list[RedisServer]) -> None:
    one, both = servers[0].url, ",".join(server.url for server in servers)
    serving = running_hub(broker=both)
    await asyncio.to_thread(serving.__enter__)
    try:
        said = await asyncio.to_thread(_refused, one)
    finally:
        await asyncio.to_thread(serving.__exit__, None, None, None)
    assert "ended with status 0" not in said
    assert "give all the same servers" in said
    assert all(str(server.port) in said for server in servers)
    assert "Traceback" not in said
