"""Handlers that are told, after the fact: behind a bounded queue, never inside the fan-out."""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from ..broker.base import Published
from ..connections.observer import Ending, NoObserver, Observed
from ..protocol.errors import HubError
from ..protocol.event import Event, Publication
from ..runtime.tasks import Tasks
from .asked import inside, matching
from .messages import Disconnected, EventSeen
from .registry import Handler, Handlers
from .runner import Runner

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
SIDE_BY_SIDE = 32
SEEN = 20_000  # ids of events that are remembered, so that none is told twice
HOPS = "hub.hops"
"""A field of `meta`: how many handlers of events this event has come by, one after the other."""
MOST_HOPS = 3

hops: ContextVar[int] = ContextVar("hub_hops", default=0)
"""The hops of what is published from here; 0: it comes by no handler."""


class Teller:
    """Tells handlers of one node. What does not fit into the queue is dropped, counted (`dropped`) and logged.

    What one handler is told of one channel comes in order.
    """

    def __init__(self, handlers: Handlers, runner: Runner, tasks: Tasks) -> None:
        self.dropped = 0
        self._handlers = handlers
        self._runner = runner
        self._tasks = tasks
        self._waiting: dict[tuple[Handler, str], deque[Any]] = {}
        self._count = 0
        self._free = asyncio.Semaphore(SIDE_BY_SIDE)
        self._seen: OrderedDict[str, None] = OrderedDict()

    def disconnected(self, connection: Observed, ending: Ending) -> None:
        """A connection is over."""
        told = Disconnected(
            connection.who[0], connection.id, ending.code, ending.reason, tuple(connection.subscriptions)
        )
        for handler in self._handlers.disconnect:
            self._put(handler, connection.id, told)

    def event(self, event: Event) -> None:
        """An event was stored."""
        handlers = matching(self._handlers.event, event.channel)
        if not handlers or self._knows(event.id):
            return
        told = EventSeen(
            event.channel,
            event.type,
            event.id,
            event.offset,
            event.key,
            event.final,
            event.sender,
            event.payload,
            event.meta,
        )
        for handler in handlers:
            self._put(handler, event.channel, told)

    def published(self, publications: Sequence[Publication], results: Sequence[Published | HubError]) -> None:
        """Published by this node: it is told of these also where nobody here has subscribed."""
        for publication, result in zip(publications, results, strict=True):
            if isinstance(result, HubError) or result.stale or result.duplicate:
                continue
            if matching(self._handlers.event, publication.channel):
                self.event(_event(publication, result))

    def _knows(self, id: str) -> bool:
        if id in self._seen:
            return True
        self._seen[id] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return False

    def _put(self, handler: Handler, about: str, told: Any) -> None:
        if self._count >= MOST_WAITING:
            self.dropped += 1
            if self.dropped == 1 or self.dropped % 10_000 == 0:
                log.error("%d events could not be told to handlers: %d wait", self.dropped, self._count)
            return
        self._count += 1
        queue = self._waiting.get((handler, about))
        if queue is not None:
            queue.append(told)
            return
        self._waiting[handler, about] = deque([told])
        self._tasks.spawn(self._drain(handler, about))

    async def _drain(self, handler: Handler, about: str) -> None:
        queue = self._waiting[handler, about]
        while queue:
            async with self._free:
                await self._tell(handler, queue.popleft())
            self._count -= 1
        del self._waiting[handler, about]

    async def _tell(self, handler: Handler, told: Any) -> None:
        if isinstance(told, EventSeen):  # this is a task of its own: nothing is to be put back
            inside.set((handler,))
            hops.set(hops_of(told) + 1)
        try:
            await self._runner.run(handler, told)
        except HubError as error:
            log.warning("the handler %s was told, and failed: %s", handler.name, error.reason)


def _event(publication: Publication, published: Published) -> Event:
    offset = 0 if published.position is None else published.position.offset
    return Event(
        publication.channel,
        offset,
        published.event_id,
        0,
        publication.type,
        publication.payload,
        key=publication.key,
        final=publication.final,
        sender=publication.sender,
        meta=publication.meta,
    )


def hops_of(event: EventSeen) -> int:
    """By how many handlers it came."""
    text = event.meta.get(HOPS, "") if event.meta_json is not None else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0


class TellingObserver(NoObserver):
    """`Observer` for `on_disconnect`."""

    def __init__(self, tell: Callable[[Observed, Ending], None]) -> None:
        self._tell = tell

    def ended(self, connection: Observed, ending: Ending) -> None:
        """As `Observer.ended`."""
        self._tell(connection, ending)
