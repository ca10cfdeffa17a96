"""What waits for the endpoints of webhooks, in the memory of one process: it ends with it."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson

from ...protocol.event import Event
from ..base import Intent, Kind, Member, Taken, Waiting, event_intent, presence_intent


@dataclass(slots=True)
class _Queue:
    waiting: deque[Intent] = field(default_factory=deque)
    taken: bool = False
    tries: int = 0
    due: float = 0.0
    look: asyncio.TimerHandle | None = None


class MemoryIntents:
    """`Intents` within one process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: Waiting | None = None
        self._queues: dict[tuple[str, str], _Queue] = {}
        self._states: dict[str, bytes] = {}
        self._number = 0

    def route(self, waiting: Waiting) -> None:
        """As `Intents.route`."""
        self._told = waiting

    def close(self) -> None:
        """Look no more."""
        self._told = None
        for queue in self._queues.values():
            if queue.look is not None:
                queue.look.cancel()

    def event(self, epoch: str, event: Event) -> None:
        """It was stored: whoever is to be told of it has it in the queue."""
        for endpoint in self._endpoints(event.channel, "event"):
            self._put(event.channel, endpoint, event_intent(epoch, event))

    def presence(self, channel: str, change: str, member: Member) -> None:
        """Somebody came or left."""
        for endpoint in self._endpoints(channel, "presence"):
            now_ms = int(self._clock() * 1000)
            self._put(channel, endpoint, presence_intent(self._id(channel), now_ms, channel, change, member))

    def occupancy(self, channel: str, kind: Kind) -> None:
        """The first subscriber came, or the last one is gone."""
        for endpoint in self._endpoints(channel, "occupancy"):
            now_ms = int(self._clock() * 1000)
            self._put(channel, endpoint, Intent(self._id(channel), kind, now_ms, {"channel": channel}))

    async def push(self, channel: str, endpoint: str, happening: bytes) -> int:
        """As `Intents.push`."""
        fields: dict[str, Any] = orjson.loads(happening)
        kind, time_ms = Kind(fields.pop("kind")), fields.pop("time", int(self._clock() * 1000))
        count = self._put(
            channel, endpoint, Intent(fields.pop("id", self._id(channel)), kind, time_ms, fields)
        )
        self._look_in(channel, endpoint, self._queues[(channel, endpoint)], 0.0)
        return count

    async def take(
        self, channel: str, endpoint: str, most: int, for_s: float, *, early: bool = False
    ) -> Taken:
        """As `Intents.take`."""
        queue = self._queues.get((channel, endpoint))
        if queue is None or not queue.waiting:
            return Taken()
        wait = 0.0 if early else queue.due - self._clock()
        if queue.taken or wait > 0:
            return Taken(again_s=max(wait, 0.1))
        queue.taken = True
        return Taken(list(islice(queue.waiting, most)), queue.tries, 0.0)

    async def settle(
        self, channel: str, endpoint: str, through: int, go_on_s: float, tries: int, again_s: float
    ) -> bool:
        """As `Intents.settle`."""
        queue = self._queues.get((channel, endpoint))
        if queue is None:
            return False
        for _ in range(min(through, len(queue.waiting))):
            queue.waiting.popleft()
        queue.tries, queue.due = tries, self._clock() + again_s
        queue.taken = False  # within one process nobody else asks while it goes on
        if not queue.waiting:
            self._queues.pop((channel, endpoint))
        elif not go_on_s:
            self._look_in(channel, endpoint, queue, again_s)
        return True

    async def states(self) -> dict[str, bytes]:
        """As `Intents.states`."""
        return dict(self._states)

    async def put_state(self, endpoint: str, state: bytes) -> None:
        """As `Intents.put_state`."""
        if state:
            self._states[endpoint] = state
        else:
            self._states.pop(endpoint, None)

    def _endpoints(self, channel: str, what: str) -> tuple[str, ...]:
        return () if self._told is None else self._told.routes(channel, what)

    def _id(self, channel: str) -> str:
        self._number += 1
        return f"{channel}/{int(self._clock() * 1000)}-{self._number}"

    def _put(self, channel: str, endpoint: str, intent: Intent) -> int:
        queue = self._queues.setdefault((channel, endpoint), _Queue())
        queue.waiting.append(intent)
        if queue.look is None:
            self._look_in(channel, endpoint, queue, 0.0)
        return len(queue.waiting)

    def _look_in(self, channel: str, endpoint: str, queue: _Queue, seconds: float) -> None:
        if queue.look is not None:
            queue.look.cancel()
        loop = asyncio.get_running_loop()
        queue.look = loop.call_later(seconds, self._look, channel, endpoint, queue)

    def _look(self, channel: str, endpoint: str, queue: _Queue) -> None:
        queue.look = None
        if self._told is not None and queue.waiting:
            if len(queue.waiting) > self._told.most:
                self._told.overflow(channel, endpoint, len(queue.waiting) - self._told.most)
            again = self._told.wake(channel, endpoint)
            self._look_in(channel, endpoint, queue, again)
