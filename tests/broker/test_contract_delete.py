"""The contract of every broker: deleting a channel, and a key of one."""

import pytest

from hub.broker.base import KEY_DELETED, Broker, Published
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.event import Source, Version
from hub.protocol.position import Position
from hub.protocol.recovery import FOR_EVER, Cause, Gap, judge

from .harness import Harness, Recorder, attempt, publication, publish


async def test_a_deleted_channel_begins_anew_and_says_so(broker: Broker, heard: Recorder) -> None:
    await broker.listen("log:d")
    source = Source("kafka", Version(0, 7))
    [first] = await broker.publish([publication("log:d", b"1", event_id="e", source=source)])
    assert isinstance(first, Published)
    assert first.position is not None
    await broker.ack("log:d", "ann", first.position)
    fresh = await broker.delete("log:d")
    assert fresh.offset == 0
    assert fresh.epoch != first.position.epoch
    await heard.until(lambda: heard.lost == ["log:d"])
    page = await broker.read("log:d", 0, 10)
    assert (page.top.position, list(page.events)) == (fresh, [])
    assert judge(first.position, page.top, FOR_EVER) == Gap(1, 0, Cause.DELETED)
    assert (await broker.inbox("log:d", "ann")).cursor.offset == 0
    with pytest.raises(HubError) as caught:
        await broker.ack("log:d", "ann", first.position)
    assert caught.value.code is ErrorCode.CONFLICT
    # Neither the id nor the source is remembered.
    [again] = await broker.publish([publication("log:d", b"2", event_id="e", source=source)])
    assert again == Published("e", Position(fresh.epoch, 1))
    assert judge(first.position, (await broker.read("log:d", 0, 1)).top, FOR_EVER) == Gap(1, 1, Cause.DELETED)


async def test_nothing_stored_nothing_deleted(broker: Broker, heard: Recorder) -> None:
    await broker.listen("log:none")
    [top] = await broker.tops(["log:none"])
    assert not isinstance(top, HubError)
    assert await broker.delete("log:none") == top.position
    assert heard.lost == []


async def test_deleted_twice(broker: Broker) -> None:
    first = (await publish(broker, "state:d", key="a")).position
    second = await broker.delete("state:d")
    await publish(broker, "state:d", key="a")
    third = await broker.delete("state:d")
    page = await broker.snapshot("state:d")
    assert (page.top.position, list(page.events)) == (third, [])
    assert first is not None
    assert len({first.epoch, second.epoch, third.epoch}) == 3
    assert isinstance(judge(Position(second.epoch, 1), page.top, FOR_EVER), Gap)


async def test_an_ephemeral_channel_has_nothing_to_delete(broker: Broker) -> None:
    for deleting in (broker.delete("cursor:d"), broker.delete_key("cursor:d", "k")):
        with pytest.raises(HubError) as caught:
            await deleting
        assert caught.value.code is ErrorCode.BAD_CHANNEL


async def test_nothing_of_a_deleted_key_is_kept(broker: Broker, heard: Recorder) -> None:
    await broker.listen("state:k")
    for number, key in enumerate(["b", "a", "b", "a", "c"]):
        await publish(broker, "state:k", b'"of %s"' % key.encode(), key=key, version=(3, number))
    position = await broker.delete_key("state:k", "a")
    assert position is not None
    assert position.offset == 6
    await heard.until(lambda: heard.erased == ["state:k"])
    last = (await heard.heard("state:k", 6))[-1]
    assert (last.type, last.key, last.final, last.payload, last.offset) == (
        KEY_DELETED,
        "a",
        True,
        b"null",
        6,
    )
    page = await broker.snapshot("state:k")
    assert [(event.offset, event.key) for event in page.events] == [(3, "b"), (5, "c")]
    assert (page.top.offset, page.top.first) == (6, 5)
    history = await broker.read("state:k", 0, 10)
    assert [(event.offset, event.key) for event in history.events] == [(5, "c"), (6, "a")]
    assert history.events[-1] == last
    # Its guard is gone too, and what comes under the key counts from there.
    again = await publish(broker, "state:k", key="a", version=1)
    assert (again.stale, again.position) == (False, Position(position.epoch, 7))


async def test_a_key_that_left_the_snapshot_is_deleted_from_the_history(
    harness: Harness, broker: Broker
) -> None:
    await publish(broker, "fleet:k", b"1", key="a", final=True)
    await harness.advance(1.5)
    await publish(broker, "fleet:k", b"2", key="b")
    assert [event.key for event in (await broker.snapshot("fleet:k")).events] == ["b"]
    position = await broker.delete_key("fleet:k", "a")
    assert position is not None
    assert [event.key for event in (await broker.read("fleet:k", 0, 10)).events] == ["b", "a"]
    assert [event.payload for event in (await broker.read("fleet:k", 0, 10)).events] == [b"2", b"null"]


async def test_deleting_a_key_ends_its_lease(harness: Harness, broker: Broker, heard: Recorder) -> None:
    await broker.listen("fleet:l")
    lease_ms = int(harness.unit * 1000)
    assert isinstance(await attempt(broker, "fleet:l", key="a", lease_ms=lease_ms), Published)
    await broker.delete_key("fleet:l", "a")
    await harness.advance(2)
    assert [event.type for event in await heard.heard("fleet:l", 2)] == ["note", KEY_DELETED]


async def test_what_is_not_there_is_not_deleted(broker: Broker, heard: Recorder) -> None:
    await broker.listen("state:no")
    await publish(broker, "state:no", key="a")
    assert await broker.delete_key("state:no", "b") is None
    assert len(await heard.heard("state:no", 1)) == 1
    with pytest.raises(HubError) as caught:
        await broker.delete_key("log:no", "b")
    assert caught.value.code is ErrorCode.BAD_CHANNEL
