"""The SDK against the real hub, as a process: every event once and in order, whatever becomes of links."""

# ruff: noqa: SIM117  the hub, the client and the subscription are three steps of a test, not one line

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio

from hub.client import (
    Client,
    ErrorCode,
    Event,
    Gap,
    HubError,
    PresenceChange,
    Published,
    Snapshot,
    State,
    Status,
    Stopped,
    Timing,
    TokenRefused,
)
from hub.publisher import Publisher
from hub.runtime.backoff import Window
from tests.broker.redis.servers import RedisServer

from ..support.server import JWT_SECRET
from .real import KEY, Proxy, RealHub, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

CUTS_MOST = 60  # a slow machine would be cut faster than it connects, for ever
SOON = Timing(sleep=lambda seconds: asyncio.sleep(seconds / 20))  # windows and backoff, twenty times as fast


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def hub() -> AsyncIterator[RealHub]:
    async with RealHub(command_rate=5000, command_burst=5000) as hub:
        yield hub


async def until(reached: Any) -> None:
    """Wait for a condition; the test's deadline bounds it."""
    while not reached():
        await asyncio.sleep(0.005)


def connected(statuses: list[Status]) -> int:
    """How many connections there were."""
    return [status.state for status in statuses].count(State.CONNECTED)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_every_event_once_and_in_order_though_links_are_cut(hub: RealHub, encoding: Any) -> None:
    count, clients, channel = 1500, 8, f"doc:cuts-{encoding}"
    seen: list[list[Any]] = [[] for _ in range(clients)]
    gaps: list[Gap] = []

    async def follow(client: Client, mine: list[Any]) -> None:
        async with client.subscribe(channel, on_gap=gaps.append) as doc:
            started.release()
            async for event in doc:
                assert isinstance(event, Event)
                mine.append((event.offset, event.payload))
                if len(mine) == count:
                    return

    async def disturb(proxy: Proxy) -> None:
        while any(len(mine) < count for mine in seen) and proxy.cuts < 8 * CUTS_MOST:
            await asyncio.sleep(random.uniform(0.02, 0.1))
            proxy.cut_one()

    started = asyncio.Semaphore(0)
    async with Proxy(hub) as proxy, Publisher(hub.http, api_key=KEY) as publisher:
        links = [Client(proxy.ws, token(f"u{n}"), encoding=encoding, timing=SOON) for n in range(clients)]
        async with asyncio.TaskGroup() as group:
            for link, mine in zip(links, seen, strict=True):
                await link.start()
                group.create_task(follow(link, mine))
            for _ in links:
                await started.acquire()
            group.create_task(disturb(proxy))
            for n in range(count):
                publisher.publish_nowait(channel, "n", n)
                if n % 25 == 24:
                    await publisher.flush()
                    await asyncio.sleep(0.01)
        for link in links:
            await link.close()
        assert proxy.cuts > 5
    expected = [(n + 1, n) for n in range(count)]
    assert all(mine == expected for mine in seen)
    assert gaps == []


async def test_every_event_once_and_in_order_though_the_client_is_handed_over(hub: RealHub) -> None:
    """What `hub.drain` sets off, again and again, while events flow: never without a connection."""
    count, got, handed_over = 1000, [], 0
    statuses: list[Status] = []
    async with Publisher(hub.http, api_key=KEY) as publisher, Client(hub.ws, token()) as client:
        client._on_status = statuses.append

        async def follow() -> None:
            async for event in client.subscribe("doc:moving"):
                assert isinstance(event, Event)
                got.append((event.offset, event.payload))
                if len(got) == count:
                    return

        following = asyncio.create_task(follow())
        await until(lambda: len(client._registry._feeds) == 1)
        for n in range(count):
            publisher.publish_nowait("doc:moving", "n", n)
            if n % 20 == 19:
                await publisher.flush()
            link = client._link
            if n % 100 == 50 and link is not None and not link.drained.done():
                link.drained.set_result(Window(0.0, 0.0))
                handed_over += 1
            assert client.welcome is not None
        await following
    assert got == [(n + 1, n) for n in range(count)]
    assert handed_over > 5
    assert connected(statuses) == handed_over
    assert State.WAITING not in [status.state for status in statuses]


