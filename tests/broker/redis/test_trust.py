"""Redis as a trust boundary: whatever stands there, a node goes on, and nobody is handed what is no event."""

import asyncio
import re
from typing import Any

import msgpack
import pytest

from hub.broker.base import Member, Published
from hub.broker.redis import format as wire
from hub.broker.redis.rights import ARGUMENTS
from hub.broker.redis.scripts import SOURCES
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.event import Publication

from ...support.pace import SCALE
from ...support.server import running_hub
from ...support.wire import Encoding, connect
from ..harness import attempt, namespaces, publish, tops
from .conftest import MakeNode, Node
from .servers import RedisServer
from .test_listening import until

NOT_UTF8 = b"\xff\xfe\x00"
FAR_MS = 9_999_999_999_999


def key(channel: str, suffix: str) -> str:
    return f"hub:{{{channel}}}:{suffix}"


def member(user: str, **fields: Any) -> Member:
    return Member(user, "tab", True, "c_1", **fields)


def entry(payload: bytes, type: str = "note") -> bytes:
    """An entry as a node would write it, around a payload that no node would."""
    return wire.entry(Publication("log:s", type, payload, publisher="x"), "e_1", 1)


DEEP = b"[" * 600 + b"]" * 600
NO_JSON = [
    b"",
    b"{",
    b"nothing",
    b'{"a":1}{"b":2}',
    b'"\xff"',
    b'"\\ud800"',
    b'{"a":1}\n{"type":"hub.welcome"}',
    DEEP,
]


class TestTheRegistry:
    async def test_a_member_of_the_nodes_that_is_no_name(self, server: RedisServer, node: Node) -> None:
        await node.broker.registry.register_node("n_0", b"{}", 60.0)
        await server.command("HSET", "hub:{nodes}", NOT_UTF8, b"%d|{}" % FAR_MS)
        assert await node.broker.registry.nodes() == {"n_0": b"{}"}
        assert node.count("unreadable_members") == 1

    async def test_a_member_of_the_revocations_that_is_no_text(self, server: RedisServer, node: Node) -> None:
        await node.broker.registry.revoke("sub:ann", 4e9)
        await server.command("ZADD", "hub:{revoked}", 4_000_000_000, NOT_UTF8)
        assert await node.broker.registry.revocations() == {"sub:ann": 4e9}
        assert node.count("unreadable_members") == 1

    async def test_a_revocation_for_ever_blocks_no_other(self, server: RedisServer, node: Node) -> None:
        await server.command("ZADD", "hub:{revoked}", "+inf", "sub:cid")
        await node.broker.registry.revoke("sub:ann", 4e9)
        assert (await node.broker.registry.revocations())["sub:ann"] == 4e9
        assert await server.command("PTTL", "hub:{revoked}") > 0

    @pytest.mark.parametrize("name", ["hub:{nodes}", "hub:{revoked}"])
    async def test_a_key_of_another_type(self, server: RedisServer, node: Node, name: str) -> None:
        await server.command("LPUSH", name, "foreign")
        await node.broker.registry.register_node("n_0", b"{}", 60.0)
        assert await node.broker.registry.nodes() == {"n_0": b"{}"}
        await node.broker.registry.revoke("sub:ann", 4e9)
        assert await node.broker.registry.revocations() == {"sub:ann": 4e9}

    @pytest.mark.parametrize("name", ["ring", "namespaces"])
    async def test_settings_of_another_type_keep_no_node_away(
        self, server: RedisServer, node: Node, make_node: MakeNode, name: str
    ) -> None:
        await server.command("DEL", f"hub:{{settings}}:{name}")
        await server.command("LPUSH", f"hub:{{settings}}:{name}", "foreign")
        other = await make_node(server.url)
        assert other.broker.health()[0].usable
        await publish(other.broker, "log:s")


