"""A hub a lane, and a Redis for tests of two nodes."""

from collections.abc import Iterator
from typing import Any

import pytest

from ..support.redis import redis as redis
from ..support.server import RunningHub
from ..transport.lanes import Lane, running

SETTINGS: dict[str, Any] = {
    "centrifugo": True,
    "namespaces": {
        "chat": {"mode": "log", "client_publish": True, "presence": True},
        "short": {"mode": "log", "history_size": 2},
        "board": {"mode": "state", "client_publish": True},
    },
}


@pytest.fixture(scope="session", params=["fast", "portable"])
def hub(request: pytest.FixtureRequest) -> Iterator[RunningHub]:
    lane: Lane = request.param
    with running(lane, **SETTINGS, heartbeat_ms=2000) as hub:
        yield hub
