"""What is the memory broker's own: it never suspends, forgets by itself, and rings by its own timer too."""

import asyncio
import gc
import re
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from hub.broker.base import EMPTY_S
from hub.broker.memory.answers import IDEMPOTENCY_S
from hub.broker.memory.broker import MemoryBroker
from hub.broker.memory.registry import MemoryRegistry
from hub.broker.memory.streams import Stream
from hub.broker.memory.timers import Alarm, Timers
from hub.namespaces import Mode, Namespace, Namespaces
from hub.protocol import ids
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.position import Position

from .harness import HISTORY_SIZE, Clock, MemoryHarness, Recorder, namespaces, publication, publish, tops


@pytest.fixture
async def harness() -> MemoryHarness:
    return await MemoryHarness.start()


def at_once(verb: Coroutine[Any, Any, object]) -> bool:
    """Whether a verb completes without suspending."""
    try:
        verb.send(None)
    except StopIteration:
        return True
    verb.close()
    return False


class TestTheHotPath:
    async def test_the_verbs_of_the_streams_never_suspend(self, harness: MemoryHarness) -> None:
        broker = harness.broker
        epoch = (await tops(broker, ["log:a"]))[0].epoch
        verbs: list[Coroutine[Any, Any, object]] = [
            broker.listen("log:a"),
            broker.publish([publication("log:a"), publication("state:a", key="k", lease_ms=1000)]),
            broker.read("log:a", None, 10),
            broker.snapshot("state:a"),
            broker.tops(["log:a"]),
            broker.ack("log:a", "ann", Position(epoch, 1)),
            broker.inbox("log:a", "ann"),
            broker.unlisten("log:a"),
        ]
        assert [at_once(verb) for verb in verbs] == [True] * len(verbs)

    async def test_an_announcement_is_made_before_the_answer(self, harness: MemoryHarness) -> None:
        await harness.broker.listen("log:a")
        assert at_once(harness.broker.publish([publication("log:a")]))
        assert [event.offset for event in harness.heard.events("log:a")] == [1]


class TestForgetting:
    async def test_an_ended_channel_leaves_nothing_behind(self, harness: MemoryHarness) -> None:
        broker = harness.memory
        for name in range(50):
            await publish(broker, f"short:gone-{name}", event_id="x")
            await publish(broker, f"fleet:gone-{name}", key="k", event_id="x", lease_ms=1000)
        assert len(broker._streams) == 100
        for _ in range(20):
            await harness.advance(1)
        assert broker._streams == {}
        assert broker._timers._heap == []
        gc.collect()
        streams = [kept for kept in gc.get_objects() if isinstance(kept, Stream)]
        assert [stream for stream in streams if ":gone-" in stream.channel] == []

    async def test_expired_answers_are_pruned_without_being_asked_for(self, harness: MemoryHarness) -> None:
        broker = harness.memory
        for number in range(20):
            await publish(broker, "log:a", event_id=str(number))
            harness.clock.now += 10
        [stream] = broker._streams.values()
        assert len(stream.answers) == 20
        harness.clock.now += IDEMPOTENCY_S - 100 + 0.5
        broker.tick()
        assert list(stream.answers) == [("svc", str(number)) for number in range(11, 20)]
        harness.clock.now += 200
        broker.tick()
        assert len(stream.answers) == 0

    async def test_an_answer_between_two_sweeps_has_its_exact_age(self, harness: MemoryHarness) -> None:
        broker = harness.memory
        await publish(broker, "log:a", event_id="x")
        harness.clock.now += 0.5
        await publish(broker, "log:a", event_id="y")
        harness.clock.now += IDEMPOTENCY_S - 0.25
        broker.tick()
        [stream] = broker._streams.values()
        assert list(stream.answers) == [("svc", "y")]
        harness.clock.now += 0.25
        assert not (await publish(broker, "log:a", b"2", event_id="y")).duplicate

    async def test_history_is_bounded_whatever_is_published(self, harness: MemoryHarness) -> None:
        await harness.broker.publish([publication("log:a") for _ in range(1000)])
        [stream] = harness.memory._streams.values()
        assert len(stream.events) <= HISTORY_SIZE + 16

    async def test_a_busy_channel_does_not_fill_the_heap(self, harness: MemoryHarness) -> None:
        broker = harness.memory
        for number in range(1000):
            await publish(broker, "state:a", key="k", event_id=str(number), lease_ms=60_000)
            harness.clock.now += 0.01
        assert len(broker._timers._heap) < 10

    async def test_a_moved_alarm_rings_once_and_leaves_no_entry(self) -> None:
        timers = Timers(Clock())
        rung: list[float] = []
        alarm = Alarm(lambda: rung.append(now))
        for due in (100, 50, 80):
            timers.set(alarm, due)
        for now in range(0, 90, 10):
            timers.tick(now)
        assert rung == [80]
        timers.set(alarm, 200)
        for now in range(90, 190, 10):
            timers.tick(now)
        assert (rung, len(timers._heap)) == ([80], 1)
        timers.cancel(alarm)
        timers.tick(300)
        assert (rung, timers._heap) == ([80], [])

    async def test_presence_and_registry_leave_nothing_behind(self, harness: MemoryHarness) -> None:
        registry = harness.broker.registry
        assert isinstance(registry, MemoryRegistry)
        for number in range(100):
            await registry.put_ticket(str(number), b"", 30)
            await registry.revoke(str(number), harness.now() + 30)
            await registry.register_node(str(number), b"", 30)
        harness.clock.now += 31
        harness.memory.tick()
        expiring = (registry._tickets, registry._revocations, registry._nodes)
        assert [kept._entries for kept in expiring] == [{}, {}, {}]
        assert harness.memory._timers._heap == []


