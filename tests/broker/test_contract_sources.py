"""The contract of every broker: what a source has handed on is stored once, however long ago it was."""

import pytest

from hub.broker.base import SOURCES, Broker, Published
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.event import Source, Version

from .harness import HISTORY_SIZE, SNAPSHOT_KEYS, Harness, Recorder, attempt, publication, publish, tops

STORED = ["log:a", "state:a"]


def source(position: int | tuple[int, int], name: str = "orders/3") -> Source:
    generation, number = position if isinstance(position, tuple) else (0, position)
    return Source(name, Version(generation, number))


async def payloads(broker: Broker, channel: str) -> list[bytes]:
    return [event.payload for event in (await broker.read(channel, 0, 1000)).events]


async def refused(broker: Broker, channel: str, **fields: object) -> HubError:
    result = await attempt(broker, channel, **fields)  # type: ignore[arg-type]
    assert isinstance(result, HubError)
    return result


class TestPositions:
    @pytest.mark.parametrize("channel", STORED)
    async def test_a_repetition_stores_nothing_and_is_told_the_top(
        self, broker: Broker, heard: Recorder, channel: str
    ) -> None:
        await broker.listen(channel)
        await publish(broker, channel, b"1", source=source(7))
        await publish(broker, channel, b"2", source=source(8))
        await publish(broker, channel, b"3")
        again = await publish(broker, channel, b"1", source=source(7))
        (top,) = await tops(broker, [channel])
        assert (again.duplicate, again.stale, again.position) == (True, False, top.position)
        assert await payloads(broker, channel) == [b"1", b"2", b"3"]
        assert len(await heard.heard(channel, 3)) == 3

    async def test_the_same_position_is_a_repetition_whatever_it_bears(self, broker: Broker) -> None:
        await publish(broker, "log:a", b"1", source=source(0))
        assert (await publish(broker, "log:a", b"other", source=source(0))).duplicate

    @pytest.mark.parametrize(
        ("before", "after", "new"),
        [
            (5, 6, True),
            (5, 500, True),
            (5, 4, False),
            ((0, 5), 6, True),
            ((1, 5), 6, False),
            ((1, 5), (1, 5), False),
            ((1, 5), (1, 6), True),
            ((1, 5), (2, 0), True),
            ((2, 0), (1, 2**53 - 1), False),
            ((0, 2**53 - 2), (0, 2**53 - 1), True),
            ((2**53 - 2, 9), (2**53 - 1, 0), True),
        ],
    )
    async def test_positions_are_compared_as_versions_are(
        self, broker: Broker, before: int | tuple[int, int], after: int | tuple[int, int], new: bool
    ) -> None:
        await publish(broker, "log:a", source=source(before))
        assert (await publish(broker, "log:a", source=source(after))).duplicate is not new

    async def test_what_comes_behind_a_higher_one_is_lost(self, broker: Broker) -> None:
        """Two readers out of order break the rule of `source`: this is what they pay for it."""
        await publish(broker, "log:a", b'"second"', source=source(2))
        assert (await publish(broker, "log:a", b'"first"', source=source(1))).duplicate
        assert await payloads(broker, "log:a") == [b'"second"']

    async def test_names_and_channels_are_apart(self, broker: Broker) -> None:
        for channel in ("log:a", "log:b"):
            for name in ("p/0", "p/1", "p|0", "ä 😀", ""):
                assert not (await publish(broker, channel, source=source(5, name or "x" * 255))).duplicate

    async def test_it_is_not_the_publishers_but_the_sources(self, broker: Broker) -> None:
        await publish(broker, "log:a", source=source(1), publisher="one")
        assert (await publish(broker, "log:a", source=source(1), publisher="another")).duplicate

    async def test_publications_without_a_source_go_on_beside_it(self, broker: Broker) -> None:
        await publish(broker, "state:a", b"1", key="k", source=source(3))
        await publish(broker, "state:a", b"2", key="k")
        assert (await publish(broker, "state:a", b"1", key="k", source=source(3))).duplicate
        [event] = (await broker.snapshot("state:a")).events
        assert event.payload == b"2"


