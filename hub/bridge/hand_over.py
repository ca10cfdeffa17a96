"""From a bridge to the hub: ordered batches and dead letters over HTTP, behind one circuit breaker."""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any, Protocol

import httpx

from hub.protocol.codec import dumps_json

from ..runtime.backoff import Timing
from ..runtime.breaker import CircuitBreaker
from ..sdk.delivery import Delivery, TryAgain
from ..sdk.errors import TokenRefused
from .letters import Letter

log = logging.getLogger("hub.bridge")

REFUSED_S = 5.0  # between two attempts with a key that the hub does not take: somebody has to set another


class HandOver(Protocol):
    """Where publications go."""

    async def publish(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Publish in order by channel; the answers of ``results``.

        Raises:
            TryAgain, HubError: as `Delivery.send`.
        """


class HubHandOver:
    """A hub, by its `delivery`; `breaker` is shared by all partitions of a process. `problem` says what the hub
    has against the bridge itself (its key), until that is over."""

    def __init__(self, delivery: Delivery, breaker: CircuitBreaker, timing: Timing) -> None:
        self.problem = ""
        self._delivery = delivery
        self._breaker = breaker
        self._timing = timing

    async def publish(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Publish in order by channel; the answers of ``results``. While the breaker is open, it waits."""
        await entered(self._breaker, self._timing)
        try:
            results = await self._delivery.send(events)
        except TryAgain:
            self._breaker.failed(self._timing.now())
            raise
        except asyncio.CancelledError:
            self._breaker.gave_up()
            raise
        except TokenRefused as error:
            self._breaker.succeeded()
            self.problem = error.reason
            raise TryAgain(error.reason, REFUSED_S, sent=False) from None
        except BaseException:
            self._breaker.succeeded()  # it answers, if only to refuse
            raise
        self._breaker.succeeded()
        self.problem = ""
        return results

    async def close(self) -> None:
        """Let go of connections."""
        await self._delivery.close()


class HubLetterbox:
    """``POST /v1/deadletters`` of a hub. It waits for one that is away: a letter lost is an event lost."""

    def __init__(self, http: httpx.AsyncClient, breaker: CircuitBreaker, timing: Timing) -> None:
        self.problem = ""
        self._http = http
        self._breaker = breaker
        self._timing = timing

    async def post(self, letter: Letter) -> None:
        """Keep it; once for each id, however often it is posted."""
        fields = letter.fields()
        while True:
            await entered(self._breaker, self._timing)
            try:
                answer = await self._http.post("/v1/deadletters", content=dumps_json(fields))
            except httpx.HTTPError:
                self._breaker.failed(self._timing.now())
            except asyncio.CancelledError:
                self._breaker.gave_up()
                raise
            else:
                self._breaker.succeeded()
                if answer.status_code < 300:
                    self.problem = ""
                    return
                if answer.status_code in (400, 413) and "event" in fields:
                    del fields["event"]  # the bytes as they came are what counts
                    continue
                self.problem = f"the hub keeps no dead letter: HTTP {answer.status_code}"
                log.warning("%s %s", self.problem, answer.text[:200])
            await self._timing.sleep(0.2 + random.random())


async def entered(breaker: CircuitBreaker, timing: Timing) -> None:
    """Wait until the breaker lets a call through."""
    while wait := breaker.enter(timing.now()):
        await timing.sleep(min(wait, 1.0))
