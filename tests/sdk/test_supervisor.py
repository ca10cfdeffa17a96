"""Connections that end: when the client comes back, with what, and when it stays away."""

# ruff: noqa: SIM117  the hub, the client and the subscription are three steps of a test, not one line

import asyncio
from typing import Any

import pytest

from hub.client import (
    Client,
    Stopped,
)

from .clock import Clock
from .fake import FakeHub, Peer, cut, problem
from .steps import offsets, take, until, welcome


async def test_a_cut_is_resumed_by_position_and_with_the_resume_value() -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome(resume="a+b/c=")
        await peer.subscribed(epoch="k", offset=10)
        await peer.event("job:1", 11)
        await cut(peer)

    async def second(peer: Peer) -> None:
        assert peer.path.endswith("?resume=a%2Bb%2Fc%3D")
        await peer.welcome()
        asked = await peer.subscribed(epoch="k", offset=13, recovered=True, missed=2)
        assert asked["since"] == {"epoch": "k", "offset": 11}
        for offset in (12, 13, 14):
            await peer.event("job:1", offset)

    clock = Clock()
    async with FakeHub(first, second) as hub, Client(hub.url, "t", timing=clock.timing) as client:
        async with client.subscribe("job:1") as job:
            assert offsets(await take(aiter(job), 4)) == [11, 12, 13, 14]
    assert clock.slept == [0.25]  # half of the first ceiling of 500 ms


async def test_all_subscriptions_are_resumed_in_one_command() -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome()
        for _ in range(3):
            await peer.subscribed(epoch="k", offset=1)
        await cut(peer)

    resumed: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    async def second(peer: Peer) -> None:
        await peer.welcome()
        resumed.set_result((await peer.expect("subscribe"))["channels"])

    clock = Clock()
    async with FakeHub(first, second) as hub, Client(hub.url, "t", timing=clock.timing) as client:
        for name in "abc":
            await client.subscribe(f"job:{name}", presence={"as": name}).start()
        since = {"epoch": "k", "offset": 1}
        assert await resumed == [
            {"channel": f"job:{name}", "presence": {"as": name}, "since": since} for name in "abc"
        ]


async def test_drain_opens_the_next_connection_before_the_old_one_is_closed() -> None:
    over, old_closed = asyncio.Event(), asyncio.Event()

    async def first(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=0)
        await peer.event("job:1", 1)
        await peer.say("hub.drain", reconnect={"min_ms": 2000, "max_ms": 6000}, deadline_ms=30_000)
        await over.wait()
        await peer.event("job:1", 2)  # the old connection still speaks
        await peer.gone()
        old_closed.set()

    async def second(peer: Peer) -> None:
        await peer.welcome(connection="c_2")
        asked = await peer.expect("subscribe")
        assert asked["channels"][0]["since"] == {"epoch": "k", "offset": 1}
        assert not old_closed.is_set()
        over.set()
        await arrived.wait()
        entry = {"channel": "job:1", "epoch": "k", "offset": 3, "recovered": True, "missed": 2}
        await peer.say("hub.subscribed", id=asked["id"], results=[entry])
        await peer.event("job:1", 2)  # the same one again, by position
        await peer.event("job:1", 3)
        await old_closed.wait()
        await peer.event("job:1", 4)

    arrived, clock = asyncio.Event(), Clock()
    async with FakeHub(first, second) as hub, Client(hub.url, "t", timing=clock.timing) as client:
        async with client.subscribe("job:1") as job:
            items = aiter(job)
            assert offsets(await take(items, 2)) == [1, 2]
            arrived.set()
            assert offsets(await take(items, 2)) == [3, 4]
    assert clock.slept == [4.0]
    assert hub.peers[0].socket.close_code == 1000


async def test_a_window_of_the_hub_is_kept() -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome()
        reconnect = {"min_ms": 8000, "max_ms": 10_000}
        await peer.say("hub.close", code=4100, reason="the node leaves", reconnect=reconnect)
        await peer.socket.close(4100)

    async def second(peer: Peer) -> None:
        await peer.welcome()
        await peer.socket.close(1012)

    clock, seen = Clock(), list[Any]()
    async with FakeHub(first, second, welcome) as hub:
        async with Client(hub.url, "t", timing=clock.timing, on_status=seen.append) as client:
            await until(seen, lambda: [s.state for s in seen].count("connected") == 3)
            assert client.welcome is not None
    assert clock.slept[0] == 9.0
    assert clock.slept[1] == 0.5  # then backoff: half of the second ceiling, 1 s


async def test_a_window_that_comes_with_another_code_is_not_waited_for() -> None:
    async def slow(peer: Peer) -> None:
        await peer.welcome()
        window = {"min_ms": 15_000, "max_ms": 20_000}
        await peer.say("hub.close", code=4101, reason="too slow", reconnect=window)
        await peer.socket.close(4101)

    clock, seen = Clock(), list[Any]()
    async with FakeHub(slow, welcome) as hub:
        async with Client(hub.url, "t", timing=clock.timing, on_status=seen.append):
            await until(seen, lambda: [s.state for s in seen].count("connected") == 2)
    assert clock.slept == [0.25]