class TestOrderOfChecks:
    async def test_the_source_is_looked_at_before_the_event_id(self, broker: Broker) -> None:
        await publish(broker, "log:a", b"1", source=source(1), event_id="x")
        await publish(broker, "log:a", b"2")
        again = await publish(broker, "log:a", b'"other body"', source=source(1), event_id="x")
        assert again.duplicate
        assert again.position is not None
        assert again.position.offset == 2  # the top, not where x is

    async def test_an_event_id_known_otherwise_moves_the_source_on(self, broker: Broker) -> None:
        first = await publish(broker, "log:a", b"1", event_id="x")
        again = await publish(broker, "log:a", b"1", event_id="x", source=source(1))
        assert (again.duplicate, again.position) == (True, first.position)
        assert (await publish(broker, "log:a", b"2", source=source(1))).duplicate
        assert not (await publish(broker, "log:a", b"2", source=source(2))).duplicate

    async def test_a_stale_version_moves_the_source_on(self, broker: Broker) -> None:
        await publish(broker, "state:a", key="k", version=5)
        assert (await publish(broker, "state:a", key="k", version=4, source=source(1))).stale
        assert (await publish(broker, "state:a", key="k", version=9, source=source(1))).duplicate

    async def test_a_refusal_does_not(self, broker: Broker) -> None:
        for number in range(SNAPSHOT_KEYS):
            await publish(broker, "state:a", key=str(number), source=source(number))
        assert (await refused(broker, "state:a", key="more", source=source(100))).code is ErrorCode.LIMIT
        await publish(broker, "state:a", b"1", event_id="x")
        assert (
            await refused(broker, "state:a", payload=b"2", event_id="x", source=source(100))
        ).code is ErrorCode.CONFLICT
        assert not (await publish(broker, "state:a", source=source(100))).duplicate


class TestLimit:
    async def test_the_1025th_name_is_refused_and_the_others_go_on(self, broker: Broker) -> None:
        results = await broker.publish(
            [publication("log:a", source=source(1, f"s/{number}")) for number in range(SOURCES)]
        )
        assert all(isinstance(result, Published) and not result.duplicate for result in results)
        error = await refused(broker, "log:a", source=source(1, "one more"))
        assert (error.code, error.channel) == (ErrorCode.LIMIT, "log:a")
        assert error.retry_after_ms is not None
        assert (await publish(broker, "log:a", source=source(1, "s/0"))).duplicate
        assert not (await publish(broker, "log:a", source=source(2, "s/0"))).duplicate
        assert not (await publish(broker, "log:b", source=source(1, "one more"))).duplicate


class TestLife:
    async def test_it_outlives_the_history_and_the_memory_of_ids(
        self, harness: Harness, broker: Broker
    ) -> None:
        await publish(broker, "short:a", b"1", source=source(1), event_id="x", event_id_ttl_ms=1000)
        await harness.advance(3)
        assert await payloads(broker, "short:a") == []
        assert (await publish(broker, "short:a", b"1", source=source(1), event_id="x")).duplicate

    async def test_it_outlives_the_events_pushed_out(self, broker: Broker) -> None:
        await publish(broker, "log:a", source=source(1))
        await broker.publish([publication("log:a") for _ in range(3 * HISTORY_SIZE)])
        assert (await publish(broker, "log:a", source=source(1))).duplicate

    @pytest.mark.parametrize("use", ["publish", "read", "tops"])
    async def test_it_lives_as_long_as_the_numbering(
        self, harness: Harness, broker: Broker, use: str
    ) -> None:
        """Whatever keeps the numbering keeps what its sources have handed on."""
        await publish(broker, "short:a", source=source(1))
        for _ in range(3):
            await harness.advance(2)
            if use == "publish":
                await publish(broker, "short:a")
            elif use == "tops":
                await tops(broker, ["short:a"])
            elif harness.fake_time:
                pytest.skip("a read does not keep a numbering in memory alive")
            else:
                await broker.read("short:a", 0, 1)
        assert (await publish(broker, "short:a", source=source(1))).duplicate

    async def test_it_ends_with_the_numbering(self, harness: Harness, broker: Broker) -> None:
        first = await publish(broker, "short:a", source=source(1))
        await harness.advance(4.5)
        again = await publish(broker, "short:a", source=source(1))
        assert not again.duplicate
        assert first.position is not None
        assert again.position is not None
        assert first.position.epoch != again.position.epoch

    async def test_all_lost_all_begins_anew(self, harness: Harness, broker: Broker) -> None:
        await publish(broker, "log:a", source=source(1))
        await harness.lose()
        assert not (await publish(broker, "log:a", source=source(1))).duplicate


