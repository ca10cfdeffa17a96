"""The contract of every broker: snapshots by key, versions, leases."""

import orjson
import pytest

from hub.broker.base import Broker, Published
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.event import Event
from hub.protocol.position import Position

from .harness import SNAPSHOT_KEYS, Harness, Recorder, attempt, publication, publish, tops


async def snapshot(broker: Broker, channel: str) -> list[tuple[str | None, bytes]]:
    return [(event.key, event.payload) for event in (await broker.snapshot(channel)).events]


class TestSnapshot:
    async def test_it_holds_the_latest_of_each_key_by_offset(self, broker: Broker) -> None:
        for body, key in [(b"1", "a"), (b"2", "b"), (b"3", "c"), (b"4", "a"), (b"5", "b")]:
            await publish(broker, "state:s", body, key=key)
        page = await broker.snapshot("state:s")
        assert [(event.offset, event.key, event.payload) for event in page.events] == [
            (3, "c", b"3"),
            (4, "a", b"4"),
            (5, "b", b"5"),
        ]
        assert page.top == (await broker.read("state:s", None, 1)).top
        assert page.top.offset == 5

    async def test_offsets_are_ordered_as_numbers(self, broker: Broker) -> None:
        await publish(broker, "state:s", b"9", key="a")
        await broker.publish([publication("state:s", b"%d" % i, key="b") for i in range(8)])
        for key in "cd":
            await publish(broker, "state:s", key=key)
        assert [event.offset for event in (await broker.snapshot("state:s")).events] == [1, 9, 10, 11]

    async def test_events_without_a_key_are_stored_and_announced_only(
        self, broker: Broker, heard: Recorder
    ) -> None:
        await broker.listen("state:s")
        await publish(broker, "state:s", b"1", key="a")
        await publish(broker, "state:s", b"2")
        assert await snapshot(broker, "state:s") == [("a", b"1")]
        assert (await broker.snapshot("state:s")).top.offset == 2
        assert [event.payload for event in (await broker.read("state:s", 0, 9)).events] == [b"1", b"2"]
        assert [event.payload for event in await heard.heard("state:s", 2)] == [b"1", b"2"]

    async def test_it_outlives_the_history(self, broker: Broker) -> None:
        await publish(broker, "state:s", b'"first"', key="a")
        for _ in range(11):
            await broker.publish([publication("state:s", key="b") for _ in range(100)])
        assert (await broker.read("state:s", 0, 1)).top.first > 1
        assert (await snapshot(broker, "state:s"))[0] == ("a", b'"first"')

    async def test_a_final_event_stays_for_its_time(self, broker: Broker) -> None:
        await publish(broker, "state:s", b"1", key="a", final=True)
        assert await snapshot(broker, "state:s") == [("a", b"1")]

    async def test_a_key_too_many_is_refused_and_the_others_are_not(
        self, broker: Broker, heard: Recorder
    ) -> None:
        await broker.listen("state:s")
        for key in range(SNAPSHOT_KEYS):
            await publish(broker, "state:s", key=str(key))
        refused = await attempt(broker, "state:s", key="new", event_id="x")
        assert isinstance(refused, HubError)
        assert refused.code is ErrorCode.LIMIT
        assert refused.retry_after_ms is not None
        assert refused.retry_after_ms > 0
        assert str(SNAPSHOT_KEYS) in refused.reason
        await publish(broker, "state:s", key="0")
        await publish(broker, "state:s")
        assert len((await broker.snapshot("state:s")).events) == SNAPSHOT_KEYS
        assert (await broker.snapshot("state:s")).top.offset == SNAPSHOT_KEYS + 2
        await heard.heard("state:s", SNAPSHOT_KEYS + 2)

    async def test_a_new_numbering_has_no_old_keys(self, harness: Harness, broker: Broker) -> None:
        await publish(broker, "state:s", key="a", version=5)
        await harness.lose()
        assert await snapshot(broker, "state:s") == []
        assert not (await publish(broker, "state:s", key="a", version=1)).stale


