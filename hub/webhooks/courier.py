"""Delivers what waits: a queue of an endpoint at a time, in order, each at least once.

Nothing is remembered here but which queues are being worked on: what waits lies with the broker, and the broker
says where to look. So a dead endpoint costs a node nothing, and an endpoint that is slow delays no other.
"""

import base64
import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import orjson

from ..broker.base import DeadLetters, Intent, Intents, Taken
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..runtime.tasks import Tasks
from .bodies import BODIES
from .endpoint import AT_ONCE, DISABLE_AFTER_S, SCHEDULE_S, Endpoint, Failed, Standing

log = logging.getLogger("hub.webhooks")

MINE_S = 60.0  # a queue is a node's for so long, and again with each word that it goes on
_GO_ON_S = 10.0  # it says so at least this often between two requests
_LOOK_AGAIN_S = 5.0
WHILE_DISABLED_S = 60.0
_MOST_READY = 10_000
_MOST_SHORTENED = 500
_TAKEN = 10  # requests' worth of intents that are taken at once
_JITTER = 0.2


class Courier:
    """`wake` is what the broker calls (`base.Wake`)."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        intents: Intents,
        letters: DeadLetters,
        tasks: Tasks,
        now: Callable[[], float],
        wall: Callable[[], float],
        tell_overflow: Callable[[str, str, int], None],
        shown: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    ) -> None:
        self._tell_overflow = tell_overflow
        self._shown = shown
        self.endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._intents = intents
        self._letters = letters
        self._tasks = tasks
        self._now = now
        self._wall = wall
        self._working: set[tuple[str, str]] = set()
        self._woken: set[tuple[str, str]] = set()  # while they were being worked on
        self._ready: dict[str, OrderedDict[str, None]] = {name: OrderedDict() for name in self.endpoints}

    def wake(self, channel: str, endpoint: str) -> float:
        """Something waits there: in how many seconds to look whether it still does."""
        found = self.endpoints.get(endpoint)
        if found is None:
            return WHILE_DISABLED_S
        if found.standing.disabled is not None:
            self._ready_once_free(endpoint, channel)
            return WHILE_DISABLED_S
        queue = (channel, endpoint)
        if queue in self._working:
            self._woken.add(queue)
            return _LOOK_AGAIN_S
        if found.breaker.enter(self._now()):
            return found.rest_s()
        found.breaker.gave_up()  # it was only looked at
        if found.working < AT_ONCE:
            self._begin(found, channel)
        else:
            self._ready_once_free(endpoint, channel)
        return _LOOK_AGAIN_S

    def _ready_once_free(self, endpoint: str, channel: str) -> None:
        if len(self._ready[endpoint]) < _MOST_READY:
            self._ready[endpoint][channel] = None

    def overflow(self, channel: str, endpoint: str, over: int) -> None:
        """More wait there than may: the oldest of them become dead letters."""
        found = self.endpoints.get(endpoint)
        if found is not None and (channel, endpoint) not in self._working:
            self._working.add((channel, endpoint))
            self._tasks.spawn(self._shorten(found, channel, over))

    async def _shorten(self, endpoint: Endpoint, channel: str, over: int) -> None:
        try:
            most = min(over, _MOST_SHORTENED)
            taken = await self._take(channel, endpoint, most, early=True)
            for intent in taken.intents:
                await self._bury(endpoint, channel, intent, 0, "too many wait for this endpoint")
            count = len(taken.intents)
            if count and await self._intents.settle(channel, endpoint.name, count, 0.0, 0, 0.0):
                endpoint.overflowed += count
                self._tell_overflow(endpoint.name, channel, count)
        except HubError as error:
            log.warning("the webhook %s: %s", endpoint.name, error.reason)
        finally:
            self._working.discard((channel, endpoint.name))

    def _begin(self, endpoint: Endpoint, channel: str) -> None:
        endpoint.working += 1
        self._working.add((channel, endpoint.name))
        self._tasks.spawn(self._work(endpoint, channel))

    async def _work(self, endpoint: Endpoint, channel: str) -> None:
        queue = (channel, endpoint.name)
        try:
            while True:
                self._woken.discard(queue)
                if not await self._deliver_some(endpoint, channel) and queue not in self._woken:
                    break
        except HubError as error:
            log.info("the webhook %s waits for the storage: %s", endpoint.name, error.reason)
        finally:
            self._working.discard(queue)
            self._woken.discard(queue)
            endpoint.working -= 1
            self._begin_ready(endpoint)

    def _begin_ready(self, endpoint: Endpoint) -> None:
        ready = self._ready[endpoint.name]
        while ready and endpoint.working < AT_ONCE and endpoint.standing.disabled is None:
            channel, _ = ready.popitem(last=False)
            if (channel, endpoint.name) not in self._working:
                self._begin(endpoint, channel)

    async def _deliver_some(self, endpoint: Endpoint, channel: str) -> bool:
        """What is taken at once of a queue; whether there may be more now."""
        size = endpoint.settings.batch
        taken = await self._take(channel, endpoint, size * _TAKEN)
        if not taken.intents:
            return False
        told, tries, through = self._now(), taken.tries, 0
        while through < len(taken.intents):
            intents = taken.intents[through : through + size]
            wanted = [each for each in intents if each.kind in endpoint.settings.events]
            failed = await self._try(endpoint, wanted) if wanted else None
            if failed is not None:
                await self._put_off(endpoint, channel, taken, through, tries, failed)
                return False
            through, tries = through + len(intents), 0
            if self._now() - told >= _GO_ON_S and through < len(taken.intents):
                if not await self._intents.settle(channel, endpoint.name, through, MINE_S, 0, 0.0):
                    return False  # it was too slow, and is somebody else's now
                taken, through, told = Taken(taken.intents[through:]), 0, self._now()
        more = len(taken.intents) > 0
        return await self._intents.settle(channel, endpoint.name, through, 0.0, 0, 0.0) and more

    async def _take(self, channel: str, endpoint: Endpoint, most: int, *, early: bool = False) -> Taken:
        """What waits there, its events without what is for subscribers only."""
        taken = await self._intents.take(channel, endpoint.name, most, MINE_S, early=early)
        return replace(taken, intents=[self._as_shown(intent) for intent in taken.intents])

    def _as_shown(self, intent: Intent) -> Intent:
        event = intent.fields.get("event")
        if event is None or (shown := self._shown(event)) is event:
            return intent
        return replace(intent, fields={**intent.fields, "event": shown})

    async def _try(self, endpoint: Endpoint, intents: Sequence[Intent]) -> Failed | None:
        wait = endpoint.breaker.enter(self._now())
        if wait:
            return Failed("", after_s=wait)  # untried
        try:
            return await endpoint.deliver(intents)
        except BaseException:
            endpoint.breaker.gave_up()
            raise

    async def _put_off(
        self, endpoint: Endpoint, channel: str, taken: Taken, through: int, tries: int, failed: Failed
    ) -> None:
        """They come again later, or not at all."""
        if not failed.why:
            await self._intents.settle(channel, endpoint.name, through, 0.0, tries, endpoint.rest_s())
            return
        if failed.gone:
            await self.disable(endpoint, "it answered 410 Gone", by="endpoint")
        elif endpoint.failing_since is not None and self._now() - endpoint.failing_since >= DISABLE_AFTER_S:
            await self.disable(endpoint, f"it has failed for a day; the last: {failed.why}", by="hub")
        elif tries >= len(SCHEDULE_S):
            size = endpoint.settings.batch
            for intent in taken.intents[through : through + size]:
                await self._bury(endpoint, channel, intent, tries + 1, failed.why)
                through += 1
            tries = -1
        delay = SCHEDULE_S[tries] if 0 <= tries < len(SCHEDULE_S) else 0.0
        delay = max(delay * random.uniform(1 - _JITTER, 1 + _JITTER), failed.after_s or 0.0)
        await self._intents.settle(channel, endpoint.name, through, 0.0, tries + 1, delay)

    async def _bury(self, endpoint: Endpoint, channel: str, intent: Intent, tries: int, why: str) -> None:
        """Where somebody may look, and send it again. Where no letter can be kept, `HubError`: it stays."""
        if intent.kind is None:
            return
        body, _ = BODIES["hub"]([intent], False, "")
        digest = blake2b(f"{endpoint.name}\0{intent.id}".encode(), digest_size=16).hexdigest()
        now = int(self._wall() * 1000)
        letter = {
            "id": f"webhook-{digest}",
            "origin": f"webhook:{endpoint.name} {intent.id}",
            "code": ErrorCode.UNAVAILABLE.value,
            "reason": why,
            "tries": tries,
            "time": now,
            "by": "hub",
            "bytes": len(body),
            "body": base64.b64encode(body).decode(),
            "webhook": {"endpoint": endpoint.name, "channel": channel},
        }
        try:
            await self._letters.put(f"webhook-{digest}", orjson.dumps(letter), now)
        except HubError as error:
            if error.code is not ErrorCode.LIMIT:
                raise
            endpoint.lost += 1  # no letter more is kept: the log is what remains of it
            log.error("the webhook %s: %s is lost: %s", endpoint.name, intent.id, error.reason)
            return
        endpoint.dead += 1
        log.error(
            "the webhook %s: %s is a dead letter after %d tries: %s", endpoint.name, intent.id, tries, why
        )

    # What all nodes know

    async def disable(self, endpoint: Endpoint, why: str, *, by: str) -> None:
        """Nothing is sent to it until it is enabled; what waits stays."""
        endpoint.standing = Standing(why, by, int(self._wall() * 1000))
        log.error("the webhook %s is disabled: %s", endpoint.name, why)
        await self._intents.put_state(endpoint.name, endpoint.standing.dumps())

    async def enable(self, endpoint: Endpoint) -> None:
        """It is asked again, on every node."""
        endpoint.standing = Standing()
        endpoint.failing_since = None
        await self._intents.put_state(endpoint.name, b"")
        self._begin_ready(endpoint)

    async def learn(self) -> None:
        """Take over what other nodes have said of endpoints."""
        states = await self._intents.states()
        for name, endpoint in self.endpoints.items():
            endpoint.standing = Standing.loads(states[name]) if name in states else Standing()
            self._begin_ready(endpoint)
