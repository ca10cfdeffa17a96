"""The contract of every broker: numbering, history, idempotency, announcements, read cursors."""

import asyncio
import re

import pytest

from hub.broker.base import Broker, Published
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.event import Version
from hub.protocol.position import Position

from .harness import HISTORY_SIZE, Harness, Recorder, attempt, publication, publish, tops


async def fill(broker: Broker, channel: str, count: int) -> None:
    results = await broker.publish([publication(channel, b"%d" % i) for i in range(1, count + 1)])
    assert not [result for result in results if isinstance(result, HubError)]


async def offsets(broker: Broker, channel: str, after: int | None, limit: int) -> list[int]:
    return [event.offset for event in (await broker.read(channel, after, limit)).events]


class TestNumbering:
    async def test_offsets_count_from_one_without_holes(self, broker: Broker) -> None:
        answers = [await publish(broker, "log:a") for _ in range(5)]
        positions = [answer.position for answer in answers]
        epoch = (await broker.read("log:a", None, 1)).top.epoch
        assert positions == [Position(epoch, offset) for offset in range(1, 6)]
        assert not any(answer.stale or answer.duplicate for answer in answers)

    async def test_an_epoch_is_a_short_word_and_each_channel_has_its_own(self, broker: Broker) -> None:
        found = await tops(broker, [f"log:{name}" for name in range(20)])
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{4,32}", top.epoch) for top in found)
        assert len({top.epoch for top in found}) == 20

    @pytest.mark.parametrize("channel", ["log:new", "state:new"])
    async def test_reading_creates_the_numbering(self, broker: Broker, channel: str) -> None:
        page = await broker.read(channel, None, 10)
        assert (page.top.offset, page.top.first, page.top.ancestors, list(page.events)) == (0, 1, (), [])
        assert (await tops(broker, [channel])) == [page.top]
        assert (await publish(broker, channel)).position == Position(page.top.epoch, 1)

    async def test_tops_creates_the_numbering_and_keeps_the_order_asked(self, broker: Broker) -> None:
        await fill(broker, "log:b", 2)
        found = await tops(broker, ["log:c", "log:b", "state:c"])
        assert [top.offset for top in found] == [0, 2, 0]
        assert (await broker.read("log:c", None, 1)).top == found[0]
        assert found[1].position == Position(found[1].epoch, 2)

    async def test_a_snapshot_creates_the_numbering(self, broker: Broker) -> None:
        page = await broker.snapshot("state:new")
        assert (page.top.offset, list(page.events)) == (0, [])
        assert await tops(broker, ["state:new"]) == [page.top]

    async def test_no_channels_no_tops_no_publications(self, broker: Broker) -> None:
        assert await tops(broker, []) == []
        assert await broker.publish([]) == []

    async def test_concurrent_publishers_share_one_numbering(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen("log:a")
        answers = await asyncio.gather(*(publish(broker, "log:a", b"%d" % i) for i in range(40)))
        given = [answer.position.offset for answer in answers if answer.position is not None]
        assert sorted(given) == list(range(1, 41))
        events = await heard.heard("log:a", 40)
        assert [event.offset for event in events] == list(range(1, 41))
        assert {event.offset: event.payload for event in events} == {
            offset: b"%d" % i for i, offset in enumerate(given)
        }

    async def test_a_lost_numbering_never_gives_an_offset_twice_under_its_epoch(
        self, harness: Harness, broker: Broker, heard: Recorder
    ) -> None:
        await broker.listen("log:a")
        await fill(broker, "log:a", 3)
        before = (await broker.read("log:a", None, 10)).top
        await heard.heard("log:a", 3)
        await harness.lose()
        answer = await publish(broker, "log:a")
        assert answer.position is not None
        assert answer.position.epoch != before.epoch
        page = await broker.read("log:a", 0, 10)
        assert page.top.epoch == answer.position.epoch
        assert [event.offset for event in page.events] == [answer.position.offset]
        await heard.heard("log:a", 4)
        assert heard.announced[-1][0] == answer.position.epoch


class TestLife:
    async def test_history_leaves_after_its_time_and_the_numbering_goes_on(
        self, harness: Harness, broker: Broker
    ) -> None:
        await fill(broker, "short:a", 3)
        before = (await broker.read("short:a", 0, 10)).top
        await harness.advance(2.5)
        page = await broker.read("short:a", 0, 10)
        assert list(page.events) == []
        assert (page.top.epoch, page.top.offset, page.top.first) == (before.epoch, 3, 4)
        assert (await publish(broker, "short:a")).position == Position(before.epoch, 4)
        page = await broker.read("short:a", 0, 10)
        assert ([event.offset for event in page.events], page.top.first) == ([4], 4)

    async def test_history_is_counted_from_the_last_publication(
        self, harness: Harness, broker: Broker
    ) -> None:
        for _ in range(3):
            await publish(broker, "short:a")
            await harness.advance(1)
        assert await offsets(broker, "short:a", 0, 10) == [1, 2, 3]

    async def test_an_ended_numbering_is_followed_by_one_from_nothing(
        self, harness: Harness, broker: Broker
    ) -> None:
        await fill(broker, "short:a", 3)
        before = (await broker.read("short:a", 0, 10)).top
        await harness.advance(4.5)
        page = await broker.read("short:a", 0, 10)
        assert page.top.epoch != before.epoch
        assert (page.top.offset, page.top.first, list(page.events)) == (0, 1, [])
        assert (await publish(broker, "short:a")).position == Position(page.top.epoch, 1)

    async def test_a_check_prolongs_the_numbering(self, harness: Harness, broker: Broker) -> None:
        await fill(broker, "short:a", 3)
        [before] = await tops(broker, ["short:a"])
        for _ in range(3):
            await harness.advance(2)
            [top] = await tops(broker, ["short:a"])
        assert (top.epoch, top.offset) == (before.epoch, 3)

    async def test_a_publication_prolongs_the_numbering(self, harness: Harness, broker: Broker) -> None:
        epochs = set()
        for _ in range(3):
            answer = await publish(broker, "short:a")
            assert answer.position is not None
            epochs.add(answer.position.epoch)
            await harness.advance(2.5)
        assert len(epochs) == 1


class TestReading:
    async def test_the_newest_are_read_oldest_first(self, broker: Broker) -> None:
        await fill(broker, "log:a", 5)
        assert await offsets(broker, "log:a", None, 3) == [3, 4, 5]
        assert await offsets(broker, "log:a", None, 100) == [1, 2, 3, 4, 5]

    @pytest.mark.parametrize(
        ("after", "limit", "expected"),
        [(0, 10, [1, 2, 3, 4, 5]), (2, 10, [3, 4, 5]), (2, 2, [3, 4]), (4, 1, [5]), (5, 10, []), (9, 10, [])],
    )
    async def test_after_is_not_in_the_page(
        self, broker: Broker, after: int, limit: int, expected: list[int]
    ) -> None:
        await fill(broker, "log:a", 5)
        page = await broker.read("log:a", after, limit)
        assert [event.offset for event in page.events] == expected
        assert (page.top.offset, page.top.first) == (5, 1)

    async def test_size_trims_the_oldest_and_the_top_says_so(self, broker: Broker) -> None:
        for count in (7, 8, 9, 60):
            await fill(broker, "log:a", count)
            page = await broker.read("log:a", 0, 1000)
            top = page.top
            assert [event.offset for event in page.events] == list(range(top.first, top.offset + 1))
            assert top.first == max(1, top.offset - HISTORY_SIZE + 1)
        assert await offsets(broker, "log:a", 3, 2) == [75, 76]
        assert await offsets(broker, "log:a", 80, 2) == [81, 82]
        assert await offsets(broker, "log:a", None, 2) == [83, 84]

    async def test_one_pages_on_from_the_last_event(self, broker: Broker) -> None:
        await fill(broker, "log:a", 9)
        seen: list[int] = []
        after = 0
        while page := await offsets(broker, "log:a", after, 2):
            seen += page
            after = page[-1]
        assert seen == list(range(1, 10))


class TestEvents:
    async def test_an_event_is_read_as_it_was_announced(
        self, harness: Harness, broker: Broker, heard: Recorder
    ) -> None:
        await broker.listen("state:a")
        answer = await publish(
            broker,
            "state:a",
            '{"ä":[1,null,"☃"]}'.encode(),
            type="job_status",
            key="key with: spaces, | and ☃",
            final=True,
            version=(2, 7),
            sender="ann|b",
            origin="c_1",
            event_id="mine | ☃",
        )
        [event] = await heard.heard("state:a", 1)
        assert list((await broker.read("state:a", 0, 10)).events) == [event]
        assert list((await broker.snapshot("state:a")).events) == [event]
        assert answer.position is not None
        assert heard.announced == [(answer.position.epoch, event)]
        assert (event.channel, event.offset, event.id, event.type) == ("state:a", 1, "mine | ☃", "job_status")
        assert (event.key, event.final, event.version) == ("key with: spaces, | and ☃", True, Version(2, 7))
        assert (event.sender, event.origin) == ("ann|b", "c_1")
        assert event.payload == '{"ä":[1,null,"☃"]}'.encode()
        assert abs(event.time - harness.now() * 1000) < 60_000

    async def test_what_does_not_apply_is_absent(self, broker: Broker) -> None:
        await publish(broker, "log:a")
        [event] = (await broker.read("log:a", 0, 10)).events
        assert (event.key, event.final, event.version) == (None, False, None)
        assert (event.sender, event.origin) == (None, None)

    async def test_the_empty_key_is_a_key(self, broker: Broker) -> None:
        await publish(broker, "state:a", key="")
        [event] = (await broker.snapshot("state:a")).events
        assert event.key == ""

    async def test_an_event_without_an_id_gets_one_that_sorts(self, broker: Broker) -> None:
        answers = [await publish(broker, "log:a") for _ in range(5)]
        page = await broker.read("log:a", 0, 10)
        assert [event.id for event in page.events] == [answer.event_id for answer in answers]
        assert len({event.id for event in page.events}) == 5
        assert all(re.fullmatch(r"e_[0-9a-z]{20,}", event.id) for event in page.events)
        assert [event.time for event in page.events] == sorted(event.time for event in page.events)

    async def test_large_and_binary_looking_payloads_survive(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen("log:a")
        payload = b'"' + b"\\u0000\\r\\n" * 20_000 + b'"'
        await publish(broker, "log:a", payload)
        [event] = await heard.heard("log:a", 1)
        assert event.payload == payload
        assert (await broker.read("log:a", 0, 1)).events[0].payload == payload


class TestAnnouncements:
    async def test_only_listened_channels_are_announced(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen("log:b")
        await broker.publish([publication("log:a"), publication("log:b")])
        await heard.heard("log:b", 1)
        assert heard.events("log:a") == []

    async def test_listening_is_in_force_when_it_returns(self, broker: Broker, heard: Recorder) -> None:
        for name in range(10):
            await broker.listen(f"log:{name}")
            await publish(broker, f"log:{name}")
        for name in range(10):
            await heard.heard(f"log:{name}", 1)

    async def test_listening_twice_announces_once(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen("log:a")
        await broker.listen("log:a")
        await fill(broker, "log:a", 2)
        await heard.heard("log:a", 2)

    async def test_unlistened_channels_can_be_listened_to_again(
        self, broker: Broker, heard: Recorder
    ) -> None:
        await broker.listen("log:a")
        await broker.unlisten("log:a")
        await broker.unlisten("log:a")
        await broker.listen("log:a")
        answer = await publish(broker, "log:a")
        await heard.until(lambda: [event.id for event in heard.events("log:a")] == [answer.event_id])

    async def test_a_batch_is_announced_in_its_order(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen("log:a")
        await broker.listen("state:a")
        channels = ["log:a", "state:a"] * 50
        await broker.publish([publication(channel, b"%d" % i) for i, channel in enumerate(channels)])
        for channel, first in (("log:a", 0), ("state:a", 1)):
            events = await heard.heard(channel, 50)
            assert [event.payload for event in events] == [b"%d" % i for i in range(first, 100, 2)]
            assert [event.offset for event in events] == list(range(1, 51))


class TestEphemeral:
    async def test_nothing_is_numbered(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen("cursor:a")
        first = await publish(broker, "cursor:a", b"1", key="ann", sender="ann", origin="c_1")
        second = await publish(broker, "cursor:a", b"2", key="ann", event_id="mine")
        assert first.position is None
        assert second == Published("mine", None)
        events = await heard.heard("cursor:a", 2)
        assert [epoch for epoch, _ in heard.announced] == ["", ""]
        assert [event.offset for event in events] == [0, 0]
        assert [event.id for event in events] == [first.event_id, "mine"]
        assert (events[0].key, events[0].sender, events[0].origin) == ("ann", "ann", "c_1")


class TestIdempotency:
    async def test_a_repetition_is_stored_once(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen("log:a")
        first = await publish(broker, "log:a", b"1", event_id="x")
        await publish(broker, "log:a", b"2")
        again = await publish(broker, "log:a", b"1", event_id="x")
        assert (again.event_id, again.position, again.duplicate) == ("x", first.position, True)
        await publish(broker, "log:a", b"3")
        events = await heard.heard("log:a", 3)
        assert [event.payload for event in events] == [b"1", b"2", b"3"]
        assert events[0].id == "x"

    async def test_a_repetition_within_a_batch_is_stored_once(self, broker: Broker) -> None:
        first, again = await broker.publish([publication("log:a", event_id="x")] * 2)
        assert isinstance(first, Published)
        assert isinstance(again, Published)
        assert (first.duplicate, again.duplicate, again.position) == (False, True, first.position)

    async def test_concurrent_repetitions_are_stored_once(self, broker: Broker) -> None:
        answers = await asyncio.gather(*(publish(broker, "log:a", event_id="x") for _ in range(8)))
        assert len({answer.position for answer in answers}) == 1
        assert sorted(answer.duplicate for answer in answers) == [False] + [True] * 7
        assert await offsets(broker, "log:a", 0, 10) == [1]

    @pytest.mark.parametrize(
        "other",
        [{"payload": b"2"}, {"type": "other"}, {"key": "k"}, {"final": True}, {"version": 3}],
        ids=lambda other: next(iter(other)),
    )
    async def test_another_body_under_the_same_id_is_a_conflict(
        self, broker: Broker, other: dict[str, object]
    ) -> None:
        await publish(broker, "state:a", b"1", event_id="x")
        refused = await attempt(broker, "state:a", **{"payload": b"1", **other}, event_id="x")  # type: ignore[arg-type]
        assert isinstance(refused, HubError)
        assert refused.code is ErrorCode.CONFLICT
        assert await offsets(broker, "state:a", 0, 10) == [1]

    async def test_an_id_belongs_to_a_publisher_and_a_channel(self, broker: Broker) -> None:
        answers = [
            await publish(broker, channel, body, event_id="x", publisher=publisher)
            for channel, publisher, body in [
                ("log:a", "ann", b"1"),
                ("log:a", "bob", b"2"),
                ("log:b", "ann", b"3"),
            ]
        ]
        assert [answer.position.offset for answer in answers if answer.position] == [1, 2, 1]
        assert not any(answer.duplicate for answer in answers)

    async def test_publisher_and_id_do_not_run_together(self, broker: Broker) -> None:
        await publish(broker, "log:a", b"1", publisher="a", event_id="b:c")
        assert not (await publish(broker, "log:a", b"2", publisher="a:b", event_id="c")).duplicate

    async def test_the_connection_is_no_part_of_the_body(self, broker: Broker) -> None:
        await publish(broker, "log:a", sender="ann", origin="c_1", event_id="x")
        assert (await publish(broker, "log:a", sender="ann", origin="c_2", event_id="x")).duplicate

    async def test_it_outlives_the_event(self, broker: Broker) -> None:
        first = await publish(broker, "log:a", event_id="x")
        await fill(broker, "log:a", 5 * HISTORY_SIZE)
        assert await publish(broker, "log:a", event_id="x") == Published("x", first.position, duplicate=True)

    async def test_it_lasts_five_minutes(self, harness: Harness, broker: Broker) -> None:
        if not harness.fake_time:
            pytest.skip("five minutes of real time")
        await publish(broker, "log:a", event_id="x")
        await harness.advance(299 / harness.unit)
        assert (await publish(broker, "log:a", event_id="x")).duplicate
        await harness.advance(1.5 / harness.unit)
        answer = await publish(broker, "log:a", b"2", event_id="x")
        assert (answer.duplicate, answer.position is not None and answer.position.offset) == (False, 2)

    async def test_an_error_in_one_leaves_the_others(self, broker: Broker) -> None:
        await publish(broker, "log:a", b"1", event_id="x")
        results = await broker.publish(
            [publication("log:a", b"2"), publication("log:a", b"3", event_id="x"), publication("log:a", b"4")]
        )
        assert [result.code if isinstance(result, HubError) else "stored" for result in results] == [
            "stored",
            ErrorCode.CONFLICT,
            "stored",
        ]
        assert [event.payload for event in (await broker.read("log:a", 0, 10)).events] == [b"1", b"2", b"4"]


class TestInbox:
    async def test_all_is_unread_until_acked(self, broker: Broker) -> None:
        await fill(broker, "log:a", 5)
        epoch = (await broker.read("log:a", None, 1)).top.epoch
        inbox = await broker.inbox("log:a", "ann")
        assert (inbox.cursor, inbox.unread) == (Position(epoch, 0), 5)
        inbox = await broker.ack("log:a", "ann", Position(epoch, 3))
        assert (inbox.cursor, inbox.unread) == (Position(epoch, 3), 2)
        assert await broker.inbox("log:a", "ann") == inbox
        assert (await broker.inbox("log:a", "bob")).unread == 5

    async def test_an_empty_channel_has_nothing_unread(self, broker: Broker) -> None:
        inbox = await broker.inbox("log:a", "ann")
        assert (inbox.cursor.offset, inbox.unread) == (0, 0)
        assert (await broker.ack("log:a", "ann", inbox.cursor)) == inbox

    async def test_a_lower_ack_changes_nothing(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen("log:a")
        await fill(broker, "log:a", 5)
        epoch = (await broker.read("log:a", None, 1)).top.epoch
        for offset, expected in [(3, 3), (2, 3), (3, 3), (4, 4)]:
            inbox = await broker.ack("log:a", "ann", Position(epoch, offset))
            assert (inbox.cursor.offset, inbox.unread) == (expected, 5 - expected)
        await heard.until(lambda: len(heard.acks) >= 2)
        assert [(channel, user) for channel, user, _ in heard.acks] == [("log:a", "ann")] * 2
        assert [inbox.cursor.offset for _, _, inbox in heard.acks] == [3, 4]
        assert [inbox.unread for _, _, inbox in heard.acks] == [2, 1]

    async def test_what_is_gone_is_not_unread(self, broker: Broker) -> None:
        await fill(broker, "log:a", HISTORY_SIZE + 5)
        epoch = (await broker.read("log:a", None, 1)).top.epoch
        assert (await broker.inbox("log:a", "ann")).unread == HISTORY_SIZE
        assert (await broker.ack("log:a", "ann", Position(epoch, 2))).unread == HISTORY_SIZE
        assert (await broker.ack("log:a", "ann", Position(epoch, HISTORY_SIZE))).unread == 5

    async def test_expired_history_is_not_unread(self, harness: Harness, broker: Broker) -> None:
        await fill(broker, "short:a", 3)
        await harness.advance(2.5)
        assert (await broker.inbox("short:a", "ann")).unread == 0

    async def test_beyond_the_top_is_a_conflict(self, broker: Broker) -> None:
        await fill(broker, "log:a", 5)
        epoch = (await broker.read("log:a", None, 1)).top.epoch
        with pytest.raises(HubError) as refused:
            await broker.ack("log:a", "ann", Position(epoch, 6))
        assert refused.value.code is ErrorCode.CONFLICT
        assert (await broker.inbox("log:a", "ann")).unread == 5

    async def test_another_epoch_is_a_conflict(self, broker: Broker) -> None:
        await fill(broker, "log:a", 5)
        with pytest.raises(HubError) as refused:
            await broker.ack("log:a", "ann", Position("nope", 1))
        assert refused.value.code is ErrorCode.CONFLICT

    async def test_a_cursor_of_another_epoch_counts_as_none(self, harness: Harness, broker: Broker) -> None:
        await fill(broker, "log:a", 5)
        epoch = (await broker.read("log:a", None, 1)).top.epoch
        await broker.ack("log:a", "ann", Position(epoch, 5))
        await harness.lose()
        await fill(broker, "log:a", 2)
        inbox = await broker.inbox("log:a", "ann")
        assert (inbox.cursor.offset, inbox.unread, inbox.cursor.epoch != epoch) == (0, 2, True)


async def test_every_shard_is_well(broker: Broker) -> None:
    shards = broker.health()
    assert shards
    assert all(shard.usable and shard.deaf_s == 0 and shard.rtt_s >= 0 for shard in shards)
