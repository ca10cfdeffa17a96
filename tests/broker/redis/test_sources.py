"""What only Redis can do to the positions of sources: restarts, losses, a full memory, a node of 0.1 beside."""

import asyncio
from pathlib import Path

import pytest

from hub.broker.base import Published
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.event import Source, Version
from hub.protocol.position import Position

from ...support.pace import SCALE
from ..harness import attempt, publication, publish
from .conftest import MakeNode, Node
from .servers import RedisServer
from .test_scripts import key, until_published


def source(number: int, name: str = "s") -> Source:
    return Source(name, Version(0, number))


async def numbering(server: RedisServer, channel: str) -> list[str]:
    found: bytes = await server.command("GET", key(channel, "m"))
    return found.decode().split("|")


async def until_answered(node: Node, source: Source) -> Published:
    async with asyncio.timeout(10 * SCALE):
        while not isinstance(answer := await attempt(node.broker, "log:s", source=source), Published):
            await asyncio.sleep(0.05)
    return answer


async def test_a_fork_that_kept_the_data_carries_them(tmp_path: Path, make_node: MakeNode) -> None:
    async with RedisServer(tmp_path / "aof", "appendonly yes", "appendfsync always") as server:
        node = await make_node(server.url)
        assert not (await publish(node.broker, "log:s", source=source(7))).duplicate
        for _ in range(3):
            await server.kill()
            await server.start()
            assert (await until_answered(node, source(7))).duplicate
        (top,) = await node.broker.tops(["log:s"])
        assert isinstance(top, HubError) or top.offset == 1
        assert not (await publish(node.broker, "log:s", source=source(8))).duplicate


async def test_without_data_they_begin_anew(server: RedisServer, node: Node) -> None:
    await publish(node.broker, "log:s", source=source(7))
    await server.kill()
    await server.start()
    await until_published(node, "log:s")
    assert not (await publish(node.broker, "log:s", source=source(7))).duplicate


async def test_their_loss_forks(server: RedisServer, node: Node) -> None:
    before = (await publish(node.broker, "log:s", source=source(7))).position
    await server.command("DEL", key("log:s", "o"))
    after = await publish(node.broker, "log:s", source=source(8))
    (top,) = await node.broker.tops(["log:s"])
    assert isinstance(before, Position)
    assert not isinstance(top, HubError)
    assert after.position == Position(top.epoch, 2)
    assert top.epoch != before.epoch
    assert top.ancestors == ()  # what was said under the old name can't be relied on
    assert (await publish(node.broker, "log:s", source=source(8))).duplicate
    assert (await node.broker.tops(["log:s"])) == [top]  # once


async def test_a_lost_numbering_takes_them_with_it(server: RedisServer, node: Node) -> None:
    await publish(node.broker, "log:s", source=source(7))
    await server.command("DEL", key("log:s", "m"))
    await publish(node.broker, "log:s")
    assert await server.command("EXISTS", key("log:s", "o")) == 0
    assert not (await publish(node.broker, "log:s", source=source(7))).duplicate


async def test_those_of_a_numbering_that_another_release_began_anew_do_not_count(
    server: RedisServer, node: Node
) -> None:
    """It knows nothing of them, and leaves them where they are."""
    await publish(node.broker, "log:s", source=source(7))
    incarnation = (await numbering(server, "log:s"))[2]
    await server.command("DEL", key("log:s", "s"))
    await server.command("SET", key("log:s", "m"), f"other|0|{incarnation}||0")
    assert not (await publish(node.broker, "log:s", source=source(7))).duplicate
    assert (await publish(node.broker, "log:s", source=source(7))).duplicate


async def test_the_mark_is_in_a_place_where_a_node_of_0_1_reads_a_number(
    server: RedisServer, node: Node
) -> None:
    await publish(node.broker, "log:s")
    assert (await numbering(server, "log:s"))[4] == "0"
    await publish(node.broker, "log:s", source=source(7))
    epoch, offset, incarnation, previous, fork = await numbering(server, "log:s")
    assert (offset, previous, fork, int(fork)) == ("2", "", "00", 0)
    # As it writes the same numbering after a publication of its own: the mark is gone, the positions are not.
    await server.command("SET", key("log:s", "m"), f"{epoch}|2|{incarnation}|{previous}|{int(fork)}")
    assert (await publish(node.broker, "log:s", source=source(7))).duplicate
    await publish(node.broker, "log:s", source=source(8))
    assert (await numbering(server, "log:s"))[4] == "00"


async def test_without_a_source_nothing_is_kept(server: RedisServer, node: Node) -> None:
    await publish(node.broker, "state:s", key="k", event_id="x")
    assert await server.command("EXISTS", key("state:s", "o")) == 0


@pytest.mark.parametrize("channel", ["log:s", "state:s"])
async def test_a_key_of_another_type_heals(server: RedisServer, node: Node, channel: str) -> None:
    await publish(node.broker, channel, source=source(7))
    await server.command("DEL", key(channel, "o"))
    await server.command("SADD", key(channel, "o"), "foreign")
    result = await attempt(node.broker, channel, source=source(8))
    assert isinstance(result, HubError)
    assert result.code is ErrorCode.INTERNAL
    assert not (await publish(node.broker, channel, source=source(8))).duplicate


async def test_a_full_memory_neither_stores_nor_moves_on(server: RedisServer, node: Node) -> None:
    await publish(node.broker, "log:s", source=source(7))
    await publish(node.broker, "log:s", b"5", event_id="x")
    await server.command("CONFIG", "SET", "maxmemory", "1")
    for fields in ({}, {"event_id": "x", "payload": b"5"}):
        result = await attempt(node.broker, "log:s", source=source(8), **fields)  # type: ignore[arg-type]
        assert isinstance(result, HubError)
        assert result.code is ErrorCode.UNAVAILABLE
    batch = [publication("log:s", source=source(number)) for number in (8, 9)]
    codes = [
        result.code
        for result in await node.broker.publish(batch, ordered=True)
        if isinstance(result, HubError)
    ]
    assert codes == [ErrorCode.UNAVAILABLE] * 2
    await server.command("CONFIG", "SET", "maxmemory", "0")
    answers = await node.broker.publish(batch, ordered=True)
    assert [isinstance(each, Published) and not each.duplicate for each in answers] == [True, True]
