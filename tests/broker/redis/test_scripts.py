"""What only Redis can suffer: spoiled keys, lost data, a full memory, forgotten scripts."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import hiredis
import pytest

from hub.broker.base import EMPTY_S, Inbox, Published
from hub.protocol.codes import ErrorCode, Outcome
from hub.protocol.errors import HubError
from hub.protocol.position import Position, Top
from hub.protocol.recovery import Cause, Gap, Resume, judge

from ..harness import attempt, namespaces, publication, publish, tops
from .conftest import MakeNode, Node
from .servers import RedisServer

KEYS = ["m", "s", "k", "x", "v", "l"]
ANCESTORS = "f"


def key(channel: str, suffix: str) -> str:
    return f"hub:{{{channel}}}:{suffix}"


async def position(node: Node, channel: str) -> Position:
    (top,) = await tops(node.broker, [channel])
    return top.position


async def until_published(node: Node, channel: str) -> Published:
    """Once it works again."""
    async with asyncio.timeout(10):
        while True:
            result = await attempt(node.broker, channel)
            if isinstance(result, Published):
                return result
            await asyncio.sleep(0.05)


class TestSpoiledKeys:
    @pytest.mark.parametrize("suffix", KEYS)
    async def test_a_key_of_another_type_heals_by_a_new_epoch(
        self, server: RedisServer, node: Node, suffix: str
    ) -> None:
        await node.broker.listen("state:s")
        first = await publish(node.broker, "state:s", key="a", version=1, event_id="e")
        await server.command("DEL", key("state:s", suffix))
        await server.command("LPUSH", key("state:s", suffix), "foreign")
        result = await attempt(node.broker, "state:s", key="a", version=2, lease_ms=5000)
        if isinstance(result, HubError):
            assert result.code is ErrorCode.INTERNAL
            result = await publish(node.broker, "state:s", key="a", version=3)
        assert result.position is not None
        assert first.position is not None
        assert result.position == Position(result.position.epoch, 1)
        assert result.position.epoch != first.position.epoch
        page = await node.broker.read("state:s", 0, 10)
        assert [event.offset for event in page.events] == [1]
        assert len((await node.broker.snapshot("state:s")).events) == 1
        await node.heard.until(lambda: "state:s" in node.heard.lost)

    @pytest.mark.parametrize("suffix", ["m", "s"])
    async def test_a_reader_heals_too(self, server: RedisServer, node: Node, suffix: str) -> None:
        before = (await publish(node.broker, "log:s")).position
        await server.command("DEL", key("log:s", suffix))
        await server.command("SADD", key("log:s", suffix), "foreign")
        page = await node.broker.read("log:s", 0, 10)
        assert before is not None
        assert page.top.epoch != before.epoch
        assert (page.top.offset, page.events) == (0, [])

    async def test_a_cursor_key_of_another_type(self, server: RedisServer, node: Node) -> None:
        await publish(node.broker, "log:s")
        await server.command("SET", key("log:s", "c"), "foreign")
        assert (await node.broker.inbox("log:s", "ann")).cursor.offset == 0
        after = await publish(node.broker, "log:s")
        assert after.position is not None
        assert (await node.broker.ack("log:s", "ann", after.position)).unread == 0

    async def test_a_presence_key_of_another_type(self, server: RedisServer, node: Node) -> None:
        await server.command("SET", key("log:s", "p"), "foreign")
        assert await node.broker.presence.members("log:s") == []

    async def test_a_foreign_entry_ahead_of_the_numbering_never_blocks_it(
        self, server: RedisServer, node: Node
    ) -> None:
        before = (await publish(node.broker, "log:s")).position
        await server.command("XADD", key("log:s", "s"), "7-0", "e", "foreign")
        result = await attempt(node.broker, "log:s")
        assert isinstance(result, HubError)
        assert result.code is ErrorCode.INTERNAL
        assert node.count("healed") == 1
        after = (await publish(node.broker, "log:s")).position
        assert before is not None
        assert after is not None
        assert (after.offset, after.epoch != before.epoch) == (1, True)


class TestUnreadableEntries:
    async def test_entries_of_another_format_are_skipped_and_counted(
        self, server: RedisServer, node: Node
    ) -> None:
        for _ in range(4):
            await publish(node.broker, "log:s")
        stream = key("log:s", "s")
        entries = [row[1][1] for row in await server.command("XRANGE", stream, "-", "+")]
        await server.command("DEL", stream)
        entries[1] = b"\x02" + entries[1][1:]  # a later version's
        for offset, entry in enumerate(entries, 1):
            await server.command("XADD", stream, f"{offset}-0", "e", entry)
        page = await node.broker.read("log:s", 0, 10)
        assert [event.offset for event in page.events] == [3, 4]
        assert (page.top.offset, page.top.first) == (4, 3)
        assert node.count("unreadable_entries") == 1

    @pytest.mark.parametrize("fields", [("x", "y"), ("e", ""), ("e", "\x01garbage"), ("e", "a", "f", "b")])
    async def test_garbage_in_the_stream(
        self, server: RedisServer, node: Node, fields: tuple[str, ...]
    ) -> None:
        await publish(node.broker, "log:s")
        stream = key("log:s", "s")
        await server.command("DEL", stream)
        await server.command("XADD", stream, "1-0", *fields)
        await publish(node.broker, "log:s")
        page = await node.broker.read("log:s", None, 10)
        assert [event.offset for event in page.events] == [2]
        assert page.top.first == 2

    async def test_nothing_readable_at_all(self, server: RedisServer, node: Node) -> None:
        for _ in range(5):
            await publish(node.broker, "log:s")
        stream = key("log:s", "s")
        await server.command("DEL", stream)
        for offset in range(1, 6):
            await server.command("XADD", stream, f"{offset}-0", "x", "y")
        page = await node.broker.read("log:s", 0, 2)
        assert (page.events, page.top.first, page.top.offset) == ([], 6, 5)

    async def test_a_deleted_entry_is_a_hole(self, server: RedisServer, node: Node) -> None:
        for _ in range(5):
            await publish(node.broker, "log:s")
        await server.command("XDEL", key("log:s", "s"), "3-0")
        page = await node.broker.read("log:s", 0, 10)
        assert [event.offset for event in page.events] == [4, 5]
        assert page.top.first == 4

    async def test_garbage_in_the_snapshot(self, server: RedisServer, node: Node) -> None:
        await publish(node.broker, "state:s", key="a")
        await server.command("HSET", key("state:s", "k"), "b", "foreign")
        page = await node.broker.snapshot("state:s")
        assert [event.key for event in page.events] == ["a"]
        assert node.count("unreadable_entries") == 1


class TestLostData:
    async def test_a_flush_begins_a_new_epoch(self, server: RedisServer, node: Node) -> None:
        await publish(node.broker, "state:s", key="a")
        before = await position(node, "state:s")
        await server.command("FLUSHALL")
        (top,) = await tops(node.broker, ["state:s"])
        assert (top.offset, top.ancestors) == (0, ())
        assert top.epoch != before.epoch

    async def test_a_lost_numbering_takes_what_it_numbered_with_it(
        self, server: RedisServer, node: Node
    ) -> None:
        await publish(node.broker, "state:s", key="a", event_id="e")
        await server.command("DEL", key("state:s", "m"))
        again = await publish(node.broker, "state:s", key="b", event_id="e")
        assert again.position is not None
        assert (again.position.offset, again.duplicate) == (1, False)
        assert [event.key for event in (await node.broker.snapshot("state:s")).events] == ["b"]

    async def test_a_lost_stream_leaves_the_numbering(self, server: RedisServer, node: Node) -> None:
        before = (await publish(node.broker, "log:s")).position
        await server.command("DEL", key("log:s", "s"))
        after = await publish(node.broker, "log:s")
        assert before is not None
        assert after.position == Position(before.epoch, 2)
        assert (await node.broker.read("log:s", 0, 10)).top.first == 2


class TestRestart:
    """The server's process changes, and with it the incarnation."""

    async def test_with_all_data_the_numbering_forks_and_nothing_is_lost(
        self, tmp_path: Path, make_node: MakeNode
    ) -> None:
        async with RedisServer(tmp_path / "aof", "appendonly yes", "appendfsync always") as server:
            node = await make_node(server.url)
            await node.broker.listen("log:s")
            for _ in range(3):
                before = (await publish(node.broker, "log:s", event_id=f"e{_}")).position
            await server.kill()
            await server.start()
            await node.heard.until(lambda: "log:s" in node.heard.lost)
            after = await until_published(node, "log:s")
            (top,) = await tops(node.broker, ["log:s"])
            assert before is not None
            assert after.position == Position(top.epoch, 4)
            assert top.epoch != before.epoch
            assert top.ancestors == (before,)
            assert len((await node.broker.read("log:s", 0, 10)).events) == 4
            again = await publish(node.broker, "log:s", event_id="e2")
            assert (again.duplicate, again.position) == (True, Position(top.epoch, 3))

    async def test_from_an_older_dump_the_fork_is_where_the_dump_ends(
        self, server: RedisServer, node: Node
    ) -> None:
        await node.broker.listen("log:s")
        for _ in range(3):
            await publish(node.broker, "log:s")
        await server.command("SAVE")
        for _ in range(3):
            before = (await publish(node.broker, "log:s")).position
        await server.kill()
        await server.start()
        await node.heard.until(lambda: "log:s" in node.heard.lost)
        (top,) = await tops(node.broker, ["log:s"])
        assert before is not None
        assert (top.offset, top.ancestors) == (3, (Position(before.epoch, 3),))
        assert (await until_published(node, "log:s")).position == Position(top.epoch, 4)

    async def test_without_data_the_numbering_begins_anew(self, server: RedisServer, node: Node) -> None:
        await node.broker.listen("log:s")
        before = (await publish(node.broker, "log:s")).position
        await server.kill()
        await server.start()
        await node.heard.until(lambda: "log:s" in node.heard.lost)
        after = (await until_published(node, "log:s")).position
        assert before is not None
        assert after is not None
        assert (after.offset, after.epoch != before.epoch) == (1, True)
        assert (await tops(node.broker, ["log:s"]))[0].ancestors == ()

    async def test_all_nodes_agree_on_one_fork(
        self, server: RedisServer, make_node: MakeNode, node: Node
    ) -> None:
        other = await make_node(server.url)
        await publish(node.broker, "log:s")
        await server.command("SAVE")
        await server.kill()
        await server.start()
        await until_published(node, "log:s")
        await until_published(other, "log:s")
        epochs = {(await position(each, "log:s")).epoch for each in (node, other, node)}
        assert len(epochs) == 1

    async def test_a_new_lineage_of_data_in_the_same_process_forks_once(
        self, server: RedisServer, make_node: MakeNode, tmp_path: Path, node: Node
    ) -> None:
        """The first replica changes the replication id under standing connections, of which one knows."""
        other = await make_node(server.url)
        before = (await publish(node.broker, "log:s")).position
        async with RedisServer(tmp_path / "replica", f"replicaof 127.0.0.1 {server.port}"):
            async with asyncio.timeout(10):
                while "slave0:" not in _text(await server.command("INFO", "replication")):
                    await asyncio.sleep(0.05)
            third = await make_node(server.url)
            epochs = []
            for each in (node, third, other, third, node, other):
                result = (await publish(each.broker, "log:s")).position
                assert result is not None
                epochs.append(result.epoch)
            assert before is not None
            assert len(set(epochs) - {before.epoch}) <= 1
            assert epochs == sorted(epochs, key=epochs.index)
            assert (await position(node, "log:s")).offset == 7