async def test_a_connection_that_ends_leaves_no_task_behind() -> None:
    async with FakeHub(cut_at_once, cut_at_once, welcome) as hub:
        seen: list[Any] = []
        async with Client(hub.url, "t", timing=Clock().timing, on_status=seen.append):
            await until(seen, lambda: [s.state for s in seen].count("connected") == 3)
            await asyncio.sleep(0.05)
            names = sorted(
                t.get_name() for t in asyncio.all_tasks() if t.get_name().startswith("hub-client-")
            )
            assert names == ["hub-client-read", "hub-client-watch", "hub-client-write"]


async def cut_at_once(peer: Peer) -> None:
    await peer.welcome()
    await cut(peer)


@pytest.mark.parametrize("code", [4400, 4403, 4410, 4411, 1002, 1003, 1007, 1009])
async def test_codes_after_which_a_client_stays_away(code: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=0)
        await peer.socket.close(code, "because")

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        with pytest.raises(Stopped, match="because") as stopped:
            async for _ in client.subscribe("job:1"):
                pass
        assert stopped.value.code == code
        with pytest.raises(Stopped):
            await client.publish("doc:1", "x", 1)
        with pytest.raises(Stopped):
            await client.ping()


async def test_backoff_grows_to_the_cap_of_the_welcome_and_starts_anew_after_a_stable_time() -> None:
    clock, seen = Clock(1.0), list[Any]()

    async def short(peer: Peer) -> None:
        await peer.welcome(reconnect={"min_ms": 1000, "max_ms": 4000})
        await cut(peer)

    async def stable(peer: Peer) -> None:
        await peer.welcome(reconnect={"min_ms": 1000, "max_ms": 4000})
        await peer.expect("ping")
        clock.time += 10
        await cut(peer)

    async with FakeHub(short, short, short, short, stable, welcome) as hub:
        async with Client(hub.url, "t", timing=clock.timing, on_status=seen.append) as client:
            await until(seen, lambda: [s.state for s in seen].count("connected") == 5)
            assert (await asyncio.gather(client.ping(), answer(hub)))[0] == 5
    assert clock.slept == [1, 2, 4, 4, 1]


async def answer(hub: FakeHub) -> None:
    while len(hub.peers) < 6:
        await asyncio.sleep(0.005)
    ping = await hub.peers[-1].expect("ping")
    await hub.peers[-1].say("hub.pong", id=ping["id"], time=5)


async def test_a_refusal_by_http_with_retry_after_is_kept_and_spread() -> None:
    clock = Clock()
    async with FakeHub(problem(503, "draining", Retry_After="4"), welcome) as hub:
        async with Client(hub.url, "t", timing=clock.timing):
            pass
    assert clock.slept == [6.0]  # between 4 and 8


async def test_no_hub_at_all_is_a_clear_error_in_time() -> None:
    async with FakeHub() as hub:
        url = hub.url
    with pytest.raises(TimeoutError, match=r"not connected within 0\.2 s: ConnectionRefused"):
        await Client(url, "t", start_timeout=0.2).start()


async def test_a_silent_hub_is_asked_and_left() -> None:
    async def silent(peer: Peer) -> None:
        await peer.welcome(heartbeat_ms=60)
        await peer.expect("ping")
        await peer.gone()

    async with FakeHub(silent, welcome) as hub:
        async with Client(hub.url, "t", timeout=0.3, timing=Clock().timing):
            while len(hub.peers) < 2:
                await asyncio.sleep(0.005)


async def test_the_pings_of_the_hub_are_signs_of_life() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome(heartbeat_ms=200)
        for _ in range(12):
            await (await peer.socket.ping())
            await asyncio.sleep(0.05)
        assert [message["type"] for message in peer.received] == ["subscribe"]
        await peer.socket.close(4403, "enough")

    async with FakeHub(script) as hub, Client(hub.url, "t") as client:
        with pytest.raises(Stopped, match="enough"):
            await client.subscribe("job:1").start()


@pytest.mark.parametrize(
    "frame",
    ["{", "[1]", '"x"', '{"type":"note","channel":"job:1","offset":"1","id":"e","time":1,"payload":1}'],
)
async def test_a_hub_that_talks_nonsense_is_left_and_nothing_is_lost(frame: str) -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome()
        await peer.subscribed(epoch="k", offset=0)
        await peer.event("job:1", 1)
        await peer.socket.send(frame)
        await peer.gone()

    async def second(peer: Peer) -> None:
        await peer.welcome()
        asked = await peer.subscribed(epoch="k", offset=1, recovered=True, missed=0)
        assert asked["since"]["offset"] == 1
        await peer.event("job:1", 2)

    async with FakeHub(first, second) as hub, Client(hub.url, "t", timing=Clock().timing) as client:
        async with client.subscribe("job:1") as job:
            assert offsets(await take(aiter(job), 2)) == [1, 2]