class TestKeysLeave:
    async def test_soon_after_a_final(self, harness: Harness, broker: Broker) -> None:
        await publish(broker, "fleet:s", key="a", final=True)
        await harness.advance(1.5)
        page = await broker.snapshot("fleet:s")
        assert (list(page.events), page.top.offset) == ([], 1)
        assert len((await broker.read("fleet:s", 0, 9)).events) == 1

    async def test_later_when_they_are_idle(self, harness: Harness, broker: Broker) -> None:
        await publish(broker, "fleet:s", key="a")
        await harness.advance(1.5)
        assert len((await broker.snapshot("fleet:s")).events) == 1
        await harness.advance(2)
        assert await snapshot(broker, "fleet:s") == []

    async def test_an_event_keeps_its_key(self, harness: Harness, broker: Broker) -> None:
        await publish(broker, "fleet:s", key="a")
        for body in (b"1", b"2"):
            await harness.advance(2)
            await publish(broker, "fleet:s", body, key="a")
        assert await snapshot(broker, "fleet:s") == [("a", b"2")]

    async def test_an_event_after_a_final_keeps_its_key(self, harness: Harness, broker: Broker) -> None:
        await publish(broker, "fleet:s", b"1", key="a", final=True)
        await publish(broker, "fleet:s", b"2", key="a")
        await harness.advance(1.5)
        assert await snapshot(broker, "fleet:s") == [("a", b"2")]

    async def test_they_make_room_and_take_their_guard_along(self, harness: Harness, broker: Broker) -> None:
        await publish(broker, "fleet:s", key="a", version=9, final=True)
        assert isinstance(await attempt(broker, "fleet:s", key="b"), HubError)
        await harness.advance(1.5)
        assert not (await publish(broker, "fleet:s", b"1", key="a", version=3)).stale
        assert await snapshot(broker, "fleet:s") == [("a", b"1")]


class TestVersions:
    """Each case: what was published with (version, final), and then which of those that follow are stale."""

    @pytest.mark.parametrize(
        ("history", "then", "stale"),
        [
            ([(3, False)], 2, True),
            ([(3, False)], 3, True),
            ([(3, False)], 4, False),
            ([(9, False)], 10, False),
            ([(3, False)], None, False),
            ([(3, False), (None, False)], 3, True),
            ([(3, False), (None, False)], 4, False),
            ([((1, 9), False)], (2, 0), False),
            ([((2, 0), False)], (1, 9), True),
            ([((2, 0), False)], 7, True),
            ([(3, True)], 4, True),
            ([(3, True)], (1, 0), False),
            ([((1, 3), True)], (1, 4), True),
            ([((1, 3), True)], (2, 0), False),
            ([((1, 3), True)], None, False),
            ([((1, 3), True), (None, False)], (1, 4), True),
            ([((1, 3), True), (None, False)], (2, 1), False),
            ([((1, 3), True), ((2, 1), False)], (2, 2), False),
            ([((1, 3), False), (None, True)], (1, 4), True),
            ([((1, 3), False), (None, True)], (2, 0), False),
            ([(None, True)], 1, False),
            ([(None, False)], 1, False),
            ([(None, True), (1, False)], 2, False),
        ],
    )
    async def test_the_guard(
        self,
        broker: Broker,
        heard: Recorder,
        history: list[tuple[object, bool]],
        then: object,
        stale: bool,
    ) -> None:
        await broker.listen("state:s")
        for version, final in history:
            assert not (await publish(broker, "state:s", b"1", key="k", version=version, final=final)).stale
        await publish(broker, "state:s", b"2", key="other")
        answer = await publish(broker, "state:s", b"3", key="k", version=then, event_id="mine")
        epoch = (await broker.snapshot("state:s")).top.epoch
        given = len(history) if stale else len(history) + 2
        assert answer == Published("mine", Position(epoch, given), stale=stale)
        await publish(broker, "state:s", b"4")
        await heard.heard("state:s", len(history) + 2 + (not stale))
        assert (b"3" in [event.payload for event in heard.events("state:s")]) is not stale
        assert dict(await snapshot(broker, "state:s"))["k"] == (b"1" if stale else b"3")

    async def test_keys_are_guarded_apart(self, broker: Broker) -> None:
        await publish(broker, "state:s", key="a", version=5)
        assert not (await publish(broker, "state:s", key="b", version=1)).stale

    async def test_large_versions_are_exact(self, broker: Broker) -> None:
        await publish(broker, "state:s", key="a", version=2**53 - 2)
        assert not (await publish(broker, "state:s", key="a", version=2**53 - 1)).stale
        assert (await publish(broker, "state:s", key="a", version=2**53 - 1)).stale

    async def test_without_a_key_nothing_is_guarded(self, broker: Broker) -> None:
        await publish(broker, "state:s", version=5)
        assert not (await publish(broker, "state:s", version=4)).stale

    async def test_in_a_log_nothing_is_guarded(self, broker: Broker) -> None:
        await publish(broker, "log:s", key="a", version=5)
        assert not (await publish(broker, "log:s", key="a", version=4)).stale

    async def test_a_repetition_is_looked_up_before_the_version(self, broker: Broker) -> None:
        first = await publish(broker, "state:s", key="a", version=1, event_id="x")
        await publish(broker, "state:s", key="a", version=2)
        again = await publish(broker, "state:s", key="a", version=1, event_id="x")
        assert again == Published("x", first.position, duplicate=True)

    async def test_a_repetition_is_looked_up_before_the_limit(self, broker: Broker) -> None:
        await broker.publish(
            [publication("state:s", key=str(i), event_id=str(i)) for i in range(SNAPSHOT_KEYS)]
        )
        assert (await publish(broker, "state:s", key="0", event_id="0")).duplicate

    async def test_what_was_refused_does_not_take_its_id(self, broker: Broker) -> None:
        await publish(broker, "state:s", key="a", version=5)
        assert (await publish(broker, "state:s", b"1", key="a", version=4, event_id="x")).stale
        assert (await publish(broker, "state:s", b"1", key="a", version=4, event_id="x")).stale
        answer = await publish(broker, "state:s", b"2", key="a", version=6, event_id="x")
        assert (answer.stale, answer.duplicate) == (False, False)


