"""The brokers that the contract suite runs over."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from hub.broker.base import Broker

from .harness import Harness, MemoryHarness, Recorder, SqliteHarness
from .redis.harness import RedisHarness

HARNESSES: dict[str, Callable[[], Awaitable[Harness]]] = {
    "memory": MemoryHarness.start,
    "redis": RedisHarness.start,
    "sqlite": SqliteHarness.start,
}


@pytest.fixture(params=sorted(HARNESSES))
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    harness = await HARNESSES[request.param]()
    # A node that did not register is dead, and the dead have no members.
    await harness.broker.registry.register_node("n_test", b"{}", 3600.0)
    yield harness
    await harness.close()


@pytest.fixture
def broker(harness: Harness) -> Broker:
    return harness.broker


@pytest.fixture
def heard(harness: Harness) -> Recorder:
    return harness.heard
