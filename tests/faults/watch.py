"""What an operator sees of the nodes: /readyz all the time, and /metrics before and after."""

import asyncio
import contextlib
import time
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a node's /readyz, and how long it took; `ready` is None where nobody answered."""

    at: float
    seconds: float
    ready: bool | None
    reasons: tuple[str, ...] = ()


class Watch:
    """Of one node."""

    def __init__(self, url: str) -> None:
        self.looks: list[Look] = []
        self._http = httpx.AsyncClient(base_url=url, timeout=10.0, trust_env=False)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look, from now on."""
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """No more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._http.aclose()

    async def _watch(self) -> None:
        while True:
            begun = time.monotonic()
            try:
                answer = await self._http.get("/readyz")
            except httpx.HTTPError:
                self.looks.append(Look(begun, time.monotonic() - begun, None))
            else:
                found = answer.json()
                assert found["ready"] == (answer.status_code == 200)
                seconds = time.monotonic() - begun
                self.looks.append(Look(begun, seconds, found["ready"], tuple(found["reasons"])))
            await asyncio.sleep(LOOK_S)

    def first_red(self, after: float) -> Look | None:
        """The first look after a moment that was red."""
        return next((look for look in self.looks if look.at >= after and look.ready is False), None)

    def last_red(self, after: float) -> float | None:
        """When it was last seen red after a moment."""
        reds = [look.at for look in self.looks if look.at >= after and look.ready is False]
        return reds[-1] if reds else None

    @property
    def green(self) -> bool:
        """Whether the newest look was green."""
        return bool(self.looks) and self.looks[-1].ready is True

    async def metrics(self) -> dict[str, float]:
        """All counters and gauges, those of incidents and errors as ``incident:<what>`` and ``error:<code>``.
        Empty where nobody answers."""
        with contextlib.suppress(httpx.HTTPError):
            text = (await self._http.get("/metrics")).text
            return _numbers(text)
        return {}


def _numbers(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name
            if name == "hub_broker_incidents_total":
                name = f"incident:{sample.labels['what']}"
            elif name == "hub_errors_total":
                name = f"error:{sample.labels['code']}"
            found[name] = found.get(name, 0.0) + sample.value
    return found
