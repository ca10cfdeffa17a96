"""Lists and events agree, one's own too: whoever was told that it left is told that it is back."""

import asyncio
from typing import Any

import orjson
import pytest

from hub.auth.grants import pattern
from hub.auth.identity import Grants, Identity
from hub.broker.base import Member
from hub.broker.memory.broker import MemoryBroker
from hub.cluster.worker_ipc import NoWorkerIpc
from hub.connections.connection import Connection
from hub.namespaces import Namespace
from hub.node import Node
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.frames import Encoding
from hub.settings import Settings

from ..support import virtual
from ..support.node_client import Socket

ALL = pattern(("*",))
CONFIG = Settings(
    namespaces={"doc": Namespace.model_validate({"mode": "log", "presence": True})}, jwt_secret="x" * 32
)


class Watcher:
    """A connection that is present in a channel, and the list that it can compute from what it is told."""

    def __init__(self, node: Node, user: str) -> None:
        self.socket = Socket()
        self.connection = Connection(node, self.socket, Encoding.JSON, False, "test")
        self.socket.connection = self.connection
        node.enter(self.connection, Identity(user, float("inf"), Grants(ALL, ALL, ALL)), None)
        command = {"type": "subscribe", "channel": "doc:1", "presence": {"as": "tab"}}
        self.connection.receive(orjson.dumps(command), True)
        self.present: set[str] = set()
        self.told: list[str] = []

    def take(self) -> set[str]:
        received, self.socket.received = self.socket.received, []
        for message in map(orjson.loads, received):
            self._message(message)
        return self.present

    def _message(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        self.told.append(kind)
        users = {member["user"] for member in message.get("members", ())}
        if kind in ("hub.subscribed", "hub.presence"):
            self.present = users
        elif kind == "hub.join":
            self.present |= users
        elif kind == "hub.leave":
            self.present -= users


async def with_two(story: Any) -> None:
    broker = MemoryBroker(CONFIG.table, asyncio.get_running_loop().time)
    node = Node(CONFIG, broker, None, "secret", id="n_test", worker_ipc=NoWorkerIpc())  # type: ignore[arg-type]
    await node.start()
    ann = Watcher(node, "ann")
    await asyncio.sleep(1)
    bob = Watcher(node, "bob")
    await asyncio.sleep(1)
    assert ann.take() == bob.take() == {"ann", "bob"}
    assert ann.told[-1] == "hub.join"
    await story(node, broker, ann, bob)
    for watcher in (ann, bob):
        watcher.socket.connection = None
        watcher.connection.gone(1006)
    await node.stop()


@pytest.mark.parametrize("batched", [False, True])
def test_a_member_that_was_told_its_own_leave_is_told_that_it_is_back(batched: bool) -> None:
    """Its node was taken for dead, and enters it again."""

    async def story(node: Node, broker: MemoryBroker, ann: Watcher, bob: Watcher) -> None:
        (member,) = [each for each in await broker.presence.members("doc:1") if each.user == "ann"]
        await broker.presence.leave("doc:1", "ann", "tab", member.owner, 0)
        if not batched:
            await asyncio.sleep(1)
            assert ann.take() == bob.take() == {"bob"}
        await broker.presence.enter("doc:1", member)
        await asyncio.sleep(1)
        assert ann.take() == bob.take() == {"ann", "bob"}

    virtual.run(with_two(story))


def test_a_list_without_oneself_is_followed_by_one_with_oneself() -> None:
    """The node was deaf, so its watchers get a list while the member is out."""

    async def story(node: Node, broker: MemoryBroker, ann: Watcher, bob: Watcher) -> None:
        (member,) = [each for each in await broker.presence.members("doc:1") if each.user == "ann"]
        await broker.unlisten("doc:1")  # what is announced now is heard by nobody
        await broker.presence.leave("doc:1", "ann", "tab", member.owner, 0)
        await broker.listen("doc:1")
        node.on_lost(["doc:1"])
        await asyncio.sleep(1)
        assert ann.take() == bob.take() == {"bob"}
        await broker.presence.enter("doc:1", member)
        await asyncio.sleep(1)
        assert ann.take() == bob.take() == {"ann", "bob"}

    virtual.run(with_two(story))


def test_ones_own_first_join_is_not_sent() -> None:
    async def story(node: Node, broker: MemoryBroker, ann: Watcher, bob: Watcher) -> None:
        assert bob.told == ["hub.subscribed"]

    virtual.run(with_two(story))


def test_who_leaves_and_comes_back_in_one_breath_is_present() -> None:
    """Both commands are under way at once: the leave must not take effect behind the coming."""

    async def story(node: Node, broker: MemoryBroker, ann: Watcher, bob: Watcher) -> None:
        for command in (
            {"type": "unsubscribe", "channel": "doc:1"},
            {"type": "subscribe", "channel": "doc:1", "presence": {"as": "tab"}},
        ):
            ann.connection.receive(orjson.dumps(command), True)
        await asyncio.sleep(1)
        assert {each.user for each in await broker.presence.members("doc:1")} == {"ann", "bob"}
        assert ann.take() == bob.take() == {"ann", "bob"}

    virtual.run(with_two(story))


def test_a_leave_that_is_tried_again_does_not_take_away_who_is_back() -> None:
    async def story(node: Node, broker: MemoryBroker, ann: Watcher, bob: Watcher) -> None:
        leave, away = broker.presence.leave, [HubError(ErrorCode.UNAVAILABLE, "the storage is away")]

        async def fails_once(channel: str, user: str, name: str, owner: str, grace_s: float) -> None:
            if away:
                raise away.pop()
            await leave(channel, user, name, owner, grace_s)

        broker.presence.leave = fails_once  # type: ignore[method-assign]
        ann.connection.receive(orjson.dumps({"type": "unsubscribe", "channel": "doc:1"}), True)
        await asyncio.sleep(0.01)
        assert not away
        again = {"type": "subscribe", "channel": "doc:1", "presence": {"as": "tab"}}
        ann.connection.receive(orjson.dumps(again), True)
        await asyncio.sleep(15)  # longer than any pause between two tries
        assert {each.user for each in await broker.presence.members("doc:1")} == {"ann", "bob"}

    virtual.run(with_two(story))


CID = Member("cid", "tab", True, "c_cid")


@pytest.mark.parametrize("there", [True, False])
def test_a_list_that_is_read_between_two_changes_that_cancel_out(there: bool) -> None:
    """Somebody leaves and comes back, or comes and leaves, and the list is what was true in between."""

    async def story(node: Node, broker: MemoryBroker, ann: Watcher, bob: Watcher) -> None:
        presence = broker.presence
        members = presence.members
        if there:
            await presence.enter("doc:1", CID)
            await asyncio.sleep(1)

        async def in_between(channel: str) -> list[Member]:
            presence.members = members  # type: ignore[method-assign]
            await change(leaves=there)
            found = await members(channel)
            await change(leaves=not there)
            return found

        async def change(*, leaves: bool) -> None:
            if leaves:
                await presence.leave("doc:1", "cid", "tab", "c_cid", 0)
            else:
                await presence.enter("doc:1", CID)

        presence.members = in_between  # type: ignore[method-assign]
        node.on_lost(["doc:1"])
        await asyncio.sleep(1)
        assert ann.take() == bob.take() == {"ann", "bob"} | ({"cid"} if there else set())

    virtual.run(with_two(story))


@pytest.mark.parametrize("there", [True, False])
def test_announcements_that_are_behind_the_list_of_who_comes(there: bool) -> None:
    """The list holds the first of two changes already, the second is made later: both are announced after it."""

    async def story(node: Node, broker: MemoryBroker, ann: Watcher, bob: Watcher) -> None:
        members = broker.presence.members

        async def first_of_two(channel: str) -> list[Member]:
            found = await members(channel)
            return [*found] if there else [*found, CID]

        if there:
            await broker.presence.enter("doc:1", CID)
            await asyncio.sleep(5)
            await broker.unlisten("doc:1")
            await broker.presence.leave("doc:1", "cid", "tab", "c_cid", 0)
            await broker.listen("doc:1")
        broker.presence.members = first_of_two  # type: ignore[method-assign]
        dan = Watcher(node, "dan")
        await asyncio.sleep(0.001)
        for change in ("leave", "join") if there else ("join", "leave"):
            node.on_presence("doc:1", change, CID)
        await asyncio.sleep(1)
        assert ("cid" in dan.take()) is there
        dan.socket.connection = None
        dan.connection.gone(1006)

    virtual.run(with_two(story))
