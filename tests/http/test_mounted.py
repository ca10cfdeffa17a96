"""The routes below a path of somebody else's app, in its process."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from hub.app import Hub, NotStarted
from hub.settings import Settings

from ..support.server import API_KEY, JWT_SECRET


def make() -> tuple[Hub, Starlette]:
    """A hub in an app of one's own."""
    settings = Settings(
        jwt_secret=JWT_SECRET, api_keys={"svc": API_KEY}, allowed_origins=["https://example.com"]
    )
    hub = Hub(settings)
    return hub, Starlette(lifespan=hub.lifespan, routes=[Mount("/hub", hub.app)])


async def test_routes_below_a_path() -> None:
    hub, app = make()
    async with hub.lifespan(app):
        transport = httpx.ASGITransport(app)
        headers = {"Authorization": f"Bearer {API_KEY}", "Origin": "https://example.com"}
        async with httpx.AsyncClient(transport=transport, base_url="http://own", headers=headers) as http:
            body = {"channel": "job:1", "event": "x", "payload": 1}
            answer = await http.post("/hub/v1/publish", json=body)
            assert answer.json()["offset"] == 1
            assert answer.headers["access-control-allow-origin"] == "https://example.com"
            assert (await http.get("/hub/v1/channels/job:1")).json()["offset"] == 1
            assert (await http.get("/hub/openapi.json")).json()["servers"] == [{"url": "/hub"}]
            missing = await http.get("/hub/nothing")
            assert missing.status_code == 404
            assert missing.headers["content-type"] == "application/problem+json"
            assert (await http.get("/hub/ws")).status_code == 426
            assert 'route="/v1/publish"' in (await http.get("/hub/metrics")).text


async def test_a_hub_that_was_not_started_says_so() -> None:
    _, app = make()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://own") as http:
        with pytest.raises(NotStarted, match="lifespan"):
            await http.get("/hub/livez")
