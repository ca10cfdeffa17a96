"""Jobs: a snapshot and what follows it are one thing; keys come, are guarded by versions, and leave."""

import asyncio
import random
from typing import Any

import pytest

from ..support.pace import SCALE
from ..support.wire import Wire
from .pair import Board, Pair, batch, fresh, get, http, publish, until


async def follow(
    pair: Pair, number: int, channel: str, truth: dict[int, Any], last: asyncio.Future[int]
) -> tuple[int, Board]:
    """Subscribe in the midst of it and read to the end; the offset of the snapshot, and the board."""
    while len(truth) < number * 100:
        await asyncio.sleep(0.001)
    async with pair.connect(pair.nodes[number % 2], f"viewer{number}") as wire:
        board = Board(await wire.ask("subscribe", channel=channel))
        at = board.offset
        while not last.done():
            try:
                board.take(await wire.receive(within=0.1))
            except TimeoutError:
                continue
        return at, await board.read(wire, last.result())


async def test_a_snapshot_and_its_tail_leave_nothing_out(pair: Pair) -> None:
    """Whatever moment it is taken at, amid publications through both nodes."""
    channel = fresh("job")
    truth: dict[int, tuple[str, int]] = {}
    last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    viewers = [asyncio.create_task(follow(pair, number, channel, truth, last)) for number in range(8)]

    async def write(which: int) -> None:
        for round in range(15):
            keys = random.sample(range(200), 40)
            events: list[dict[str, Any]] = [
                {"channel": channel, "event": "n", "payload": [which, round, key], "key": f"k{key}"}
                for key in keys
            ]
            for event, result in zip(events, await batch(pair.nodes[which], events), strict=True):
                truth[result["offset"]] = (event["key"], event["payload"])
            await asyncio.sleep(0.02)

    await asyncio.gather(write(0), write(1))
    assert sorted(truth) == list(range(1, 1201))
    last.set_result(max(truth))
    final = {key: payload for _, (key, payload) in sorted(truth.items())}
    begun = set()
    for at, board in await asyncio.gather(*viewers):
        begun.add(at)
        assert board.payloads == final
        for event in board.events:
            assert truth[event["offset"]] == (event["key"], event["payload"])
        seen = {event["offset"] for event in board.events}
        assert board.conflated == 0
        assert seen == set(range(at + 1, 1201)), "a healthy reader gets every event after its snapshot"
    assert len(begun) > 1


async def test_the_snapshot_is_that_of_its_offset(pair: Pair) -> None:
    """Each event in it is the newest of its key at the reply's offset."""
    channel = fresh("job")
    truth: dict[int, str] = {}
    done = asyncio.Event()

    async def write() -> None:
        for _ in range(25):
            keys = [f"k{random.randrange(30)}" for _ in range(10)]
            events = [{"channel": channel, "event": "n", "payload": 0, "key": key} for key in keys]
            for key, result in zip(keys, await batch(pair.a, events), strict=True):
                truth[result["offset"]] = key
        done.set()

    replies: list[dict[str, Any]] = []
    writing = asyncio.create_task(write())
    async with pair.connect(pair.b, "ann") as wire:
        while not done.is_set():
            replies.append(await wire.ask("subscribe", channel=channel))
            replies.append(await get(pair.a, f"/v1/channels/{channel}/snapshot"))
    await writing
    for reply in replies:
        newest = {truth[offset]: offset for offset in range(1, reply["offset"] + 1)}
        events = reply["snapshot"] if "snapshot" in reply else reply["events"]
        assert {event["key"]: event["offset"] for event in events} == newest


async def test_ten_thousand_keys_come_in_pages_and_one_more_is_refused(pair: Pair) -> None:
    channel = fresh("job")
    pad = "x" * 60
    events = [
        {"channel": channel, "event": "n", "payload": [n, pad], "key": f"job-{n}"} for n in range(10_000)
    ]
    results = await batch(pair.a, events)
    assert results[-1]["offset"] == 10_000
    async with pair.connect(pair.b, "ann") as wire:
        reply = await wire.ask("subscribe", channel=channel)
        assert (reply["offset"], reply["snapshot"], reply["more"]) == (10_000, [], True)
        late = await publish(pair.a, channel, payload=["late"], key="job-7")
        board = await Board(reply).read(wire, late["offset"])
        assert len(board.keys) == 10_000
        assert [event["payload"] for event in board.events] == [["late"]]
        assert board.payloads["job-9999"] == [9999, pad]
    async with http(pair.b) as client:
        body = {"channel": channel, "event": "n", "payload": 1, "key": "one-more"}
        refused = await client.post("/v1/publish", json=body)
        assert (refused.status_code, refused.json()["code"]) == (429, "limit")
        assert "10000" in refused.json()["reason"].replace(",", "")
    snapshot = await get(pair.b, f"/v1/channels/{channel}/snapshot")
    assert (snapshot["offset"], len(snapshot["events"])) == (late["offset"], 10_000)


async def test_keys_leave_after_their_final_and_when_idle(pair: Pair) -> None:
    channel = fresh("brief")

    async def keys() -> list[str]:
        return [event["key"] for event in (await get(pair.b, f"/v1/channels/{channel}/snapshot"))["events"]]

    await publish(pair.a, channel, key="idle")
    await publish(pair.a, channel, key="over", final=True)
    assert await keys() == ["idle", "over"]

    async def only_idle() -> bool:
        return await keys() == ["idle"]

    async def none() -> bool:
        return await keys() == []

    await until(only_idle, "the final key leaves first")
    await until(none, "the idle key leaves too")
    async with pair.connect(pair.b, "ann") as wire:
        reply = await wire.ask("subscribe", channel=channel)
        assert (reply["snapshot"], reply["offset"]) == ([], 2)


async def test_a_key_too_many_is_one_refusal_of_a_batch(pair: Pair) -> None:
    channel = fresh("brief")
    events = [{"channel": channel, "event": "n", "payload": n, "key": f"k{n}"} for n in range(22)]
    results = await batch(pair.a, [*events, {**events[0], "payload": "again"}])
    assert [result.get("offset") for result in results] == [*range(1, 21), None, None, 21]
    assert {result["code"] for result in results[20:22]} == {"limit"}


async def test_versions_and_attempts(pair: Pair) -> None:
    """Workers out of order, through different nodes."""
    channel = fresh("job")

    async def at(node: Any, version: Any, **more: Any) -> tuple[int, bool]:
        answer = await publish(node, channel, key="j", version=version, payload=version, **more)
        return answer["offset"], answer.get("stale", False)

    assert await at(pair.a, 5) == (1, False)
    assert await at(pair.b, 4) == (1, True)
    assert await at(pair.b, [0, 5]) == (1, True)
    assert await at(pair.b, 6, final=True) == (2, False)
    assert await at(pair.a, 7) == (2, True), "after a final only a higher attempt counts"
    assert await at(pair.a, [1, 0]) == (3, False)
    assert await at(pair.b, [0, 99]) == (3, True)
    assert (await publish(pair.b, channel, key="j", payload="any"))["offset"] == 4, (
        "without a version: always"
    )
    async with pair.connect(pair.b, "ann") as wire:
        reply = await wire.ask("subscribe", channel=channel)
        assert [event["payload"] for event in reply["snapshot"]] == ["any"]


async def test_a_repetition_is_known_before_its_version_is_looked_at(pair: Pair) -> None:
    channel = fresh("job")
    first = await publish(pair.a, channel, key="j", version=1, payload="one", event_id="e-1")
    await publish(pair.a, channel, key="j", version=2, payload="two")
    again = await publish(pair.b, channel, key="j", version=1, payload="one", event_id="e-1")
    assert again == first, "the answer of then, and not stale"
    async with http(pair.b) as client:
        body = {"channel": channel, "event": "tick", "payload": "other", "key": "j", "event_id": "e-1"}
        refused = await client.post("/v1/publish", json={**body, "version": 1})
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert (await get(pair.a, f"/v1/channels/{channel}"))["offset"] == 2


async def test_events_without_a_key_are_in_no_snapshot(pair: Pair) -> None:
    channel = fresh("job")
    async with pair.connect(pair.b, "ann") as wire:
        await wire.ask("subscribe", channel=channel)
        await publish(pair.a, channel, "note", "no key")
        assert (await wire.expect("note"))["payload"] == "no key"
        assert (await wire.ask("subscribe", channel=channel))["snapshot"] == []


async def lease(pair: Pair, wire: Wire, channel: str) -> list[dict[str, Any]]:
    """What follows on one subscription until the mark that says that all leases have had their time."""
    return [message for message in await wire.until("mark", within=8) if message["type"] != "mark"]


async def test_a_lease_runs_out_once_unless_it_is_renewed_or_over(pair: Pair) -> None:
    channel = fresh("job")
    async with pair.connect(pair.a, "ann") as one, pair.connect(pair.b, "bob") as two:
        for wire in (one, two):
            await wire.ask("subscribe", channel=channel)
        lease_ms = int(1000 * SCALE)  # time enough to renew it
        for key in ("dies", "ends", "freed", "renewed"):
            await publish(pair.a, channel, payload=f"{key} runs", key=key, lease_ms=lease_ms)
        await publish(pair.b, channel, payload="done", key="ends", final=True)
        await publish(pair.b, channel, payload="on", key="freed")
        await publish(pair.b, channel, payload="on", key="renewed", lease_ms=60_000)

        async def expired() -> bool:
            events = (await get(pair.b, f"/v1/channels/{channel}/snapshot"))["events"]
            return any(event["type"] == "lease_expired" for event in events)

        await until(expired, "the lease runs out", within=8)
        await asyncio.sleep(0.8)  # time for what must not come: a second one
        await publish(pair.a, channel, "mark")
        for wire in (one, two):
            found = [m for m in await lease(pair, wire, channel) if m["type"] == "lease_expired"]
            assert [(event["key"], event["payload"]["last"]["payload"]) for event in found] == [
                ("dies", "dies runs")
            ]


@pytest.mark.parametrize("since", [False, True])
async def test_the_snapshot_after_a_gap(pair: Pair, since: bool) -> None:
    """A position that is no longer good is answered with a gap, and on a state channel with the snapshot."""
    channel = fresh("job")
    await batch(
        pair.a, [{"channel": channel, "event": "n", "payload": n, "key": f"k{n % 3}"} for n in range(1500)]
    )
    position: dict[str, Any] = {
        "since": {"epoch": (await get(pair.a, f"/v1/channels/{channel}"))["epoch"], "offset": 10}
    }
    async with pair.connect(pair.b, "ann") as wire:
        reply = await wire.ask("subscribe", channel=channel, **(position if since else {}))
        assert [event["payload"] for event in reply["snapshot"]] == [1497, 1498, 1499]
        assert reply["offset"] == 1500
        if since:
            assert reply["recovered"] is False
            assert reply["gap"]["from"] == 11
            assert reply["gap"]["to"] == 1500
