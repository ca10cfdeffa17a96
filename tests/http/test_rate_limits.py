"""What is left of a rate is told with each answer, and an API key may have a rate of its own."""

from collections.abc import AsyncIterator

import httpx
import pytest

from hub.app import Hub
from hub.settings import Settings

from ..support.server import API_KEY, JWT_SECRET

SLOW = "slow-key-of-sixteen-bytes-or-more"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    keys = {"svc": API_KEY, "slow": {"key": SLOW, "publish": ["job:*"], "rate": 0.5, "burst": 2}}
    hub = Hub(Settings(jwt_secret=JWT_SECRET, api_keys=keys))
    async with hub.lifespan():
        transport = httpx.ASGITransport(hub.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            yield client


async def publish(http: httpx.AsyncClient, key: str) -> httpx.Response:
    body = {"channel": "job:1", "event": "x", "payload": 1}
    return await http.post("/v1/publish", json=body, headers={"Authorization": f"Bearer {key}"})


async def test_a_key_with_a_rate_is_told_what_is_left_and_held_to_it(http: httpx.AsyncClient) -> None:
    answers = [await publish(http, SLOW) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit-policy"] for answer in answers] == ['"requests";q=2;w=4'] * 3
    assert [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers] == [
        '"requests";r=1',
        '"requests";r=0',
        '"requests";r=0',
    ]
    assert answers[2].headers["retry-after"] in ("1", "2")


async def test_a_key_without_one_is_not(http: httpx.AsyncClient) -> None:
    for _ in range(5):
        answer = await publish(http, API_KEY)
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers
