"""What a subscription makes of the hub's messages: order, gaps, snapshots, epochs, conflation."""

# ruff: noqa: SIM117  the hub, the client and the subscription are three steps of a test, not one line

import asyncio
from typing import Any

import pytest

from hub.client import (
    Client,
    ErrorCode,
    Event,
    Gap,
    HubError,
    Item,
    Position,
    Snapshot,
)
from hub.sdk.feed import Feed

from .clock import Clock
from .fake import FakeHub, Peer, cut
from .steps import note, offsets, take


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_events_come_with_all_their_fields(encoding: Any) -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        asked = await peer.subscribed(epoch="k", offset=4)
        assert asked == {"channel": "job:1"}
        fields = {"key": "k1", "final": True, "version": [1, 2], "from": "bob"}
        await peer.event("job:1", 5, {"a": [1, "ä"]}, **fields)

    async with FakeHub(script) as hub, Client(hub.url, "t", encoding=encoding) as client:
        async with client.subscribe("job:1") as job:
            assert job.position == Position("k", 4)
            event = await anext(aiter(job))
            assert event == Event(
                "note", "job:1", 5, "e5", 1, "k1", True, [1, 2], "bob", {"a": [1, "ä"]}, 0, "k"
            )
            assert event.position == job.position == Position("k", 5)
        assert hub.peers[0].token == "t"


async def test_iteration_without_a_block_subscribes_and_unsubscribes() -> None:
    left = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=0)
        await peer.event("job:1", 1)
        assert await peer.expect("unsubscribe") == {"type": "unsubscribe", "channel": "job:1"}
        left.set()

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        async for event in client.subscribe("job:1"):
            assert event.offset == 1  # type: ignore[union-attr]
            break
        await left.wait()


async def test_a_gap_stands_in_its_place_and_the_snapshot_behind_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        event = {
            "type": "s",
            "channel": "job:1",
            "offset": 7,
            "id": "e7",
            "time": 1,
            "key": "a",
            "payload": 1,
        }
        await peer.subscribed(
            epoch="k", offset=9, gap={"from": 3, "to": 9, "cause": "trimmed"}, snapshot=[event]
        )
        await peer.event("job:1", 10)

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        async with client.subscribe("job:1", since="k:2") as job:
            assert job.position == Position("k", 2)
            gap, snapshot, event = await take(aiter(job), 3)
    assert gap == Gap("job:1", 3, 9, "trimmed", "k")
    assert isinstance(snapshot, Snapshot)
    assert snapshot.position == Position("k", 9)
    assert [e.offset for e in snapshot.events] == [7]
    assert offsets([event]) == [10]


async def test_callbacks_get_gap_and_snapshot_in_order_and_iteration_only_events() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=2)
        await peer.say("hub.snapshot", channel="job:1", events=[note(1, key="a")], more=True)
        await peer.say("hub.snapshot", channel="job:1", events=[note(2, key="b")], more=False)
        await peer.event("job:1", 3)
        await peer.say("hub.gap", channel="job:1", **{"from": 4, "to": 6}, cause="backplane", filled=False)
        await peer.say("hub.gap", channel="job:1", **{"from": 7, "to": 7}, cause="backplane", filled=True)
        await peer.event("job:1", 7)

    seen: list[Item] = []

    async def on_gap(gap: Gap) -> None:
        seen.append(gap)

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        job = client.subscribe("job:1", on_gap=on_gap, on_snapshot=seen.append)
        async with job:
            assert offsets(await take(aiter(job), 2)) == [3, 7]
    snapshot, gap = seen
    assert isinstance(snapshot, Snapshot)
    assert [e.key for e in snapshot.events] == ["a", "b"]
    assert gap == Gap("job:1", 4, 6, "backplane", "k")


async def test_a_hole_is_repaired_and_conflation_is_none() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=0)
        await peer.event("job:1", 1)
        await peer.event("job:1", 4, conflated=2)
        await peer.event("job:1", 4)  # old
        await peer.event("job:1", 6)  # 5 is missing
        asked = await peer.subscribed(epoch="k", offset=6, recovered=True, missed=2)
        assert asked["since"] == {"epoch": "k", "offset": 4}
        await peer.event("job:1", 5)
        await peer.event("job:1", 6)

    clock = Clock(0.0)
    async with FakeHub(script) as hub, Client(hub.url, "t", timing=clock.timing) as client:
        async with client.subscribe("job:1") as job:
            items = await take(aiter(job), 4)
    assert offsets(items) == [1, 4, 5, 6]
    assert [item.conflated for item in items] == [0, 2, 0, 0]  # type: ignore[union-attr]


async def test_a_changed_epoch_renames_the_position_or_tells_the_gap() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="old", offset=5)
        await peer.say("hub.resubscribe", channel="job:1", epoch="new", offset=5, gap=None)
        await peer.event("job:1", 6)
        gap = {"from": 1, "to": 2, "cause": "epoch"}
        await peer.say("hub.resubscribe", channel="job:1", epoch="third", offset=2, gap=gap, snapshot=[])
        await peer.event("job:1", 3)

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        async with client.subscribe("job:1") as job:
            event, gap, snapshot, last = await take(aiter(job), 4)
            assert event.position == Position("new", 6)
            assert gap == Gap("job:1", 1, 2, "epoch", "third")
            assert snapshot == Snapshot("job:1", "third", 2, ())
            assert last.position == job.position == Position("third", 3)


async def test_ephemeral_channels_have_no_position() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed()
        await peer.event("cursor:1", None, {"x": 1}, key="ann")

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        async with client.subscribe("cursor:1", echo=False, max_rate=20) as cursor:
            event = await anext(aiter(cursor))
            assert (event.offset, event.position, cursor.position) == (None, None, None)  # type: ignore[union-attr]
    asked = hub.peers[0].received[0]["channels"]
    assert asked == [{"channel": "cursor:1", "max_rate": 20, "echo": False}]


async def test_unknown_words_of_the_hub_and_foreign_channels_are_passed_over() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=0)
        await peer.say("hub.from_the_future", channel="job:1", x=1)
        await peer.say("hub.subscribed", channel="user:ann", epoch="u", offset=3)
        await peer.event("user:ann", 4)
        await peer.event("job:1", 1)

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        async with client.subscribe("job:1") as job:
            assert offsets(await take(aiter(job), 1)) == [1]


async def test_channels_of_the_token_are_offered() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("hub.subscribed", channel="user:ann", epoch="u", offset=3, unread=2)
        await peer.event("user:ann", 4)

    offered: list[Any] = []
    async with FakeHub(script) as hub, Client(hub.url, "t", on_subscription=offered.append):
        while not offered:
            await asyncio.sleep(0.005)
        (inbox,) = offered
        assert offsets([await inbox.get()]) == [4]
        assert (inbox.channel, inbox.unread) == ("user:ann", 3)


async def test_a_channel_of_the_token_that_comes_later_is_offered_then() -> None:
    """The hub could not subscribe it at first, said so, and tried again by itself."""
    tried_again = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.welcome()
        error = {"code": "unavailable", "reason": "away", "retry": True, "channel": "user:ann"}
        await peer.say("hub.error", **error)
        await tried_again.wait()
        await peer.say("hub.subscribed", channel="user:ann", epoch="u", offset=3)
        await peer.event("user:ann", 4)

    offered: list[Any] = []
    told: list[HubError] = []
    async with FakeHub(script) as hub:
        client = Client(hub.url, "t", on_subscription=offered.append, on_error=told.append)
        async with client:
            while not told:
                await asyncio.sleep(0.005)
            assert (told[0].channel, offered) == ("user:ann", [])
            tried_again.set()
            while not offered:
                await asyncio.sleep(0.005)
            assert offsets([await offered[0].get()]) == [4]