async def test_every_publication_once_and_in_order_though_links_are_cut(hub: RealHub) -> None:
    async with Proxy(hub) as proxy, Client(proxy.ws, token(), timing=SOON) as client:
        count = 400

        async def disturb() -> None:
            while not all(task.done() for task in tasks) and proxy.cuts < CUTS_MOST:
                await asyncio.sleep(random.uniform(0.02, 0.08))
                proxy.cut_one()

        tasks = [asyncio.create_task(client.publish("doc:mine", "n", n)) for n in range(count)]
        await asyncio.gather(disturb(), *tasks)
        assert [task.result().offset for task in tasks] == list(range(1, count + 1))
        stored = await client.history("doc:mine", since=f"{tasks[0].result().epoch}:0", limit=count)
        assert [event.payload for event in stored.events] == list(range(count))
        assert {event.from_ for event in stored.events} == {"ann"}


async def test_a_board_of_jobs_ends_right_though_links_are_cut_and_the_reader_is_slow(hub: RealHub) -> None:
    keys, rounds = 20, 60
    last: dict[Any, Any] = {}
    finals: set[Any] = set()

    def note(event: Event) -> None:
        last[event.key] = event.payload
        if event.final:
            finals.add(event.key)

    async def follow(client: Client) -> None:
        before = 0
        async for item in client.subscribe("job:board", max_rate=20):
            if isinstance(item, Snapshot):
                last.clear()
                for event in item.events:
                    note(event)
                before = item.offset
            else:
                assert isinstance(item, Event)
                assert item.offset == before + 1 + item.conflated
                before = item.offset
                note(item)
                await asyncio.sleep(0.001)
            if len(finals) == keys:
                return

    async with Proxy(hub) as proxy, Publisher(hub.http, api_key=KEY) as publisher:
        async with Client(proxy.ws, token(), timing=SOON, buffer=10) as client:
            following = asyncio.create_task(follow(client))
            for n in range(rounds):
                for key in range(keys):
                    publisher.publish_nowait(
                        "job:board", "progress", n, key=f"k{key}", version=n, final=n == rounds - 1
                    )
                await publisher.flush()
                await asyncio.sleep(0.01)
                if n % 15 == 7:
                    proxy.cut()
            await following
    assert last == {f"k{key}": rounds - 1 for key in range(keys)}


async def test_a_slow_application_that_asks_in_between_is_not_stuck(hub: RealHub) -> None:
    async with Client(hub.ws, token(), buffer=5) as client, Publisher(hub.http, api_key=KEY) as publisher:
        got = []
        async with client.subscribe("doc:slow") as doc:
            for n in range(100):
                publisher.publish_nowait("doc:slow", "n", n)
            await publisher.flush()
            async for event in doc:
                assert isinstance(event, Event)
                got.append(event.payload)
                if event.payload in (10, 50):
                    assert await client.ping() > 0
                    await client.publish("doc:other", "x", event.payload)
                if event.payload == 99:
                    break
        assert got == list(range(100))