class TestManyForks:
    """Each restart with all data forks the numbering once more: what was said in any remembered epoch stands."""

    @pytest.fixture
    async def lasting(self, tmp_path: Path) -> AsyncIterator[RedisServer]:
        async with RedisServer(tmp_path / "aof", "appendonly yes", "appendfsync always") as server:
            yield server

    async def restart(self, server: RedisServer, node: Node, channel: str) -> Position:
        await server.kill()
        await server.start()
        await until_published(node, channel)
        return await position(node, channel)

    async def test_an_event_id_is_remembered_across_two(
        self, lasting: RedisServer, make_node: MakeNode
    ) -> None:
        node = await make_node(lasting.url)
        await publish(node.broker, "log:s", b"1", event_id="e")
        await self.restart(lasting, node, "log:s")
        await self.restart(lasting, node, "log:s")
        again = await publish(node.broker, "log:s", b"1", event_id="e")
        assert (again.duplicate, again.position) == (True, Position((await position(node, "log:s")).epoch, 1))
        other = await attempt(node.broker, "log:s", b"2", event_id="e")
        assert isinstance(other, HubError)
        assert other.code is ErrorCode.CONFLICT

    async def test_read_cursors_and_positions_stay_good(
        self, lasting: RedisServer, make_node: MakeNode
    ) -> None:
        node = await make_node(lasting.url)
        first = (await publish(node.broker, "log:s")).position
        assert first is not None
        await node.broker.ack("log:s", "ann", first)
        second = await self.restart(lasting, node, "log:s")
        third = await self.restart(lasting, node, "log:s")
        assert await node.broker.inbox("log:s", "ann") == Inbox(Position(third.epoch, 1), 2)
        (top,) = await tops(node.broker, ["log:s"])
        assert [each.offset for each in top.ancestors] == [2, 1]
        assert judge(first, top, 100) == Resume(1, 2)
        assert judge(Position(first.epoch, 2), top, 100) == Gap(1, 3, Cause.EPOCH)
        assert (await node.broker.ack("log:s", "ann", second)).unread == 1
        for beyond in (Position(first.epoch, 2), Position(second.epoch, 3)):
            with pytest.raises(HubError, match="of another epoch"):
                await node.broker.ack("log:s", "ann", beyond)

    async def test_sixteen_are_remembered_and_no_more(self, server: RedisServer, node: Node) -> None:
        epochs = []
        for number in range(20):
            epochs.append(((await publish(node.broker, "log:s")).position or Position("", 0)).epoch)
            await forked(server, f"another process {number}")
        (top,) = await tops(node.broker, ["log:s"])
        expected = [Position(epoch, number) for number, epoch in enumerate(epochs, 1)]
        assert list(top.ancestors) == expected[::-1][:16]

    async def test_beside_a_node_that_remembers_one(self, server: RedisServer, node: Node) -> None:
        """It forks, and writes no more than the numbering: what was known of the epoch before still is."""
        first = (await publish(node.broker, "log:s")).position
        await forked(server, "a second process")
        second = (await publish(node.broker, "log:s")).position
        assert first is not None
        assert second is not None
        found = (await server.command("GET", key("log:s", "m"))).decode().split("|")
        theirs = ["theirs", "2", found[2], second.epoch, "2"]
        await server.command("SET", key("log:s", "m"), "|".join(theirs))
        (top,) = await tops(node.broker, ["log:s"])
        assert top == Top("theirs", 2, 1, (second, first))
        await server.command("SET", key("log:s", "m"), "|".join(["again", "2", found[2], "theirs", "2"]))
        (top,) = await tops(node.broker, ["log:s"])
        assert top == Top("again", 2, 1, (Position("theirs", 2),))  # twice is beyond what can be known

    @pytest.mark.parametrize("spoiled", ["list", "garbage", "gone"])
    async def test_without_them_the_newest_still_counts(
        self, server: RedisServer, node: Node, spoiled: str
    ) -> None:
        await publish(node.broker, "log:s")
        await forked(server, "a second process")
        before = (await publish(node.broker, "log:s")).position
        await forked(server, "a third process")
        await tops(node.broker, ["log:s"])
        await server.command("DEL", key("log:s", ANCESTORS))
        if spoiled == "list":
            await server.command("LPUSH", key("log:s", ANCESTORS), "foreign")
        elif spoiled == "garbage":
            await server.command("SET", key("log:s", ANCESTORS), "\x00|a:b|c:99999999999999999999")
        (top,) = await tops(node.broker, ["log:s"])
        assert top.ancestors == (before,)
        await forked(server, "a fourth process")
        (top,) = await tops(node.broker, ["log:s"])
        assert len(top.ancestors) == 2

    async def test_they_live_as_long_as_the_numbering(self, server: RedisServer, make_node: MakeNode) -> None:
        node = await make_node(server.url, namespaces=namespaces(0.5))
        await publish(node.broker, "short:s")
        await forked(server, "a second process", "short:s")
        for _ in range(4):
            await publish(node.broker, "short:s")
            await asyncio.sleep(1.0)
        assert len((await tops(node.broker, ["short:s"]))[0].ancestors) == 1
        assert await server.command("EXISTS", key("short:s", ANCESTORS)) == 1
        await asyncio.sleep(2.2)
        assert await server.command("EXISTS", key("short:s", ANCESTORS)) == 0


