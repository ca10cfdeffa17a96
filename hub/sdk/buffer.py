"""The bounded queue between the reader of a socket and a slow application."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Ended(Exception):
    """Nothing more comes, and nothing went wrong."""


class Buffer(Generic[T]):
    """Items in order, then the end. The reader asks for room before it reads on."""

    def __init__(self, limit: int) -> None:
        self._items: deque[T] = deque()
        self._limit = limit
        self._end: BaseException | None = None
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        """Whether the reader must wait."""
        return len(self._items) >= self._limit and self._end is None

    @property
    def low(self) -> bool:
        """Whether enough was taken out to ask the hub for more."""
        return len(self._items) <= self._limit // 2

    def put(self, item: T) -> None:
        """Append; what comes after the end is dropped."""
        if self._end is None:
            self._items.append(item)
            self._ready.set()
            if self.full:
                self._room.clear()

    def end(self, error: BaseException | None = None) -> None:
        """What is queued can still be taken, then `get` raises `error`, or `Ended`. The first end counts."""
        if self._end is None:
            self._end = error or Ended()
            self._ready.set()
            self._room.set()

    async def room(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until there is room."""
        try:
            async with asyncio.timeout(timeout):
                await self._room.wait()
        except TimeoutError:
            return False
        return True

    async def get(self) -> T:
        """The next item, else what `end` said."""
        while not self._items:
            if self._end is not None:
                raise self._end
            self._ready.clear()
            await self._ready.wait()
        item = self._items.popleft()
        self._room.set()
        return item
