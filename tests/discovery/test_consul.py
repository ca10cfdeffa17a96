"""A node's registration in Consul, before a fake of the agent's routes."""

import asyncio
from typing import Any

import pytest

from hub.discovery.consul import ConsulRegistration, end
from hub.runtime.backoff import Timing
from hub.settings import Settings

from ..support import backend as support
from ..support.backend import Backend, Request


class Agent:
    """What Consul's agent keeps; it may be away for some requests."""

    def __init__(self, away: int = 0) -> None:
        self.services: dict[str, Any] = {}
        self.away = away
        self.tokens: set[str | None] = set()

    async def __call__(self, request: Request) -> support.Answer | None:
        self.tokens.add(request.headers.get("x-consul-token"))
        if self.away:
            self.away -= 1
            return None if self.away % 2 else (500, {}, b"no leader")
        assert request.method == "PUT"
        if request.path.endswith("/v1/agent/service/register"):
            self.services[request.json["ID"]] = request.json
        else:
            self.services.pop(request.path.rpartition("/")[2])
        return 200, {}, b""


def settings(url: str, **more: Any) -> Settings:
    base = url.removesuffix("/path")
    return Settings(consul=base, host="10.0.0.7", port=8000, consul_token="t0ken", **more)


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def quickly(_: float) -> None:
    await asyncio.sleep(0.002)


QUICK = Timing(sleep=quickly)


@pytest.mark.parametrize("away", [0, 3])
async def test_it_stands_while_the_node_serves_and_is_gone_when_it_departs(away: int) -> None:
    agent, draining = Agent(away), asyncio.Event()
    async with Backend(agent) as server:
        given = settings(server.url, consul_tags=["eu"])
        registration = ConsulRegistration(given, "n_1", draining.is_set, QUICK)
        task = asyncio.ensure_future(registration.run())
        await until(lambda: agent.services)
        (found,) = agent.services.values()
        assert (found["ID"], found["Name"]) == ("notification-hub-n_1", "notification-hub")
        assert (found["Address"], found["Port"], found["Tags"]) == ("10.0.0.7", 8000, ["eu"])
        assert found["Check"]["HTTP"] == "http://10.0.0.7:8000/readyz"
        assert found["Check"]["DeregisterCriticalServiceAfter"] == "1m"
        assert agent.tokens == {"t0ken"}
        agent.services.clear()  # the agent was started anew
        await until(lambda: agent.services)
        draining.set()
        await asyncio.wait_for(task, 20)
        assert not agent.services
        await end(registration)


async def test_the_end_waits_for_no_agent_that_is_away() -> None:
    async def hangs(_: Request) -> support.Answer:
        await asyncio.sleep(60)
        return 200, {}, b""

    async with Backend(hangs) as server:
        registration = ConsulRegistration(settings(server.url), "n_1", lambda: True, QUICK)
        registration._stands = True
        async with asyncio.timeout(20):
            await end(registration)
