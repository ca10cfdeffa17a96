"""Over memory and over Redis."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ..broker.redis.servers import RedisServer


@pytest.fixture(params=["memory", "redis"])
async def redis_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str | None]:
    if request.param == "memory":
        yield None
        return
    async with RedisServer(tmp_path / "redis") as server:
        yield server.url
