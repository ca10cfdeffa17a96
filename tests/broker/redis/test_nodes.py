"""What several nodes do together: presence, leases and what is due, with nodes that die in the middle of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from hub.broker.base import Member, Published
from hub.protocol.errors import HubError

from ..harness import attempt, publish
from .conftest import MakeNode, Node
from .harness import QUICK
from .servers import RedisServer
from .test_listening import until

TTL_S = 1.0


def member(user: str, name: str = "tab", owner: str = "c_1", **fields: Any) -> Member:
    return Member(user, name, True, owner, **fields)


async def die(node: Node) -> None:
    """As kill -9: nothing is said."""
    await node.broker.close()


def changes(node: Node, channel: str = "log:s") -> list[tuple[str, str]]:
    return [(change, member.user) for where, change, member in node.heard.presence if where == channel]


class TestPresence:
    async def test_members_of_all_nodes(self, server: RedisServer, make_node: MakeNode) -> None:
        one, two = await make_node(server.url), await make_node(server.url)
        await two.broker.listen("log:s")
        await one.broker.presence.enter("log:s", member("ann", info=b'{"n":1}', state=b"[1]"))
        await two.broker.presence.enter("log:s", member("bob"))
        expected = [member("ann", info=b'{"n":1}', state=b"[1]"), member("bob")]
        assert await one.broker.presence.members("log:s") == expected
        await until(lambda: len(two.heard.presence) == 2)
        assert [who for _, _, who in two.heard.presence] == expected

    async def test_a_dead_nodes_members_leave(self, server: RedisServer, make_node: MakeNode) -> None:
        one, two = await make_node(server.url), await make_node(server.url)
        await two.broker.listen("log:s")
        for node in (one, two):
            await node.broker.registry.register_node(node.broker._node_id, b"{}", TTL_S)
        for number, name in enumerate(("ann", "bob")):
            await one.broker.presence.enter("log:s", member(name, owner=f"c_{number}"))
        await two.broker.presence.enter("log:s", member("cid"))
        await die(one)
        async with asyncio.timeout(TTL_S + 5 * QUICK.sweep + 2):
            while sorted(changes(two)[3:]) != [("leave", "ann"), ("leave", "bob")]:
                await two.broker.registry.register_node("n_1", b"{}", TTL_S)
                await asyncio.sleep(0.1)
        assert [who.user for who in await two.broker.presence.members("log:s")] == ["cid"]
        assert await two.broker.registry.nodes() == {"n_1": b"{}"}

    async def test_a_living_nodes_members_stay(self, server: RedisServer, make_node: MakeNode) -> None:
        one, two = await make_node(server.url), await make_node(server.url)
        await two.broker.listen("log:s")
        await one.broker.registry.register_node("n_0", b"{}", TTL_S)
        await one.broker.presence.enter("log:s", member("ann"))
        for _ in range(12):
            await one.broker.registry.register_node("n_0", b"{}", TTL_S)
            await asyncio.sleep(TTL_S / 4)
        assert changes(two) == [("join", "ann")]

    async def test_whoever_asks_sees_no_ghost(self, server: RedisServer, make_node: MakeNode) -> None:
        """Also where the due-list is lost."""
        one, two = await make_node(server.url), await make_node(server.url)
        await one.broker.registry.register_node("n_0", b"{}", TTL_S)
        await one.broker.presence.enter("log:s", member("ann"))
        await die(one)
        for name in await server.command("KEYS", "hub:{due-*"):
            await server.command("DEL", name)
        await asyncio.sleep(TTL_S + 0.1)
        assert await two.broker.presence.members("log:s") == []

    async def test_a_return_to_another_node_shows_nothing(
        self, server: RedisServer, make_node: MakeNode
    ) -> None:
        one, two = await make_node(server.url), await make_node(server.url)
        await two.broker.listen("log:s")
        await one.broker.presence.enter("log:s", member("ann", owner="c_1", state=b"[1]"))
        await one.broker.presence.leave("log:s", "ann", "tab", "c_1", 0.5)
        await two.broker.presence.enter("log:s", member("ann", owner="c_2"))
        await one.broker.presence.leave("log:s", "ann", "tab", "c_1", 0)  # no longer the owner
        await asyncio.sleep(1.0)
        assert changes(two) == [("join", "ann")]
        assert await two.broker.presence.members("log:s") == [member("ann", owner="c_2", state=b"[1]")]

    async def test_a_return_after_the_node_died_shows_nothing(
        self, server: RedisServer, make_node: MakeNode
    ) -> None:
        one, two = await make_node(server.url), await make_node(server.url)
        await two.broker.listen("log:s")
        await one.broker.registry.register_node("n_0", b"{}", TTL_S)
        await one.broker.presence.enter("log:s", member("ann", owner="c_1"))
        await die(one)
        await two.broker.presence.enter("log:s", member("ann", owner="c_2"))
        await two.broker.registry.register_node("n_1", b"{}", 60.0)
        await asyncio.sleep(TTL_S + 0.5)
        assert changes(two) == [("join", "ann")]

    async def test_a_grace_outlives_the_node(self, server: RedisServer, make_node: MakeNode) -> None:
        one, two = await make_node(server.url), await make_node(server.url)
        await two.broker.listen("log:s")
        await one.broker.presence.enter("log:s", member("ann"))
        await one.broker.presence.leave("log:s", "ann", "tab", "c_1", 0.5)
        await die(one)
        await until(lambda: changes(two) == [("join", "ann"), ("leave", "ann")])

    async def test_a_flush_brings_everybody_in_again(self, server: RedisServer, make_node: MakeNode) -> None:
        one, two = await make_node(server.url), await make_node(server.url)
        for number, node in enumerate((one, two)):
            await node.broker.presence.enter("log:s", member(f"user{number}", state=b"[1]"))
            await node.broker.presence.set_state("log:s", f"user{number}", "tab", "c_1", b"[2]")
        await server.command("FLUSHALL")
        for number, node in enumerate((one, two)):
            await node.broker.registry.register_node(f"n_{number}", b"{}", 5.0)
        members = await one.broker.presence.members("log:s")
        assert members == [member("user0", state=b"[2]"), member("user1", state=b"[2]")]

    async def test_a_list_that_was_evicted_alone_comes_back_whole(
        self, server: RedisServer, make_node: MakeNode
    ) -> None:
        """Who enters its own again first does not hide from the others that theirs are gone."""
        one, two = await make_node(server.url), await make_node(server.url)
        for node in (one, two):
            await node.broker.registry.register_node(node.broker._node_id, b"{}", 60.0)
        for name in ("ann", "bob"):
            await one.broker.presence.enter("log:s", member(name))
        await two.broker.presence.enter("log:s", member("cid"))
        await server.command("DEL", one.broker._keys.present("log:s")[0])
        for node in (two, one):
            await node.broker.registry.register_node(node.broker._node_id, b"{}", 60.0)
        found = [who.user for who in await two.broker.presence.members("log:s")]
        assert sorted(found) == ["ann", "bob", "cid"]

    async def test_a_leave_while_the_storage_is_away_is_done_later(
        self, server: RedisServer, make_node: MakeNode
    ) -> None:
        node, other = await make_node(server.url), await make_node(server.url)
        for name in ("ann", "bob"):
            await node.broker.presence.enter("log:s", member(name))
        await server.command("SAVE")
        await server.kill()
        with pytest.raises(HubError):
            await node.broker.presence.leave("log:s", "ann", "tab", "c_1", 0)
        with pytest.raises(HubError):
            await node.broker.presence.enter("log:s", member("cid"))
        await server.start()
        await until(lambda: node.broker.health()[0].usable and other.broker.health()[0].usable)
        await other.broker.presence.enter("log:s", member("cid", owner="c_2"))
        await node.broker.registry.register_node("n_0", b"{}", 20.0)
        present = await other.broker.presence.members("log:s")
        assert [(who.user, who.owner) for who in present] == [("bob", "c_1"), ("cid", "c_2")]

    async def test_a_crowd_of_random_comers_and_goers_ends_right(
        self, server: RedisServer, make_node: MakeNode
    ) -> None:
        nodes = [await make_node(server.url, members_limit=1000) for _ in range(3)]
        await nodes[0].broker.listen("log:s")

        async def live(user: str, number: int) -> None:
            for life in range(6):
                node = nodes[(number + life) % 3]
                owner = f"c_{user}{life}"
                await node.broker.presence.enter("log:s", member(user, owner=owner))
                if life < 5:
                    grace = 0.0 if (number + life) % 2 else 0.05
                    await node.broker.presence.leave("log:s", user, "tab", owner, grace)

        await asyncio.gather(*(live(f"u{number}", number) for number in range(30)))
        await asyncio.sleep(0.5)
        members = await nodes[1].broker.presence.members("log:s")
        assert sorted(who.user for who in members) == sorted(f"u{number}" for number in range(30))
        present: set[str] = set()
        for change, user in changes(nodes[0]):
            assert (user in present) == (change != "join")
            present = present - {user} if change == "leave" else present | {user}
        assert present == {f"u{number}" for number in range(30)}


class TestLeases:
    async def test_it_runs_out_once_with_many_nodes(self, server: RedisServer, make_node: MakeNode) -> None:
        nodes = [await make_node(server.url) for _ in range(4)]
        await nodes[0].broker.listen("state:s")
        for key in ("a", "b", "c", "d"):
            await publish(nodes[0].broker, "state:s", b'{"n":1}', key=key, lease_ms=1000)
        await until(lambda: len(nodes[0].heard.events("state:s")) == 8)
        await asyncio.sleep(1.5)
        expired = nodes[0].heard.events("state:s")[4:]
        assert sorted(event.key or "" for event in expired) == ["a", "b", "c", "d"]
        for event in expired:
            assert (event.type, event.id.startswith("lease:")) == ("lease_expired", True)
            last = orjson.loads(event.payload)["last"]
            assert (last["key"], last["payload"], last["type"]) == (event.key, {"n": 1}, "note")

    async def test_it_runs_out_after_its_node_died(self, server: RedisServer, make_node: MakeNode) -> None:
        one, two = await make_node(server.url), await make_node(server.url)
        await two.broker.listen("state:s")
        await publish(one.broker, "state:s", key="a", lease_ms=1000)
        await die(one)
        await until(
            lambda: [event.type for event in two.heard.events("state:s")] == ["note", "lease_expired"]
        )

    async def test_it_runs_out_after_a_crash_in_the_middle_of_it(
        self, server: RedisServer, make_node: MakeNode
    ) -> None:
        """A node takes it off the due-list and dies: after the time-out another one does it."""
        one = await make_node(server.url, tuning=QUICK)
        await one.broker.listen("state:s")
        await publish(one.broker, "state:s", key="a", lease_ms=1000)
        tag = one.broker._keys.due_tag("state:s")
        name = one.broker._keys.due(tag)
        # As a node that took the item and died: it is visible again in a second.
        ((item, _score),) = _pairs(await server.command("ZRANGE", name, 0, -1, "WITHSCORES"))
        seconds, _ = await server.command("TIME")
        await server.command("ZADD", name, (int(seconds) + 3) * 1000, item)
        await asyncio.sleep(1.5)
        assert len(one.heard.events("state:s")) == 1
        await until(lambda: [event.type for event in one.heard.events("state:s")][1:] == ["lease_expired"])

    async def test_a_renewed_one_does_not(self, server: RedisServer, make_node: MakeNode) -> None:
        node = await make_node(server.url)
        await node.broker.listen("state:s")
        for _ in range(8):
            await publish(node.broker, "state:s", key="a", lease_ms=1000)
            await asyncio.sleep(0.25)
        await publish(node.broker, "state:s", key="a", final=True)
        await asyncio.sleep(1.5)
        assert len(node.heard.events("state:s")) == 9
        due = await server.command("KEYS", "hub:{due-*")
        assert due == []

    async def test_garbage_on_the_due_list_is_dropped(self, server: RedisServer, make_node: MakeNode) -> None:
        node = await make_node(server.url)
        for item in ("foreign", b"\x93\x01\x02\x03", b"\x91\xa3foo", b"\xc1"):
            await server.command("ZADD", "hub:{due-3}", 1, item)
        await until(lambda: node.count("unreadable_due") == 4)
        async with asyncio.timeout(5):
            while await server.command("EXISTS", "hub:{due-3}"):
                await asyncio.sleep(0.05)

    async def test_a_stale_or_repeated_publication_does_not_renew(
        self, server: RedisServer, make_node: MakeNode
    ) -> None:
        node = await make_node(server.url)
        await node.broker.listen("state:s")
        await publish(node.broker, "state:s", key="a", lease_ms=1000, version=2, event_id="e")
        for _ in range(4):
            await asyncio.sleep(0.2)
            stale = await attempt(node.broker, "state:s", key="a", lease_ms=60_000, version=1)
            assert isinstance(stale, Published)
            assert stale.stale
            again = await attempt(node.broker, "state:s", key="a", lease_ms=1000, version=2, event_id="e")
            assert isinstance(again, Published)
            assert again.duplicate
        await until(lambda: len(node.heard.events("state:s")) == 2, 2.0)


def _pairs(flat: list[Any]) -> list[tuple[bytes, Any]]:
    """Members and scores; RESP3 has them in pairs already."""
    if flat and isinstance(flat[0], list):
        return [(item, score) for item, score in flat]
    return list(zip(flat[::2], flat[1::2], strict=True))


class TestOlderPresence:
    """The server comes back with older data: what stands under a node's name becomes what the node holds."""

    async def test_who_left_since_is_no_ghost_and_who_came_since_is_there(
        self, server: RedisServer, make_node: MakeNode
    ) -> None:
        one, two = [await make_node(server.url, members_limit=10) for _ in range(2)]
        await register(one, two)
        await two.broker.listen("log:s")
        for name in ("ann", "bob"):
            await one.broker.presence.enter("log:s", member(name))
        await two.broker.presence.enter("log:s", member("cid"))
        await server.command("SAVE")
        await one.broker.presence.leave("log:s", "ann", "tab", "c_1", 0)
        await one.broker.presence.enter("log:s", member("dan"))
        await one.broker.presence.enter(
            "log:s", member("bob", owner="c_2")
        )  # the same from a newer connection
        await server.kill()
        await server.start()
        await until(lambda: usable(one) and usable(two), 10)
        await one.broker.presence.enter("log:s", member("eve"))  # before the next sign of life
        await register(one, two)
        members = await two.broker.presence.members("log:s")
        assert {(who.user, who.owner) for who in members} == {
            ("bob", "c_2"),
            ("cid", "c_1"),
            ("dan", "c_1"),
            ("eve", "c_1"),
        }
        await until(lambda: ("leave", "ann") in changes(two)[-3:])

    async def test_a_member_that_moved_to_another_node_stays_there(
        self, server: RedisServer, make_node: MakeNode
    ) -> None:
        """The older data has it at the node that it left."""
        one, two = await make_node(server.url), await make_node(server.url)
        await register(one, two)
        for node in (one, two):
            await node.broker.presence.enter("log:s", member(f"of {node.broker._node_id}"))
        await one.broker.presence.enter("log:s", member("ann", owner="c_1"))
        await server.command("SAVE")
        await two.broker.presence.enter("log:s", member("ann", owner="c_2"))
        await one.broker.presence.leave("log:s", "ann", "tab", "c_1", 0)
        await server.kill()
        await server.start()
        await until(lambda: usable(one) and usable(two), 10)
        for _ in range(2):
            await register(two, one)
        members = {who.user: who.owner for who in await two.broker.presence.members("log:s")}
        assert members == {"of n_0": "c_1", "of n_1": "c_1", "ann": "c_2"}

    async def test_a_grace_goes_on(self, server: RedisServer, make_node: MakeNode) -> None:
        one = await make_node(server.url)
        await register(one)
        for name in ("ann", "bob"):
            await one.broker.presence.enter("log:s", member(name))
        await one.broker.presence.leave("log:s", "ann", "tab", "c_1", 60)
        await server.command("SAVE")
        await server.kill()
        await server.start()
        await until(lambda: usable(one), 10)
        await register(one)
        assert [who.user for who in await one.broker.presence.members("log:s")] == ["ann", "bob"]

    @pytest.mark.parametrize("lost", ["all", "members"])
    async def test_somebody_enters_before_the_next_sign_of_life(
        self, server: RedisServer, make_node: MakeNode, lost: str
    ) -> None:
        one = await make_node(server.url)
        await register(one)
        for name in ("ann", "bob"):
            await one.broker.presence.enter("log:s", member(name))
        if lost == "all":
            await server.command("FLUSHALL")
            await one.broker.presence.enter("log:s", member("cid"))
        else:
            await server.command("DEL", "hub:{log:s}:p")
        await register(one)
        users = [who.user for who in await one.broker.presence.members("log:s")]
        assert sorted(users)[:2] == ["ann", "bob"]