class TestOrderedBatches:
    async def test_it_answers_each_in_order(self, broker: Broker, heard: Recorder) -> None:
        await broker.listen("log:a")
        batch = [
            publication(channel, b"%d" % number, event_id=f"{channel}-{number % 120}")
            for number in range(130)
            for channel in ("log:a", "state:a", "cursor:a")
        ]
        results = await broker.publish(batch, ordered=True)
        for channel, offset in (("log:a", 120), ("state:a", 120)):
            (top,) = await tops(broker, [channel])
            assert top.offset == offset
        codes = [result.code if isinstance(result, HubError) else None for result in results[-30:]]
        assert codes == [ErrorCode.CONFLICT, ErrorCode.CONFLICT, None] * 10
        assert [event.payload for event in await heard.heard("log:a", 120)] == [b"%d" % n for n in range(120)]

    async def test_nothing_is_stored_behind_what_has_to_wait(self, broker: Broker) -> None:
        keys = [str(number) for number in range(SNAPSHOT_KEYS)]
        batch = [
            *(publication("state:a", key=key) for key in keys),
            publication("state:a", key="too many"),
            publication("state:a", key=keys[0]),
            publication("log:a"),
            publication("state:a"),
        ]
        results = await broker.publish(batch, ordered=True)
        codes = [result.code if isinstance(result, HubError) else None for result in results]
        expected = [ErrorCode.LIMIT, ErrorCode.UNAVAILABLE, None, ErrorCode.UNAVAILABLE]
        assert codes == [None] * SNAPSHOT_KEYS + expected
        untried = results[-1]
        assert isinstance(untried, HubError)
        assert untried.retry
        assert (await tops(broker, ["state:a"]))[0].offset == SNAPSHOT_KEYS

    async def test_what_is_refused_for_good_holds_nobody_up(self, broker: Broker) -> None:
        await publish(broker, "log:a", b"1", event_id="x")
        batch = [
            publication("log:a", b"2", event_id="x"),
            publication("log:a", b"3"),
            publication("nope:a"),
            publication("log:a", b"4"),
        ]
        results = await broker.publish(batch, ordered=True)
        codes = [result.code if isinstance(result, HubError) else None for result in results]
        assert codes == [ErrorCode.CONFLICT, None, ErrorCode.UNKNOWN_NAMESPACE, None]
        assert await payloads(broker, "log:a") == [b"1", b"3", b"4"]

    async def test_with_leases_keys_and_sources(self, broker: Broker) -> None:
        batch = [
            publication("state:a", b"1", key="k", lease_ms=60_000, source=source(1)),
            publication("state:a", b"2", key="l", version=(1, 2), source=source(2), event_id="x"),
            publication("state:a", b"3", source=source(3), meta=b'{"a":"b"}'),
            publication("state:a", b"3", source=source(3)),
            publication("state:a", b"2", key="l", version=(1, 2), source=source(4), event_id="x"),
            publication("state:a", b"4", key="l", version=(1, 1), source=source(5)),
        ]
        results = await broker.publish(batch, ordered=True)
        told = [
            (r.position.offset, r.duplicate, r.stale)
            for r in results
            if isinstance(r, Published) and r.position
        ]
        assert told == [
            (1, False, False),
            (2, False, False),
            (3, False, False),
            (3, True, False),
            (2, True, False),
            (2, False, True),
        ]
        assert (await publish(broker, "state:a", source=source(5))).duplicate
        assert (await broker.read("state:a", 2, 1)).events[0].meta == b'{"a":"b"}'

    async def test_a_repeated_batch_that_goes_further(self, broker: Broker) -> None:
        """Those held back by their source leave the others their own ids."""
        batch = [
            publication("log:a", b"%d" % number, source=source(number), event_id=f"e{number}")
            for number in range(1, 9)
        ]
        await broker.publish(batch[:5], ordered=True)
        results = await broker.publish(batch, ordered=True)
        duplicates = [result.duplicate for result in results if isinstance(result, Published)]
        assert duplicates == [True] * 5 + [False] * 3
        assert await payloads(broker, "log:a") == [b"%d" % number for number in range(1, 9)]


