"""The contract of every broker: where in a history a moment is; how many are present."""

import pytest

from hub.broker.base import Broker, Member
from hub.broker.memory.broker import MemoryBroker
from hub.protocol.position import Position
from hub.recovery.by_time import SKEW_MS, position_at

from .harness import Clock, Harness, Recorder, namespaces, publication, publish


async def test_the_first_event_that_is_not_older(harness: Harness, broker: Broker) -> None:
    for _ in range(4):
        await publish(broker, "log:t")
        await harness.advance(0.05)
    page = await broker.read("log:t", 0, 10)
    epoch = page.top.epoch
    for event in page.events:
        found = await position_at(broker, "log:t", event.time)
        first = next(each for each in page.events if each.time >= event.time)
        assert found == Position(epoch, first.offset - 1)
    assert await position_at(broker, "log:t", page.events[-1].time + 1) == page.top.position
    assert await position_at(broker, "log:t", 2**53 - 1) == page.top.position
    assert await position_at(broker, "log:t", 0) == Position(epoch, 0)


async def test_nothing_was_published(broker: Broker) -> None:
    [top] = await broker.tops(["log:none"])
    assert await position_at(broker, "log:none", 5) == top.position  # type: ignore[union-attr]


async def test_a_moment_before_the_history_stands_for_its_beginning(broker: Broker) -> None:
    for _ in range(15):
        await broker.publish([publication("state:trimmed", key="a") for _ in range(100)])
    page = await broker.read("state:trimmed", 0, 1)
    assert page.top.first > 1
    assert await position_at(broker, "state:trimmed", 0) == Position(page.top.epoch, 0)


@pytest.mark.parametrize("step_ms", [1, 700, SKEW_MS, 100_000])
async def test_clocks_of_nodes_differ(step_ms: int) -> None:
    """Whatever their order within the difference: no event that is not older is left out."""
    clock = Clock()
    broker = MemoryBroker(namespaces(60.0), clock)
    await broker.start(Recorder())
    begin = clock.now
    for number in range(60):
        clock.now = begin + number * step_ms / 1000 + (SKEW_MS / 1000 if number % 3 == 1 else 0)
        await broker.publish([publication("state:skew")])
    events = list((await broker.read("state:skew", 0, 1000)).events)
    for event in events:
        found = await position_at(broker, "state:skew", event.time)
        assert found.offset == min(each.offset for each in events if each.time >= event.time) - 1
    await broker.close()


async def test_how_many_are_present(broker: Broker) -> None:
    assert await broker.presence.count("log:p") == (0, 0)
    for user, name in (("ann", "a"), ("ann", "b"), ("bob", "a")):
        await broker.presence.enter("log:p", Member(user, name, True, "c_1"))
    assert await broker.presence.count("log:p") == (3, 2)
    await broker.presence.leave("log:p", "ann", "a", "c_1", 0.0)
    assert await broker.presence.count("log:p") == (2, 2)