class TestPresence:
    async def test_members_that_are_none_hide_no_other(
        self, server: RedisServer, make_node: MakeNode
    ) -> None:
        node = await make_node(server.url, members_limit=100)
        await node.broker.presence.enter("log:s", member("ann"))
        (field, packed) = (await server.command("HGETALL", key("log:s", "p"))).popitem()
        owner, mine, *_ = msgpack.unpackb(packed, raw=False)
        for name, value in (
            (NOT_UTF8 + b"\0tab", [owner, mine, 7, True, False, False, 0]),
            (b"no-frame", [owner, mine, 7, True, False, False, 0]),
            (b"bob\0tab", [owner, mine, "x", True, False, False, 0]),
            (b"cid\0tab", [owner, mine, [1], True, False, False, 0]),
            (b"dan\0tab", [{"a": 1}, mine, 8, True, False, False, 0]),
            (b"eve\0tab", [owner, mine, 9, True, "{", False, 0]),
            (b"fay\0tab", [owner, mine, 9, True, False, "nonsense", 0]),
            (b"gil\0tab", "text"),
        ):
            await server.command("HSET", key("log:s", "p"), name, msgpack.packb(value))
        assert await node.broker.presence.members("log:s") == [member("ann")]
        await node.broker.presence.enter("log:s", member("zoe"))
        assert [who.user for who in await node.broker.presence.members("log:s")] == ["ann", "zoe"]
        assert field == b"ann\0tab"

    async def test_nodes_that_are_none(self, server: RedisServer, node: Node) -> None:
        await node.broker.presence.enter("log:s", member("ann"))
        (mine,) = [name for name in await server.command("HKEYS", key("log:s", "n")) if name[:1] == b"n"]
        for name in (mine, b":entries"):
            await server.command("HSET", key("log:s", "n"), name, "foreign")
        await node.broker.presence.enter("log:s", member("bob"))
        await node.broker.registry.register_node("n_0", b"{}", 60.0)
        assert [who.user for who in await node.broker.presence.members("log:s")] == ["ann", "bob"]

    async def test_a_change_whose_state_is_no_json_is_not_handed_on(
        self, server: RedisServer, node: Node
    ) -> None:
        await node.broker.listen("log:s")
        forged = msgpack.packb(["join", "ann", "tab", True, "c_1", b"{", False])
        await server.command("PUBLISH", key("log:s", "e"), b"\x01p" + forged)
        await until(lambda: node.count("unreadable_messages") == 1)
        await node.broker.presence.enter("log:s", member("bob"))
        await until(lambda: [who.user for _, _, who in node.heard.presence] == ["bob"])


class TestEvents:
    @pytest.mark.parametrize("payload", NO_JSON)
    async def test_an_announcement_that_is_no_event_is_skipped(
        self, server: RedisServer, node: Node, payload: bytes
    ) -> None:
        await node.broker.listen("log:s")
        await server.command("PUBLISH", key("log:s", "e"), b"\x01e" + b"abc|1|" + entry(payload))
        await until(lambda: node.count("unreadable_messages") == 1)
        await publish(node.broker, "log:s")
        await node.heard.heard("log:s", 1)

    @pytest.mark.parametrize("payload", NO_JSON)
    async def test_an_entry_that_is_no_event_is_skipped(
        self, server: RedisServer, node: Node, payload: bytes
    ) -> None:
        await publish(node.broker, "state:s", key="a")
        await server.command("HSET", key("state:s", "k"), "b", b"1|" + entry(payload))
        assert [event.key for event in (await node.broker.snapshot("state:s")).events] == ["a"]
        await server.command("DEL", key("state:s", "s"))
        await server.command("XADD", key("state:s", "s"), "1-0", "e", entry(payload))
        page = await node.broker.read("state:s", 0, 10)
        assert (page.events, page.top.first) == ([], 2)
        assert node.count("unreadable_entries") == 2

    async def test_a_lease_or_guard_that_is_none(self, server: RedisServer, node: Node) -> None:
        await publish(node.broker, "state:s", key="a", version=5, lease_ms=60_000)
        await server.command("HSET", key("state:s", "l"), "a", NOT_UTF8 + b"|%d" % FAR_MS)
        await server.command("HSET", key("state:s", "k"), "a", "foreign")
        stale = await attempt(node.broker, "state:s", key="a", version=4)
        assert isinstance(stale, Published)
        assert stale.stale
        await server.command("HSET", key("state:s", "v"), "a", NOT_UTF8)
        await publish(node.broker, "state:s", key="a", version=1)

    @pytest.mark.parametrize("offset", ["9" * 17, "9" * 400])
    async def test_a_numbering_beyond_all_numbers_begins_anew(
        self, server: RedisServer, node: Node, offset: str
    ) -> None:
        incarnation = node.broker._topology.shards()[0].commander.incarnation
        await server.command("SET", key("log:s", "m"), f"abc|{offset}|{incarnation}||0")
        stored = await publish(node.broker, "log:s")
        assert stored.position is not None
        assert (stored.position.offset, stored.position.epoch != "abc") == (1, True)

    async def test_a_cursor_beyond_the_top_leaves_nothing_unread(
        self, server: RedisServer, node: Node
    ) -> None:
        stored = await publish(node.broker, "log:s")
        assert stored.position is not None
        await server.command("HSET", key("log:s", "c"), "ann", f"{stored.position.epoch}|99")
        inbox = await node.broker.inbox("log:s", "ann")
        assert (inbox.cursor.offset, inbox.unread) == (1, 0)