class TestLeases:
    """One unit passes where a lease of half a unit shall run out."""

    def lease(self, harness: Harness) -> int:
        return int(harness.unit * 500)

    async def expired(self, harness: Harness, count: int) -> Event:
        """The lease event, the last of `count` events."""
        return (await harness.heard.heard("state:s", count))[-1]

    async def test_it_runs_out_once(self, harness: Harness, broker: Broker, heard: Recorder) -> None:
        await broker.listen("state:s")
        body = orjson.dumps({"progress": 40, "text": "ä☃"})
        await publish(
            broker, "state:s", body, type="job_status", key="k", version=(1, 2), lease_ms=self.lease(harness)
        )
        [leased] = await heard.heard("state:s", 1)
        await harness.advance(1)
        event = await self.expired(harness, 2)
        assert (event.type, event.key, event.offset) == ("lease_expired", "k", 2)
        assert (event.final, event.version, event.sender, event.origin) == (False, None, None, None)
        assert event.id.startswith("lease:")
        assert orjson.loads(event.payload) == {"last": orjson.loads(leased.body())}
        await harness.advance(2)
        await publish(broker, "state:s")
        await heard.heard("state:s", 3)
        assert list((await broker.snapshot("state:s")).events) == [event]
        assert list((await broker.read("state:s", 1, 1)).events) == [event]

    async def test_it_is_stored_also_where_nobody_listens(self, harness: Harness, broker: Broker) -> None:
        await publish(broker, "state:s", key="k", lease_ms=self.lease(harness))
        await harness.advance(1)
        await broker.listen("state:s")
        if (await tops(broker, ["state:s"]))[0].offset < 2:
            await self.expired(harness, 1)
        assert [event.type for event in (await broker.read("state:s", 1, 9)).events] == ["lease_expired"]

    async def test_it_does_not_touch_the_version(self, harness: Harness, broker: Broker) -> None:
        await broker.listen("state:s")
        await publish(broker, "state:s", key="k", version=(1, 2), lease_ms=self.lease(harness))
        await harness.advance(1)
        event = await self.expired(harness, 2)
        stale = await publish(broker, "state:s", key="k", version=(1, 2))
        assert (stale.stale, stale.position and stale.position.offset) == (True, event.offset)
        assert not (await publish(broker, "state:s", key="k", version=(1, 3))).stale

    @pytest.mark.parametrize("final", [False, True])
    async def test_publishing_the_key_again_cancels_it(
        self, harness: Harness, broker: Broker, heard: Recorder, final: bool
    ) -> None:
        await broker.listen("state:s")
        await publish(broker, "state:s", key="k", lease_ms=self.lease(harness))
        await publish(broker, "state:s", key="k", final=final)
        await harness.advance(1.5)
        await publish(broker, "state:s")
        await heard.heard("state:s", 3)

    async def test_a_final_event_takes_no_lease(
        self, harness: Harness, broker: Broker, heard: Recorder
    ) -> None:
        await broker.listen("state:s")
        await publish(broker, "state:s", key="k", final=True, lease_ms=self.lease(harness))
        await harness.advance(1.5)
        await publish(broker, "state:s")
        await heard.heard("state:s", 2)

    async def test_a_renewed_lease_runs_from_the_renewal(
        self, harness: Harness, broker: Broker, heard: Recorder
    ) -> None:
        await broker.listen("state:s")
        await publish(broker, "state:s", b"1", key="k", lease_ms=self.lease(harness))
        await publish(broker, "state:s", b"2", key="k", lease_ms=3 * self.lease(harness))
        await harness.advance(0.75)
        await publish(broker, "state:s", b"3")
        assert [event.payload for event in await heard.heard("state:s", 3)] == [b"1", b"2", b"3"]
        await harness.advance(1)
        event = await self.expired(harness, 4)
        assert orjson.loads(event.payload)["last"]["payload"] == 2

    async def test_what_is_refused_or_of_another_key_does_not_cancel_it(
        self, harness: Harness, broker: Broker
    ) -> None:
        await broker.listen("state:s")
        lease = self.lease(harness)
        await publish(broker, "state:s", key="k", version=5, event_id="x", lease_ms=lease)
        await publish(broker, "state:s", key="k", version=5, event_id="x", lease_ms=lease)
        await publish(broker, "state:s", key="k", version=4)
        await publish(broker, "state:s", key="other")
        await publish(broker, "state:s")
        await harness.advance(1)
        event = await self.expired(harness, 4)
        assert orjson.loads(event.payload)["last"]["offset"] == 1
