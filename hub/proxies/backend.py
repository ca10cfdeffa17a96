"""One backend: how it is asked, how often at once, and what is remembered of its answers."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from secrets import token_hex
from typing import Any

import httpx
import orjson

from ..outgoing.requests import Answer, NoAnswer, post
from ..outgoing.signing import signed
from ..protocol.codes import ErrorCode, Outcome
from ..protocol.errors import HubError
from ..runtime.breaker import CircuitBreaker
from ..runtime.first_step import in_task
from ..tracing import base as tracing
from .settings import ProxySettings

log = logging.getLogger(__name__)

AT_ONCE = 64
MOST_WAITING = 20_000
WAIT_S = 20.0  # for one of the places; a storm of 10,000 at 10 ms a decision takes 1.6 s
REMEMBERED = 10_000
LONGEST_CACHE_S = 3600.0
RETRY_MS = 1000

Decision = dict[str, Any]


class Unreachable(Exception):
    """The backend has not decided, and why."""


class Backend:
    """`decide` asks it, once for those who ask the same at one time; `now` is monotonic, `wall` is Unix seconds.

    `generation` is a count of revocations: where it has changed, nothing that was remembered counts.
    """

    def __init__(
        self,
        settings: ProxySettings,
        http: httpx.AsyncClient,
        now: Callable[[], float],
        wall: Callable[[], float],
        generation: Callable[[], int],
        most: int,
        tracer: tracing.Follower | None = None,
    ) -> None:
        self.settings = settings
        self.asked = 0
        self._http = http
        self._now = now
        self._wall = wall
        self._generation = generation
        self._keys = settings.keys
        self._most = most
        self._tracer = tracer
        self._breaker = CircuitBreaker()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._of = generation()
        self._cache: OrderedDict[Hashable, tuple[float, Decision]] = OrderedDict()
        self._flights: dict[Hashable, asyncio.Future[Decision]] = {}

    async def decide(self, about: Hashable, question: Callable[[], Decision]) -> Decision:
        """The decision about `about`, remembered or asked for.

        Raises:
            Unreachable: there is none.
        """
        known = self._remembered(about)
        if known is not None:
            return known
        flight = self._flights.get(about)
        if flight is not None:
            return await asyncio.shield(flight)
        flight = self._flights[about] = asyncio.get_running_loop().create_future()
        generation = self._generation()
        try:
            decision = await self.ask(question())
        except BaseException as error:
            why = error if isinstance(error, Unreachable) else Unreachable("whoever asked first is gone")
            flight.set_exception(why)
            flight.exception()  # retrieved: perhaps nobody waits for it
            raise
        else:
            flight.set_result(decision)
            self._remember(about, decision, generation)
            return decision
        finally:
            del self._flights[about]

    async def ask(self, question: Decision, meta: bytes | None = None) -> Decision:
        """Ask, whatever is remembered; for a publication with such `meta`.

        Raises:
            Unreachable: there is no answer, or it is no good.
        """
        await in_task()  # both deadlines need one
        if self._waiting >= MOST_WAITING:
            raise Unreachable(f"{MOST_WAITING} questions wait already")
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S):
                await self._places.acquire()
        except TimeoutError:
            raise Unreachable(f"no place among {AT_ONCE} questions within {WAIT_S:g} s") from None
        finally:
            self._waiting -= 1
        try:
            return await self._guarded(question, meta)
        finally:
            self._places.release()

    async def _guarded(self, question: Decision, meta: bytes | None) -> Decision:
        wait = self._breaker.enter(self._now())
        if wait:
            raise Unreachable(f"it has failed, and is asked again in {wait:.0f} s")
        try:
            decision = _decision(await self._answer(question, meta))
        except NoAnswer as error:
            self._breaker.failed(self._now())
            log.warning("the proxy for %s at %s: %s", self.settings.event, self._host(), error)
            raise Unreachable(str(error)) from None
        except BaseException:
            self._breaker.gave_up()
            raise
        self._breaker.succeeded()
        return decision

    async def _answer(self, question: Decision, meta: bytes | None) -> Answer:
        self.asked += 1
        if self._tracer is None:
            return await self._post(question, None)
        step = tracing.Step(
            f"ask {self.settings.event}",
            tracing.Kind.CLIENT,
            tracing.asking(self.settings.url, {"hub.proxy.event": self.settings.event}),
            [tracing.found(meta)],
            within=True,
        )
        return await self._tracer.follow(step, partial(self._post, question))

    async def _post(self, question: Decision, traceparent: str | None) -> Answer:
        body = orjson.dumps({"event": self.settings.event, **question})
        headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",  # what is compressed can be larger than its bound
            **signed(self._keys, f"ask_{token_hex(12)}", self._wall(), body),
            **tracing.headers(traceparent),
        }
        return await post(
            self._http, self.settings.url, body, headers, within_s=self.settings.timeout, most=self._most
        )

    def _remembered(self, about: Hashable) -> Decision | None:
        if self._of != self._generation():
            self._cache.clear()
            self._of = self._generation()
        found = self._cache.get(about)
        if found is None:
            return None
        if found[0] <= self._now():
            del self._cache[about]
            return None
        return found[1]

    def _remember(self, about: Hashable, decision: Decision, generation: int) -> None:
        seconds = decision.get("cache_s")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            return
        if generation != self._generation():
            return
        self._cache[about] = (self._now() + min(float(seconds), LONGEST_CACHE_S), decision)
        if len(self._cache) > REMEMBERED:
            self._cache.popitem(last=False)

    def _host(self) -> str:
        return httpx.URL(self.settings.url).host  # the path may hold a secret


def _decision(answer: Answer) -> Decision:
    if answer.status == 204:
        return {}
    if answer.status != 200:
        raise NoAnswer(f"HTTP {answer.status}")
    try:
        value = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise NoAnswer("the answer is no JSON") from None
    if not isinstance(value, dict):
        raise NoAnswer("the answer is no object")
    return value


def unavailable() -> HubError:
    """The answer where a backend that is needed has not decided."""
    why = "the application's backend does not answer"
    return HubError(ErrorCode.UNAVAILABLE, why, retry_after_ms=RETRY_MS, outcome=Outcome.NOT_DONE)