async def test_a_numbering_that_was_only_looked_at_lives_for_minutes(server: RedisServer, node: Node) -> None:
    """Who looks at a thousand names a second that nobody publishes to must not fill the memory for a week."""

    async def lives_ms() -> int:
        lives: int = await server.command("PTTL", key("log:s", "m"))
        return lives

    meta_ttl_ms = 1000 * namespaces(3600.0).of("log:s").meta_ttl
    assert meta_ttl_ms > 1000 * EMPTY_S
    for look in (
        node.broker.read("log:s", None, 10),
        node.broker.tops(["log:s"]),
        node.broker.inbox("log:s", "ann"),
    ):
        await look
        assert 0 < await lives_ms() <= 1000 * EMPTY_S
    await publish(node.broker, "log:s")
    assert await lives_ms() > 1000 * EMPTY_S
    await tops(node.broker, ["log:s"])
    assert await lives_ms() > 1000 * EMPTY_S


async def forked(server: RedisServer, process: str, channel: str = "log:s") -> None:
    """As after a restart: the numbering was written by another process."""
    numbering = (await server.command("GET", key(channel, "m"))).decode().split("|")
    await server.command(
        "SET", key(channel, "m"), "|".join([*numbering[:2], process, *numbering[3:]]), "KEEPTTL"
    )