async def test_presence_survives_a_cut_without_a_flicker(hub: RealHub) -> None:
    changes: list[PresenceChange] = []
    statuses: list[Status] = []
    async with Proxy(hub) as proxy, Client(hub.ws, token("ann")) as ann:
        async with Client(proxy.ws, token("bob"), timing=SOON, on_status=statuses.append) as bob:
            async with ann.subscribe("doc:team", presence=True, on_presence=changes.append) as watched:
                async with bob.subscribe("doc:team", presence={"as": "tab"}) as theirs:
                    await until(lambda: len(watched.members) == 2)
                    await theirs.set_presence({"colour": "red"})
                    await until(lambda: {"colour": "red"} in [m.get("state") for m in watched.members])
                    proxy.cut()
                    await until(lambda: connected(statuses) == 2 and theirs.live)
                    members = await ann.presence("doc:team")
                    assert sorted(m["user"] for m in members) == ["ann", "bob"]
                    await theirs.set_presence({"colour": "blue"})
                    await until(lambda: {"colour": "blue"} in [m.get("state") for m in watched.members])
                    assert [change for change in changes if change.kind == "leave"] == []
                await until(lambda: changes[-1].kind == "leave")
                assert [m["user"] for m in watched.members] == ["ann"]


async def test_cursors_come_to_others_and_not_back(hub: RealHub) -> None:
    async with Client(hub.ws, token("ann")) as ann, Client(hub.ws, token("bob")) as bob:
        async with ann.subscribe("cursor:1", echo=False) as mine, bob.subscribe("cursor:1") as theirs:
            assert ann.publish_nowait("cursor:1", "move", {"x": 1}, key="ann")
            assert (await theirs.get()).payload == {"x": 1}  # type: ignore[union-attr]
            assert bob.publish_nowait("cursor:1", "move", {"x": 2}, key="bob")
            event = await mine.get()
            assert isinstance(event, Event)
            assert (event.payload, event.from_, event.offset) == ({"x": 2}, "bob", None)


async def test_own_edits_left_out_are_no_hole(hub: RealHub) -> None:
    async with Client(hub.ws, token("ann")) as ann, Client(hub.ws, token("bob")) as bob:
        async with ann.subscribe("doc:pair", echo=False) as doc:
            await ann.publish("doc:pair", "edit", 1)
            await bob.publish("doc:pair", "edit", 2)
            await ann.publish("doc:pair", "edit", 3)
            await ann.publish("doc:pair", "edit", 4)
            await bob.publish("doc:pair", "edit", 5)
            events = [await doc.get(), await doc.get()]
    assert [(e.offset, e.conflated) for e in events if isinstance(e, Event)] == [(2, 1), (5, 2)]


async def test_an_inbox_counts_and_is_read_on_every_device(hub: RealHub) -> None:
    grants: dict[str, Any] = {"channels": ["user:cleo"]}
    found: asyncio.Queue[Any] = asyncio.Queue()
    async with Publisher(hub.http, api_key=KEY) as publisher:
        for n in range(3):
            await publisher.publish("user:cleo", "note", n)
        async with Client(hub.ws, token("cleo", **grants)) as phone:
            async with Client(hub.ws, token("cleo", **grants), on_subscription=found.put_nowait):
                desk = await found.get()
                assert desk.unread == 3
                async with phone.subscribe("user:cleo") as inbox:
                    assert inbox.unread == 3
                    await publisher.publish("user:cleo", "note", 3)
                    await inbox.get()
                    assert inbox.unread == 4
                    assert await inbox.ack() == 0
                    await until(lambda: desk.unread == 0)
                    assert inbox.position is not None
                    with pytest.raises(HubError):
                        await inbox.ack(inbox.position._replace(offset=99))


async def test_refusals_are_typed(hub: RealHub) -> None:
    with pytest.raises(TokenRefused, match="signature"):
        await Client(hub.ws, lambda: token(secret="x" * 40), timing=SOON).start()
    async with Client(hub.ws, token(subscribe=["doc:1"], publish=[], presence=[])) as client:
        for work, code in (
            (client.subscribe("doc:2").start(), ErrorCode.FORBIDDEN),
            (client.subscribe("nospace:2").start(), ErrorCode.UNKNOWN_NAMESPACE),
            (client.subscribe("no colon").start(), ErrorCode.BAD_CHANNEL),
            (client.publish("doc:1", "x", 1), ErrorCode.FORBIDDEN),
            (client.presence("doc:1"), ErrorCode.FORBIDDEN),
        ):
            with pytest.raises(HubError) as error:
                await work
            assert error.value.code is code, error.value