class TestTheDueList:
    @pytest.mark.parametrize("name", [f"hub:{{due-{bucket}}}" for bucket in (0, 7)])
    async def test_a_key_of_another_type(self, server: RedisServer, node: Node, name: str) -> None:
        tag = name[len("hub:{") : -1]
        channel = next(f"state:{n}" for n in range(1000) if node.broker._keys.due_tag(f"state:{n}") == tag)
        await node.broker.listen(channel)
        await server.command("SET", name, "foreign")
        await publish(node.broker, channel, key="a", lease_ms=1000)
        await until(lambda: len(node.heard.events(channel)) == 2)

    async def test_an_item_about_no_channel_is_dropped(self, server: RedisServer, node: Node) -> None:
        for item in (["lease", "nowhere:s", "k", "1"], ["leave", "}{", "u", "n", "o"]):
            await server.command("ZADD", "hub:{due-3}", 1, msgpack.packb(item))
        async with asyncio.timeout(10 * SCALE):
            while await server.command("EXISTS", "hub:{due-3}"):
                await asyncio.sleep(0.05)


class TestRights:
    RIGHTS = ("~hub:*", "+@all", "-@dangerous", "+info")

    async def test_without_the_right_to_announce_nothing_is_stored(
        self, server: RedisServer, node: Node, make_node: MakeNode
    ) -> None:
        """What Redis 7 gives to a new user: all keys and no channel."""
        await server.command("ACL", "SETUSER", "hub", "on", ">secret", "resetchannels", *self.RIGHTS)
        poor = await make_node(f"redis://hub:secret@127.0.0.1:{server.port}")
        cases: list[tuple[str, dict[str, Any]]] = [("log:s", {}), ("state:s", {"key": "a"})]
        for channel, fields in cases:
            refused = await attempt(poor.broker, channel, **fields)
            assert isinstance(refused, HubError)
            assert refused.code is ErrorCode.UNAVAILABLE
            assert (await node.broker.read(channel, 0, 10)).top.offset == 0
        assert "NOPERM" in poor.broker.health()[0].why

    @pytest.mark.parametrize(("channel", "fields"), [("log:s", {}), ("state:s", {"key": "a"})])
    async def test_a_right_that_is_taken_meanwhile(
        self, server: RedisServer, node: Node, make_node: MakeNode, channel: str, fields: dict[str, Any]
    ) -> None:
        await server.command("ACL", "SETUSER", "hub", "on", ">secret", "allchannels", *self.RIGHTS)
        poor = await make_node(f"redis://hub:secret@127.0.0.1:{server.port}")
        await publish(poor.broker, channel, **fields)
        await server.command("ACL", "SETUSER", "hub", "resetchannels", "&hub:{canary}*")
        result = await attempt(poor.broker, channel, b'"second"', **fields)
        stored = [event.payload for event in (await node.broker.read(channel, 0, 10)).events]
        assert stored == ([b"{}"] if isinstance(result, HubError) else [b"{}", b'"second"'])

    async def test_it_says_which_right_is_missing(self, server: RedisServer, make_node: MakeNode) -> None:
        for right, words in (("-hset", "'hset'"), ("-spublish -publish", "publish'"), ("-xadd", "'xadd'")):
            await server.command(
                "ACL", "SETUSER", "hub", "reset", "on", ">secret", "allchannels", *self.RIGHTS, *right.split()
            )
            poor = await make_node(f"redis://hub:secret@127.0.0.1:{server.port}")
            (shard,) = poor.broker.health()
            assert not shard.usable
            assert "NOPERM" in shard.why
            assert words in shard.why

    async def test_trying_rights_out_leaves_nothing(self, server: RedisServer, node: Node) -> None:
        assert [name for name in await server.command("KEYS", "*") if b"settings" not in name] == []

    def test_all_that_the_scripts_do_is_tried(self) -> None:
        called = set(re.findall(rb"(?:call|write)\('([A-Z]+)'", b"".join(SOURCES)))
        assert {verb.decode() for verb in called} - {"TIME"} <= set(ARGUMENTS)