class TestScriptCache:
    async def test_forgotten_scripts_are_loaded_again(self, server: RedisServer, node: Node) -> None:
        await publish(node.broker, "log:s")
        await server.command("SCRIPT", "FLUSH")
        results = await node.broker.publish([publication("log:s", b"%d" % n) for n in range(20)])
        stored = [result for result in results if isinstance(result, Published)]
        assert [each.position.offset for each in stored if each.position] == [*range(2, 22)]
        events = (await node.broker.read("log:s", None, 5)).events
        assert [event.payload for event in events] == [b"15", b"16", b"17", b"18", b"19"]

    async def test_under_concurrent_callers(self, server: RedisServer, node: Node) -> None:
        async def many() -> list[Published]:
            return [await publish(node.broker, "log:s") for _ in range(50)]

        async def flush() -> None:
            for _ in range(10):
                await server.command("SCRIPT", "FLUSH")
                await asyncio.sleep(0.005)

        *results, _ = await asyncio.gather(many(), many(), many(), flush())
        offsets = sorted(p.position.offset for result in results for p in result or [] if p.position)
        assert offsets == [*range(1, 151)]


class TestFullMemory:
    async def test_publishers_are_told_and_it_recovers(self, server: RedisServer, node: Node) -> None:
        await node.broker.listen("state:s")
        for number in range(3):
            await publish(node.broker, "state:s", b'"%s"' % (b"x" * 1000), key=f"k{number}")
        before = await position(node, "state:s")
        await server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await server.command("CONFIG", "SET", "maxmemory", "1")
        result = await attempt(node.broker, "state:s", key="a")
        assert isinstance(result, HubError)
        assert (result.code, result.retry) == (ErrorCode.UNAVAILABLE, True)
        assert result.outcome is Outcome.NOT_DONE
        assert await position(node, "state:s") == before  # reading goes on
        assert len((await node.broker.read("state:s", 0, 10)).events) == 3
        assert len((await node.broker.snapshot("state:s")).events) == 3
        (refused,) = await node.broker.tops(["state:new"])
        assert isinstance(refused, HubError)
        assert refused.code is ErrorCode.UNAVAILABLE
        await server.command("CONFIG", "SET", "maxmemory", "0")
        after = await publish(node.broker, "state:s", key="a")
        assert after.position == Position(before.epoch, before.offset + 1)
        assert [event.offset for event in await node.heard.heard("state:s", 4)] == [1, 2, 3, 4]
        assert node.count("healed") == 0


