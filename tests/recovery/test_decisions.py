"""Where a subscription begins, what a gap is told as, when a node looks: each decision once, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hub.broker.base import Page
from hub.node import Node
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.event import Publication
from hub.protocol.position import Top
from hub.recovery.position_check import PositionCheck
from hub.recovery.single_flight import SingleFlight

from ..support import virtual
from ..support.backplane import Backplane
from ..support.node_client import Client
from .test_no_loss import CONFIG, check_end, make_node

HISTORY = 60  # of `CONFIG`'s namespaces
LIMIT = CONFIG.recovery_limit
CHECK_S = CONFIG.position_check


class Stage:
    """A node, and one client of one channel."""

    def __init__(self, channel: str, check_s: float = CHECK_S) -> None:
        self.backplane = Backplane(CONFIG.table)
        config = CONFIG.model_copy(update={"position_check": check_s})
        self.node: Node = make_node(self.backplane, config)
        self.channel = channel
        self.client = Client(self.node, self.backplane, channel, None)
        self._number = 0

    async def publish(self, count: int) -> None:
        for _ in range(count):
            self._number += 1
            key = f"k{self._number % 5}" if self.client.state else None
            await self.backplane.publish(
                [Publication(self.channel, "n", b"%d" % self._number, "svc", key=key)]
            )

    async def settle(self, seconds: float = 3.0) -> None:
        await asyncio.sleep(seconds)
        self.client.take()

    async def come(self) -> None:
        self.client.connect()
        await self.settle()

    async def away(self, meanwhile: int) -> None:
        """The client misses so many."""
        await self.settle()
        self.client.cut()
        await self.publish(meanwhile)
        await asyncio.sleep(3.0)

    def said(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.client.log if isinstance(each, dict) and each["type"] == kind]

    @property
    def last_answer(self) -> dict[str, Any]:
        return self.said("hub.subscribed")[-1]


def play(channel: str, story: Callable[[Stage], Awaitable[None]], check_s: float = CHECK_S) -> None:
    async def main() -> None:
        stage = Stage(channel, check_s)
        await stage.node.start()
        try:
            await stage.come()
            await stage.publish(10)
            await stage.settle()
            await story(stage)
            await stage.settle(10.0)
            check_end(stage.client, stage.backplane)
        finally:
            stage.client.cut()
            await stage.node.stop()

    virtual.run(main())


# Where a subscription begins


@pytest.mark.parametrize("channel", ["doc:1", "job:1"])
def test_who_was_away_gets_what_it_missed(channel: str) -> None:
    async def story(stage: Stage) -> None:
        await stage.away(LIMIT)
        await stage.come()
        assert (stage.last_answer["recovered"], stage.last_answer["missed"]) == (True, LIMIT)
        assert stage.last_answer["offset"] == 10 + LIMIT

    play(channel, story)


def test_one_more_than_is_recovered_is_a_gap_too_far() -> None:
    async def story(stage: Stage) -> None:
        await stage.away(LIMIT + 1)
        await stage.come()
        assert stage.last_answer["recovered"] is False
        assert stage.last_answer["gap"] == {"from": 11, "to": 11 + LIMIT, "cause": "too_far"}

    play("doc:1", story)


def test_what_is_no_longer_stored_is_a_gap_trimmed() -> None:
    async def story(stage: Stage) -> None:
        await stage.away(20)
        stage.backplane.trim(stage.channel, 5)
        await asyncio.sleep(2 * CHECK_S)  # what the store has let go of leaves the node's memory as well
        await stage.come()
        assert stage.last_answer["gap"] == {"from": 11, "to": 30, "cause": "trimmed"}

    play("doc:1", story)


@pytest.mark.parametrize("channel", ["doc:1", "job:1"])
def test_another_numbering_is_a_gap_from_its_beginning(channel: str) -> None:
    async def story(stage: Stage) -> None:
        await stage.away(0)
        stage.backplane.wipe(stage.channel)
        await stage.publish(3)
        await stage.come()
        assert stage.last_answer["gap"] == {"from": 1, "to": 3, "cause": "epoch"}
        assert ("snapshot" in stage.last_answer) is stage.client.state

    play(channel, story)


def test_below_its_fork_a_position_of_the_numbering_before_is_good() -> None:
    async def story(stage: Stage) -> None:
        await stage.away(5)
        stage.backplane.fork(stage.channel, lose=2)
        await stage.come()
        assert (stage.last_answer["recovered"], stage.last_answer["missed"]) == (True, 3)

    play("doc:1", story)


def test_above_its_fork_it_is_not() -> None:
    async def story(stage: Stage) -> None:
        await stage.away(0)
        stage.backplane.fork(stage.channel, lose=2)
        await stage.come()
        assert stage.last_answer["gap"]["cause"] == "epoch"

    play("doc:1", story)


# What a repair tells


def test_a_hole_that_the_store_fills_is_told_as_filled_and_its_events_follow() -> None:
    async def story(stage: Stage) -> None:
        stage.backplane.dropping = 3
        await stage.publish(5)
        await stage.settle()
        (gap,) = stage.said("hub.gap")
        assert (gap["from"], gap["filled"]) == (11, True)
        assert gap["to"] >= 13
        assert stage.client.position[1] == 15
        counters = stage.node.counters
        assert (counters.gaps, counters.lost) == (1, 0)
        assert counters.refilled >= 3

    play("doc:1", story)


def test_of_a_log_the_stored_rest_follows_behind_the_part_that_is_gone() -> None:
    async def story(stage: Stage) -> None:
        stage.backplane.dropping = 2 * HISTORY
        await stage.publish(HISTORY + 20)
        await stage.publish(1)  # this one is announced, or the check finds it
        await stage.settle(2 * CHECK_S)
        gap = stage.said("hub.gap")[0]
        assert (gap["from"], gap["to"], gap["filled"]) == (11, 10 + 21, False)
        assert stage.node.counters.lost == 21
        assert len([each for each in stage.client.log if isinstance(each, dict) and each["type"] == "n"]) == (
            10 + HISTORY
        )

    play("doc:1", story)


def test_a_board_is_begun_anew_with_its_snapshot() -> None:
    async def story(stage: Stage) -> None:
        stage.backplane.dropping = 2 * HISTORY
        await stage.publish(HISTORY + 20)
        await stage.settle(2 * CHECK_S)
        (again,) = stage.said("hub.resubscribe")
        assert again["gap"] == {"from": 11, "to": HISTORY + 30, "cause": "trimmed"}
        assert {event["key"] for event in again["snapshot"]} == {f"k{n}" for n in range(5)}
        assert (stage.node.counters.gaps, stage.node.counters.lost) == (1, HISTORY + 20)

    play("job:1", story)


def test_a_fork_that_lost_nothing_changes_the_name_and_no_more() -> None:
    async def story(stage: Stage) -> None:
        stage.backplane.fork(stage.channel, lose=0)
        await stage.publish(1)
        await stage.settle()
        (again,) = stage.said("hub.resubscribe")
        assert (again["gap"], again["offset"]) == (None, 10)
        assert stage.client.position[1] == 11
        assert stage.node.counters.lost == 0

    play("doc:1", story)


def test_a_numbering_that_lost_events_is_told_to_who_had_them() -> None:
    async def story(stage: Stage) -> None:
        stage.backplane.fork(stage.channel, lose=4)
        await stage.publish(1)
        await stage.settle()
        (again,) = stage.said("hub.resubscribe")
        assert again["gap"]["cause"] == "epoch"

    play("doc:1", story)


def test_a_repair_goes_on_when_the_storage_is_back() -> None:
    async def story(stage: Stage) -> None:
        stage.backplane.dropping = 3
        await stage.publish(3)
        stage.backplane.down = True
        stage.backplane.lose_link()
        await stage.settle(30.0)
        assert stage.said("hub.gap") == []
        stage.backplane.down = False
        await stage.settle(8.0)  # the longest backoff, and its jitter
        assert [(gap["from"], gap["to"]) for gap in stage.said("hub.gap")] == [(11, 13)]

    play("doc:1", story, check_s=1000.0)  # which would find it too


# The position check


def test_what_no_later_event_would_show_is_found_in_time() -> None:
    async def story(stage: Stage) -> None:
        stage.backplane.dropping = 1
        await stage.publish(1)
        begun = asyncio.get_running_loop().time()
        while not stage.said("hub.gap"):
            await stage.settle(0.1)
        assert asyncio.get_running_loop().time() - begun <= 1.3 * CHECK_S + 0.5
        assert stage.node.counters.checks_failed == 1

    play("doc:1", story)


class Channels:
    """As much of a `ChannelTable` as the check looks at."""

    def __init__(self, *channels: Any) -> None:
        self.doubted: list[str] = []
        self.repairs = self
        self._channels = {channel.name: channel for channel in channels}

    def newest_first(self) -> list[Any]:
        return list(reversed(self._channels.values()))

    def get(self, name: str) -> Any:
        return self._channels.get(name)

    def doubt(self, channel: Any) -> None:
        self.doubted.append(channel.name)


class OpenChannel:
    """A stored channel at a position."""

    def __init__(self, name: str, top: int) -> None:
        self.name, self.epoch, self.top = name, "e", top
        self.namespace = CONFIG.table.of("doc:1")
        self.kept = 1000

    def trim(self, keep: int) -> None:
        self.kept = keep


class Tops:
    """A broker that only says where channels stand."""

    def __init__(self, **tops: Top) -> None:
        self._tops = tops

    async def tops(self, names: list[str]) -> list[Top]:
        return [self._tops[name] for name in names]


async def check(channels: Channels, broker: Tops, then: Callable[[], None] = lambda: None) -> int:
    """One round of a check; `then` happens between its two looks. How often it found a loss."""
    stage = Stage("doc:1")
    tasks, counters = stage.node.tasks, stage.node.counters
    made = PositionCheck(broker, channels, tasks, counters, 5.0)  # type: ignore[arg-type]
    await made.step()
    then()
    await asyncio.sleep(2.0)
    return counters.checks_failed


def test_a_difference_counts_when_it_is_still_there_at_the_second_look() -> None:
    async def story() -> None:
        late, lost, even = OpenChannel("late", 4), OpenChannel("lost", 4), OpenChannel("even", 5)
        channels = Channels(late, lost, even)
        broker = Tops(late=Top("e", 5, 1), lost=Top("e", 5, 1), even=Top("e", 5, 1))
        assert await check(channels, broker, lambda: setattr(late, "top", 5)) == 1
        assert channels.doubted == ["lost"]

    virtual.run(story())


def test_another_numbering_counts_wherever_it_stands_and_a_node_that_is_ahead_does_not() -> None:
    async def story() -> None:
        renamed, ahead = OpenChannel("renamed", 5), OpenChannel("ahead", 6)
        channels = Channels(renamed, ahead)
        await check(channels, Tops(renamed=Top("f", 5, 1), ahead=Top("e", 5, 1)))
        assert channels.doubted == ["renamed"]

    virtual.run(story())


def test_what_the_store_let_go_of_leaves_the_memory() -> None:
    async def story() -> None:
        channel = OpenChannel("doc", 9)
        await check(Channels(channel), Tops(doc=Top("e", 9, 7)))
        assert channel.kept == 3  # 7, 8, 9

    virtual.run(story())


# Shared reads


class SlowReads:
    """A broker whose reads wait for a word, and are counted."""

    def __init__(self, error: HubError | None = None) -> None:
        self.asked: list[tuple[str, int | None, int]] = []
        self.go = asyncio.Event()
        self._error = error

    async def read(self, name: str, after: int | None, limit: int) -> Page:
        self.asked.append((name, after, limit))
        await self.go.wait()
        if self._error is not None:
            raise self._error
        return Page(Top("e", 0, 1), [])


async def test_identical_reads_at_one_time_are_one_and_others_are_not() -> None:
    broker = SlowReads()
    reads = SingleFlight(broker)  # type: ignore[arg-type]
    tasks = [asyncio.create_task(reads.read("a", at, 5)) for at in (1, 1, 1, 2)]
    await asyncio.sleep(0)
    broker.go.set()
    pages = await asyncio.gather(*tasks)
    assert broker.asked == [("a", 1, 5), ("a", 2, 5)]
    assert pages[0] is pages[1] is pages[2] is not pages[3]
    await reads.read("a", 1, 5)
    assert len(broker.asked) == 3, "one that is over is not shared"


async def test_a_failure_is_shared_too() -> None:
    broker = SlowReads(HubError(ErrorCode.UNAVAILABLE, "away"))
    reads = SingleFlight(broker)  # type: ignore[arg-type]
    tasks = [asyncio.create_task(reads.read("a", None, 5)) for _ in range(3)]
    await asyncio.sleep(0)
    broker.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [getattr(each, "code", each) for each in found] == [ErrorCode.UNAVAILABLE] * 3
    assert len(broker.asked) == 1
