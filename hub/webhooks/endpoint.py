"""One endpoint: is it well, may it be asked, and one request to it."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import orjson

from ..broker.base import Intent
from ..outgoing.requests import Answer, NoAnswer, post
from ..outgoing.signing import signed
from ..runtime.breaker import CircuitBreaker
from ..runtime.bucket import TokenBucket
from ..tracing import base as tracing
from .bodies import BODIES
from .settings import WebhookSettings

log = logging.getLogger("hub.webhooks")

SCHEDULE_S = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""After the first try, which is at once: 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h (Standard Webhooks 1.0)."""

AT_ONCE = 32  # queues of one endpoint that are worked on by one node
DISABLE_AFTER_S = 86_400.0
MOST_ANSWER = 65_536
LONGEST_RETRY_AFTER_S = 86_400.0
_HANDSHAKE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Failed:
    """A try came to nothing. `after_s`: the endpoint has said when to come again; `gone`: never."""

    why: str
    after_s: float | None = None
    gone: bool = False


@dataclass(slots=True)
class Standing:
    """What all nodes know of an endpoint: ``{"disabled": why, "by": …, "since": ms}``, or nothing."""

    disabled: str | None = None
    by: str = ""
    since_ms: int = 0

    def dumps(self) -> bytes:
        """As it is kept."""
        if self.disabled is None:
            return b""
        return orjson.dumps({"disabled": self.disabled, "by": self.by, "since": self.since_ms})

    @classmethod
    def loads(cls, data: bytes) -> "Standing":
        """What was kept; nothing where it does not read."""
        try:
            value = orjson.loads(data)
            return cls(str(value["disabled"]), str(value.get("by", "")), int(value.get("since", 0)))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return cls()


