"""A Redis server of a test's own, and nodes on it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hub.broker.redis.broker import RedisBroker

from ..harness import MEMBERS_LIMIT, Recorder, namespaces
from .harness import QUICK
from .servers import RedisServer


class Node:
    """A broker as one node has it, and what it heard."""

    def __init__(self, broker: RedisBroker, heard: Recorder) -> None:
        self.broker = broker
        self.heard = heard

    def count(self, name: str) -> int:
        """How often something happened."""
        return self.broker.stats.counts[name]


MakeNode = Callable[..., Awaitable[Node]]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def make_node() -> AsyncIterator[MakeNode]:
    """Nodes on the given URLs; each is closed at the end of the test."""
    nodes: list[Node] = []

    async def make(urls: str, **options: Any) -> Node:
        options = {"tuning": QUICK, "members_limit": MEMBERS_LIMIT, **options}
        spaces = options.pop("namespaces", namespaces(60.0))
        node_id = options.pop("node_id", f"n_{len(nodes)}")
        node = Node(RedisBroker(urls, spaces, node_id=node_id, **options), Recorder())
        nodes.append(node)
        await node.broker.start(node.heard)
        return node

    yield make
    for node in nodes:
        await node.broker.close()


@pytest.fixture
async def node(server: RedisServer, make_node: MakeNode) -> Node:
    return await make_node(server.url)
