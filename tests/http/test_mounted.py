"""The routes below a path of somebody else's app, in its process."""

import asyncio
import logging

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

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


async def test_a_hosts_own_server_logs_no_token(caplog: pytest.LogCaptureFixture) -> None:
    """uvicorn writes the address of each request with its query, of a WebSocket too."""
    _, app = make()
    secret = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    with caplog.at_level(logging.INFO, "uvicorn"):
        serving = asyncio.create_task(server.serve())
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            async with httpx.AsyncClient(trust_env=False) as http:
                await http.get(f"http://127.0.0.1:{port}/hub/v1/stream?channel=job:1&token={secret}")
            with pytest.raises(InvalidStatus):
                async with connect(f"ws://127.0.0.1:{port}/hub/ws?token={secret}", proxy=None):
                    pass
        finally:
            server.should_exit = True
            await serving
    lines = [record.getMessage() for record in caplog.records if "/hub/" in record.getMessage()]
    assert len(lines) >= 2
    assert not [line for line in lines if secret in line or "c2lnb" in line]
