"""Nodes that die with -9: another one tells of their connections, and of the channels that they leave empty."""

import asyncio
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from hub.connections.observer import Ending
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.runtime.standing import StandingWork
from hub.webhooks import start

from ..broker.redis.servers import RedisServer
from ..support.backend import Backend, Request
from ..support.pace import patience
from ..support.server import running_hub
from ..support.wire import connect
from .stage import node, table, taken, until

CLOSED = ["connection.opened", "connection.closed"]


def of(seen: list[Request], kind: str) -> list[Request]:
    """The requests of one kind."""
    return [each for each in seen if each.json["type"] == kind]


async def test_the_ledger_of_a_dead_node_is_told_once_each(tmp_path: Path) -> None:
    """A thousand connections of a node that gives no sign of life any more, and of one that does."""
    async with RedisServer(tmp_path / "redis") as redis, Backend(taken) as server:
        given = table(server.url, events=CLOSED, batch=100)
        async with node(redis.url, given, number=2) as two:
            async with node(redis.url, given, number=1) as one:
                for each in (one, two):
                    assert each.webhooks.observer() is not None
                await one.broker.registry.register_node("n_1", b"{}", 0.5)
                for number in range(1000):
                    name = f"c_{number}"
                    one.broker.connections.opened(
                        name, b'{"id":"%s/closed","connection":"%s","user":"u"}' % ((name.encode(),) * 2)
                    )
                two.broker.connections.opened("c_two", b'{"id":"x","connection":"c_two","user":"u"}')
                one.broker.connections.closed("c_0")
                size = ("HLEN", "hub:{conns-n_1}")
                await until_equal(redis, size, 1000)  # 999 of them, and its sign of life
                for number, bad in enumerate((b"{oops", b"[]", b"{}", b"\xff")):  # by a stranger
                    await redis.command("HSET", size[1], f"x_{number}", bad)
            await until(lambda: sum(len(each.json) for each in server.seen) >= 999)
            await until_equal(redis, size, 0)
            told = [event for each in server.seen for event in each.json]
            assert {each["connection"] for each in told} == {f"c_{number}" for number in range(1, 1000)}
            assert {each["reason"] for each in told} == {"node_lost"}
            assert {each["id"] for each in told} == {f"c_{number}/closed" for number in range(1, 1000)}
            assert len(told) == 999


@dataclass
class Someone:
    """A connection, as far as an observer looks."""

    id: str
    who: tuple[str, bytes | None] = ("ann", None)


async def test_the_end_of_a_connection_waits_for_the_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "LEARN_S", 0.05)
    async with Backend(taken) as server, node(None, table(server.url, events=CLOSED)) as one:
        teller, push = one.webhooks.observer(), one.broker.intents.push
        assert teller is not None
        refusals = iter(range(3))

        async def away(*args: Any) -> int:
            if next(refusals, None) is not None:
                raise HubError(ErrorCode.UNAVAILABLE, "the storage can't be reached")
            return await push(*args)

        monkeypatch.setattr(one.broker.intents, "push", away)
        one.webhooks.begin(StandingWork(time.monotonic, HubError, Counter()))
        teller.admitted(cast(Any, Someone("c_1")))
        teller.ended(cast(Any, Someone("c_1")), Ending(1000, "", by_hub=False))
        await until(lambda: server.seen)
        assert [(each.json["type"], each.json["id"]) for each in server.seen] == [
            ("connection.closed", "c_1/closed")
        ]
        assert one.webhooks.dropped == 1, "that it was opened is best effort"


async def until_equal(redis: RedisServer, command: tuple[str, ...], value: int) -> None:
    async with patience(20):
        while await redis.command(*command) != value:
            await asyncio.sleep(0.02)


async def test_a_node_that_is_killed(tmp_path: Path) -> None:
    """Two servers. Ann is on the first, which is killed; one of her channels has a subscriber on the second before
    the dead node's word has run out."""
    async with RedisServer(tmp_path / "redis") as redis, Backend(taken) as server:
        events = [*CLOSED, "channel.occupied", "channel.vacated"]
        told: dict[str, Any] = {
            "broker": redis.url,
            "webhooks": [table(server.url, channels=["job:*"], events=events)],
            "webhook_allow": ["127.0.0.0/8"],
            "presence_grace": 1.0,
        }
        with running_hub(**told) as second, running_hub(**told) as first:
            try:
                async with (
                    connect(first.ws_url, first.token("ann", subscribe=["*"])) as ann,
                    connect(second.ws_url, second.token("ben", subscribe=["*"])) as ben,
                ):
                    await ann.ask("subscribe", channel="job:alone")
                    await ann.ask("subscribe", channel="job:both")
                    await until(lambda: len(of(server.seen, "channel.occupied")) == 2)
                    id = ann.id
                    first.process.kill()
                    first.process.wait()
                    await ben.ask("subscribe", channel="job:both")
                    async with patience(60):
                        while not (
                            of(server.seen, "connection.closed") and of(server.seen, "channel.vacated")
                        ):
                            await asyncio.sleep(0.05)
                    (closed,) = of(server.seen, "connection.closed")
                    assert closed.json["connection"] == id
                    assert (closed.json["user"], closed.json["reason"]) == ("ann", "node_lost")
                    assert [each.json["channel"] for each in of(server.seen, "channel.vacated")] == [
                        "job:alone"
                    ]
                await until(lambda: len(of(server.seen, "channel.vacated")) == 2)
                vacated = of(server.seen, "channel.vacated")
                assert [each.json["channel"] for each in vacated] == ["job:alone", "job:both"]
                last = of(server.seen, "connection.closed")[-1].json
                assert (last["user"], last["code"]) == ("ben", 1000)
            finally:
                first.stop(signal.SIGKILL)
