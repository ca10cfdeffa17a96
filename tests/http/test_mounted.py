"""The routes below a path of somebody else's app, in its process."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator

import httpx
import jwt
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from hub.app import Hub
from hub.assembly import warn_of_slips
from hub.client import Client, Event
from hub.publisher import Publisher
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


@contextlib.asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """An app under uvicorn as its users run it; ``http://host:port``."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


async def test_a_hub_that_was_not_started_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """To who asks, at every request, and once in the log, without a stack."""
    hub, _ = make()
    app = Starlette(routes=[Mount("/hub", hub.app)])
    async with served(app) as url, httpx.AsyncClient(trust_env=False) as http:
        for _ in range(3):
            answer = await http.get(f"{url}/hub/v1/channels/job:1")
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
            assert "pass its lifespan to the outer app" in answer.json()["detail"]
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{url.replace('http', 'ws')}/hub/ws", proxy=None):
                pass
        assert refused.value.response.status_code == 503
    (line,) = [record for record in caplog.records if record.name == "hub"]
    assert line.getMessage().startswith("the hub was not started: pass its lifespan")
    assert line.exc_info is None


async def test_one_address_is_enough_for_a_mounted_hub() -> None:
    _, app = make()
    token = jwt.encode(
        {"sub": "ann", "exp": time.time() + 60, "hub": {"subscribe": ["job:*"]}}, JWT_SECRET, "HS256"
    )
    async with (
        served(app) as url,
        Publisher(f"{url}/hub", api_key=API_KEY) as publisher,
        Client(f"{url}/hub", token) as client,
        client.subscribe("job:1") as job,
    ):
        await publisher.publish("job:1", "x", 1)
        async for item in job:
            if isinstance(item, Event):
                assert item.payload == 1
                break


async def test_a_hub_that_is_served_by_itself_runs_its_own_lifespan() -> None:
    hub, _ = make()
    async with served(hub.app) as url, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{url}/livez")).status_code == 200


async def test_names_that_are_no_settings_are_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HUB_JWT_SECRT", "x")
    warn_of_slips.cache_clear()
    for _ in range(2):
        hub, app = make()
        async with hub.lifespan(app):
            pass
    told = [record.getMessage() for record in caplog.records if "HUB_JWT_SECRT" in record.getMessage()]
    assert told == ["HUB_JWT_SECRT is no setting; did you mean HUB_JWT_SECRET?"]


async def test_a_hosts_own_server_logs_no_token(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn writes the address of each request with its query, of a WebSocket too."""
    for name in (
        "uvicorn",
        "uvicorn.access",
        "uvicorn.error",
    ):  # as a process has them that has set up no log
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)
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