class TestByValue:
    async def test_a_body_written_otherwise_is_the_same(self, broker: Broker) -> None:
        first = await publish(broker, "log:a", b'{"a":1,"b":[true,1e2]}', event_id="x")
        again = await publish(broker, "log:a", b'{"b":[true,100],"a":1.0}', event_id="x")
        assert again == Published("x", first.position, duplicate=True)
        assert await payloads(broker, "log:a") == [b'{"a":1,"b":[true,1e2]}']

    @pytest.mark.parametrize(
        "other", [b'{"a":1,"b":[1,100]}', b'{"a":1}', b'{"a":1,"b":[100,true]}', b"null"]
    )
    async def test_another_value_is_a_conflict(self, broker: Broker, other: bytes) -> None:
        await publish(broker, "log:a", b'{"a":1,"b":[true,1e2]}', event_id="x")
        assert (await refused(broker, "log:a", payload=other, event_id="x")).code is ErrorCode.CONFLICT

    async def test_a_body_written_otherwise_with_another_lease_is_a_conflict(self, broker: Broker) -> None:
        await publish(broker, "state:a", b'{"a":1,"b":2}', key="k", event_id="x", lease_ms=5000)
        fields = {"payload": b'{"b":2,"a":1}', "key": "k", "event_id": "x"}
        assert (await refused(broker, "state:a", **fields, lease_ms=6000)).code is ErrorCode.CONFLICT
        assert (await publish(broker, "state:a", **fields, lease_ms=5000)).duplicate  # type: ignore[arg-type]

    async def test_meta_is_not_compared_and_the_first_one_stands(self, broker: Broker) -> None:
        await publish(broker, "log:a", event_id="x", meta=b'{"traceparent":"1"}')
        assert (await publish(broker, "log:a", event_id="x", meta=b'{"traceparent":"2"}')).duplicate
        [event] = (await broker.read("log:a", 0, 10)).events
        assert event.meta == b'{"traceparent":"1"}'


class TestHowLongAnIdIsRemembered:
    async def test_shorter_and_longer_than_the_usual_time(self, harness: Harness, broker: Broker) -> None:
        await publish(broker, "log:a", b"1", event_id="x", event_id_ttl_ms=1000)
        await publish(broker, "log:a", b"1", event_id="y", event_id_ttl_ms=7 * 86_400_000)
        await publish(broker, "log:a", b"1", event_id="z")
        await harness.advance(6 if harness.fake_time else 1.5)
        assert not (await publish(broker, "log:a", b"2", event_id="x")).duplicate
        assert (await publish(broker, "log:a", b"1", event_id="y")).duplicate
        if harness.fake_time:
            assert not (await publish(broker, "log:a", b"2", event_id="z")).duplicate
            await harness.advance(7 * 86_400 / harness.unit)
            assert not (await publish(broker, "log:a", b"2", event_id="y")).duplicate