async def test_a_channel_that_the_hub_subscribes_later_is_asked_for_again_by_position() -> None:
    """Its subscription has replaced the application's own, with its options."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=3)
        await peer.event("job:1", 4)
        await peer.say("hub.subscribed", channel="job:1", epoch="k", offset=6)
        asked = await peer.subscribed(epoch="k", offset=6, recovered=True, missed=2)
        assert asked["since"] == {"epoch": "k", "offset": 4}
        for offset in (5, 6, 7):
            await peer.event("job:1", offset)

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        async with client.subscribe("job:1") as job:
            assert offsets(await take(aiter(job), 4)) == [4, 5, 6, 7]


async def test_a_refused_subscription_raises_and_a_right_that_ends_too() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        refusal = {"code": "forbidden", "reason": "no grant", "channel": "job:1", "retry": False}
        asked = await peer.expect("subscribe")
        await peer.say("hub.subscribed", id=asked["id"], results=[refusal])
        await peer.subscribed(epoch="k", offset=0)
        await peer.event("job:2", 1)
        await peer.say("hub.unsubscribed", channel="job:2", reason="the grant ended")

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        with pytest.raises(HubError, match="no grant") as error:
            await client.subscribe("job:1").start()
        assert error.value.code is ErrorCode.FORBIDDEN
        items = aiter(client.subscribe("job:2"))
        assert offsets(await take(items, 1)) == [1]
        with pytest.raises(HubError, match="the grant ended"):
            await anext(items)


async def test_a_subscription_that_is_refused_for_now_is_tried_again() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        asked = await peer.expect("subscribe")
        refusal = {"code": "unavailable", "reason": "no broker", "channel": "job:1", "retry_after_ms": 10}
        await peer.say("hub.subscribed", id=asked["id"], results=[refusal])
        await peer.subscribed(epoch="k", offset=7)

    async with FakeHub(script) as hub, Client(hub.url, "t", timing=Clock(0.0).timing) as client:
        async with client.subscribe("job:1") as job:
            assert job.position == Position("k", 7)


async def test_one_subscription_a_channel() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=0)

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        async with client.subscribe("job:1"):
            with pytest.raises(ValueError, match="already"):
                await client.subscribe("job:1").start()


async def test_history_pages() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        asked = await peer.expect("history")
        assert asked["since"] == {"epoch": "k", "offset": 1}
        await peer.say("hub.history", id=asked["id"], events=[note(2)], epoch="k", offset=5, more=True)

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        page = await client.history("job:1", "k:1", 1)
    assert (offsets(list(page.events)), page.position, page.more) == ([2], Position("k", 5), True)


async def test_a_numbering_that_went_back_is_told_and_its_new_events_are_not_taken_for_old_ones() -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=0)
        for offset in (1, 2, 3):
            await peer.event("job:1", offset)
        await cut(peer)

    async def second(peer: Peer) -> None:
        await peer.welcome()
        gap = {"from": 1, "to": 1, "cause": "epoch"}
        await peer.subscribed(epoch="k", offset=1, gap=gap)
        await peer.event("job:1", 2, "another")
        gap = {"from": 1, "to": 0, "cause": "epoch"}
        await peer.say("hub.resubscribe", channel="job:1", epoch="empty", offset=0, gap=gap)
        await peer.event("job:1", 1, "third")

    async with FakeHub(first, second) as hub, Client(hub.url, "t", timing=Clock().timing) as client:
        async with client.subscribe("job:1") as job:
            items = await take(aiter(job), 7)
    assert items[3] == Gap("job:1", 1, 1, "epoch", "k")
    assert items[5] == Gap("job:1", 1, 0, "epoch", "empty")
    assert [item.payload for item in items[4::2] if isinstance(item, Event)] == ["another", "third"]


async def test_a_failure_in_the_client_is_logged_and_the_connection_replaced(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=0)
        await peer.event("job:1", 1)
        await peer.gone()

    async def second(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=1, recovered=True, missed=1)
        await peer.event("job:1", 1)

    original = Feed.receive

    def broken(feed: Feed, message: dict[str, Any]) -> bool:
        monkeypatch.setattr(Feed, "receive", original)
        raise KeyError("a bug")

    monkeypatch.setattr(Feed, "receive", broken)
    async with FakeHub(first, second) as hub, Client(hub.url, "t", timing=Clock().timing) as client:
        async with client.subscribe("job:1") as job:
            assert offsets(await take(aiter(job), 1)) == [1]
    assert "a bug" in caplog.text