class TestTime:
    async def test_leases_ring_by_themselves(self) -> None:
        """On the real clock, with nobody calling the broker."""
        heard = Recorder()
        broker = MemoryBroker(namespaces(60))
        await broker.start(heard)
        await broker.listen("state:a")
        begun = time.time()
        await publish(broker, "state:a", key="late", lease_ms=3_600_000)
        await publish(broker, "state:a", key="k", lease_ms=50)
        await heard.until(lambda: len(heard.events("state:a")) == 3)
        assert heard.events("state:a")[-1].key == "k"
        assert time.time() - begun >= 0.05
        await broker.close()

    async def test_a_step_of_the_clock_is_noticed_in_silence(self, harness: MemoryHarness) -> None:
        await harness.broker.listen("state:a")
        await publish(harness.broker, "state:a", key="k", lease_ms=3_600_000)
        harness.clock.now += 4000
        await harness.heard.heard("state:a", 2)

    async def test_nothing_rings_after_close(self, harness: MemoryHarness) -> None:
        await harness.broker.listen("state:a")
        await publish(harness.broker, "state:a", key="k", lease_ms=1)
        await harness.close()
        harness.clock.now += 10
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, done.set)
        await done.wait()
        assert len(harness.heard.events("state:a")) == 1

    async def test_an_earlier_moment_takes_the_place_of_a_later_one(self, harness: MemoryHarness) -> None:
        await harness.broker.listen("state:a")
        await publish(harness.broker, "state:a", key="k", lease_ms=100_000)
        await publish(harness.broker, "state:a", key="k", lease_ms=1_000)
        harness.clock.now += 2
        harness.memory.tick()
        assert len(harness.heard.events("state:a")) == 3
        harness.clock.now += 200
        harness.memory.tick()
        assert len(harness.heard.events("state:a")) == 3

    async def test_a_key_that_leaves_takes_its_lease_along(self) -> None:
        table = Namespaces({"s": Namespace(mode=Mode.STATE, snapshot_idle_ttl=5)})
        harness = MemoryHarness()
        broker = MemoryBroker(table, harness.clock)
        await publish(broker, "s:a", key="k", lease_ms=10_000)
        harness.clock.now += 60
        page = await broker.read("s:a", 0, 10)
        assert (page.top.offset, list((await broker.snapshot("s:a")).events)) == (1, [])


class TestRefusals:
    async def test_what_is_not_stored_has_no_position(self, harness: MemoryHarness) -> None:
        with pytest.raises(HubError) as refused:
            await harness.broker.read("cursor:a", None, 10)
        assert refused.value.code is ErrorCode.BAD_CHANNEL

    async def test_an_unknown_namespace_is_refused_alone(self, harness: MemoryHarness) -> None:
        refused, stored = await harness.broker.publish([publication("nope:a"), publication("log:a")])
        assert isinstance(refused, HubError)
        assert refused.code is ErrorCode.UNKNOWN_NAMESPACE
        assert not isinstance(stored, HubError)


class TestIds:
    def test_event_ids_sort_by_time(self) -> None:
        most = 2**ids.EVENT_BITS - 1
        named = [
            ids.event_id(0, most),
            ids.event_id(1_763_690_000_123, 0),
            ids.event_id(1_763_690_000_124, 0),
        ]
        assert named == sorted(named)
        assert {len(name) for name in named} == {29}
        assert ids.event_id(1_763_690_000_123, most) < named[2]

    def test_names_have_their_shape(self) -> None:
        assert re.fullmatch(r"c_[0-9a-f]{20}", ids.connection_id(2**ids.CONNECTION_BITS - 1))
        assert re.fullmatch(r"n_[0-9a-f]{12}", ids.node_id(0))
        assert re.fullmatch(r"[0-9a-z]{8}", ids.epoch(2**ids.EPOCH_BITS - 1))
        assert len({ids.epoch(bits) for bits in range(1000)}) == 1000


async def test_a_numbering_that_was_only_looked_at_lives_for_minutes() -> None:
    clock = Clock()
    broker = MemoryBroker(Namespaces.shipped(), clock)
    first = (await broker.read("doc:1", None, 10)).top.epoch
    clock.now += EMPTY_S - 1
    assert (await tops(broker, ["doc:1"]))[0].epoch == first, "who listens keeps it"
    clock.now += EMPTY_S + 1
    second = (await tops(broker, ["doc:1"]))[0].epoch
    assert second != first
    await publish(broker, "doc:1")
    clock.now += EMPTY_S + 1
    assert (await tops(broker, ["doc:1"]))[0].epoch == second