class TestClockSteps:
    @pytest.fixture
    async def stepping(self, tmp_path: Path) -> AsyncIterator[RedisServer]:
        server = RedisServer(tmp_path / "stepping")
        server.own_clock()
        async with server:
            yield server

    async def test_nobody_leaves_and_no_lease_ends_early(
        self, stepping: RedisServer, make_node: MakeNode
    ) -> None:
        one, two = await make_node(stepping.url), await make_node(stepping.url)
        await register(one, two)
        await two.broker.listen("log:s")
        await two.broker.listen("state:s")
        await one.broker.presence.enter("log:s", member("ann"))
        await two.broker.presence.enter("log:s", member("bob"))
        await one.broker.presence.enter("log:s", member("cid"))
        await one.broker.presence.leave("log:s", "cid", "tab", "c_1", 30)
        begun = asyncio.get_running_loop().time()
        await publish(one.broker, "state:s", key="k", lease_ms=8_000)
        stepping.step(40)
        await publish(one.broker, "state:s", key="other")  # nobody is refused because of a clock
        for _ in range(5):
            await asyncio.sleep(0.5)
            assert len(await two.broker.presence.members("log:s")) == 3
        await register(one, two)
        assert [change for change in changes(two) if change[0] == "leave"] == []
        assert one.count("clock_steps") == two.count("clock_steps") == 1
        await until(lambda: two.heard.events("state:s")[-1].type == "lease_expired", 20)
        assert asyncio.get_running_loop().time() - begun >= 8.0

    async def test_a_step_backwards_refuses_nobody(self, stepping: RedisServer, make_node: MakeNode) -> None:
        node = await make_node(stepping.url)
        await publish(node.broker, "log:s")
        stepping.step(-40)
        for _ in range(5):
            await publish(node.broker, "log:s")
            await asyncio.sleep(0.2)


async def register(*nodes: Node) -> None:
    """Each says that it lives, as it does every 5 s."""
    for node in nodes:
        await node.broker.registry.register_node(node.broker._node_id, b"{}", 15.0)


def usable(node: Node) -> bool:
    return all(shard.usable for shard in node.broker.health())
