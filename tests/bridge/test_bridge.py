"""A bridge goes on whatever becomes of its source."""

import asyncio
from collections.abc import Mapping
from typing import Any

from hub.bridge.bridge import Bridge
from hub.bridge.records import Batch, Record
from hub.bridge.source import SourceError
from hub.runtime.backoff import Timing

from .test_mapping import settings
from .test_partition import Clock, FakeHub, FakeLetters, FakeSource, batch


class Once(FakeSource):
    """Gives what it is made with, once, and then waits as one that is held does: of its link it sees nothing."""

    def __init__(self, given: Batch, *, closed: bool) -> None:
        super().__init__()
        self._given: Batch | None = given
        self._closed = closed
        self.let_go = False

    async def next(self) -> Batch:
        given, self._given = self._given, None
        if given is None:
            await asyncio.Event().wait()
        assert given is not None
        return given

    async def settle(self, batch: Batch) -> None:
        if self._closed:
            raise SourceError("the connection is closed")
        await super().settle(batch)

    async def reject(self, record: Record, code: str, reason: str) -> None:
        if self._closed:
            raise SourceError("the connection is closed")
        await super().reject(record, code, reason)

    async def lag(self) -> Mapping[str, int]:
        return {"orders/3": 1}

    async def close(self) -> None:
        self.let_go = True


async def settled_by_the_second(given: Batch) -> Once:
    """The second source that a bridge makes, where the first one can't be told of anything any more."""
    clock = Clock()
    sources = [Once(given, closed=True), Once(given, closed=False)]
    made: list[Once] = []

    def make() -> Any:
        made.append(sources[len(made)])
        return made[-1]

    timing = Timing(clock.now, clock.sleep, lambda: 0.5)
    bridge = Bridge(settings(), make, FakeHub(), FakeLetters(), timing)
    bridge.start()
    async with asyncio.timeout(10):
        while len(made) < 2 or not made[1].settled:
            await asyncio.sleep(0.001)
    await bridge.stop()
    assert [each.let_go for each in made] == [True, True]
    return made[1]


async def test_a_source_that_can_not_be_told_is_read_anew_though_it_waits_to_be_released() -> None:
    second = await settled_by_the_second(batch(0, 3))
    assert second.settled == [0, 1, 2]


async def test_the_same_where_a_message_can_not_be_rejected() -> None:
    second = await settled_by_the_second(batch(0, 1, lambda number: b"{"))
    assert second.rejected == [0]
