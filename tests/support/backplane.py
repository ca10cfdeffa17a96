"""A broker with every fault that one can have: it loses, delays and reorders announcements, fails, forks its
numbering, forgets, trims. What was ever published stays in `truth`.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence

from hub.broker.base import Inbox, Listener, Page, Published, ShardHealth
from hub.broker.memory.broker import MemoryBroker
from hub.namespaces import Namespaces
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.event import Event, Publication
from hub.protocol.position import Position, Top


class Stored:
    """One channel as it is stored."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.ancestors: tuple[Position, ...] = ()
        self.offset = 0
        self.events: list[Event] = []
        self.all: list[Event] = []  # of this numbering, trimmed ones too
        self.keys: dict[str, Event] = {}

    @property
    def top(self) -> Top:
        return Top(self.epoch, self.offset, self.offset + 1 - len(self.events), self.ancestors)


class Backplane:
    """`Broker` of one node. Presence and registry are those of the memory broker."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._memory = MemoryBroker(namespaces)
        self.presence = self._memory.presence
        self.registry = self._memory.registry
        self.truth: dict[tuple[str, str, int], Event] = {}
        self.down = False
        self.delay_s = 0.0
        self.dropping = 0
        self._namespaces = namespaces
        self._stored: dict[str, Stored] = {}
        self._epochs = 0
        self._listened: set[str] = set()
        self._listener: Listener | None = None
        self._in_flight: deque[tuple[str, Event]] = deque()
        self._task: asyncio.Task[None] | None = None

    # Faults

    def fork(self, channel: str, lose: int) -> None:
        """A promoted replica lagged by `lose` events."""
        stored = self.stored(channel)
        lose = min(lose, len(stored.events))
        stored.offset -= lose
        del stored.events[len(stored.events) - lose :]
        del stored.all[len(stored.all) - lose :]
        older = (Position(epoch, min(fork, stored.offset)) for epoch, fork in stored.ancestors)
        stored.ancestors = (Position(stored.epoch, stored.offset), *older)
        stored.epoch = self._new_epoch()
        stored.keys = {}
        for event in stored.all:
            if event.key is not None:
                stored.keys.pop(event.key, None)
                stored.keys[event.key] = event

    def wipe(self, channel: str) -> None:
        """All of it is gone."""
        self._stored[channel] = Stored(self._new_epoch())

    def trim(self, channel: str, keep: int) -> None:
        """The history is shorter now."""
        stored = self.stored(channel)
        del stored.events[: max(0, len(stored.events) - keep)]

    def lose_link(self) -> None:
        """Pub/sub was away for a moment: what was in flight is gone, and the node is told so."""
        self._in_flight.clear()
        if self._listener is not None:
            self._listener.on_lost(sorted(self._listened))

    def reorder(self) -> None:
        """Two announcements overtake each other."""
        if len(self._in_flight) >= 2:
            self._in_flight[0], self._in_flight[1] = self._in_flight[1], self._in_flight[0]

    def heal(self) -> None:
        """No fault from now on."""
        self.down = False
        self.delay_s = 0.0
        self.dropping = 0

    # Broker

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        self._task = asyncio.create_task(self._announce())
        await self._memory.start(listener)

    async def close(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._memory.close()

    def still(self) -> Sequence[str]:
        return ()

    def health(self) -> list[ShardHealth]:
        return self._memory.health()

    async def publish(self, publications: Sequence[Publication]) -> list[Published | HubError]:
        return [self._publish(publication) for publication in publications]

    async def read(self, channel: str, after: int | None, limit: int) -> Page:
        await self._suspend()
        stored = self.stored(channel)
        top = stored.top
        begin = max(top.first, top.offset - limit + 1 if after is None else after + 1)
        page = Page(top, [event for event in stored.events if event.offset >= begin][:limit])
        await self._suspend()  # the answer is on its way
        return page

    async def snapshot(self, channel: str) -> Page:
        await self._suspend()
        stored = self.stored(channel)
        page = Page(stored.top, list(stored.keys.values()))
        await self._suspend()
        return page

    async def tops(self, channels: Sequence[str]) -> list[Top]:
        await self._suspend()
        return [self.stored(channel).top for channel in channels]

    async def listen(self, channel: str) -> None:
        await self._suspend()
        self._listened.add(channel)
        await self._suspend()

    async def unlisten(self, channel: str) -> None:
        await self._suspend()
        self._listened.discard(channel)

    async def ack(self, channel: str, user: str, position: Position) -> Inbox:
        raise NotImplementedError

    async def inbox(self, channel: str, user: str) -> Inbox:
        return Inbox(Position(self.stored(channel).epoch, 0), 0)

    # Inside

    def stored(self, channel: str) -> Stored:
        if channel not in self._stored:
            self._stored[channel] = Stored(self._new_epoch())
        return self._stored[channel]

    def _new_epoch(self) -> str:
        self._epochs += 1
        return f"e{self._epochs}"

    def _publish(self, publication: Publication) -> Published:
        stored = self.stored(publication.channel)
        stored.offset += 1
        event = Event(
            publication.channel,
            stored.offset,
            f"id{len(self.truth)}",
            0,
            publication.type,
            publication.payload,
            key=publication.key,
            final=publication.final,
        )
        stored.events.append(event)
        stored.all.append(event)
        del stored.events[: -self._namespaces.of(publication.channel).history_size]
        if event.key is not None:
            stored.keys.pop(event.key, None)
            stored.keys[event.key] = event
        self.truth[event.channel, stored.epoch, event.offset] = event
        if self.dropping:
            self.dropping -= 1
        elif event.channel in self._listened:
            self._in_flight.append((stored.epoch, event))
        return Published(event.id, Position(stored.epoch, event.offset))

    async def _suspend(self) -> None:
        await asyncio.sleep(random.choice((0.0, 0.0, 0.01, 0.1)))
        if self.down:
            raise HubError(ErrorCode.UNAVAILABLE, "the storage is away", retry_after_ms=100)

    async def _announce(self) -> None:
        while True:
            await asyncio.sleep(random.choice((0.001, 0.05)) + self.delay_s)
            for _ in range(random.randint(1, 20)):
                if self._in_flight:
                    epoch, event = self._in_flight.popleft()
                    if event.channel in self._listened and self._listener is not None:
                        self._listener.on_event(epoch, event)
