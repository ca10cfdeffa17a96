"""A real Redis for each test that asks for one: imported by the conftest of a folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ..broker.redis.servers import RedisServer


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path / "redis") as server:
        yield server