async def test_a_kicked_user_stays_away(hub: RealHub) -> None:
    async with Client(hub.ws, token("mallory")) as client, httpx.AsyncClient() as http:
        headers = {"Authorization": f"Bearer {KEY}"}
        answer = await http.post(f"{hub.http}/v1/disconnect", json={"user": "mallory"}, headers=headers)
        assert answer.status_code == 200, answer.text
        with pytest.raises(Stopped) as stopped:
            await client.wait()
        assert stopped.value.code == 4411


async def test_an_expired_token_is_replaced_by_the_callable(hub: RealHub) -> None:
    made: list[str] = []

    def make() -> str:
        made.append(token("eve", ttl=1.0 if not made else 3600))
        return made[-1]

    async with Client(hub.ws, make, timing=SOON) as client, client.subscribe("doc:eve") as doc:
        await until(lambda: len(made) > 1)
        await until(lambda: doc.live)
        await client.publish("doc:eve", "x", 1)
        assert (await doc.get()).payload == 1  # type: ignore[union-attr]


async def test_an_expiring_token_is_renewed_in_place(hub: RealHub) -> None:
    made: list[str] = []

    def make() -> str:
        made.append(token("fay", ttl=32.0 if not made else 3600))
        return made[-1]

    statuses: list[Status] = []
    async with Client(hub.ws, make, timing=SOON, on_status=statuses.append) as client:
        async with client.subscribe("doc:fay") as doc:
            await until(lambda: len(made) == 2)
            await client.ping()
            assert doc.live
    assert connected(statuses) == 1


async def test_a_channel_too_many_is_refused_and_the_others_stand(hub: RealHub) -> None:
    async with Client(hub.ws, token("many")) as client:
        subscriptions = [client.subscribe(f"doc:many-{n}") for n in range(129)]
        for subscription in subscriptions[:128]:
            await subscription.start()
        with pytest.raises(HubError, match="128 channels") as error:
            await subscriptions[128].start()
        assert error.value.code is ErrorCode.LIMIT
        assert all(subscription.live for subscription in subscriptions[:128])
        await subscriptions[0].close()
        await client.subscribe("doc:many-128").start()


async def test_a_burst_beyond_the_rate_is_published_a_little_later() -> None:
    async with RealHub(command_rate=200, command_burst=50) as hub, Client(hub.ws, token()) as client:
        published = await asyncio.gather(*(client.publish("doc:burst", "n", n) for n in range(150)))
        assert sorted(p.offset for p in published if p.offset) == list(range(1, 151))


async def test_a_hub_that_forgot_everything_is_told_as_a_gap() -> None:
    async with RealHub() as first, RealHub() as second, Proxy(first) as proxy:
        async with Client(proxy.ws, token(), timing=SOON) as client:
            async with client.subscribe("doc:1") as doc:
                await publish(first, "doc:1", 1)
                assert (await doc.get()).payload == 1  # type: ignore[union-attr]
                await publish(second, "doc:1", 2)
                proxy.move(second)
                await first.kill()
                gap = await doc.get()
                assert isinstance(gap, Gap)
                assert (gap.first, gap.last, gap.cause) == (1, 1, "epoch")
                sent = await publish(second, "doc:1", 3)
                assert (await doc.get()).payload == 3  # type: ignore[union-attr]
                assert doc.position == (sent.epoch, sent.offset)


async def publish(hub: RealHub, channel: str, payload: Any, **options: Any) -> Published:
    async with Publisher(hub.http, api_key=KEY) as publisher:
        return await publisher.publish(channel, "n", payload, **options)


@pytest_asyncio.fixture(loop_scope="module")
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path / "redis") as server:
        yield server


