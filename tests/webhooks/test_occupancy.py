"""``channel.occupied`` and ``channel.vacated``: by nodes, right across them and their deaths, without flicker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.runtime.tasks import Tasks
from hub.webhooks.attendance import Attendance

from ..broker.redis.servers import RedisServer
from ..support.backend import Backend, Request
from .stage import Node, node, publish, table, taken, until

EVENTS = ["channel.occupied", "channel.vacated"]
LIFE_S = 0.6  # of a node after its last sign of life


def kinds(seen: list[Request], channel: str = "log:1") -> list[str]:
    """What was told of a channel."""
    return [each.json["type"].removeprefix("channel.") for each in seen if each.json["channel"] == channel]


async def test_the_first_and_the_last_are_told_and_nobody_in_between(redis_url: str | None) -> None:
    async with Backend(taken) as server, node(redis_url, table(server.url, events=EVENTS)) as one:
        occupancy = one.broker.occupancy
        await occupancy.enter("log:1")
        await occupancy.enter("log:1")  # a sign of life lost on its way is said again
        await occupancy.enter("short:1")  # no channel of this endpoint
        await until(lambda: server.seen)
        assert server.seen[0].json["channel"] == "log:1"
        await occupancy.leave("log:1", 0.0)
        await occupancy.leave("log:1", 0.0)
        await until(lambda: len(server.seen) == 2)
        await asyncio.sleep(0.1)
        assert kinds(server.seen) == ["occupied", "vacated"]
        assert len(server.seen) == 2
        assert len({each.headers["webhook-id"] for each in server.seen}) == 2


async def test_who_is_back_within_the_grace_was_never_gone(redis_url: str | None) -> None:
    async with Backend(taken) as server, node(redis_url, table(server.url, events=EVENTS)) as one:
        occupancy = one.broker.occupancy
        await occupancy.enter("log:1")
        for _ in range(5):
            await occupancy.leave("log:1", 30.0)
            await occupancy.enter("log:1")
        await occupancy.leave("log:1", 0.2)
        await until(lambda: len(server.seen) == 2)
        assert kinds(server.seen) == ["occupied", "vacated"]


async def test_it_comes_in_order_with_the_events_of_the_channel(redis_url: str | None) -> None:
    given = [*EVENTS, "event"]
    async with Backend(taken) as server, node(redis_url, table(server.url, events=given)) as one:
        await one.broker.occupancy.enter("log:1")
        await publish(one, "log:1", 1)
        await one.broker.occupancy.leave("log:1", 0.0)
        await publish(one, "log:1", 2)
        await until(lambda: len(server.seen) == 4)
        assert kinds(server.seen) == ["occupied", "event", "vacated", "event"]


@asynccontextmanager
async def pair(tmp_path: Path, server: Backend) -> AsyncIterator[tuple[Node, Node, RedisServer]]:
    """Two nodes over one Redis."""
    given = table(server.url, events=EVENTS)
    async with (
        RedisServer(tmp_path / "redis") as redis,
        node(redis.url, given, number=1) as one,
        node(redis.url, given, number=2) as two,
    ):
        yield one, two, redis


async def test_a_client_that_goes_to_another_node_leaves_the_channel_occupied(tmp_path: Path) -> None:
    async with Backend(taken) as server, pair(tmp_path, server) as (one, two, _):
        await one.broker.occupancy.enter("log:1")
        await one.broker.occupancy.leave("log:1", 0.5)
        await two.broker.occupancy.enter("log:1")
        await asyncio.sleep(0.8)  # the grace is over
        assert kinds(server.seen) == ["occupied"]
        await two.broker.occupancy.leave("log:1", 0.0)
        await until(lambda: len(server.seen) == 2)
        assert kinds(server.seen) == ["occupied", "vacated"]


async def test_a_dead_node_has_left(tmp_path: Path) -> None:
    """Its word runs out, and a living node that never heard of the channel says so."""
    async with Backend(taken) as server, pair(tmp_path, server) as (one, two, _):
        await one.broker.registry.register_node("n_1", b"{}", LIFE_S)
        await two.broker.registry.register_node("n_2", b"{}", LIFE_S)
        await one.broker.occupancy.enter("log:1")
        await one.broker.occupancy.enter("log:2")
        await two.broker.occupancy.enter("log:2")
        await until(lambda: len(server.seen) == 2)
        for _ in range(8):  # `one` is dead from here
            await two.broker.registry.register_node("n_2", b"{}", LIFE_S)
            await asyncio.sleep(LIFE_S / 4)
        await until(lambda: "vacated" in kinds(server.seen))
        assert kinds(server.seen) == ["occupied", "vacated"]
        assert kinds(server.seen, "log:2") == ["occupied"]


async def test_what_a_flush_took_stands_again_with_the_next_sign_of_life(tmp_path: Path) -> None:
    async with Backend(taken) as server, pair(tmp_path, server) as (one, _, redis):
        await one.broker.occupancy.enter("log:1")
        await until(lambda: len(server.seen) == 1)
        await redis.command("FLUSHALL")
        await one.broker.registry.register_node("n_1", b"{}", 60.0)
        await until(lambda: len(server.seen) == 2)
        await one.broker.occupancy.leave("log:1", 0.0)
        await until(lambda: len(server.seen) == 3)
        assert kinds(server.seen) == ["occupied", "occupied", "vacated"]


async def test_nothing_is_written_where_nobody_asks(tmp_path: Path) -> None:
    async with (
        RedisServer(tmp_path / "redis") as redis,
        Backend(taken) as server,
        node(redis.url, table(server.url)) as one,
    ):
        assert one.webhooks.attendance() is None
        assert one.webhooks.observer() is None
        await one.broker.registry.register_node("n_0", b"{}", 60.0)
        names = await redis.command("KEYS", "*")
        assert not [name for name in names if name.endswith(b":u") or b"conns-" in name]


class Said:
    """`Occupancy` that refuses, or writes down what it is told."""

    def __init__(self, refusals: int) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.refusals = refusals

    async def enter(self, channel: str) -> None:
        await self._say(channel, "enter")

    async def leave(self, channel: str, grace_s: float) -> None:
        await self._say(channel, "leave", grace_s)

    async def _say(self, *what: Any) -> None:
        await asyncio.sleep(0)
        if self.refusals:
            self.refusals -= 1
            raise HubError(ErrorCode.UNAVAILABLE, "away")
        self.said.append(what)


class Looked:
    """A channel, as far as `Attendance` looks."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscribers = 0


@pytest.mark.parametrize("refusals", [0, 2])
async def test_a_node_says_what_is_so_last(refusals: int) -> None:
    said, tasks, channel = Said(refusals), Tasks(), Looked("log:1")
    attendance = Attendance(said, tasks, lambda name: name.startswith("log:"), 7.0)
    for subscribers in (1, 2, 1, 0, 1):
        channel.subscribers = subscribers
        attendance.look(channel)  # type: ignore[arg-type]
    other = Looked("state:1")
    other.subscribers = 1
    attendance.look(other)  # type: ignore[arg-type]
    await until(lambda: not len(tasks))
    assert said.said == [("log:1", "enter")]
    channel.subscribers = 0
    attendance.look(channel)  # type: ignore[arg-type]
    await until(lambda: not len(tasks))
    assert said.said == [("log:1", "enter"), ("log:1", "leave", 7.0)]
    await tasks.close()
