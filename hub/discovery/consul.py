"""A node in Consul's catalogue, by three routes of its agent's API (``/v1/agent/service/…``).

Registered while it serves, under a check that Consul makes on ``/readyz``; taken off as soon as it departs, and by
Consul itself where it was critical for a minute.
"""

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import quote

import httpx

from ..runtime.backoff import REAL_TIME, Backoff, Timing
from ..settings import Settings

log = logging.getLogger(__name__)

AGAIN_S = 30.0  # an agent that was started anew has forgotten
_DEADLINE_S = 5.0


class ConsulRegistration:
    """Of one node. `draining`: whether it departs."""

    def __init__(
        self,
        settings: Settings,
        node_id: str,
        draining: Callable[[], bool],
        timing: Timing = REAL_TIME,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        assert settings.consul is not None
        token = settings.consul_token
        headers = {} if token is None else {"X-Consul-Token": token.get_secret_value()}
        self._http = http or httpx.AsyncClient(timeout=_DEADLINE_S, trust_env=False)
        self._base = settings.consul.rstrip("/")
        self._headers = headers
        self._id = f"{settings.consul_service}-{node_id}"
        self._settings = settings
        self._draining = draining
        self._timing = timing
        self._stands = False

    def described(self) -> dict[str, object]:
        """What is registered."""
        settings = self._settings
        address = settings.consul_address or settings.hosts[0]
        scheme_host = f"[{address}]" if ":" in address else address
        return {
            "ID": self._id,
            "Name": settings.consul_service,
            "Address": address,
            "Port": settings.port,
            "Tags": settings.consul_tags,
            "Check": {
                "HTTP": f"http://{scheme_host}:{settings.port}/readyz",
                "Interval": "10s",
                "Timeout": "5s",
                "DeregisterCriticalServiceAfter": "1m",
            },
        }

    async def run(self) -> None:
        """Keep it registered until it departs; then take it off. An agent that is away is asked again."""
        backoff = Backoff(self._timing, 1.0, AGAIN_S)
        while not self._draining():
            done = await self._put("register", self.described())
            self._stands = self._stands or done
            waited, pause = 0.0, AGAIN_S if done else backoff.next()
            if done:
                backoff.reset()
            while waited < pause and not self._draining():
                await self._timing.sleep(min(0.5, pause - waited))
                waited += 0.5
        await self.close()

    async def close(self) -> None:
        """Take it off, where it stands."""
        if self._stands:
            self._stands = False
            await self._put(f"deregister/{quote(self._id, safe='')}", None)

    async def let_go(self) -> None:
        """Close the connection to the agent."""
        await self._http.aclose()

    async def _put(self, path: str, body: dict[str, object] | None) -> bool:
        try:
            url = f"{self._base}/v1/agent/service/{path}"
            answer = await self._http.put(url, json=body, headers=self._headers, timeout=_DEADLINE_S)
        except httpx.HTTPError as error:
            log.warning("Consul does not answer: %s", type(error).__name__)
            return False
        if answer.status_code != 200:
            log.warning(
                "Consul refused %s: HTTP %d %s", path.partition("/")[0], answer.status_code, answer.text[:200]
            )
        return answer.status_code == 200


async def end(registration: ConsulRegistration) -> None:
    """At the end of a node, whatever state it is in; it waits for no agent that is away."""
    try:
        async with asyncio.timeout(2.0):
            await registration.close()
    except TimeoutError:
        log.warning("Consul did not answer in time: it will find out by itself")
    finally:
        await registration.let_go()