async def test_a_drained_node_is_left_before_it_closes_and_nobody_notices(redis: RedisServer) -> None:
    """Two nodes on one Redis behind a balancer: events flow while the first one leaves."""
    clients, count = 10, 300
    seen: list[list[Any]] = [[] for _ in range(clients)]
    statuses: list[Status] = []
    changes: list[PresenceChange] = []

    async def follow(client: Client, mine: list[Any]) -> None:
        async for event in client.subscribe("doc:all", presence=True):
            assert isinstance(event, Event)
            mine.append((event.offset, event.payload))
            if len(mine) == count:
                return

    broker = {"broker": redis.url, "drain_notice": 0, "drain_seconds": 2}
    async with RealHub(**broker) as first, RealHub(**broker) as second, Proxy(first) as proxy:
        async with (
            Client(second.ws, token("watcher")) as watcher,
            Publisher(second.http, api_key=KEY) as publisher,
        ):
            watched = watcher.subscribe("doc:all", presence=True, on_presence=changes.append)
            links = [Client(proxy.ws, token(f"u{n}"), on_status=statuses.append) for n in range(clients)]
            async with watched, asyncio.TaskGroup() as group:
                for link, mine in zip(links, seen, strict=True):
                    await link.start()
                    group.create_task(follow(link, mine))
                await until(lambda: len(watched.members) == clients + 1)
                proxy.move(second)
                stopping = asyncio.create_task(asyncio.to_thread(first.hub.stop))
                for n in range(count):
                    await publisher.publish("doc:all", "n", n)
                    await asyncio.sleep(0.01)
                await stopping
            left = {
                member["user"] for change in changes if change.kind == "leave" for member in change.members
            }
            for link in links:
                await link.close()
    assert all(mine == [(n + 1, n) for n in range(count)] for mine in seen)
    states = [status.state for status in statuses]
    assert states.count(State.DRAINING) == clients
    assert states.count(State.CONNECTED) == 2 * clients
    assert State.WAITING not in states
    assert left == set()


async def test_a_killed_node_is_followed_by_another_with_nothing_lost(redis: RedisServer) -> None:
    async with RealHub(broker=redis.url) as first, RealHub(broker=redis.url) as second, Proxy(first) as proxy:
        async with Client(proxy.ws, token(), timing=SOON) as client, client.subscribe("doc:1") as doc:
            await publish(second, "doc:1", 1)
            assert (await doc.get()).payload == 1  # type: ignore[union-attr]
            proxy.move(second)
            await first.kill()
            for n in (2, 3):
                await publish(second, "doc:1", n)
            items = [await doc.get(), await doc.get()]
            assert [(item.offset, item.payload) for item in items if isinstance(item, Event)] == [
                (2, 2),
                (3, 3),
            ]


async def test_a_channel_has_a_token_of_its_own(hub: RealHub) -> None:
    asked: list[int] = []

    def channel_token() -> str:
        asked.append(1)
        claims = {"sub": "ann", "exp": time.time() + 2, "channel": "doc:own-token", "hub": {}}
        return jwt.encode(claims, JWT_SECRET, "HS256")

    async with Client(hub.ws, token=token(subscribe=[], publish=[]), timing=SOON) as client:
        with pytest.raises(HubError) as refused:
            async with client.subscribe("doc:own-token"):
                pass
        assert refused.value.code is ErrorCode.FORBIDDEN
        subscription = client.subscribe("doc:own-token", get_token=channel_token)
        async with subscription, Publisher(hub.http, token=KEY) as publisher:
            got = []
            # Longer than two tokens live: renewed, or asked for anew by position, none is lost.
            for number in range(10):
                await publisher.publish("doc:own-token", "note", number)
                event = await anext(aiter(subscription))
                assert isinstance(event, Event)
                got.append(event.payload)
                await asyncio.sleep(0.5)
        assert got == list(range(10))
        assert len(asked) >= 3