PARTS = ["k", "x", "v", "l"]


class TestEviction:
    """What an evicting server throws away, it throws away key by key."""

    @pytest.mark.parametrize("lost", [*PARTS, "kx", "kxvl", "kxvlc", "c"])
    async def test_a_lost_part_is_told(self, server: RedisServer, node: Node, lost: str) -> None:
        await node.broker.listen("state:s")
        await publish(node.broker, "state:s", key="a", version=1, lease_ms=60_000)
        last = await publish(node.broker, "state:s", key="b", version=2, final=True)
        assert last.position is not None
        await node.broker.ack("state:s", "ann", last.position)
        await server.command("DEL", *(key("state:s", part) for part in lost))
        (top,) = await tops(node.broker, ["state:s"])
        assert top.epoch != last.position.epoch
        assert (top.offset, top.ancestors) == (2, ())
        await node.heard.until(lambda: "state:s" in node.heard.lost)
        assert node.count("lost_parts") >= 1
        # What is still there stays readable, and what is half there does not.
        assert len((await node.broker.read("state:s", 0, 10)).events) == 2
        snapshot = [event.key for event in (await node.broker.snapshot("state:s")).events]
        assert snapshot == ([] if "k" in lost or "x" in lost else ["a", "b"])
        again = await publish(node.broker, "state:s", key="b", version=(1, 0))
        assert again.position is not None
        assert (again.position.epoch, again.position.offset) == (top.epoch, 3)
        (after,) = await tops(node.broker, ["state:s"])
        assert after.epoch == top.epoch

    @pytest.mark.parametrize("part", PARTS)
    async def test_a_publication_notices_before_it_is_stored(
        self, server: RedisServer, node: Node, part: str
    ) -> None:
        first = await publish(node.broker, "state:s", key="a", version=1, lease_ms=60_000)
        await server.command("DEL", key("state:s", part))
        second = await publish(node.broker, "state:s", key="b", version=1)
        assert first.position is not None
        assert second.position is not None
        assert second.position.epoch != first.position.epoch

    async def test_what_leaves_by_its_time_is_no_loss(self, server: RedisServer, make_node: MakeNode) -> None:
        node = await make_node(server.url, namespaces=namespaces(0.1))
        before = await publish(node.broker, "fleet:s", key="a", version=1, final=True, lease_ms=None)
        await asyncio.sleep(0.2)
        assert (await node.broker.snapshot("fleet:s")).events == []
        await publish(node.broker, "fleet:s", key="b")
        for _ in range(4):
            await asyncio.sleep(0.15)
            (top,) = await tops(node.broker, ["fleet:s"])
        assert before.position is not None
        assert top.epoch == before.position.epoch
        assert node.count("lost_parts") == 0

    async def test_reading_keeps_the_parts_as_long_as_the_numbering(
        self, server: RedisServer, make_node: MakeNode
    ) -> None:
        node = await make_node(server.url, namespaces=namespaces(0.2))
        before = await publish(node.broker, "fleet:s", key="a", version=1)
        for _ in range(12):
            await asyncio.sleep(0.2)
            (top,) = await tops(node.broker, ["fleet:s"])
        assert before.position is not None
        assert top.epoch == before.position.epoch

    async def test_a_lease_that_ends_takes_its_part_with_it(self, server: RedisServer, node: Node) -> None:
        first = await publish(node.broker, "state:s", key="a", version=1, lease_ms=60_000)
        await publish(node.broker, "state:s", key="a", version=2)  # without: no lease stands now
        assert await server.command("EXISTS", key("state:s", "l")) == 0
        await publish(node.broker, "state:s", key="a")  # without version: nor a guard, if there was none
        (top,) = await tops(node.broker, ["state:s"])
        assert first.position is not None
        assert top.epoch == first.position.epoch
        assert node.count("lost_parts") == 0