class Endpoint:
    """`now` is monotonic, `wall` is Unix seconds. Counts are for metrics and `hub webhooks list`."""

    def __init__(
        self,
        settings: WebhookSettings,
        http: httpx.AsyncClient,
        now: Callable[[], float],
        wall: Callable[[], float],
        tracer: tracing.Follower | None = None,
    ) -> None:
        self.settings = settings
        self.standing = Standing()
        self.breaker = CircuitBreaker()
        self.working = 0
        self.delivered = self.failed = self.dead = self.overflowed = self.lost = 0
        self.last_failure = ""
        self.failing_since: float | None = None
        self._http = http
        self._now = now
        self._wall = wall
        self._tracer = tracer
        self._keys = settings.keys
        self._agreed_until = float("-inf")
        self._rate: TokenBucket | None = None

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self.settings.name

    def rest_s(self) -> float:
        """How long a queue of it is best left alone while it is not well: the longer it has failed, the longer."""
        failing = 0.0 if self.failing_since is None else self._now() - self.failing_since
        return min(300.0, max(5.0, failing)) * random.uniform(0.5, 1.0)

    async def deliver(self, intents: Sequence[Intent]) -> Failed | None:
        """One request with all of them; None: they were taken."""
        try:
            if self.settings.format == "cloudevents":
                await self._agree()
            answer = await self._send(intents)
        except NoAnswer as error:
            return self._not_well(Failed(str(error)))
        if 200 <= answer.status < 300:
            self.breaker.succeeded()
            self.failing_since = None
            self.delivered += len(intents)
            return None
        failed = Failed(f"HTTP {answer.status}", _retry_after(answer), answer.status == 410)
        if answer.status >= 500 or answer.status == 429:
            return self._not_well(failed)
        self.breaker.succeeded()  # it is there, if only to refuse
        return self._failed(failed)

    async def _send(self, intents: Sequence[Intent]) -> Answer:
        if self._tracer is None:
            return await self._tell(intents, None)
        return await self._tracer.follow(self._step(intents), partial(self._tell, intents))

    def _step(self, intents: Sequence[Intent]) -> tracing.Step:
        """Behind the traces of the events that it tells of; a trace never begins here."""
        about = {
            **tracing.messaging("send"),
            "messaging.destination.name": self.name,
            "messaging.batch.message_count": len(intents),
        }
        return tracing.Step(
            f"send {self.name}",
            tracing.Kind.CLIENT,
            tracing.asking(self.settings.url, about),
            [tracing.found(each.meta) for each in intents],
        )

    async def _tell(self, intents: Sequence[Intent], traceparent: str | None) -> Answer:
        batched = self.settings.batch > 1
        body, content_type = BODIES[self.settings.format](intents, batched, self.settings.origin)
        id = intents[0].id if len(intents) == 1 else f"{intents[0].id}+{len(intents)}"
        headers = {
            "content-type": content_type,
            "accept-encoding": "identity",
            "user-agent": "notification-hub",
            **signed(self._keys, id, self._wall(), body),
            **tracing.headers(traceparent),
        }
        if self.settings.format == "cloudevents":
            headers["webhook-request-origin"] = self.settings.origin
        if self._rate is not None:
            wait = self._rate.take(self._now())
            if wait:
                return await self._later(wait, body, headers)
        return await self._ask("POST", body, headers)

    async def _later(self, wait: float, body: bytes, headers: dict[str, str]) -> Answer:
        """As often as the endpoint has allowed."""
        assert self._rate is not None
        if wait > self.settings.timeout:
            raise NoAnswer(f"it allows one request in {wait:.0f} s")
        await asyncio.sleep(wait)
        self._rate.take(self._now())
        return await self._ask("POST", body, headers)

    async def _ask(self, method: str, body: bytes, headers: dict[str, str]) -> Answer:
        within = self.settings.timeout
        return await post(
            self._http,
            self.settings.url,
            body,
            headers,
            within_s=within,
            most=MOST_ANSWER,
            method=method,
        )

    async def _agree(self) -> None:
        """The handshake of HTTP 1.1 Web Hooks for Event Delivery (CloudEvents), section 4."""
        if self._now() < self._agreed_until:
            return
        answer = await self._ask(
            "OPTIONS", b"", {"webhook-request-origin": self.settings.origin, "webhook-request-rate": "60000"}
        )
        if answer.headers.get("webhook-allowed-origin") not in ("*", self.settings.origin):
            raise NoAnswer("the endpoint does not consent (WebHook-Allowed-Origin)")
        rate = answer.headers.get("webhook-allowed-rate", "*")
        if rate.isascii() and rate.isdigit() and 0 < int(rate[:9]) < 60_000:
            self._rate = TokenBucket(int(rate[:9]) / 60, 1, self._now())
        self._agreed_until = self._now() + _HANDSHAKE_S

    def _not_well(self, failed: Failed) -> Failed:
        self.breaker.failed(self._now())
        return self._failed(failed)

    def _failed(self, failed: Failed) -> Failed:
        self.failed += 1
        self.last_failure = failed.why
        if self.failing_since is None:
            self.failing_since = self._now()
            log.warning("the webhook %s fails: %s", self.name, failed.why)
        return failed

    def described(self) -> dict[str, Any]:
        """For who runs the hub; no secret, and of the URL its host: its path may be one."""
        return {
            "name": self.name,
            "host": httpx.URL(self.settings.url).host,
            "channels": self.settings.channels,
            "events": [kind.value for kind in self.settings.events],
            "format": self.settings.format,
            "disabled": self.standing.disabled,
            "breaker": self.breaker.state.value,
            "delivered": self.delivered,
            "failed": self.failed,
            "dead_letters": self.dead,
            "overflowed": self.overflowed,
            "lost": self.lost,
            "last_failure": self.last_failure or None,
        }


def _retry_after(answer: Answer) -> float | None:
    """Its seconds (RFC 9110 section 10.2.3); a date is not looked at."""
    text = answer.headers.get("retry-after", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return None
    return min(float(text), LONGEST_RETRY_AFTER_S)
