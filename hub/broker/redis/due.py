"""The due-list: what must be looked at later, by whichever node lives then.

Nothing on it is the truth: each item names something in a channel, whose own script decides whether its time
has come. An item is handed to one node, and comes back after a time-out unless that node says it is done. In
a Cluster and on a ring it is on another server than its channel, so it is split into buckets that spread
alike.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgpack

from ...protocol.codes import ErrorCode
from ...protocol.errors import HubError
from ...runtime.standing import StandingWork
from ...runtime.tasks import Tasks
from .client.tuning import Stats, Tuning
from .keys import DUE_BUCKETS, KeyNames
from .scripts import DUE_ADD, DUE_DONE, DUE_TAKE
from .store import Request, Store

Handler = Callable[..., Awaitable[float | None]]
"""Looks at an item, given its parts: None when it is done with, else in how many seconds to look again."""

_ABOUT_NO_CHANNEL = frozenset({ErrorCode.BAD_CHANNEL, ErrorCode.UNKNOWN_NAMESPACE})
_AT_ONCE = 100  # items of one bucket that a node takes in one go


class DueList:
    """The due-list: what must be looked at later, by whichever node lives then. Items are tuples of a kind,
    a channel, and what the kind needs. `family` names the list's keys."""

    def __init__(
        self, store: Store, keys: KeyNames, tuning: Tuning, stats: Stats, family: str = "due"
    ) -> None:
        self._family = family
        self.handlers: dict[str, Handler] = {}
        self._store = store
        self._keys = keys
        self._tuning = tuning
        self._stats = stats
        self.standing = StandingWork(time.monotonic, HubError, stats.counts)
        self._tasks = Tasks()

    def start(self) -> None:
        """Look at what is due, from now on."""
        for bucket in range(DUE_BUCKETS):
            self._tasks.spawn(self._sweep(bucket))

    async def close(self) -> None:
        """Look no more; what was taken and not done comes back to other nodes."""
        await self._tasks.close()

    def adding(self, item: Sequence[str], delay_s: float, instead: Sequence[str] | None = None) -> Request:
        """The request that puts an item on the list, or moves it, and takes off another one of its bucket."""
        tag = self._keys.due_tag(item[1], self._family)
        packed = msgpack.packb(item)
        replaced = b"" if instead is None else msgpack.packb(instead)
        return Request(tag, DUE_ADD, (self._keys.due(tag),), (int(delay_s * 1000), packed, replaced))

    def dropping(self, item: Sequence[str]) -> Request:
        """The request that takes an item off the list."""
        tag = self._keys.due_tag(item[1], self._family)
        name = self._keys.due(tag)
        return Request(tag, None, (), ("ZREM", name, msgpack.packb(item)))

    async def add(self, item: Sequence[str], delay_s: float) -> None:
        """Put an item on the list, or move it.

        Raises:
            HubError: ``unavailable``.
        """
        await self._store.one(self.adding(item, delay_s))

    async def _sweep(self, bucket: int) -> None:
        async def look() -> None:
            # Nodes look at different moments, so the list is looked at more often than one of them would.
            await asyncio.sleep(self._tuning.sweep * random.uniform(0.5, 1.0))
            while await self._take(f"{self._family}-{bucket}") == _AT_ONCE:
                pass

        longest_s = self._tuning.sweep + self._tuning.patience
        await self.standing.run(f"{self._family}_list_{bucket}", look, lambda: 0.0, longest_s)

    async def _take(self, tag: str) -> int:
        name = self._keys.due(tag)
        visible_ms = int(self._tuning.visibility * 1000)
        reply = await self._store.one(Request(tag, DUE_TAKE, (name,), (visible_ms, _AT_ONCE)))
        claim, items = reply[1], reply[2]
        await asyncio.gather(*(self._handle(tag, name, claim, item) for item in items))
        return len(items)

    async def _handle(self, tag: str, name: str, claim: bytes, packed: bytes) -> None:
        again: float | None = None
        try:
            kind, *parts = _unpack(packed)
            again = await self.handlers[kind](*parts)
        except HubError as error:
            if error.code not in _ABOUT_NO_CHANNEL:
                self._stats.note("due_postponed", "what is due must wait: %s", error.reason)
                return  # it comes back by itself
            self._stats.note("unreadable_due", "an item of the due-list was dropped: %s", error.reason)
        except (ValueError, KeyError, TypeError):
            self._stats.note("unreadable_due", "an item of the due-list was dropped")
        later: str | int = "" if again is None else max(1, int(again * 1000))
        with contextlib.suppress(HubError):  # it comes back by itself, and is looked at once more
            await self._store.one(Request(tag, DUE_DONE, (name,), (packed, claim, later)))


def _unpack(packed: bytes) -> list[Any]:
    try:
        item = msgpack.unpackb(packed, raw=False)
    except msgpack.UnpackException as error:
        raise ValueError("no MessagePack") from error
    if not isinstance(item, list) or not all(isinstance(part, str) for part in item):
        raise ValueError("no item")
    return item