@pytest.fixture
def settings(server: RedisServer) -> dict[str, Any]:
    return {
        "broker": server.url,
        "node_secret": "a-secret-of-the-nodes-of-32-bytes",
        "namespaces": {"log": {"mode": "log", "presence": True}, "cur": {"mode": "ephemeral"}},
    }


async def registered(server: RedisServer) -> float:
    """Until when the one node that is there says that it lives."""
    nodes = await server.command("HGETALL", "hub:{nodes}")
    return max(
        (int(value.partition(b"|")[0]) for name, value in nodes.items() if name[:2] == b"n_"), default=0
    )


async def test_a_node_goes_on_registering(server: RedisServer, settings: dict[str, Any]) -> None:
    """Whatever stands beside its own name: its members stay present, and revocations are learnt."""
    with running_hub(**settings) as hub:
        await until(lambda: hub.http(None).get("/readyz").status_code == 200)
        async with connect(hub.ws_url, hub.token("ann", subscribe=["log:*"], presence=["log:*"])) as wire:
            await wire.ask("subscribe", channel="log:s", presence=True)
            await server.command("HSET", "hub:{nodes}", NOT_UTF8, b"%d|{}" % FAR_MS)
            await server.command("ZADD", "hub:{revoked}", 4_000_000_000, NOT_UTF8)
            await server.command("ZADD", "hub:{revoked}", 4_000_000_000, "no revocation")
            before = await registered(server)
            async with asyncio.timeout(30 * SCALE):
                while await registered(server) < before + 9_000:  # twice more
                    await asyncio.sleep(0.2)
            assert hub.http(None).get("/readyz").status_code == 200
            assert 'what="unreadable_members"' in hub.http(None).get("/metrics").text


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_a_forged_event_in_a_burst_takes_nothing_with_it(
    server: RedisServer, settings: dict[str, Any], encoding: Encoding
) -> None:
    payloads = [b"0", b"{", b"1", b'"\\ud800"', DEEP, b"2", b"", b"3"]
    with running_hub(**settings) as hub:
        async with connect(hub.ws_url, hub.token("ann", subscribe=["cur:*"]), encoding=encoding) as wire:
            await wire.ask("subscribe", channel="cur:s")
            await server.pipeline(
                [("PUBLISH", key("cur:s", "e"), b"\x01e|0|" + entry(payload)) for payload in payloads]
            )
            assert [(await wire.expect("note"))["payload"] for _ in range(4)] == [0, 1, 2, 3]
            hub.publish("cur:s", "real", 4)
            assert (await wire.expect("real"))["payload"] == 4