class TestAtomicity:
    async def test_many_writers_of_one_channel(self, server: RedisServer, make_node: MakeNode) -> None:
        nodes = [await make_node(server.url) for _ in range(3)]
        await nodes[0].broker.listen("state:s")

        async def write(node: Node, name: int) -> list[Published]:
            return [await publish(node.broker, "state:s", b"%d" % n, key=f"k{name}") for n in range(100)]

        results = await asyncio.gather(*(write(node, name) for name, node in enumerate(nodes)))
        offsets = [p.position.offset for result in results for p in result if p.position]
        assert sorted(offsets) == [*range(1, 301)]
        events = await nodes[0].heard.heard("state:s", 300)
        assert [event.offset for event in events] == [*range(1, 301)]
        page = await nodes[1].broker.snapshot("state:s")
        assert {event.key: event.payload for event in page.events} == {f"k{n}": b"99" for n in range(3)}

    async def test_a_late_server_does_not_do_what_was_refused(self, server: RedisServer, node: Node) -> None:
        await publish(node.broker, "log:s")
        server.pause()
        try:
            result = await attempt(node.broker, "log:s", b'"refused"')
        finally:
            server.resume()
        assert isinstance(result, HubError)
        assert (result.code, result.outcome) == (ErrorCode.UNAVAILABLE, Outcome.UNKNOWN)
        await until_published(node, "log:s")
        page = await node.broker.read("log:s", 0, 10)
        assert [event.payload for event in page.events] == [b"{}", b"{}"]

    async def test_a_payload_beyond_all_bounds(self, node: Node) -> None:
        result = await attempt(node.broker, "log:s", b'"' + b"x" * 40_000_000 + b'"')
        assert isinstance(result, HubError)
        assert result.code is ErrorCode.TOO_LARGE
        await publish(node.broker, "log:s")


class TestRights:
    async def test_the_documented_rights_are_enough(self, server: RedisServer, make_node: MakeNode) -> None:
        docs = Path(__file__).parents[3] / "docs" / "deploying.md"
        (line,) = re.findall(r"^ACL SETUSER .*$", docs.read_text(), re.MULTILINE)
        await server.command(*line.split())
        node = await make_node(f"redis://hub:a-password@127.0.0.1:{server.port}")
        await node.broker.listen("log:s")
        await publish(node.broker, "log:s")
        await node.heard.heard("log:s", 1)

    async def test_a_wrong_password_is_said_without_it(
        self, server: RedisServer, make_node: MakeNode, caplog: pytest.LogCaptureFixture
    ) -> None:
        await server.command("ACL", "SETUSER", "hub", "on", ">secret", "~*", "+@all")
        node = await make_node(f"redis://hub:wr0ng@127.0.0.1:{server.port}")
        result = await attempt(node.broker, "log:s")
        assert isinstance(result, HubError)
        assert (result.code, result.outcome) == (ErrorCode.UNAVAILABLE, Outcome.NOT_DONE)
        assert "WRONGPASS" in caplog.text
        assert "wr0ng" not in caplog.text


def _text(reply: object) -> str:
    assert not isinstance(reply, hiredis.ReplyError)
    return reply if isinstance(reply, str) else bytes(reply).decode()  # type: ignore[call-overload]
